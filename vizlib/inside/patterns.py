"""What units look at, cut out of the images that excite them most: for one unit, and for all of a
layer as one sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vizlib.images import shrunk
from vizlib.inside.layouts import MAPS, VALUES
from vizlib.tables import as_csv

if TYPE_CHECKING:
    from vizlib.datasets import Split
    from vizlib.inside.layers import Layer
    from vizlib.inside.strongest import Strongest

Box = tuple[int, int, int, int]  # (top, left, bottom, right)

# grey, where a field reaches over the border: there the network sees zeros, which are no colour
OUTSIDE = 128
MOST_PIXELS = 3_000_000  # of a sheet; larger parts are shrunk


def unit_layer(layers: Sequence[Layer], name: str, unit_layers: Sequence[str]) -> str | None:
    """The layer whose units stand for those of the layer `name`: itself, or the last of
    `unit_layers` up to its end that has as many; None where there is none.

    So a ReLU's unit is that of the convolution before it, a block's that of its last convolution.
    layers: of a layer table.
    """
    own = next(number for number, layer in enumerate(layers) if layer.name == name)
    fitting = [
        layer.name
        for layer in layers[: _end(layers, own)]
        if layer.name in unit_layers and layer.output_shape[0] == layers[own].output_shape[0]
    ]
    if name in unit_layers:
        return name
    if layers[own].layout.kind not in (MAPS, VALUES):
        return None  # what mixes units in another way, as attention does
    return fitting[-1] if fitting else None


def _end(layers: Sequence[Layer], number: int) -> int:
    """The number of the first layer after one: a block stands before its layers."""
    depth = layers[number].depth
    later = range(number + 1, len(layers))
    return next((other for other in later if layers[other].depth <= depth), len(layers))


def sees_part(layer: Layer, input_size: Sequence[int]) -> bool:
    """Whether a unit of this Layer is known to see less than the whole image of (channels, height,
    width).
    """
    if layer.receptive_field is None or not layer.has_maps:
        return False
    return any(
        seen < side for seen, side in zip(layer.receptive_field, input_size[1:], strict=True)
    )


def field(layer: Layer, position: Sequence[int], input_size: Sequence[int]) -> Box:
    """What one position (row, column) of a Layer's maps sees: (top, left, bottom, right) in input
    pixels, also over the border; the whole image where it sees that, or nobody knows what it sees.

    `receptive_fields.box` cuts the same at the border; this has the same size for all positions.
    """
    if layer.start is None or not sees_part(layer, input_size):
        return 0, 0, input_size[1], input_size[2]
    height, width = layer.receptive_field or input_size[1:]
    top, left = (
        math.ceil(start + index * stride)
        for start, index, stride in zip(layer.start, position, layer.stride or (), strict=True)
    )
    return top, left, top + height, left + width


def cut(picture: np.ndarray, box: Box) -> np.ndarray:
    """The part of a picture inside a box, which may reach over the border: grey there. uint8
    (bottom - top, right - left, C).
    """
    top, left, bottom, right = box
    height, width = picture.shape[:2]
    part = np.full((bottom - top, right - left, picture.shape[2]), OUTSIDE, np.uint8)
    rows, columns = slice(max(0, top), min(height, bottom)), slice(max(0, left), min(width, right))
    part[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = picture[
        rows, columns
    ]
    return part


def patches(
    split: Split,
    layer: Layer,
    best: Strongest,
    input_size: Sequence[int],
    say: Callable[[float], None] = lambda share: None,
) -> np.ndarray:
    """The part of a held-out image that excites each unit of a Layer most: uint8 (units, h, w, C).

    split: the held-out pictures. best: the layer's Strongest. They are shrunk as `fitting` says.
    """
    parts = []
    for unit, (number, position) in enumerate(
        zip(best.image_numbers[:, 0], best.positions[:, 0], strict=True)
    ):
        say(unit / len(best.values))
        received = split.received(int(number), input_size)
        parts.append(cut(received, field(layer, tuple(map(int, position)), input_size)))
    return fitting(parts)


def csv(best: Strongest, split: Split, class_names: Sequence[str]) -> str:
    """A layer's strongest images as text: unit, rank from 1, value, image id, its true class, row
    and column of the map.
    """
    header = ("unit", "rank", "value", "image_id", "class", "row", "column")
    rows = (
        (
            unit,
            rank + 1,
            f"{best.values[unit, rank]:.6g}",
            split.image_ids[image_number],
            class_names[int(split.labels[image_number])],
            *best.positions[unit, rank],
        )
        for (unit, rank), image_number in np.ndenumerate(best.image_numbers)
    )
    return as_csv(header, rows)


def fitting(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one size, uint8 (h, w, C) each, as one array (N, h, w, C), shrunk where all of
    them together would have over three million pixels.
    """
    side = int((MOST_PIXELS / len(pictures)) ** 0.5)
    return np.stack([shrunk(picture, side) for picture in pictures])
