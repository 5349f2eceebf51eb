"""What stands in for the plain objects that checkpoints bring beside their weights.

numpy's own way back from a pickle trusts it (a forged dtype makes an object of any address), and
argparse or pathlib need not be imported to see what somebody's learning rate was. So none of them
is called: a file that names one of these gets an object of ours, which keeps what it was told.
"""

from __future__ import annotations

import math
import re
import struct
from collections import OrderedDict
from typing import Any

import numpy as np

# numpy's codes of plain numbers, and those of `struct`
_CODES = {
    "b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q",
    "u8": "Q", "f2": "e", "f4": "f", "f8": "d",
}  # fmt: skip


class Fields:
    """An object of whatever class: what it was made of, and its fields by name."""

    arguments: tuple[Any, ...]
    fields: dict[Any, Any]

    def __new__(cls, *arguments: Any) -> Fields:
        made = super().__new__(cls)
        made.arguments, made.fields = arguments, {}
        return made

    def __setstate__(self, state: Any) -> None:
        self.fields = state if isinstance(state, dict) else {}


class Mapping:
    """Makes a plain dictionary in place of one of whatever class."""

    def __new__(cls, *arguments: Any) -> dict[Any, Any]:
        # an ordered one may have attributes, which some of those classes bring
        return OrderedDict(arguments[0] if arguments and isinstance(arguments[0], dict) else {})


class Path(Fields):
    """A path, of which only the text is kept."""

    def __str__(self) -> str:
        parts = [part for part in self.arguments if isinstance(part, str)]
        return "/".join(parts).replace("//", "/", 1)


class Kind:
    """A numpy dtype: its code ("f8") if it is one of plain numbers, else empty; its byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code if isinstance(code, str) and code in _CODES else ""
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and state[1:2] == (">",):
            self.order = ">"

    @property
    def format(self) -> str:
        return self.order + _CODES[self.code]


class Array:
    """A numpy array: its shape, kind and bytes as the file says them, unchecked until asked."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    @property
    def shape(self) -> tuple[int, ...] | None:
        match self.state:
            case (_, tuple() as shape, *_) if all(
                type(size) is int and size >= 0 for size in shape
            ):
                return shape
        return None

    @property
    def ndim(self) -> int:
        return len(self.shape or ())

    def numel(self) -> int:
        """Of its values, as it claims."""
        return math.prod(self.shape) if self.shape is not None else 0

    def numbers(self) -> np.ndarray | None:
        """The array, in the machine's byte order; None if it is damaged or of no numbers."""
        match self.state:
            case (_, _, Kind() as kind, by_columns, bytes() as content) if kind.code:
                shape = self.shape
                if shape is not None and len(content) == self.numel() * int(kind.code[1]):
                    flat = np.frombuffer(content, kind.order + kind.code)
                    order = "F" if by_columns else "C"
                    return flat.astype(kind.code).reshape(shape, order=order)
        return None


def scalar(kind: Any, content: Any = b"") -> Any:
    """The number that numpy stored in a few bytes; None if it is none."""
    if not (isinstance(kind, Kind) and kind.code and isinstance(content, bytes)):
        return None
    fits = len(content) == struct.calcsize(kind.format)
    return struct.unpack(kind.format, content)[0] if fits else None


def _nothing(*_: Any) -> None:
    """What is not kept at all."""


class _ArrayClass:
    """numpy.ndarray, which is only handed to the function that makes arrays."""


_STAND_INS = {
    r"numpy\.dtype": Kind,
    r"numpy\.dtypes\.\w+": Kind,
    r"numpy\.ndarray": _ArrayClass,
    r"numpy\.(_core|core)\.multiarray\.scalar": scalar,
    r"numpy\.(_core|core)\.multiarray\._reconstruct": Array,
    r"argparse\.Namespace|types\.SimpleNamespace": Fields,
    r"pathlib(\._local)?\.(Pure)?(Posix|Windows)?Path": Path,
    r"torch\.optim\.[\w.]+": Fields,
    r"omegaconf\.[\w.]+": Fields,
    r"typing\.Any": _nothing,
    r"collections\.defaultdict": Mapping,
    r"yacs\.config\.CfgNode|easydict\.EasyDict|munch\.Munch|addict\.addict\.Dict": Mapping,
    r"(pytorch_)?lightning(\.pytorch|\.fabric)?\.utilities\.(\w+\.)?AttributeDict": Mapping,
    r"builtins\.(list|dict|int|float|str|tuple|bool|slice|range)": _nothing,
}
_ALL = {re.compile(pattern): stand_in for pattern, stand_in in _STAND_INS.items()}


def stand_in_for(name: str) -> Any:
    """What a name in a pickle gets instead of what it means; None if there is nothing for it."""
    return next((made for pattern, made in _ALL.items() if pattern.fullmatch(name)), None)
