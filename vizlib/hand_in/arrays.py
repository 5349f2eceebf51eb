"""Every array that a report draws, by the name of its file, with the same as a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vizlib.bring.answers import table_of
from vizlib.displays.architecture import ArchitectureDisplay
from vizlib.displays.confusion import ConfusionDifference
from vizlib.displays.curves import COLUMNS
from vizlib.run.predictions import NO_ANSWER, Predictions, agreement
from vizlib.tables import as_csv

if TYPE_CHECKING:
    from vizlib.displays.feature_maps import FeatureMapsDisplay
    from vizlib.hand_in.gathered import Gathered
    from vizlib.run.events import Event

MOST_PROBABILITIES = 3_000_000  # that are written into a table
MOST_VALUES = 300_000  # of maps that are written as a table of all values, and not of each map


class Entry(NamedTuple):
    """name: of the file, without its ending. array: None where there is a table alone. csv: the
    same as text; empty where there is the array alone.
    """

    name: str
    array: np.ndarray | None
    csv: str = ""


def entries(of_run: Gathered) -> Iterator[Entry]:
    """Those of a run, one at a time."""
    if of_run.filters is not None:
        yield Entry("filters", of_run.filters.weight, of_run.filters.csv())
    yield from _of_picture(of_run)
    if of_run.curves is not None:
        run = of_run.run
        yield Entry("curves", _columns(run.events_of("epoch")), of_run.curves.csv())
        steps = _columns(run.events_of("step"))
        yield Entry("steps", steps, as_csv(COLUMNS, steps.tolist()))
    if of_run.answers is not None:
        display = of_run.answers.display
        yield Entry("confusion", display.counts, display.csv())
    yield from _of_predictions(of_run)
    if of_run.layers:
        yield Entry("layers", None, ArchitectureDisplay(of_run.layers).csv())


def _of_picture(of_run: Gathered) -> Iterator[Entry]:
    """What the network gets, its answer, and the maps."""
    if of_run.received is not None:
        yield Entry("picture", of_run.received)
    if of_run.probabilities is not None:
        pairs = zip(of_run.run.class_names, of_run.probabilities.tolist(), strict=True)
        yield Entry("answer", of_run.probabilities, as_csv(("class", "probability"), pairs))
    for number, (name, display) in enumerate(of_run.maps.items(), 1):
        yield Entry(f"maps/{number}-{file_name(name)}", display.maps, _maps_csv(display))


def _maps_csv(display: FeatureMapsDisplay) -> str:
    """Every value, or of very many a line for each map."""
    if display.maps.size > MOST_VALUES:
        return display.csv()
    rows = ((*index, f"{value:.6g}") for index, value in np.ndenumerate(display.maps))
    return as_csv(("unit", "row", "column", "value"), rows)


def _of_predictions(of_run: Gathered) -> Iterator[Entry]:
    predictions = of_run.answers.predictions if of_run.answers else None
    if predictions is None:
        return
    yield Entry("predictions", None, _predictions_csv(predictions, of_run.run.class_names))
    yield Entry("labels", predictions.labels)
    yield Entry("logits", predictions.logits)
    yield Entry("image_ids", predictions.image_ids)


def _predictions_csv(predictions: Predictions, class_names: Sequence[str]) -> str:
    """A table of answers; of very many probabilities without these, which the logits give."""
    if predictions.logits.size <= MOST_PROBABILITIES:
        return table_of(predictions, class_names).decode()
    pairs = zip(predictions.labels, predictions.predicted_labels, strict=True)
    rows = (
        (class_names[label], "" if answer == NO_ANSWER else class_names[answer])
        for label, answer in pairs
    )
    return as_csv(("label", "prediction"), rows)


def _columns(events: Sequence[Event]) -> np.ndarray:
    """float64 (events, COLUMNS), not-a-number where an event has none."""
    rows = [[event.get(column, np.nan) for column in COLUMNS] for event in events]
    return np.array(rows, float).reshape(-1, len(COLUMNS))


def of_both(first: Gathered, second: Gathered) -> Iterator[Entry]:
    """What two runs have together: the difference of their matrices, and how often both are right
    on the same images.
    """
    if first.answers is None or second.answers is None:
        return
    if first.run.class_names == second.run.class_names:
        difference = ConfusionDifference(first.answers.display, second.answers.display)
        yield Entry("difference", difference.shares, difference.csv())
    counts = counted_together(first, second)
    if counts is not None:
        rows = [("right", *counts[0].tolist()), ("wrong", *counts[1].tolist())]
        header = ("the first is", "the second is right", "the second is wrong")
        yield Entry("agreement", counts, as_csv(header, rows))


def counted_together(first: Gathered, second: Gathered) -> np.ndarray | None:
    """The images that each gets right or not, int (2, 2), as `agreement` counts them; None where
    both have not answered the very same ones.
    """
    if first.answers is None or second.answers is None:
        return None
    if first.answers.predictions is None or second.answers.predictions is None:
        return None
    if first.run.config.dataset != second.run.config.dataset:
        return None
    return agreement(first.answers.predictions, second.answers.predictions)


def file_name(text: str) -> str:
    """A text as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:80] or "unnamed"
