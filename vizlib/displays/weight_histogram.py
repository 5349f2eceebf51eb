"""How the weights of a layer are distributed."""

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

BINS = 81  # odd, so that one bin lies around zero


@dataclass(frozen=True)
class WeightHistogramDisplay(Display):
    """edges: (B + 1,), symmetric around zero. counts: int (B,), of finite weights. mean, deviation:
    theirs. not_finite: how many others there are.
    """

    edges: np.ndarray
    counts: np.ndarray
    mean: float
    deviation: float
    not_finite: int

    @classmethod
    def from_weight(cls, weight: np.ndarray) -> Self:
        """From a weight of any shape."""
        finite = weight[np.isfinite(weight)].astype(np.float64)
        limit = float(np.abs(finite).max()) if len(finite) else 0.0
        counts, edges = np.histogram(finite, BINS, (-(limit or 1.0), limit or 1.0))
        mean, deviation = (finite.mean(), finite.std()) if len(finite) else (0.0, 0.0)
        return cls(edges, counts, float(mean), float(deviation), weight.size - len(finite))

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        return cls.from_weight(np.linspace(-1, 3, 400) ** 3)

    @property
    def sentence(self) -> str:
        """The distribution in a sentence."""
        total = int(self.counts.sum())
        lost = f"; {self.not_finite:,} are not finite" if self.not_finite else ""
        return (
            f"{total:,} weights, mean {self.mean:.3g}, standard deviation "
            f"{self.deviation:.3g}{lost}."
        )

    def plot(self) -> go.Figure:
        """A bar a bin, and the normal distribution of the same mean and deviation as a line."""
        import plotly.graph_objects as go

        middles, width = (self.edges[:-1] + self.edges[1:]) / 2, self.edges[1] - self.edges[0]
        bars = go.Bar(
            x=middles.tolist(),
            y=self.counts.tolist(),
            width=float(width),
            name="weights",
            marker_color=COLOURS[0],
            hovertemplate="about %{x:.3g}: %{y:,} weights<extra></extra>",
        )
        figure = go.Figure(bars)
        if self.deviation > 0:
            normal = np.exp(-0.5 * ((middles - self.mean) / self.deviation) ** 2)
            normal *= self.counts.sum() * width / (self.deviation * np.sqrt(2 * np.pi))
            line = dict(color="#808080", dash="dot")
            figure.add_scatter(
                x=middles.tolist(), y=normal.tolist(), mode="lines", line=line, name="normal"
            )
        figure.update_layout(
            height=300,
            margin=dict(l=0, r=0, t=8, b=0),
            bargap=0,
            legend=dict(orientation="h", y=1.02, yanchor="bottom"),
        )
        figure.update_xaxes(title="weight")
        figure.update_yaxes(title="how many", rangemode="tozero")
        return figure

    def csv(self) -> str:
        """A row a bin: from, to, weights."""
        rows = (
            (f"{low:.6g}", f"{high:.6g}", count)
            for low, high, count in zip(
                self.edges[:-1], self.edges[1:], self.counts.tolist(), strict=True
            )
        )
        return as_csv(("from", "to", "weights"), rows)
