"""What has been computed for all sessions, within one budget of bytes for the server: what nobody
has asked for longest is given up first.
"""

from __future__ import annotations

import math
import mmap
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, nullcontext
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, ParamSpec, TypeVar

import cachetools
import numpy as np
import streamlit as st

from vizlib.ui.streamlit_internals import is_drawing

BYTES = 400_000_000
LEAST = 2_000  # of a result, with its place among the others
MOST_PARTS = 100_000  # of a result that are looked at
_PLAIN = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def _last_moment(key: tuple[Any, ...], value: Any, now: float) -> float:
    return now + key[0]


_all: cachetools.TLRUCache[tuple[Any, ...], Any, float] = cachetools.TLRUCache(
    BYTES, _last_moment, timer=time.monotonic, getsizeof=lambda value: min(BYTES, weight(value))
)
_changed = threading.Condition()


def kept(
    told: Callable[[Any], Hashable] = lambda argument: argument, *, seconds: float = math.inf
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """A function whose results all sessions share. Who asks for what another thread is computing
    waits for that; an error is no result.

    told: tells an argument from all others. seconds: after which a result is computed anew.
    """

    def decorate(compute: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        def key(*arguments: Any, **named: Any) -> tuple[Hashable, ...]:
            by_name = ((name, told(argument)) for name, argument in sorted(named.items()))
            return seconds, compute.__module__, compute.__name__, *map(told, arguments), *by_name

        return cachetools.cached(_all, key=key, condition=_changed)(compute)

    return decorate


def has(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether the result of a kept function is there."""
    with _changed:
        return function.cache_key(*arguments) in _all  # pyright: ignore[reportFunctionMemberAccess]


def clear() -> None:
    with _changed:
        _all.clear()


def waits(words: str) -> AbstractContextManager[Any]:
    """Around what takes long: the words stand on the page meanwhile, where one is drawn."""
    return st.spinner(words) if words and is_drawing() else nullcontext()


def weight(value: Any) -> int:
    """Bytes of memory that a result holds in arrays, tensors and texts. A part of an array counts
    as the whole that it keeps; what lies in a mapped file counts nothing.
    """
    seen: set[Hashable] = set()
    total, waiting = LEAST, [value]
    while waiting and len(seen) < MOST_PARTS:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, _PLAIN):
            continue
        seen.add(id(part))
        memory = _memory(part)
        if memory is None:
            waiting.extend(_within(part))
        elif memory[0] not in seen:
            seen.add(memory[0])
            total += memory[1]
    return total


def _memory(part: Any) -> tuple[Hashable, int] | None:
    """(What tells the memory of an array, a tensor or a text, its bytes); None of all else."""
    if isinstance(part, np.ndarray):
        while isinstance(part.base, np.ndarray):
            part = part.base
        return ("array", id(part)), 0 if isinstance(part.base, mmap.mmap) else part.nbytes
    torch = sys.modules.get("torch")
    # while another thread is importing it, it has no tensors yet
    if torch is not None and hasattr(torch, "Tensor") and isinstance(part, torch.Tensor):
        if part.is_meta or part.layout is not torch.strided:
            return ("tensor", id(part)), 0
        storage = part.untyped_storage()
        return ("tensor", storage.data_ptr()), storage.nbytes()
    if isinstance(part, (bytes, bytearray, str)):
        return ("text", id(part)), len(part)
    return None


def _within(part: Any) -> Iterator[Any]:
    if isinstance(part, dict):
        yield from part.values()
    elif isinstance(part, (list, tuple, set, frozenset)):
        yield from part
    else:
        yield from getattr(part, "__dict__", {}).values()
