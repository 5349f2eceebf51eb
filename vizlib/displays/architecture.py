"""A network as a row of slabs: as tall as its maps, as thick as it has channels, an arc over each
residual sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Any, Self

from vizlib.displays import Display
from vizlib.displays.texts import untagged
from vizlib.tables import as_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from vizlib.inside.layers import Layer

COLOURS = {
    "conv2d": "#0e7490",
    "linear": "#7c3aed",
    "pool": "#ea580c",
    "block": "#0f766e",
    "other": "#94a3b8",
}

COLUMNS = (
    "name",
    "kind",
    "output",
    "parameters",
    "multiply_adds",
    "receptive_field",
    "stride",
    "residual_sum",
)


@dataclass(frozen=True)
class ArchitectureDisplay(Display):
    """layers: those of vizlib.inside.layers.layer_table to draw, in order."""

    layers: list[Layer]

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        from vizlib.inside.layers import Layer

        kinds: dict[str, Any] = dict(
            depth=0, is_block=False, is_sum=False, geometry="", is_convolution=True
        )
        field: dict[str, Any] = dict(
            receptive_field=(3, 3), start=(-1, -1), end=(2, 2), stride=(1, 1)
        )
        size: dict[str, Any] = dict(output_shape=(4, 8, 8), parameters=112, multiply_adds=6912)
        return cls([Layer(name=name, kind="Conv2d", **kinds, **field, **size) for name in names])

    def plot(self) -> go.Figure:
        """A Plotly figure; pointing at a slab names its layer, output and cost."""
        import plotly.graph_objects as go

        figure, x = go.Figure(), 0.0
        for layer in self.layers:
            x += _add_slab(figure, layer, x) + 0.12
        figure.update_layout(
            height=230,
            margin=dict(l=0, r=0, t=10, b=0),
            showlegend=False,
            hovermode="closest",
            dragmode=False,
        )
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        return figure

    def csv(self) -> str:
        """The rows: name, kind, output, parameters, multiply_adds, receptive_field, stride,
        residual_sum.
        """
        rows = (
            (
                layer.name,
                layer.kind,
                _by(layer.output_shape),
                layer.parameters,
                layer.multiply_adds,
                "not known" if layer.receptive_field is None else _by(layer.receptive_field),
                _by(layer.stride),
                int(layer.is_sum),
            )
            for layer in self.layers
        )
        return as_csv(COLUMNS, rows)


def _by(sizes: Sequence[int] | None) -> str:
    """Sizes as text: 64x8x8; empty where there are none."""
    return "x".join(map(str, sizes or ()))


def _family(layer: Layer) -> str:
    if layer.is_block:
        return "block"
    kind = layer.kind.removeprefix("functional ").lower()
    return next((family for family in ("conv2d", "linear", "pool") if family in kind), "other")


def _add_slab(figure: go.Figure, layer: Layer, x: float) -> float:
    """Draw a layer, its left edge at `x`, with a plus above a residual sum; returns its width."""
    shape = layer.layout.shape or layer.output_shape[-1:]
    height = log2(shape[1] + 1) if len(shape) == 3 else 0.6
    width = 0.25 + log2(shape[0] + 1) / 8
    figure.add_scatter(
        x=[x, x, x + width, x + width, x],
        y=[-height, height, height, -height, -height],
        fill="toself",
        fillcolor=COLOURS[_family(layer)],
        line=dict(color="rgba(255,255,255,0.6)", width=1),
        mode="lines",
        hoveron="fills",
        hoverinfo="text",
        text=f"{untagged(layer.name)} · {untagged(layer.kind)}<br>"
        f"{' × '.join(map(str, layer.output_shape))}<br>{layer.parameters:,} parameters<br>"
        f"{layer.multiply_adds:,} multiply-adds",
    )
    if layer.is_sum:
        plus = dict(text="+", font=dict(size=15, color="#ea580c"))
        figure.add_annotation(plus, x=x + width / 2, y=height, showarrow=False, yshift=9)
    return width
