"""Training curves of one or several runs, both splits, with the best checkpoint marked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

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
OF_TEST = {"val_loss": "test_loss", "val_accuracy": "test_accuracy"}  # which logs may have
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
MOST_TOLD_APART = 100  # points of a line that are drawn as such
PALE = 0.35  # how much is left of what comes after the moment of the film
# events drawn as a vertical line, and what it says
MARKS = marks()


class Log(Protocol):
    """What is read of a log from elsewhere, a bring.logs.Logged. epochs, steps: events that may
    lack values, and one of which is the best; other: those of a metric by its own name, with their
    "value".
    """

    @property
    def name(self) -> str: ...
    @property
    def epochs(self) -> list[dict]: ...
    @property
    def steps(self) -> list[dict]: ...
    @property
    def best(self) -> dict | None: ...
    def other(self, name: str, /) -> list[dict]: ...


class History(NamedTuple):
    """What is drawn of a run: its epoch and step events, the event of its best checkpoint or None,
    and the events of MARKS. is_log: whether it is a log from elsewhere, whose events may lack
    values; others: events of one more of its metrics, with their "value".
    """

    epochs: list[dict]
    steps: list[dict]
    best: dict | None
    marks: Sequence[dict] = ()
    is_log: bool = False
    others: Sequence[dict] = ()

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
    """histories: run name -> History. other: a metric of logs by its own name, drawn as a quantity
    of that name.
    """

    histories: dict[str, History]
    other: str = ""

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

    @classmethod
    def from_logs(cls, logs: Iterable[Log], other: str = "") -> Self:
        """Of logs from elsewhere. other: a metric by its own name that is to be drawn as well."""
        return cls(
            {
                log.name: History(
                    log.epochs, log.steps, log.best, is_log=True, others=log.other(other)
                )
                for log in logs
            },
            other,
        )

    def __or__(self, beside: CurvesDisplay) -> CurvesDisplay:
        """Both, on the same axes."""
        return CurvesDisplay(self.histories | beside.histories, self.other or beside.other)

    def plot(
        self,
        quantity: str = "loss",
        axis: str = "epochs",
        smoothing: float = 0.0,
        log_scale: bool = False,
        until: int | None = None,
        narrow: bool = False,
    ) -> go.Figure:
        """A Plotly figure of one of QUANTITIES, or of the other metric by its name, over one of
        AXES.

        Validation is drawn full, training dotted, what a log has of a test dashed; the thin line is
        the training's step-by-step course. smoothing: the weight in [0, 1) of an exponential moving
        average over FULL values,
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
            title=untagged(quantity),
            tickformat=".0%" if quantity == "accuracy" else None,
            type="log" if log_scale else "linear",
        )
        return figure

    def without(self, quantity: str, axis: str) -> list[str]:
        """The names of those that have nothing to draw of a quantity over an axis."""
        return [
            name
            for name, history in self.histories.items()
            if not any(
                AXES[axis] in event
                for line in _lines(history, quantity, "")
                for event in line.events
            )
        ]

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
        val_accuracy, learning_rate, best (0 or 1). Of logs from elsewhere also one for each step
        and each value of the other metric, and their test_loss, test_accuracy and that metric
        before "best".
        """
        rows = [
            (name, event, int(is_best(event, History(*history))))
            for name, history in self.histories.items()
            for event in _in_table(History(*history))
        ]
        of_logs = [key for key in OF_TEST.values() if any(key in event for _, event, _ in rows)]
        if any("value" in event for _, event, _ in rows):
            of_logs.append("value")
        keys = (*COLUMNS, *of_logs)
        names = [self.other if key == "value" else key for key in keys]
        return as_csv(
            ("run", *names, "best"),
            ((name, *(event.get(key) for key in keys), best) for name, event, best in rows),
        )


def _in_table(history: History) -> Sequence[dict]:
    """The events that a table has a row of."""
    return [*history.epochs, *history.steps, *history.others] if history.is_log else history.epochs


def _colour(number: int) -> str:
    """Of a run, by its number from 0."""
    return COLOURS[number % len(COLOURS)]


def is_best(event: dict, history: History) -> bool:
    """Whether an epoch event is the evaluation that the best checkpoint of a history came from: by
    its step, which is exact, where both have one.
    """
    history = History(*history)
    best = history.best
    if not best:
        return False
    if history.is_log:
        return event == best
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


def _smoothed_over_gaps(values: Sequence[float | None], smoothing: float) -> list[float | None]:
    """The same of values some of which are gaps: they stay, and the average goes on behind them."""
    known = [value for value in values if value is not None]
    averages = iter(smoothed(known, weight_for(smoothing, len(known))))
    return [None if value is None else next(averages) for value in values]


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
    if quantity not in QUANTITIES:
        if history.others:
            yield _line_of_other(history, quantity, colour)
        return
    train_key, val_key = QUANTITIES[quantity]
    # older runs noted no accuracy by step
    steps = [event for event in history.steps if isinstance(event.get(train_key), (int, float))]
    if history.is_log:  # where one that is no number is a gap
        steps = [event for event in history.steps if train_key in event]
    if steps:
        thin = dict(color=colour, width=1 if val_key else 2)
        style = dict(line=thin, opacity=0.55, mode="lines")
        yield Line("step by step", steps, train_key, style, is_course=True)
    if val_key:
        yield from _lines_by_epoch(history, train_key, val_key, colour)


def _line_of_other(history: History, name: str, colour: str) -> Line:
    """A metric of a log by its own name: with points where they can be told apart."""
    events = list(history.others)
    is_course = len(events) > MOST_TOLD_APART
    style = dict(line=dict(color=colour, width=2), mode="lines" if is_course else "lines+markers")
    return Line(untagged(name), events, "value", style, is_course)


def _lines_by_epoch(history: History, train_key: str, val_key: str, colour: str) -> Iterator[Line]:
    points = dict(mode="lines+markers")
    dotted = dict(points, line=dict(color=colour, dash="dot", width=2), marker_size=4)
    full = dict(points, line=dict(color=colour, width=2.5), marker_size=5)
    dashed = dict(points, line=dict(color=colour, dash="dash", width=2), marker_size=4)
    test_key = OF_TEST[val_key]
    lines = [
        Line("training", history.epochs, train_key, dotted),
        Line("validation", history.epochs, val_key, full),
        Line("test", history.epochs, test_key, dashed),
    ]
    for line in lines:
        events = [event for event in line.events if line.key in event]
        if events or (line.key != test_key and not history.is_log):
            yield line._replace(events=events)
    best = next((event for event in history.epochs if is_best(event, history)), None)
    key = next((key for key in (val_key, test_key) if best and best.get(key) is not None), None)
    if best and key:
        star = dict(symbol="star", size=15, color=colour, line=dict(color="white", width=1))
        words = "best epoch" if history.is_log else "best checkpoint"
        yield Line(words, [best], key, dict(mode="markers", marker=star))


def _add_line(
    figure: go.Figure, name: str, line: Line, x_key: str, smoothing: float, until: int | None
) -> None:
    """Draw a run's line, what comes after the step `until` pale."""
    events = [event for event in line.events if x_key in event]  # logs may lack an axis
    x = [event[x_key] for event in events]
    y = [event[line.key] for event in events]
    if smoothing:
        y = _smoothed_over_gaps(y, smoothing)
    entry = f"{untagged(name)}, {line.words}"
    common = dict(name=entry, legendgroup=entry, **line.style)
    shown = sum(until is None or event.get("step", 0) <= until for event in events)
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
