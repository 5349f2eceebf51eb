"""Tables with a line of names: Keras's CSVLogger, Lightning's metrics.csv with its gaps, fastai's
history.csv, timm's summary.csv, YOLO's results.csv, a log.txt with tabs or spaces.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from itertools import islice, pairwise

from vizlib.bring.logs.content import Content
from vizlib.bring.logs.kinds import kind
from vizlib.bring.logs.series import MOST_METRICS, Columns, Recorded, number
from vizlib.errors import UserError

SEPARATORS = (",", ";", "\t", "|")
WIDE, SPACE = "wide", "space"  # gaps of two spaces and more, of one and more
MOST_CELLS = 2 * MOST_METRICS
FIRST_LINES = 30  # in which the names must come: a log.txt may begin with other words


@kind("a table of figures")
def read(content: Content) -> Recorded | None:
    if content.text.lstrip()[:1] in ("", "{", "["):
        return None
    beginning = list(islice(content.lines(), FIRST_LINES))
    found = _header(beginning)
    if found is None:
        _refuse_without_names(content, beginning)
        return None
    first, separator = found
    names = _unique(_cells(beginning[first], separator))
    if len(names) > MOST_METRICS:
        raise UserError(
            f"This table has {len(names):,} columns: up to {MOST_METRICS:,} can be read."
        )
    columns = Columns()
    for line in islice(content.lines(), first + 1, None):
        cells = map(_number(separator), _body_cells(line, separator))
        row = zip(names, cells, strict=False)
        columns.add({name: value for name, value in row if name and value is not None})
        if columns.is_full:
            break
    return columns.recorded()


def _header(lines: Sequence[str]) -> tuple[int, str] | None:
    """(Which line has the names, what separates them), or None: the first that has more words than
    numbers and is followed by a line with as many cells, numbers among them.
    """
    for place, (line, following) in enumerate(pairwise(lines)):
        for separator in (*SEPARATORS, WIDE, SPACE):
            names = _cells(line, separator)
            cells = _body_cells(following, separator)
            numbers = [cell for cell in cells if number(cell) is not None]
            words = [name for name in names if name and number(name) is None]
            is_pair = len(names) == len(_trimmed(cells, len(names))) and bool(numbers)
            if is_pair and len(words) == sum(map(bool, names)) and _is_wide(names, separator):
                return place, separator
    return None


def _is_wide(names: Sequence[str], separator: str) -> bool:
    """Whether there is more than one column; a single one is taken for a table last."""
    return len(names) > 1 or separator == SPACE


def _cells(line: str, separator: str) -> list[str]:
    """The names in a header, the "#" before it and empty ones at its end left out."""
    line = line.strip().lstrip("#").strip() if separator in (WIDE, SPACE) else line.lstrip("# ")
    if separator == WIDE:
        cells = re.split(r"\t+|\s{2,}", line)
    elif separator == SPACE:
        cells = line.split()
    else:
        cells = _separated(line, separator)
    return _trimmed(cells, 0)


def _body_cells(line: str, separator: str) -> list[str]:
    return line.split() if separator in (WIDE, SPACE) else _separated(line, separator)


def _separated(line: str, separator: str) -> list[str]:
    """A line's cells, none of one that has too many. A quoted line end would make one row of a
    whole file: none is needed here.
    """
    if line.count(separator) > MOST_CELLS:
        return []
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:
        return []


def _trimmed(cells: list[str], least: int) -> list[str]:
    """Without empty cells at the end, as long as that leaves so many."""
    while len(cells) > least and not cells[-1]:
        cells = cells[:-1]
    return cells


def _number(separator: str):
    """What reads a cell: where semicolons separate, a comma may stand for the point."""
    if separator == ";":
        return lambda cell: number(cell.replace(",", "."))
    return number


def _unique(names: Iterable[str]) -> list[str]:
    """Names as they are, but for those that came before."""
    unique: list[str] = []
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
        again = counts[name] > 1 and name
        unique.append(f"{name} ({counts[name]})" if again else name)
    return unique


def _refuse_without_names(content: Content, lines: Sequence[str]) -> None:
    """UserError for a table of numbers alone."""
    for separator in SEPARATORS:
        cells = [_trimmed(_separated(line, separator), 0) for line in lines[:2]]
        if all(len(row) > 1 and all(number(cell) is not None for cell in row) for row in cells):
            raise UserError(
                f"{content.name} is a table without names: its first line must say what each "
                "column is, as in epoch,train_loss,val_loss."
            )
