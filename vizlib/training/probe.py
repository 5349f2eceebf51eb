"""The probe: the one picture whose maps are kept along a training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vizlib.clarity import clarity
from vizlib.datasets import Split
from vizlib.images import to_network_input

LOOKED_AT = 64  # so many pictures it is chosen from


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
    be told without a network: its `clarity`. uint8 (H, W, C).
    """
    first = held_out.take(np.arange(min(LOOKED_AT, len(held_out))))
    pictures = first.images(image_size).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pictures[np.argmax([clarity(picture) for picture in pictures])])
