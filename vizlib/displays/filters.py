"""The filters of a convolution: in colour where it looks at colour pictures, else one input
channel, or one filter, at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.atlas import DIVERGING, Atlas, quantise
from vizlib.displays.large_map import plot_large_map
from vizlib.tables import as_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class FiltersDisplay(Display):
    """weight: float32 (out, in, height, width). limit: where the colours end; all filters share one
    scale, symmetric around zero, so sizes can be compared. reads_picture: whether the input
    channels are those of the picture, and not maps of an earlier layer.
    """

    weight: np.ndarray
    limit: float
    reads_picture: bool = True

    @classmethod
    def from_weight(
        cls, weight: np.ndarray, limit: float | None = None, *, reads_picture: bool = True
    ) -> Self:
        """From a convolution's weight, an array (out, in, h, w). limit: the greatest absolute
        weight of the layer, if left out. ValueError for other shapes.
        """
        if weight.ndim != 4:
            raise ValueError(
                f"the weight of a convolution is (out, in, h, w); this is {weight.shape}"
            )
        limit = float(np.abs(weight).max()) if limit is None else limit
        return cls(np.asarray(weight, np.float32), limit, reads_picture)

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        values = np.linspace(-1, 3, len(names) * 27, dtype=np.float32)
        return cls.from_weight(values.reshape(-1, 3, 3, 3))

    @property
    def is_colour(self) -> bool:
        return self.reads_picture and self.weight.shape[1] == 3

    def picture(self, channel: int = 0) -> Atlas:
        """The filters as colours where they look at colour pictures, else one input channel of
        every filter.
        """
        return self.colour_atlas() if self.is_colour else self.channel_atlas(channel)

    def colour_atlas(self) -> Atlas:
        """Filters of three input channels as colours, jointly scaled: grey is zero, and a channel
        is bright where its weight is positive.
        """
        scaled = 127.5 + 127.5 * self.weight / (self.limit or 1)
        return Atlas(
            np.round(scaled).astype(np.uint8).transpose(0, 2, 3, 1),
            labels=self._labels("filter", self.weight),
        )

    def channel_atlas(self, channel: int) -> Atlas:
        """One input channel of every filter."""
        return self._signed_atlas(self.weight[:, channel], "filter")

    def filter_atlas(self, unit: int) -> Atlas:
        """Every input channel of one filter."""
        return self._signed_atlas(self.weight[unit], "input channel")

    def _signed_atlas(self, kernels: np.ndarray, word: str) -> Atlas:
        limit = np.float32(self.limit or 1)
        tiles = quantise(kernels, -limit, limit)
        return Atlas(tiles, DIVERGING, -self.limit, self.limit, labels=self._labels(word, kernels))

    @staticmethod
    def _labels(word: str, kernels: np.ndarray) -> tuple[str, ...]:
        lengths = np.sqrt(np.square(kernels).reshape(len(kernels), -1).sum(axis=1))
        return tuple(
            f"{word} {number}: length {length:.3g}" for number, length in enumerate(lengths)
        )

    def plot_kernel(self, unit: int, channel: int) -> go.Figure:
        """One kernel large with its numbers, a Plotly heat map."""
        return plot_large_map(self.weight[unit, channel], -self.limit, self.limit, DIVERGING)

    def csv(self) -> str:
        """Every weight: filter, input_channel, row, column, weight."""
        header = ("filter", "input_channel", "row", "column", "weight")
        rows = ((*index, f"{value:.6g}") for index, value in np.ndenumerate(self.weight))
        return as_csv(header, rows)
