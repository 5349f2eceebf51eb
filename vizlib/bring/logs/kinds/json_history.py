"""A history as one JSON object, {"loss": [...], "val_loss": [...]}, as Keras's history.history is
dumped; or as a list of objects, one an epoch.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from vizlib.bring.logs.content import Content
from vizlib.bring.logs.kinds import kind
from vizlib.bring.logs.series import Columns, Recorded, number

DEEPEST = 4
FIRST = 1_000  # items of a list, among which there must be a number


@kind("a history in JSON")
def read(content: Content) -> Recorded | None:
    history = content.json
    if isinstance(history, list):
        rows = (entry for entry in history if isinstance(entry, dict))
    elif isinstance(history, dict) and "log_history" not in history:
        lists = _lists(history)
        rows = (dict(zip(lists, row, strict=True)) for row in zip_longest(*lists.values()))
    else:
        return None
    columns = Columns()
    for row in rows:
        numbers = {name: number(value) for name, value in row.items()}
        columns.add({name: value for name, value in numbers.items() if value is not None})
        if columns.is_full:
            break
    recorded = columns.recorded()
    return recorded if recorded.series else None


def _lists(history: dict[str, Any], above: str = "", depth: int = 0) -> dict[str, list[Any]]:
    """The lists of numbers in an object and those within it, by their names joined with "/"; a
    dictionary of numbers by epoch, as pandas writes it, counts as a list.
    """
    lists: dict[str, list[Any]] = {}
    for name, value in history.items():
        if isinstance(value, list) and any(number(item) is not None for item in value[:FIRST]):
            lists[above + name] = value
        elif isinstance(value, dict) and value and all(key.isdecimal() for key in value):
            lists[above + name] = list(value.values())
        elif isinstance(value, dict) and depth < DEEPEST:
            within = above if name in ("history", "params") else f"{above}{name}/"
            lists |= _lists(value, within, depth + 1)
    return lists
