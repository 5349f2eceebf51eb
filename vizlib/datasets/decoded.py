"""Pictures decoded once: as a network takes them, in DATA/.convscope/NAME, for the next start.

A file there is of the very pictures, their sizes and times of change, and of the network's size:
one that was changed is decoded anew.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vizlib.datasets.at_once import with_each
from vizlib.datasets.places import kept_beside
from vizlib.files import put_in_place

if TYPE_CHECKING:
    from vizlib.datasets import Pictures
    from vizlib.datasets.picture_files import PictureFiles

FEWEST = 1000  # pictures that are worth it
MOST_BYTES = 4_000_000_000  # of all that is kept, the oldest goes first
SHARE_OF_FREE = 0.1  # of the disk


def fitted(
    pictures: PictureFiles, image_size: Sequence[int], root: Path, *, whole: bool
) -> np.ndarray:
    """All pictures as a network gets them before normalisation, uint8 (N, C, H, W), from what is
    kept below a data root, or decoded and kept there where there is room. whole: as `images.fit`
    takes it. UserError for a picture that cannot be read.
    """
    path = _place(pictures, image_size, whole, root) if len(pictures) >= FEWEST else None
    kept = path and _kept(path, (len(pictures), *image_size))
    if kept is not None:
        return kept
    images = decode(pictures, image_size, _some_sizes(pictures), whole=whole)
    if path is not None:
        _keep(path, images, root)
    return images


def decode(
    pictures: Pictures, image_size: Sequence[int], sizes: Sequence[int] = (), *, whole: bool
) -> np.ndarray:
    """All pictures as a network gets them before normalisation, uint8 (N, C, H, W). sizes: as
    `with_each` takes them.
    """
    from vizlib.images import fit

    images = np.empty((len(pictures), *image_size), np.uint8)

    def take(number: int) -> None:
        images[number] = fit(pictures[number], image_size, whole=whole).transpose(2, 0, 1)

    for _ in with_each(take, range(len(pictures)), sizes):
        pass
    return images


def _place(
    pictures: PictureFiles, image_size: Sequence[int], whole: bool, root: Path
) -> Path | None:
    """Where these pictures are kept in this size; None for those that lie elsewhere, or are gone,
    which reading them says.
    """
    try:
        folder = root / Path(pictures.paths[0]).relative_to(root).parts[0]
        return kept_beside(folder) / f"{_state(pictures, image_size, whole)}.npy"
    except (OSError, ValueError):
        return None


def _state(pictures: PictureFiles, image_size: Sequence[int], whole: bool) -> str:
    """What tells these pictures, fitted so, from all others. OSError where one is gone."""
    told = hashlib.blake2b(digest_size=16)
    told.update(repr((tuple(image_size), whole, pictures.levels)).encode())
    for path in pictures.paths:
        known = os.stat(path)
        told.update(os.fsencode(path) + b"\0")
        told.update(f"{known.st_size} {known.st_mtime_ns}".encode())
    return told.hexdigest()


def _kept(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array in a file, of which only what is used is read, and changes stay here; None if there
    is none, or it is no such array.
    """
    try:
        images = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = images.shape == shape and images.dtype == np.uint8
    return images if fits else None


def _some_sizes(pictures: PictureFiles) -> list[int]:
    """The bytes of some of the files; none where they cannot be looked at, which reading says."""
    try:
        return [os.stat(path).st_size for path in pictures.paths[:: len(pictures) // 50 + 1]]
    except OSError:
        return []


def _keep(path: Path, images: np.ndarray, root: Path) -> None:
    """Write the array where there is room for it; nothing is written where that is not possible."""
    unfinished = path.with_name(f"{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if images.nbytes > SHARE_OF_FREE * shutil.disk_usage(path.parent).free:
            return
        _make_room(root, images.nbytes)
        with open(unfinished, "wb") as file:
            np.save(file, images)
        put_in_place(unfinished, path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _make_room(root: Path, needed: int) -> None:
    """Remove the oldest files until so many bytes more are within MOST_BYTES."""
    files = sorted(root.glob(".convscope/*/*.npy"), key=lambda file: file.stat().st_mtime)
    total = needed + sum(file.stat().st_size for file in files)
    for file in files:
        if total <= MOST_BYTES:
            return
        total -= file.stat().st_size
        file.unlink(missing_ok=True)
