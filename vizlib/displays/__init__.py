"""Figures, one a file: an object holds the computed arrays, a constructor computes them once,
methods draw them any number of times. A file dropped into this folder is found and tested at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self


class Display(ABC):
    """What every figure is: a frozen dataclass of arrays and names that is computed once.

    It has `plot()`, a Plotly figure, or `picture()`, an Atlas of pixels, or both; each draws
    without arguments too, and never changes what it draws from.
    """

    @abstractmethod
    def csv(self) -> str:
        """The numbers that it shows, as a table (vizlib.tables) under a header."""

    @classmethod
    @abstractmethod
    def example(cls, names: Sequence[str]) -> Self:
        """A small one of made-up numbers, whose classes, layers or runs have these two names: what
        the tests of all figures draw and write.
        """
