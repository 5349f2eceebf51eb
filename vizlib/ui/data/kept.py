"""What has been computed for all sessions, within one budget of bytes for the server. What took
least time for its bytes and was not asked for lately is given up first: a network before the data
set that is as long in opening and a tenth as large.

GreedyDual-Size, of Cao and Irani 1997, Cost-Aware WWW Proxy Caching Algorithms,
https://www.usenix.org/conference/usits-97/cost-aware-www-proxy-caching-algorithms.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import math
import mmap
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
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
_Key = tuple[Any, ...]


@dataclass(frozen=True)
class _Found:
    """A result, the memory that it counts for and how long it took."""

    value: Any
    bytes: int
    seconds: float


class _Store(cachetools.TLRUCache[_Key, _Found, float]):
    """Results by their keys, which begin with the seconds that they are good for.

    Each is worth its seconds a byte more than what was last given up was worth, reckoned anew
    whenever it is asked for: what is not asked for is overtaken in time.
    """

    def __init__(self, most: int, timer: Callable[[], float] = time.monotonic) -> None:
        super().__init__(
            most, lambda key, found, now: now + key[0], timer, lambda found: found.bytes
        )
        self._given_up = 0.0
        self._worth: dict[_Key, float] = {}
        # each key once, with what it was worth at some time; the number settles what is equal
        self._queue: list[tuple[float, int, _Key]] = []
        self._number = itertools.count()

    def __getitem__(self, key: _Key) -> _Found:
        found = super().__getitem__(key)
        self._reckon(key, found)
        return found

    def __setitem__(self, key: _Key, found: _Found) -> None:
        super().__setitem__(key, found)
        is_new = key not in self._worth
        self._reckon(key, found)
        if is_new:
            self._put(key)

    def popitem(self) -> tuple[_Key, _Found]:
        while self._queue:
            worth, _, key = heapq.heappop(self._queue)
            if worth < self._worth[key]:  # it was asked for since
                self._put(key)
                continue
            del self._worth[key]
            if key in self:  # else its time was over
                self._given_up, found = worth, super().__getitem__(key)
                del self[key]
                return key, found
        raise KeyError("nothing is kept")

    def clear(self) -> None:
        super().clear()
        self._worth.clear()
        self._queue.clear()

    def _reckon(self, key: _Key, found: _Found) -> None:
        self._worth[key] = self._given_up + found.seconds / found.bytes

    def _put(self, key: _Key) -> None:
        heapq.heappush(self._queue, (self._worth[key], next(self._number), key))


_all = _Store(BYTES)
_changed = threading.Condition()


def kept(
    told: Callable[[Any], Hashable] = lambda argument: argument, *, seconds: float = math.inf
) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """A function whose results all sessions share. Who asks for what another thread is computing
    waits for that; an error is no result.

    told: tells an argument from all others. seconds: after which a result is computed anew.
    """

    def decorate(compute: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        def key(*arguments: Any, **named: Any) -> _Key:
            by_name = ((name, told(argument)) for name, argument in sorted(named.items()))
            return seconds, compute.__module__, compute.__name__, *map(told, arguments), *by_name

        @cachetools.cached(_all, key=key, condition=_changed)
        def found(*arguments: Any, **named: Any) -> _Found:
            start = time.perf_counter()
            value = compute(*arguments, **named)
            seconds = time.perf_counter() - start
            return _Found(value, min(BYTES, weight(value)), seconds)

        @functools.wraps(compute)
        def value(*arguments: Any, **named: Any) -> Any:
            return found(*arguments, **named).value

        value.cache_key = key  # type: ignore[attr-defined]
        return value

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
    """Bytes of memory that a result holds: arrays, tensors, texts, and the objects that hold them,
    which of a figure are most of it. A part of an array counts as the whole that it keeps; what
    lies in a mapped file counts nothing.
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
            total += sys.getsizeof(part, 0)
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
