"""Five classes with the label shares of the retinopathy homework, 73.5 % of both splits class 0:
where a useless classifier has an accuracy of 0.735.

Thinned from sets that are more even, by a fixed rule, so anybody who has those has these:
CIFAR-10's first five classes, and graded pictures in headerless lists, which stand in for the
photographs of the retina.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path

import numpy as np

from vizlib.datasets import Dataset, register
from vizlib.datasets.cifar10 import MISSING, download, find_cifar10, read_cifar10
from vizlib.datasets.csv_lists import (
    LISTS,
    find_lists,
    labels_of,
    read_lists,
)
from vizlib.datasets.layouts import unwrapped
from vizlib.datasets.listed import problem_of_listed
from vizlib.errors import UserError

# training labels 0 to 4 of the homework's lists
RETINOPATHY_COUNTS = np.array([20655, 1954, 4209, 698, 581])
SHARES = "in the label shares of the retinopathy homework, taken from"


def thinned_counts(labels: np.ndarray) -> np.ndarray:
    """How many of each of the first five classes keep the shares when class 0 is whole."""
    return np.round(RETINOPATHY_COUNTS * (np.sum(labels == 0) / RETINOPATHY_COUNTS[0])).astype(int)


def imbalanced_image_numbers(labels: np.ndarray) -> np.ndarray:
    """Those of the first five classes, the first pictures of each, as many as keep the shares."""
    return np.sort(
        np.concatenate(
            [
                np.flatnonzero(labels == label)[:count]
                for label, count in enumerate(thinned_counts(labels))
            ]
        )
    )


def _thinned(source: Dataset, name: str, note: str) -> Dataset:
    splits = {
        part: split.take(imbalanced_image_numbers(split.labels))
        for part, split in source.splits.items()
    }
    return dataclasses.replace(
        source,
        name=name,
        class_names=source.class_names[:5],
        splits=splits,
        note=note,
        elsewhere=source.splits,
    )


@register(
    "cifar10-imbalanced",
    find=lambda root: ["cifar10-imbalanced"] if find_cifar10(root) else [],
    missing=MISSING,
    download=download,
)
def read_imbalanced(name: str, root: Path) -> Dataset:
    """CIFAR-10's first five classes, thinned."""
    source = read_cifar10("cifar10", root)
    return _thinned(source, name, f"five classes of CIFAR-10 {SHARES}: {source.note}")


def find_imbalanced_lists(root: Path) -> list[str]:
    """Of the sets in headerless lists those that have enough pictures of each of five grades."""
    folders = {
        name.replace("csv:", "csv-imbalanced:"): unwrapped(root / name.partition(":")[2])
        for name in find_lists(root)
    }
    return [
        name
        for name, folder in folders.items()
        if all(_has_enough_now(folder / file) for file in LISTS if "label" in file)
    ]


def _has_enough_now(path: Path) -> bool:
    state = path.stat()
    return _has_enough(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _has_enough(path: Path, *state: int) -> bool:
    """Read once for each state of the file: data sets are listed often, and lists can be long."""
    try:
        labels = labels_of(path)
    except (UserError, OSError):
        return False
    counts = thinned_counts(labels)
    return bool((counts > 0).all() and (counts <= np.bincount(labels, minlength=5)[:5]).all())


def _problem(name: str, root: Path) -> str:
    """What keeps the lists of a set from being used."""
    return problem_of_listed(name.replace("csv-imbalanced:", "csv:"), root)


@register(
    "csv-imbalanced",
    find=find_imbalanced_lists,
    problem=_problem,
    missing="It needs a set in headerless lists, csv:NAME, with five grades and enough pictures of "
    "each.",
)
def read_imbalanced_lists(name: str, root: Path) -> Dataset:
    """The first five grades of a set in headerless lists, thinned."""
    source = read_lists(name.replace("csv-imbalanced:", "csv:"), root)
    return _thinned(source, name, f"grades {SHARES}: {source.note}")
