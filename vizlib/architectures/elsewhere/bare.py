"""Weights alone: the tensors of a file that no network here fits, under the file's own names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import torch
from torch import nn

from vizlib.architectures.elsewhere import Source, add
from vizlib.errors import UserError

MOST_TENSORS = 20_000
MOST_VALUES = 250_000_000  # a gigabyte, the most that a weights file may have
MOST_AXES = 8
LONGEST_NAME = 500
DEEPEST = 32  # parts of a name


class WeightsAlone(nn.Module):
    """Holds tensors, and computes nothing."""

    def __init__(self, shapes: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            _put(self, name, nn.Parameter(torch.zeros(tuple(shape)), requires_grad=False))

    def forward(self, images: torch.Tensor) -> NoReturn:
        raise UserError("Only the weights of this network are here, not how it computes with them.")


def _put(container: nn.Module, name: str, parameter: nn.Parameter) -> None:
    """Register a tensor inside modules, which are made where they are not there.

    Not by add_module and register_parameter, which refuse names that a module has a method of: what
    is called "type.weight" in a file is called so here.
    """
    *outer, last = name.split(".")
    for part in outer:
        container = container._modules.setdefault(part, nn.Module())  # type: ignore[assignment]
    container._parameters[last] = parameter


def weights(shapes: Mapping[str, Sequence[int]] | None = None) -> nn.Module:
    """A module with tensors of these names and shapes. UserError for what is no such table."""
    return WeightsAlone(_checked(shapes))


def _checked(shapes: Any) -> dict[str, list[int]]:
    if not isinstance(shapes, dict) or not 0 < len(shapes) <= MOST_TENSORS:
        raise UserError(f"Weights alone need from 1 to {MOST_TENSORS:,} tensors by name.")
    for name, shape in shapes.items():
        if not isinstance(name, str) or len(name) > LONGEST_NAME or name.count(".") >= DEEPEST:
            raise UserError(f"{str(name)[:60]!r} is no name of a tensor.")
        if not isinstance(shape, (list, tuple)) or len(shape) > MOST_AXES:
            raise UserError(f"The tensor {name[:60]!r} has no shape of at most {MOST_AXES} sizes.")
        if not all(type(size) is int and 0 <= size <= MOST_VALUES for size in shape):
            raise UserError(f"The shape of the tensor {name[:60]!r} has a size that is none.")
    values = sum(math.prod(shape) for shape in shapes.values())
    if values > MOST_VALUES:
        raise UserError(f"These tensors have {values:,} values; at most {MOST_VALUES:,} can be.")
    return shapes


add(
    Source(
        "bare",
        "weights alone",
        "",
        mean=(),  # nobody knows
        std=(),
    ),
    "weights",
    weights,
    summary="Only the weights are known, not how the network computes with them.",
)
