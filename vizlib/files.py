"""Files that appear whole or not at all, files that are none, and texts that cannot be shown."""

from __future__ import annotations

import os
import re
import stat
import time
import uuid
from pathlib import Path
from typing import Any, BinaryIO

from vizlib.errors import UserError


class Irregular(OSError):
    """What stands at a path is no file that can be read to its end."""


TRIES, TRY_AGAIN = 20, 0.05  # seconds between two
_SURROGATES = re.compile("[\ud800-\udfff]")


def write_whole(path: str | os.PathLike, content: bytes) -> None:
    """Write bytes under another name beside the file, then rename: a reader finds the old file or
    the whole new one, and nothing is left after an error.
    """
    path = Path(path)
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        unfinished.write_bytes(content)
        put_in_place(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def put_in_place(unfinished: Path, path: Path) -> None:
    """Give a file the name of another, which is replaced.

    Windows refuses that as long as somebody reads the other: a page that does so is done soon.
    """
    for _ in range(TRIES - 1):
        try:
            os.replace(unfinished, path)
            return
        except PermissionError:
            if os.name != "nt":
                raise
            time.sleep(TRY_AGAIN)
    os.replace(unfinished, path)


def check_regular(path: str | os.PathLike) -> os.stat_result:
    """What the system knows of a file. Irregular if it is none that can be read to its end: opening
    a named pipe waits for ever, a device has no end.
    """
    known = os.stat(path)
    if not stat.S_ISREG(known.st_mode):
        raise Irregular(0, "it is no regular file", str(path))
    return known


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """A file opened to be read. Irregular if it is no regular one."""
    check_regular(path)
    return open(path, "rb")


def refuse_irregular(path: Path) -> None:
    """UserError if there is something of this name that is no regular file, before it is written
    to.
    """
    if os.path.lexists(path) and not path.is_file():
        raise UserError(f"{path} is no regular file: remove it.")


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; 0 for what is not there, or goes while it
    is looked at.
    """
    try:
        if path.is_dir():
            return sum(map(size_of, path.iterdir()))
        return path.lstat().st_size
    except OSError:
        return 0


def legible(content: Any) -> Any:
    """What JSON held, with the replacement character for each half of a surrogate pair: nothing
    that shows or prints such a text gets past it.
    """
    if isinstance(content, str):
        return _SURROGATES.sub("\ufffd", content)
    if isinstance(content, dict):
        return {legible(name): legible(value) for name, value in content.items()}
    if isinstance(content, list):
        return [legible(value) for value in content]
    return content
