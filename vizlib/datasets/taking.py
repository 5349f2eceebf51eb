"""From the files that belong to a data set to the Dataset: what cannot be read is left out by
reason, and what no source brings is held out by rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vizlib.datasets import Dataset, Split, channel_statistics
from vizlib.datasets.by_class import held_out_fifth, lacking
from vizlib.datasets.layouts import MOST_CLASSES
from vizlib.datasets.picture_files import PictureFiles
from vizlib.datasets.walking import Found, Reasons
from vizlib.errors import UserError

STATISTICS_IMAGES = 2000  # enough for a mean and a deviation to three digits
LARGEST_SIDE = 224
PARTS = ("train", "val", "test")
BY_RULE = "a fifth held out by class"
SAME_NAME = "its name reads like that of another picture"


@dataclass
class Listed:
    """The picture files of one split, each with its label and id."""

    files: list[Found] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def add(self, file: Found, label: int, image_id: str = "") -> None:
        self.files.append(file)
        self.labels.append(label)
        self.ids.append(image_id or file.name)

    def only(self, chosen: np.ndarray) -> Listed:
        """Those for which bool (N,) is true."""
        numbers = np.flatnonzero(chosen)
        return Listed(
            [self.files[number] for number in numbers],
            [self.labels[number] for number in numbers],
            [self.ids[number] for number in numbers],
        )


def check_classes(class_names: Sequence[str]) -> None:
    """UserError for too few classes to tell apart, or more than can be looked at."""
    if len(class_names) < 2:
        raise UserError(
            f"There is one class, {class_names[0]!r}: two are needed."
            if class_names
            else "There are no pictures of any class."
        )
    if len(class_names) > MOST_CLASSES:
        raise UserError(
            f"There are {len(class_names):,} classes: up to {MOST_CLASSES:,} are possible."
        )


def dataset_of(
    name: str,
    folder: Path,
    class_names: list[str],
    listed: dict[str, Listed],
    reasons: Reasons,
    note: str,
    *,
    ordered: bool = False,
) -> Dataset:
    """The Dataset of these files by split, of which "train" is needed. folder: what is known of
    its files is kept by. reasons: what was left out before; what cannot be read is added.
    UserError where nothing is left to train on.
    """
    check_classes(class_names)
    usable = {part: _usable(folder, files, reasons) for part, files in listed.items()}
    if not usable["train"].files:
        raise UserError(f"None of the pictures of {folder.name!r} for training can be read.")
    remarks = []
    if not usable.get("test", Listed()).files:
        usable |= _held_out(usable["train"])
        note += f", {BY_RULE}"
        remarks.append(
            "There are no test pictures of its own: of each class a fifth is held out for testing, "
            "chosen by the names of the files."
        )
    for part, purpose in (("train", "training"), ("test", "testing")):
        remarks += lacking(class_names, np.array(usable[part].labels, np.int64), purpose)
    parts = [part for part in PARTS if usable.get(part, Listed()).files]
    splits = {part: split_of(usable[part]) for part in parts}
    return describe(
        name, class_names, splits, note, ordered, left_out=reasons.left_out, remarks=remarks
    )


def _usable(folder: Path, listed: Listed, reasons: Reasons) -> Listed:
    """The files without those that cannot be read, and without the second of two of one id."""
    is_first = np.ones(len(listed.files), bool)
    seen: set[str] = set()
    for number, image_id in enumerate(listed.ids):
        is_first[number] = image_id not in seen
        seen.add(image_id)
    reasons.add(SAME_NAME, *(file.name for file in listed.only(~is_first).files))
    return listed.only(is_first)


def _held_out(training: Listed) -> dict[str, Listed]:
    """The training files without a fifth of each class, and that fifth."""
    is_held_out = held_out_fifth(np.array(training.labels), training.ids)
    return {"train": training.only(~is_held_out), "test": training.only(is_held_out)}


def split_of(listed: Listed) -> Split:
    """The Split of some files."""
    pictures = PictureFiles([file.path for file in listed.files])
    return Split(pictures, np.array(listed.labels, np.int64), np.array(listed.ids))


def picture_size(split: Split) -> tuple[int, int, int]:
    """(3, H, W): the median height and width of some pictures, at most LARGEST_SIDE."""
    sizes = np.array(
        [
            split.pictures[int(image_number)].shape[:2]
            for image_number in np.linspace(0, len(split) - 1, 15)
        ]
    )
    height, width = np.minimum(np.median(sizes, axis=0), LARGEST_SIDE)
    return 3, int(height), int(width)


def describe(
    name: str,
    class_names: list[str],
    splits: dict[str, Split],
    note: str,
    ordered: bool = False,
    **said: list,
) -> Dataset:
    """The Dataset of these splits, with its size and pixel statistics measured on some training
    pictures. said: its `left_out` and `remarks`.
    """
    size = picture_size(splits["train"])
    image_numbers = np.random.default_rng(0).permutation(len(splits["train"]))[:STATISTICS_IMAGES]
    mean, std = channel_statistics(splits["train"].take(image_numbers).images(size))
    return Dataset(name, class_names, size, mean, std, splits, note, ordered, **said)
