"""Pictures that occur twice in a data set: in two splits, or with two labels; to the byte, and
nearly.

Nearly: by a difference hash (Krawetz, "Kind of like that", 2013) of 128 bits, the signs of the
steps to the right and downwards in a picture of 9 x 9 greys, and then by the greys themselves.
Written here: the packages for it compare all pairs, or bring SciPy and PyWavelets for their other
hashes. Pairs are looked for among those alone that share one of BANDS parts of the hash to the bit:
two hashes that differ in fewer bits than there are parts share one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image

from vizlib.datasets import Dataset, Split

SIDE = 9
BANDS = 8
MOST_BITS = BANDS - 1  # that nearly equal pictures differ in, of 128
MOST_GREYS = 6.0  # mean difference of the greys, each picture's mean taken off
FLAT = 4.0  # a picture of less deviation has no shape to compare
MOST_ALIKE = 100  # of one part of the hash: more are compared with the next so many alone
MOST_PAIRS = 100_000  # with each part of the hash: a set with more is one picture many times
CHUNK = 256  # pictures between two words on the progress


@dataclass(frozen=True)
class Fingerprints:
    """What tells the pictures of a data set apart. parts, image_numbers, labels: (N,), of each
    picture its split, its number there and its class; image_ids: (N,). digests: uint64 (N,) of its
    bytes. hashes: uint8 (N, 16). greys: uint8 (N, 9, 9).
    """

    parts: np.ndarray
    image_numbers: np.ndarray
    labels: np.ndarray
    image_ids: np.ndarray
    digests: np.ndarray
    hashes: np.ndarray
    greys: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """Pictures that are the same, or nearly: int (P, 2), numbers of Fingerprints, the first the
    smaller. same: to the byte; of more than two the neighbours alone. near: not to the byte.
    is_whole: whether nothing was passed over.
    """

    same: np.ndarray
    near: np.ndarray
    is_whole: bool


def fingerprints(dataset: Dataset, say: Callable[[float], None] | None = None) -> Fingerprints:
    """Opens each picture of the data set once. say(share) is told the progress in [0, 1]."""
    total = sum(map(len, dataset.splits.values()))
    greys = np.zeros((total, SIDE, SIDE), np.uint8)
    digests = np.zeros(total, np.uint64)
    number = 0
    for split in dataset.splits.values():
        start = number
        for image_number in range(len(split)):
            picture = split.pictures[image_number]
            greys[number] = _greys(picture)
            if split.digests is None:
                digests[number] = _digest(picture)
            number += 1
            if say is not None and number % CHUNK == 0:
                say(number / total)
        if split.digests is not None:
            digests[start:number] = split.digests
    return Fingerprints(**_columns(dataset), digests=digests, hashes=_hashes(greys), greys=greys)


def _columns(dataset: Dataset) -> dict[str, np.ndarray]:
    splits = dataset.splits
    return {
        "parts": np.concatenate([np.full(len(split), part) for part, split in splits.items()]),
        "image_numbers": np.concatenate([np.arange(len(split)) for split in splits.values()]),
        "labels": np.concatenate([split.labels for split in splits.values()]),
        "image_ids": np.concatenate([_ids(split) for split in splits.values()]),
    }


def _ids(split: Split) -> np.ndarray:
    return np.asarray(split.image_ids, str)


def _greys(picture: np.ndarray) -> np.ndarray:
    """uint8 (9, 9) of a picture uint8 (H, W, 1 or 3), of any proportions."""
    small = Image.fromarray(np.squeeze(picture, 2) if picture.shape[2] == 1 else picture)
    return np.asarray(small.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def _digest(picture: np.ndarray) -> int:
    data = np.ascontiguousarray(picture).data
    shape = repr(picture.shape).encode()
    digest = hashlib.blake2b(data, digest_size=8, person=shape[:16]).digest()
    return int.from_bytes(digest, "big")


def _hashes(greys: np.ndarray) -> np.ndarray:
    """uint8 (N, 16): 64 signs of steps to the right, 64 of steps downwards."""
    wide = greys.astype(np.int16)
    right = np.diff(wide, axis=2)[:, : SIDE - 1] > 0
    down = np.diff(wide, axis=1)[:, :, : SIDE - 1] > 0
    signs = np.concatenate([right, down], axis=1).reshape(len(greys), -1)
    return np.packbits(signs, axis=1)


def pairs(prints: Fingerprints) -> Pairs:
    """The pictures that are the same, and nearly, in time and memory that grow with N log N where
    few hashes are alike.
    """
    same = _neighbours(prints.digests)
    # of the same bytes one stands for all
    _, first = np.unique(prints.digests, return_index=True)
    shaped = first[prints.greys[first].reshape(len(first), -1).std(axis=1) >= FLAT]
    near, is_whole = _near(prints, np.sort(shaped))
    return Pairs(same, near, is_whole)


def _neighbours(keys: np.ndarray) -> np.ndarray:
    """int (P, 2): of equal keys each with the next one."""
    order = np.argsort(keys, kind="stable")
    equal = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
    return np.stack([order[equal], order[equal + 1]], axis=1)


def _near(prints: Fingerprints, numbers: np.ndarray) -> tuple[np.ndarray, bool]:
    """(int (P, 2), whether nothing was passed over) among the pictures of these numbers."""
    kept = [np.zeros((0, 2), np.int64)]
    is_whole = True
    bands = prints.hashes[numbers].view(np.uint16)
    for band in range(BANDS):
        order = numbers[np.argsort(bands[:, band], kind="stable")]
        room = MOST_PAIRS
        for group in _groups(np.sort(bands[:, band]), order):
            is_whole &= len(group) <= MOST_ALIKE
            for alike in _near_in(prints, group):
                kept.append(alike)
                room -= len(alike)
            if room < 0:
                is_whole = False
                break
    found = np.unique(np.sort(np.concatenate(kept), axis=1), axis=0)
    return found, is_whole


def _groups(keys: np.ndarray, numbers: np.ndarray) -> Iterator[np.ndarray]:
    """The numbers whose keys, which are sorted, are equal: at least two each."""
    ends = [0, *(np.flatnonzero(np.diff(keys)) + 1), len(keys)]
    for start, end in pairwise(ends):
        if end - start > 1:
            yield numbers[start:end]


def _near_in(prints: Fingerprints, group: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs of a group that are nearly the same; each is compared with the next MOST_ALIKE."""
    # alike pictures lie beside one another, should the group be too large to compare them all
    group = group[np.lexsort(prints.hashes[group].T)]
    for distance in range(1, min(len(group), MOST_ALIKE)):
        left, right = group[:-distance], group[distance:]
        differing = prints.hashes[left] ^ prints.hashes[right]
        alike = np.bitwise_count(differing).sum(axis=1) <= MOST_BITS
        if alike.any():
            left, right = left[alike], right[alike]
            close = _difference(prints.greys[left], prints.greys[right]) <= MOST_GREYS
            yield np.stack([left[close], right[close]], axis=1)


def _difference(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The mean difference of greys (P, 9, 9), brightness aside: (P,)."""
    difference = left.astype(np.float32) - right
    return np.abs(difference - difference.mean(axis=(1, 2), keepdims=True)).mean(axis=(1, 2))


def across_splits(prints: Fingerprints, found: np.ndarray) -> np.ndarray:
    """Of pairs (P, 2) those whose pictures lie in two splits."""
    return found[prints.parts[found[:, 0]] != prints.parts[found[:, 1]]]


def contradicting(prints: Fingerprints, found: np.ndarray) -> np.ndarray:
    """Of pairs (P, 2) those whose pictures have two labels."""
    return found[prints.labels[found[:, 0]] != prints.labels[found[:, 1]]]
