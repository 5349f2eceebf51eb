"""A convolution at work: the window that it looks at, times its kernel, summed up, for one position
of one unit's map.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.atlas import DIVERGING, Atlas, quantise
from vizlib.tables import as_csv

if TYPE_CHECKING:
    from vizlib.inside.convolving import Convolved

COLOURS = ("red", "green", "blue")
MOST_CHANNELS = 8  # that are shown one by one
MOST_VALUES = 120_000  # of these channels together: half a megabyte


@dataclass(frozen=True)
class ConvolutionDisplay(Display):
    """The channels that bring most to one unit, at one position.

    names: what the channels are called. given: float32 (C, H, W), what the unit reads of them,
    with what stands around them: (top, left, bottom, right) rows and columns of it, `outside`.
    kernel: float32 (C, kh, kw). stride, dilation: (vertical, horizontal). rest: float32 (h, w),
    what `others` more channels bring together. bias: a number, 0 where there is none. output:
    float32 (h, w), the network's own sums. position: (row, column).
    """

    names: tuple[str, ...]
    given: np.ndarray
    outside: tuple[int, int, int, int]
    kernel: np.ndarray
    stride: tuple[int, int]
    dilation: tuple[int, int]
    rest: np.ndarray
    others: int
    bias: float
    output: np.ndarray
    position: tuple[int, int]

    @classmethod
    def from_convolved(cls, convolved: Convolved, position: Sequence[int]) -> Self:
        """Of all channels of a unit those that bring most over all its map, all of them where they
        are few; the picture's own always.
        """
        shares = convolved.shares.astype(np.float64)
        size = convolved.given[0].size
        most = min(MOST_CHANNELS, max(1, MOST_VALUES // size))
        if convolved.is_picture:
            most = max(most, len(COLOURS))
        ranked = np.argsort(-np.abs(shares).mean((1, 2)), kind="stable")[:most]
        chosen = np.sort(ranked)
        others = np.setdiff1d(np.arange(len(shares)), chosen)
        row, column = position
        return cls(
            tuple(_name(convolved, channel) for channel in chosen.tolist()),
            convolved.given[chosen],
            convolved.outside,
            convolved.kernel[chosen],
            convolved.stride,
            convolved.dilation,
            shares[others].sum(0).astype(np.float32),
            len(others),
            convolved.bias or 0.0,
            convolved.output,
            (row, column),
        )

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        given = np.linspace(-1, 2, len(names) * 30, dtype=np.float32).reshape(-1, 5, 6)
        kernel = np.linspace(0.5, -1, len(names) * 6, dtype=np.float32).reshape(-1, 3, 2)
        whole = np.zeros((3, 5), np.float32)
        return cls(
            tuple(names), given, (1, 0, 1, 0), kernel, (1, 1), (1, 1), whole, 0, 0.5, whole, (1, 2)
        )

    def window(self) -> np.ndarray:
        """What the kernel lies over at the position, float32 (C, kh, kw)."""
        return self.given[:, self._axis(0)[:, None], self._axis(1)[None, :]]

    def products(self) -> np.ndarray:
        """The window times the kernel, float64 (C, kh, kw)."""
        return self.window().astype(np.float64) * self.kernel

    def sums(self) -> np.ndarray:
        """What each channel brings, float64 (C,)."""
        return self.products().sum((1, 2))

    def total(self) -> float:
        """All channels' sums and the bias: the network's output at the position, but for
        rounding.
        """
        return float(self.sums().sum() + self.rest[self.position] + self.bias)

    def _axis(self, axis: int) -> np.ndarray:
        """The rows (0) or columns (1) of what is given that the kernel lies over."""
        taps = np.arange(self.kernel.shape[axis + 1])
        return self.position[axis] * self.stride[axis] + taps * self.dilation[axis]

    def picture(self) -> Atlas:
        """The products of each channel as a tile, on one scale around zero."""
        products = self.products()
        most = float(np.abs(products).max()) or 1.0
        labels = tuple(
            f"{name}: {total:.4g}" for name, total in zip(self.names, self.sums(), strict=True)
        )
        return Atlas(
            quantise(products.astype(np.float32), -most, most),
            DIVERGING,
            low=-most,
            high=most,
            labels=labels,
        )

    def csv(self) -> str:
        """A row for each number under the kernel: channel, its row and column in the input without
        what stands around it, input, weight, product.
        """
        header = ("channel", "row", "column", "input", "weight", "product")
        return as_csv(header, self._rows())

    def _rows(self) -> Iterator[tuple]:
        window, products = self.window(), self.products()
        rows, columns = self._axis(0) - self.outside[0], self._axis(1) - self.outside[1]
        for channel, down, right in np.ndindex(window.shape):
            where = channel, down, right
            yield (
                self.names[channel],
                int(rows[down]),
                int(columns[right]),
                *(f"{part[where]:.7g}" for part in (window, self.kernel, products)),
            )


def _name(convolved: Convolved, channel: int) -> str:
    number = convolved.first + channel
    if convolved.is_picture and convolved.channels == len(COLOURS):
        return COLOURS[number]
    return "grey" if convolved.is_picture and convolved.channels == 1 else f"channel {number}"
