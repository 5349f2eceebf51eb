"""How large the pictures of a data set are, beside what a network gets of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from vizlib.datasets.index import examined
from vizlib.datasets.picture_files import PictureFiles
from vizlib.datasets.places import folder_of
from vizlib.datasets.together import Together
from vizlib.displays import Display
from vizlib.tables import as_csv

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from vizlib.datasets import Dataset, Pictures

LARGEST_MARK, SMALLEST_MARK = 30, 6  # pixels


@dataclass(frozen=True)
class PictureSizesDisplay(Display):
    """Each size that occurs. heights, widths, counts: int (S,), the commonest first. image_size:
    (C, H, W) of what a network gets.
    """

    heights: np.ndarray
    widths: np.ndarray
    counts: np.ndarray
    image_size: tuple[int, int, int]

    @classmethod
    def from_dataset(cls, dataset: Dataset, say: Callable[[float], None] | None = None) -> Self:
        """Of all its splits; the sizes of files are kept beside the data once they are known."""
        folder = folder_of(dataset.name)
        sizes = np.concatenate(
            [_sizes(folder, split.pictures, say) for split in dataset.splits.values()]
        )
        sizes = sizes[sizes.min(axis=1) > 0]
        each, counts = np.unique(sizes, axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return cls(each[order, 0], each[order, 1], counts[order], dataset.image_size)

    @classmethod
    def example(cls, names: Sequence[str]) -> Self:
        return cls(np.array([30, 64, 20]), np.array([40, 48, 90]), np.array([9, 4, 1]), (3, 32, 32))

    @property
    def sentence(self) -> str:
        """How large they are, and what a network gets."""
        channels, height, width = self.image_size
        gets = f"A network gets {height} x {width} with {channels} channel{'s'[: channels > 1]}"
        if not len(self.counts):
            return f"{gets}."
        common = f"{self.heights[0]} x {self.widths[0]}"
        if len(self.counts) == 1:
            return f"All pictures are {common} (height x width). {gets}."
        return (
            f"{len(self.counts):,} sizes (height x width): {self.counts[0]:,} of "
            f"{self.counts.sum():,} pictures are {common}; heights from {self.heights.min()} to "
            f"{self.heights.max()}, widths from {self.widths.min()} to {self.widths.max()}. {gets}."
        )

    def plot(self) -> go.Figure:
        """A mark for each size, its area by how many pictures are of it; a square for what a
        network gets.
        """
        import plotly.graph_objects as go

        share = np.sqrt(self.counts / self.counts.max()) if len(self.counts) else self.counts
        pictures = go.Scattergl(
            x=self.widths.tolist(),
            y=self.heights.tolist(),
            mode="markers",
            name="pictures",
            customdata=self.counts.tolist(),
            marker=dict(
                size=(SMALLEST_MARK + (LARGEST_MARK - SMALLEST_MARK) * share).tolist(),
                color="#0891b2",
                opacity=0.5,
            ),
            hovertemplate="%{y} x %{x}: %{customdata:,} pictures<extra></extra>",
        )
        received = go.Scatter(
            x=[self.image_size[2]],
            y=[self.image_size[1]],
            mode="markers",
            name="what a network gets",
            marker=dict(symbol="square-open", size=14, color="#ea580c", line_width=3),
            hovertemplate="%{y} x %{x}<extra></extra>",
        )
        figure = go.Figure([pictures, received])
        figure.update_layout(
            height=320,
            margin=dict(l=0, r=0, t=8, b=0),
            legend=dict(orientation="h", y=1.02, yanchor="bottom"),
        )
        figure.update_xaxes(title="width", rangemode="tozero")
        figure.update_yaxes(title="height", rangemode="tozero")
        return figure

    def csv(self) -> str:
        rows = zip(self.heights.tolist(), self.widths.tolist(), self.counts.tolist(), strict=True)
        return as_csv(["height", "width", "pictures"], rows)


def _sizes(
    folder: Path, pictures: np.ndarray | Pictures, say: Callable[[float], None] | None
) -> np.ndarray:
    """int (N, 2): height and width of each picture; zeros for one that cannot be read."""
    if isinstance(pictures, PictureFiles):
        known = examined(folder, pictures.paths, say)
        return np.array([(each.height, each.width) for each in known], int).reshape(-1, 2)
    if isinstance(pictures, np.ndarray):
        return np.tile(pictures.shape[1:3], (len(pictures), 1))
    if isinstance(pictures, Together):
        sizes = [_sizes(folder, source, say) for source in pictures.sources]
        return np.array([sizes[source][number] for source, number in pictures.places], int)
    return np.array([pictures[number].shape[:2] for number in range(len(pictures))], int)
