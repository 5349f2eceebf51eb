"""A run's weights to and from its folder, and into its network."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from vizlib.errors import UserError
from vizlib.files import write_whole
from vizlib.run import integers
from vizlib.run.checkpoints import Bytes, Tensors, read_leniently, without_prefixes
from vizlib.run.file_kinds import shown

PREFIXES = ("module.", "model.", "_orig_mod.")
PACKED_VALUES = 1024  # smaller tensors are not worth it
COARSEST = 1.0  # of the scales, in root mean squares of a channel
# of that of the tensor that does the most: some pictures do not show all that a tensor does
LEAST_HARM = 1e-4


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


def packed_weights(
    state_dict: Mapping[str, torch.Tensor],
    bits: float,
    harms: Mapping[str, float] | None = None,
) -> bytes:
    """A safetensors file of tensors by name, the `packable` ones as whole numbers with one scale
    for each output channel (`vizlib.run.integers`); the rest, norms and biases among it, as
    `save_weights` has it. `load_weights` gives floats again, each within half a scale.

    bits: about how many a number takes in the mean, if the weights are normal. Scales are multiples
    of a channel's root mean square, larger ones where a tensor has more values, or does less harm:
    of all ways to spend so many bits the one that disturbs the answers least (reverse
    water-filling: Cover and Thomas, Elements of Information Theory, 10.3.3). A tensor that wants
    finer ones than 8 bits can count stays in 16-bit floats.
    harms: the mean square by which the answers change where a tensor alone is `disturbed`, in any
    unit; of all tensors the same if left out.
    """
    shares = _shares({name: state_dict[name].numel() for name in packable(state_dict)}, harms or {})
    # numbers that are normal take log2(size / scale) and these bits more
    unit = 2 ** (math.log2(2 * math.pi * math.e) / 2 - bits)
    stored: dict[str, torch.Tensor] = {}
    for name, tensor in state_dict.items():
        packed = _packed(name, tensor, unit * shares[name]) if name in shares else None
        stored |= packed or {name: _to_save(tensor, torch.float16)}
    return safetensors.torch.save(stored)


def _packed(name: str, tensor: torch.Tensor, coarse: float) -> dict[str, torch.Tensor] | None:
    """The parts of a tensor in a file, its scales so many root mean squares of a channel; None
    where 8 bits cannot count so fine.
    """
    values = tensor.detach().cpu().float().numpy()
    if _is_too_fine(values, coarse):
        return None
    arrays = integers.deflated(name, values, _scales(values, min(coarse, COARSEST)))
    return {part: torch.tensor(array) for part, array in arrays.items()}


def packable(state_dict: Mapping[str, torch.Tensor]) -> list[str]:
    """The names of the tensors that are worth packing."""
    return [
        name
        for name, tensor in state_dict.items()
        if tensor.is_floating_point() and tensor.ndim > 1 and tensor.numel() >= PACKED_VALUES
    ]


def disturbed(tensor: torch.Tensor) -> torch.Tensor:
    """A packable tensor rounded coarsely, each channel to steps of half its root mean square: what
    that does to a network's answers tells how much the tensor matters.
    """
    values = tensor.detach().cpu().float().numpy()
    parts = integers.rounded("", values, _scales(values, 0.5))
    return torch.from_numpy(integers.as_floats("", parts))


def _shares(sizes: Mapping[str, int], harms: Mapping[str, float]) -> dict[str, float]:
    """What each tensor's scales are multiplied by, of which the geometric mean over all values
    is 1. sizes: how many values each has.
    """
    least = LEAST_HARM * max(harms.values(), default=1.0) or 1.0
    wide = {
        name: math.sqrt(size / max(harms.get(name, 1.0), least)) for name, size in sizes.items()
    }
    logarithms = sum(sizes[name] * math.log(share) for name, share in wide.items())
    middle = math.exp(logarithms / max(1, sum(sizes.values())))
    return {name: share / middle for name, share in wide.items()}


def _scales(values: np.ndarray, coarse: float) -> np.ndarray:
    """The scale of each channel, float32 (K,): so many times its root mean square, or the finest
    there is.
    """
    return np.maximum(integers.finest_scales(values), coarse * _sizes(values)).astype(np.float32)


def _is_too_fine(values: np.ndarray, coarse: float) -> bool:
    """Whether most channels, of those that are not zero, are asked for a finer scale than their
    greatest value lets 8 bits have.
    """
    sizes = _sizes(values)
    is_finer = coarse * sizes < integers.finest_scales(values)
    return bool(2 * np.count_nonzero(is_finer[sizes > 0]) > np.count_nonzero(sizes))


def _sizes(values: np.ndarray) -> np.ndarray:
    """The root mean square of each channel: float32 (K,)."""
    return np.sqrt(np.square(values.reshape(len(values), -1)).mean(axis=1))


def load_weights(path_or_bytes: str | os.PathLike | Bytes, *, only_finite: bool = True) -> Tensors:
    """The tensors of a weights file by name, on the CPU: floating ones as float32, integers as they
    are.

    Takes what `read_checkpoint` takes, also as `packed_weights` makes it, and removes "module.",
    "model." and "_orig_mod." if all names begin so. UserError, saying what to do, for anything
    else, and where a value is not finite unless that does not matter, as where nothing is computed
    with them; nothing in a file is ever run.
    """
    checkpoint = read_leniently(path_or_bytes, prefixes=PREFIXES)
    for name in checkpoint.non_finite if only_finite else ():
        raise UserError(
            f"The tensor {shown(name)} holds NaN or infinite values: that training failed. "
            "Take an earlier checkpoint."
        )
    return checkpoint.tensors


def load_into(model: torch.nn.Module, state_dict: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """Put tensors into a model, every name and shape as the model has it, and return the model.
    UserError says what does not fit.

    Only batch normalisation's step counts, which files of old PyTorch lack, may be missing.
    """
    state_dict = _as_named_in(model, state_dict)
    faults = [
        f"{word}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if names[3:] else ''}."
        for word, names in _misfits(model.state_dict(), state_dict).items()
        if names
    ]
    if faults:
        raise UserError(f"These weights do not fit this network. {' '.join(faults)}")
    model.load_state_dict(dict(state_dict))
    return model


def _as_named_in(model: torch.nn.Module, state_dict: Mapping[str, torch.Tensor]) -> Tensors:
    """Tensors by name, with the prefix that all names of a network have and that `load_weights`
    takes for a wrapping.
    """
    _, prefix, _ = without_prefixes(model.state_dict(), PREFIXES)
    lacks = not any(name.startswith(prefix) for name in state_dict)
    return {prefix + name if lacks else name: tensor for name, tensor in state_dict.items()}


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
    unexpected = [shown(name) for name in state_dict if name not in own]
    return {"Missing": missing, "Unexpected": unexpected, "Of another shape": different}


def _size(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"
