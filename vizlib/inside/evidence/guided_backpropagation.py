"""Guided backpropagation: Springenberg et al., Striving for Simplicity: The All Convolutional Net,
2015, https://arxiv.org/abs/1412.6806. A ReLU hands back what is positive in the gradient where its
input was positive, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.inside.evidence import for_units

if TYPE_CHECKING:
    from torch import Tensor, nn

WORDS = (
    "**Guided backpropagation** keeps only what is positive in both directions: it gives the "
    "clearest outlines, and gives them for a network that has learned nothing too."
)


@for_units("guided backpropagation", words=WORDS)
def guided_backpropagation(values: nn.Module, images: Tensor) -> Tensor:
    from captum.attr import GuidedBackprop

    return GuidedBackprop(values).attribute(images)
