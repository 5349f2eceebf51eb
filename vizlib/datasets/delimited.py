"""Lists and tables as text: UTF-8 with or without a byte order mark, with commas, semicolons or
tabs, any line ends.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TextIO

from vizlib.errors import UserError

SEPARATORS = (",", ";", "\t")
MOST_BYTES = 200_000_000


def rows_of(path: Path, most: int | None = None) -> list[list[str]]:
    """The rows of a list or table, each its cells without the spaces around them; a blank line is
    an empty row. most: only so many. UserError if it is no such text.
    """
    try:
        if not path.is_file() or os.stat(path).st_size > MOST_BYTES:
            raise UserError(
                f"{path.name} is no regular file of up to {MOST_BYTES // 1_000_000} MB."
            )
        # spreadsheets write a mark first, which would lose the first picture
        with open(path, newline="", encoding="utf-8-sig") as file:
            return rows_in(file, most)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path.name} is not a text file in UTF-8: save it again as CSV (UTF-8)."
        ) from error
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror}.") from error


def rows_in(file: TextIO, most: int | None = None) -> list[list[str]]:
    """The same of an open text that was read with its line ends, or made in memory. csv.Error if it
    is no table.
    """
    separator = _separator(file.readline())
    file.seek(0)
    rows: list[list[str]] = []
    for row in csv.reader(file, delimiter=separator):
        rows.append(_cells(row))
        if most is not None and len(rows) >= most:
            break
    return rows


def _separator(line: str) -> str:
    """The one that the first line has most of, outside of quotes."""
    outside = "".join(line.split('"')[::2])
    return max(SEPARATORS, key=outside.count)


def _cells(row: list[str]) -> list[str]:
    """A row's cells, without empty ones at its end."""
    cells = [cell.strip() for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    return cells
