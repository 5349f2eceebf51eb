"""Tensors as whole numbers with one scale for each output channel, and how they lie in a file of
tensors. Read without torch.

NAME.scale_of_int8   float32 (K,): what one step of each channel is worth
NAME                 int8 (K, ...): the numbers, of 8 bits each; or smaller, in its place
NAME.deflated_int8   uint8 (bytes,): the same in zlib's form of Huffman's code, where a number takes
                     the fewer bits the more often it comes
NAME.shape_of_int8   int64 (axes,): K, ...
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Container, Iterable, Mapping

import numpy as np

from vizlib.errors import UserError
from vizlib.run.file_kinds import shown

SCALE, DEFLATED, SHAPE = SUFFIXES = (".scale_of_int8", ".deflated_int8", ".shape_of_int8")
LARGEST = 127  # of the numbers; and -127 the least
MOST_AXES = 64  # of a tensor, as PyTorch has it
MOST_IN_A_BYTE = 8  # numbers: the shortest code is one bit

Arrays = dict[str, np.ndarray]


def finest_scales(values: np.ndarray) -> np.ndarray:
    """The least scale of each channel that its values fit: float32 (K,), of values (K, ...)."""
    largest = np.abs(values.reshape(len(values), -1)).max(axis=1).astype(np.float32)
    # what is below float32's least whole number of digits is as good as zero
    return np.where(largest > 1e-35, largest / np.float32(LARGEST), np.float32(1))


def rounded(name: str, values: np.ndarray, scales: np.ndarray | None = None) -> Arrays:
    """A tensor float (K, ...) as it lies in a file, of 8 bits each. scales: float32 (K,), none
    below `finest_scales`, which are taken if left out: then no value is further off than one part
    in 254 of the greatest of its channel.
    """
    scales = finest_scales(values) if scales is None else scales
    steps = np.round(values / _along(scales, values.shape))
    # in rows, as files of tensors have them: weights that were trained may lie channels last
    return {name: steps.astype(np.int8, order="C"), name + SCALE: scales.astype(np.float32)}


def deflated(name: str, values: np.ndarray, scales: np.ndarray) -> Arrays:
    """The same, smaller: where scales are coarse, most numbers are among a few."""
    steps = rounded(name, values, scales)[name]
    # repetitions, which zlib looks for else, are rare among weights
    packer = zlib.compressobj(9, strategy=zlib.Z_HUFFMAN_ONLY)
    content = packer.compress(steps.tobytes()) + packer.flush()
    return {
        name + DEFLATED: np.frombuffer(content, np.uint8),
        name + SHAPE: np.array(values.shape, np.int64),
        name + SCALE: scales.astype(np.float32),
    }


def names_in(stored: Iterable[str]) -> list[str]:
    """The names of the tensors in a file, in its order, of the names that lie there."""
    return [*dict.fromkeys(map(_own_name, stored))]


def _own_name(stored: str) -> str:
    suffix = next((suffix for suffix in SUFFIXES if stored.endswith(suffix)), "")
    return stored.removesuffix(suffix)


def parts_of(name: str, stored: Container[str]) -> list[str]:
    """Under which names the parts of a tensor lie in a file; none if it lies there as it is."""
    parts = [name + suffix for suffix in SUFFIXES if name + suffix in stored]
    return [name, *parts] if parts and name in stored else parts


def damaged(name: str) -> UserError:
    """What is said of a tensor whose parts do not fit one another."""
    return UserError(
        f"The packed tensor {shown(name)} and its scales do not fit: the file is damaged. Copy it "
        "again."
    )


def shape_of(name: str, parts: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    """The shape of a tensor whose parts these are; nothing of its size is allocated. UserError for
    parts that do not fit one another.
    """
    scales = parts.get(name + SCALE)
    shape = _claimed(name, parts)
    fits = (
        scales is not None
        and scales.dtype.kind == "f"
        and 2 <= len(shape) <= MOST_AXES
        and min(shape) > 0
        and scales.shape == shape[:1]
    )
    if not fits:
        raise damaged(name)
    return shape


def _claimed(name: str, parts: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    """The shape as a file says it, which may be nonsense; empty where it says none, or more than
    its bytes can hold.
    """
    if name in parts:
        return parts[name].shape if parts[name].dtype == np.int8 and len(parts) == 2 else ()
    content, shape = parts.get(name + DEFLATED), parts.get(name + SHAPE)
    if content is None or shape is None or content.dtype != np.uint8 or content.ndim != 1:
        return ()
    if shape.dtype != np.int64 or shape.ndim != 1:
        return ()
    sizes = tuple(map(int, shape[: MOST_AXES + 1]))
    return sizes if math.prod(sizes) <= MOST_IN_A_BYTE * content.size else ()


def as_floats(name: str, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """The tensor whose parts these are, float32 (K, ...). UserError where they are damaged."""
    shape = shape_of(name, parts)
    steps = parts[name] if name in parts else _inflated(name, parts[name + DEFLATED], shape)
    values = steps.astype(np.float32)
    values *= _along(parts[name + SCALE].astype(np.float32), shape)
    return values


def _inflated(name: str, content: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    count, reader = math.prod(shape), zlib.decompressobj()
    try:
        steps = reader.decompress(content.tobytes(), count + 1)  # the end is seen behind the last
    except zlib.error:
        raise damaged(name) from None
    if len(steps) != count or not reader.eof or reader.unused_data:
        raise damaged(name)
    return np.frombuffer(steps, np.int8).reshape(shape)


def _along(scales: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Scales (K,) as they multiply an array of a shape (K, ...)."""
    return scales.reshape(-1, *[1] * (len(shape) - 1))
