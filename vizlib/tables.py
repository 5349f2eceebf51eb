"""Tables as CSV text, by the standard library's writer: the one way in which they are written."""

import csv
import io
import re
from collections.abc import Iterable

# What a spreadsheet takes for a formula that can reach out of its own table: it calls a function,
# asks another program (|) or another file (!). Such a text gets an apostrophe, with which it is
# text in every spreadsheet. "=1+1", "-5" or "@home" are left as they are: they reach nothing, and
# whoever reads the file by a program wants the name as it is.
REACHES_OUT = re.compile(r"\s*[=+\-@＝＋－＠].*[(|!]", re.DOTALL)


def as_csv(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A header and rows of cells as text, lines ended by a line feed; None is an empty cell.

    Commas, quotes and line ends in a cell are quoted, so that `csv.reader` gives every text back,
    but for an apostrophe before one that a spreadsheet would take for a formula that reaches out.
    """
    file = _Lines()
    writer = csv.writer(file)
    writer.writerow(map(_harmless, header))
    writer.writerows(map(_harmless, cells) for cells in rows)
    return file.getvalue()


class _Lines(io.StringIO):
    """Ends lines by a line feed alone. The writer, told to do so, would quote no carriage return,
    at which every reader stops.
    """

    def write(self, line: str) -> int:
        return super().write(line.removesuffix("\r\n") + "\n")


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and REACHES_OUT.match(cell) else cell
