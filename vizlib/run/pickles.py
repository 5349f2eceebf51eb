"""What a pickle would do, found out without doing any of it.

A pickle is a program for a small machine with a stack. The walk goes through that program and
keeps a name where the machine would import, and notes where it would call. So a file that wants to
run something is refused by the name of what it wanted; and what PyTorch's weights-only reader lets
through but should not meet, calls and keys that take memory or time without end, never gets there.
"""

from __future__ import annotations

import _compat_pickle
import contextlib
import itertools
import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

# a state dictionary of a thousand tensors takes forty thousand; each step may cost some seventy
# bytes
MAX_STEPS = 1_000_000
MAX_BYTES = 50_000_000
MAX_WRONG = 100  # are kept
PLAIN = (str, int, float, bytes, bytearray)


class Damaged(ValueError):
    """A pickle that no machine could carry out."""


class TooLong(ValueError):
    """A pickle of more than MAX_STEPS steps."""


class Other:
    """A value of which nothing is known."""


OTHER = Other()


@dataclass(frozen=True, slots=True)
class Name:
    """Something that a pickle would import."""

    module: str
    name: str

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}"

    def __str__(self) -> str:
        module = "os" if self.module in ("posix", "nt") else self.module
        return f"{module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Call:
    """Something that a pickle would call, or of which it would make an object, and with what, as
    far as both are known.
    """

    function: Any
    arguments: Any


@dataclass
class Walk:
    """The way through one pickle: what it would import, call and fetch, each in its order."""

    may_call: Callable[[Call], bool]
    names: dict[Name, Name] = field(default_factory=dict)
    wrong: list[Call] = field(default_factory=list)  # some of those that it may not make
    fetched: list[Any] = field(default_factory=list)  # ids of what lies outside the pickle
    protocol: int = 0
    has_deep_keys: bool = False  # tuples of tuples, of which the hash may take for ever
    holds_module: bool = False  # the inside of a torch.nn.Module
    result: Any = None
    _stack: list[Any] = field(default_factory=list)
    _marks: list[list[Any]] = field(default_factory=list)
    _memo: dict[int, Any] = field(default_factory=dict)

    def step(self, operation: str, argument: Any) -> None:
        """One step of the machine: an operation by its name in `pickletools`."""
        do = getattr(self, f"_do_{operation.lower()}", None)
        if do:
            do(argument)
        elif isinstance(argument, PLAIN):
            self._stack.append(argument)
            self.holds_module |= argument == "_parameters"
        elif operation not in ("FRAME", "STOP"):
            raise Damaged(operation)

    # constants and containers

    def _do_none(self, _: Any) -> None:
        self._stack.append(None)

    def _do_newtrue(self, _: Any) -> None:
        self._stack.append(True)

    def _do_newfalse(self, _: Any) -> None:
        self._stack.append(False)

    def _do_empty_dict(self, _: Any) -> None:
        self._stack.append(OTHER)

    _do_empty_set = _do_empty_dict

    def _do_empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _do_empty_tuple(self, _: Any) -> None:
        self._stack.append(())

    def _do_tuple(self, _: Any) -> None:
        items = tuple(self._since_mark())
        self._stack.append(items)

    def _do_tuple1(self, _: Any) -> None:
        self._tuple_of(1)

    def _do_tuple2(self, _: Any) -> None:
        self._tuple_of(2)

    def _do_tuple3(self, _: Any) -> None:
        self._tuple_of(3)

    def _tuple_of(self, count: int) -> None:
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _do_list(self, _: Any) -> None:
        items = self._since_mark()
        self._stack.append(items)

    def _do_dict(self, _: Any) -> None:
        self._take_keys(self._since_mark())
        self._stack.append(OTHER)

    def _do_append(self, _: Any) -> None:
        item = self._stack.pop()
        if isinstance(self._stack[-1], list):
            self._stack[-1].append(item)

    def _do_appends(self, _: Any) -> None:
        items = self._since_mark()
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)

    def _do_setitem(self, _: Any) -> None:
        self._take_keys(self._stack[-2:])
        del self._stack[-2:]

    def _do_setitems(self, _: Any) -> None:
        self._take_keys(self._since_mark())

    def _do_additems(self, _: Any) -> None:
        self.has_deep_keys |= not all(map(is_flat, self._since_mark()))

    def _take_keys(self, keys_and_values: list[Any]) -> None:
        self.has_deep_keys |= not all(map(is_flat, keys_and_values[::2]))

    # the stack and the memo

    def _do_mark(self, _: Any) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _do_pop(self, _: Any) -> None:
        self._stack.pop()

    def _do_pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _do_dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _do_put(self, number: int) -> None:
        self._memo[number] = self._stack[-1]

    def _do_memoize(self, _: Any) -> None:
        self._do_put(len(self._memo))

    def _do_get(self, number: int) -> None:
        self._stack.append(self._memo[number])

    _do_binput = _do_long_binput = _do_put
    _do_binget = _do_long_binget = _do_get

    # what reaches outside

    def _do_proto(self, version: int) -> None:
        self.protocol = version

    def _do_global(self, both: str) -> None:
        self._import(*both.split(" ", 1))

    def _do_stack_global(self, _: Any) -> None:
        name = self._stack.pop()
        self._import(self._stack.pop(), name)

    def _import(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise Damaged("a name that is no text")
        # PyTorch's reader, too, takes the names of Python 2 in files of all ages
        there = _compat_pickle.IMPORT_MAPPING.get(module, module)
        wanted = Name(*_compat_pickle.NAME_MAPPING.get((module, name), (there, name)))
        self._stack.append(self.names.setdefault(wanted, wanted))

    def _do_reduce(self, _: Any) -> None:
        arguments = self._stack.pop()
        self._call(self._stack.pop(), arguments)

    _do_newobj = _do_reduce

    def _call(self, function: Any, arguments: Any) -> None:
        call = Call(function, arguments)
        if len(self.wrong) < MAX_WRONG and not self.may_call(call):
            self.wrong.append(call)
        self._stack.append(OTHER)

    def _do_newobj_ex(self, _: Any) -> None:
        self._stack.pop()
        self._do_newobj(None)

    def _do_inst(self, both: str) -> None:
        arguments = tuple(self._since_mark())
        self._do_global(both)
        self._call(self._stack.pop(), arguments)

    def _do_obj(self, _: Any) -> None:
        function, *arguments = self._since_mark()
        self._call(function, tuple(arguments))

    def _do_build(self, _: Any) -> None:
        self._stack.pop()

    def _do_binpersid(self, _: Any) -> None:
        self.fetched.append(self._stack.pop())
        self._stack.append(OTHER)


def is_flat(value: Any) -> bool:
    """Whether this is no tuple that has a tuple in it."""
    return not isinstance(value, tuple) or not any(isinstance(part, tuple) for part in value)


def walk(file: BinaryIO, may_call: Callable[[Call], bool], most_steps: int) -> Walk:
    """The way through the pickle that begins where a file stands, which then stands at its end.
    TooLong after more steps; any other error where it is damaged.
    """
    way = Walk(may_call)
    for number, (operation, argument, _) in enumerate(pickletools.genops(file)):
        if number >= most_steps:
            raise TooLong
        way.step(operation.name, argument)
    way.result = way._stack.pop()
    return way


def survey(data: bytes, may_call: Callable[[Call], bool]) -> tuple[Walk, bool]:
    """The way through a pickle as far as it can be gone, and whether that is to its end."""
    way = Walk(may_call)
    with contextlib.suppress(Exception):  # damaged pickles raise anything
        steps = pickletools.genops(data[:MAX_BYTES])
        for operation, argument, _ in itertools.islice(steps, MAX_STEPS):
            way.step(operation.name, argument)
            if operation.name == "STOP":
                return way, True
    return way, False
