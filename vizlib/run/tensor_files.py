"""What lies in a file of tensors, read without running anything and in bounded memory.

Read are safetensors and what torch.save writes, the latter by PyTorch's weights-only reader alone.
That reader stops code, not waste of memory or time, so the pickle is walked through before
(`vizlib.run.pickles`) and sizes are compared. Its own error text is never passed on: it advises to
switch the safety off.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch

from vizlib.errors import UserError
from vizlib.run import allowed, file_kinds, pickles, zip_directories
from vizlib.run.file_kinds import SAVE_AGAIN, shown
from vizlib.run.pickles import Name, Walk
from vizlib.run.stand_ins import stand_in_for

MAX_HEADER = 4_000_000  # bytes of safetensors: some hundred a tensor; they grow as they are read
MAX_AXES = 64  # of a tensor, as PyTorch has it
# the number that torch.save wrote first, up to PyTorch 1.5
LEGACY_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
DAMAGED = f"This weights file is damaged or incomplete. Copy it again, or: {SAVE_AGAIN}"
Say = Callable[[float], None]

SAFETENSORS = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_one_at_a_time = threading.Lock()  # what PyTorch's reader lets through is one list for all threads


@dataclass(frozen=True)
class Content:
    """What a file held: dictionaries, lists and plain values with tensors among them."""

    kind: str  # "PyTorch zip", "PyTorch before 1.6" or "safetensors"
    values: Any
    metadata: dict[str, str]  # of safetensors


def read_content(data: bytes, say: Say | None = None) -> Content:
    """What the bytes of a file hold. UserError, saying what to do, if they hold no tensors or could
    run code.

    say: called with the share that is read, in [0, 1]; what it raises ends the reading.
    """
    kind, read = _reader(data)
    told = _Told(data, say)
    try:
        with warnings.catch_warnings(action="ignore"):
            values, metadata = read(data, told)
    except UserError:
        raise
    except pickles.TooLong:
        raise UserError(
            f"This file holds over {pickles.MAX_STEPS:,} Python values beside the weights. "
            f"{SAVE_AGAIN}"
        ) from None
    # readers of damaged files raise anything, KeyError to MemoryError, in words that must not be
    # shown
    except Exception:  # noqa: BLE001
        raise told.ended_by or UserError(DAMAGED) from None
    told.share(1.0)
    return Content(kind, values, metadata)


class _Told(io.BytesIO):
    """Bytes of which it is said what share was read."""

    def __init__(self, data: bytes, say: Say | None) -> None:
        super().__init__(data)
        self._read, self._size = 0, len(data)
        self._say = say
        self.ended_by: Exception | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self._count(len(content))
        return content

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self._count(count)
        return count

    def _count(self, count: int) -> None:
        before, self._read = self._read, self._read + count
        if before * 100 // self._size < self._read * 100 // self._size:
            self.share(min(self._read / self._size, 1.0))

    def share(self, share: float) -> None:
        """Say a share; keep what that raises, which may not come through PyTorch's reader."""
        try:
            if self._say:
                self._say(share)
        except Exception as error:
            self.ended_by = error
            raise


Reader = Callable[[bytes, _Told], tuple[Any, dict[str, str]]]


def _reader(data: bytes) -> tuple[str, Reader]:
    """What kind of file this is, told by its first bytes, and the function that reads it."""
    if data.startswith(zip_directories.BEGINNING):
        return "PyTorch zip", _read_zip
    if LEGACY_MAGIC in data[:32]:
        return "PyTorch before 1.6", _read_legacy
    if data[8:9] == b"{" and not data[:8].decode("latin1").isprintable():
        return "safetensors", _read_safetensors
    _refuse_pickle(data)
    return file_kinds.refuse(data)


def _refuse_pickle(data: bytes) -> None:
    """UserError for a pickle that torch.save did not write, if it wants what it must not have. In
    the first protocol a pickle is a text, so what is none is not taken for one.
    """
    is_pickle = data.startswith(b"\x80")
    if is_pickle or data.endswith(b"."):
        walk, is_whole = pickles.survey(data, allowed.may_call)
        if is_pickle or is_whole:
            allowed.check(walk)


# What torch.save writes


def _read_zip(data: bytes, told: _Told) -> tuple[Any, dict[str, str]]:
    file = io.BytesIO(zip_directories.pickle_in(data))
    return _load(told, _checked_walk(file, pickles.MAX_STEPS).names), {}


def _checked_walk(file: BinaryIO, most_steps: int) -> Walk:
    walk = pickles.walk(file, allowed.may_call, most_steps)
    allowed.check(walk)
    if walk.protocol in (4, 5):
        raise UserError(
            f"This file was saved with pickle's protocol {walk.protocol}, which cannot be read "
            f"safely. Save it again without it: torch.save(model.state_dict(), 'weights.pt')."
        )
    return walk


def cut_off(here: int, whole: int) -> str:
    """The sentence for a file of which only a part is here; sizes in bytes."""
    return (
        f"This weights file is damaged or incomplete: {whole:,} bytes of it are announced, and "
        f"{here:,} are here. Copy or download it again."
    )


def _read_legacy(data: bytes, told: _Told) -> tuple[Any, dict[str, str]]:
    """A magic number, the version, the machine, the content, the keys of the storages: a pickle
    each; then the storages, each with its size before it.
    """
    file = io.BytesIO(data[: pickles.MAX_BYTES])
    walks = [_checked_walk(file, pickles.MAX_STEPS // 5) for _ in range(3)]
    content, keys = (_checked_walk(file, pickles.MAX_STEPS) for _ in range(2))
    _check_storages(content, keys.result, len(data) - file.tell())
    names = [name for walk in (*walks, content, keys) for name in walk.names]
    return _load(told, names), {}


def _check_storages(content: Walk, keys: Any, size: int) -> None:
    """Memory is taken as the ids say it, and only filled for the keys that are listed."""
    claimed: dict[Any, int] = {}
    for _, storage, key, _, count, *_ in content.fetched:
        claimed[key] = count * allowed.ELEMENT_BYTES[storage.name]
    listed = isinstance(keys, list) and all(isinstance(key, (str, int)) for key in keys)
    if not listed or set(claimed) != set(keys) or min(claimed.values(), default=0) < 0:
        raise UserError(DAMAGED)
    if sum(claimed.values()) > size:
        raise UserError(cut_off(size, sum(claimed.values())))


def _load(file: BinaryIO, names: Iterable[Name]) -> Any:
    """What PyTorch's reader makes of it, with stand-ins where it would refuse what is harmless."""
    known = (name.full for name in names if not allowed.is_of_torch(name))
    stand_ins: list[Any] = [(stand_in_for(name), name) for name in known]
    with (
        _one_at_a_time if stand_ins else contextlib.nullcontext(),
        torch.serialization.safe_globals(stand_ins),
    ):
        return torch.load(file, map_location="cpu", weights_only=True)


# safetensors


def _read_safetensors(data: bytes, told: _Told) -> tuple[Any, dict[str, str]]:
    size = int.from_bytes(data[:8], "little")
    if size > MAX_HEADER:
        raise UserError(
            "This safetensors file is damaged or incomplete: its header claims more than "
            f"{MAX_HEADER / 1e6:.0f} MB. Copy it again."
        )
    if size > len(data) - 8:
        raise UserError(cut_off(len(data) - 8, size))
    header = json.loads(data[8 : 8 + size], object_pairs_hook=_once_each)
    metadata = header.pop("__metadata__", {})
    _check_header(header, len(data) - 8 - size)
    body, tensors, read = memoryview(data)[8 + size :], {}, 0
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        kind = SAFETENSORS[entry["dtype"]]
        flat = torch.frombuffer(bytearray(body[start:end]), dtype=kind) if end > start else []
        tensors[name] = torch.as_tensor(flat, dtype=kind).reshape(entry["shape"])
        read += end - start
        told.share(read / max(len(body), 1))
    return tensors, {str(name): str(text) for name, text in metadata.items()}


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise UserError(f"This file has two tensors of one name. {SAVE_AGAIN}")
    return names


def _check_header(header: dict[str, Any], size: int) -> None:
    """UserError unless the tensors lie one behind another and take up the whole file."""
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        if entry["dtype"] not in SAFETENSORS:
            raise UserError(
                f"The tensor {shown(name)} holds numbers of the kind {shown(entry['dtype'], 20)}, "
                "which cannot be read. Save it as float32 or float16."
            )
        start, stop = entry["data_offsets"]
        if start != end or stop - start != _bytes_of(entry):
            raise UserError(
                f"The tensor {shown(name)} does not lie where this file says: it is damaged or "
                "incomplete. Copy it again."
            )
        end = stop
    if end > size:
        raise UserError(cut_off(size, end))
    if end < size:
        raise UserError("This file is damaged: more follows its tensors. Copy it again.")


def _bytes_of(entry: dict[str, Any]) -> int:
    """What a tensor takes as its shape says; -1 if that is no shape."""
    shape = entry["shape"]
    whole = len(shape) <= MAX_AXES and all(
        type(size) is int and 0 <= size < 2**40 for size in shape
    )
    return math.prod(shape) * SAFETENSORS[entry["dtype"]].itemsize if whole else -1
