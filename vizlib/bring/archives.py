"""Zip files from outside: which of their members are taken, and what they unpack to.

Nothing that an archive says of itself is believed: names become paths only part by part, sizes are
counted while the bytes come out. Nothing in it is executed.
"""

from __future__ import annotations

import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from vizlib.datasets.layouts import part_of
from vizlib.datasets.walking import HIDDEN, LITTER, MOST_FOLDERS, TOO_DEEP, Reasons, is_picture
from vizlib.errors import UserError
from vizlib.images import MAX_BYTES

MOST_DIRECTORY = 10_000_000  # bytes of an archive's list of members: some 100,000 of them
LONGEST_NAME = 120  # letters of a file's or folder's name
MOST_NAME_BYTES = 240  # file systems hold 255
TABLES = (".csv", ".tsv")
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")
CHUNK = 1 << 18
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # LZMA may ask for 4 GB of memory

OUTSIDE = "its path leads out of the archive"
NO_NAME = "its name cannot be a file's"
TOO_LONG = f"its name has more than {LONGEST_NAME} letters"
NOT_A_FILE = "a link or a device, not a file"
LOCKED = "locked by a password"
UNKNOWN_PACKING = "packed in a way that is not read here"
INNER_ARCHIVE = "an archive inside the archive"
NOT_WANTED = "neither a picture nor a table, by its ending"
TWICE = "named like another one, but for capitals or Unicode forms"
TOO_LARGE = f"over {MAX_BYTES // 1_000_000} MB"
DAMAGED = "damaged"

# whatever zipfile and the unpackers below it stumble over
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,  # also names that claim to be UTF-8 and are not
    OverflowError,
    NotImplementedError,
    RuntimeError,
    OSError,
)


@dataclass(frozen=True)
class Member:
    """One file of an archive that is taken. parts: of its path, each fit to be a file's name, in
    NFC.
    """

    parts: tuple[str, ...]
    entry: zipfile.ZipInfo

    @property
    def name(self) -> str:
        return "/".join(self.parts)


def opened(file: BinaryIO) -> zipfile.ZipFile:
    """The archive in a file. UserError if it is none, or its list of members is too long or
    contradicts itself; that is looked at before it is read.
    """
    with _said_in_a_sentence():
        directory = _directory_bytes(file)
    if directory > MOST_DIRECTORY:
        raise UserError(
            "This zip lists more members than can be unpacked here: its directory is over "
            f"{MOST_DIRECTORY // 1_000_000} MB."
        )
    with _said_in_a_sentence():
        archive = zipfile.ZipFile(file)
    _check_overlaps(archive)
    return archive


@contextmanager
def _said_in_a_sentence() -> Iterator[None]:
    try:
        yield
    except BROKEN as error:
        raise UserError(
            "This is not a zip file that can be read here, or it is damaged. Make the zip anew."
        ) from error


def _directory_bytes(file: BinaryIO) -> int:
    """How long an archive's list of members is, by both forms of its end."""
    size = file.seek(0, 2)
    start = max(0, size - 65_557)  # a comment of the greatest length before the end
    file.seek(start)
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) < end + 22:
        raise zipfile.BadZipFile("no end of a directory")
    (directory,) = struct.unpack_from("<L", tail, end + 12)
    if tail[max(0, end - 20) : end].startswith(b"PK\x06\x07"):
        file.seek(max(0, start + end - 76))
        record = file.read(56)
        if record.startswith(b"PK\x06\x06") and len(record) == 56:
            directory = max(directory % 0xFFFFFFFF, struct.unpack_from("<Q", record, 40)[0])
    return directory


def _check_overlaps(archive: zipfile.ZipFile) -> None:
    """UserError where members share bytes, as in archives made to unpack to more than a disk."""
    free = 0
    for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
        if entry.header_offset < free:
            raise UserError(
                "Members of this zip lie one over the other, as in archives made to fill a disk. "
                "Make the zip anew."
            )
        free = entry.header_offset + 30 + entry.compress_size


def is_picture_or_table(file_name: str) -> bool:
    return is_picture(file_name) or _is_table(file_name)


def members(
    archive: zipfile.ZipFile, is_wanted: Callable[[str], bool] = is_picture_or_table
) -> tuple[list[Member], Reasons]:
    """The members to take, and what is left out. is_wanted: of the name of a file, without its
    folders.
    """
    taken, reasons = [], Reasons()
    seen = _Seen()
    for entry in archive.infolist():
        name = _legible_name(entry)
        if name.endswith("/"):
            continue  # a folder: it is made when a file lies in it
        parts = tuple(unicodedata.normalize("NFC", part) for part in name.split("/") if part != "")
        reason = _reason(name, parts, entry, is_wanted) or seen.reason(parts)
        if reason:
            reasons.add(reason, _shown(name))
        else:
            taken.append(Member(parts, entry))
    return _unwrapped(taken), reasons


def _unwrapped(taken: list[Member]) -> list[Member]:
    """Without the folder that was zipped as a whole, where lists or further folders lie in it."""
    first = {member.parts[0] for member in taken}
    has_list = any(len(each.parts) == 2 and _is_table(each.parts[1]) for each in taken)
    is_deep = all(len(each.parts) > 2 for each in taken)
    if len(first) != 1 or part_of(min(first)) or not (has_list or is_deep):
        return taken
    return _unwrapped([Member(member.parts[1:], member.entry) for member in taken])


def _is_table(file_name: str) -> bool:
    return PurePosixPath(file_name).suffix.lower() in TABLES


def _legible_name(entry: zipfile.ZipInfo) -> str:
    """A member's name with "/" between folders. Without the mark of UTF-8 it is of the code page
    437, by the standard; yet many programs write UTF-8 there.
    """
    name = entry.orig_filename
    if not entry.flag_bits & 0x800:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _shown(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + "..."


def _reason(
    name: str, parts: tuple[str, ...], entry: zipfile.ZipInfo, is_wanted: Callable[[str], bool]
) -> str:
    """Why a member is left out, in a few words; empty where it is taken."""
    return _reason_of_path(name, parts) or _reason_of_kind(parts[-1], entry, is_wanted)


def _reason_of_path(name: str, parts: tuple[str, ...]) -> str:
    if name.startswith("/") or ".." in parts or (parts and parts[0][1:2] == ":"):
        return OUTSIDE
    if not parts or not all(map(_can_be_a_name, parts)):
        return NO_NAME
    if any(len(part) > LONGEST_NAME or len(part.encode()) > MOST_NAME_BYTES for part in parts):
        return TOO_LONG
    if any(part[0] == "." or part.lower() in LITTER for part in parts):
        return HIDDEN
    return TOO_DEEP if len(parts) > MOST_FOLDERS else ""


def _can_be_a_name(part: str) -> bool:
    """On this system; no control characters, which could restyle a terminal."""
    if part == "." or not part.strip():
        return False
    return all(unicodedata.category(letter) not in ("Cc", "Cs", "Cn") for letter in part)


def _reason_of_kind(
    file_name: str, entry: zipfile.ZipInfo, is_wanted: Callable[[str], bool]
) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind and kind != stat.S_IFREG:
        return NOT_A_FILE
    ending = PurePosixPath(file_name).suffix.lower()
    if ending in ARCHIVES:
        return INNER_ARCHIVE
    if not is_wanted(file_name):
        return NOT_WANTED
    if entry.compress_type not in PACKINGS:
        return UNKNOWN_PACKING
    return LOCKED if entry.flag_bits & 1 else ""


class _Seen:
    """The paths that are taken, as file systems compare them that know no capitals."""

    def __init__(self) -> None:
        self._files: set[tuple[str, ...]] = set()
        self._folders: set[tuple[str, ...]] = set()

    def reason(self, parts: tuple[str, ...]) -> str:
        """Why a path cannot be taken as well; empty, and it counts as taken, where it can."""
        path = tuple(unicodedata.normalize("NFC", part.casefold()) for part in parts)
        above = [path[:count] for count in range(1, len(path))]
        if path in self._files or path in self._folders or not self._files.isdisjoint(above):
            return TWICE
        self._files.add(path)
        self._folders.update(above)
        return ""


class Refused(Exception):
    """One member cannot be unpacked: the reason, in a few words."""


def chunks(archive: zipfile.ZipFile, member: Member) -> Iterator[bytes]:
    """The bytes that a member unpacks to, at most MAX_BYTES and one chunk more. Refused where it
    is longer than that, or damaged.
    """
    count = 0
    try:
        with archive.open(member.entry) as stream:
            while chunk := stream.read(CHUNK):
                count += len(chunk)
                yield chunk
                if count > MAX_BYTES:
                    raise Refused(TOO_LARGE)
    except BROKEN:
        raise Refused(DAMAGED) from None
