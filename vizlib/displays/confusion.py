"""The confusion matrix: rows true, columns predicted, coloured by the share of the row, right and
wrong answers each in a colour of their own, counts and percent in the cell; and the difference of
two.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.curves import COLOURS
from vizlib.displays.texts import untagged
from vizlib.tables import as_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from vizlib.run.predictions import Predictions

MOST_WRITTEN = 20  # classes; beyond, cells are too small for numbers and say them when pointed at
MOST_MARKED = 2500  # cells, of which each can be pointed at and clicked; of more the fullest
# class names along an axis that do not overlap: above the matrix, and beside it
MOST_ABOVE, MOST_BESIDE = 16, 32
MOST_PIXELS = 500  # of a matrix that is drawn as a picture, along a side
MOST_PAIRS = 20
# The colours of a share of a row on a light and on a dark page, from -1, all of it wrong in one
# way, to 1, all of it right: told apart also by those who see no red or green. Nothing is the
# page's own ground, and any image in a cell stands out from it.
NOTHING = "rgba(0,0,0,0)"
LEAST_SHARE = 0.02  # smaller ones have its colour
LIGHT, DARK = (
    [(0, "#c2410c"), (0.49, "#fde3d3"), (0.5, NOTHING), (0.51, "#dff3f4"), (1, "#0e7490")],
    [(0, "#ea580c"), (0.49, "#43251a"), (0.5, NOTHING), (0.51, "#17323d"), (1, "#1593b3")],
)


@dataclass(frozen=True)
class ConfusionDisplay(Display):
    """counts: int (K, K), rows true, columns predicted."""

    counts: np.ndarray
    class_names: list[str]

    @classmethod
    def from_predictions(cls, predictions: Predictions, class_names: Sequence[str]) -> Self:
        """Of the stored answers to the test images."""
        return cls(predictions.confusion(), list(class_names))

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        return cls(np.arange(len(names) ** 2).reshape(len(names), -1), list(names))

    @property
    def shares(self) -> np.ndarray:
        """The counts as shares of their row, in [0, 1]; a row with no image is zero."""
        totals = self.counts.sum(axis=1, keepdims=True)
        return np.divide(self.counts, totals, out=np.zeros(self.counts.shape), where=totals > 0)

    @property
    def signed_shares(self) -> np.ndarray:
        """What the colours show: the shares, from LEAST_SHARE on, those of wrong answers below
        zero; not-a-number in a cell without an image.
        """
        shown = np.maximum(self.shares, LEAST_SHARE)
        signed = np.where(np.eye(len(self.counts), dtype=bool), shown, -shown)
        return np.where(self.counts > 0, signed, np.nan)

    def most_confused(self, most: int = MOST_PAIRS) -> list[tuple[int, int]]:
        """The fullest cells of wrong answers, (true, predicted), the fullest first."""
        mistakes = self.counts * ~np.eye(len(self.counts), dtype=bool)
        order = np.argsort(-mistakes.ravel(), kind="stable")[:most]
        cells = [divmod(int(cell), len(self.counts)) for cell in order]
        return [cell for cell in cells if mistakes[cell]]

    def plot(
        self,
        selected: tuple[int, int] | None = None,
        dark: bool = False,
        narrow: bool = False,
    ) -> go.Figure:
        """A Plotly figure. Its heat map sends no clicks, so invisible markers over the cells do,
        with customdata (true, predicted).

        selected: the cell (true, predicted) to frame, or None. dark: whether the page behind is
        dark. narrow: whether it has half a page, so that a cell has whole percents of its row only,
        and the axes are barer.
        """
        counts, shares = self.counts, self.shares
        cells = _marked(counts)
        each = [(counts[cell], shares[cell]) for cell in cells]
        write = _whole_percent if narrow else _count_and_percent
        figure = _matrix(
            _shown(self.class_names),
            self.signed_shares,
            cells,
            ends=(-1, 1),
            colours=DARK if dark else LIGHT,
            text=[write(count, share) if count else "" for count, share in each],
            letters=["#f8fafc" if dark or share > 0.62 else "#0f172a" for _, share in each],
            hover=[f"{count:,} ({_percent(share)} of the row)" for count, share in each],
            narrow=narrow,
        )
        if selected is not None:
            _frame(figure, *selected)
        if not narrow:
            names = self._names_and_totals()
            figure.update_yaxes(_ticks(names, _most_beside(names)), title="true (images)")
        return figure

    def _names_and_totals(self) -> list[str]:
        counted = zip(_shown(self.class_names), self.counts.sum(axis=1), strict=True)
        return [f"{name}  ({total:,})" for name, total in counted]

    def csv(self) -> str:
        """A header of predicted classes, then one row a true class, counts."""
        return _table(self.class_names, self.counts)


@dataclass(frozen=True)
class ConfusionDifference(Display):
    """The matrices of two runs with the same classes; all differences are the first minus the
    second.
    """

    first: ConfusionDisplay
    second: ConfusionDisplay

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        first = ConfusionDisplay.example(names)
        return cls(first, ConfusionDisplay(first.counts.T, first.class_names))

    @property
    def shares(self) -> np.ndarray:
        """By share of the row, float (K, K) in [-1, 1]; not-a-number in the row of a class of which
        either has no image.
        """
        both = (self.first.counts.sum(axis=1) > 0) & (self.second.counts.sum(axis=1) > 0)
        return np.where(both[:, None], self.first.shares - self.second.shares, np.nan)

    @property
    def limit(self) -> float:
        """The greatest absolute difference, where the colours end; 1 if there is none."""
        return float(np.nanmax(np.abs(self.shares), initial=0)) or 1.0

    def plot(
        self, names: tuple[str, str] = ("the first", "the second"), dark: bool = False
    ) -> go.Figure:
        """A Plotly figure for half a page: a cell has the first run's colour where it answers so
        more often, the second's where that does.

        names: of the two. Written are whole percentage points, from half a one on.
        """
        shares, limit = self.shares, self.limit
        middle = "#111827" if dark else "#f8fafc"
        cells = _marked(np.abs(np.nan_to_num(shares)))
        return _matrix(
            _shown(self.first.class_names),
            shares,
            cells,
            ends=(-limit, limit),
            colours=[(0, COLOURS[1]), (0.5, middle), (1, COLOURS[0])],
            text=[
                f"{100 * shares[cell]:+.0f}" if abs(shares[cell]) >= 0.005 else "" for cell in cells
            ],
            # in the light, dark ones are read best on either colour
            letters="#f8fafc" if dark else "#0f172a",
            hover=self._hover(cells, *map(untagged, names)),
            narrow=True,
        )

    def _hover(self, cells: list[tuple[int, int]], first: str, second: str) -> list[str]:
        """What each of these cells says when pointed at."""
        shares, of_first, of_second = self.shares, self.first.shares, self.second.shares
        return [
            (
                f"{first} {_percent(of_first[cell])}, {second} {_percent(of_second[cell])} of the "
                f"row: {100 * shares[cell]:+.1f} points"
            )
            if np.isfinite(shares[cell])
            else "no image of this class in both"
            for cell in cells
        ]

    def csv(self) -> str:
        """A header of predicted classes, then one row a true class, differences of shares; empty
        where there is none.
        """
        return _table(
            self.first.class_names,
            [["" if np.isnan(share) else f"{share:.6g}" for share in row] for row in self.shares],
        )


def _marked(fullness: np.ndarray) -> list[tuple[int, int]]:
    """The cells (true, predicted) that can be pointed at, row by row: all, or the fullest ones."""
    cells = np.arange(fullness.size)
    if fullness.size > MOST_MARKED:
        cells = np.sort(np.argsort(-fullness.ravel(), kind="stable")[:MOST_MARKED])
    return [divmod(cell, len(fullness)) for cell in cells.tolist()]


def _matrix(
    names: list[str],
    values: np.ndarray,
    cells: list[tuple[int, int]],
    *,
    ends: tuple[float, float],
    colours: list[tuple[float, str]],
    text: list[str],
    letters: str | list[str],
    hover: list[str],
    narrow: bool,
) -> go.Figure:
    """A figure of values (K, K): rows true, columns predicted. cells: those that can be pointed at;
    text and hover: one for each of them; letters: the text's colour, or one for each.
    """
    import plotly.graph_objects as go

    markers = _markers(names, cells, hover)
    if values.size > MOST_MARKED:
        figure = go.Figure([markers])
        figure.add_layout_image(_as_picture(values, ends, colours))
        _lay_out(figure, names, narrow)
        return figure
    heat = go.Heatmap(
        z=values,
        zmin=ends[0],
        zmax=ends[1],
        colorscale=colours,
        xgap=1,
        ygap=1,
        hoverinfo="skip",
        showscale=False,  # the value is written in the cell
    )
    written = text if len(names) <= MOST_WRITTEN else []
    numbers = _numbers(len(names), written, letters, narrow)
    figure = go.Figure([heat, numbers, markers])
    _lay_out(figure, names, narrow)
    return figure


def _as_picture(
    values: np.ndarray, ends: tuple[float, float], colours: list[tuple[float, str]]
) -> dict:
    """One picture under the axes instead of K x K rectangles, a pixel a cell; of very many the
    strongest of neighbours.
    """
    from PIL import Image

    pixels = _coloured(_strongest(values), ends, colours)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    classes = len(values)
    return dict(
        source="data:image/png;base64," + b64encode(file.getvalue()).decode(),
        xref="x",
        yref="y",
        x=-0.5,
        y=-0.5,
        sizex=classes,
        sizey=classes,
        sizing="stretch",
        layer="below",
    )


def _strongest(values: np.ndarray) -> np.ndarray:
    """Values (k, k), at most MOST_PIXELS a side: of each square of cells the one farthest from
    zero, where one is a number.
    """
    step = -(-len(values) // MOST_PIXELS)
    if step == 1:
        return values
    side = -(-len(values) // step)
    padded = np.full((side * step, side * step), np.nan)
    padded[: len(values), : len(values)] = values
    squares = padded.reshape(side, step, side, step).transpose(0, 2, 1, 3).reshape(side, side, -1)
    farthest = np.where(np.isfinite(squares), np.abs(squares), -1).argmax(axis=2)
    return np.take_along_axis(squares, farthest[..., None], axis=2)[..., 0]


def _coloured(
    values: np.ndarray, ends: tuple[float, float], colours: list[tuple[float, str]]
) -> np.ndarray:
    """uint8 (k, k, 4) of values between two ends; nothing where there is no number."""
    from PIL import ImageColor

    shares = (np.nan_to_num(values) - ends[0]) / (ends[1] - ends[0])
    kept = [(place, ImageColor.getrgb(colour)) for place, colour in colours if colour != NOTHING]
    places, channels = zip(*kept, strict=True)
    levels = [np.interp(shares, places, channel) for channel in zip(*channels, strict=True)]
    opaque = np.where(np.isfinite(values), 255, 0)
    return np.round(np.stack([*levels, opaque], axis=2)).astype(np.uint8)


def _numbers(classes: int, text: list[str], letters: str | list[str], narrow: bool) -> go.Scatter:
    """The numbers in the cells: not the heat map's own text, which has one colour for light and
    dark cells.
    """
    import plotly.graph_objects as go

    true, predicted = (axis.ravel() for axis in np.indices((classes, classes)))
    size = 10 if narrow else 12
    return go.Scatter(
        x=predicted,
        y=true,
        mode="text",
        text=text,
        textfont=dict(size=9 if classes > 10 else size, color=letters),
        hoverinfo="skip",
    )


def _markers(names: list[str], cells: list[tuple[int, int]], hover: list[str]) -> go.Scatter:
    """An invisible marker over each of the cells, which can be clicked and pointed at."""
    import plotly.graph_objects as go

    classes = len(names)
    true, predicted = np.array(cells).T
    return go.Scatter(
        x=predicted,
        y=true,
        mode="markers",
        marker=dict(symbol="square", size=max(8, 420 // classes), opacity=0),
        customdata=np.stack([true, predicted], axis=1),
        text=[
            f"true {names[t]}, predicted {names[p]}: {words}"
            for t, p, words in zip(true, predicted, hover, strict=True)
        ],
        hovertemplate="%{text}<extra></extra>",
        selected=dict(marker=dict(opacity=0)),
        unselected=dict(marker=dict(opacity=0)),
    )


def _lay_out(figure: go.Figure, names: list[str], narrow: bool) -> None:
    _lay_out_axes(figure, names, narrow)
    figure.update_layout(
        height=100 + max(380, (36 if narrow else 44) * min(len(names), 16)),
        margin=dict(l=10, r=10, t=10, b=10),
        dragmode=False,
        showlegend=False,
        # wherever a cell is pointed at, its marker is the nearest
        hovermode="closest",
        hoverdistance=-1,
    )


def _lay_out_axes(figure: go.Figure, names: list[str], narrow: bool) -> None:
    last = len(names) - 0.5
    # all where they can be written into the cells too
    above = len(names) if len(names) <= MOST_WRITTEN else MOST_ABOVE
    figure.update_xaxes(_ticks(names, above), title="predicted", range=[-0.5, last], side="top")
    figure.update_yaxes(_ticks(names, _most_beside(names)), title="true", range=[last, -0.5])
    if narrow or len(names) > MOST_WRITTEN:
        # at the angle that Plotly would choose, neighbours touch
        figure.update_xaxes(tickangle=-60, ticklabeloverflow="allow")


def _most_beside(names: list[str]) -> int:
    return len(names) if len(names) <= MOST_WRITTEN else MOST_BESIDE


def _ticks(names: list[str], most: int) -> dict:
    """An axis with at most so many of the names, evenly spread."""
    ticks = list(range(0, len(names), -(-len(names) // most)))
    text = [names[tick] for tick in ticks]
    return dict(tickvals=ticks, ticktext=text, showgrid=False, zeroline=False)


def _frame(figure: go.Figure, row: int, column: int) -> None:
    figure.add_shape(
        type="rect",
        x0=column - 0.5,
        x1=column + 0.5,
        y0=row - 0.5,
        y1=row + 0.5,
        line=dict(color="#f97316", width=3),
    )


def _shown(class_names: list[str]) -> list[str]:
    return [untagged(name, 24) for name in class_names]


def _table(class_names: list[str], rows: Iterable[Iterable]) -> str:
    header = ("true \\ predicted", *class_names)
    return as_csv(header, ((name, *row) for name, row in zip(class_names, rows, strict=True)))


def _count_and_percent(count: int, share: float) -> str:
    return f"{count:,}<br>{_percent(share)}"


def _whole_percent(_count: int, share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.005 else "&lt;1"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"
