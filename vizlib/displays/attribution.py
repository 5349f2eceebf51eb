"""What in an image excites a unit, or speaks for a class, as pictures: gradients in colour around
grey, heat over the image, red for and blue against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.atlas import DIVERGING, HEAT, LEVELS, Atlas, palette, quantise
from vizlib.displays.overlay import laid_over
from vizlib.tables import as_csv

# the share of values beyond the ends of a scale: single pixels that stand out would leave all
# others pale
SATURATED = 0.005


def gradient_picture(
    gradient: np.ndarray, box: tuple[int, int, int, int] | None = None
) -> tuple[np.ndarray, float]:
    """A gradient by the pixels, float (C, H, W) with C 1 or 3, in its own colours: uint8 (h, w, C),
    mid-grey where it is zero; and its scale.

    The scale is the size of gradient that is fully bright or dark, larger ones are cut off: the
    99.5th percentile of all sizes within the box. box: (top, left, bottom, right) in pixels, what
    to show; None for all.
    """
    top, left, bottom, right = box or (0, 0, *gradient.shape[1:])
    shown = gradient[:, top:bottom, left:right]
    scale = scale_of(shown)
    return np.round(127.5 + 127.5 * np.clip(shown / (scale or 1), -1, 1)).astype(
        np.uint8
    ).transpose(1, 2, 0), scale


def scale_of(values: np.ndarray) -> float:
    """The 99.5th percentile of the sizes, or the greatest where nearly all are zero; 0 where all
    are.
    """
    sizes = np.abs(values)
    return float(np.quantile(sizes, 1 - SATURATED) or sizes.max())


@dataclass(frozen=True)
class EvidenceDisplay(Display):
    """What speaks for some classes by one method, on one scale.

    values: float32 (K, H, W), the K classes' evidence by the pixel. received: uint8 (H, W, 1 or 3),
    what the network got. style: "heat" over the image for evidence that is never negative, "signed"
    over the image in red for the class and blue against it, or "map" in the same colours by itself.
    class_names: of the K classes, for csv() only.
    """

    values: np.ndarray
    received: np.ndarray
    style: str
    class_names: tuple[str, ...] = ()

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        values = np.linspace(-1, 3, len(names) * 20, dtype=np.float32).reshape(-1, 5, 4)
        return cls(values, np.full((5, 4, 3), 200, np.uint8), "signed", tuple(names))

    @cached_property
    def limit(self) -> float:
        """The value at the end of the colours, the same for all classes: the greatest size; of a
        map, which is made of single pixels, the 99.5th percentile.
        """
        return scale_of(self.values) if self.style == "map" else float(np.abs(self.values).max())

    @cached_property
    def pictures(self) -> np.ndarray:
        """One a class, uint8 (K, H, W, 3)."""
        limit = np.float32(self.limit or 1)
        if self.style == "heat":
            colours = palette(HEAT)[quantise(self.values, np.float32(0), limit)]
        else:
            colours = palette(DIVERGING)[quantise(self.values, -limit, limit)]
        if self.style == "map":
            return colours
        strengths = np.clip(np.abs(self.values) / limit, 0, 1)
        return np.stack(
            [
                laid_over(self.received, strength, colour)
                for strength, colour in zip(strengths, colours, strict=True)
            ]
        )

    def picture(self) -> Atlas:
        """The pictures side by side, an Atlas."""
        return Atlas(self.pictures)

    def bar(self) -> tuple[np.ndarray, str, str]:
        """The colours from the low to the high end, as a picture uint8 (1, n, 3), and the texts at
        its ends.
        """
        low = "0" if self.style == "heat" else f"{-self.limit:.3g}"
        return (
            palette(HEAT if self.style == "heat" else DIVERGING)[None, :LEVELS],
            low,
            f"{self.limit:.3g}",
        )

    def csv(self) -> str:
        """One row a pixel and class: class, row, column, evidence."""
        rows = (
            (name, row, column, f"{value:.6g}")
            for name, values in zip(self.class_names, self.values, strict=True)
            for (row, column), value in np.ndenumerate(values)
        )
        return as_csv(("class", "row", "column", "evidence"), rows)


def figure_png(displays: Sequence[EvidenceDisplay], caption: str) -> bytes:
    """PNG bytes to keep: the pictures of several EvidenceDisplays side by side, with a caption."""
    return Atlas(np.concatenate([display.pictures for display in displays])).figure_png(caption)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Spearman's rank correlation of the sizes of two evidences by the pixel, in [-1, 1]; None
    where one is the same everywhere.

    As in Adebayo et al. 2018, https://arxiv.org/abs/1810.03292, section 3.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(np.abs(values)) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1]) if all(np.ptp(values) for values in ranks) else None
