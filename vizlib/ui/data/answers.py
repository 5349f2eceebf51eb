"""What a run answered on held-out images, at the end or at an earlier moment: the counts, and the
verdict on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vizlib.run import moments
from vizlib.run.folders import Run
from vizlib.run.predictions import Predictions
from vizlib.run.verdict import Verdict, judge
from vizlib.ui.data import caches, not_yet


@dataclass(frozen=True)
class Answers:
    """counts: int (K, K). predictions: None where only the counts are stored. of: which images, in
    words; moment: which step, in words.
    """

    counts: np.ndarray
    verdict: Verdict
    predictions: Predictions | None
    of: str
    moment: str = "at the end"


def at(run: Run, step: int | None = None) -> Answers:
    """The Answers of a run at the last evaluation up to `step`; of the test images where step is
    None and the training has ended.

    Else they are those of the validation images, whose counts the training noted. NotYet before the
    first evaluation.
    """
    if (
        step is None
        and run.status not in ("queued", "training", "paused")
        and (run.has("predictions.npz") or run.status == "finished")
    ):
        predictions = caches.predictions(run)
        return Answers(
            predictions.confusion(),
            caches.verdict(run),
            predictions,
            run.config.dataset_note or run.config.dataset,
        )
    return _along_the_training(run, step)


def _along_the_training(run: Run, step: int | None) -> Answers:
    """The Answers to the validation images at the last evaluation up to a step."""
    evaluations = {event["step"]: (event, counts) for event, counts in moments.evaluations(run)}
    if not evaluations:
        raise not_yet.without(run, "evaluation")
    shown = moments.last_up_to(evaluations, step)
    if shown is None:
        raise not_yet.NotYet(
            f"At step {step:,} {run.run_id!r} had not been evaluated yet: the first time was "
            f"at step {min(evaluations):,}."
        )
    event, counts = evaluations[shown]
    verdict = judge(
        counts,
        run.class_names,
        train_accuracy=event["train_accuracy"],
        ordered=run.config.ordered,
    )
    moment = f"as it answered at step {event['step']:,} (epoch {event['epoch']:.3g})"
    return Answers(counts, verdict, None, f"{run.config.dataset}, validation, {moment}", moment)
