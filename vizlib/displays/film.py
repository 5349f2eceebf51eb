"""The film of learning: filters, a probe picture's maps, confusion matrix and curves of one
training, at any of its steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.atlas import Atlas, columns_within
from vizlib.displays.confusion import ConfusionDisplay
from vizlib.displays.curves import QUANTITIES, CurvesDisplay, History, smoothed, weight_for
from vizlib.displays.feature_maps import FeatureMapsDisplay
from vizlib.displays.filters import FiltersDisplay
from vizlib.errors import UserError, unknown
from vizlib.run import moments
from vizlib.run.verdict import judge

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from vizlib.run.folders import Run
    from vizlib.run.verdict import Verdict

# width and height, in pixels, that tiles fill in a panel
SHEETS = {"filters": (470, 278), "maps": (396, 278)}
NOW = "#ea580c"  # of the line at the step in view


@dataclass(frozen=True)
class FilmDisplay(Display):
    """What is stored of a training, by step.

    filters: {step: conv1's weight (out, in, h, w)}. maps: {step: FeatureMapsDisplay of `layer`} for
    the probe_picture, uint8 (H, W, C) or None. evaluations: [(epoch event, counts int (K, K))].
    history: its curves. growing: whether the training goes on.
    """

    name: str
    dataset: str
    class_names: list[str]
    filters: dict[int, np.ndarray]
    layer: str | None
    maps: dict[int, FeatureMapsDisplay]
    probe_picture: np.ndarray | None
    evaluations: list[tuple[dict, np.ndarray]]
    history: History
    steps: list[int]
    ordered: bool = False
    growing: bool = False

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        maps, counts = FeatureMapsDisplay.example(names), ConfusionDisplay.example(names).counts
        history = History.example()
        return cls(
            name=names[0],
            dataset="digits",
            class_names=list(names),
            filters={0: FiltersDisplay.example(names).weight},
            layer="conv2",
            maps={9: maps},
            probe_picture=np.full((8, 8, 3), 200, np.uint8),
            evaluations=[(event, counts) for event in history.epochs],
            history=history,
            steps=[0, 9, 18, 27],
        )

    @classmethod
    def from_run(cls, run: Run, layer: str | None = None) -> Self:
        """Read a run folder. layer: of the probe picture's maps, the first stored one if left out.
        UserError if it is none, or nothing is stored.
        """
        filters, stored = moments.filters(run), moments.probe_layers(run)
        layers = moments.in_order(run, [name for names in stored.values() for name in names])
        if layer is not None and layer not in layers:
            raise unknown("stored layer", layer, layers)
        layer = layer or next(iter(layers), None)
        maps = {
            step: FeatureMapsDisplay.from_activation(*moments.probe_maps(run, step, layer))
            for step, names in stored.items()
            if layer in names
        }
        return cls.of(
            run,
            filters,
            layer,
            maps,
            moments.probe_picture(run),
            moments.steps(run, filters, stored),
        )

    @classmethod
    def of(
        cls,
        run: Run,
        filters: dict[int, np.ndarray],
        layer: str | None,
        maps: dict[int, FeatureMapsDisplay],
        probe_picture: np.ndarray | None,
        steps: list[int],
    ) -> Self:
        """The same, of arrays that have been read. UserError if nothing is stored."""
        if not steps:
            raise UserError(f"{run.run_id!r} has no film: nothing is stored along its training.")
        history = CurvesDisplay.from_runs([run]).histories[run.run_id]
        known = dict(ordered=run.config.ordered, growing=run.is_active)
        return cls(
            run.run_id,
            run.config.dataset,
            list(run.class_names),
            filters,
            layer,
            maps,
            probe_picture,
            moments.evaluations(run),
            history,
            steps,
            **known,
        )

    # What each panel shows at a step: (the step it is of, what it shows). UserError with a sentence
    # where it has nothing.

    def filters_at(self, step: int) -> tuple[int, Atlas]:
        """The Atlas of the filters last stored, on one colour scale over the film."""
        shown_step = self._last(self.filters, step, "filters")
        display = FiltersDisplay.from_weight(self.filters[shown_step], self._limit)
        return shown_step, _laid_out(display.picture(), "filters")

    def maps_at(self, step: int) -> tuple[int, Atlas]:
        """The Atlas of the maps last stored; the colours span this step's values."""
        shown_step = self._last(
            self.maps if self.probe_picture is not None else {}, step, "maps of a probe picture"
        )
        return shown_step, _laid_out(self.maps[shown_step].picture("layer"), "maps")

    def matrix_at(self, step: int) -> tuple[int, tuple[ConfusionDisplay, Verdict]]:
        """(ConfusionDisplay, Verdict) of the last evaluation on the validation images."""
        counts = {event["step"]: counts for event, counts in self.evaluations}
        shown_step = self._last(counts, step, "evaluation")
        return shown_step, (
            ConfusionDisplay(counts[shown_step], self.class_names),
            judge(counts[shown_step], self.class_names, ordered=self.ordered),
        )

    def _last(self, stored: Mapping[int, object], step: int, what: str) -> int:
        shown_step = moments.last_up_to(stored, step)
        if shown_step is not None:
            return shown_step
        verb = "is" if what == "evaluation" else "are"
        if stored:
            raise UserError(f"Not yet: the first {what} {verb} of step {min(stored):,}.")
        when = "yet" if self.growing else "along this training"
        raise UserError(f"No {what} {verb} stored {when}.")

    @cached_property
    def _limit(self) -> float:
        return max(float(np.abs(weight).max()) for weight in self.filters.values())

    def lines(self, quantity: str) -> dict[str, list[tuple[int, float]]]:
        """What is drawn of a quantity: {"training" | "validation": [(step, value), ...]}; the
        training smoothed. UserError where nothing is noted.
        """
        if not self.history.steps and not self.history.epochs:
            raise UserError(f"No step is noted {'yet' if self.growing else 'along this training'}.")
        train, validation = (
            [(event["step"], event[key]) for event in events if _is_number(event.get(key))]
            for events, key in self._sources(quantity)
        )
        values = smoothed([value for _, value in train], weight_for(0.8, len(train)))
        return {
            "training": list(zip([step for step, _ in train], values, strict=True)),
            "validation": validation,
        }

    def _sources(
        self, quantity: str
    ) -> tuple[tuple[list[dict], str], tuple[list[dict], str | None]]:
        train, validation = QUANTITIES[quantity]
        by_step = any(_is_number(event.get(train)) for event in self.history.steps)
        return (self.history.steps if by_step else self.history.epochs, train), (
            self.history.epochs,
            validation,
        )

    def plot(self, quantity: str = "loss", step: int | None = None, height: int = 140) -> go.Figure:
        """A Plotly figure of a quantity over the steps, which are logarithmic as the stored ones
        are: what comes after `step` is pale; None is the end. height: in pixels.
        """
        step = self.end if step is None else step
        self.lines(quantity)  # says where there are none
        figure = self._curves.plot(quantity, "steps", 0.8, until=step, narrow=True)
        low, high = math.log10(0.5), math.log10(self.end * 1.15)
        figure.update_xaxes(type="log", range=[low, high], title=None, dtick=1, rangemode="normal")
        figure.update_yaxes(automargin=False)
        if quantity == "accuracy":
            figure.update_yaxes(range=[0, 1.03], tickvals=[0, 0.5, 1])
        else:
            figure.update_yaxes(rangemode="tozero", nticks=4)
        figure.update_layout(height=height, showlegend=False, margin=dict(l=70, r=10, t=10, b=24))
        figure.add_vline(max(step, 0.5), line=dict(color=NOW, width=3))
        return figure

    def csv(self) -> str:
        """One row an epoch, as CurvesDisplay.csv()."""
        return self._curves.csv()

    @property
    def _curves(self) -> CurvesDisplay:
        return CurvesDisplay({self.name: self.history})

    @property
    def end(self) -> int:
        """The last step of which anything is known, at least 2: the axis is logarithmic."""
        return max(self.steps[-1], *(event["step"] for event in self.history.steps[-1:]), 2)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _laid_out(atlas: Atlas, panel: str) -> Atlas:
    return replace(atlas, across=columns_within(atlas.tiles.shape, *SHEETS[panel]))
