"""How many pictures each class has in each split, and how unequal that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.texts import untagged
from vizlib.tables import as_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from vizlib.datasets import Dataset

LARGE_IMBALANCE = 3.0  # times as many: from here on the balanced recipe is offered
COLOURS = {"train": "#0891b2", "val": "#d97706", "test": "#a855f7"}  # seen on white and on black
MOST_NAMED = 40  # classes whose names have room


@dataclass(frozen=True)
class ClassCountsDisplay(Display):
    """The label histogram of a data set. counts: by split, int (K,)."""

    class_names: tuple[str, ...]
    counts: dict[str, np.ndarray]

    @classmethod
    def from_dataset(cls, dataset: Dataset) -> Self:
        many = len(dataset.class_names)
        return cls(
            tuple(dataset.class_names),
            {
                part: np.bincount(split.labels, minlength=many)
                for part, split in dataset.splits.items()
            },
        )

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        return cls(tuple(names), {"train": np.array([3, 36]), "test": np.array([0, 7])})

    @property
    def ratio(self) -> float:
        """How many times as many training pictures the commonest class has as the rarest that has
        any.
        """
        some = self.counts["train"][self.counts["train"] > 0]
        return float(some.max() / some.min()) if len(some) else 1.0

    @property
    def is_imbalanced(self) -> bool:
        return self.ratio >= LARGE_IMBALANCE

    @property
    def imbalance(self) -> str:
        """The imbalance of the training pictures, in a sentence or two."""
        train = self.counts["train"]
        without = [self.class_names[label] for label in np.flatnonzero(train == 0)]
        lacking = f" {_named(without)} without any training picture." if without else ""
        if not train.any():
            return f"There is no training picture.{lacking}"
        common = int(train.argmax())
        rare = int(np.where(train > 0, train, train.max() + 1).argmin())
        if train[common] == train[rare]:
            return f"All classes are equally common in training, {train[common]:,} each.{lacking}"
        return (
            f"{self.ratio:.3g} times as many {self.class_names[common]!r} ({train[common]:,}) as "
            f"{self.class_names[rare]!r} ({train[rare]:,}) in training.{lacking}"
        )

    def plot(self) -> go.Figure:
        """A bar for each class in each split, in the order of the labels."""
        import plotly.graph_objects as go

        labels = list(range(len(self.class_names)))
        names = [untagged(name, 60) for name in self.class_names]
        figure = go.Figure(
            [
                go.Bar(
                    x=labels,
                    y=counts.tolist(),
                    name=untagged(part),
                    marker_color=COLOURS.get(part),
                    customdata=names,
                    hovertemplate="%{customdata}: %{y:,}<extra>%{fullData.name}</extra>",
                )
                for part, counts in self.counts.items()
            ]
        )
        figure.update_layout(
            height=320,
            margin=dict(l=0, r=0, t=8, b=0),
            barmode="group",
            legend=dict(orientation="h", y=1.02, yanchor="bottom"),
        )
        every = -(-len(labels) // MOST_NAMED)
        short = [untagged(name, 16) for name in self.class_names]
        figure.update_xaxes(tickvals=labels[::every], ticktext=short[::every])
        figure.update_yaxes(title="pictures", rangemode="tozero")
        return figure

    def csv(self) -> str:
        columns = [counts.tolist() for counts in self.counts.values()]
        rows = zip(self.class_names, *columns, strict=True)
        return as_csv(["class", *self.counts], rows)


def _named(class_names: list[str]) -> str:
    """As "'a', 'b', 'c' and 4 more are", or one alone."""
    shown = ", ".join(map(repr, class_names[:3]))
    more = f" and {len(class_names) - 3:,} more" if len(class_names) > 3 else ""
    return f"{shown}{more} {'is' if len(class_names) == 1 else 'are'}"
