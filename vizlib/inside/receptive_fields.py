"""Which pixels of the input a value of a layer depends on: all that can have an influence on it,
and those that have it for one image.

The first is arithmetic on strides and paddings (vizlib.inside.tracing, after Araujo, Norris and
Sim, Distill 2019), the second a gradient (Luo, Li, Urtasun and Zemel, Understanding the Effective
Receptive Field in Deep Convolutional Neural Networks, NeurIPS 2016,
https://arxiv.org/abs/1701.04128).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vizlib.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vizlib.inside.layers import Layer
    from vizlib.inside.layouts import Layout

Box = tuple[int, int, int, int]  # (top, left, bottom, right)
Spans = list[tuple[int, int]]

# to follow a colon, where a field is not known
WHY_NOT_KNOWN = (
    "on the way to it lies an operation of which Convscope has no rule for how far it looks"
)
SHARE = 0.95  # of the influence that a tight box holds


def box(layer: Layer, position: Sequence[int], input_size: Sequence[int]) -> Box | None:
    """The pixels that a position of a layer can depend on: (top, left, bottom, right), half-open,
    cut at the image's border.

    The smallest such box, but for a few pixels more at the border, where dilated and strided
    windows leave gaps, and after transposed convolutions and adaptive pools into cells of unequal
    size. layer: a Layer of `layer_table`. position: (row, column) on its map; any for a layer
    without maps, which sees the whole image. input_size: (channels, height, width) that the table
    was made for. None where it is not known. UserError for a position outside the map.
    """
    both = spans(layer, input_size)
    if both is None:
        return None
    rows, columns = both
    row, column = position if layer.has_maps else (0, 0)
    if not (0 <= row < len(rows) and 0 <= column < len(columns)):
        raise UserError(
            f"There is no position {row}, {column} in {layer.name}: its map has {len(rows)} rows "
            f"and {len(columns)} columns, from 0."
        )
    return rows[row][0], columns[column][0], rows[row][1], columns[column][1]


def spans(
    layer: Layer, input_size: Sequence[int], shape: Sequence[int] | None = None
) -> tuple[Spans, Spans] | None:
    """A box is a span of rows and one of columns: ([(top, bottom) of each row of the map], [(left,
    right) of each column]), as in `box`; None where they are not known.

    shape: (height, width) of a map that was averaged down from the layer's; its positions see what
    those that they are the mean of see.
    """
    if layer.receptive_field is None:
        return None
    full = layer.layout.shape[1:] if layer.has_maps else (1, 1)
    rows, columns = (
        _axis(layer, axis, input_size[axis + 1], full[axis], (shape or full)[axis])
        for axis in (0, 1)
    )
    return rows, columns


def _axis(layer: Layer, axis: int, pixels: int, positions: int, cells: int) -> Spans:
    if layer.start is None or layer.end is None or layer.stride is None:
        return [(0, pixels)] * cells
    start, end = layer.start[axis], layer.end[axis]
    stride = layer.stride[axis]
    # the first and the last position of each cell
    ends = [
        (cell * positions // cells, -(-(cell + 1) * positions // cells) - 1)
        for cell in range(cells)
    ]
    limits = [
        (math.ceil(start + first * stride), math.floor(end + last * stride)) for first, last in ends
    ]
    return [(min(max(first, 0), pixels), min(max(last, 0), pixels)) for first, last in limits]


def effective(
    model: nn.Module,
    image: Tensor,
    layer_name: str,
    unit: int,
    position: Sequence[int],
    layout: Layout | None = None,
) -> np.ndarray:
    """How much each pixel of one image moves one value of a layer: the absolute gradient, summed
    over channels, float32 array (H, W).

    image: (1, C, H, W), normalised, on the model's device. position: (row, column), or () in a
    layer of plain values. "name#2" is the second call of a module. layout: the layer's, where its
    units are not its first axis. All zero where the value is, behind a ReLU. UserError if there is
    no such layer, unit or position.
    """
    import torch

    from vizlib.inside.activations import output_of, prepare, slots, twin, value_of

    pixels = image.detach().clone().requires_grad_(True)
    with slots, torch.enable_grad():
        output = output_of(prepare(twin(model)), pixels, layer_name)
        if layout is not None:
            output = layout.units_first(output)
        value = value_of(output[0], layer_name, unit, position)
        gradient = torch.autograd.grad(value, pixels)[0]
    return gradient[0].abs().sum(0).float().cpu().numpy()


def tight_box(influence: np.ndarray, share: float = SHARE) -> Box | None:
    """The box with the fewest pixels that holds a share in (0, 1) of the influence: (top, left,
    bottom, right), half-open; None where there is none.

    influence: (H, W), not negative. Of boxes as small, the one that holds most. All boxes that
    could be it are looked at, through sums over rectangles.
    """
    sums = np.pad(influence.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    needed = share * sums[-1, -1]
    if not needed > 0:
        return None
    narrowest = (
        _narrowest(sums[bottom] - sums[top], needed, top, bottom)
        for top, bottom in _heights(sums[:, -1], needed)
    )
    return min(narrowest, key=lambda box: box[:2], default=(math.inf, 0, None))[2]


def _heights(sums: np.ndarray, needed: float) -> Iterator[tuple[int, int]]:
    """The pairs (top, bottom) between which there is as much as needed. sums: of the rows up to
    each, (H + 1,).
    """
    # the rows that have any
    begin = int(np.searchsorted(sums, 0, "right")) - 1
    last = int(np.searchsorted(sums, sums[-1]))
    for top in range(begin, last):
        first = top + int(np.searchsorted(sums[top:] - sums[top], needed))
        for bottom in range(first, last + 1):
            yield top, bottom


def _narrowest(sums: np.ndarray, needed: float, top: int, bottom: int) -> tuple[int, float, Box]:
    """(pixels, minus what they hold, box) of the smallest box between two rows. sums: of the
    columns up to each, (W + 1,).
    """
    lefts = np.arange(np.searchsorted(sums, sums[-1] - needed, "right"))
    # rounding may leave the last a hair short
    rights = np.minimum(np.searchsorted(sums, sums[lefts] + needed), len(sums) - 1)
    pixels, held = (rights - lefts) * (bottom - top), sums[rights] - sums[lefts]
    left = np.lexsort((-held, pixels))[0]
    return int(pixels[left]), -float(held[left]), (top, int(lefts[left]), bottom, int(rights[left]))
