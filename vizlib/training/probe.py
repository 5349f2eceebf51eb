"""The probe: the one picture whose maps are kept along a training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vizlib.datasets import Split
from vizlib.training.batches import normal

LOOKED_AT = 64  # so many pictures it is chosen from
BORDER = 8  # it is a side over this wide
UNREST = 1.5  # what a border that is not even costs, beside what stands out before it


@dataclass(frozen=True)
class Probe:
    """picture: uint8 (C, H, W). mean, std: of its channels, by which the network gets it."""

    picture: np.ndarray
    mean: Sequence[float]
    std: Sequence[float]
    device: torch.device

    @property
    def received(self) -> Tensor:
        """The picture as the network gets it, float32 (1, C, H, W)."""
        images = torch.from_numpy(self.picture[None])
        return normal(images, self.mean, self.std).to(self.device)


def clearest(held_out: Split, image_size: Sequence[int]) -> np.ndarray:
    """Of the first pictures held out the one that a class recognises from the last row, by what can
    be told without a network: something stands out before an even border. uint8 (C, H, W).
    """
    first = held_out.take(np.arange(min(LOOKED_AT, len(held_out))))
    images = first.images(image_size)
    return images[np.argmax([_clarity(image) for image in images])]


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
