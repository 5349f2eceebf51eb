"""The pictures of a split as a network takes them: all in memory, or in chunks where they are too
many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from vizlib.datasets import Split
from vizlib.images import cut_share

SOME = 30  # pictures, which say how large those of a split are
MOST_IN_MEMORY = 2_000_000_000  # bytes of uint8 pixels; larger sets stream


def streams(split: Split, image_size: Sequence[int]) -> bool:
    """Whether a split is too big to lie in memory at this size."""
    channels, height, width = image_size
    return len(split) * channels * height * width > MOST_IN_MEMORY


def reader(
    split: Split, image_size: Sequence[int]
) -> Callable[[], np.ndarray | Iterator[np.ndarray]]:
    """A function that gives the pictures of a split as `predict` takes them, each time it is
    called: in chunks where they do not fit into memory.
    """
    if streams(split, image_size):
        return lambda: split.in_chunks(image_size)
    images = split.images(image_size)
    return lambda: images


def mean_cut(split: Split, image_size: Sequence[int]) -> float:
    """The share of a picture that is cut off before the network gets it, on average over some of a
    split, in [0, 1).
    """
    some = np.linspace(0, len(split) - 1, min(SOME, len(split))).astype(int)
    sizes = [split.pictures[int(image_number)].shape[:2] for image_number in some]
    return float(np.mean([cut_share(height, width, image_size) for height, width in sizes]))


def kept_size(split: Split, image_size: Sequence[int]) -> tuple[int, int, int]:
    """The (C, H, W) in which a split's pictures are kept until they are in a batch: their own,
    where the network gets them enlarged.
    """
    own = getattr(split.pictures, "shape", None)  # (N, H, W, C) where all are of one size
    if (
        own
        and own[3] == image_size[0]
        and own[1] <= image_size[1]
        and own[1] * image_size[2] == own[2] * image_size[1]
    ):
        return own[3], own[1], own[2]
    channels, height, width = image_size
    return channels, height, width
