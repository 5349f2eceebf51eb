"""scikit-learn's handwritten digits: 1,797 grey pictures of 8x8, inside the package, no
download.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from vizlib.datasets import Dataset, Split, channel_statistics, hold_out, register
from vizlib.errors import UserError

TEST_IMAGES = 360
COMMON, RARE = 3, 4  # the imbalanced set: the common digit, and how many there are of each other


def _file() -> Path:
    """The file that sklearn.datasets.load_digits reads; importing that module takes longer than
    training on the digits.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise UserError("The digits come with scikit-learn: pip install scikit-learn.")
    return Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"


@register(
    "digits",
    find=lambda root: ["digits"],
    missing="It comes with scikit-learn: pip install scikit-learn.",
)
def read_digits(name: str, root: Path) -> Dataset:
    """All digits, 360 of them held out by seed; `root` is not looked at."""
    train, test = hold_out(_all_digits(), TEST_IMAGES, seed=0)
    note = f"scikit-learn's digits, {TEST_IMAGES} of 1,797 held out by seed 0"
    return _dataset(name, {"train": train, "test": test}, note)


@register(
    "digits-imbalanced",
    find=lambda root: ["digits-imbalanced"],
    missing="It comes with scikit-learn: pip install scikit-learn.",
)
def read_imbalanced_digits(name: str, root: Path) -> Dataset:
    """All threes and a few of each other digit, half of each held out: where a useless classifier
    has an accuracy of 0.72. For showing a class collapse, and mending it, within a minute.
    """
    halves, digits = {}, _all_digits()
    split_in_two = hold_out(digits, len(digits) // 2, seed=0)
    for part, half in zip(("train", "test"), split_in_two, strict=True):
        numbers = [
            np.flatnonzero(half.labels == digit)[: None if digit == COMMON else RARE]
            for digit in range(10)
        ]
        halves[part] = half.take(np.sort(np.concatenate(numbers)))
    note = (
        f"scikit-learn's digits, all {COMMON}s and {RARE} of each other digit to train on, as many "
        "others held out by seed 0"
    )
    return _dataset(name, halves, note)


def _all_digits() -> Split:
    # 64 levels from 0 to 16, and the label
    rows = np.loadtxt(_file(), delimiter=",", dtype=np.uint8)
    pictures = np.round(rows[:, :64].reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    ids = np.array([f"digits/{row}" for row in range(len(pictures))])
    return Split(pictures, rows[:, 64].astype(np.int64), ids)


def _dataset(name: str, splits: dict[str, Split], note: str) -> Dataset:
    mean, std = channel_statistics(splits["train"].images((1, 8, 8)))
    return Dataset(
        name=name,
        class_names=[str(digit) for digit in range(10)],
        image_size=(1, 8, 8),
        mean=mean,
        std=std,
        splits=splits,
        note=note,
        mirrors=False,
    )
