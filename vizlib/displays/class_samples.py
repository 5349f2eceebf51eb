"""Some pictures of each class, as a grid: a row a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.atlas import Atlas
from vizlib.displays.units import as_colours
from vizlib.images import fit, shrunk
from vizlib.tables import as_csv

if TYPE_CHECKING:
    from vizlib.datasets import Dataset

SIDE = 64  # pixels of a picture
ACROSS = 10
OF_ONE_CLASS = 40  # pictures, where one class is looked at


@dataclass(frozen=True)
class ClassSamplesDisplay(Display):
    """Pictures of some classes of one split. pictures: uint8 (N, SIDE, SIDE, 3), whole within white
    or black; class_names, image_ids: of each, the classes in their order.
    """

    pictures: np.ndarray
    class_names: tuple[str, ...]
    image_ids: tuple[str, ...]
    across: int = ACROSS

    @classmethod
    def from_dataset(
        cls, dataset: Dataset, part: str, labels: Sequence[int], across: int = ACROSS
    ) -> Self:
        """Evenly drawn from the pictures of these labels; a class with fewer than `across` has
        empty places.
        """
        split = dataset.splits[part]
        pictures, class_names, image_ids = [], [], []
        for label in labels:
            for image_number in _drawn(split.labels, label, across):
                picture = split.pictures[image_number] if image_number is not None else None
                pictures.append(_tile(picture))
                class_names.append(dataset.class_names[label])
                image_ids.append("" if image_number is None else str(split.image_ids[image_number]))
        return cls(np.stack(pictures), tuple(class_names), tuple(image_ids), across)

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        shades = np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1) * 60
        pictures = np.broadcast_to(shades, (4, SIDE, SIDE, 3)).copy()
        return cls(pictures, (names[0],) * 2 + (names[1],) * 2, ("a", "b", "c", ""), 2)

    def picture(self) -> Atlas:
        """All of them, each of which says its class and id when pointed at."""
        pairs = zip(self.class_names, self.image_ids, strict=True)
        labels = tuple(f"{class_name}: {image_id}" for class_name, image_id in pairs)
        return Atlas(self.pictures, labels=labels, across=min(self.across, ACROSS))

    def of_class(self, number: int) -> Atlas | None:
        """The pictures of the class of this number among those shown, without empty places; None
        where it has none.
        """
        start = number * self.across
        some = [place for place in range(start, start + self.across) if self.image_ids[place]]
        if not some:
            return None
        labels = tuple(self.image_ids[place] for place in some)
        return Atlas(self.pictures[some], labels=labels, across=min(len(some), ACROSS))

    def csv(self) -> str:
        pairs = zip(self.class_names, self.image_ids, strict=True)
        return as_csv(["class", "image"], [pair for pair in pairs if pair[1]])


def _drawn(labels: np.ndarray, label: int, count: int) -> list[int | None]:
    """`count` image numbers of a label, evenly spread over all; None where there are fewer."""
    numbers = np.flatnonzero(labels == label)
    chosen = np.linspace(0, len(numbers) - 1, min(count, len(numbers))).round().astype(int)
    some: list[int | None] = [int(number) for number in numbers[chosen]]
    return some + [None] * (count - len(some))


def _tile(picture: np.ndarray | None) -> np.ndarray:
    """The whole picture in the middle of a tile; grey where there is none."""
    tile = np.full((SIDE, SIDE, 3), 128, np.uint8)
    if picture is None:
        return tile
    small = as_colours(shrunk(picture, SIDE))
    if max(small.shape[:2]) < SIDE:  # a small one is enlarged
        factor = SIDE / max(small.shape[:2])
        height, width = (max(1, round(side * factor)) for side in small.shape[:2])
        small = fit(small, (3, height, width))
    top, left = (SIDE - small.shape[0]) // 2, (SIDE - small.shape[1]) // 2
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    return tile
