"""JSON lines: an object a line, flat or nested, as MMCV, Detectron2, DeiT and many scripts write
it; and the events.jsonl of a run of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vizlib.bring.logs.content import Content, parsed
from vizlib.bring.logs.kinds import kind
from vizlib.bring.logs.series import AXIS_NAMES, Columns, Recorded, number, some

SPLIT_KEYS = ("mode", "phase", "split", "stage")  # which say what a whole line is of
DEEPEST = 4
_AXES = {name for names in AXIS_NAMES.values() for name in names}
# of our own events those that are drawn, and what their metrics have behind their names
_OURS = {"epoch": "", "step": "_step"}


@kind("a log of JSON lines")
def read(content: Content) -> Recorded | None:
    columns, skipped = Columns(), 0
    for record in _records(content):
        if record is None:
            skipped += 1
        elif "event" in record:
            columns.add(_of_event(record))
        else:
            columns.add(_of_record(record))
        if columns.is_full:
            break
    recorded = columns.recorded()
    if not recorded.series:
        return None
    if skipped:
        recorded.remarks.append(f"No JSON, and left out: {some(skipped, 'line')}.")
    return recorded


def _records(content: Content) -> Iterator[dict[str, Any] | None]:
    """The object of each line, None for a line that is none. A torn last line is being written."""
    if isinstance(content.json, dict) and "[" not in content.text:
        yield content.json  # one line, so far; a history would have lists
        return
    if not content.is_json_lines:
        return
    torn = False
    for line in content.lines():
        if torn:
            yield None
        record = parsed(line)
        torn = not isinstance(record, dict)
        if isinstance(record, dict):
            yield record


def _of_event(event: dict[str, Any]) -> dict[str, float]:
    """The metrics of an event of ours, as events.py declares them."""
    kind_of_event = event["event"]
    if not isinstance(kind_of_event, str) or kind_of_event not in _OURS:
        return {}
    flat = _flat(event)
    if kind_of_event == "epoch":
        flat.pop("learning_rate", None)  # the steps have it too
    return {
        name if name in _AXES else name + _OURS[kind_of_event]: value
        for name, value in flat.items()
    }


def _of_record(record: dict[str, Any]) -> dict[str, float]:
    split = next((record[key] for key in SPLIT_KEYS if isinstance(record.get(key), str)), "")
    flat = _flat(record)
    if not split:
        return flat
    return {name if name in _AXES else f"{split}/{name}": value for name, value in flat.items()}


def _flat(record: Mapping[str, Any], above: str = "", depth: int = 0) -> dict[str, float]:
    """The numbers of an object and of those within it, by their names joined with "/"."""
    flat: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, dict) and depth < DEEPEST:
            flat |= _flat(value, f"{above}{name}/", depth + 1)
        elif (found := number(value)) is not None:
            flat[above + name] = found
    return flat
