"""One map or kernel large, as a Plotly heat map whose values can be read by pointing at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_WRITTEN = 64  # values that have room for their numbers


def plot_large_map(values: np.ndarray, low: float, high: float, colour_scale: str) -> go.Figure:
    """A figure of `values` (h, w), coloured from `low` to `high`, with square pixels and the first
    row on top.
    """
    import plotly.graph_objects as go

    heat = go.Heatmap(
        z=values.round(4),
        zmin=low,
        zmax=high if high > low else low + 1,
        colorscale=colour_scale,
        texttemplate="%{z:.3f}" if 1 < values.size <= MOST_WRITTEN else "",
        hovertemplate="row %{y}, column %{x}: %{z}<extra></extra>",
        showscale=False,
    )
    figure = go.Figure(heat)
    figure.update_layout(margin=dict(l=0, r=0, t=0, b=0), height=340)
    figure.update_xaxes(visible=False, constrain="domain")
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x", constrain="domain")
    return figure
