"""The probe: the one picture whose maps are kept along a training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vizlib.datasets import Split
from vizlib.images import to_network_input

LOOKED_AT = 64  # so many pictures it is chosen from
BORDER = 8  # it is a side over this wide
UNREST = 1.5  # what a border that is not even costs, beside what stands out before it


@dataclass(frozen=True)
class Probe:
    """picture: uint8 (H, W, C), of the network's own size. mean, std: of its channels, by which the
    network gets it.
    """

    picture: np.ndarray
    mean: Sequence[float]
    std: Sequence[float]
    device: torch.device

    @property
    def received(self) -> torch.Tensor:
        """The picture as the network gets it, float32 (1, C, H, W)."""
        height, width, channels = self.picture.shape
        size = channels, height, width
        return to_network_input(self.picture, size, self.mean, self.std)[1].to(self.device)


def clearest(held_out: Split, image_size: Sequence[int]) -> np.ndarray:
    """Of the first pictures held out the one that a class recognises from the last row, by what can
    be told without a network: something stands out before an even border. uint8 (H, W, C).
    """
    first = held_out.take(np.arange(min(LOOKED_AT, len(held_out))))
    images = first.images(image_size)
    clear = images[np.argmax([_clarity(image) for image in images])]
    return np.ascontiguousarray(clear.transpose(1, 2, 0))


def _clarity(image: np.ndarray) -> float:
    """How far the inside of a picture is from its border's colour, root mean square, less how
    uneven the border is; both in levels of 255.
    """
    height, width = image.shape[1:]
    wide = max(1, min(height, width) // BORDER)
    is_border = np.ones((height, width), bool)
    is_border[wide:-wide, wide:-wide] = False
    border, inside = image[:, is_border].astype(float), image[:, ~is_border].astype(float)
    if not inside.size:
        return -border.std()
    stands_out = np.sqrt(((inside - border.mean(axis=1, keepdims=True)) ** 2).mean())
    return float(stands_out - UNREST * border.std(axis=1).mean())
