"""How folders of classes lie: split folders in any usual spelling, or the class folders alone,
perhaps inside a single folder that an archive was made of.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from vizlib.datasets.walking import Walk, composed, holds_pictures, is_picture, legible

SPELLINGS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
LOOKED_AT = 1000  # files, to say what they are where they are no pictures
MOST_WRAPPERS = 3  # folders around all the others
MOST_CLASSES = 2000  # a matrix of them still fits into memory, and into a picture


@dataclass(frozen=True)
class Layout:
    """Where the classes lie. top: the folder that names are given within. parts: the folders of
    class folders by split; only "" where there are no splits. beside: folders that are neither.
    """

    top: Path
    parts: dict[str, list[Path]]
    beside: list[Path]


def part_of(name: str) -> str | None:
    """The split that a folder, or a cell of a table, names: "train", "val", "test", or None."""
    return SPELLINGS.get(name.strip().lower())


def part_of_file(name: str) -> str | None:
    """The split that a file's or folder's name speaks of, as "train_labels.csv" does, or None."""
    words = re.split(r"[^a-z]+", os.path.splitext(name)[0].lower())
    parts = {SPELLINGS[word] for word in words if word in SPELLINGS}
    return parts.pop() if len(parts) == 1 else None


def unwrapped(folder: Path) -> Path:
    """The folder itself, or the one inside it that an archive wrapped around everything."""
    for _ in range(MOST_WRAPPERS):
        folders, files = Walk(folder).entries(folder)
        if len(folders) != 1 or any(_is_content(file.name) for file in files):
            return folder
        inside = Path(folders[0].path)
        if part_of(inside.name) or not _wraps(inside):
            return folder
        folder = inside
    return folder


def _is_content(name: str) -> bool:
    return is_picture(name) or name.lower().endswith((".csv", ".tsv"))


def _wraps(folder: Path) -> bool:
    """Whether a folder is no class: others lie in it, or lists, but no pictures."""
    folders, files = Walk(folder).entries(folder)
    has_pictures = any(is_picture(file.name) for file in files)
    has_lists = any(_is_content(file.name) for file in files)
    return bool(folders or has_lists) and not has_pictures


def layout_of(folder: Path) -> Layout | None:
    """The Layout of a data set's folder, or None where it holds neither split folders with a
    training part nor two class folders.
    """
    top = unwrapped(folder)
    folders = Walk(top).folders(top)
    parts: dict[str, list[Path]] = {}
    for path in folders:
        part = part_of(path.name)
        if part and _has_class_folder(path):
            parts.setdefault(part, []).append(path)
    split_folders = list(chain(*parts.values()))
    others = [path for path in folders if path not in split_folders]
    if "train" in parts:
        is_enough = _has_two(list(chain(*map(_in, split_folders))))
        return Layout(top, parts, others) if is_enough else None
    return Layout(top, {"": [top]}, split_folders) if _has_two(others) else None


def problem_of_layout(folder: Path) -> str:
    """What a folder of which `layout_of` is None lacks, in a few words."""
    top = unwrapped(folder)
    folders = Walk(top).folders(top)
    parts = [path.name for path in folders if part_of(path.name) and _has_class_folder(path)]
    classes = [path.name for path in folders if holds_pictures(path)]
    if any(part_of(name) == "train" for name in parts):
        return "its training pictures are of one class: two are needed"
    if parts:
        return (
            f"it has a folder {parts[0]!r} and no pictures to train on: a folder 'train' with the "
            "same class folders is missing"
        )
    if classes:
        return f"it has one class folder, {composed(classes[0])!r}: two are needed"
    if holds_pictures(top):
        return "its pictures lie in no class folders, and no list or table says their classes"
    endings = _endings(top)
    return "there are no pictures in it" + (
        f": its files end in {' and '.join(endings)}" if endings else ""
    )


def _endings(folder: Path) -> list[str]:
    """The two commonest endings of the files in and below a folder, of the first few it has."""
    files = (name for _, _, names in os.walk(folder) for name in names if name[0] != ".")
    endings = Counter(os.path.splitext(name)[1].lower() for name in islice(files, LOOKED_AT))
    return [legible(ending) for ending, _ in endings.most_common(2) if ending]


def _in(folder: Path) -> list[Path]:
    return Walk(folder).folders(folder)


def _has_class_folder(folder: Path) -> bool:
    return any(map(holds_pictures, _in(folder)))


def _has_two(folders: Sequence[Path]) -> bool:
    names: set[str] = set()
    for folder in folders:
        if holds_pictures(folder):
            names.add(composed(folder.name))
        if len(names) == 2:
            return True
    return False


def in_order(class_names: Sequence[str]) -> list[str]:
    """Names as a person orders them: whole numbers by their value, all others by their letters."""
    if all(name.isascii() and name.isdecimal() for name in class_names):
        return sorted(class_names, key=lambda name: (int(name), name))
    return sorted(class_names)
