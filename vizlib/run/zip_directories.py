"""The directory of a zip archive that torch.save should have written, looked at before its content.

PyTorch reads an archive with another reader than this one. So whatever two readers could see
differently is refused, and what the archive holds is known before anything of it is unpacked.
"""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterable
from itertools import pairwise

from vizlib.errors import UserError
from vizlib.run import pickles
from vizlib.run.file_kinds import SAVE_AGAIN, refuse_members, refuse_programs, shown

MAX_BYTES = 1_000_000_000
MAX_GROWTH = 4  # times the file's size; torch.save does not compress, and weights hardly can be
MAX_ENTRIES = 50_000
BEGINNING = b"PK\x03\x04"
_ENTRY = b"PK\x01\x02"
_END = b"PK\x05\x06"
_LONGEST_END = 22 + 65_535  # with the longest comment
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def pickle_in(data: bytes) -> bytes:
    """The pickle in an archive of torch.save, which says what its tensors are. UserError if it is
    no such archive, or none that is sound.
    """
    _check_end(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        _check_names(entries)
        _check_entries(entries)
        _check_sizes(entries, len(data))
        name = _pickle_among([entry.filename for entry in entries])
        if (size := archive.getinfo(name).file_size) > pickles.MAX_BYTES:
            raise UserError(
                f"This file has a pickle of {size / 1e6:.0f} MB beside the weights; up to "
                f"{pickles.MAX_BYTES / 1e6:.0f} MB are read. {SAVE_AGAIN}"
            )
        return archive.read(name)


def _check_end(data: bytes) -> None:
    """UserError unless the archive has one end, which every reader finds, and a directory before
    it that can be read.
    """
    ends = data.count(_END, max(len(data) - _LONGEST_END, 0))
    if ends == 0:
        raise UserError(
            f"This weights file is damaged or incomplete: it breaks off after {len(data):,} bytes. "
            "Copy or download it again."
        )
    # an archive may lie in an archive, but behind the last end there is nothing
    is_last = data.startswith(_END, len(data) - 22) and data.endswith(b"\0\0")
    if ends > 1 and not is_last:
        raise UserError(f"This zip archive has two directories, so it was not opened. {SAVE_AGAIN}")
    if data.count(_ENTRY) > MAX_ENTRIES:
        raise UserError(
            f"This zip archive has over {MAX_ENTRIES:,} entries, so it was not opened. {SAVE_AGAIN}"
        )


def _check_names(entries: Iterable[zipfile.ZipInfo]) -> None:
    paths = [entry.filename.replace("\\", "/").split("/") for entry in entries]
    if any(".." in path or path[0] == "" or ":" in path[0] for path in paths):
        raise UserError(f"This archive names files outside itself and was not opened. {SAVE_AGAIN}")
    names = ["/".join(path).casefold() for path in paths]
    if len(set(names)) < len(names):
        raise UserError(f"This archive has two files of one name and was not opened. {SAVE_AGAIN}")


def _check_entries(entries: Iterable[zipfile.ZipInfo]) -> None:
    for entry in entries:
        if entry.flag_bits & 0x1:
            raise UserError(f"This archive is encrypted. Unpack it with its password. {SAVE_AGAIN}")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise UserError(
                f"This archive has a link in it ({shown(entry.filename)}) and was not opened. "
                f"{SAVE_AGAIN}"
            )
        if entry.compress_type not in _METHODS:
            raise UserError(f"This archive is compressed in a way that is not read. {SAVE_AGAIN}")


def _check_sizes(entries: Iterable[zipfile.ZipInfo], packed: int) -> None:
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > min(MAX_BYTES, MAX_GROWTH * packed + 1_000_000):
        raise UserError(
            f"This file would grow from {packed / 1e6:.1f} to {unpacked / 1e6:.0f} MB when "
            f"unpacked, so it was not opened. {SAVE_AGAIN}"
        )
    spans = sorted(
        (entry.header_offset, entry.header_offset + entry.compress_size) for entry in entries
    )
    if any(end > start for (_, end), (start, _) in pairwise(spans)):
        raise UserError(f"The files in this archive overlap, so it was not opened. {SAVE_AGAIN}")


def _pickle_among(names: list[str]) -> str:
    """The name of the pickle, which lies in the folder of the first file."""
    refuse_programs(names)
    pickles = [name for name in names if name.casefold().endswith("data.pkl")]
    if pickles != [f"{names[0].partition('/')[0]}/data.pkl" if names else ""]:
        refuse_members(names)
        raise UserError(f"This archive holds no PyTorch weights. {SAVE_AGAIN}")
    folder = pickles[0].removesuffix("data.pkl")
    for name in names:
        if not name.startswith(folder):
            raise UserError(
                f"This archive was packed again with other files ({shown(name)}), which PyTorch "
                f"does not read. Take the file as it was saved, or: {SAVE_AGAIN}"
            )
    return pickles[0]
