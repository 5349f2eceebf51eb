"""Where the weights of a network are: how many values each of its tensors has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from vizlib.displays import Display
from vizlib.displays.curves import COLOURS
from vizlib.displays.texts import untagged
from vizlib.tables import as_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST_DRAWN = 60
LONGEST_NAME = 60
BYTES = 4  # of a value, as it is computed with
KINDS = {
    0: "one number",
    1: "one number a channel",
    2: "matrix",
    3: "filters of one dimension",
    4: "filters",
    5: "filters of three dimensions",
}


@dataclass(frozen=True)
class TensorSizesDisplay(Display):
    """shapes: of each tensor by its name, in order."""

    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def from_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> Self:
        return cls({name: tuple(shape) for name, shape in shapes.items()})

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        return cls.from_shapes({name: (8, 3, 3, 3)[number:] for number, name in enumerate(names)})

    @property
    def values(self) -> dict[str, int]:
        """How many values each tensor has."""
        return {name: math.prod(shape) for name, shape in self.shapes.items()}

    @property
    def sentence(self) -> str:
        """How many values there are, and where most are, in a sentence."""
        values = self.values
        total = sum(values.values())
        largest = max(values, key=lambda name: values[name], default="")
        count = f"{len(values):,} tensor{'s' * (len(values) != 1)}"
        if not total:
            return f"{count} without any value."
        return (
            f"{count}, {total:,} values, {in_bytes(total * BYTES)}; {values[largest] / total:.0%} "
            f"of them are in {largest[:LONGEST_NAME]}."
        )

    def rows(self) -> list[dict[str, object]]:
        """The table as it is shown, a row a tensor."""
        return [
            {
                "tensor": name,
                "kind": KINDS.get(len(shape), f"{len(shape)} axes"),
                "shape": " × ".join(map(str, shape)),
                "values": self.values[name],
                "size": in_bytes(self.values[name] * BYTES),
            }
            for name, shape in self.shapes.items()
        ]

    def plot(self) -> go.Figure:
        """A bar for each tensor, in order, on a logarithmic axis; of many the largest."""
        import plotly.graph_objects as go

        values = self.values
        largest = set(sorted(values, key=lambda name: -values[name])[:MOST_DRAWN])
        drawn = [name for name in values if name in largest]
        bars = go.Bar(
            x=[values[name] or None for name in drawn],
            y=list(range(len(drawn))),
            orientation="h",
            marker_color=COLOURS[0],
            customdata=[
                [untagged(name, LONGEST_NAME), " × ".join(map(str, self.shapes[name]))]
                for name in drawn
            ],
            hovertemplate="%{customdata[0]}<br>%{customdata[1]}: %{x:,} values<extra></extra>",
        )
        figure = go.Figure(bars)
        figure.update_layout(height=90 + 18 * len(drawn), margin=dict(l=0, r=0, t=8, b=0))
        figure.update_xaxes(title="values", type="log")
        figure.update_yaxes(
            autorange="reversed",
            tickvals=list(range(len(drawn))),
            ticktext=[untagged(name, 40) for name in drawn],
        )
        return figure

    def csv(self) -> str:
        """A row a tensor: tensor, shape, values, bytes."""
        values = self.values
        rows = (
            (name, "x".join(map(str, shape)), values[name], values[name] * BYTES)
            for name, shape in self.shapes.items()
        )
        return as_csv(("tensor", "shape", "values", "bytes"), rows)


def in_bytes(count: int) -> str:
    """As somebody would say it: "1.2 MB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
