"""How many different things the filters of a layer do: the singular values of the whole bank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.curves import COLOURS
from vizlib.tables import as_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go

DRAWN = (-4.1, 0.1)  # powers of ten: below is the noise of 16-bit weights
SHARE = 0.9  # of the squared length of all filters, as the sentence says it


@dataclass(frozen=True)
class FilterSpectrumDisplay(Display):
    """singular_values: float (R,), the greatest first, of the matrix with a filter in each row."""

    singular_values: np.ndarray

    @classmethod
    def from_weight(cls, weight: np.ndarray) -> Self:
        """From a layer's weight (out, ...), reshaped to out rows; filters that are not finite are
        left out.
        """
        filters = weight.reshape(len(weight), -1).astype(np.float32)
        filters = filters[np.isfinite(filters).all(axis=1)]
        if not filters.size:
            return cls(np.zeros(min(weight.reshape(len(weight), -1).shape), np.float32))
        return cls(np.linalg.svd(filters, compute_uv=False))

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        return cls(np.array([4.0, 2.0, 1.0, 0.0]))

    @property
    def effective_rank(self) -> float:
        """The exponential of the entropy of the singular values, of which each counts by its share
        of their sum: 1 where all filters are multiples of one, R where all values are equal. Roy
        and Vetterli, The effective rank: a measure of effective dimensionality, EUSIPCO 2007.
        """
        total = float(self.singular_values.sum())
        shares = self.singular_values[self.singular_values > 0] / (total or 1)
        return float(np.exp(-(shares * np.log(shares)).sum())) if len(shares) else 0.0

    @property
    def needed(self) -> int:
        """How many directions have SHARE of the squared length of all filters."""
        squares = np.square(self.singular_values.astype(np.float64)).cumsum()
        if not len(squares) or squares[-1] == 0:
            return 0
        return int(np.searchsorted(squares, SHARE * squares[-1] * (1 - 1e-12))) + 1

    @property
    def sentence(self) -> str:
        """The spectrum in a sentence."""
        most = len(self.singular_values)
        return (
            f"Effective rank {self.effective_rank:.1f} of {most}: {self.needed} of {most} "
            f"directions hold {SHARE:.0%} of what the filters are made of."
        )

    def plot(self) -> go.Figure:
        """The singular values in order, as shares of the greatest, on a logarithmic axis."""
        import plotly.graph_objects as go

        values = self.singular_values / (self.singular_values.max(initial=0) or 1)
        drawn = np.where(values > 0, values, np.nan)
        points = go.Scatter(
            x=list(range(1, len(values) + 1)),
            y=[None if np.isnan(value) else value for value in drawn.tolist()],
            mode="lines+markers",
            line_color=COLOURS[0],
            hovertemplate="number %{x}: %{y:.3g} of the greatest<extra></extra>",
        )
        figure = go.Figure(points)
        rank = dict(color="#808080", dash="dot")
        figure.add_vline(
            self.effective_rank, line=rank, annotation_text="effective rank", opacity=0.8
        )
        figure.update_layout(height=300, margin=dict(l=0, r=0, t=20, b=0))
        figure.update_xaxes(title="singular value, the greatest first")
        figure.update_yaxes(
            title="share of the greatest", type="log", range=DRAWN, dtick=1, exponentformat="power"
        )
        return figure

    def csv(self) -> str:
        """A row a value: number, singular_value."""
        rows = ((n, f"{value:.6g}") for n, value in enumerate(self.singular_values.tolist(), 1))
        return as_csv(("number", "singular_value"), rows)
