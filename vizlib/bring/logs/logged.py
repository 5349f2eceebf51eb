"""A log that was understood: which metric is which, accuracies as shares, the best epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from vizlib.bring.logs.names import ACCURACY, ERROR, RATE, TEST, TRAIN, VAL, Role, role_of
from vizlib.bring.logs.positions import placed
from vizlib.bring.logs.series import AXES, EPOCH, SECONDS, STEP, Recorded, Series, some
from vizlib.errors import UserError

Event = dict[str, Any]

MOST_POINTS = 10_000  # of a line; more are drawn by the least and greatest of each part
LARGEST = 2**53  # below it whole numbers are exact
LONGEST_NAME = 200  # letters of a metric's
MANY = 100  # values of a training without evaluations, from which on they are of its steps
PER_EVALUATION = 3  # values of a training, above which they are of its steps
ABOVE_A_SHARE = 1.5
SPREAD_OF_SHARES = 0.15  # wider than that, values up to 1 are no percent
BEST = (("val_accuracy", max), ("val_loss", min), ("test_accuracy", max), ("test_loss", min))


@dataclass(frozen=True)
class Logged:
    """A run as a log from elsewhere has it, to be drawn.

    kind: what the file is, as in a sentence. by_epoch, by_step: Series by what they are:
    train_loss, train_accuracy, the same of val_ and test_, learning_rate; accuracies are shares of
    1, NaN is a gap. others: of metrics that are none of these, by their own names. metrics: what
    each metric was taken for, by its own name, empty where for nothing. remarks: sentences on how
    it was understood.
    """

    name: str
    kind: str
    by_epoch: dict[str, Series]
    by_step: dict[str, Series]
    others: dict[str, Series]
    metrics: dict[str, str]
    remarks: list[str] = field(default_factory=list)

    @property
    def epochs(self) -> list[Event]:
        """Events as those of our runs, with what the log has of epoch, step and seconds; None where
        a value is no number.
        """
        return _events(self.by_epoch)

    @property
    def steps(self) -> list[Event]:
        """The same of what was logged step by step."""
        return _events(self.by_step)

    def other(self, name: str) -> list[Event]:
        """The same of a metric by its own name, as the "value" of each; empty if it has none."""
        return _events({"value": self.others[name]}) if name in self.others else []

    @property
    def axes(self) -> list[str]:
        """Those of "epoch", "step" and "seconds" that it has."""
        every = [*self.by_epoch.values(), *self.by_step.values(), *self.others.values()]
        return [axis for axis in AXES if any(axis in each.positions for each in every)]

    @property
    def best(self) -> Event | None:
        """The event with the best validation accuracy; where there is none the validation loss, or
        the same of the test.
        """
        key, best_of = next(((key, of) for key, of in BEST if key == self.chosen_by), ("", max))
        events = [event for event in self.epochs if event.get(key) is not None]
        return best_of(events, key=lambda event: event[key]) if events else None

    @property
    def summary(self) -> str:
        """What it is and where it was best, as a sentence without its subject and stop."""
        axes = [axis if axis == SECONDS else f"{axis}s" for axis in self.axes]
        text = f"{self.kind}, {some(len(self.metrics), 'metric')} over {', '.join(axes)}"
        best = self.best
        if best is None:
            return text
        axis = next((axis for axis in (EPOCH, STEP) if axis in best), SECONDS)
        value = best[self.chosen_by]
        figure = f"{value:.1%}" if self.chosen_by.endswith(ACCURACY) else f"{value:.4g}"
        words = f"{words_of(self.chosen_by)} of {figure}"
        if self.chosen_by.startswith(TEST):
            words += ", as it has no validation"
        return f"{text}; best at {axis} {best.get(axis, 0):,.6g}, by its {words}"

    @property
    def chosen_by(self) -> str:
        """What the best event was chosen by, as by_epoch calls it; empty where there is none."""
        known = (key for key, _ in BEST if key in self.by_epoch)
        return next((key for key in known if np.isfinite(self.by_epoch[key].values).any()), "")


def words_of(key: str) -> str:
    """A key of by_epoch as it is said: validation accuracy."""
    return key.replace("train_", "training ").replace("val_", "validation ").replace("_", " ")


def logged(name: str, kind: str, recorded: Recorded) -> Logged:
    """What was recorded, understood. UserError where there is nothing to draw."""
    series, remarks = placed(recorded.series)
    series = {_printable(metric): each for metric, each in series.items() if len(each)}
    if not series:
        raise UserError(f"{name} is {kind}, and has no figures to draw.")
    remarks = [*recorded.remarks, *remarks, *_on_what_is_no_number(series)]
    series = {metric: _thinned(metric, each, remarks) for metric, each in series.items()}
    chosen = _chosen(series, _roles(series, remarks))
    metrics, taken = _as_shares(series, chosen, remarks)
    return Logged(
        _printable(name),
        kind,
        {key: each for (key, by_step), each in taken.items() if not by_step},
        {key: each for (key, by_step), each in taken.items() if by_step},
        {metric: each for metric, each in series.items() if metric not in metrics},
        {metric: metrics.get(metric, "") for metric in series},
        remarks,
    )


def _printable(name: str) -> str:
    """A name without what would restyle a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name[:LONGEST_NAME])


def _on_what_is_no_number(series: Mapping[str, Series]) -> list[str]:
    counts = {name: int((~np.isfinite(each.values)).sum()) for name, each in series.items()}
    if not any(counts.values()):
        return []
    total = some(sum(counts.values()), "value")
    named = _listed([name for name, count in counts.items() if count])
    return [f"No numbers, or infinite: {total} of {named}. They are gaps."]


def _thinned(name: str, each: Series, remarks: list[str]) -> Series:
    """No more values than a chart can draw: of each part of many its least and its greatest."""
    if len(each) <= MOST_POINTS:
        return each
    known = np.isfinite(each.values)
    low, high = np.where(known, each.values, np.inf), np.where(known, each.values, -np.inf)
    edges = np.linspace(0, len(each), MOST_POINTS // 2 + 1).astype(int)
    kept = {0, len(each) - 1}
    for start, end in pairwise(edges):
        kept |= {start + int(low[start:end].argmin()), start + int(high[start:end].argmax())}
    remarks.append(
        f"Of the {len(each):,} values of {name!r} those are drawn that are the least or the "
        f"greatest of {MOST_POINTS // 2:,} parts."
    )
    return each.take(np.array(sorted(kept)))


# Which metric is which


def _roles(series: Mapping[str, Series], remarks: list[str]) -> dict[str, Role]:
    """What each metric is whose name says it. Where a name has no split, it is of the training, as
    Keras has it; beside names that say so of the training it is of the validation, as fastai does.
    """
    roles = {name: role for name in series if (role := role_of(name))}
    evaluated = {role.quantity for role in roles.values() if role.split in (VAL, TEST)}
    says_train = any(role.split == TRAIN for role in roles.values())
    for name, role in roles.items():
        if role.quantity == RATE or role.split:
            continue
        is_of_validation = says_train and bool(evaluated) and role.quantity not in evaluated
        roles[name] = role._replace(split=VAL if is_of_validation else TRAIN)
        if is_of_validation:
            remarks.append(
                f"{name!r} does not say of which images it is: as others are called after the "
                "training, it is taken for the validation's."
            )
    return roles


Key = tuple[str, bool]  # what a series is, as Logged calls it, and whether it goes by step


def _chosen(series: Mapping[str, Series], roles: Mapping[str, Role]) -> dict[Key, str]:
    """The metric that is each: of several the one whose name does not speak of steps, then the one
    with the most values, then the first.
    """
    evaluations = max(
        (len(series[name]) for name, role in roles.items() if role.split in (VAL, TEST)), default=0
    )
    chosen: dict[Key, str] = {}
    for name in sorted(roles, key=lambda name: (roles[name].is_by_step, -len(series[name]))):
        role = roles[name]
        key = role.quantity if role.quantity == RATE else f"{role.split}_{role.quantity}"
        chosen.setdefault((key, _is_by_step(role, series[name], evaluations)), name)
    return chosen


def _is_by_step(role: Role, each: Series, evaluations: int) -> bool:
    """Whether a metric goes from step to step, and has no value for each epoch."""
    if role.split in (VAL, TEST):
        return False
    if role.quantity == RATE or role.is_by_step:
        return True
    most = PER_EVALUATION * evaluations if evaluations else MANY
    return len(each) > most and (STEP in each.positions or not _is_whole(each))


def _is_whole(each: Series) -> bool:
    """Whether its values stand at whole epochs, each at one of its own."""
    epochs = each.positions.get(EPOCH, np.array([0.5]))
    return bool(np.all(epochs == np.round(epochs)) and np.all(np.diff(epochs) > 0))


# Accuracies as shares


def _as_shares(
    series: Mapping[str, Series], chosen: Mapping[Key, str], remarks: list[str]
) -> tuple[dict[str, str], dict[Key, Series]]:
    """(What each metric is, by its own name; the series by what they are): accuracies as shares,
    also of those that were logged in percent, or as errors.
    """
    rates = {name: series[name] for (key, _), name in chosen.items() if _is_rate(key)}
    percent = _in_percent(rates)
    if percent:
        remarks.append(f"In percent, by their values: {_listed(percent)}.")
    metrics, taken = {}, {}
    for (key, by_step), name in chosen.items():
        each, taken_for = series[name], key
        if _is_rate(key):
            each = Series(each.values / (100 if name in percent else 1), each.positions)
            if not _are_shares(each, name, remarks):
                continue
        if key.endswith(ERROR):
            taken_for = key.replace(ERROR, ACCURACY)
            if (taken_for, by_step) in chosen:
                continue  # it is drawn by its own name
            each = Series(1 - each.values, each.positions)
            remarks.append(f"{name!r} is an error: drawn is the accuracy, 1 less the error.")
        metrics[name], taken[taken_for, by_step] = taken_for, each
    return metrics, taken


def _is_rate(key: str) -> bool:
    return key.endswith((ACCURACY, ERROR))


def _in_percent(rates: Mapping[str, Series]) -> list[str]:
    """Those that are in percent: above 1.5 somewhere; and where others of the log are, those that
    hardly move, as a network does that never learns.
    """
    known = {name: each.values[np.isfinite(each.values)] for name, each in rates.items()}
    known = {name: values for name, values in known.items() if len(values)}
    above = [name for name, values in known.items() if values.max() > ABOVE_A_SHARE]
    still = [
        name
        for name, values in known.items()
        if name not in above and (np.ptp(values) < SPREAD_OF_SHARES or values.max() > 1)
    ]
    return [*above, *still] if above else []


def _are_shares(each: Series, name: str, remarks: list[str]) -> bool:
    known = each.values[np.isfinite(each.values)]
    if np.all((known >= 0) & (known <= 1 + 1e-6)):
        return True
    remarks.append(
        f"{name!r} is called an accuracy or an error, and its values are no shares: it is drawn by "
        "its own name."
    )
    return False


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:4])) + (" and others" if len(names) > 4 else "")


# Events


def _events(parts: Mapping[str, Series]) -> list[Event]:
    """Series as events, those of one moment together, in order."""
    events: dict[tuple[float | None, ...], Event] = {}
    for key, each in parts.items():
        columns = [each.positions.get(axis, np.full(len(each), np.nan)).tolist() for axis in AXES]
        known = np.isfinite(each.values)
        for *positions, value, is_known in zip(*columns, each.values.tolist(), known, strict=True):
            moment = {
                axis: int(position)
                if abs(position) < LARGEST and position.is_integer()
                else position
                for axis, position in zip(AXES, positions, strict=True)
                if math.isfinite(position)
            }
            at = (moment.get("epoch"), moment.get("step"))
            at = at if at != (None, None) else (moment.get("seconds"),)
            events.setdefault(at, moment)[key] = value if is_known else None
    return sorted(events.values(), key=_order(list(events.values())))


def _order(events: list[Event]):
    """What events are sorted by: the first axis that all of them have."""
    axis = next((axis for axis in AXES if all(axis in event for event in events)), None)
    if axis is None:
        return lambda event: tuple(event.get(axis, -1) for axis in AXES)
    return lambda event: (event[axis], event.get(STEP, -1))
