"""The training loop, top to bottom. It knows nothing of the network or the data set.

What it computes with is made in `prepared`, what it leaves in the run folder is written by `noted`.
"""

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite, log
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from vizlib import datasets
from vizlib.datasets import Dataset
from vizlib.errors import UserError
from vizlib.run.config import RunConfig
from vizlib.run.events import EventLog
from vizlib.run.folders import Run, begin_folder, read_run
from vizlib.run.images import TESTED
from vizlib.run.predictions import Predictions
from vizlib.run.weights import load_into
from vizlib.training import devices, recipes, state
from vizlib.training.batches import mixed
from vizlib.training.config import check_possible
from vizlib.training.distributed import Group
from vizlib.training.evaluation import answers, evaluate, mean_loss
from vizlib.training.measures import Clock, Marks, Meter
from vizlib.training.noted import Moment, Noted, rounded
from vizlib.training.prepared import prepare
from vizlib.training.processor import this_processor
from vizlib.training.remembered import remembered
from vizlib.training.requests import KEEP, PAUSE, STOP, Requests
from vizlib.training.schedules import picture_size, rate_share
from vizlib.training.small_maps import as_products
from vizlib.training.snapshots import is_log_spaced
from vizlib.training.threads import Threads

UNSOUND = 100  # times the loss of guessing: no state is saved then
WISHES = ("", STOP, KEEP, PAUSE)  # as numbers, which several processes share
PAUSE_SECONDS = 0.1  # between two looks at whether a pause is over


def train(
    folder: Path,
    config: RunConfig,
    dataset: Dataset | None = None,
    *,
    device: str = "cpu",
    group: Group | None = None,
    requests: Requests | None = None,
    say: Callable[[str], object] = print,
) -> Run | None:
    """Train a network as `config` says and write everything into `folder`, which must not hold a
    run yet.

    Validation images are drawn from the training images by seed; the best epoch is chosen on them,
    and the test images are looked at once, at the end, through the weights as they were saved.
    dataset: the one that config names, if it is loaded already. group: the processes that train
    together; requests: the Requests that are listened to. Returns the Run, in the process that
    leads.
    """
    group, requests = group or Group(), requests or Requests(folder)
    if group.leads and (folder / "config.json").exists():
        raise UserError(f"{folder} holds a run already: choose another name, or remove it.")
    dataset = dataset or datasets.load_for(config)
    check_possible(config, dataset, group.size, shares_norms=group.shares_norms(device))
    if not group.leads:
        Training(folder, config, dataset, None, requests, device, group, say).run()
        return None
    begin_folder(folder, config, exist_ok=True)
    with EventLog(folder) as log:
        carry_on(folder, log, dataset, device=device, group=group, requests=requests, say=say)
    return read_run(folder)


def carry_on(
    folder: Path,
    log: EventLog,
    dataset: Dataset | None = None,
    *,
    device: str = "cpu",
    group: Group | None = None,
    requests: Requests | None = None,
    say: Callable[[str], object] = print,
) -> None:
    """Train what the run folder says, from the state saved in it if there is one, and note in the
    events how it ended.

    log: the open EventLog of the folder. requests: the Requests that are listened to. What went
    wrong is raised once it is noted.
    """
    group, requests = group or Group(), requests or Requests(folder)
    try:
        config = read_run(folder).config
        dataset = dataset or datasets.load_for(config)
        Training(folder, config, dataset, log, requests, device, group, say).run()
    except KeyboardInterrupt:
        log.write_last("stopped", reason="Stopped by hand; the best weights so far are kept.")
        raise
    except Exception as error:
        log.write_last("failed", reason=_reason(error, device))
        raise


class Training:
    """One training under way. `run` is the loop; the other methods are its steps. Of several
    processes only the one that leads has `noted`, and a log.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        dataset: Dataset,
        log: EventLog | None,
        requests: Requests,
        device: str,
        group: Group,
        say: Callable[[str], object],
    ) -> None:
        self.folder = folder
        self.config = config
        self.dataset = datasets.seen_by(dataset, config)
        self.log = log
        self.requests = requests
        self.device = torch.device(device)
        self.group = group
        self.say = say
        self.recipe = recipes.from_config(config)
        self.step = 0
        self.highest_rate = self.recipe.learning_rate  # unless another one was asked for
        self.learning_rate = self.recipe.learning_rate
        self.is_sound = True
        self.step_is_due = False  # whether a step event is
        self.clock = Clock(self.device)
        self.meter = Meter(group)
        self.seconds = 0.0  # of the clock at the last look: the same in all processes
        _, height, width = config.input_size
        self.threads = Threads(self.device, self.recipe.batch_size * height * width)

    def run(self) -> None:
        """Train to the end, unless asked to stop before."""
        with self.threads.chosen():
            self._begin()
            try:
                self._train()
            finally:
                if self.group.leads:
                    self.noted.close()

    def _train(self) -> None:
        evaluations = Marks(self.recipe, self.total_steps, self._progress())
        self.clock.start()
        wish = self._obey()
        while self._goes_on(wish):
            epoch, done = divmod(self.step, len(self.batches))
            for images, labels, all_labels in self.batches.epoch(epoch, done, self._picture_size):
                self._note_growth(images)
                is_shown = is_log_spaced(self.step + 1)
                is_measured = is_shown or evaluations.is_reached(self._progress(steps=1))
                with self.threads.step():
                    self._learn(images, labels, all_labels, note_gradients=is_measured)
                wish = self._obey()
                if self.step_is_due:
                    self._note_step()
                if is_shown:
                    self._take_snapshot()
                if evaluations.is_due(self._progress()):
                    self._evaluate()
                self._save_if_overdue()
                # after all that belongs to the step, which the state saved then has behind it
                wish = self._wait_out(wish)
                if not self._goes_on(wish):
                    break
        if wish == KEEP and self.meter.since("epoch")[2]:
            self._evaluate()
        self.clock.stop()
        if self.group.leads:
            self._end(wish)

    # The beginning

    def _begin(self) -> None:
        torch.manual_seed(self.config.seed)
        saved = state.load_state(self.folder)
        images = remembered(self.folder, self.dataset, self.config, write=self.group.leads)
        self.test_images = len(images.of(TESTED)[0])
        self.prepared = prepare(
            self.config, self.dataset, images, self.device, self.group, resumes=saved is not None
        )
        self.batches = self.prepared.batches
        self.model = self.prepared.model
        self.optimisers = self.prepared.optimisers
        self.scaler = self.prepared.scaler
        self.total_steps = self.recipe.epochs * len(self.batches)
        if saved is not None:
            self._resume(saved)
        if self.log is not None:
            self.noted = Noted(self.folder, self.log, self.prepared, self.say)
            self._note_beginning(resumes=saved is not None)
        self.network = self.group.wrapped(self.model, self.device)
        if self.recipe.compile:
            self.network = torch.compile(self.network, dynamic=False)
        if self.recipe.compile or devices.starts_slowly(self.device):
            self._warm_up()
        self._back_to_training()

    def _resume(self, saved: dict[str, Any]) -> None:
        """Take up what `_save` saved."""
        load_into(self.model, saved["model"])
        for optimiser, stored in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(stored)
        self.step = saved["step"]
        self.highest_rate = state.highest_rate(saved, self.recipe)
        self.seconds = self.clock.seconds = saved["seconds"]
        self.meter.resume(self.seconds, *saved["since_evaluation"])
        if self.scaler.is_enabled() and saved.get("scaler"):
            self.scaler.load_state_dict(saved["scaler"])

    def _note_beginning(self, *, resumes: bool) -> None:
        self.noted.beginning(
            self._moment(),
            devices.words_for(self.device),
            resumes=resumes,
            processor=this_processor(),
            number_types=self.prepared.number_types,
            processes=self.group.size,
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            train_images=len(self.batches.labels),
            val_images=len(self.prepared.held_out),
            test_images=self.test_images,
            train_counts=self.prepared.train_counts,
            steps=None if self.recipe.seconds else self.total_steps,
            layers=[name for name, _ in self.prepared.layers],
        )

    def _warm_up(self) -> None:
        """Run each size of batch once, forward and back, before the clock starts; what that changed
        is put back.
        """
        kept = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self._back_to_training()
        for skip in sorted({0, len(self.batches) - 1}):
            images, labels, _ = next(self.batches.epoch(0, skip, self._picture_size))
            with self._computing():
                loss = F.cross_entropy(self.network(images), labels)
            loss.backward()
        self.model.zero_grad(set_to_none=True)
        self.model.load_state_dict(kept)

    # Where it is, and what is asked for

    def _progress(self, steps: int = 0) -> float:
        """The share of the training done, in [0, 1], or done `steps` steps from now."""
        if self.recipe.seconds:
            each = self.seconds / self.step if self.step else 0.0
            return min(1.0, (self.seconds + steps * each) / self.recipe.seconds)
        return min(1.0, (self.step + steps) / self.total_steps)

    def _goes_on(self, wish: str) -> bool:
        return wish not in (STOP, KEEP) and self._progress() < 1

    def _moment(self) -> Moment:
        return Moment(
            step=self.step,
            epoch=rounded(self.step / len(self.batches)),
            progress=rounded(self._progress()),
            seconds=self.clock.seconds,
        )

    def _picture_size(self) -> tuple[int, int]:
        """(height, width) of the pictures that are learned from now."""
        return picture_size(self.recipe, self.config.input_size[1:], self._progress())

    def _obey(self) -> str:
        """Look at the clock, and at what was asked for since the last look. Returns what is to be
        done now: STOP, KEEP, PAUSE, or an empty text.
        """
        decisions = [0.0, 0.0, 0.0, 0.0]
        if self.group.leads:
            self.clock.look()
            self._take_rate()
            decisions = [
                WISHES.index(self.requests.wish),
                self.step > 0 and self.noted.step_is_due(self._progress()),
                self.highest_rate,
                self.clock.seconds,
            ]
        wish, self.step_is_due, self.highest_rate, self.seconds = self.group.decided(decisions)
        return WISHES[int(wish)]

    def _take_rate(self) -> None:
        """Take up another highest learning rate, where one was asked for."""
        rate = self.requests.take_rate()
        if rate is not None:
            self.highest_rate = rate
            self.noted.event("rate", self._moment(), learning_rate=rate)

    def _wait_out(self, wish: str) -> str:
        """Pause as long as that is what is asked for. Returns what is asked for then."""
        while wish == PAUSE:
            self._pause()
            wish = self._obey()
        return wish

    def _pause(self) -> None:
        """Wait as long as a pause is asked for. Of several processes the first waits, and the
        others for it.
        """
        if self.group.leads:
            with self.clock.stopped():
                self._save()
                self.noted.event("paused", self._moment())
                while self.requests.wish == PAUSE:
                    time.sleep(PAUSE_SECONDS)
                self.noted.event("continued", self._moment())

    # A step

    def _back_to_training(self) -> None:
        """Training mode, in which frozen layers keep their statistics."""
        self.model.train()
        for module in self.prepared.frozen:
            module.eval()

    def _seed_dropout(self) -> None:
        """By the step, so that it is the same after a resume."""
        devices.seed(self.device, mixed(self.config.seed, self.step, 4))

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """As the network is passed through in training."""
        products = as_products(self.device, compiled=self.recipe.compile)
        with torch.autocast(**self.prepared.autocast), products:
            yield

    def _learn(
        self, images: Tensor, labels: Tensor, all_labels: Tensor, *, note_gradients: bool
    ) -> None:
        """One step of gradient descent."""
        self._seed_dropout()
        self.learning_rate = rate_share(self.recipe, self._progress()) * self.highest_rate
        with self._computing():
            logits = self.network(images)
        loss = self._loss(logits, labels, all_labels)
        # which DistributedDataParallel divides by the size again
        self.scaler.scale(loss * self.group.size).backward()
        norms = []
        if note_gradients and self.group.leads:
            norms = [cast(Tensor, weight.grad).norm() for _, weight in self.prepared.layers]
        self._descend()
        self.step += 1
        self.meter.add(loss.detach(), (logits.detach().argmax(1) == labels).sum(), len(all_labels))
        if norms:
            self._note_gradients(norms)
        self.scaler.update()

    def _loss(self, logits: Tensor, labels: Tensor, all_labels: Tensor) -> Tensor:
        """This process's share of the batch's mean: the shares of all add up to it."""
        weights = self.prepared.class_weights
        total = len(all_labels) if weights is None else weights[all_labels].sum()
        losses = F.cross_entropy(
            logits.float(),
            labels,
            label_smoothing=self.recipe.label_smoothing,
            reduction="none",
        )
        # an image counts as its true class does: PyTorch's own `weight` would count each class's
        # share of the smoothed label by that class, and a rare one would outweigh the true one
        if weights is not None:
            losses = losses * weights[labels]
        return losses.sum() / total

    def _descend(self) -> None:
        """Move the weights against their gradients, which are then gone."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate * group["share"]
        if self.recipe.clip:
            for optimiser in self.optimisers:
                self.scaler.unscale_(optimiser)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for optimiser in self.optimisers:
            self.scaler.step(optimiser)
            optimiser.zero_grad(set_to_none=True)

    # What is noted of it

    def _note_growth(self, images: Tensor) -> None:
        height, width = images.shape[2:]
        if self.group.leads:
            self.noted.growth(self._moment(), (height, width))

    def _note_gradients(self, norms: list[Tensor]) -> None:
        """norms: of each layer's gradient, times the scaler's scale."""
        with self.clock.stopped():
            scale = self.scaler.get_scale() if self.scaler.is_enabled() else 1.0
            # digits that count: vanishing ones are the point
            lengths = [float(f"{norm / scale:.5g}") for norm in torch.stack(norms).tolist()]
            weights = torch.stack([weight.detach().norm() for _, weight in self.prepared.layers])
            if all(map(isfinite, lengths)):  # a step that a scaler leaves out has none
                self.noted.gradients(self._moment(), lengths, weights.tolist())

    def _note_step(self) -> None:
        means = self.meter.take("step", self.clock)
        self._check(means.loss)
        if self.group.leads:
            self.noted.step(self._moment(), means, self.learning_rate)

    def _take_snapshot(self) -> None:
        if self.group.leads:
            with self.clock.stopped():
                self.noted.snapshot(self.step)
                self._back_to_training()

    def _evaluate(self) -> None:
        """Answer the validation images, and note how it stands."""
        means = self.meter.take("epoch", self.clock)
        self._check(means.loss)
        if self.group.leads:
            with self.clock.stopped():
                predictions = self._validation_answers()
                val_loss = mean_loss(predictions)
                self._refuse_nan(val_loss)
                self.noted.evaluation(
                    self._moment(), means, predictions, val_loss, self.learning_rate
                )
                if self.noted.state_is_due():
                    self._save()
                self._back_to_training()

    def _validation_answers(self) -> Predictions:
        """In the training's number type, which is what it is compared with; the test is in float32,
        so that its figures are those of every machine.
        """
        held_out, images = self.prepared.held_out, self.prepared.val_images()
        with self._computing():
            return answers(self.model, held_out, images, self.config, self.dataset.mirrors)

    def _check(self, loss: float) -> None:
        self.is_sound = loss < UNSOUND * log(len(self.config.class_names) + 1)
        self._refuse_nan(loss)

    def _refuse_nan(self, loss: float) -> None:
        if not isfinite(loss):
            raise UserError(
                f"The loss is not a number after {self.step} steps: the training has "
                f"diverged. Resume it with a learning rate below {self.learning_rate:.3g}."
            )

    def _save(self) -> None:
        """Save what `_resume` takes up, unless it is diverging: an earlier state is better then, or
        the beginning.
        """
        if self.is_sound:
            self.noted.save_state(
                step=self.step,
                seconds=self.clock.seconds,
                highest_rate=self.highest_rate,
                # of this process only, where there are several
                since_evaluation=self.meter.since("epoch"),
                optimisers=[optimiser.state_dict() for optimiser in self.optimisers],
                scaler=self.scaler.state_dict(),
            )

    def _save_if_overdue(self) -> None:
        if self.group.leads and self.noted.state_is_overdue():
            with self.clock.stopped():
                self._save()

    # The end

    def _end(self, wish: str) -> None:
        """Test the best weights, unless it is to be resumed."""
        # also before the test, which may fail where the test images are gone: then only that is
        # left to do
        self._save()
        if wish == STOP:
            self.noted.stopped(self.requests.stop)
            return
        self.noted.snapshot(self.step, is_last=True)
        predictions = evaluate(self.folder, self.config, self.dataset, self.device)
        self.noted.finished(self._moment(), predictions, kept=wish == KEEP)


def _reason(error: Exception, device: str) -> str:
    """An exception as one or two sentences."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "alloc" in str(error) and "memory" in str(error)
    ):
        return (
            f"There is not enough memory on {device} for this network and batch size. Resume it "
            "where there is more, or train with smaller batches."
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "The disk is full. What was written before is kept; make room, then resume."
    first_line = (str(error).splitlines() or ["no message"])[0][:200]
    return f"{type(error).__name__}: {first_line.rstrip('.')}."
