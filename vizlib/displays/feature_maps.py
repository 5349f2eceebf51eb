"""The feature maps of one layer for one image: every channel, on a scale of its own, of the layer,
or of the whole network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.atlas import DIVERGING, HEAT, SEQUENTIAL, Atlas, Limit, palette, quantise
from vizlib.displays.overlay import laid_over
from vizlib.tables import as_csv

SCALES = ("map", "layer", "network")
# of the greatest value: sums of thousands of float32 products, taken in another order, differ by
# less
ROUNDING = 1e-4


@dataclass(frozen=True)
class FeatureMapsDisplay(Display):
    """maps: float32 (C, h, w); a layer of plain features (C,) is C maps of one pixel.

    network_range: the least and greatest value of all layers for this image. A layer that never
    goes below zero is drawn from zero up, any other symmetrically around zero, so that one colour
    always means zero.
    """

    maps: np.ndarray
    network_range: tuple[float, float]

    @classmethod
    def from_activation(cls, activation: np.ndarray, network_range: tuple[float, float]) -> Self:
        """From one layer's output for one image: an array (C, h, w) or (C,). ValueError for other
        shapes.
        """
        if activation.ndim not in (1, 3):
            raise ValueError(f"maps are (C, h, w) or (C,); this layer gives {activation.shape}")
        maps = activation if activation.ndim == 3 else activation[:, None, None]
        return cls(np.ascontiguousarray(maps, np.float32), network_range)

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        values = np.linspace(-1, 3, len(names) * 20, dtype=np.float32)
        return cls.from_activation(values.reshape(-1, 5, 4), (-2.0, 5.0))

    @cached_property
    def least(self) -> np.ndarray:
        return self.maps.min(axis=(1, 2))

    @cached_property
    def greatest(self) -> np.ndarray:
        return self.maps.max(axis=(1, 2))

    @cached_property
    def dead(self) -> np.ndarray:
        """The channels that are the same everywhere: after a ReLU, zero for this image."""
        if self.maps[0].size == 1:
            return np.flatnonzero(self.maps[:, 0, 0] == 0)
        return np.flatnonzero(self.least == self.greatest)

    def limits(self, scale: str) -> tuple[Limit, Limit]:
        """The values at the ends of the colours: arrays (C, 1, 1) for "map", numbers for "layer"
        and "network".
        """
        if scale == "map":
            least, greatest = self.least[:, None, None], self.greatest[:, None, None]
        elif scale == "layer":
            least, greatest = self.least.min(), self.greatest.max()
        else:
            least, greatest = (np.float32(value) for value in self.network_range)
        if self.is_signed(scale):
            greatest = np.maximum(np.abs(least), np.abs(greatest))
            # a dead map among signed ones has the colour of zero too
            greatest = np.where(greatest > 0, greatest, 1)[()]
            return -greatest, greatest
        return np.zeros_like(greatest), greatest

    def is_signed(self, scale: str) -> bool:
        return bool((self.network_range[0] if scale == "network" else self.least.min()) < 0)

    def picture(self, scale: str = "layer") -> Atlas:
        """All channels as one Atlas. scale: one of SCALES."""
        low, high = self.limits(scale)
        own = scale == "map"
        return Atlas(
            quantise(self.maps, low, high),
            DIVERGING if self.is_signed(scale) else SEQUENTIAL,
            low=None if own else float(low),
            high=None if own else float(high),
            crossed=tuple(self.dead.tolist())
            if self.maps[0].size > 1
            else (),  # one value shows that it is zero
            labels=tuple(
                f"unit {unit}: {low:.3g} to {high:.3g}"
                for unit, (low, high) in enumerate(zip(self.least, self.greatest, strict=True))
            ),
        )

    def overlay(self, unit: int, received: np.ndarray) -> np.ndarray:
        """One channel laid over the image, uint8 (H, W, 3): the image in grey, and in colour the
        more, the stronger the unit answers.

        received: uint8 (H, W, 1 or 3), what the network got. The map is stretched over the whole
        image bilinearly.
        """
        from PIL import Image

        strength = np.abs(self.maps[unit])
        strength = strength / strength.max() if strength.max() > 0 else strength
        size = received.shape[1], received.shape[0]
        stretched = np.asarray(Image.fromarray(strength).resize(size, Image.Resampling.BILINEAR))
        levels = np.clip(stretched * 254, 0, 254).astype(np.uint8)
        return laid_over(received, stretched, palette(HEAT)[levels])

    def unit_atlas(self, unit: int, scale: str) -> Atlas:
        """One channel alone, in the colours that it has on the sheet, as an Atlas of one tile that
        knows the ends of its colour bar.
        """
        low, high = (
            float(np.broadcast_to(limit, (len(self.maps), 1, 1))[unit, 0, 0])
            for limit in self.limits(scale)
        )
        return Atlas(
            quantise(self.maps[unit][None], low, high),
            DIVERGING if self.is_signed(scale) else SEQUENTIAL,
            low=low,
            high=high,
        )

    def strongest(self, unit: int) -> tuple[int, int]:
        """The position (row, column) of a channel's greatest value, the first of several."""
        row, column = np.unravel_index(self.maps[unit].argmax(), self.maps[unit].shape)
        return int(row), int(column)

    def csv(self) -> str:
        """One row a channel: unit, least, mean, greatest, standard deviation, share of pixels that
        are zero, dead (0 or 1).
        """
        header = ("unit", "least", "mean", "greatest", "standard_deviation", "zero_share", "dead")
        dead = set(self.dead.tolist())
        rows = (
            (unit, *(f"{figure:.6g}" for figure in _summary(values)), int(unit in dead))
            for unit, values in enumerate(self.maps)
        )
        return as_csv(header, rows)


def _summary(values: np.ndarray) -> tuple[float, ...]:
    """Of one map: least, mean, greatest, standard deviation, share of pixels that are zero."""
    return values.min(), values.mean(), values.max(), values.std(), (values == 0).mean()


def on_one_scale(displays: Sequence[FeatureMapsDisplay]) -> list[Atlas]:
    """An Atlas of each of these layers, all on one colour scale, which spans the values of all of
    them: one colour is one value in each.
    """
    if not displays:
        return []
    ends = (
        float(min(display.least.min() for display in displays)),
        float(max(display.greatest.max() for display in displays)),
    )
    return [FeatureMapsDisplay(display.maps, ends).picture("network") for display in displays]


def greatest_difference(
    first: FeatureMapsDisplay, second: FeatureMapsDisplay
) -> tuple[float, bool] | None:
    """The greatest absolute difference of two layers' maps, and whether it is no more than
    rounding: (float, bool); None where their shapes differ.
    """
    if first.maps.shape != second.maps.shape:
        return None
    difference = float(np.abs(first.maps - second.maps).max())
    return difference, difference <= ROUNDING * float(
        max(np.abs(first.maps).max(), np.abs(second.maps).max())
    )
