"""A network some of whose units are switched off: what it answers then. The model itself stays as
it is, so others who share it see nothing of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vizlib.inside.activations import CallNames, capture, changing, no_such_unit
from vizlib.inside.layouts import TOKENS, UNITS_LAST

if TYPE_CHECKING:
    from vizlib.inside.layouts import Layout

Off = Mapping[str, Sequence[int]]  # the units that are off, by the name of their layer


def capture_without(
    model: nn.Module,
    images: Tensor,
    layer_names: Sequence[str],
    off: Off,
    layouts: Mapping[str, Layout],
) -> tuple[Tensor, dict[str, Tensor]]:
    """As `activations.capture`, with all values of the units `off` zero: (logits (N, classes),
    {layer name: its output}).

    model: prepared. layouts: of the layers in `off`, which say where their units lie. UserError for
    a unit that is not there.
    """
    called = CallNames()

    def silence(name: str, output: Tensor) -> Tensor | None:
        units = off.get(call := called(name), ())
        return _silenced(output, call, units, layouts[call]) if units else None

    with changing(silence):
        return capture(model, images, layer_names)


def _silenced(output: Tensor, layer_name: str, units: Sequence[int], layout: Layout) -> Tensor:
    """A layer's output with zeros for these units."""
    axis = -1 if layout.kind in (UNITS_LAST, TOKENS) else 1
    for unit in units:
        if not 0 <= unit < output.shape[axis]:
            raise no_such_unit(layer_name, layout.shape, unit)
    return output.index_fill(axis, torch.tensor(sorted(units), device=output.device), 0)
