"""A folder of pictures with four headerless one-column lists: train_img.csv, train_label.csv,
test_img.csv, test_label.csv.

The layout of the diabetic-retinopathy homework. The lists have no header: reading them with one
loses the first picture of each.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from vizlib.datasets import Dataset, Split, folders_below, register
from vizlib.datasets.folders import describe
from vizlib.datasets.picture_files import PictureFiles
from vizlib.errors import UserError

LISTS = ("train_img.csv", "train_label.csv", "test_img.csv", "test_label.csv")


def find_lists(root: Path) -> list[str]:
    """Of the folders below `root` those with all four lists, as "csv:FOLDER"."""
    return [f"csv:{path.name}" for path in folders_below(root, _has_lists)]


def _has_lists(folder: Path) -> bool:
    return all((folder / name).is_file() for name in LISTS)


def _column(path: Path) -> list[str]:
    try:
        # spreadsheets write a mark first, which would lose the first picture
        with open(path, newline="", encoding="utf-8-sig") as file:
            return [row[0].strip() for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path.name} is not a text file in UTF-8: save it again as CSV (UTF-8)."
        ) from error


def labels_of(path: Path) -> np.ndarray:
    """The labels in a list, int64 (N,). UserError for anything but whole numbers from 0 to 9999."""
    labels = _column(path)
    wrong = next((label for label in labels if not (label.isdecimal() and len(label) <= 4)), None)
    if wrong is not None:
        raise UserError(
            f"{path.name} holds {wrong[:40]!r}: only whole numbers from 0 to 9999 are labels. "
            "The lists have no header."
        )
    return np.array([int(label) for label in labels], np.int64)


def read_list(folder: Path, part: str, pictures: dict[str, Path]) -> tuple[Split, int]:
    """The listed pictures that are there, and how many are not."""
    image_names, labels = (
        _column(folder / f"{part}_img.csv"),
        labels_of(folder / f"{part}_label.csv"),
    )
    if len(image_names) != len(labels):
        raise UserError(
            f"{part}_img.csv has {len(image_names)} rows and {part}_label.csv {len(labels)}: "
            "the same number is needed."
        )
    listed = [image_number for image_number, name in enumerate(image_names) if name in pictures]
    ids = np.array([f"{part}/{image_names[image_number]}" for image_number in listed])
    files = PictureFiles([pictures[image_names[image_number]] for image_number in listed])
    return Split(files, labels[listed], ids), len(image_names) - len(listed)


@register(
    "csv",
    find=find_lists,
    missing="Put NAME.jpeg pictures and the lists "
    + ", ".join(LISTS)
    + " into DATA/NAME/ (DATA is CONVSCOPE_DATA or data/).",
)
def read_lists(name: str, root: Path) -> Dataset:
    """The listed pictures that are there, NAME.jpeg anywhere below the folder; labels are grades.
    UserError for lists that do not fit, and where no picture of a split is there.
    """
    folder = root / name.partition(":")[2]
    pictures = {path.stem: path for path in sorted(folder.rglob("*.jpeg"))}
    (train, lost), (test, also_lost) = (
        read_list(folder, part, pictures) for part in ("train", "test")
    )
    if not len(train) or not len(test):
        raise UserError(
            f"None of the pictures that {folder.name}'s lists name is there for training or "
            "for testing: NAME.jpeg files are needed."
        )
    grades = int(max(train.labels.max(), test.labels.max())) + 1
    note = f"{folder.name}, headerless lists" + (
        f"; {lost + also_lost} listed pictures are not on this machine" if lost + also_lost else ""
    )
    return describe(
        name,
        [str(grade) for grade in range(grades)],
        {"train": train, "test": test},
        note,
        ordered=True,
    )
