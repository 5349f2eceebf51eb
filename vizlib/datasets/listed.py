"""Sets whose classes stand in files: headerless lists, or tables."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path

from vizlib.datasets import Dataset, register
from vizlib.datasets.csv_lists import LISTS, find_lists, has_lists, problem_of_lists, read_lists
from vizlib.datasets.csv_tables import (
    find_tables,
    problem_of_tables,
    read_tables,
    tables_in,
    tells_the_classes,
)
from vizlib.datasets.layouts import unwrapped
from vizlib.datasets.walking import Walk, is_picture

SETTLED_NS = 2_000_000_000  # since the last change of a folder


def is_told_by_lists(folder: Path) -> bool:
    """Whether lists or a table say the classes of a folder's pictures, so that its folders are no
    classes.
    """
    return has_lists(folder) or tells_the_classes(folder)


def _find(root: Path) -> list[str]:
    """The sets in headerless lists, and those in tables."""
    return sorted([*find_lists(root), *find_tables(root, has_lists)])


def _is_of_lists(name: str, root: Path) -> bool:
    folder = name.partition(":")[2]
    return f"csv:{folder}" in find_lists(root)


def problem_of_listed(name: str, root: Path) -> str:
    """What keeps a set from being used, in a sentence; empty where nothing does. Lists and pictures
    are looked through once for each state of the folder, as far as its own dates tell it.
    """
    if name not in _find(root):
        return ""
    state = _state(root / name.partition(":")[2].partition("/")[0])
    if time.time_ns() - max(state) < SETTLED_NS:  # which may change once more at the same time
        return _problem.__wrapped__(name, root)
    return _problem(name, root, *state)


def _state(folder: Path) -> list[int]:
    """The times at which a folder, what lies directly in it, and a table beside it were changed."""
    top = unwrapped(folder)
    folders, files = Walk(top).entries(top)
    paths = [
        top,
        *tables_in(folder),
        *folders,
        *(file for file in files if not is_picture(file.name)),
    ]
    return [os.stat(path).st_mtime_ns for path in paths]


@lru_cache(maxsize=64)
def _problem(name: str, root: Path, *state: int) -> str:
    if _is_of_lists(name, root):
        return problem_of_lists(root / name.partition(":")[2])
    return problem_of_tables(name, root)


@register(
    "csv",
    find=_find,
    problem=problem_of_listed,
    missing="Put pictures and the lists "
    + ", ".join(LISTS)
    + ", or a table with a header such as image,label, into DATA/NAME/ (DATA is CONVSCOPE_DATA or "
    "data/).",
)
def read_listed(name: str, root: Path) -> Dataset:
    """The listed pictures that are there. UserError for lists or tables that do not fit."""
    return read_lists(name, root) if _is_of_lists(name, root) else read_tables(name, root)
