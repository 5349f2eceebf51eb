"""The matrices of the evaluations along a training, in evaluations.safetensors.

confusion/STEP      uint16, or uint32 where a count needs it, (K, K): rows the true class, columns
                    the predicted one, of the images held out for validation

The file has at most ROOM bytes of them: enough for 80,000 evaluations of ten classes, 400 of two
hundred, 16 of a thousand. When it is full a matrix is given up where the most are near one another,
never the first nor the last. Of more than some two thousand classes none is kept.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.numpy

from vizlib.files import write_whole
from vizlib.run.folders import Run
from vizlib.run.moments import MATRICES, matrices
from vizlib.run.predictions import Predictions

ROOM = 32_000_000
FEWEST = 4  # matrices that must have room, or none is kept


class Matrices:
    """The matrices of a training as it writes them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / MATRICES
        self._kept: dict[int, np.ndarray] = {}

    def take_up(self, run: Run, step: int) -> None:
        """Go on with those up to this step, of a training that is resumed."""
        self._kept = {kept: counts for kept, counts in matrices(run).items() if kept <= step}

    def keep(self, step: int, predictions: Predictions) -> None:
        """Keep how the validation images were answered at a step, and write the file anew."""
        classes = predictions.logits.shape[1]
        if FEWEST * classes**2 * np.dtype(np.uint16).itemsize > ROOM:
            return
        counts = predictions.confusion()
        fits_short = counts.max() <= np.iinfo(np.uint16).max
        self._kept[step] = counts.astype(np.uint16 if fits_short else np.uint32)
        while sum(matrix.nbytes for matrix in self._kept.values()) > ROOM and len(self._kept) > 2:
            del self._kept[_nearest(sorted(self._kept))]
        tensors = {f"confusion/{kept:08d}": matrix for kept, matrix in self._kept.items()}
        write_whole(self._path, safetensors.numpy.save(tensors))


def _nearest(steps: list[int]) -> int:
    """The step, neither the first nor the last, whose neighbours are nearest to one another."""
    inner = range(1, len(steps) - 1)
    return steps[min(inner, key=lambda number: steps[number + 1] - steps[number - 1])]
