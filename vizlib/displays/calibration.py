"""How often answers of a certainty are right: the reliability diagram of Guo et al. 2017."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.curves import COLOURS
from vizlib.run.certainty import Calibration
from vizlib.tables import as_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class CalibrationDisplay(Display):
    """calibration: of the answers shown."""

    calibration: Calibration

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        shares = np.linspace(0.1, 0.9, 15)
        return cls(Calibration(np.arange(15), shares, shares**2))

    def plot(self) -> go.Figure:
        """A Plotly figure: a bar a bin, as high as the share of its answers that are right, and a
        line where they would be as right as they are sure.
        """
        import plotly.graph_objects as go

        counts, confidence, accuracy = self._filled()
        width = 1 / len(self.calibration.counts)
        bars = go.Bar(
            x=(np.flatnonzero(self.calibration.counts) + 0.5) * width,
            y=accuracy,
            width=width * 0.92,
            marker=dict(color=COLOURS[0], opacity=0.35 + 0.65 * np.sqrt(counts / counts.max()))
            if len(counts)
            else None,
            customdata=np.stack([counts, confidence], axis=1),
            hovertemplate="%{customdata[0]:,} answers, on average %{customdata[1]:.1%} sure: "
            "%{y:.1%} right<extra></extra>",
        )
        even = go.Scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line=dict(color="#808080", dash="dot"),
            hoverinfo="skip",
        )
        figure = go.Figure([bars, even])
        figure.update_xaxes(title="how sure", range=[0, 1], tickformat=".0%")
        figure.update_yaxes(title="how often right", range=[0, 1.02], tickformat=".0%")
        figure.update_layout(height=300, margin=dict(l=10, r=10, t=10, b=10), showlegend=False)
        return figure

    def _filled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Counts, confidence and accuracy of the bins with any answer."""
        filled = self.calibration.counts > 0
        return (
            self.calibration.counts[filled],
            self.calibration.confidence[filled],
            self.calibration.accuracy[filled],
        )

    def csv(self) -> str:
        """A row a bin: from, to, answers, confidence, accuracy."""
        bins = len(self.calibration.counts)
        rows = (
            (f"{number / bins:.4g}", f"{(number + 1) / bins:.4g}", count, f"{sure:.6g}", f"{y:.6g}")
            for number, (count, sure, y) in enumerate(
                zip(
                    self.calibration.counts,
                    self.calibration.confidence,
                    self.calibration.accuracy,
                    strict=True,
                )
            )
        )
        return as_csv(("from", "to", "answers", "confidence", "accuracy"), rows)
