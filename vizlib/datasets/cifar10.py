"""CIFAR-10: 32x32 colour pictures of ten classes, from torchvision's files or from class folders.

A picture's id is its row in the official files ("train/45012", "test/7"), so that predictions find
their pictures in either copy. Krizhevsky, Learning Multiple Layers of Features from Tiny Images,
2009.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vizlib.datasets import Dataset, LeftOut, Split, register
from vizlib.datasets.by_class import some
from vizlib.datasets.taking import Listed, Taken
from vizlib.datasets.walking import Reasons, Walk, holds_pictures
from vizlib.errors import UserError

CLASS_NAMES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]
# of the 50,000 official training pictures
MEAN, STD = ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])
SHORT = {"plane": "airplane", "car": "automobile"}  # as PyTorch's tutorial calls them
MISSING = (
    "Get it with `python -m vizlib download cifar10` (170 MB), or put it as "
    "DATA/cifar10/{train,test}/CLASS/*.png (DATA is CONVSCOPE_DATA or data/)."
)


def _official(root: Path) -> Path:
    return root / "cifar-10-batches-py"


def find_cifar10(root: Path) -> list[str]:
    """Its name where either copy of it lies below `root`; empty where none does."""
    is_whole = (root / "cifar10").is_dir() and not _lacking(root)
    return ["cifar10"] if is_whole or _official(root).is_dir() else []


def _class_folders(root: Path, part: str) -> dict[str, list[Path]]:
    """The folders of each class in a split of class folders; a class may have its short name."""
    folders: dict[str, list[Path]] = {}
    for path in Walk(root / "cifar10").folders(root / "cifar10" / part):
        name = SHORT.get(path.name, path.name)
        if name in CLASS_NAMES:
            folders.setdefault(name, []).append(path)
    return folders


def _lacking(root: Path) -> list[str]:
    """The class folders that are not there."""
    return [
        f"{part}/{name}"
        for part in ("train", "test")
        for name in CLASS_NAMES
        if not any(map(holds_pictures, _class_folders(root, part).get(name, [])))
    ]


def _problem(name: str, root: Path) -> str:
    """That the folder of that name is only a part of it, in a sentence."""
    if find_cifar10(root) or not (root / "cifar10").is_dir():
        return ""
    missing = _lacking(root)
    return (
        f"its folder has no pictures in {some(missing)} ({len(missing)} of 20 class folders), so "
        "it is a set of its own, 'folder:cifar10', if of anything."
    )


def _read_official(root: Path) -> tuple[dict[str, Split], str]:
    from torchvision.datasets import CIFAR10  # checks the files' MD5 before it unpickles them

    splits = {}
    for part in ("train", "test"):
        try:
            source = CIFAR10(str(root), train=part == "train", download=False)
        except RuntimeError as error:
            raise UserError(
                f"The files in {_official(root)} are incomplete or damaged. Remove that "
                f"folder, then: {MISSING}"
            ) from error
        ids = np.array([f"{part}/{row}" for row in range(len(source.data))])
        splits[part] = Split(source.data, np.array(source.targets, np.int64), ids)
    return splits, "CIFAR-10, official files: 50,000 training and 10,000 test images"


def _read_folder(root: Path, part: str, reasons: Reasons) -> Listed:
    """One split of class folders, in the order of the file names, which are rows where they are
    numbers.
    """
    walk = Walk(root / "cifar10")
    files = [
        (file, label)
        for label, name in enumerate(CLASS_NAMES)
        for folder in _class_folders(root, part).get(name, [])
        for file in walk.pictures(folder)
    ]
    files.sort(key=lambda pair: pair[0].stem)
    for reason, names in walk.reasons.names.items():
        reasons.add(reason, *names)
    return Listed([file for file, _ in files], [label for _, label in files])


def _read_folders(name: str, root: Path) -> Dataset:
    listed, rows, reasons = {}, {}, Reasons()
    for part in ("train", "test"):
        files = listed[part] = _read_folder(root, part, reasons)
        rows[part] = _rows(files)
        # Where train/ and test/ share one numbering, test/ was taken from the official training
        # rows.
        of_training = (
            part == "train" or min(rows["test"], default=-1) > max(rows["train"], default=-1) > 0
        )
        files.ids = _ids(files, rows[part], part, of_training)
    taken = Taken(root / "cifar10", listed, reasons)
    splits = taken.splits(size=(32, 32, 3) if taken.are_all_of(32, 32) else None)
    is_official = _are_official(rows["train"]) and _are_official(rows["test"])
    return _dataset(name, splits, _note(splits, rows), is_official, reasons.left_out)


def _rows(files: Listed) -> list[int]:
    """The official rows that the files' names are, -1 for each that is no number."""
    stems = [file.stem for file in files.files]
    return [int(stem) if stem.isascii() and stem.isdecimal() else -1 for stem in stems]


def _are_official(rows: list[int]) -> bool:
    """Whether numbers are rows; else they begin anew in each class."""
    return min(rows, default=-1) >= 0 and len(set(rows)) == len(rows)


def _ids(files: Listed, rows: list[int], part: str, of_training: bool) -> list[str]:
    if _are_official(rows):
        return [f"{'train' if of_training else part}/{row}" for row in rows]
    pairs = zip(files.files, files.labels, strict=True)
    return [f"{part}/{CLASS_NAMES[label]}/{file.stem}" for file, label in pairs]


def _dataset(
    name: str,
    splits: dict[str, Split],
    note: str,
    is_official: bool,
    left_out: Sequence[LeftOut] = (),
) -> Dataset:
    return Dataset(
        name,
        CLASS_NAMES,
        (3, 32, 32),
        MEAN,
        STD,
        splits,
        note,
        official=is_official,
        left_out=list(left_out),
    )


def _note(splits: dict[str, Split], rows: dict[str, list[int]]) -> str:
    """Which copy this is, of the rows that its files are named by."""
    if splits["test"].image_ids[0].startswith("train/"):
        return (
            f"{len(rows['test']):,} held-out images of the CIFAR-10 training set (rows "
            f"{min(rows['test']):,} to {max(rows['test']):,}), the other {len(rows['train']):,} "
            "for training"
        )
    return (
        f"CIFAR-10 as class folders: {len(rows['train']):,} training and "
        f"{len(rows['test']):,} test images"
    )


ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE_BYTES, ARCHIVE_MD5 = 170_498_071, "c58f30108f718f92721af3b95e74349a"


def download(root: Path, say: Callable[[float], object] = lambda share: None) -> None:
    """Fetch the official files into `root`; say(share) tells the progress in [0, 1]. UserError if
    the host cannot be reached.

    Written to a temporary file first, its checksum compared before anything is unpacked, so that a
    broken download leaves nothing.
    """
    import tempfile

    root.mkdir(parents=True, exist_ok=True)
    # of its own, since two may download at once
    handle, partial = tempfile.mkstemp(suffix=".tmp", dir=root)
    try:
        with open(handle, "wb") as target:
            checksum = _fetch(target, say)
        if checksum != ARCHIVE_MD5:
            raise UserError("The download of CIFAR-10 was damaged on its way: try again.")
        _unpack(Path(partial), root)
    except OSError as error:
        raise UserError(
            f"CIFAR-10 could not be downloaded ({error}). Without a network, put it into "
            f"{root}/cifar10/train/CLASS and test/CLASS."
        ) from error
    finally:
        Path(partial).unlink(missing_ok=True)


def _fetch(target: BinaryIO, say: Callable[[float], object]) -> str:
    """Write the archive into an open file. Returns its MD5."""
    import hashlib
    import urllib.request

    digest, done = hashlib.md5(usedforsecurity=False), 0
    with urllib.request.urlopen(ADDRESS, timeout=20) as source:
        while block := source.read(1 << 18):
            target.write(block)
            digest.update(block)
            done += len(block)
            say(min(1.0, done / ARCHIVE_BYTES))
    return digest.hexdigest()


def _unpack(archive_path: Path, root: Path) -> None:
    """The files appear in `root` whole or not at all."""
    import tarfile
    import tempfile

    with tarfile.open(archive_path) as archive, tempfile.TemporaryDirectory(dir=root) as unpacked:
        archive.extractall(unpacked, filter="data")
        if not _official(root).exists():
            _official(Path(unpacked)).rename(_official(root))


@register(
    "cifar10",
    find=find_cifar10,
    problem=_problem,
    missing=MISSING,
    download=download,
    download_bytes=ARCHIVE_BYTES,
)
def read_cifar10(name: str, root: Path) -> Dataset:
    """The official files where they are there, else class folders. UserError for damaged ones."""
    if _official(root).is_dir():
        return _dataset(name, *_read_official(root), is_official=True)
    return _read_folders(name, root)
