"""What a training writes into its run folder on the way: events, snapshots, the state to resume
from, points for TensorBoard, the best weights.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import torch

from vizlib.run import moments
from vizlib.run.events import EventLog
from vizlib.run.folders import Run, read_run
from vizlib.run.matrices import Matrices
from vizlib.run.predictions import Predictions, load_predictions, save_predictions
from vizlib.run.verdict import IMBALANCE
from vizlib.run.weights import save_weights
from vizlib.training import state
from vizlib.training.measures import Means
from vizlib.training.prepared import Prepared
from vizlib.training.snapshots import Snapshots
from vizlib.training.tensorboard import TensorBoard

SAVE_SECONDS = 20  # the state is saved no more often than this while nothing asks for it
UNSAVED_SECONDS = 300  # nor less often, however far evaluations lie apart


@dataclass(frozen=True)
class Moment:
    """Where a training is.

    step: how many are done; epoch: the same in passes through the training images; progress: the
    share of the training that is done, in [0, 1]; both as they are written. seconds: of training
    until now.
    """

    step: int
    epoch: float
    progress: float
    seconds: float


class Noted:
    """The run folder as a training writes it.

    The best weights are those of the highest validation accuracy; of the highest balanced one where
    a class has IMBALANCE times as many training images as another: the accuracy is highest there
    while a network still answers the common class alone. Of equal ones they are those of the lowest
    validation loss: of few validation images all are right long before a training has settled.

    log: the open EventLog of the folder. say: is told how each evaluation went. best: the highest
    of these so far and its loss with the sign turned; all below it before the first evaluation.
    """

    def __init__(
        self, folder: Path, log: EventLog, prepared: Prepared, say: Callable[[str], object]
    ) -> None:
        self.best = (-1.0, 0.0)
        self._is_balanced = not is_imbalanced(prepared.train_counts)
        self._folder = folder
        self._log = log
        self._model = prepared.model
        self._say = say
        self._snapshots = Snapshots(folder, prepared.model, prepared.probe)
        self._tensorboard = TensorBoard(folder, [name for name, _ in prepared.layers])
        self._matrices = Matrices(folder)
        self._began_at = time.monotonic()
        self._saved_at = -inf
        # of the pictures that were learned from last, as far as events tell: the network's input
        height, width, _ = prepared.probe.picture.shape
        self._picture_size = (height, width)

    def close(self) -> None:
        self._tensorboard.close()

    def event(self, name: str, moment: Moment, **values: Any) -> None:
        values = {
            "step": moment.step,
            "seconds": round(moment.seconds, 2),
            "epoch": moment.epoch,
            **values,
        }
        self._log.write(name, **values)
        self._tensorboard.add(name, values)

    # The beginning

    def beginning(self, moment: Moment, device_name: str, *, resumes: bool, **facts: Any) -> None:
        """Note that the training begins, or goes on.

        resumes: whether from a saved state; otherwise from the beginning, also where an earlier
        process ended before anything was saved. facts: of the "started" event.
        """
        run = read_run(self._folder)
        if resumes or run.events_of("started"):
            self._resumed(moment, device_name, run)
        if resumes:
            self._snapshots.take_up(moment.step)
            self._matrices.take_up(run, moment.step)
            self._tensorboard.first_step = moment.step
            return
        self._log.write("started", device=device_name, **facts)
        save_weights(self._model.state_dict(), self._folder / "model.safetensors")
        self._snapshots.take(0)

    def _resumed(self, moment: Moment, device_name: str, run: Run) -> None:
        self.event("resumed", moment, device=device_name)
        # of those that this leaves
        checkpoints = run.events_of("checkpoint")
        # an earlier version chose by the accuracy: what it began goes on so
        self._is_balanced |= any("balanced_accuracy" not in event for event in checkpoints)
        score = "val_accuracy" if self._is_balanced else "balanced_accuracy"
        losses = {event["step"]: event["val_loss"] for event in run.events_of("epoch")}
        self.best = max(
            ((event[score], -losses.get(event.get("step"), inf)) for event in checkpoints),
            default=self.best,
        )
        sizes = {
            event["step"]: (event["height"], event["width"]) for event in run.events_of("pictures")
        }
        last = moments.last_up_to(sizes, moment.step)
        if last is not None:
            self._picture_size = sizes[last]

    # On the way

    def growth(self, moment: Moment, size: tuple[int, int]) -> None:
        """Note the size (height, width) of the pictures where it is another than before, or at
        first another than that of the network's input.
        """
        if size != self._picture_size:
            self.event("pictures", moment, height=size[0], width=size[1])
        self._picture_size = size

    def step_is_due(self, progress: float) -> bool:
        """Whether it is time for another step event; progress: in [0, 1]."""
        return self._log.step_is_due(progress)

    def step(self, moment: Moment, means: Means, learning_rate: float) -> None:
        """Note the means since the last such event."""
        self.event(
            "step",
            moment,
            **_progress_and_means(moment, means),
            learning_rate=rounded(learning_rate, 9),
            images_per_second=round(means.images_per_second, 1),
        )

    def gradients(self, moment: Moment, norms: list[float], weights: list[float]) -> None:
        """Note the lengths of the gradients and of the weights, one a layer."""
        self.event("gradients", moment, norms=norms, weights=[rounded(value) for value in weights])

    def snapshot(self, step: int, *, is_last: bool = False) -> None:
        self._snapshots.take(step, is_last=is_last)

    def evaluation(
        self,
        moment: Moment,
        means: Means,
        predictions: Predictions,
        val_loss: float,
        learning_rate: float,
    ) -> None:
        """Note how it stands with the validation images, and keep the weights if they are the best
        so far.
        """
        val_accuracy = rounded(predictions.accuracy)
        self._matrices.keep(moment.step, predictions)  # before the event that counts on it
        self.event(
            "epoch",
            moment,
            **_progress_and_means(moment, means),
            val_loss=rounded(val_loss),
            val_accuracy=val_accuracy,
            learning_rate=rounded(learning_rate, 9),
        )
        self._say(
            f"{moment.progress:4.0%}  epoch {moment.epoch:6.2f}  "
            f"train loss {means.loss:.3f} accuracy {means.accuracy:.3f}  "
            f"validation loss {val_loss:.3f} accuracy {val_accuracy:.3f}  {moment.seconds:.0f} s"
        )
        scores = {"val_accuracy": val_accuracy}
        if not self._is_balanced:
            scores["balanced_accuracy"] = rounded(predictions.balanced_accuracy)
        self._keep_if_best(moment, scores, rounded(val_loss))

    def _keep_if_best(self, moment: Moment, scores: dict[str, float], val_loss: float) -> None:
        """scores, val_loss: as they are written, after a resume too; the last of the scores is the
        one that chooses. One that is equal in both does not take the place of the first.
        """
        reached = [*scores.values()][-1], -val_loss
        if reached > self.best:
            self.best = reached
            save_weights(self._model.state_dict(), self._folder / "model.safetensors")
            self.event("checkpoint", moment, **scores)

    def state_is_due(self) -> bool:
        """Whether the state was not saved for some time."""
        return time.monotonic() - self._saved_at > SAVE_SECONDS

    def state_is_overdue(self) -> bool:
        """Whether it was not saved for so long that it is, in the middle of an epoch."""
        return time.monotonic() - max(self._saved_at, self._began_at) > UNSAVED_SECONDS

    def save_state(self, **values: Any) -> None:
        """Save what is needed to resume, unless the weights hold what are no numbers: an earlier
        state is better then, or the beginning.
        """
        weights = self._model.state_dict()
        if all(tensor.isfinite().all() for tensor in weights.values()):
            state.save_state(self._folder, model=weights, **values)
            self._saved_at = time.monotonic()

    # The end

    def stopped(self, reason: str) -> None:
        self._log.write(
            "stopped",
            reason=f"{reason} The best weights so far are kept, and it can be resumed.",
        )

    def finished(self, moment: Moment, predictions: Predictions, *, kept: bool) -> None:
        """Note the end, with the answers to the test images. kept: whether it was ended early."""
        path = self._folder / "predictions.npz"
        save_predictions(path, predictions)
        # what is stored is what is reported
        stored = load_predictions(path, predictions.logits.shape[1])
        self._log.write(
            "finished",
            test_accuracy=rounded(stored.accuracy),
            seconds=round(moment.seconds, 2),
            kept=kept,
        )
        (self._folder / state.NAME).unlink(missing_ok=True)
        self._say(
            f"test accuracy {stored.accuracy:.4f} of the best epoch, "
            f"{moment.seconds:.0f} s of training"
        )


def is_imbalanced(counts: Sequence[int]) -> bool:
    """Whether a class has IMBALANCE times as many images as another. counts: by class; those that
    have none do not count.
    """
    there = [count for count in counts if count]
    return bool(there) and max(there) >= IMBALANCE * min(there)


def _progress_and_means(moment: Moment, means: Means) -> dict[str, float]:
    return {
        "progress": moment.progress,
        "train_loss": rounded(means.loss),
        "train_accuracy": rounded(means.accuracy),
    }


def rounded(value: float | torch.Tensor, digits: int = 5) -> float:
    return round(float(value), digits)
