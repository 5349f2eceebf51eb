"""Writes the table of shipped networks into README.md, from their run folders: PYTHONPATH=. python
docs/shipped.py
"""

import re
from pathlib import Path

from vizlib.run.folders import SHIPPED, list_runs

README = Path(__file__).resolve().parent.parent / "README.md"
MARKS = re.compile(r"(<!-- shipped: [^>]* -->\n).*(<!-- /shipped -->)", re.DOTALL)


def table():
    """A Markdown table: each figure as its run folder has it."""
    rows = [
        (
            "| run | what | data | parameters | epochs | training | validation accuracy | test "
            "accuracy |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in list_runs()[0]:
        if run.folder.parent != SHIPPED:
            continue
        started = run.events_of("started")[-1]
        finished = run.events_of("finished")[-1]
        cells = (
            f"`{run.run_id}`",
            run.config.title,
            run.config.dataset,
            f"{started['parameters']:,}",
            f"{run.events_of('epoch')[-1]['epoch']:.3g}",
            f"{finished['seconds']:,.0f} s, {run.device}",
            f"{run.best['val_accuracy']:.1%}",
            f"**{finished['test_accuracy']:.1%}**",
        )
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    README.write_text(MARKS.sub(lambda found: found[1] + table() + found[2], README.read_text()))
