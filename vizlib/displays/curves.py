"""Training curves of one or several runs, both splits, with the best checkpoint marked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from vizlib.displays import Display
from vizlib.displays.texts import untagged
from vizlib.run.events import marks
from vizlib.tables import as_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from vizlib.run.folders import Run

QUANTITIES = {
    "loss": ("train_loss", "val_loss"),
    "accuracy": ("train_accuracy", "val_accuracy"),
    "learning rate": ("learning_rate", None),
}
AXES = {"epochs": "epoch", "steps": "step", "seconds": "seconds"}
COLOURS = (
    "#0891b2",
    "#ea580c",
    "#7c3aed",
    "#16a34a",
    "#db2777",
    "#ca8a04",
    "#2563eb",
    "#525252",
    "#dc2626",
    "#0d9488",
)
# of the table, and what an epoch event calls them
COLUMNS = (
    "epoch",
    "step",
    "seconds",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
)
FULL = 600  # steps that a long training notes
PALE = 0.35  # how much is left of what comes after the moment of the film
# events drawn as a vertical line, and what it says
MARKS = marks()


class History(NamedTuple):
    """What is drawn of a run: its epoch and step events, the event of its best checkpoint or None,
    and the events of MARKS.
    """

    epochs: list[dict]
    steps: list[dict]
    best: dict | None
    marks: Sequence[dict] = ()

    @classmethod
    def example(cls) -> Self:
        """Of made-up numbers, for the `example` of what draws it."""
        losses = dict(train_loss=2.0, val_loss=2.25)
        accuracies = dict(train_accuracy=0.5, val_accuracy=0.25)
        moments = [dict(epoch=epoch, step=9 * epoch, seconds=3.5 * epoch) for epoch in (1, 2, 3)]
        epochs = [moment | losses | accuracies | dict(learning_rate=0.1) for moment in moments]
        return cls(epochs, epochs, dict(epoch=2, step=18))


@dataclass(frozen=True)
class CurvesDisplay(Display):
    """histories: run name -> History."""

    histories: dict[str, History]

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        return cls({name: History.example() for name in names})

    @classmethod
    def from_runs(cls, runs: Iterable[Run]) -> Self:
        """Of what their folders have noted."""
        return cls(
            {
                run.run_id: History(
                    run.events_of("epoch"),
                    run.events_of("step"),
                    run.best,
                    [event for kind in MARKS for event in run.events_of(kind)],
                )
                for run in runs
            }
        )

    def plot(
        self,
        quantity: str = "loss",
        axis: str = "epochs",
        smoothing: float = 0.0,
        log_scale: bool = False,
        until: int | None = None,
        narrow: bool = False,
    ) -> go.Figure:
        """A Plotly figure of one of QUANTITIES over one of AXES.

        Validation is drawn full, training dotted; the thin line is the training's step-by-step
        course. smoothing: the weight in [0, 1) of an exponential moving average over FULL values,
        with its start corrected as in Kingma and Ba 2015, on the step-by-step course only. until:
        the step from which on everything is pale, or None. narrow: whether it has half a page, so
        that the legend has one entry a run, and MARKS, whose words would lie on one another, are
        left out.
        """
        import plotly.graph_objects as go

        figure = go.Figure()
        for number, (name, history) in enumerate(self.histories.items()):
            for line in _lines(history, quantity, _colour(number)):
                weight = smoothing if line.is_course and quantity != "learning rate" else 0.0
                _add_line(figure, name, line, AXES[axis], weight, until)
        if not narrow:
            self._mark(figure, AXES[axis])
        self._lay_out(figure, narrow)
        figure.update_xaxes(title=axis, rangemode="tozero")
        figure.update_yaxes(
            title=quantity,
            tickformat=".0%" if quantity == "accuracy" else None,
            type="log" if log_scale else "linear",
        )
        return figure

    def _mark(self, figure: go.Figure, x_key: str) -> None:
        """Draw what was done to each run on the way."""
        for number, (name, history) in enumerate(self.histories.items()):
            words = f"{untagged(name, 24)}: " if len(self.histories) > 1 else ""
            # a second run's labels stand on the other side of their lines
            side = "right" if number % 2 else "left"
            _add_marks(figure, history, x_key, _colour(number), words, side)

    def _lay_out(self, figure: go.Figure, narrow: bool) -> None:
        figure.update_layout(
            height=340 if narrow else 460,
            margin=dict(l=10, r=10, t=10, b=10),
            hovermode="x unified",
            legend=dict(orientation="h", y=1.02, yanchor="bottom"),
            showlegend=True,
        )
        if narrow:
            figure.update_traces(showlegend=False)
            for name in self.histories:
                entry = dict(name=f"{untagged(name)}, validation")
                figure.update_traces(showlegend=True, selector=entry)

    def csv(self) -> str:
        """One row an epoch: run, epoch, step, seconds, train_loss, train_accuracy, val_loss,
        val_accuracy, learning_rate, best (0 or 1).
        """
        rows = (
            (name, *(event.get(column) for column in COLUMNS), int(is_best(event, history)))
            for name, history in self.histories.items()
            for event in History(*history).epochs
        )
        return as_csv(("run", *COLUMNS, "best"), rows)


def _colour(number: int) -> str:
    """Of a run, by its number from 0."""
    return COLOURS[number % len(COLOURS)]


def is_best(event: dict, history: History) -> bool:
    """Whether an epoch event is the evaluation that the best checkpoint of a history came from: by
    its step, which is exact, where both have one.
    """
    best = History(*history).best
    if not best:
        return False
    key = "step" if "step" in best else "epoch"
    return event[key] == best[key]


def weight_for(smoothing: float, count: int) -> float:
    """The weight with which an average over `count` values reaches as far back, as a share of the
    whole, as one of `smoothing` does over FULL.
    """
    return smoothing ** (FULL / count) if 0 < count < FULL else smoothing


def smoothed(values: Iterable[float], weight: float) -> list[float]:
    """Exponential moving average; the first values are corrected for starting from nothing."""
    average, result = 0.0, []
    for count, value in enumerate(values, 1):
        average = weight * average + (1 - weight) * value
        result.append(average / (1 - weight**count))
    return result


class Line(NamedTuple):
    """One line of a run: what it is, its events, the key of its values in them, how it is drawn.
    is_course: whether it goes from step to step.
    """

    words: str
    events: list[dict]
    key: str
    style: dict
    is_course: bool = False


def _lines(history: History, quantity: str, colour: str) -> Iterator[Line]:
    """What is drawn of a run, the best checkpoint last."""
    history = History(*history)
    train_key, val_key = QUANTITIES[quantity]
    # older runs noted no accuracy by step
    steps = [event for event in history.steps if isinstance(event.get(train_key), (int, float))]
    if steps:
        thin = dict(color=colour, width=1 if val_key else 2)
        style = dict(line=thin, opacity=0.55, mode="lines")
        yield Line("step by step", steps, train_key, style, is_course=True)
    if val_key:
        yield from _lines_by_epoch(history, train_key, val_key, colour)


def _lines_by_epoch(history: History, train_key: str, val_key: str, colour: str) -> Iterator[Line]:
    epochs = history.epochs
    dotted = dict(color=colour, dash="dot", width=2)
    full = dict(color=colour, width=2.5)
    points = dict(mode="lines+markers")
    yield Line("training", epochs, train_key, dict(points, line=dotted, marker_size=4))
    yield Line("validation", epochs, val_key, dict(points, line=full, marker_size=5))
    best = next((event for event in epochs if is_best(event, history)), None)
    if best:
        star = dict(symbol="star", size=15, color=colour, line=dict(color="white", width=1))
        yield Line("best checkpoint", [best], val_key, dict(mode="markers", marker=star))


def _add_line(
    figure: go.Figure, name: str, line: Line, x_key: str, smoothing: float, until: int | None
) -> None:
    """Draw a run's line, what comes after the step `until` pale."""
    x = [event[x_key] for event in line.events]
    y = [event[line.key] for event in line.events]
    if smoothing:
        y = smoothed(y, weight_for(smoothing, len(y)))
    entry = f"{untagged(name)}, {line.words}"
    common = dict(name=entry, legendgroup=entry, **line.style)
    shown = sum(until is None or event["step"] <= until for event in line.events)
    if shown < len(x):
        # the rest stays on the axes and begins where the shown part ends
        rest = max(0, shown - 1)
        pale = dict(opacity=PALE * line.style.get("opacity", 1), showlegend=False)
        figure.add_scatter(x=x[rest:], y=y[rest:], **common | pale, hoverinfo="skip")
    figure.add_scatter(x=x[:shown], y=y[:shown], **common)


def _add_marks(
    figure: go.Figure, history: History, x_key: str, colour: str, words: str, side: str
) -> None:
    """A dashed line with a label where somebody changed the learning rate, the training was resumed
    or its pictures grew; one label for what came at one step. words: before it.
    """
    labels: dict[float, list[str]] = {}
    for event in History(*history).marks:
        if isinstance(event.get(x_key), (int, float)):
            labels.setdefault(event[x_key], []).append(MARKS[event["event"]].format(**event))
    for x, events in labels.items():
        figure.add_vline(
            x,
            line=dict(color=colour, width=1.5, dash="dash"),
            annotation_text=words + ", ".join(events),
            annotation_position=f"top {side}",
            annotation_textangle=-90,
            annotation_font_color=colour,
            annotation_yanchor="top",
        )
