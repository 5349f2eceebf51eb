"""A folder for each class: ROOT/NAME/{train,test}/CLASS/*.png, or ROOT/NAME/CLASS/*.png, of which a
fifth is then held out.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vizlib.datasets import Dataset, Split, channel_statistics, folders_below, hold_out, register
from vizlib.datasets.picture_files import ENDINGS, PictureFiles
from vizlib.errors import UserError

STATISTICS_IMAGES = 2000  # enough for a mean and a deviation to three digits
LARGEST_SIDE = 224


def class_folders(folder: Path) -> list[Path]:
    """The folders directly below, in order, that hold pictures."""
    below = sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
    )
    return [
        path for path in below if any(file.suffix.lower() in ENDINGS for file in path.iterdir())
    ]


def _parts(folder: Path) -> dict[str, Path]:
    """The split folders there are, by name; the folder itself under "" where classes lie directly
    in it.
    """
    parts = {
        part: folder / part
        for part in ("train", "val", "test")
        if (folder / part).is_dir() and class_folders(folder / part)
    }
    if "train" in parts and "test" in parts:
        return parts
    listed = (folder / "train_img.csv").is_file()  # then the folders are no classes
    return {"": folder} if len(class_folders(folder)) >= 2 and not listed else {}


def find_folders(root: Path) -> list[str]:
    """Of the folders below `root` those that hold class folders, as "folder:NAME"."""
    return [f"folder:{path.name}" for path in folders_below(root, _parts) if path.name != "cifar10"]


def read_split(part: Path, class_names: list[str], id_prefix: str) -> Split:
    """All pictures of one split folder, class by class."""
    paths, labels = [], []
    for label, class_name in enumerate(class_names):
        files = sorted(
            file for file in (part / class_name).glob("*") if file.suffix.lower() in ENDINGS
        )
        paths += files
        labels += [label] * len(files)
    ids = np.array([f"{id_prefix}{path.parent.name}/{path.name}" for path in paths])
    return Split(PictureFiles(paths), np.array(labels, np.int64), ids)


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
    name: str, class_names: list[str], splits: dict[str, Split], note: str, ordered: bool = False
) -> Dataset:
    """The Dataset of these splits, with its size and pixel statistics measured on some training
    pictures.
    """
    size = picture_size(splits["train"])
    image_numbers = np.random.default_rng(0).permutation(len(splits["train"]))[:STATISTICS_IMAGES]
    mean, std = channel_statistics(splits["train"].take(image_numbers).images(size))
    return Dataset(name, class_names, size, mean, std, splits, note, ordered)


def _check_classes(folder: Path, parts: dict[str, Path], class_names: list[str]) -> None:
    """UserError for a split with a class that the training split lacks."""
    for part, path in parts.items():
        strange = sorted({below.name for below in class_folders(path)} - set(class_names))
        if strange:
            raise UserError(
                f"{folder.name}/{part} has the class {strange[0]!r}, which "
                f"{folder.name}/train lacks: the same class folders are needed in both."
            )


@register(
    "folder",
    find=find_folders,
    missing="Put pictures into DATA/NAME/CLASS/, or DATA/NAME/train/CLASS/ and "
    "DATA/NAME/test/CLASS/, where DATA is CONVSCOPE_DATA or data/.",
)
def read_folders(name: str, root: Path) -> Dataset:
    """The classes are the folders of the training split, in order. UserError where another split
    has a class that it lacks.
    """
    folder = root / name.partition(":")[2]
    parts = _parts(folder)
    class_names = [path.name for path in class_folders(next(iter(parts.values())))]
    _check_classes(folder, parts, class_names)
    splits = {
        part: read_split(path, class_names, f"{part}/" if part else "")
        for part, path in parts.items()
    }
    note = f"{folder.name}, class folders"
    if "" in splits:
        everything = splits.pop("")
        splits["train"], splits["test"] = hold_out(everything, len(everything) // 5, seed=0)
        note += ", a fifth held out by seed 0"
    return describe(name, class_names, splits, note)
