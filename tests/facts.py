"""Facts of runs that ship, read from their folders without the library: training one anew breaks no
test.
"""

import json
from pathlib import Path

import numpy as np

SHIPPED = Path(__file__).parent.parent / "checkpoints"


def events(run_id: str, kind: str) -> list[dict]:
    lines = (SHIPPED / run_id / "events.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["event"] == kind]


def last(run_id: str, kind: str, name: str) -> float:
    """A value of the last event of a kind."""
    return events(run_id, kind)[-1][name]


def accuracy(run_id: str) -> float:
    return last(run_id, "finished", "test_accuracy")


def parameters(run_id: str) -> int:
    return last(run_id, "started", "parameters")


def gains_most(first: str, second: str) -> str:
    """The class of which one run gets a larger share right than another by the most."""
    shares = []
    for run_id in (first, second):
        with np.load(SHIPPED / run_id / "predictions.npz") as file:
            labels, right = file["labels"], file["logits"].argmax(1) == file["labels"]
        shares.append(np.bincount(labels, right) / np.bincount(labels))
    names = json.loads((SHIPPED / first / "config.json").read_text())["class_names"]
    return names[int((shares[0] - shares[1]).argmax())]
