"""trainer_state.json of Hugging Face's Trainer."""

from __future__ import annotations

from vizlib.bring.logs.content import Content
from vizlib.bring.logs.kinds import kind
from vizlib.bring.logs.series import Columns, Recorded, number

SUMMARY = "train_runtime"  # in the last entry, of the whole training


@kind("a trainer_state.json of Hugging Face's Trainer")
def read(content: Content) -> Recorded | None:
    state = content.json
    if not isinstance(state, dict) or not isinstance(state.get("log_history"), list):
        return None
    columns = Columns()
    for entry in state["log_history"]:
        if isinstance(entry, dict) and SUMMARY not in entry:
            numbers = {name: number(value) for name, value in entry.items()}
            columns.add({name: value for name, value in numbers.items() if value is not None})
    return columns.recorded()
