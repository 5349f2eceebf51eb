"""Layers as a reader knows them: by number, kind and size of their maps. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizlib.inside.layers import Layer

_KINDS = {
    "Linear": "linear",
    "BatchNorm2d": "normalised",
    "MaxPool2d": "max pool",
    "AvgPool2d": "mean pool",
    "AdaptiveAvgPool2d": "mean pool",
    "Flatten": "flattened",
}
_SIDES = re.compile(r"(\d+)x(\d+)")


def in_words(layers: Sequence[Layer]) -> dict[str, str]:
    """What each Layer of a network is, by its name: "layer 3 of 31 · conv 3 × 3 · 16 maps of 32 ×
    32".

    Counted are the layers that multiply; what stands between them, as a ReLU, is "after layer 3".
    layers: all of the network, in order.
    """
    counted = [layer for layer in layers if layer.multiply_adds > 0 and not layer.is_block]
    numbers = {layer.name: number for number, layer in enumerate(counted, 1)}
    words, before = {}, 0
    for layer in layers:
        before = numbers.get(layer.name, before)
        where = f"layer {before} of {len(counted)}"
        if layer.name not in numbers:
            where = f"after layer {before}" if before else "before layer 1"
        if layer.is_block:
            where = "block"
        words[layer.name] = " · ".join(filter(None, (where, kind(layer), units(layer))))
    return words


def kind(layer: Layer) -> str:
    """What a layer does, in a word or two: "conv 3 × 3"."""
    sides = _SIDES.match(layer.geometry)
    if layer.is_convolution:
        return f"conv {sides[1]} × {sides[2]}" if sides else "conv"
    if layer.is_block:
        return "adds its input" if layer.is_sum else ""
    return _KINDS.get(layer.kind, layer.kind)


def units(layer: Layer) -> str:
    """How many units a layer has, and how large their maps are: "16 maps of 32 × 32"."""
    shape = layer.layout.shape or layer.output_shape
    if len(shape) == 3:
        return f"{shape[0]} maps of {shape[1]} × {shape[2]}"
    return f"{shape[0]:,} values" if len(shape) == 1 else " × ".join(map(str, shape))
