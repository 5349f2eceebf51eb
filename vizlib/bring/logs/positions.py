"""Along which axis a log's values lie: what a resume undid, iterations that begin anew with each
epoch, steps that count epochs.
"""

from __future__ import annotations

import numpy as np

from vizlib.bring.logs.names import TRAIN, role_of
from vizlib.bring.logs.series import EPOCH, SECONDS, STEP, Series, some

SINCE_1970 = 1e8  # greater numbers of seconds are dates
IN_MILLISECONDS = 1e11
MOST_EPOCHS = 5_000  # steps that go on by one further than that are steps


def placed(series: dict[str, Series]) -> tuple[dict[str, Series], list[str]]:
    """The series of one run along axes that grow, and sentences on what was done for that."""
    remarks: list[str] = []
    series = _from_the_start(_with_epochs(series))
    series = _apart_from_epochs(series, remarks)
    series = _without_undone(series, remarks)
    series = _with_steps_as_epochs(series, remarks)
    return {name: _counted(each, remarks) for name, each in series.items()}, remarks


def _with_epochs(series: dict[str, Series]) -> dict[str, Series]:
    """Where the epoch is a metric of its own, as Lightning and Hugging Face write it into event
    files: each value gets the epoch that its step, or the last one before it, is of.
    """
    name = next((name for name in series if name.rpartition("/")[2] == "epoch"), None)
    if name is None or STEP not in series[name].positions:
        return series
    known = series[name].take(np.isfinite(series[name].values))
    order = np.argsort(known.positions[STEP], kind="stable")
    steps, epochs = known.positions[STEP][order], known.values[order]

    def with_epochs(each: Series) -> Series:
        if EPOCH in each.positions or STEP not in each.positions or not len(known):
            return each
        last = np.searchsorted(steps, each.positions[STEP], side="right") - 1
        return each.moved(EPOCH, np.where(last >= 0, epochs[np.maximum(last, 0)], np.nan))

    return {other: with_epochs(each) for other, each in series.items() if other != name}


def _from_the_start(series: dict[str, Series]) -> dict[str, Series]:
    """Dates as seconds since the first of them."""
    clocks = [each.positions[SECONDS] for each in series.values() if SECONDS in each.positions]
    start = min((np.min(clock[np.isfinite(clock)], initial=np.inf) for clock in clocks), default=0)
    if not SINCE_1970 < start < np.inf:
        return series
    unit = 1000 if start > IN_MILLISECONDS else 1

    def from_the_start(each: Series) -> Series:
        if SECONDS not in each.positions:
            return each
        return each.moved(SECONDS, (each.positions[SECONDS] - start) / unit)

    return {name: from_the_start(each) for name, each in series.items()}


def _apart_from_epochs(series: dict[str, Series], remarks: list[str]) -> dict[str, Series]:
    """Where iterations begin anew with each epoch, as MMCV counts them: parts of epochs instead."""
    anew = [each.positions for each in series.values() if _begins_anew(each)]
    if not anew:
        return series
    longest = max(1, *(np.nanmax(positions[STEP]) for positions in anew))
    first = min(1, min(np.nanmin(positions[EPOCH]) for positions in anew))
    remarks.append("Its iterations begin anew with each epoch: they are drawn as parts of epochs.")

    def in_parts(each: Series) -> Series:
        if not _begins_anew(each):
            return each.without(STEP)
        epochs = each.positions[EPOCH] - first + each.positions[STEP] / longest
        return each.moved(EPOCH, epochs).without(STEP)

    return {name: in_parts(each) for name, each in series.items()}


def _begins_anew(each: Series) -> bool:
    """Whether the step falls where the epoch goes on."""
    if not {EPOCH, STEP} <= set(each.positions):
        return False
    epochs, steps = np.diff(each.positions[EPOCH]), np.diff(each.positions[STEP])
    return bool(np.any((epochs > 0) & (steps < 0)))


def _without_undone(series: dict[str, Series], remarks: list[str]) -> dict[str, Series]:
    """Without what was logged anew: where steps, or else epochs, go back, all from there on that
    came before, as TensorBoard purges it.
    """
    left, count = {}, 0
    for name, each in series.items():
        axis = STEP if STEP in each.positions else EPOCH
        left[name] = each
        if axis in each.positions:
            left[name] = each.take(~_goes_back_later(each.positions[axis]))
        count += len(each) - len(left[name])
    if count:
        remarks.append(resumed(count))
    return left


def resumed(count: int) -> str:
    """A sentence on values that a resume undid."""
    return (
        f"It goes back, as a training does that is resumed: {some(count, 'value')} of what it did "
        "anew left out, as TensorBoard does."
    )


def _goes_back_later(along: np.ndarray) -> np.ndarray:
    """Which positions a later one undoes by going back to them or further, bool (N,)."""
    known = np.flatnonzero(np.isfinite(along))
    undone = np.zeros(len(along), bool)
    if len(known) > 1:
        back = np.append(np.inf, np.where(np.diff(along[known]) < 0, along[known][1:], np.inf))
        least = np.minimum.accumulate(back[::-1])[::-1]
        undone[known[:-1]] = along[known][:-1] >= least[1:]
    return undone


def _with_steps_as_epochs(series: dict[str, Series], remarks: list[str]) -> dict[str, Series]:
    """Where there are no epochs, and evaluations have the steps 0, 1, 2 ..., or Keras's names say
    so: those steps count epochs.
    """
    if any(EPOCH in each.positions for each in series.values()):
        return series
    counting = [each.positions[STEP] for name, each in series.items() if _counts_epochs(name, each)]
    if not counting:
        return series
    ends = {(steps[0], steps[-1]) for steps in counting}
    remarks.append("Its evaluations have steps that go on by one: they are taken for epochs.")

    def renamed(name: str, each: Series) -> Series:
        steps = each.positions[STEP]
        if _counts_epochs(name, each) or (_goes_on_by_one(steps) and (steps[0], steps[-1]) in ends):
            return each.moved(EPOCH, steps).without(STEP)
        return each

    return {name: renamed(name, each) for name, each in series.items()}


def _counts_epochs(name: str, each: Series) -> bool:
    role = role_of(name)
    of_keras = name.rpartition("/")[2].startswith("epoch_")
    is_evaluation = role is not None and bool(role.split) and role.split != TRAIN
    return (of_keras or is_evaluation) and _goes_on_by_one(each.positions.get(STEP, np.empty(0)))


def _goes_on_by_one(steps: np.ndarray) -> bool:
    return (
        1 < len(steps) <= MOST_EPOCHS and steps[0] in (0, 1) and bool(np.all(np.diff(steps) == 1))
    )


def _counted(each: Series, remarks: list[str]) -> Series:
    """Values that all have one step, as where a script gave none, are counted instead."""
    steps = each.positions.get(STEP)
    if steps is None or len(steps) < 2 or EPOCH in each.positions or np.any(np.diff(steps)):
        return each
    said = "It was logged without steps: its values are counted, from 1."
    if said not in remarks:
        remarks.append(said)
    return each.moved(STEP, np.arange(1.0, len(each) + 1))
