"""Which spatial frequencies the kernels of a layer answer to, on average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.atlas import SEQUENTIAL
from vizlib.tables import as_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go

SMALLEST = 5  # pixels a side: smaller kernels tell hardly any frequencies apart
SIDE = 33  # frequencies each way, odd, so that zero is in the middle


@dataclass(frozen=True)
class KernelFrequenciesDisplay(Display):
    """power: float (SIDE, SIDE), the mean squared size of the kernels' Fourier transforms, zero
    frequency in the middle, as a share of the greatest.
    """

    power: np.ndarray

    @classmethod
    def from_weight(cls, weight: np.ndarray) -> Self:
        """From a weight (out, in, h, w), each kernel with zeros around it. ValueError for kernels
        smaller than SMALLEST.
        """
        if weight.ndim != 4 or min(weight.shape[2:]) < SMALLEST:
            raise ValueError(
                f"kernels need {SMALLEST} x {SMALLEST} pixels; these are {weight.shape}"
            )
        kernels = weight.reshape(-1, *weight.shape[2:]).astype(np.float64)
        kernels = kernels[np.isfinite(kernels).all(axis=(1, 2))]
        power = np.zeros((SIDE, SIDE))
        for some in np.array_split(kernels, -(-len(kernels) // 1024) or 1):
            sides = [max(SIDE, side) for side in some.shape[1:]]
            spectra = np.abs(np.fft.fft2(some, s=sides)) ** 2
            rows, columns = (np.rint(np.arange(SIDE) * side / SIDE).astype(int) for side in sides)
            power += spectra[:, rows][:, :, columns].sum(axis=0)
        return cls(np.fft.fftshift(power) / (power.max() or 1))

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        return cls.from_weight(np.arange(50, dtype=float).reshape(2, 1, 5, 5) % 7 - 3)

    @property
    def frequencies(self) -> np.ndarray:
        """Of rows and columns, in cycles a pixel: (SIDE,)."""
        return np.fft.fftshift(np.fft.fftfreq(SIDE))

    def plot(self) -> go.Figure:
        """A heat map: what is even is in the middle, fine stripes and edges are outside."""
        import plotly.graph_objects as go

        frequencies = self.frequencies.round(3).tolist()
        heat = go.Heatmap(
            x=frequencies,
            y=frequencies,
            z=self.power.round(4),
            zmin=0,
            zmax=1,
            colorscale=SEQUENTIAL,
            hovertemplate="%{x} across, %{y} down: %{z:.0%} of the greatest<extra></extra>",
            colorbar=dict(title="power", tickformat=".0%"),
        )
        figure = go.Figure(heat)
        figure.update_layout(height=340, margin=dict(l=0, r=0, t=8, b=0))
        figure.update_xaxes(title="cycles a pixel across", constrain="domain")
        figure.update_yaxes(title="down", autorange="reversed", scaleanchor="x", constrain="domain")
        return figure

    def csv(self) -> str:
        """A row a frequency: down, across, power."""
        steps = self.frequencies
        rows = (
            (f"{steps[row]:.4g}", f"{steps[column]:.4g}", f"{value:.6g}")
            for (row, column), value in np.ndenumerate(self.power)
        )
        return as_csv(("down", "across", "power"), rows)
