"""The filters of a network as small pictures: those of its convolutions, and those of a linear
layer that looks at the picture itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt

from torch import Tensor, nn

from vizlib.inside.layers import Layer, convolutions

SMALLEST_PICTURE = 8  # pixels a side that a linear layer may look at
MOST_PICTURE_CHANNELS = 4


@dataclass(frozen=True)
class FilterBank:
    """weight: (out, in, height, width). reads_picture: whether its input channels are those of the
    picture. is_linear: whether it is the matrix of a linear layer, laid out as pictures.
    """

    layer_name: str
    weight: Tensor
    reads_picture: bool
    is_linear: bool = False


def filter_banks(
    model: nn.Module, layers: Sequence[Layer], input_size: Sequence[int]
) -> list[FilterBank]:
    """Those of a network, in order of execution.

    layers: of `layer_table`. input_size: (channels, height, width) of the picture: a first linear
    layer that takes as many values has a filter of that size for each of its outputs.
    """
    picture_readers = {layer.name for layer in layers if layer.reads_picture}
    banks = [
        FilterBank(name, weight, name in picture_readers)
        for name, weight in convolutions(model, layers)
    ]
    modules = dict(model.named_modules())
    for module in (modules.get(layer.name) for layer in layers):
        if isinstance(module, nn.Linear) and not banks:
            return _of_linear(model, module, input_size)
    return banks


def _of_linear(model: nn.Module, linear: nn.Linear, size: Sequence[int]) -> list[FilterBank]:
    if linear.in_features != math.prod(size):
        return []
    [name] = [name for name, module in model.named_modules() if module is linear]
    return [FilterBank(name, linear.weight.detach().reshape(-1, *size), True, is_linear=True)]


def banks_of_tensors(tensors: Mapping[str, Tensor]) -> list[FilterBank]:
    """Those of weights alone, in the order of the tensors: every four-dimensional one; where there
    is none, the first matrix, if it may look at a square picture.
    """
    filters = {name: tensor for name, tensor in tensors.items() if tensor.dim() == 4}
    first = next(iter(filters), None)
    if first is None:
        return list(_of_matrix(tensors))[:1]
    may_read = filters[first].shape[1] <= MOST_PICTURE_CHANNELS
    return [
        FilterBank(name.removesuffix(".weight"), tensor.detach(), may_read and name == first)
        for name, tensor in filters.items()
        if tensor.numel()
    ]


def _of_matrix(tensors: Mapping[str, Tensor]) -> Iterator[FilterBank]:
    """The first matrix as pictures, grey or in colour, if its rows have as many values."""
    first = next(((name, tensor) for name, tensor in tensors.items() if tensor.dim() == 2), None)
    if first is None:
        return
    name, matrix = first
    for channels in (1, 3):
        side = isqrt(matrix.shape[1] // channels)
        if side >= SMALLEST_PICTURE and channels * side**2 == matrix.shape[1]:
            pictures = matrix.detach().reshape(-1, channels, side, side)
            yield FilterBank(name.removesuffix(".weight"), pictures, True, is_linear=True)
