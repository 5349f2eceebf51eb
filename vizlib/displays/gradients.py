"""The size of the gradient in every layer along a training: the picture in which one sees gradients
vanish, or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.texts import untagged
from vizlib.run import moments
from vizlib.tables import as_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from vizlib.run.folders import Run

SIZES = ("gradient", "gradient / weight")
MOST_COLUMNS = 60
MOST_DECADES = 8  # of the colour scale; what is smaller still has the darkest colour
COLOURS = ("#0891b2", "#ea580c")
MOMENT = dict(color="#f97316", width=2)  # the line at the step in view


@dataclass(frozen=True)
class Gradients:
    """What a run noted at S steps of its L weight layers. steps: (S,); norms, weights: L2 norms,
    float (S, L); layers: L names, first to last.
    """

    layers: list[str]
    steps: list[int]
    norms: np.ndarray
    weights: np.ndarray

    def sizes(self, size: str) -> np.ndarray:
        """One of SIZES at each step for each layer, float (S, L); a gradient that is zero, or a
        weight, gives not-a-number.
        """
        values = self.norms
        if size != SIZES[0]:
            nothing = np.zeros_like(self.norms)
            values = np.divide(self.norms, self.weights, out=nothing, where=self.weights > 0)
        return np.where(values > 0, values, np.nan)

    def cells(self) -> Iterator[tuple]:
        """One row a step and layer: step, layer number from 1, layer, gradient, weight."""
        for row, step in enumerate(self.steps):
            for column, layer in enumerate(self.layers):
                sizes = (f"{values[row, column]:.6g}" for values in (self.norms, self.weights))
                yield step, column + 1, layer, *sizes

    def thinned(self, most: int) -> Gradients:
        """The same of at most so many steps, evenly spread in their logarithm."""
        rows = log_spaced(self.steps, most)
        steps = [self.steps[row] for row in rows]
        return Gradients(self.layers, steps, self.norms[rows], self.weights[rows])

    def row(self, step: int | None) -> int:
        """The number of the last row up to a step; the first row if all come later. step None is
        the end.
        """
        moment = moments.last_up_to(self.steps, step)
        return 0 if moment is None else self.steps.index(moment)


@dataclass(frozen=True)
class GradientsDisplay(Display):
    """histories: run name -> Gradients, one or two."""

    histories: dict[str, Gradients]

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        norms = np.array([[0.5, 0.25], [0.125, 2.0], [1.0, 4.0]])
        return cls(
            {name: Gradients(["conv1", "fc"], [1, 2, 4], norms, 3 * norms) for name in names}
        )

    @classmethod
    def from_runs(cls, runs: Iterable[Run]) -> Self:
        """Of the runs that noted their gradients; those that did not are left out."""
        noted = {
            run.run_id: gradients_of(run.events_of("started"), run.events_of("gradients"))
            for run in runs
        }
        return cls({name: gradients for name, gradients in noted.items() if gradients is not None})

    def plot(self, size: str = SIZES[0], step: int | None = None) -> go.Figure:
        """A heat map for each run, side by side on one colour scale: first layer on top, steps to
        the right, evenly in their logarithm.

        step: the moment to mark with a line, or None.
        """
        from plotly.subplots import make_subplots

        names = [untagged(name, 40) for name in self.histories]
        figure = make_subplots(1, len(names), subplot_titles=names, horizontal_spacing=0.03)
        for column, gradients in enumerate(self.histories.values(), 1):
            shown = gradients.thinned(MOST_COLUMNS)
            _add_course(figure, shown, size, column)
            if step is not None:
                panel: dict[str, Any] = dict(row=1, col=column)
                figure.add_vline(shown.row(step), line=MOMENT, **panel)
        figure.update_layout(
            coloraxis=self._colour_axis(size), height=520, margin=dict(l=10, r=10, t=34, b=10)
        )
        return figure

    def _colour_axis(self, size: str) -> dict:
        """One for all runs, its ticks at the powers of ten, its bar below them."""
        low, high = self.decades(size)
        ticks = list(range(int(np.ceil(low)), int(np.floor(high)) + 1))
        bar = dict(
            title=dict(text=f"size of the {size}", side="top"),
            tickvals=ticks,
            ticktext=[power_of_ten(tick) for tick in ticks],
            orientation="h",
            y=-0.16,
            yanchor="top",
            len=0.5,
            thickness=12,
            outlinewidth=0,
        )
        return dict(colorscale="Viridis", cmin=low, cmax=high, colorbar=bar)

    def plot_depth(self, size: str, step: int | None = None) -> go.Figure:
        """The size by layer, first to last, at a step (None: the end), on one logarithmic axis."""
        import plotly.graph_objects as go

        figure = go.Figure()
        for colour, (name, gradients) in zip(COLOURS, self.histories.items(), strict=False):
            row = gradients.row(step)
            figure.add_scatter(
                x=list(range(1, len(gradients.layers) + 1)),
                y=_for_json(gradients.sizes(size)[row]),
                name=f"{untagged(name, 40)}, step {gradients.steps[row]:,}",
                text=[untagged(layer) for layer in gradients.layers],
                hovertemplate="%{text}: %{y:.2e}<extra>%{fullData.name}</extra>",
                mode="lines+markers",
                line=dict(color=colour, width=2.5),
                marker_size=6,
            )
        self._lay_out_depth(figure, size)
        return figure

    def _lay_out_depth(self, figure: go.Figure, size: str) -> None:
        # the same for all steps, so that the film moves the lines and not the axis
        low, high = self.decades(size)
        figure.update_yaxes(
            title=size,
            type="log",
            range=[low - 0.1, high + 0.1],
            dtick=1,
            exponentformat="power",
            showexponent="all",
        )
        figure.update_xaxes(
            title="layer, from the image to the answer", rangemode="tozero", zeroline=False
        )
        figure.update_layout(
            height=340,
            margin=dict(l=10, r=10, t=10, b=10),
            legend=dict(orientation="h", y=1.12),
            showlegend=True,
        )

    def decades(self, size: str) -> tuple[float, float]:
        """The powers of ten that the least and the greatest value of all runs lie between: two
        numbers, not equal.
        """
        values = np.concatenate(
            [gradients.sizes(size).ravel() for gradients in self.histories.values()]
        )
        values = np.log10(values[np.isfinite(values)])
        if not values.size:
            return -1.0, 0.0
        high = float(values.max())
        low = max(float(values.min()), high - MOST_DECADES)
        return (low, high) if high - low >= 1 else ((low + high) / 2 - 0.5, (low + high) / 2 + 0.5)

    def csv(self) -> str:
        """One row a run, step and layer: run, step, layer_number, layer, gradient, weight."""
        rows = (
            (run_id, *cells)
            for run_id, gradients in self.histories.items()
            for cells in gradients.cells()
        )
        return as_csv(("run", "step", "layer_number", "layer", "gradient", "weight"), rows)


def gradients_of(started: list[dict], events: list[dict]) -> Gradients | None:
    """The Gradients in a run's "started" and "gradients" events; None if there are none. Events
    that do not fit the layers are left out.
    """
    noted = (event.get("layers") for event in reversed(started))
    layers = next((names for names in noted if isinstance(names, list)), [])
    kept = {}
    for event in events:
        try:
            pair = np.array([event["norms"], event["weights"]], dtype=float)
        except (KeyError, TypeError, ValueError):
            continue
        if layers and pair.shape == (2, len(layers)) and np.isfinite(pair).all():
            kept[event["step"]] = pair  # an evaluation may fall on a step already noted
    if not kept:
        return None
    steps = sorted(kept)
    stacked = np.stack([kept[step] for step in steps], axis=1)
    return Gradients([str(layer) for layer in layers], steps, stacked[0], stacked[1])


def log_spaced(steps: list[int], most: int) -> list[int]:
    """The numbers of at most `most` of the steps, in order, spread evenly in their logarithm; the
    first and the last are among them.
    """
    logarithms = np.log1p(np.asarray(steps, float))
    wanted = np.linspace(logarithms[0], logarithms[-1], most)
    return np.unique(np.abs(logarithms[None] - wanted[:, None]).argmin(axis=1)).tolist()


def power_of_ten(exponent: int) -> str:
    """As Plotly draws it."""
    return {0: "1", 1: "10"}.get(exponent, f"10<sup>{exponent}</sup>")


def _spread(count: int, most: int) -> list[int]:
    """At most `most` whole numbers from 0 to count - 1 at one distance, with count - 1 itself in
    place of one that is too near to it.
    """
    stride = -(-count // most)
    numbers = list(range(0, count, stride))
    if numbers[-1] == count - 1:
        return numbers
    is_near = count - 1 - numbers[-1] < stride
    return [*(numbers[:-1] if is_near else numbers), count - 1]


def _add_course(figure: go.Figure, gradients: Gradients, size: str, column: int) -> None:
    """Draw one run's heat map, first layer on top."""
    sizes = gradients.sizes(size).T
    steps, layers = gradients.steps, gradients.layers
    figure.add_heatmap(
        z=_for_json(np.log10(sizes).round(3)),
        customdata=[[f"{step:,}" for step in steps]] * len(layers),
        text=[
            [f"{value:.2e}" if np.isfinite(value) else "zero" for value in of_layer]
            for of_layer in sizes
        ],
        y=list(range(len(layers))),
        hovertext=[[untagged(layer)] * len(steps) for layer in layers],
        hovertemplate="%{hovertext}, step %{customdata}: %{text}<extra></extra>",
        hoverongaps=True,
        coloraxis="coloraxis",
        row=1,
        col=column,
    )
    _lay_out_course(figure, steps, layers, column)


def _lay_out_course(figure: go.Figure, steps: list[int], layers: list[str], column: int) -> None:
    axis: dict[str, Any] = dict(row=1, col=column, showgrid=False, zeroline=False)
    ticks = _spread(len(steps), 7)
    words = [f"{steps[number]:,}" for number in ticks]
    figure.update_xaxes(title="training step", tickvals=ticks, ticktext=words, **axis)
    ticks = _spread(len(layers), 17)
    words = [untagged(layers[number][-24:]) for number in ticks]
    # the names of the second stay clear of the first
    side = "left" if column == 1 else "right"
    figure.update_yaxes(tickvals=ticks, ticktext=words, side=side, autorange="reversed", **axis)


def _for_json(values: np.ndarray) -> list:
    """Numbers as lists, None where there is none."""
    numbers = values.astype(object)
    numbers[~np.isfinite(values)] = None
    return numbers.tolist()
