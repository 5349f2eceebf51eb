"""Occlusion: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014,
https://arxiv.org/abs/1311.2901. By how much the logit falls when a window of the mean colour covers
a place, the mean of all windows over it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vizlib.inside.evidence import for_classes

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

WORDS = (
    "**Occlusion** shows how far the score falls (red) or rises (blue) when a patch of the "
    "data set's mean colour covers a place. It does not show what is there twice, as the other "
    "one still counts, and the patch is something that the network sees, too."
)


def reading(values: np.ndarray, facts: Mapping[str, Any]) -> str:
    return f"falls by up to {max(values.max(), 0):.3g}, rises by up to {max(-values.min(), 0):.3g}"


def making(facts: Mapping[str, Any]) -> str:
    window = " × ".join(map(str, facts["window"]))
    return f"by a window of {window} pixels, moved by {facts['stride'][0]}"


def _windows(size: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """The window for a picture of a size (height, width), its stride, and how many there are."""
    window = tuple(min(side, max(2, side // 5)) for side in size)
    stride = tuple(max(1, side // 3) for side in window)
    count = math.prod(
        math.ceil((side - w) / s) + 1 for side, w, s in zip(size, window, stride, strict=True)
    )
    return window, stride, count


@for_classes("occlusion", style="signed", passes=200, words=WORDS, reading=reading, making=making)
def occlusion(
    model: nn.Module, image: Tensor, target: int, say: Callable[[float], None]
) -> tuple[Tensor, dict[str, Any]]:
    """In logits. facts: window and stride, each (height, width) in pixels."""
    from captum.attr import Occlusion

    from vizlib.inside.activations import images_at_once, paced

    channels, *size = image.shape[1:]
    window, stride, windows = _windows(size)
    at_once = images_at_once(image)
    method = Occlusion(paced(model, 1 + math.ceil(windows / at_once), say))
    values = method.attribute(
        image,
        baselines=0,
        target=target,
        perturbations_per_eval=at_once,
        sliding_window_shapes=(channels, *window),
        strides=(channels, *stride),
    )
    return values[0, 0], {"window": window, "stride": stride}
