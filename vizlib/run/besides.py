"""What a checkpoint says beside its weights, as far as it is plain: the epoch, accuracies, names of
classes, settings. Short texts, numbers, and lists and dictionaries of these, bounded in all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from vizlib.run.stand_ins import Array, Fields
from vizlib.run.stand_ins import Path as StoredPath

MAX_NAMES = 100
MAX_LENGTH = 2000  # of a list: ImageNet has a thousand classes
MAX_VALUES = 10_000  # in all
MAX_LETTERS = 200
MAX_DEPTH = 3


def plain_values(dictionaries: Iterable[Mapping[Any, Any]]) -> dict[str, Any]:
    """What dictionaries say that is plain, by name; of what two of them say, the later's."""
    together = {
        name: value
        for dictionary in dictionaries
        for name, value in dictionary.items()
        if isinstance(name, str)
    }
    return _Taken().dictionary(together, MAX_DEPTH, MAX_NAMES) or {}


def _holds_tensors(dictionary: Mapping[Any, Any]) -> bool:
    return any(
        isinstance(value, (torch.Tensor, Array)) and value.ndim > 0 for value in dictionary.values()
    )


class _Taken:
    """Takes plain values, as long as there are not too many."""

    def __init__(self) -> None:
        self.left = MAX_VALUES

    def value(self, value: Any, depth: int) -> Any:
        """The same value if it is plain; None if it is not, or if there are too many by now."""
        self.left -= 1
        if self.left < 0:
            return None
        value = _opened(value)
        if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
            return value
        if isinstance(value, str):
            return _plain_text(value)
        if depth and isinstance(value, (list, tuple, set)):
            return self.list(value, depth)
        if depth and isinstance(value, dict) and not _holds_tensors(value):
            return self.dictionary(value, depth, MAX_LENGTH)
        return None

    def list(self, values: Any, depth: int) -> list[Any] | None:
        """None if any of them is not plain: the places of the others would be wrong."""
        if not 0 < len(values) <= MAX_LENGTH:
            return None
        plain = []
        for value in values:
            plain.append(self.value(value, depth - 1))
            if plain[-1] is None:
                return None
        return plain

    def dictionary(self, values: Mapping[Any, Any], depth: int, most: int) -> dict[Any, Any] | None:
        """Those of its values that are plain; None if there are none."""
        plain = {}
        for name, value in values.items():
            if len(plain) < most and isinstance(name, (str, int)) and len(str(name)) < MAX_LETTERS:
                taken = self.value(value, depth - 1)
                if taken is not None:
                    plain[_plain_text(name) if isinstance(name, str) else name] = taken
        return plain or None


def _opened(value: Any) -> Any:
    """What is in an object that stands around a plain value."""
    if isinstance(value, StoredPath):
        return str(value)
    if isinstance(value, Fields):
        return value.fields
    if type(value) is torch.Tensor and value.layout == torch.strided and value.numel() == 1:
        return None if value.is_meta else value.item()
    return value


def _plain_text(text: str) -> str | None:
    if len(text) > MAX_LETTERS:
        return None
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
