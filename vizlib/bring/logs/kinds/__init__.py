"""The kinds of logs, a file each: one that is dropped in here is tried on every file.

    @kind("a history of somebody's")
    def read(content: Content) -> Recorded | None:
        ...

It gets the Content of a file, and returns what that holds, or None where it is of another kind; a
UserError says that it is of this kind and cannot be read. A file is told by what is in it, so that
no two kinds take the same, and their order is no matter.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from vizlib.bring.logs.content import Content
from vizlib.bring.logs.series import Recorded

Reader = Callable[[Content], Recorded | None]
_registry: dict[str, Reader] = {}


def kind(words: str) -> Callable[[Reader], Reader]:
    """Make a reader known. words: what such a file is called in a sentence."""

    def known(reader: Reader) -> Reader:
        _registry[words] = reader
        return reader

    return known


def all_kinds() -> dict[str, Reader]:
    """All readers, by what their files are called."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return _registry
