"""What lies in a data set's folder: its pictures, and what is no picture or cannot be one, by
reason. Looks at names only and opens nothing.

Links are followed where they lead to something inside the folder of data sets, or the set's own
folder; no folder is entered twice on one way down, so that a link to a folder above ends.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vizlib.datasets import LeftOut, data_root
from vizlib.datasets.picture_files import ENDINGS

MOST_FOLDERS = 12  # one inside the other
LITTER = {"__macosx", "thumbs.db", "desktop.ini"}  # what systems leave in folders and archives
HIDDEN = "hidden, or left behind by a system"
NO_PICTURE = "no picture by its ending"
LINK = "a link that leads out of the folder of data sets, or nowhere"
NOT_REGULAR = "not a regular file"
NOT_UTF8 = "its name is not UTF-8"
UNREADABLE = "a folder that cannot be read"
TWICE = "a link to a folder that is read already"
TOO_DEEP = f"more than {MOST_FOLDERS} folders deep"
WITHOUT_PICTURES = "a folder without pictures"


def legible(name: str) -> str:
    """A file's name as it can be shown: what is not UTF-8 in it replaced, as people read it."""
    return composed(os.fsencode(name).decode(errors="replace"))


def composed(name: str) -> str:
    """A name in the one form (NFC) in which names that read the same are the same."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """A picture file, itself and no other. file: its path; name: the same inside the set's folder,
    with "/", in NFC.
    """

    file: str
    name: str

    @property
    def stem(self) -> str:
        """The name of the file alone, without its ending."""
        return os.path.splitext(os.path.basename(self.file))[0]


@dataclass
class Reasons:
    """Collects what is left out, by reason."""

    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, *names: str) -> None:
        if names:
            self.names.setdefault(reason, []).extend(names)

    @property
    def left_out(self) -> list[LeftOut]:
        return [LeftOut(reason, sorted(names)) for reason, names in self.names.items()]


class Walk:
    """A walk through a data set's folder. top: that folder, which names are given within. used:
    files in it that are read otherwise. reasons: what was met that is no picture.
    """

    def __init__(self, top: Path, used: Iterable[str] = ()) -> None:
        self.top, self.used, self.reasons = top, frozenset(used), Reasons()
        self._allowed = [_real(data_root()), _real(top)]
        self._real_folders: dict[str, str] = {}

    def name(self, path: str | Path) -> str:
        """The path of something inside the set's folder, as it can be shown."""
        return legible(os.path.relpath(path, self.top)).replace(os.sep, "/")

    def entries(self, folder: str | Path) -> tuple[list[os.DirEntry], list[os.DirEntry]]:
        """(folders, files) directly in a folder, by name; all else is left out."""
        folders, files = [], []
        for entry in self._listed(folder):
            reason, is_folder = self._kind(entry)
            if reason:
                self.reasons.add(reason, self.name(entry.path))
            else:
                (folders if is_folder else files).append(entry)
        return folders, files

    def folders(self, folder: str | Path) -> list[Path]:
        """The folders directly in a folder."""
        return [Path(entry.path) for entry in self.entries(folder)[0]]

    def pictures(self, folder: str | Path) -> list[Found]:
        """All pictures in a folder and below it, by name."""
        name = self.name(folder)
        prefix = "" if name == "." else name + "/"
        return list(self._below(folder, prefix, [_real(folder)], set()))

    def has_picture(self, folder: str | Path) -> bool:
        """Whether a picture lies directly in a folder: looks no further than the first."""
        try:
            with os.scandir(folder) as entries:
                return any(
                    is_picture(entry.name) and self._kind(entry) == ("", False) for entry in entries
                )
        except OSError:
            return False

    def _below(
        self, folder: str | Path, prefix: str, way: list[str], entered: set[str]
    ) -> Iterator[Found]:
        """way: the folders down to this one, as they are on disk; entered: all that were."""
        entered.add(way[-1])
        folders, files = self.entries(folder)
        for entry in files:
            if is_picture(entry.name):
                yield Found(entry.path, prefix + composed(entry.name))
            elif prefix + entry.name not in self.used:
                self.reasons.add(NO_PICTURE, prefix + composed(entry.name))
        for entry in folders:
            name = prefix + composed(entry.name)
            real = _real(entry.path) if entry.is_symlink() else os.path.join(way[-1], entry.name)
            if real in entered:
                self.reasons.add(TWICE, name)
            elif len(way) > MOST_FOLDERS:
                self.reasons.add(TOO_DEEP, name)
            else:
                yield from self._below(entry.path, name + "/", [*way, real], entered)

    def _listed(self, folder: str | Path) -> list[os.DirEntry]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError:
            self.reasons.add(UNREADABLE, self.name(folder))
            return []

    def _kind(self, entry: os.DirEntry) -> tuple[str, bool]:
        """(why it is left out, or an empty text; whether it is a folder)."""
        if entry.name[0] == "." or entry.name.lower() in LITTER:
            return HIDDEN, False
        if not entry.name.isascii() and not _is_utf8(entry.name):
            return NOT_UTF8, False
        try:
            if entry.is_symlink() and not self._leads_inside(entry):
                return LINK, False
            is_folder = entry.is_dir()
            return ("" if is_folder or entry.is_file() else NOT_REGULAR), is_folder
        except OSError:
            return NOT_REGULAR, False

    def _leads_inside(self, entry: os.DirEntry) -> bool:
        target = os.path.join(os.path.dirname(entry.path), os.readlink(entry.path))
        last = os.path.basename(target)
        real = os.path.join(self._real_folder(os.path.dirname(target)), last)
        if last in ("", ".", "..") or os.path.islink(real):
            real = _real(real)
        inside = any(os.path.commonpath((real, allowed)) == allowed for allowed in self._allowed)
        return inside and os.path.exists(real)

    def _real_folder(self, folder: str) -> str:
        """Where a folder is; looked up once, as thousands of links may lead into one."""
        if folder not in self._real_folders:
            self._real_folders[folder] = _real(folder)
        return self._real_folders[folder]


def is_picture(name: str) -> bool:
    """Whether a file is a picture by the ending of its name."""
    stem, dot, ending = name.rpartition(".")
    return bool(stem) and dot + ending.lower() in ENDINGS


def holds_pictures(folder: str | Path) -> bool:
    """Whether a picture lies in a folder or below it. Ends at the first."""
    walk, deeper, seen = Walk(Path(folder)), [(str(folder), 0)], set()
    while deeper:
        folder, depth = deeper.pop()
        if walk.has_picture(folder):
            return True
        real = _real(folder)
        if depth < MOST_FOLDERS and real not in seen:
            deeper += [(entry.path, depth + 1) for entry in walk.entries(folder)[0]]
        seen.add(real)
    return False


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _real(path: str | Path) -> str:
    return os.path.realpath(path)
