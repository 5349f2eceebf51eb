"""What is in each picture file of a data set: its size, its greys, a digest of its bytes, and
whether it can be read at all.

Each file is read and decoded once: what was found is kept in DATA/.convscope/NAME/files.json, by
path, size and time of change, where that can be written.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from vizlib.datasets.at_once import with_each
from vizlib.datasets.places import kept_beside
from vizlib.errors import UserError
from vizlib.files import Irregular, check_regular, write_whole

FILE = "files.json"
VERSION = 1  # of what is kept
MOST_KEPT = 500_000_000  # bytes: over a million files
MOST_FOLDERS = 4  # that are kept in memory
NOT_REGULAR = "not a regular file"
TOO_MANY_BYTES = "more than can be opened"
# a word of what keeps a picture from being opened, and how a list of such pictures is headed
_PROBLEMS = {
    "damaged": "damaged or incomplete",
    "empty": "empty",
    "pixels; up to": "more pixels than can be opened",
    "no pixels": "without pixels",
    "MB; pictures": TOO_MANY_BYTES,
    "not numbers": "holding values that are not numbers",
}
OTHER_PROBLEM = "not a picture that can be read here"


@dataclass(frozen=True)
class Examined:
    """A picture file. height, width: as it is shown. low, high: the least and greatest value of a
    grey of more than 8 bits, else None. digest: of the file's bytes, 16 hexadecimal digits.
    problem: why it cannot be read, in a few words; empty where it can. reduced: whether it is read
    smaller than it is.
    """

    height: int = 0
    width: int = 0
    low: float | None = None
    high: float | None = None
    digest: str = ""
    problem: str = ""
    reduced: bool = False


def examined(
    folder: Path, paths: Sequence[str], say: Callable[[float], None] | None = None
) -> list[Examined]:
    """What is in some picture files of the data set in a folder, in their order. say(share) is told
    the progress in [0, 1]. Never raises for a bad file.
    """
    states = [_state(path) for path in paths]
    kept = _in_memory.get(folder) or _read_kept(folder)
    inside = f"{folder}{os.sep}"
    names = [path.removeprefix(inside) for path in paths]
    found = {
        name: kept[name][1]
        for name, state in zip(names, states, strict=True)
        if name in kept and kept[name][0] == state
    }
    new = [number for number, name in enumerate(names) if name not in found]
    if new:
        sizes = [states[number][0] for number in new if states[number]]
        looked = with_each(_look, [paths[number] for number in new], sizes)
        for done, (number, known) in enumerate(zip(new, looked, strict=True), 1):
            found[names[number]] = known
            if say is not None:
                say(done / len(new))
        by_name = zip(names, states, strict=True)
        kept = kept | {name: (state, found[name]) for name, state in by_name if state}
        _keep(folder, kept)
    _remember(folder, kept)
    return [found[name] for name in names]


def _look(path: str) -> Examined:
    """Read and decode one file."""
    from vizlib.images import MAX_BYTES, OF_FOLDERS, look, picture_bytes

    digest = ""
    try:
        size = check_regular(path).st_size
        if size > MAX_BYTES:  # before it is read
            return Examined(problem=f"{size / 1e6:,.0f} MB, {TOO_MANY_BYTES}")
        data = picture_bytes(path)
        digest = hashlib.blake2b(data, digest_size=8).hexdigest()
        known = look(data, OF_FOLDERS)
        return Examined(
            known.height, known.width, known.low, known.high, digest, reduced=known.is_reduced
        )
    except Irregular:
        return Examined(problem=NOT_REGULAR)
    except UserError as error:
        return Examined(digest=digest, problem=_in_a_few_words(str(error)))
    except OSError as error:
        return Examined(problem=f"cannot be read ({error.strerror})")


def _in_a_few_words(sentence: str) -> str:
    words = (words for word, words in _PROBLEMS.items() if word in sentence)
    return next(words, OTHER_PROBLEM)


# What is kept

_State = list[int]  # a file's size and time of change
_in_memory: dict[Path, dict[str, tuple[_State, Examined]]] = {}


def _remember(folder: Path, kept: dict[str, tuple[_State, Examined]]) -> None:
    """Keep it in this process too, for the last few folders."""
    _in_memory.pop(folder, None)
    _in_memory[folder] = kept
    while len(_in_memory) > MOST_FOLDERS:
        del _in_memory[next(iter(_in_memory))]


def _state(path: str) -> _State:
    """Empty where there is no such file."""
    try:
        known = os.stat(path)
    except OSError:
        return []
    return [known.st_size, known.st_mtime_ns]


def _read_kept(folder: Path) -> dict[str, tuple[_State, Examined]]:
    """What is kept of a data set's files, by name; nothing where that is damaged."""
    place = kept_beside(folder) / FILE
    try:
        if not place.is_file() or place.stat().st_size > MOST_KEPT:
            return {}
        content = json.loads(place.read_bytes())
        if content["version"] != VERSION:
            return {}
        return {name: (state, _checked(row)) for name, (state, row) in content["files"].items()}
    # whatever somebody else wrote there
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _checked(row: list[Any]) -> Examined:
    """A row as it was kept. TypeError or ValueError for any other."""
    known = Examined(*row)
    fits = (
        isinstance(known.height, int)
        and isinstance(known.width, int)
        and isinstance(known.problem, str)
        and isinstance(known.reduced, bool)
        and all(value is None or isinstance(value, float) for value in (known.low, known.high))
    )
    if not fits or (known.digest and not 0 <= int(known.digest, 16) < 2**64):
        raise ValueError("not what is kept here")
    return known


def _keep(folder: Path, files: dict[str, tuple[_State, Examined]]) -> None:
    """Write it so that a reader finds the old file or the whole new one, where that is possible."""
    place = kept_beside(folder) / FILE
    content = {name: (state, astuple(known)) for name, (state, known) in files.items()}
    with suppress(OSError, UnicodeEncodeError):
        place.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"version": VERSION, "files": content}, separators=(",", ":"))
        write_whole(place, text.encode())
