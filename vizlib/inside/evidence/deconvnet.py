"""Deconvnet: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014,
https://arxiv.org/abs/1311.2901. A ReLU hands back what is positive in the gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.inside.evidence import for_units

if TYPE_CHECKING:
    from torch import Tensor, nn

WORDS = (
    "**Deconvnet** sends the unit's value back to the pixels and keeps what is positive on "
    "its way: it shows where in the image something is, and hardly which unit looks at it."
)


@for_units("deconvnet", words=WORDS)
def deconvnet(values: nn.Module, images: Tensor) -> Tensor:
    from captum.attr import Deconvolution

    return Deconvolution(values).attribute(images)
