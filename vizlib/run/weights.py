"""Weights to and from files, without ever running what a file brings.

Read are safetensors and what torch.save writes, the latter by PyTorch's weights-only reader alone.
That reader stops code, not waste of memory, so sizes are checked before and shapes after. Its own
error text is never passed on: it advises to switch the safety off.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch

from vizlib.errors import UserError
from vizlib.files import check_regular, write_whole

MAX_BYTES = 1_000_000_000
MAX_GROWTH = 4  # times the file's size; torch.save does not compress, and weights hardly can be
# a state dictionary of a thousand tensors takes forty thousand; each step may cost some seventy
# bytes
MAX_PICKLE_STEPS = 1_000_000
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
PREFIXES = ("module.", "model.", "_orig_mod.")
DTYPES = {
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
}
SAVE_AGAIN = "Save it again with torch.save(model.state_dict(), 'weights.pt')."
# the number that torch.save wrote first, up to PyTorch 1.5
LEGACY_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
# what stands behind a tensor's name for the scales of its 8-bit integers
SCALE = ".scale_of_int8"
PACKED_VALUES = 1024  # smaller tensors are not worth it
Tensors = dict[str, torch.Tensor]


def save_weights(
    state_dict: Mapping[str, torch.Tensor], path: Path, dtype: torch.dtype | None = torch.float16
) -> None:
    """Write tensors by name as safetensors; the file appears whole or not at all.

    Floating tensors become `dtype`, unless they would overflow in it; None keeps them as they are,
    for a run to be resumed. Integers stay.
    """
    tensors = {name: _to_save(tensor, dtype) for name, tensor in state_dict.items()}
    write_whole(path, safetensors.torch.save(tensors))


def _to_save(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    # safetensors refuses tensors that share memory
    tensor = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    if dtype is None or not tensor.is_floating_point():
        return tensor
    smaller = tensor.to(dtype)
    return smaller if smaller.isfinite().all() else tensor


def packed_weights(state_dict: Mapping[str, torch.Tensor]) -> bytes:
    """A safetensors file of tensors by name, the larger ones as 8-bit integers with one scale for
    each output channel (float32): a quarter of float32's bytes. The rest, norms and biases among
    it, as `save_weights` has it. `load_weights` gives floats again, each within half a scale.
    """
    tensors = {}
    for name, tensor in state_dict.items():
        if tensor.is_floating_point() and tensor.ndim > 1 and tensor.numel() >= PACKED_VALUES:
            tensors[name], tensors[name + SCALE] = _as_integers(tensor)
        else:
            tensors[name] = _to_save(tensor, torch.float16)
    return safetensors.torch.save(tensors)


def _as_integers(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 (K, ...) in [-127, 127] and the scale of each output channel, float32 (K,)."""
    tensor = tensor.detach().cpu().float().contiguous()
    largest = tensor.flatten(1).abs().amax(dim=1)
    scales = torch.where(largest > 0, largest / 127, 1.0)
    return (tensor / _along(scales, tensor)).round().to(torch.int8), scales


def _along(scales: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """Scales (K,) as they multiply a tensor (K, ...)."""
    return scales.reshape(-1, *[1] * (tensor.ndim - 1))


def _unpacked(tensors: Tensors) -> Tensors:
    """The tensors by name, those as floats that lie as integers with their scales."""
    return {
        name: _as_floats(name, tensor, tensors[name + SCALE]) if name + SCALE in tensors else tensor
        for name, tensor in tensors.items()
        if not name.endswith(SCALE)
    }


def _as_floats(name: str, tensor: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    if tensor.dtype != torch.int8 or tensor.ndim < 2 or scales.shape != tensor.shape[:1]:
        raise UserError(
            f"The 8-bit tensor {_shown(name)} and its scales do not fit: the file is damaged. Copy "
            "it again."
        )
    return tensor.float() * _along(scales, tensor)


def load_weights(path_or_bytes: str | os.PathLike | bytes | bytearray | memoryview) -> Tensors:
    """The tensors of a weights file by name, on the CPU: floating ones as float32, integers as they
    are.

    Takes safetensors, also as `packed_weights` makes them, and torch.save files, also of PyTorch
    before 1.6. Looks inside {"state_dict":
    ...} and the like, and removes "module.", "model." and "_orig_mod." if all names begin so.
    UserError, saying what to do, for anything else; nothing in a file is ever run.
    """
    data = _checked_bytes(path_or_bytes)
    try:
        content = _reader(data)(data)
    except UserError:
        raise
    except pickle.UnpicklingError:
        raise UserError(
            "This file holds Python objects beside the weights, which could run code, so "
            f"nothing of it was used. {SAVE_AGAIN}"
        ) from None
    # readers of damaged files raise anything, KeyError to MemoryError, in words that must not be
    # shown
    except Exception:  # noqa: BLE001
        raise UserError(
            f"This weights file is damaged or incomplete. Copy it again, or: {SAVE_AGAIN}"
        ) from None
    return _without_prefixes(_unpacked(_checked_tensors(_state_dict_in(content))))


def _checked_bytes(path_or_bytes: str | os.PathLike | bytes | bytearray | memoryview) -> bytes:
    if isinstance(path_or_bytes, (bytes, bytearray, memoryview)):
        _check_size(len(path_or_bytes))
        return bytes(path_or_bytes)
    path = Path(path_or_bytes)
    try:
        _check_size(check_regular(path).st_size)
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"The weights file {path.name[:60]!r} cannot be read: {error.strerror}."
        ) from error


def _check_size(size: int) -> None:
    if size == 0:
        raise UserError("This weights file is empty. Copy it again.")
    if size > MAX_BYTES:
        raise UserError(
            f"This weights file has {size / 1e9:.1f} GB; up to {MAX_BYTES / 1e9:.0f} GB can "
            "be opened. Save the weights without the optimiser."
        )


def _reader(data: bytes) -> Callable[[bytes], Any]:
    """The function that reads this kind of file, told by its first bytes."""
    _refuse_stand_in(data[:200])
    if data.startswith(b"PK\x03\x04"):
        return _read_zip
    if LEGACY_MAGIC in data[:32]:
        # a magic number, the version, the machine, then the content
        return lambda data: _load(data, io.BytesIO(data), 4)
    if data[8:9] == b"{":
        return safetensors.torch.load
    if data.startswith(b"\x80"):
        raise UserError(
            f"This is a Python pickle, which could run code, so it was not opened. {SAVE_AGAIN}"
        )
    raise UserError(f"This is not a PyTorch or safetensors file. {SAVE_AGAIN}")


def _refuse_stand_in(beginning: bytes) -> None:
    """UserError for what is downloaded instead of weights."""
    if beginning.startswith(b"version https://git-lfs"):
        raise UserError(
            "This is a Git-LFS pointer, not the weights themselves. Run `git lfs pull` and "
            "take the file again."
        )
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise UserError(
            "This is a web page, not weights. Download the file itself (the raw file, after "
            "signing in if asked)."
        )


def _read_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _check_directory(archive.infolist(), len(data))
        pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if len(pickles) != 1:
            raise UserError(f"This archive holds no PyTorch weights. {SAVE_AGAIN}")
        return _load(data, io.BytesIO(archive.read(pickles[0])), 1)


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


def _load(data: bytes, file: BinaryIO, pickles: int) -> Any:
    """What the bytes hold, after a walk through the pickles in `file` without carrying them out: a
    billion empty lists would fill the memory.
    """
    steps = (step for _ in range(pickles) for step in pickletools.genops(file))
    if any(count >= MAX_PICKLE_STEPS for count, _ in enumerate(steps)):
        raise UserError(
            f"This file holds over {MAX_PICKLE_STEPS:,} Python values beside the weights. "
            f"{SAVE_AGAIN}"
        )
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _state_dict_in(content: Any) -> dict[Any, torch.Tensor]:
    """The dictionary of tensors in what a file held: itself, or inside a wrapper."""
    for _ in range(4):
        if not isinstance(content, dict):
            break
        inner = {name: value for name, value in content.items() if isinstance(value, dict)}
        wrapped = next((inner[name] for name in WRAPPERS if name in inner), None)
        if wrapped is None and any(isinstance(value, torch.Tensor) for value in content.values()):
            return {
                name: value for name, value in content.items() if isinstance(value, torch.Tensor)
            }
        if wrapped is None and len(inner) == 1:
            wrapped = next(iter(inner.values()))
        content = wrapped
    raise UserError(f"This file holds no dictionary of weights. {SAVE_AGAIN}")


def _checked_tensors(tensors: dict[Any, torch.Tensor]) -> Tensors:
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > MAX_BYTES:
        raise UserError(f"The tensors in this file claim more values than it holds. {SAVE_AGAIN}")
    if not all(isinstance(name, str) for name in tensors):
        raise UserError(f"The tensors in this file have no names. {SAVE_AGAIN}")
    return {name: _checked(name, tensor) for name, tensor in tensors.items()}


def _checked(name: str, tensor: torch.Tensor) -> torch.Tensor:
    _check_kind(name, tensor)
    tensor = tensor.detach().contiguous()
    if not tensor.is_floating_point():
        return tensor
    tensor = tensor.to(torch.float32)
    if not tensor.isfinite().all():
        raise UserError(
            f"The tensor {_shown(name)} holds NaN or infinite values: that training failed. "
            "Take an earlier checkpoint."
        )
    return tensor


def _check_kind(name: str, tensor: torch.Tensor) -> None:
    """UserError unless a tensor is plain numbers, all of which the file holds."""
    if (
        type(tensor) not in (torch.Tensor, torch.nn.Parameter)
        or tensor.layout != torch.strided
        or tensor.is_meta
        or tensor.dtype not in DTYPES
    ):
        raise UserError(
            f"The tensor {_shown(name)} is sparse, complex, quantised or has no values; only "
            f"plain numbers can be read. {SAVE_AGAIN}"
        )
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise UserError(
            f"The tensor {_shown(name)} claims more values than the file holds (an expanded "
            f"tensor). {SAVE_AGAIN}"
        )


def _without_prefixes(tensors: Tensors) -> Tensors:
    # twice: "module." may stand around "_orig_mod." and the other way round
    for prefix in (prefix for prefix in PREFIXES * 2 if tensors):
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def load_into(model: torch.nn.Module, state_dict: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """Put tensors into a model, every name and shape as the model has it, and return the model.
    UserError says what does not fit.

    Only batch normalisation's step counts, which files of old PyTorch lack, may be missing.
    """
    faults = [
        f"{word}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if names[3:] else ''}."
        for word, names in _misfits(model.state_dict(), state_dict).items()
        if names
    ]
    if faults:
        raise UserError(f"These weights do not fit this network. {' '.join(faults)}")
    model.load_state_dict(dict(state_dict))
    return model


def _misfits(
    own: Mapping[str, torch.Tensor], state_dict: Mapping[str, torch.Tensor]
) -> dict[str, list[str]]:
    """The names of tensors that a network and a file do not share, by what is wrong with them."""
    missing = [
        name for name in own if name not in state_dict and not name.endswith("num_batches_tracked")
    ]
    different = [
        f"{name} is {_size(state_dict[name])} in the file and {_size(own[name])} in the network"
        for name in own
        if name in state_dict and state_dict[name].shape != own[name].shape
    ]
    unexpected = [_shown(name) for name in state_dict if name not in own]
    return {"Missing": missing, "Unexpected": unexpected, "Of another shape": different}


def _size(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"


def _shown(name: str) -> str:
    """A name from a file, fit for a message: short, and without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:60])
