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
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from vizlib.errors import UserError
from vizlib.run import pickles
from vizlib.run.file_kinds import SAVE_AGAIN, refuse_stand_in, shown
from vizlib.run.pickles import Call, Name, Walk
from vizlib.run.stand_ins import stand_in_for

MAX_BYTES = 1_000_000_000
MAX_GROWTH = 4  # times the file's size; torch.save does not compress, and weights hardly can be
MAX_HEADER = 10_000_000  # of safetensors: some hundred bytes a tensor
ZIP = b"PK\x03\x04"
# the number that torch.save wrote first, up to PyTorch 1.5
LEGACY_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
DAMAGED = f"This weights file is damaged or incomplete. Copy it again, or: {SAVE_AGAIN}"
Say = Callable[[float], None]

# of a storage's elements, by the name of its class
ELEMENT_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2,
    "LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1,
    "BoolStorage": 1, "UntypedStorage": 1, "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16,
}  # fmt: skip
SAFETENSORS = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
OTHER_TENSORS = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_qtensor": "a quantised tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor that has no values",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_wrapper_subclass": "a tensor of a class of its own",
}
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

    say: called with the share that is read, in [0, 1].
    """
    kind, read = _reader(data)
    try:
        with warnings.catch_warnings(action="ignore"):
            values, metadata = read(data, say or _say_nothing)
        return Content(kind, values, metadata)
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
        raise UserError(DAMAGED) from None


def _say_nothing(share: float) -> None:
    pass


def _reader(data: bytes) -> tuple[str, Callable[[bytes, Say], tuple[Any, dict[str, str]]]]:
    """What kind of file this is, told by its first bytes, and the function that reads it."""
    refuse_stand_in(data[:200])
    if data.startswith(ZIP):
        return "PyTorch zip", _read_zip
    if LEGACY_MAGIC in data[:32]:
        return "PyTorch before 1.6", _read_legacy
    if data[8:9] == b"{":
        return "safetensors", _read_safetensors
    if data.startswith(b"\x80"):
        raise UserError(
            f"This is a Python pickle, which could run code, so it was not opened. {SAVE_AGAIN}"
        )
    raise UserError(f"This is not a PyTorch or safetensors file. {SAVE_AGAIN}")


class _Told(io.BytesIO):
    """Bytes that say what share of them was read."""

    def __init__(self, data: bytes, say: Say) -> None:
        super().__init__(data)
        self._left = self._size = len(data)
        self._say = say

    def read(self, size: int | None = -1, /) -> bytes:
        return self._counted(super().read(size))

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer)
        self._count(count)
        return count

    def _counted(self, content: bytes) -> bytes:
        self._count(len(content))
        return content

    def _count(self, count: int) -> None:
        before, self._left = self._left, max(self._left - count, 0)
        if before * 100 // self._size != self._left * 100 // self._size:
            self._say(1 - self._left / self._size)


# What torch.save writes


def _read_zip(data: bytes, say: Say) -> tuple[Any, dict[str, str]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _check_directory(archive.infolist(), len(data))
        names = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if len(names) != 1:
            raise UserError(f"This archive holds no PyTorch weights. {SAVE_AGAIN}")
        walk = pickles.walk(io.BytesIO(archive.read(names[0])))
    _check_walk(walk)
    return _load(data, walk.names, say), {}


def _check_directory(entries: Iterable[zipfile.ZipInfo], packed: int) -> None:
    paths = [entry.filename.replace("\\", "/").split("/") for entry in entries]
    unpacked = sum(entry.file_size for entry in entries)
    if any(".." in path or path[0] == "" for path in paths):
        raise UserError(f"This archive names files outside itself and was not opened. {SAVE_AGAIN}")
    if any(path[-1] == "constants.pkl" or "code" in path[:-1] for path in paths):
        raise UserError(f"This is a TorchScript program, not weights. {SAVE_AGAIN}")
    if unpacked > min(MAX_BYTES, MAX_GROWTH * packed + 1_000_000):
        raise UserError(
            f"This file would grow from {packed / 1e6:.1f} to {unpacked / 1e6:.0f} MB when "
            f"unpacked, so it was not opened. {SAVE_AGAIN}"
        )


def _read_legacy(data: bytes, say: Say) -> tuple[Any, dict[str, str]]:
    """A magic number, the version, the machine, the content, the keys of the storages: a pickle
    each; then the storages, each with its size before it.
    """
    file = io.BytesIO(data)
    walks, steps = [], pickles.MAX_STEPS
    for _ in range(5):
        walks.append(pickles.walk(file, steps))
        _check_walk(walks[-1])
    _check_legacy_storages(walks[3], walks[4].result, len(data) - file.tell())
    return _load(data, [name for walk in walks for name in walk.names], say), {}


def _check_legacy_storages(content: Walk, keys: Any, size: int) -> None:
    """Memory is taken as the ids say it, and only filled for the keys that are listed."""
    claimed = {}
    for _, storage, key, _, count, *_ in content.fetched:
        claimed[key] = count * ELEMENT_BYTES[storage.name]
    if set(claimed) != set(keys) or min(claimed.values(), default=0) < 0:
        raise UserError(DAMAGED)
    if sum(claimed.values()) > size:
        raise UserError(DAMAGED)


def _load(data: bytes, names: Iterable[Name], say: Say) -> Any:
    """What PyTorch's reader makes of it, with stand-ins where it would refuse what is harmless."""
    allowed = {(stand_in_for(name.full), name.full) for name in names if not _is_of_torch(name)}
    with (
        _one_at_a_time if allowed else contextlib.nullcontext(),
        torch.serialization.safe_globals([*allowed]),
    ):
        return torch.load(_Told(data, say), map_location="cpu", weights_only=True)


# What a pickle may call


def _check_walk(walk: Walk) -> None:
    """UserError, by name, for a pickle that wants what it must not have."""
    for name in walk.names:
        if name.full in OTHER_TENSORS:
            raise UserError(
                f"This file holds {OTHER_TENSORS[name.full]}; only plain numbers can be read. "
                f"{SAVE_AGAIN}"
            )
    unknown = [name for name in walk.names if not (_is_of_torch(name) or stand_in_for(name.full))]
    wrong = [call for call in walk.calls if not _may_call(call)]
    if walk.holds_module and unknown:
        raise UserError(
            f"This file holds a whole model (class {shown(unknown[0].name)} of module "
            f"{shown(unknown[0].module)}), not its weights, and opening that could run code. "
            f"{SAVE_AGAIN}"
        )
    if unknown or wrong:
        wanted = [call.function for call in wrong if isinstance(call.function, Name)] + unknown
        raise UserError(
            f"This file wants to run {_quoted(wanted)}: that could run code, so nothing of it was "
            f"used. {SAVE_AGAIN}"
        )
    if not all(map(_is_flat, walk.keys)) or not all(map(_is_storage, walk.fetched)):
        raise UserError(DAMAGED)


def _quoted(wanted: list[Name]) -> str:
    return f"`{shown(wanted[0])}`" if wanted else "what it makes itself"


def _is_of_torch(name: Name) -> bool:
    """Whether this is a name that PyTorch's weights-only reader knows and that does no harm."""
    return (
        name.full in CALLED
        or (name.module in ("torch", "torch.storage") and name.name in ELEMENT_BYTES)
        or (name.module == "torch" and isinstance(getattr(torch, name.name, None), torch.dtype))
        or name.full in ("torch.Tensor", "torch.nn.parameter.Parameter")
    )


def _may_call(call: Call) -> bool:
    if not isinstance(call.function, Name) or not isinstance(call.arguments, tuple):
        return False
    check = CALLED.get(call.function.full)
    if check:
        return check(*call.arguments)
    return not _is_of_torch(call.function) or call.function.name == "Parameter"


def _is_flat(value: Any) -> bool:
    """Whether hashing a value takes no time: tuples of tuples of tuples take for ever."""
    return not isinstance(value, tuple) or not any(isinstance(part, tuple) for part in value)


def _is_storage(identity: Any) -> bool:
    """Whether this is what a storage is fetched by: ("storage", kind, key, location, count), in old
    files with what is seen of it: (key, start, count).
    """
    match identity:
        case ("storage", Name(), str() | int(), str(), int(), *view):
            return len(view) < 2 and all(_is_flat(part) for part in view)
    return False


def _are_flat(items: Any = ()) -> bool:
    return not isinstance(items, (list, tuple)) or all(map(_is_flat, items))


def _are_pairs(pairs: Any = ()) -> bool:
    return not isinstance(pairs, (list, tuple)) or all(
        isinstance(pair, (list, tuple)) and _is_flat(pair[0]) for pair in pairs
    )


def _is_encoding(text: Any, encoding: Any = "latin1") -> bool:
    """Bytes, as pickle's second protocol writes them; other codecs can grow without end."""
    return isinstance(text, str) and encoding in ("latin1", "latin-1", "utf-8", "ascii")


def _is_rebuilt(function: Any, kind: Any, *_: Any) -> bool:
    """A tensor with attributes of its own: of which function, and of which class."""
    return (
        isinstance(function, Name)
        and function.full in CALLED
        and isinstance(kind, Name)
        and kind.name in ("Tensor", "Parameter")
    )


def _any(*_: Any) -> bool:
    return True


CALLED: dict[str, Callable[..., bool]] = {
    "collections.OrderedDict": _are_pairs,
    "collections.Counter": _are_flat,
    "builtins.set": _are_flat,
    "builtins.complex": _any,
    "_codecs.encode": _is_encoding,
    "torch.Size": _are_flat,
    "torch.device": _any,
    "torch.serialization._get_layout": _any,
    "torch._utils._rebuild_tensor": _any,
    "torch._utils._rebuild_tensor_v2": _any,
    "torch._utils._rebuild_tensor_v3": _any,
    "torch._utils._rebuild_parameter": _any,
    "torch._utils._rebuild_parameter_with_state": _any,
    "torch._tensor._rebuild_from_type_v2": _is_rebuilt,
}


# safetensors


def _read_safetensors(data: bytes, say: Say) -> tuple[Any, dict[str, str]]:
    size = int.from_bytes(data[:8], "little")
    if size > min(MAX_HEADER, len(data) - 8):
        raise UserError(DAMAGED)
    header = json.loads(data[8 : 8 + size], object_pairs_hook=_once_each)
    metadata = header.pop("__metadata__", {})
    _check_header(header, len(data) - 8 - size)
    body, tensors = memoryview(data)[8 + size :], {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        kind = SAFETENSORS[entry["dtype"]]
        flat = torch.frombuffer(bytearray(body[start:end]), dtype=kind) if end > start else []
        tensors[name] = torch.as_tensor(flat, dtype=kind).reshape(entry["shape"])
        say(min(end / max(len(body), 1), 1.0))
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
        kind, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if kind not in SAFETENSORS:
            raise UserError(
                f"The tensor {shown(name)} holds numbers of the kind {shown(kind, 20)}, which "
                f"cannot be read. Save it as float32 or float16."
            )
        count = math.prod(shape)
        fits = stop - start == count * SAFETENSORS[kind].itemsize and start == end
        if not fits or any(type(number) is not int or number < 0 for number in (*shape, start)):
            raise UserError(DAMAGED)
        end = stop
    if end != size:
        raise UserError(DAMAGED)
