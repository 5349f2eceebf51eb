"""Which filters of a layer do nothing, are copies of others, or are no numbers any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from vizlib.displays import Display
from vizlib.displays.curves import COLOURS
from vizlib.tables import as_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go

DEAD = 0.05  # of the layer's median length: shorter ones are nearly zero
ALIKE = 0.999  # |cosine| of two filters, above which one is a copy of the other
FEWEST_WEIGHTS = 4  # of a filter: those of fewer are alike by chance
MOST_COMPARED = 4096  # filters, every one with every other
MOST_NUMBERS = 12  # in a sentence
WORDS = {
    "usual": "usual",
    "dead": "nearly zero",
    "copy": "copy of another",
    "not finite": "not finite",
}
RULE = (
    f"Nearly zero: shorter than {DEAD:.0%} of the median length of the layer's filters. Copies: "
    f"the cosine of two filters is above {ALIKE} or below -{ALIKE}, so they differ in size, or "
    "sign, alone."
)


@dataclass(frozen=True)
class FilterCheckDisplay(Display):
    """lengths: float (K,), the Euclidean norm of each filter; NaN for one that is not finite. dead,
    not_finite: numbers of filters. copies: {number: the first filter that it is a copy of}.
    are_compared: whether copies were looked for.
    """

    lengths: np.ndarray
    dead: tuple[int, ...]
    not_finite: tuple[int, ...]
    copies: dict[int, int]
    are_compared: bool

    @classmethod
    def from_weight(cls, weight: np.ndarray) -> Self:
        """From a layer's weight (out, ...), a filter for each of the first axis."""
        filters = weight.reshape(len(weight), -1).astype(np.float64)
        is_finite = np.isfinite(filters).all(axis=1)
        filters[~is_finite] = 0
        lengths = np.sqrt(np.square(filters).sum(axis=1))
        median = float(np.median(lengths[is_finite])) if is_finite.any() else 0.0
        is_dead = is_finite & ((lengths < DEAD * median) | (lengths == 0))
        are_compared = filters.shape[1] >= FEWEST_WEIGHTS and len(filters) <= MOST_COMPARED
        alive = np.flatnonzero(is_finite & ~is_dead)
        return cls(
            np.where(is_finite, lengths, np.nan),
            _numbers(is_dead),
            _numbers(~is_finite),
            _copies(filters, lengths, alive) if are_compared else {},
            are_compared,
        )

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        weight = np.arange(1, 41, dtype=float).reshape(5, 8) % 7
        weight[1], weight[3] = 0, -2 * weight[2]
        weight[4, 0] = np.inf
        return cls.from_weight(weight)

    def state(self, number: int) -> str:
        """What a filter is: a key of WORDS."""
        if number in self.not_finite:
            return "not finite"
        if number in self.dead:
            return "dead"
        return "copy" if number in self.copies else "usual"

    @property
    def flagged(self) -> list[int]:
        """The numbers of all filters that something is wrong with."""
        return sorted({*self.dead, *self.not_finite, *self.copies})

    @property
    def sentence(self) -> str:
        """What was found, in a sentence or two."""
        count = len(self.lengths)
        copies = [f"{number} of {first}" for number, first in self.copies.items()]
        parts = [
            f"{len(numbers):,} {verb[len(numbers) != 1]} ({_listed(numbers)})"
            for numbers, verb in (
                (self.dead, ("is nearly zero", "are nearly zero")),
                (copies, ("is a copy of another", "are copies of others")),
                (self.not_finite, ("is not finite", "are not finite")),
            )
            if numbers
        ]
        if parts:
            return f"Of {count:,} filters {_joined(parts)}.{self._not_compared}"
        copies = " or a copy of another" if self.are_compared else ""
        return f"All {count:,} filters are finite, none is nearly zero{copies}.{self._not_compared}"

    @property
    def _not_compared(self) -> str:
        """Why no copies were looked for, as another sentence."""
        if self.are_compared:
            return ""
        why = f"filters of fewer than {FEWEST_WEIGHTS} weights are alike by chance"
        if len(self.lengths) > MOST_COMPARED:
            why = f"there are more than {MOST_COMPARED:,} filters"
        return f" Copies were not looked for: {why}."

    def plot(self) -> go.Figure:
        """A mark for each filter: its length, by its number; customdata has the number."""
        import plotly.graph_objects as go

        figure = go.Figure()
        colours = (COLOURS[0], "#808080", "#d97706", "#dc2626")
        states = [self.state(number) for number in range(len(self.lengths))]
        for (state, words), colour in zip(WORDS.items(), colours, strict=True):
            numbers = [number for number, own in enumerate(states) if own == state]
            if not numbers:
                continue
            figure.add_scatter(
                x=numbers,
                y=np.nan_to_num(self.lengths[numbers]).tolist(),
                mode="markers",
                name=words,
                marker=dict(color=colour, size=8, symbol="circle" if state == "usual" else "x"),
                customdata=[[number, self._of(number)] for number in numbers],
                hovertemplate="filter %{x}: length %{y:.3g}%{customdata[1]}<extra></extra>",
            )
        figure.update_layout(
            height=300,
            margin=dict(l=0, r=0, t=8, b=0),
            showlegend=True,
            legend=dict(orientation="h", y=1.02, yanchor="bottom"),
        )
        figure.update_xaxes(title="filter")
        figure.update_yaxes(title="length", rangemode="tozero")
        return figure

    def _of(self, number: int) -> str:
        """Which filter one is a copy of, for its hover text."""
        return f", a copy of filter {self.copies[number]}" if number in self.copies else ""

    def csv(self) -> str:
        """A row a filter: filter, length, state, copy_of."""
        rows = (
            (number, f"{length:.6g}", WORDS[self.state(number)], self.copies.get(number))
            for number, length in enumerate(self.lengths)
        )
        return as_csv(("filter", "length", "state", "copy_of"), rows)


def _numbers(mask: Any) -> tuple[int, ...]:
    """Where a mask (K,) is true."""
    return tuple(np.flatnonzero(mask).tolist())


def _copies(filters: np.ndarray, lengths: np.ndarray, alive: np.ndarray) -> dict[int, int]:
    """{filter: the first filter that it is a copy of} among those alive."""
    if len(alive) == 0:
        return {}
    directions = (filters[alive] / lengths[alive, None]).astype(np.float32)
    is_alike = np.tril(np.abs(directions @ directions.T) > ALIKE, -1)
    first = is_alike.argmax(axis=1)
    return {int(alive[n]): int(alive[first[n]]) for n in np.flatnonzero(is_alike.any(axis=1))}


def _joined(parts: Sequence[str]) -> str:
    """As "this, this and that"."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def _listed(numbers: Sequence[int | str]) -> str:
    """As "numbers 4, 17, 60", of many the first ones."""
    more = f" and {len(numbers) - MOST_NUMBERS:,} more" if len(numbers) > MOST_NUMBERS else ""
    word = "number" if len(numbers) == 1 else "numbers"
    return f"{word} {', '.join(map(str, numbers[:MOST_NUMBERS]))}{more}"
