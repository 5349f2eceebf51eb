"""What a unit looks at: pictures with the part that it sees marked, all units of a layer as one
sheet, and the classes it answers to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vizlib.displays.atlas import Atlas
from vizlib.displays.texts import untagged
from vizlib.images import enlarged, whole_factor

if TYPE_CHECKING:
    import plotly.graph_objects as go

LINE = (249, 115, 22)
SHADE = 0.55  # of the light, outside of what is marked


def marked(picture: np.ndarray, box: tuple[int, int, int, int], size: int = 160) -> np.ndarray:
    """A picture with a box, enlarged by a whole factor to about `size` pixels: a line around the
    box, what is outside darker. uint8 (H, W, 3).

    picture: uint8 (h, w, 1 or 3). box: (top, left, bottom, right), half-open, in its pixels; what
    lies outside of the picture is cut off.
    """
    height, width = picture.shape[:2]
    factor = whole_factor(picture, size)
    top, left, bottom, right = (
        min(max(0, edge), limit) * factor
        for edge, limit in zip(box, (height, width, height, width), strict=True)
    )
    large = enlarged(as_colours(picture), factor)
    inside = large[top:bottom, left:right].copy()
    large = (large * SHADE).astype(np.uint8)
    line = max(1, max(large.shape[:2]) // 80)
    large[max(0, top - line) : bottom + line, max(0, left - line) : right + line] = LINE
    large[top:bottom, left:right] = inside
    return large


def as_colours(picture: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) of a picture of one or three channels."""
    return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture


def sheet(pictures: np.ndarray, labels: Sequence[str]) -> Atlas:
    """One picture a unit, uint8 (units, h, w, 1 or 3), as an Atlas. labels: what each says when
    pointed at.
    """
    return Atlas(
        np.ascontiguousarray(
            np.repeat(pictures, 3, axis=3) if pictures.shape[3] == 1 else pictures
        ),
        labels=tuple(labels),
    )


def spread(labels: np.ndarray, class_names: Sequence[str]) -> list[tuple[str, int]]:
    """How images, by their labels (N,), spread over classes: pairs (class name, count), the
    commonest first.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    commonest: list[int] = np.argsort(-counts, kind="stable").tolist()
    return [(class_names[label], int(counts[label])) for label in commonest if counts[label]]


def plot_spread(shares: list[tuple[str, int]], most: int = 8) -> go.Figure:
    """The pairs of `spread` as bars, the commonest class on top, and all beyond the `most`
    commonest as one.
    """
    import plotly.graph_objects as go

    rest = sum(count for _, count in shares[most:])
    names, counts = zip(
        *shares[:most], *([(f"{len(shares) - most} others", rest)] if rest else []), strict=True
    )
    bars = go.Bar(
        x=counts,
        y=[untagged(name) for name in names],
        orientation="h",
        text=counts,
        textposition="outside",
        cliponaxis=False,
        marker_color="#0e7490",
    )
    figure = go.Figure(bars)
    figure.update_layout(
        margin=dict(l=0, r=24, t=0, b=0), height=14 + 24 * len(names), bargap=0.3, showlegend=False
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(autorange="reversed", automargin=True, type="category")
    return figure
