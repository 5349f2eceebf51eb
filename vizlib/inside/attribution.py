"""What in an image excites a unit or speaks for a class, by the methods of `evidence`.

All is computed on a twin of the model, so nothing is ever left on the model itself, also after an
error or a cancel.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vizlib.errors import unknown
from vizlib.inside import evidence as methods
from vizlib.inside.activations import (
    forward,
    images_at_once,
    output_of,
    prepare,
    slots,
    twin,
    value_of,
)
from vizlib.inside.relus import OneRelu

# Here and once, not around each call: catch_warnings changes the filters of all threads.
warnings.filterwarnings(
    "ignore", message="Setting backward hooks on ReLU activations", module="captum"
)


@dataclass(frozen=True)
class Evidence:
    """values: float32 (H, W), of the input's size; positive speaks for the class. In logits where
    the method does not say otherwise. facts: how they were made, as the method says.
    """

    values: np.ndarray
    facts: Mapping[str, Any]


def evidence(
    model: nn.Module,
    image: Tensor,
    target: int,
    method: str,
    say: Callable[[float], None] = lambda share: None,
) -> Evidence:
    """The Evidence in an image (1, C, H, W), normalised, for the class number `target`, by one of
    `evidence.class_methods()`.

    say(share) after each pass, in [0, 1], may raise to cancel. UserError for a class or a method
    that does not exist, and where the method has nothing to say of such a network.
    """
    compute = methods.class_method(method).compute
    own = prepare(twin(model))
    classes = forward(own, image).shape[1]
    if not 0 <= target < classes:
        raise unknown("class", target, range(classes))
    values, facts = compute(own, image.detach().clone(), target, say)
    say(1.0)
    return Evidence(values.detach().cpu().numpy().astype(np.float32), facts)


def of_units(
    model: nn.Module,
    images: Tensor,
    layer_name: str,
    units: Sequence[int],
    positions: Sequence[Sequence[int] | None],
    method: str,
    say: Callable[[float], None] = lambda share: None,
) -> np.ndarray:
    """What of each image excites a unit, by one of `evidence.unit_methods()`: float32 array (N, C,
    H, W).

    images: (N, C, H, W), normalised. units: N channels of the layer. positions: N pairs (row,
    column) in the layer's maps; None or () for a unit's only value. In a network without ReLUs
    those methods that override them are the plain gradient, see relus.rectifiers. say(share) after
    each pass, in [0, 1]; it may raise to cancel. UserError for a method, layer, unit or position
    that does not exist.
    """
    compute = methods.unit_method(method).compute
    own, size = prepare(twin(model)), images_at_once(images)
    parts = []
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        values = OneRelu(_values_of(own, layer_name, units[part], positions[part]))
        with slots:
            parts.append(compute(values, images[part].detach().clone().requires_grad_()).detach())
        say(min(1.0, (start + size) / len(images)))
    return torch.cat(parts).cpu().numpy() if parts else np.empty(images.shape, np.float32)


def _values_of(
    model: nn.Module,
    layer_name: str,
    units: Sequence[int],
    positions: Sequence[Sequence[int] | None],
) -> Callable[[Tensor], Tensor]:
    """The function from images (N, C, H, W) to the value (N,) of each image's unit at its
    position.
    """

    def values(images: Tensor) -> Tensor:
        # also what lies behind the layer
        outputs = output_of(model, images, layer_name, to_the_end=True)
        asked = zip(outputs, units, positions, strict=True)
        return torch.stack(
            [value_of(output, layer_name, unit, where) for output, unit, where in asked]
        )

    return values
