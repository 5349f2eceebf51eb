"""The fifth of each class that is held out where a data set brings no test pictures, and what
there is to say of classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

SHARE = 5  # one picture in so many is held out


def held_out_fifth(labels: np.ndarray, image_ids: Sequence[str]) -> np.ndarray:
    """Which pictures are held out for testing, bool (N,): of each class a fifth, at least one where
    it has two; of a class of one picture none.

    Those whose ids have the least digests: pictures that come later move few to the other side,
    and none does by chance.
    """
    ranks = np.array([_rank(image_id) for image_id in image_ids], np.uint64)
    is_held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        image_numbers = np.flatnonzero(labels == label)
        count = max(len(image_numbers) // SHARE, int(len(image_numbers) > 1))
        is_held_out[image_numbers[np.argsort(ranks[image_numbers], kind="stable")[:count]]] = True
    return is_held_out


def _rank(image_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(str(image_id).encode(), digest_size=8).digest(), "big")


def some(names: Sequence[str]) -> str:
    """Three names, and how many more."""
    shown = ", ".join(map(repr, names[:3]))
    return shown + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def lacking(class_names: Sequence[str], labels: np.ndarray, purpose: str) -> list[str]:
    """A sentence about the classes of which there is no picture, for "training" or "testing"."""
    counts = np.bincount(labels, minlength=len(class_names))
    names = [name for name, count in zip(class_names, counts, strict=True) if not count]
    if not names:
        return []
    kind = "class" if len(names) == 1 else "classes"
    return [f"There is no picture for {purpose} of the {kind} {some(names)}."]
