"""A zip, or some pictures of each class, becomes a data set under the data root; and goes again.

It is made in a hidden folder beside the others and gets its name when it is whole: what is
cancelled or fails leaves nothing. DATA/.convscope/NAME/brought.json says that a folder came so.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import time
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from vizlib import datasets
from vizlib.bring import archives
from vizlib.bring.archives import Refused
from vizlib.datasets import LeftOut, data_root
from vizlib.datasets.layouts import problem_of_layout
from vizlib.datasets.places import folder_name, folder_of, kept_beside
from vizlib.datasets.walking import Reasons, is_picture
from vizlib.errors import UserError, unknown
from vizlib.files import size_of, write_whole
from vizlib.images import OF_FOLDERS
from vizlib.limits import GB, check_room, limits

MOST_FILES = 60_000
MOST_UNPACKED = 4_000_000_000  # bytes
MOST_PIXELS = 50_000_000_000  # of all pictures together: 50,000 of a megapixel
LIMITS = (
    f"up to {MOST_FILES:,} files, {MOST_UNPACKED // 1_000_000_000} GB unpacked and "
    f"{MOST_PIXELS // 1_000_000_000:,} thousand million pixels"
)
HIDDEN = ".bringing-"
FORGOTTEN_SECONDS = 86_400  # what a killed process has left is cleared away after a day
MARK = "brought.json"
LONGEST_NAME = 60

Say = Callable[[float], None]


@dataclass(frozen=True)
class Brought:
    """A data set that came. name: as in datasets.names(). files, unpacked_bytes: what was written.
    left_out: what of it was not.
    """

    name: str
    files: int
    unpacked_bytes: int
    left_out: list[LeftOut]


def add_zip(file: Path | BinaryIO, name: str, say: Say | None = None) -> Brought:
    """Unpack a zip file as a data set of this name, or name-2 where that is taken. say(share) is
    told the progress in [0, 1]; whatever it raises cancels. UserError for a file that is no zip, is
    over the limits, or holds no data set.
    """
    if isinstance(file, Path):
        with _opened(file) as stream:
            return add_zip(stream, name, say)
    with archives.opened(file) as archive:
        taken, reasons = archives.members(archive)
        _check_count(len(taken))
        every = -(-len(taken) // 100)
        with _new_folder() as folder:
            writer = _Writer(folder, reasons)
            for number, member in enumerate(taken, 1):
                writer.write(member.parts, archives.chunks(archive, member))
                if say is not None and (number % every == 0 or number == len(taken)):
                    say(number / len(taken))
            return _kept(folder, name, writer)


def add_pictures(classes: Mapping[str, Sequence[tuple[str, bytes]]], name: str) -> Brought:
    """The pictures of each class, (file name, bytes) each, as a data set of this name, or name-2.
    Of a file's name only the ending is used. UserError for fewer than two classes.
    """
    _check_count(sum(map(len, classes.values())))
    with _new_folder() as folder:
        writer = _Writer(folder, Reasons())
        for class_name, pictures in classes.items():
            folder_name = folder_name_of(class_name)
            for number, (file_name, data) in enumerate(pictures):
                if is_picture(file_name):
                    ending = Path(file_name).suffix.lower()
                    writer.write((folder_name, f"{number:05d}{ending}"), [data])
                else:
                    writer.reasons.add(archives.NOT_WANTED, f"{folder_name}/{file_name}")
        return _kept(folder, name, writer)


def folder_name_of(text: str) -> str:
    """A name for a folder from what somebody typed, or from a file's name: no more than its
    letters, digits and - _ . and blanks. UserError where nothing is left of it.
    """
    text = unicodedata.normalize("NFC", text)
    name = re.sub(r"[^\w .-]+", "-", text).strip(" .-_")[:LONGEST_NAME].rstrip(" .-_")
    if not name:
        raise UserError(f"{text[:40]!r} cannot be a folder's name: it takes letters or digits.")
    return name


def _check_count(count: int) -> None:
    if count == 0:
        raise UserError("There is no picture in it that can be taken.")
    if count > MOST_FILES:
        raise UserError(f"It holds {count:,} files to take; possible are {LIMITS}.")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if not path.is_file():
        raise UserError(f"{str(path)!r} is not a file. Give a zip of class folders.")
    try:
        with path.open("rb") as stream:
            yield stream
    except PermissionError as error:
        raise UserError(f"{str(path)!r} cannot be read: {error.strerror}.") from error


@contextmanager
def _new_folder() -> Iterator[Path]:
    """A hidden folder in the data root, which is gone in the end, with all that is still in it."""
    root = data_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        _clear_forgotten(root)
        _check_allowed(root)
        folder = root / f"{HIDDEN}{uuid.uuid4().hex}"
        folder.mkdir()
    except OSError as error:
        raise UserError(
            f"The folder of data sets {root} cannot be written: {error.strerror}."
        ) from error
    try:
        (folder / "new").mkdir()
        yield folder / "new"
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise UserError(
            "The disk is full: nothing of it was kept."
            if full
            else f"It cannot be written to {root}: {error.strerror}."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _clear_forgotten(root: Path) -> None:
    for folder in root.glob(f"{HIDDEN}*"):
        with suppress(OSError):
            if time.time() - folder.lstat().st_mtime > FORGOTTEN_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


class _Writer:
    """Writes files below a folder, and counts. UserError as soon as a limit is passed."""

    def __init__(self, folder: Path, reasons: Reasons) -> None:
        self.folder, self.reasons = folder.resolve(), reasons
        self.files, self.unpacked_bytes, self.pixels = 0, 0, 0

    def write(self, parts: Sequence[str], chunks: Iterable[bytes]) -> None:
        """One file. parts: of its path inside the folder."""
        path = self.folder.joinpath(*parts)
        if not path.parent.resolve().is_relative_to(self.folder):
            raise UserError(f"{'/'.join(parts)!r} leads out of its folder.")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as file:
                for chunk in chunks:
                    self._count(len(chunk))
                    file.write(chunk)
            self._count_pixels(path)
            self.files += 1
        except Refused as refused:
            path.unlink()
            self.reasons.add(str(refused), "/".join(parts))

    def _count(self, count: int) -> None:
        self.unpacked_bytes += count
        if self.unpacked_bytes > MOST_UNPACKED:
            raise UserError(
                f"It unpacks to more than {MOST_UNPACKED / 1e9:g} GB; possible are {LIMITS}."
            )

    def _count_pixels(self, path: Path) -> None:
        """By the head of the file alone: no pixel is unpacked."""
        if not is_picture(path.name):
            return
        # a damaged one is named when the set is read; Pillow raises whatever it stumbles over
        with suppress(Exception), Image.open(path, formats=OF_FOLDERS) as picture:
            self.pixels += picture.width * picture.height
        if self.pixels > MOST_PIXELS:
            raise UserError(f"Its pictures have too many pixels; possible are {LIMITS}.")


def _kept(folder: Path, name: str, writer: _Writer) -> Brought:
    """Give the finished folder its name, where a reader takes it for a data set. UserError, and
    nothing is kept, where none does.
    """
    wanted = folder_name_of(name)
    left_out = writer.reasons.left_out
    found, problem = _name_found(folder)
    if problem:
        why = [f"This is no data set: {problem}"]
        raise UserError(" ".join(why + [each.sentence for each in left_out]))
    target = _renamed(folder, wanted)
    _mark(target, left_out)
    name = found.replace(f":{folder.name}", f":{target.name}", 1)
    return Brought(name, writer.files, writer.unpacked_bytes, left_out)


def _name_found(folder: Path) -> tuple[str, str]:
    """(the first data set that a reader finds in a folder and can use, by name; or what keeps it
    from being one, in a sentence).
    """
    root, problem = folder.parent, ""
    for reader in datasets.readers().values():
        for name in reader.find(root):
            if folder_name(name) != folder.name:
                continue
            if not (its_problem := reader.problem(name, root)):
                return name, ""
            problem = problem or its_problem
    return "", problem or f"{problem_of_layout(folder)}."


def _renamed(folder: Path, wanted: str) -> Path:
    """Move it to the wanted name in the data root, or the first of name-2, name-3 ... that is free,
    and which is no name of a reader.
    """
    root, number = data_root(), 1
    taken = {path.name.casefold() for path in root.iterdir()} | set(datasets.readers())
    while True:
        name = wanted if number == 1 else f"{wanted}-{number}"
        number += 1
        if name.casefold() in taken:
            continue
        try:
            os.rename(folder, root / name)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            continue  # somebody else took it this moment
        return root / name


def _check_allowed(root: Path) -> None:
    """UserError where the limits of this server leave no room for another."""
    allowed = limits()
    check_room(root, allowed.free_gb)
    marks = kept_beside(root / "any").parent.glob(f"*/{MARK}")
    taken = sum(size_of(root / mark.parent.name) for mark in marks) / GB
    if taken > allowed.data_gb:
        raise UserError(
            f"The data sets that were brought take {taken:.3g} GB, and {allowed.data_gb:g} are "
            "allowed: remove one."
        )


# What came so, and how it goes


def _mark_of(folder: Path) -> Path:
    return kept_beside(folder) / MARK


def _state(folder: Path) -> list[int]:
    """What tells a folder as it came from another of its name, or one changed by hand since."""
    known = folder.stat(follow_symlinks=False)
    return [known.st_ino, known.st_mtime_ns]


def _mark(folder: Path, left_out: list[LeftOut]) -> None:
    content = {
        "state": _state(folder),
        "left_out": [[each.reason, each.names] for each in left_out],
    }
    with suppress(OSError):  # then it cannot be removed by the app, and is whole
        _mark_of(folder).parent.mkdir(parents=True, exist_ok=True)
        write_whole(_mark_of(folder), json.dumps(content).encode())


def _content(folder: Path) -> dict:
    """What the mark of a folder says; empty where it has none, or was changed since it came."""
    try:
        content = json.loads(_mark_of(folder).read_text(encoding="utf-8"))
        left_out = [
            LeftOut(str(reason), [*map(str, names)]) for reason, names in content["left_out"]
        ]
        return {"left_out": left_out} if content["state"] == _state(folder) else {}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def _folder_of(name: str) -> Path | None:
    """The folder of a data set that is there, where its name is of a folder's; else None."""
    return folder_of(name) if folder_name(name) and name in datasets.names() else None


def is_removable(name: str) -> bool:
    """Whether a data set was brought by the app, and its folder is as it came."""
    folder = _folder_of(name)
    return folder is not None and bool(_content(folder))


def left_out_when_brought(name: str) -> list[LeftOut]:
    """What of a zip was not unpacked; empty for a data set that came otherwise."""
    folder = _folder_of(name)
    return _content(folder).get("left_out", []) if folder else []


def remove(name: str) -> None:
    """Delete the files of a data set that was brought. UserError for any other."""
    if name not in datasets.names():
        raise unknown("data set", name, datasets.names())
    folder = _folder_of(name)
    if folder is None or not is_removable(name):
        raise UserError(
            f"The data set {name!r} was not brought by this app, or was changed by hand since: "
            "delete its folder yourself."
        )
    hidden = folder.with_name(f"{HIDDEN}{uuid.uuid4().hex}")
    try:
        os.rename(folder, hidden)
    except OSError as error:
        raise UserError(f"{name!r} cannot be removed: {error.strerror}.") from error
    shutil.rmtree(hidden, ignore_errors=True)
    shutil.rmtree(kept_beside(folder), ignore_errors=True)
