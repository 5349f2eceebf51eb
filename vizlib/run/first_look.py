"""What a network answers to one photograph, and its maps at some depths, kept beside its weights:
for the first page, which is drawn before torch is in.

vizlib.inside.first_look makes it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError

from vizlib.run.folders import Run
from vizlib.run.moments import opened

FIRST_LOOK = "first_look.safetensors"
LEVELS = 255


@dataclass(frozen=True)
class Depth:
    """One layer. words: what it is, for a reader. maps: float32 (C, h, w). rows, columns: the span
    (first, end) of input pixels that each row and column of its maps sees, int (h, 2) and (w, 2).
    """

    layer_name: str
    words: str
    maps: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


@dataclass(frozen=True)
class FirstLook:
    """photograph: its name. probabilities: (K,), in [0, 1]. depths: in the network's order."""

    photograph: str
    probabilities: np.ndarray
    depths: list[Depth]


def read(run: Run) -> FirstLook | None:
    """What is kept of a run; None where nothing is, or what is there does not fit."""
    with opened(run.path(FIRST_LOOK)) as tensors:
        if not tensors:
            return None
        try:
            notes = tensors.metadata() or {}
            layers = json.loads(notes["layers"])
            depths = [_depth(tensors, name, words) for name, words in layers]
            probabilities = tensors.get_tensor("probabilities")
        except (KeyError, ValueError, TypeError, SafetensorError):
            return None
    is_whole = probabilities.shape == (len(run.class_names),) and bool(depths)
    return FirstLook(notes.get("photograph", ""), probabilities, depths) if is_whole else None


def _depth(tensors, name: str, words: str) -> Depth:
    """ValueError where the parts do not belong together."""
    low, high = tensors.get_tensor(f"range/{name}")
    levels = tensors.get_tensor(f"maps/{name}").astype(np.float32)
    rows, columns = tensors.get_tensor(f"rows/{name}"), tensors.get_tensor(f"columns/{name}")
    if levels.ndim != 3 or (len(rows), len(columns)) != levels.shape[1:]:
        raise ValueError(f"the maps of {name!r} and what they see do not belong together")
    return Depth(str(name), str(words), low + levels * ((high - low) / LEVELS), rows, columns)
