"""The report of a table of anybody's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.displays.confusion import ConfusionDisplay
from vizlib.hand_in.gathered import Answers
from vizlib.hand_in.report import report_of_answers
from vizlib.run.verdict import judge

if TYPE_CHECKING:
    from vizlib.bring.answers import Answers as Table


def report_of(table: Table, name: str, *, ordered: bool) -> str:
    """The page of a table of this name, as HTML. ordered: whether its classes are grades."""
    counts, unanswered = table.confusion(), table.unanswered()
    answers = Answers(
        ConfusionDisplay(counts, table.class_names),
        judge(counts, table.class_names, ordered=ordered, unanswered=unanswered),
        f"the answers in {name}",
        table.predictions,
        int(unanswered.sum()),
    )
    return report_of_answers(name, answers, ordered, table.remarks)
