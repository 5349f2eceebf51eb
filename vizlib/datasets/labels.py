"""The classes that labels in a list make: numbers, or words."""

from __future__ import annotations

from itertools import pairwise

from vizlib.datasets.layouts import in_order
from vizlib.datasets.walking import composed
from vizlib.errors import UserError

MOST_DIGITS = 4


def is_number(label: str) -> bool:
    """Whether a label is a whole number from 0 to 9999."""
    return label.isascii() and label.isdecimal() and len(label) <= MOST_DIGITS


def classes_of(labels: dict[str, list[str]]) -> tuple[list[str], bool]:
    """(the names of the classes, whether they are numbers) of the labels in some files, by file.

    Numbers are counted from the least to the greatest, so that a grade without pictures keeps its
    place. UserError, naming the label, for numbers among words, and for gaps as large as what they
    lie between.
    """
    distinct = {composed(label) for of_file in labels.values() for label in of_file}
    if not any(is_number(label) or _looks_like_a_number(label) for label in distinct):
        return in_order(list(distinct)), False
    for source, of_file in labels.items():
        wrong = next((label for label in of_file if not is_number(label)), None)
        if wrong is not None:
            raise UserError(
                f"{source} holds {wrong[:40]!r}: only whole numbers from 0 to 9999 are labels, or "
                "words alone. Lists have no header, tables have one line of it."
            )
    values = sorted({int(label) for label in distinct})
    greatest = next(name for name, of_file in labels.items() if _greatest(of_file) == values[-1])
    return _counted(values, greatest), True


def _greatest(labels: list[str]) -> int:
    return max(map(int, labels), default=-1)


def _looks_like_a_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return label.isnumeric()
    return label.lower().lstrip("+-") not in ("nan", "inf", "infinity")


def _counted(values: list[int], source: str) -> list[str]:
    """The names from the least to the greatest value. UserError for gaps in them."""
    count = values[-1] - values[0] + 1
    if count - len(values) >= len(values):
        low, high = max(pairwise(values), key=lambda jump: jump[1] - jump[0])
        raise UserError(
            f"{source} holds the label {high} after {low}, with nothing between: that would make "
            f"{count:,} classes, of which {len(values)} have pictures. Number the classes without "
            "gaps, or write their names."
        )
    return [str(value) for value in range(values[0], values[-1] + 1)]
