"""Pictures of several splits as one split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vizlib.datasets import Dataset, Pictures, Split

Source = np.ndarray | Pictures


class Together:
    """Pictures of several sources as one sequence of uint8 arrays (H, W, C), none of them copied.

    sources: arrays (N, H, W, C), or pictures opened when asked for. places: int (K, 2), of each
    picture the number of its source, and its own number there.
    """

    def __init__(self, sources: Sequence[Source], places: np.ndarray) -> None:
        self.sources, self.places = list(sources), places

    @property
    def shape(self) -> tuple[int, ...] | None:
        """That of the array (K, H, W, C) which they would be, where all are of one size."""
        shapes = {tuple((getattr(source, "shape", None) or ())[1:]) for source in self.sources}
        return (len(self), *shapes.pop()) if len(shapes) == 1 and () not in shapes else None

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, image_number: int, /) -> np.ndarray:
        source, number = self.places[image_number]
        return self.sources[source][int(number)]

    def take(self, image_numbers: np.ndarray, /) -> Together:
        return Together(self.sources, self.places[np.asarray(image_numbers, int)])


def chosen(splits: Sequence[Split], masks: Sequence[np.ndarray]) -> Split:
    """Of each split the pictures for which its mask, bool (N,), is true, one after the other."""
    numbers = [np.flatnonzero(mask) for mask in masks]
    sources = [np.full(len(of_split), source) for source, of_split in enumerate(numbers)]
    return at(splits, np.stack([np.concatenate(sources), np.concatenate(numbers)], axis=1))


def at(splits: Sequence[Split], places: np.ndarray) -> Split:
    """The pictures at places, int (K, 2): the number of a split, and the image number there."""
    used = np.unique(places[:, 0])
    if len(used) == 1:
        return _taken(splits[int(used[0])], places[:, 1])
    digests = [split.digests for split in splits if split.digests is not None]
    return Split(
        Together([split.pictures for split in splits], places),
        _gathered([split.labels for split in splits], places),
        _gathered([split.image_ids for split in splits], places),
        _gathered(digests, places) if len(digests) == len(splits) else None,
        whole=splits[0].whole,
    )


def _taken(split: Split, image_numbers: np.ndarray) -> Split:
    """The split itself where all of it is taken."""
    is_all = np.array_equal(image_numbers, np.arange(len(split)))
    return split if is_all else split.take(image_numbers)


def _gathered(arrays: Sequence[np.ndarray], places: np.ndarray) -> np.ndarray:
    starts = np.cumsum([0, *map(len, arrays)])
    return np.concatenate(arrays)[starts[places[:, 0]] + places[:, 1]]


def places_of(splits: Sequence[Split]) -> dict[str, tuple[int, int]]:
    """Where the picture of each id lies: {id: (number of the split, image number)}."""
    return {
        str(image_id): (number, image_number)
        for number, split in enumerate(splits)
        for image_number, image_id in enumerate(split.image_ids)
    }


def parts_of(dataset: Dataset) -> list[Split]:
    """The splits of a data set, the test pictures first."""
    parts = sorted(dataset.splits, key=("test", "val", "train").index)
    return [dataset.splits[part] for part in parts]
