"""Training curves of one or several runs, both splits, with the best checkpoint marked."""

from dataclasses import dataclass
from typing import NamedTuple

from vizlib.displays import Display
from vizlib.displays.texts import untagged
from vizlib.run.events import marks
from vizlib.tables import as_csv

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
FULL = 600  # steps that a long training notes
PALE = 0.35  # how much is left of what comes after the moment of the film
# events drawn as a vertical line, and what it says
MARKS = marks()


class History(NamedTuple):
    """What is drawn of a run: its epoch and step events, the event of its best checkpoint or None,
    and the events of MARKS.
    """

    epochs: list
    steps: list
    best: dict | None
    marks: list = ()

    @classmethod
    def example(cls):
        """Of made-up numbers, for the `example` of what draws it."""
        losses = dict(train_loss=2.0, val_loss=2.25)
        accuracies = dict(train_accuracy=0.5, val_accuracy=0.25)
        moments = [dict(epoch=epoch, step=9 * epoch, seconds=3.5 * epoch) for epoch in (1, 2, 3)]
        epochs = [moment | losses | accuracies | dict(learning_rate=0.1) for moment in moments]
        return cls(epochs, epochs, dict(epoch=2, step=18))


@dataclass(frozen=True)
class CurvesDisplay(Display):
    """histories: run name -> History."""

    histories: dict

    @classmethod
    def example(cls, names):
        return cls({name: History.example() for name in names})

    @classmethod
    def from_runs(cls, runs):
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
        quantity="loss",
        axis="epochs",
        smoothing=0.0,
        log_scale=False,
        until=None,
        narrow=False,
    ):
        """A Plotly figure of one of QUANTITIES over one of AXES.

        Validation is drawn full, training dotted; the thin line is the training's step-by-step
        course. smoothing: the weight in [0, 1) of an exponential moving average over FULL values,
        with its start corrected as in Kingma and Ba 2015, on the step-by-step course only. until:
        the step from which on everything is pale, or None. narrow: whether it has half a page, so
        that the legend has one entry a run, and MARKS, whose words would lie on one another, are
        left out.
        """
        import plotly.graph_objects as go

        figure, x_key = go.Figure(), AXES[axis]
        for number, (name, history) in enumerate(self.histories.items()):
            for line, events, key, style in self._lines(
                history, quantity, COLOURS[number % len(COLOURS)]
            ):
                values = [event[key] for event in events]
                values = (
                    smoothed(values, weight_for(smoothing, len(values)))
                    if line == "step by step" and quantity != "learning rate"
                    else values
                )
                x, shown = (
                    [event[x_key] for event in events],
                    sum(event["step"] <= until for event in events)
                    if until is not None
                    else len(events),
                )
                entry = f"{untagged(name)}, {line}"
                common = dict(name=entry, legendgroup=entry, **style)
                # the rest stays on the axes and begins where the shown part ends
                if shown < len(events):
                    rest, pale = (
                        max(0, shown - 1),
                        dict(
                            opacity=PALE * style.get("opacity", 1),
                            showlegend=False,
                            hoverinfo="skip",
                        ),
                    )
                    figure.add_scatter(x=x[rest:], y=values[rest:], **common | pale)
                figure.add_scatter(x=x[:shown], y=values[:shown], **common)
            if not narrow:
                self._add_marks(
                    figure,
                    history,
                    x_key,
                    COLOURS[number % len(COLOURS)],
                    several=len(self.histories) > 1,
                    name=name,
                    number=number,
                )
        figure.update_layout(
            height=460,
            margin=dict(l=10, r=10, t=10, b=10),
            hovermode="x unified",
            legend=dict(orientation="h", y=1.02, yanchor="bottom"),
            showlegend=True,
        )
        if narrow:
            figure.update_layout(height=340)
            figure.for_each_trace(lambda trace: trace.update(showlegend=False))
            for name in self.histories:
                figure.for_each_trace(
                    lambda trace: trace.update(showlegend=True),
                    selector=dict(name=f"{untagged(name)}, validation"),
                )
        figure.update_xaxes(title=axis, rangemode="tozero")
        percent = quantity == "accuracy"
        figure.update_yaxes(
            title=quantity,
            tickformat=".0%" if percent else None,
            type="log" if log_scale else "linear",
        )
        return figure

    @staticmethod
    def _lines(history, quantity, colour):
        """What is drawn of a run: (what it is, its events, their key, its style)."""
        epochs, steps, *_ = History(*history)
        train_key, val_key = QUANTITIES[quantity]
        # older runs noted no accuracy by step
        steps = [event for event in steps if isinstance(event.get(train_key), (int, float))]
        if steps:
            yield (
                "step by step",
                steps,
                train_key,
                dict(
                    line=dict(color=colour, width=1 if val_key else 2), opacity=0.55, mode="lines"
                ),
            )
        if not val_key:
            return
        yield (
            "training",
            epochs,
            train_key,
            dict(line=dict(color=colour, dash="dot", width=2), mode="lines+markers", marker_size=4),
        )
        yield (
            "validation",
            epochs,
            val_key,
            dict(line=dict(color=colour, width=2.5), mode="lines+markers", marker_size=5),
        )
        best = next((event for event in epochs if is_best(event, history)), None)
        if best:
            yield (
                "best checkpoint",
                [best],
                val_key,
                dict(
                    mode="markers",
                    marker=dict(
                        symbol="star", size=15, color=colour, line=dict(color="white", width=1)
                    ),
                ),
            )

    @staticmethod
    def _add_marks(figure, history, x_key, colour, several, name, number):
        """A dashed line with a label where somebody changed the learning rate, the training was
        resumed or its pictures grew; one label for what came at one step.
        """
        labels = {}
        for event in History(*history).marks:
            if isinstance(event.get(x_key), (int, float)):
                labels.setdefault(event[x_key], []).append(MARKS[event["event"]].format(**event))
        for x, words in labels.items():
            label = (f"{untagged(name, 24)}: " if several else "") + ", ".join(words)
            # a second run's labels stand on the other side of their lines
            line, right = (dict(color=colour, width=1.5, dash="dash"), number % 2)
            position_of_label = dict(
                annotation_position="top right" if right else "top left",
                annotation_textangle=-90,
                annotation_font_color=colour,
                annotation_yanchor="top",
            )
            figure.add_vline(x, line=line, annotation_text=label, **position_of_label)

    def csv(self):
        """One row an epoch: run, epoch, step, seconds, train_loss, train_accuracy, val_loss,
        val_accuracy, learning_rate, best (0 or 1).
        """
        columns = (
            "epoch",
            "step",
            "seconds",
            "train_loss",
            "train_accuracy",
            "val_loss",
            "val_accuracy",
            "learning_rate",
        )
        rows = (
            (name, *(event.get(column) for column in columns), int(is_best(event, history)))
            for name, history in self.histories.items()
            for event in History(*history).epochs
        )
        return as_csv(("run", *columns, "best"), rows)


def is_best(event, history):
    """Whether an epoch event is the evaluation that the best checkpoint of a history came from: by
    its step, which is exact, where both have one.
    """
    best = History(*history).best
    if not best:
        return False
    key = "step" if "step" in best else "epoch"
    return event[key] == best[key]


def weight_for(smoothing, count):
    """The weight with which an average over `count` values reaches as far back, as a share of the
    whole, as one of `smoothing` does over FULL.
    """
    return smoothing ** (FULL / count) if 0 < count < FULL else smoothing


def smoothed(values, weight):
    """Exponential moving average; the first values are corrected for starting from nothing."""
    average, result = 0.0, []
    for count, value in enumerate(values, 1):
        average = weight * average + (1 - weight) * value
        result.append(average / (1 - weight**count))
    return result
