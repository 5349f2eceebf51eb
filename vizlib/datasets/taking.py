"""From the files that belong to a data set to the Dataset: what cannot be read is left out by
reason, and what no source brings is held out by rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vizlib.datasets import Dataset, Split, channel_statistics
from vizlib.datasets.by_class import held_out_fifth, lacking, some
from vizlib.datasets.index import examined
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
    UserError where no two classes are left to train on.
    """
    check_classes(class_names)
    taken = Taken(folder, listed, reasons)
    taken.check_training()
    remarks = []
    if not taken.listed.get("test", Listed()).files:
        taken.hold_out()
        note += f", {BY_RULE}"
        remarks.append(
            "There are no test pictures of its own: of each class a fifth is held out for testing, "
            "chosen by the names of the files."
        )
    remarks += taken.remarks
    for part, purpose in (("train", "training"), ("test", "testing")):
        remarks += lacking(class_names, np.array(taken.listed[part].labels, np.int64), purpose)
    size, splits = taken.picture_size(), taken.splits()
    mean, std = _statistics(splits["train"], size)
    return Dataset(
        name,
        class_names,
        size,
        mean,
        std,
        splits,
        note,
        ordered,
        left_out=reasons.left_out,
        remarks=remarks,
    )


class Taken:
    """The files of a data set that can be read, each looked into.

    listed: of each split the files without those that cannot be read, which are added to the
    reasons, and without the second of two of one id.
    """

    def __init__(self, folder: Path, listed: dict[str, Listed], reasons: Reasons) -> None:
        files = [file for of_part in listed.values() for file in of_part.files]
        known = examined(folder, [file.file for file in files])
        self._known = dict(zip(files, known, strict=True))
        self._damaged = [file for file in files if self._known[file].problem]
        for file in self._damaged:
            reasons.add(self._known[file].problem, file.name)
        self.listed = {part: self._usable(of_part, reasons) for part, of_part in listed.items()}

    @property
    def remarks(self) -> list[str]:
        """A sentence about pictures that are read smaller than they are, where there are any."""
        reduced = [file.name for file, known in self._known.items() if known.reduced]
        if not reduced:
            return []
        return [f"Too large to be read whole, and read smaller: {some(reduced)}."]

    def _usable(self, listed: Listed, reasons: Reasons) -> Listed:
        is_readable = np.array([not self._known[file].problem for file in listed.files], bool)
        listed = listed.only(is_readable)
        is_first = np.zeros(len(listed.ids), bool)
        is_first[np.unique(np.array(listed.ids), return_index=True)[1]] = True
        reasons.add(SAME_NAME, *(file.name for file in listed.only(~is_first).files))
        return listed.only(is_first)

    def check_training(self) -> None:
        """UserError unless two classes are left to train on; that of a picture which cannot be
        read, where there is one.
        """
        if len(set(self.listed["train"].labels)) >= 2:
            return
        if self._damaged:
            PictureFiles([self._damaged[0].file])[0]
        raise UserError("There are pictures for training of no two classes.")

    def hold_out(self) -> None:
        """Make a fifth of each class of the training files the test files."""
        training = self.listed["train"]
        is_held_out = held_out_fifth(np.array(training.labels), training.ids)
        self.listed["train"] = training.only(~is_held_out)
        self.listed["test"] = training.only(is_held_out)

    def picture_size(self) -> tuple[int, int, int]:
        """(3, H, W): the median height and width of the training pictures, at most LARGEST_SIDE."""
        sizes = [
            (self._known[file].height, self._known[file].width)
            for file in self.listed["train"].files
        ]
        height, width = np.minimum(np.median(sizes, axis=0), LARGEST_SIDE)
        return 3, int(height), int(width)

    def splits(self, size: tuple[int, int, int] | None = None) -> dict[str, Split]:
        """The Splits that have files. size: (H, W, 3), where all files are known to be of it."""
        levels = self._levels()
        return {
            part: Split(
                PictureFiles([file.file for file in listed.files], size, levels=levels),
                np.array(listed.labels, np.int64),
                np.array(listed.ids),
                np.array([self._digest(file) for file in listed.files], np.uint64),
            )
            for part in PARTS
            if (listed := self.listed.get(part, Listed())).files
        }

    def _digest(self, file: Found) -> int:
        return int(self._known[file].digest[:16], 16)

    def _levels(self) -> tuple[float, float] | None:
        """The least and the greatest grey of the training pictures of more than 8 bits, which is
        the one scale of all; None where there are none.
        """
        known = [self._known[file] for file in self.listed["train"].files]
        lows = [of_file.low for of_file in known if of_file.low is not None]
        highs = [of_file.high for of_file in known if of_file.high is not None]
        return (min(lows), max(highs)) if lows and highs else None

    def are_all_of(self, height: int, width: int) -> bool:
        """Whether all files that can be read are of this size."""
        return {
            (known.height, known.width) for known in self._known.values() if not known.problem
        } == {(height, width)}


def _statistics(split: Split, size: tuple[int, int, int]) -> tuple[list[float], list[float]]:
    """Mean and deviation by channel, of some pictures."""
    image_numbers = np.random.default_rng(0).permutation(len(split))[:STATISTICS_IMAGES]
    return channel_statistics(split.take(image_numbers).images(size))
