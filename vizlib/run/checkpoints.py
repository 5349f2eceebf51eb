"""A file of somebody's weights: its tensors by name, and what else it says that is plain.

Training scripts put a network's weights in all sorts of wrappings: beside the optimiser's state,
under one of a dozen names, under the name of the class around the network. Here they are found.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from vizlib.errors import UserError, unknown
from vizlib.files import check_regular, open_regular
from vizlib.run import integers
from vizlib.run.besides import plain_values
from vizlib.run.file_kinds import SAVE_AGAIN, shown
from vizlib.run.stand_ins import Array
from vizlib.run.tensor_files import MAX_AXES, Say, read_content
from vizlib.run.zip_directories import MAX_BYTES

Tensors = dict[str, torch.Tensor]
Bytes = bytes | bytearray | memoryview
# a dictionary of tensors under one of these is taken before others, in this order
WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "net_state_dict",
    "weights", "params", "module", "classifier", "ema", "model_ema", "state_dict_ema",
    "ema_state_dict",
)  # fmt: skip
LONE_PREFIX = "classifier."
PREFIXES = (
    "module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.", LONE_PREFIX,
)  # fmt: skip
# of what lies beside a network in the module around it
NO_LAYER = re.compile(
    r"(\w+_)?(criterion|loss(_fn|es)?|metrics?|acc(uracy)?\d*|top\d+|f1(_?score)?|auroc|auc|"
    r"confmat|precision|recall|ema|teacher|n_averaged|(class|pos)_weights?|mean|std)(_\w+)?",
    re.IGNORECASE,
)
OPTIMISER = re.compile(r"optim|sched|scaler|callbacks|loops|rng", re.IGNORECASE)
RANDOM_STATE = re.compile(r"(^|_)rng(_|$)", re.IGNORECASE)
OF_A_LAYER = ("weight", "bias", "running_mean")
OPTIMISER_STATE = {
    "step",
    "exp_avg",
    "exp_avg_sq",
    "max_exp_avg_sq",
    "momentum_buffer",
    "square_avg",
}
MAX_DEPTH = 5
MAX_PARTS = 1000
MAX_NAME = 500
DTYPES = {
    torch.float64, torch.float32, torch.float16, torch.bfloat16,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
}  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """What somebody's file of weights holds."""

    tensors: Tensors  # on the CPU, floating ones as float32; in the file's order if it has one
    kind: str  # "PyTorch zip", "PyTorch before 1.6" or "safetensors"
    dtype: str  # of most of its floating values: "float16"; empty if it has none
    wrapper: str = ""  # where in the file they lay: "net / state_dict"; empty if nothing was around
    prefix: str = ""  # removed from their names: "module.model."
    left_out: tuple[str, ...] = ()  # tensors without that prefix, which are of no layer
    has_several: tuple[
        str, ...
    ] = ()  # where other dictionaries of tensors lie, as `wrapper` says it
    non_finite: tuple[str, ...] = ()  # tensors with NaN or infinite values: that training failed
    besides: dict[str, Any] = field(default_factory=dict)  # plain values by name: {"epoch": 90}


def read_checkpoint(
    path_or_bytes: str | os.PathLike | Bytes, say: Say | None = None, part: str | None = None
) -> Checkpoint:
    """What a file of weights holds: safetensors, or what torch.save wrote, also before PyTorch 1.6.

    say: called with the share that is read, in [0, 1].
    part: which of several dictionaries of tensors is wanted, as `has_several` and `wrapper` name
    them; the likeliest if None.
    UserError, saying what to do, for anything else; nothing in a file is ever run.
    """
    checkpoint = read_leniently(path_or_bytes, say, part)
    for name in checkpoint.tensors:
        if not name.isprintable() or len(name) > MAX_NAME:
            raise UserError(
                f"The name of the tensor {shown(name)} is too long or cannot be shown. {SAVE_AGAIN}"
            )
    return checkpoint


def read_leniently(
    path_or_bytes: str | os.PathLike | Bytes,
    say: Say | None = None,
    part: str | None = None,
    prefixes: tuple[str, ...] = PREFIXES,
) -> Checkpoint:
    """`read_checkpoint`, with names of tensors that may not be fit to be shown."""
    content = read_content(bytes_of(path_or_bytes), say)
    parts = _parts_of(content.values)
    chosen = _chosen(parts, part)
    tensors, prefix, left_out = without_prefixes(
        _unpacked(_checked_tensors(chosen.tensors)), prefixes
    )
    return Checkpoint(
        tensors=tensors,
        kind=content.kind,
        dtype=_usual_dtype(chosen.tensors.values()),
        wrapper=chosen.name,
        prefix=prefix,
        left_out=tuple(left_out),
        has_several=tuple(other.name for other in parts if other is not chosen),
        non_finite=tuple(name for name, tensor in tensors.items() if not _is_finite(tensor)),
        besides=plain_values((content.metadata, *chosen.beside)),
    )


def bytes_of(path_or_bytes: str | os.PathLike | Bytes) -> bytes:
    """What a file holds that is not too large for a file of weights. UserError for one that is, or
    cannot be read.
    """
    if isinstance(path_or_bytes, (bytes, bytearray, memoryview)):
        _check_size(len(path_or_bytes))
        return bytes(path_or_bytes)
    path = Path(path_or_bytes)
    if os.path.isdir(path):
        raise UserError(
            f"{shown(path.name)!r} cannot be read: it is a folder. Take the file in it."
        )
    try:
        size = check_regular(path).st_size
        _check_size(size)
        with open_regular(path) as file:
            content = file.read(size + 1)
    except UserError:
        raise
    except (OSError, ValueError, MemoryError) as error:
        why = getattr(error, "strerror", None) or "it is no file, or there is no memory for it"
        raise UserError(f"The weights file {shown(path.name)!r} cannot be read: {why}.") from error
    if len(content) != size:
        raise UserError(
            f"The weights file {shown(path.name)!r} changed while it was read. Try again."
        )
    return content


def _check_size(size: int) -> None:
    if size == 0:
        raise UserError("This weights file is empty. Copy it again.")
    if size > MAX_BYTES:
        raise UserError(
            f"This weights file has {size / 1e9:.1f} GB; up to {MAX_BYTES / 1e9:.0f} GB can "
            "be opened. Save the weights without the optimiser."
        )


# Which of the tensors in a file are the weights

KeyPath = tuple[str, ...]
Held = dict[Any, Any]


@dataclass(frozen=True)
class _Part:
    """A dictionary of tensors in a file: the keys that lead to it, and the dictionaries on the way
    there, the outermost first.
    """

    path: KeyPath
    around: tuple[Held, ...]
    tensors: Held  # tensors, or arrays, by what should be their names

    @property
    def name(self) -> str:
        return " / ".join(self.path)

    @property
    def count(self) -> int:
        """Of its values."""
        return sum(map(_count, self.tensors.values()))

    @property
    def beside(self) -> list[Held]:
        """What lies in those dictionaries beside the tensors, the innermost first."""
        inside = (*self.around[1:], self.tensors)
        return [
            {
                name: value
                for name, value in held.items()
                if value is not inner and name not in self.tensors and not _is_of_training(name)
            }
            for held, inner in reversed([*zip(self.around, inside, strict=True)])
        ]

    @property
    def rank(self) -> tuple[int, bool, int]:
        """The smallest is the likeliest: as the name says, else one with names as layers give them,
        else the largest.
        """
        last = self.path[-1] if self.path else ""
        place = WRAPPERS.index(last) if last in WRAPPERS else len(WRAPPERS)
        has_layers = any(shown(name, MAX_NAME).endswith(OF_A_LAYER) for name in self.tensors)
        return place, not has_layers, -self.count


def _parts_of(content: Any) -> list[_Part]:
    """The dictionaries of tensors in what a file held, the likeliest first: those of an optimiser
    left out, and those that are not a tenth as large as the largest.
    """
    dictionaries = list(_dictionaries(content))
    parts = [
        _Part(path, around, tensors)
        for path, around in dictionaries
        if (tensors := _tensors_of(around[-1]))
    ]
    if not parts and any(map(_is_or_has_optimiser, (around[-1] for _, around in dictionaries))):
        raise UserError(f"This file holds an optimiser's state and no weights. {SAVE_AGAIN}")
    if not parts:
        raise UserError(f"This file holds no dictionary of weights. {SAVE_AGAIN}")
    largest = max(part.count for part in parts)
    return sorted(
        (part for part in parts if 10 * part.count >= largest), key=lambda part: part.rank
    )


def _dictionaries(content: Any) -> Iterator[tuple[KeyPath, tuple[Held, ...]]]:
    """The dictionaries inside one another, the outer ones first, each once and with those around
    it.
    """
    waiting: list[tuple[KeyPath, tuple[Any, ...]]] = [((), (content,))]
    seen = set()
    for path, around in waiting:
        held = around[-1]
        if not isinstance(held, dict) or id(held) in seen:
            continue
        seen.add(id(held))
        yield path, around
        if len(path) < MAX_DEPTH and len(waiting) < MAX_PARTS and not _is_optimiser(held):
            waiting += [
                ((*path, shown(name)), (*around, inner))
                for name, inner in held.items()
                if isinstance(inner, dict) and not _is_of_training(name)
            ]


def _is_of_training(name: Any) -> bool:
    """Whether what is called so is needed only to train on."""
    return bool(OPTIMISER.search(shown(name)))


def _is_optimiser(held: Held) -> bool:
    return "param_groups" in held or (bool(held) and OPTIMISER_STATE.issuperset(held))


def _is_or_has_optimiser(held: Held) -> bool:
    return _is_optimiser(held) or any(
        isinstance(inner, dict) and _is_optimiser(inner) for inner in held.values()
    )


def _tensors_of(held: Held) -> Held:
    """The tensors in a dictionary; nothing if it is an optimiser's, or has only single numbers."""
    tensors = {
        name: value
        for name, value in held.items()
        if isinstance(value, (torch.Tensor, Array)) and not RANDOM_STATE.search(shown(name))
    }
    if _is_optimiser(held) or not any(map(_has_size, tensors.values())):
        return {}
    return tensors


def _has_size(tensor: torch.Tensor | Array) -> bool:
    return tensor.ndim > 0


def _count(tensor: torch.Tensor | Array) -> int:
    return tensor.numel()


def _chosen(parts: list[_Part], wanted: str | None) -> _Part:
    if wanted is None:
        return parts[0]
    named = {part.name: part for part in parts}
    if wanted not in named:
        raise unknown("part of this file", wanted, [name or "''" for name in named])
    return named[wanted]


# Tensors as they are wanted


def _checked_tensors(found: Held) -> Tensors:
    if not all(isinstance(name, str) for name in found):
        raise UserError(f"The tensors in this file have no names. {SAVE_AGAIN}")
    tensors = {name: _as_tensor(name, value) for name, value in found.items()}
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > MAX_BYTES:
        raise UserError(f"The tensors in this file claim more values than it holds. {SAVE_AGAIN}")
    return {name: _checked(name, tensor) for name, tensor in tensors.items()}


def _as_tensor(name: str, value: torch.Tensor | Array) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    array = value.numbers()
    if array is None:
        raise UserError(f"The array {shown(name)} is damaged or holds no numbers. {SAVE_AGAIN}")
    return torch.from_numpy(array)


def _checked(name: str, tensor: torch.Tensor) -> torch.Tensor:
    _check_kind(name, tensor)
    tensor = tensor.detach().contiguous()
    return tensor.to(torch.float32) if tensor.is_floating_point() else tensor


def _check_kind(name: str, tensor: torch.Tensor) -> None:
    """UserError unless a tensor is plain numbers, all of which the file holds."""
    if fault := _fault_of(tensor):
        raise UserError(
            f"The tensor {shown(name)} is {fault}; only plain numbers can be read. {SAVE_AGAIN}"
        )
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise UserError(
            f"The tensor {shown(name)} claims more values than the file holds (an expanded "
            f"tensor). {SAVE_AGAIN}"
        )


def _fault_of(tensor: torch.Tensor) -> str:
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return "of a class of its own"
    if tensor.layout != torch.strided:
        return "sparse"
    if tensor.is_meta:
        return "one that has no values"
    if tensor.ndim > MAX_AXES:
        return f"of {tensor.ndim} axes"
    if tensor.dtype not in DTYPES:
        return f"of the kind {str(tensor.dtype).removeprefix('torch.')}"
    return ""


def _is_finite(tensor: torch.Tensor) -> bool:
    # a sum is several times quicker than looking at each; one that overflows decides nothing
    return (
        not tensor.is_floating_point()
        or bool(tensor.sum().isfinite())
        or bool(tensor.isfinite().all())
    )


def _usual_dtype(tensors: Iterable[Any]) -> str:
    """The floating type of most values, as it lay in the file; empty if there is none."""
    counts: Counter[str] = Counter()
    for tensor in tensors:
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point():
            counts[str(tensor.dtype).removeprefix("torch.")] += tensor.numel()
    return max(counts, key=lambda name: counts[name], default="")


# Their names


def without_prefixes(tensors: Tensors, prefixes: tuple[str, ...]) -> tuple[Tensors, str, list[str]]:
    """The tensors by the names that they have within the network, the prefix that was removed, and
    the names of what does not belong to the network.
    """
    removed, left_out = "", []
    while prefix := next((prefix for prefix in prefixes if _is_shared(prefix, tensors)), None):
        left_out += [removed + name for name in tensors if not name.startswith(prefix)]
        tensors = {
            name.removeprefix(prefix): tensor
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }
        removed += prefix
    return tensors, removed, left_out


def _is_shared(prefix: str, tensors: Tensors) -> bool:
    """Whether all names begin so, but for those of what is no layer."""
    others = [name for name in tensors if not name.startswith(prefix)]
    if prefix in tensors or len(others) == len(tensors):
        return False
    if prefix == LONE_PREFIX:  # many networks have a part of this name
        return not others
    return all(NO_LAYER.fullmatch(name.partition(".")[0]) for name in others)


# Whole numbers with their scales, as `vizlib.run.weights.packed_weights` writes them


def _unpacked(tensors: Tensors) -> Tensors:
    """The tensors by name, those as floats that lie as whole numbers with their scales."""
    whole, packed = {}, {}
    for name in (names := integers.names_in(tensors)):
        if parts := integers.parts_of(name, tensors):
            packed[name] = {part: tensors[part].numpy() for part in parts}
            whole[name] = math.prod(integers.shape_of(name, packed[name]))
    if sum(whole.values()) * torch.float32.itemsize > MAX_BYTES:  # before any is made
        raise UserError(
            f"The packed tensors in this file would take more than {MAX_BYTES / 1e9:.0f} GB."
        )
    return {
        name: torch.from_numpy(integers.as_floats(name, packed[name]))
        if name in packed
        else tensors[name]
        for name in names
    }
