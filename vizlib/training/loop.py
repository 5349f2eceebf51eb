"""The training loop, top to bottom. It knows nothing of the network or the data set, and writes a
run folder as it goes.
"""

import errno
import os
import time
from dataclasses import replace
from math import inf, isfinite, log

import numpy as np
import torch
import torch.nn.functional as F

from vizlib import datasets
from vizlib.datasets import reading
from vizlib.errors import UserError
from vizlib.inside.passes import predict
from vizlib.run.events import EventLog
from vizlib.run.folders import begin_folder, read_run
from vizlib.run.matrices import Matrices
from vizlib.run.predictions import Predictions, load_predictions, save_predictions
from vizlib.run.weights import load_into, save_weights
from vizlib.training import batches as feeding
from vizlib.training import recipes, state
from vizlib.training.config import check_possible, splits
from vizlib.training.distributed import Group
from vizlib.training.evaluation import evaluate, mean_loss
from vizlib.training.measures import Clock, Marks, Meter
from vizlib.training.optimisers import make_optimisers
from vizlib.training.precision import half_type
from vizlib.training.recipes import learning_rate, picture_size
from vizlib.training.requests import Requests
from vizlib.training.snapshots import Snapshots, is_log_spaced
from vizlib.training.start import freeze, starting_model
from vizlib.training.tensorboard import TensorBoard
from vizlib.training.threads import Threads

SAVE_SECONDS = 20  # the state is saved no more often than this while nothing asks for it
UNSOUND = 100  # times the loss of guessing: no state is saved then
WORKERS = 4  # processes that read pictures, where the data set streams


def train(folder, config, dataset=None, *, device="cpu", group=None, requests=None, say=print):
    """Train a network as `config` says and write everything into `folder`, which must not hold a
    run yet.

    Validation images are drawn from the training images by seed; the best epoch is chosen on them,
    and the test images are looked at once, at the end, through the weights as they were saved.
    dataset: the one that config names, if it is loaded already. group: the processes that train
    together; requests: the Requests that are listened to. Returns the Run.
    """
    group, requests = group or Group(), requests or Requests(folder)
    if group.leads and (folder / "config.json").exists():
        raise UserError(f"{folder} holds a run already: choose another name, or remove it.")
    dataset = dataset or datasets.load_for(config)
    check_possible(config, dataset)
    if not group.leads:
        return Training(folder, config, dataset, None, requests, device, group, say).run()
    begin_folder(folder, config, exist_ok=True)
    with EventLog(folder) as log:
        carry_on(folder, log, dataset, device=device, group=group, requests=requests, say=say)
    return read_run(folder)


def carry_on(folder, log, dataset=None, *, device="cpu", group=None, requests=None, say=print):
    """Train what the run folder says, from the state saved in it if there is one, and note in the
    events how it ended.

    log: the open EventLog of the folder. requests: the Requests that are listened to. What went
    wrong is raised once it is noted.
    """
    requests = requests or Requests(folder)
    try:
        config = read_run(folder).config
        Training(
            folder,
            config,
            dataset or datasets.load_for(config),
            log,
            requests,
            device,
            group or Group(),
            say,
        ).run()
    except KeyboardInterrupt:
        log.write_last("stopped", reason="Stopped by hand; the best weights so far are kept.")
        raise
    except Exception as error:
        log.write_last("failed", reason=_reason(error, device))
        raise


class Training:
    """One training under way. `run` is the loop; the other methods are its steps."""

    def __init__(self, folder, config, dataset, log, requests, device, group, say):
        self.folder, self.config, self.dataset, self.log, self.requests = (
            folder,
            config,
            dataset,
            log,
            requests,
        )
        self.device, self.group, self.say = torch.device(device), group, say
        self.recipe, self.size, self.mean, self.std = (
            recipes.from_config(config),
            config.input_size,
            config.mean,
            config.std,
        )
        self.mirrored = self.recipe.mirrored and dataset.mirrors
        self.step, self.best, self.factor, self.rate, self.saved_at = (
            0,
            -1.0,
            1.0,
            self.recipe.learning_rate,
            -inf,
        )
        self.learned_size = tuple(self.size[1:])
        self.clock, self.meter, self.row_is_due, self.is_sound = (
            Clock(self.device),
            Meter(group),
            False,
            True,
        )
        self.seconds = 0.0  # of the clock at the last look: the same in all processes
        self.tensorboard = TensorBoard(folder)
        self.matrices = Matrices(folder)
        self.threads = Threads(self.device, self.recipe.batch_size * self.size[1] * self.size[2])

    def run(self):
        """Train to the end, unless asked to stop before."""
        try:
            with self.threads.chosen():
                self._run()
        finally:
            self.tensorboard.close()

    def _run(self):
        torch.manual_seed(self.config.seed)
        self._prepare()
        self._resume_or_begin()
        self._back_to_training()
        evaluations = Marks(self.recipe, self.total_steps, self._progress())
        self.clock.start()
        ending = self._obey()
        while ending not in ("stop", "keep") and self._progress() < 1:
            for images, labels, all_labels in self.batches.epoch(
                *divmod(self.step, len(self.batches)), self._picture_size
            ):
                self._note_growth(tuple(images.shape[2:]))
                log_spaced = is_log_spaced(self.step + 1)
                with self.threads.step():
                    self._learn(
                        images,
                        labels,
                        all_labels,
                        note_gradients=log_spaced
                        or evaluations.is_reached(self._progress(steps=1)),
                    )
                ending = self._obey()
                if self.row_is_due:
                    self._note_step()
                if log_spaced:
                    self._take_snapshot()
                if evaluations.is_due(self._progress()):
                    self._evaluate()
                # after all that belongs to the step, which the state saved then has behind it
                while ending == "pause":
                    self._pause()
                    ending = self._obey()
                if ending or self._progress() >= 1:
                    break
        if ending == "keep" and self.meter.since("epoch")[2]:
            self._evaluate()
        self.clock.stop()
        if self.group.leads:
            self._end(ending)

    def _prepare(self):
        """Data and network on the device, optimisers, and what is written on the way."""
        recipe, config, device = self.recipe, self.config, self.device
        if device.type == "cuda":
            torch.cuda.set_device(device)
            torch.backends.cudnn.benchmark = (
                True  # batches are of one or two sizes: the fastest algorithm is worth finding
            )
        training, validation = splits(self.dataset, config)
        kept = reading.kept_size(training, self.size)
        border = min(kept[1:]) // recipe.crop if recipe.augment else 0
        labels, classes = torch.from_numpy(training.labels).to(device), len(config.class_names)
        if reading.streams(training, kept):
            source = feeding.Streamed(
                training,
                kept,
                device,
                border,
                recipe.reflect,
                workers=min(WORKERS, os.cpu_count() or 1),
            )
        else:
            source = feeding.InMemory(
                torch.from_numpy(training.images(kept)).to(device), border, recipe.reflect
            )
        spread = dict(
            mean=self.mean,
            std=self.std,
            mirrors=self.dataset.mirrors,
            border=border,
            seed=config.seed,
        )
        self.batches = feeding.Batches(
            source, labels, classes, recipe, **spread, rank=self.group.rank, ranks=self.group.size
        )
        self.class_weights = (
            len(labels) / (classes * torch.bincount(labels, minlength=classes).clamp(min=1)).float()
            if recipe.class_weights
            else None
        )
        self.held_out, self.val_images = validation, reading.reader(validation, self.size)

        self.resumes = (self.folder / state.NAME).exists()
        # the run it started from may be gone by now
        plain = replace(config, start=None) if self.resumes else config
        self.model = starting_model(
            plain, lambda count: feeding.normalised(training, count, self.size, self.mean, self.std)
        )
        self.model = self.group.with_shared_norms(self.model, device)
        self.frozen = freeze(self.model, config.frozen)
        self.model.to(device, memory_format=torch.channels_last)
        self.optimisers = make_optimisers(self.model, recipe)
        self.layers = [
            (name.removesuffix(".weight"), weight)
            for name, weight in self.model.named_parameters()
            if weight.ndim > 1 and weight.requires_grad
        ]
        half = half_type(device, self.model, (self.size[0], *self._picture_size(0)))
        self.autocast = dict(
            device_type=device.type, dtype=half or torch.bfloat16, enabled=half is not None
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=half is torch.float16)
        self.total_steps = None if recipe.seconds else recipe.epochs * len(self.batches)
        self.counts = np.bincount(training.labels, minlength=classes).tolist()
        probe = validation.take(np.arange(1))
        self.snapshots = Snapshots(
            self.folder,
            self.model,
            probe.images(self.size)[0],
            feeding.normalised(probe, 1, self.size, self.mean, self.std).to(device),
        )
        self.tensorboard.layers = [name for name, _ in self.layers]

    def _resume_or_begin(self):
        if self.resumes:
            saved = state.load_state(self.folder)
            load_into(self.model, saved["model"])
            for optimiser, stored in zip(self.optimisers, saved["optimisers"], strict=True):
                optimiser.load_state_dict(stored)
            self.step, self.factor = saved["step"], saved["factor"]
            self.seconds = self.clock.seconds = saved["seconds"]
            self.meter.resume(self.seconds, *saved["since_evaluation"])
            if self.scaler.is_enabled() and saved.get("scaler"):
                self.scaler.load_state_dict(saved["scaler"])
        if self.group.leads:
            self._note_beginning()
        self.network = self.group.wrapped(self.model, self.device)
        if self.recipe.compile:
            self.network = torch.compile(self.network, dynamic=False)
        if self.recipe.compile or self.device.type == "cuda":
            self._warm_up()

    def _note_beginning(self):
        run = read_run(self.folder)
        # if it ended before anything was saved, it resumes from the beginning
        if self.resumes or run.events_of("started"):
            self._note("resumed", epoch=self._epoch(), device=_device_name(self.device))
            # of those that this leaves
            self.best = max(
                (row["val_accuracy"] for row in run.events_of("checkpoint")), default=-1.0
            )
        sizes = [
            (row["height"], row["width"])
            for row in run.events_of("pictures")
            if row["step"] <= self.step
        ]
        self.learned_size = sizes[-1] if sizes else self.learned_size
        if self.resumes:
            self.snapshots.take_up(self.step)
            self.matrices.take_up(run, self.step)
            self.tensorboard.first_step = self.step
            return
        self.log.write(
            "started",
            device=_device_name(self.device),
            processes=self.group.size,
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            train_images=len(self.batches.labels),
            val_images=len(self.held_out),
            test_images=len(self.dataset.splits["test"]),
            train_counts=self.counts,
            steps=self.total_steps,
            layers=[name for name, _ in self.layers],
        )
        save_weights(self.model.state_dict(), self.folder / "model.safetensors")
        self.snapshots.take(0)

    def _warm_up(self):
        """Run each size of batch once, forward and back, before the clock starts; what that changed
        is put back.
        """
        kept = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self._back_to_training()
        for skip in sorted({0, len(self.batches) - 1}):
            images, labels, _ = next(self.batches.epoch(0, skip, self._picture_size))
            with torch.autocast(**self.autocast):
                loss = F.cross_entropy(self.network(images), labels)
            loss.backward()
        self.model.zero_grad(set_to_none=True)
        self.model.load_state_dict(kept)

    def _progress(self, steps=0):
        """The share of the training done, in [0, 1], or done `steps` steps from now."""
        if self.recipe.seconds:
            each = self.seconds / self.step if self.step else 0.0
            return min(1.0, (self.seconds + steps * each) / self.recipe.seconds)
        return min(1.0, (self.step + steps) / self.total_steps)

    def _picture_size(self, progress=None):
        """(height, width) of the pictures that are learned from at a progress, by default now."""
        return picture_size(
            self.recipe, self.size[1:], self._progress() if progress is None else progress
        )

    def _note_growth(self, size):
        """Note the size of the pictures where it is another than before, or at first another than
        that of the network's input.
        """
        if self.group.leads and size != self.learned_size:
            self._note("pictures", epoch=self._epoch(), height=size[0], width=size[1])
        self.learned_size = size

    def _epoch(self):
        return _rounded(self.step / len(self.batches))

    def _obey(self):
        """Look at the clock, and at what was asked for since the last look. Returns "stop", "keep"
        or "pause" if that is to be done now, else "".
        """
        decisions = [0.0, 0.0, 1.0, 0.0]
        if self.group.leads:
            self.clock.look()
            rate = self.requests.take_rate()
            if rate is not None:
                self.factor = rate / self.recipe.learning_rate if self.recipe.learning_rate else 1.0
                self._note("rate", epoch=self._epoch(), learning_rate=rate)
            asked = (
                1
                if self.requests.stop
                else 2
                if self.requests.keep
                else 3
                if self.requests.pause
                else 0
            )
            decisions = [
                asked,
                self.step > 0 and self.log.step_is_due(self._progress()),
                self.factor,
                self.clock.seconds,
            ]
        asked, self.row_is_due, self.factor, self.seconds = self.group.decided(decisions)
        return ("", "stop", "keep", "pause")[int(asked)]

    def _pause(self):
        """Wait as long as a pause is asked for. Of several processes the first waits, and the
        others for it.
        """
        if self.group.leads:
            with self.clock.stopped():
                self._save()
                self._note("paused", epoch=self._epoch())
                while self.requests.pause and not self.requests.stop and not self.requests.keep:
                    time.sleep(0.1)
                self._note("continued", epoch=self._epoch())

    def _back_to_training(self):
        """Training mode, in which frozen layers keep their statistics."""
        self.model.train()
        for module in self.frozen:
            module.eval()

    def _seed_dropout(self):
        """By the step, so that it is the same after a resume. torch.manual_seed would take a
        millisecond where CUDA is not in use.
        """
        seed = feeding.mixed(self.config.seed, self.step, 4)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _learn(self, images, labels, all_labels, *, note_gradients):
        """One step of gradient descent."""
        self._seed_dropout()
        self.rate = learning_rate(self.recipe, self._progress()) * self.factor
        with torch.autocast(**self.autocast):
            logits = self.network(images)
        weighed = dict(weight=self.class_weights, label_smoothing=self.recipe.label_smoothing)
        total = (
            len(all_labels) if self.class_weights is None else self.class_weights[all_labels].sum()
        )
        # the processes' shares add up to the batch's mean
        loss = F.cross_entropy(logits.float(), labels, reduction="sum", **weighed) / total
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.rate * group["share"]
        # which DistributedDataParallel divides by the size again
        self.scaler.scale(loss * self.group.size).backward()
        norms = (
            [weight.grad.norm() for _, weight in self.layers]
            if note_gradients and self.group.leads
            else []
        )
        if self.recipe.clip:
            for optimiser in self.optimisers:
                self.scaler.unscale_(optimiser)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        for optimiser in self.optimisers:
            self.scaler.step(optimiser)
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.meter.add(loss.detach(), (logits.detach().argmax(1) == labels).sum(), len(all_labels))
        if norms:
            with self.clock.stopped():
                scale = self.scaler.get_scale() if self.scaler.is_enabled() else 1.0
                # digits that count: vanishing ones are the point
                sizes = [float(f"{norm / scale:.5g}") for norm in torch.stack(norms).tolist()]
                weights = torch.stack(
                    [weight.detach().norm() for _, weight in self.layers]
                ).tolist()
                if all(map(isfinite, sizes)):  # a step that a scaler leaves out has none
                    self._note(
                        "gradients",
                        epoch=self._epoch(),
                        norms=sizes,
                        weights=list(map(_rounded, weights)),
                    )
        self.scaler.update()

    def _note_step(self):
        loss, accuracy, speed = self.meter.take("step", self.clock)
        self._check(loss)
        if self.group.leads:
            row = dict(
                epoch=self._epoch(),
                progress=_rounded(self._progress()),
                train_loss=_rounded(loss),
                train_accuracy=_rounded(accuracy),
            )
            self._note(
                "step",
                **row,
                learning_rate=_rounded(self.rate, 9),
                images_per_second=round(speed, 1),
            )

    def _check(self, loss):
        self.is_sound = loss < UNSOUND * log(len(self.config.class_names) + 1)
        self._refuse_nan(loss)

    def _refuse_nan(self, loss):
        if not isfinite(loss):
            raise UserError(
                f"The loss is not a number after {self.step} steps: the training has "
                f"diverged. Resume it with a learning rate below {self.rate:.3g}."
            )

    def _take_snapshot(self):
        if self.group.leads:
            with self.clock.stopped():
                self.snapshots.take(self.step)
                self._back_to_training()

    def _evaluate(self):
        train_loss, train_accuracy, _ = self.meter.take("epoch", self.clock)
        self._check(train_loss)
        if self.group.leads:
            with self.clock.stopped():
                self._answer_validation(train_loss, train_accuracy)
                self._back_to_training()

    def _answer_validation(self, train_loss, train_accuracy):
        """Answer the validation images, note how it stands, and keep the weights if they are the
        best so far.
        """
        logits = predict(self.model, self.val_images(), self.mean, self.std, mirrored=self.mirrored)
        answers = Predictions(self.held_out.labels, logits, self.held_out.image_ids)
        val_loss = mean_loss(answers)
        self._refuse_nan(val_loss)
        row = dict(
            epoch=self._epoch(),
            progress=_rounded(self._progress()),
            train_loss=_rounded(train_loss),
            train_accuracy=_rounded(train_accuracy),
        )
        # as it is compared with later, after a resume too
        val_accuracy = _rounded(answers.accuracy)
        row |= dict(
            val_loss=_rounded(val_loss),
            val_accuracy=val_accuracy,
            learning_rate=_rounded(self.rate, 9),
        )
        self.matrices.keep(self.step, answers)  # before the event that counts on it
        self._note("epoch", **row)
        self.say(
            f"{row['progress']:4.0%}  epoch {row['epoch']:6.2f}  train loss {train_loss:.3f} "
            f"accuracy {train_accuracy:.3f}  "
            f"validation loss {val_loss:.3f} accuracy {val_accuracy:.3f}  "
            f"{self.clock.seconds:.0f} s"
        )
        if val_accuracy > self.best:
            self.best = val_accuracy
            save_weights(self.model.state_dict(), self.folder / "model.safetensors")
            self._note("checkpoint", epoch=row["epoch"], val_accuracy=val_accuracy)
        if time.monotonic() - self.saved_at > SAVE_SECONDS:
            self._save()

    def _end(self, ending):
        """Test the best weights, unless it is to be resumed."""
        # also before the test, which may fail where the test images are gone: then only that is
        # left to do
        self._save()
        if ending == "stop":
            self.log.write(
                "stopped",
                reason=f"{self.requests.stop} The best weights so far are kept, and it can be "
                "resumed.",
            )
            return
        self.snapshots.take(self.step)
        save_predictions(
            self.folder / "predictions.npz",
            evaluate(self.folder, self.config, self.dataset, self.device),
        )
        # what is stored is what is reported
        predictions = load_predictions(
            self.folder / "predictions.npz", len(self.config.class_names)
        )
        self.log.write(
            "finished",
            test_accuracy=_rounded(predictions.accuracy),
            seconds=round(self.clock.seconds, 2),
            kept=ending == "keep",
        )
        (self.folder / state.NAME).unlink(missing_ok=True)
        self.say(
            f"test accuracy {predictions.accuracy:.4f} of the best epoch, "
            f"{self.clock.seconds:.0f} s of training"
        )

    def _save(self):
        if not self.is_sound or not all(
            tensor.isfinite().all() for tensor in self.model.state_dict().values()
        ):
            return  # it is diverging: an earlier state is better, or the beginning
        states = [optimiser.state_dict() for optimiser in self.optimisers]
        since = self.meter.since("epoch")  # of this process only, where there are several
        numbers = dict(
            step=self.step,
            seconds=self.clock.seconds,
            factor=self.factor,
            since_evaluation=since,
            scaler=self.scaler.state_dict(),
        )
        state.save_state(self.folder, **numbers, model=self.model.state_dict(), optimisers=states)
        self.saved_at = time.monotonic()

    def _note(self, event, **values):
        row = dict(step=self.step, seconds=round(self.clock.seconds, 2), **values)
        self.log.write(event, **row)
        self.tensorboard.add(event, row)


def _reason(error, device):
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


def _device_name(device):
    return (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    )


def _rounded(value, digits=5):
    return round(float(value), digits)
