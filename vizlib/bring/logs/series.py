"""What every kind of log is read into: values along epochs, steps and seconds."""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from vizlib.errors import UserError

EPOCH, STEP, SECONDS = AXES = ("epoch", "step", "seconds")
MOST_METRICS = 2_000
MOST_VALUES = 2_000_000
# what a column is called that says where a row belongs, the most telling name first
AXIS_NAMES = {
    EPOCH: ("epoch", "epochs", "current_epoch", "train_epoch", "ep"),
    STEP: (
        "step",
        "global_step",
        "trainer_global_step",
        "steps",
        "iteration",
        "iterations",
        "iter",
        "train_global_step",
        "itr",
    ),
    SECONDS: (
        "wall_time",
        "walltime",
        "timestamp",
        "seconds",
        "elapsed",
        "elapsed_time",
        "total_time",
        "relative_time",
        "time",
        "date",
        "datetime",
    ),
}
_TENSOR = re.compile(r"tensor\(\s*([-+.\w]+)")


@dataclass(frozen=True)
class Series:
    """values: float64 (N,), NaN or infinite where the log has that. positions: along each axis that
    the log has, float64 (N,), NaN for a value that has none.
    """

    values: np.ndarray
    positions: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.values)

    def take(self, numbers: np.ndarray) -> Series:
        """Of these values only, by number or by a mask (N,)."""
        positions = {axis: along[numbers] for axis, along in self.positions.items()}
        return Series(self.values[numbers], positions)

    def moved(self, axis: str, along: np.ndarray) -> Series:
        """With other positions along an axis."""
        return Series(self.values, {**self.positions, axis: along})

    def without(self, axis: str) -> Series:
        """With no positions along an axis."""
        others = {other: along for other, along in self.positions.items() if other != axis}
        return Series(self.values, others)

    def followed_by(self, other: Series) -> Series:
        """Both, one after the other."""
        positions = {
            axis: np.concatenate([self._along(axis), other._along(axis)])
            for axis in AXES
            if axis in self.positions or axis in other.positions
        }
        return Series(np.concatenate([self.values, other.values]), positions)

    def _along(self, axis: str) -> np.ndarray:
        return self.positions.get(axis, np.full(len(self), np.nan))


@dataclass
class Recorded:
    """What a log holds. series: by the metric's own name. remarks: sentences on how it was
    understood. restarts: steps from which on everything that was logged before is undone.
    is_counted: whether it names no epochs and steps, so that its lines are counted. is_of_folder:
    whether all such files in a folder are of one run.
    """

    series: dict[str, Series]
    remarks: list[str] = field(default_factory=list)
    restarts: list[float] = field(default_factory=list)
    is_counted: bool = False
    is_of_folder: bool = False


class Columns:
    """Collects a log that comes row by row, each with the metrics that it has."""

    def __init__(self) -> None:
        self._rows: dict[str, array] = {}
        self._values: dict[str, array] = {}
        self._count = self._total = 0

    @property
    def is_full(self) -> bool:
        return self._total >= MOST_VALUES

    def add(self, row: Mapping[str, float]) -> None:
        """Take a row; one that holds nothing counts as none. UserError for too many metrics."""
        for name, value in row.items():
            if name not in self._values:
                self._begin(name)
            self._rows[name].append(self._count)
            self._values[name].append(value)
        self._count += bool(row)
        self._total += len(row)

    def _begin(self, name: str) -> None:
        if len(self._values) >= MOST_METRICS:
            raise UserError(
                f"This log has more than {MOST_METRICS:,} metrics: that many cannot be read."
            )
        self._rows[name], self._values[name] = array("q"), array("d")

    def recorded(self) -> Recorded:
        """All that was collected, its columns of epochs, steps and seconds taken for that."""
        remarks = []
        if self.is_full:
            remarks.append(f"It is long: its first {MOST_VALUES:,} values are read.")
        columns = {axis: self._column_of(axis) for axis in AXES}
        positions = {axis: self._dense(name) for axis, name in columns.items() if name}
        is_counted = not {EPOCH, STEP} & set(positions)
        if is_counted:
            positions[EPOCH] = np.arange(1.0, self._count + 1)
            remarks.append("It names neither epochs nor steps: its lines are counted, from 1.")
        series = {
            name: Series(
                np.array(values),
                {axis: along[self._rows[name]] for axis, along in positions.items()},
            )
            for name, values in self._values.items()
            if name not in columns.values()
        }
        return Recorded(series, remarks, is_counted=is_counted)

    def _column_of(self, axis: str) -> str | None:
        """The column that has the positions along an axis, or None."""
        plain = {
            re.sub(r"[\W_]+", "_", f" {name} ".lower()): name for name in reversed(self._values)
        }
        for wanted in AXIS_NAMES[axis]:
            name = plain.get(f"_{wanted}_")
            if name and (axis != SECONDS or _is_clock(np.array(self._values[name]))):
                return name
        return None

    def _dense(self, name: str) -> np.ndarray:
        """A column with NaN in the rows that lack it."""
        dense = np.full(self._count, np.nan)
        dense[self._rows[name]] = self._values[name]
        return np.where(np.isfinite(dense), dense, np.nan)


def _is_clock(values: np.ndarray) -> bool:
    """Whether a column goes on with time, and is not how long each row took."""
    return len(values) > 1 and bool(np.all(values[1:] >= values[:-1])) and values[-1] > values[0]


def some(count: int, word: str) -> str:
    """So many of something, in words: "1 value", "2,000 values"."""
    return f"{count:,} {word}{'s' * (count != 1)}"


def number(value: object) -> float | None:
    """What stands for a number in a log, also as a text ("85.3%", "tensor(0.5)"); a date and time
    in seconds since 1970. None for what is no number.
    """
    if isinstance(value, str):
        return _number_in(value.strip())
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _number_in(text: str) -> float | None:
    if not text or len(text) > 100:
        return None
    tensor = _TENSOR.match(text)
    try:
        return float(tensor[1] if tensor else text.removesuffix("%"))
    except ValueError:
        return _seconds_in(text)


def _seconds_in(text: str) -> float | None:
    """Of a date with a time of the day."""
    if len(text) < 16 or text[4:5] != "-":
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
