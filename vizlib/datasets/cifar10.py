"""CIFAR-10: 32x32 colour pictures of ten classes, from torchvision's files or from class folders.

A picture's id is its row in the official files ("train/45012", "test/7"), so that predictions find
their pictures in either copy. Krizhevsky, Learning Multiple Layers of Features from Tiny Images,
2009.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vizlib.datasets import Dataset, Split, register
from vizlib.datasets.picture_files import PictureFiles
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
MISSING = (
    "Get it with `python -m vizlib download cifar10` (170 MB), or put it as "
    "DATA/cifar10/{train,test}/CLASS/*.png (DATA is CONVSCOPE_DATA or data/)."
)


def _official(root: Path) -> Path:
    return root / "cifar-10-batches-py"


def find_cifar10(root: Path) -> list[str]:
    """Its name where either copy of it lies below `root`; empty where none does."""
    folders = all(
        (root / "cifar10" / part / name).is_dir()
        for part in ("train", "test")
        for name in CLASS_NAMES
    )
    return ["cifar10"] if folders or _official(root).is_dir() else []


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


def _read_folder(folder: Path) -> tuple[list[Path], np.ndarray]:
    """One split of class folders, in the order of the file names, which are rows where they are
    numbers.
    """
    files = [
        (file, label)
        for label, name in enumerate(CLASS_NAMES)
        for file in (folder / name).glob("*.png")
    ]
    files.sort(key=lambda pair: pair[0].stem)
    return [file for file, _ in files], np.array([label for _, label in files], np.int64)


def _read_folders(root: Path) -> tuple[dict[str, Split], str]:
    splits, rows = {}, {}
    for part in ("train", "test"):
        files, labels = _read_folder(root / "cifar10" / part)
        rows[part] = [int(file.stem) if file.stem.isdecimal() else -1 for file in files]
        # Where train/ and test/ share one numbering, test/ was taken from the official training
        # rows.
        of_training = (
            part == "train" or min(rows["test"], default=-1) > max(rows["train"], default=-1) > 0
        )
        # else the numbers begin anew in each class
        official = min(rows[part], default=-1) >= 0 and len(set(rows[part])) == len(files)
        names = rows[part] if official else [f"{file.parent.name}/{file.stem}" for file in files]
        ids = np.array(
            [f"{'train' if of_training and official else part}/{name}" for name in names]
        )
        splits[part] = Split(PictureFiles(files, (32, 32, 3)), labels, ids)
    return splits, _note(splits, rows)


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
    missing=MISSING,
    download=download,
    download_bytes=ARCHIVE_BYTES,
)
def read_cifar10(name: str, root: Path) -> Dataset:
    """The official files where they are there, else class folders. UserError for damaged ones."""
    splits, note = _read_official(root) if _official(root).is_dir() else _read_folders(root)
    return Dataset(name, CLASS_NAMES, (3, 32, 32), MEAN, STD, splits, note)
