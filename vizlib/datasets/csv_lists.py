"""A folder of pictures with four headerless one-column lists: train_img.csv, train_label.csv,
test_img.csv, test_label.csv.

The layout of the diabetic-retinopathy homework. The lists have no header: reading them with one
loses the first picture of each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vizlib.datasets import Dataset, folders_below
from vizlib.datasets.csv_tables import LABEL_COLUMNS, PICTURE_COLUMNS
from vizlib.datasets.delimited import rows_of
from vizlib.datasets.labels import classes_of, is_number
from vizlib.datasets.layouts import unwrapped
from vizlib.datasets.matching import NOT_HERE, Pictures, Rows, matched
from vizlib.datasets.taking import Listed, check_classes, dataset_of
from vizlib.datasets.walking import Reasons, Walk
from vizlib.errors import UserError

LISTS = ("train_img.csv", "train_label.csv", "test_img.csv", "test_label.csv")


def find_lists(root: Path) -> list[str]:
    """Of the folders below `root` those with all four lists, as "csv:FOLDER"."""
    return [f"csv:{path.name}" for path in folders_below(root, has_lists)]


def has_lists(folder: Path) -> bool:
    """Whether the four lists lie in a folder, or in one that an archive wrapped around them."""
    top = unwrapped(folder)
    return all((top / name).is_file() for name in LISTS)


def _column(path: Path) -> list[str]:
    """The one column of a list, an empty text for each blank line but the last ones. UserError,
    naming it, for a second column.
    """
    rows = rows_of(path)
    for number, row in enumerate(rows, 1):
        if len(row) > 1:
            raise UserError(
                f"{path.name} has a second column, {row[1][:40]!r} in line {number}: the lists "
                "have one column and no header."
            )
    values = [row[0] if row else "" for row in rows]
    while values and not values[-1]:
        values.pop()
    return values


def labels_of(path: Path) -> np.ndarray:
    """The labels in a list, int64 (N,). UserError for anything but whole numbers from 0 to 9999."""
    labels = [label for label in _column(path) if label]
    if not all(map(is_number, labels)):
        raise UserError(f"{path.name} holds what are no whole numbers from 0 to 9999.")
    return np.array([int(label) for label in labels], np.int64)


def _rows(top: Path, part: str) -> Rows:
    """The names and labels of both lists of a split, line by line. UserError where they do not fit
    one another.
    """
    names, labels = _column(top / f"{part}_img.csv"), _column(top / f"{part}_label.csv")
    if len(names) == len(labels):
        for number, (name, label) in enumerate(zip(names, labels, strict=True), 1):
            if bool(name) != bool(label):
                raise UserError(
                    f"Line {number} is blank in one of {part}_img.csv and {part}_label.csv, and "
                    "not in the other."
                )
    names, labels = [name for name in names if name], [label for label in labels if label]
    if len(names) != len(labels):
        raise UserError(
            f"{part}_img.csv has {len(names)} rows and {part}_label.csv {len(labels)}: "
            "the same number is needed."
        )
    if names and names[0].lower() in PICTURE_COLUMNS and labels[0].lower() in LABEL_COLUMNS:
        raise UserError(
            f"{part}_img.csv and {part}_label.csv begin with {names[0][:40]!r} and "
            f"{labels[0][:40]!r}: the lists have no header."
        )
    return list(zip(names, labels, strict=True))


class _Lists:
    """The four lists of a folder, read and matched with its pictures. UserError for what does not
    fit.
    """

    class_names: list[str]
    are_numbers: bool
    listed: dict[str, Listed]
    reasons: Reasons

    def __init__(self, folder: Path) -> None:
        top = unwrapped(folder)
        rows = {part: _rows(top, part) for part in ("train", "test")}
        labels = {f"{part}_label.csv": [label for _, label in rows[part]] for part in rows}
        self.class_names, self.are_numbers = classes_of(labels)
        check_classes(self.class_names)
        walk = Walk(top, used=LISTS)
        pictures = Pictures(walk.pictures(top))
        self.reasons = walk.reasons
        self.listed = matched(
            rows,
            pictures,
            self.class_names,
            self.reasons,
            id_of=lambda part, name, file: f"{part}/{name}",
        )


def problem_of_lists(folder: Path) -> str:
    """What keeps the lists of a folder from being used, in a sentence; empty where nothing does."""
    try:
        _Lists(folder)
    except UserError as error:
        return str(error)
    return ""


def read_lists(name: str, root: Path) -> Dataset:
    """The listed pictures that are there, anywhere below the folder; labels that are numbers are
    grades. UserError for lists that do not fit, and where no picture of a split is there.
    """
    folder = root / name.partition(":")[2]
    lists = _Lists(folder)
    if not all(listed.files for listed in lists.listed.values()):
        raise UserError(
            f"None of the pictures that {folder.name}'s lists name is there for training or "
            "for testing: they are looked for anywhere below the folder, by name, with or without "
            "an ending."
        )
    lost = len(lists.reasons.names.get(NOT_HERE, []))
    note = f"{folder.name}, headerless lists" + (
        f"; {lost} listed pictures are not on this machine" if lost else ""
    )
    return dataset_of(
        name,
        folder,
        lists.class_names,
        lists.listed,
        lists.reasons,
        note,
        ordered=lists.are_numbers,
    )
