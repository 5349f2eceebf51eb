"""The loop: every number that it writes against an independent computation, and what a run leaves
however it ends.
"""

import contextlib
import dataclasses
import errno
import itertools
import json
import math
import os
import shutil
import subprocess
import threading
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vizlib import architectures, datasets
from vizlib.datasets import Dataset, Split, hold_out, reading
from vizlib.errors import UserError
from vizlib.inside.passes import predict
from vizlib.run import moments
from vizlib.run.config import config_of
from vizlib.run.events import EventLog
from vizlib.run.folders import read_run
from vizlib.run.predictions import Predictions, load_predictions
from vizlib.run.weights import load_into, load_weights
from vizlib.training import loop, measures, noted, number_types, prepared, requests, state
from vizlib.training.config import make_config, splits
from vizlib.training.evaluation import evaluate
from vizlib.training.loop import carry_on, train
from vizlib.training.noted import is_imbalanced
from vizlib.training.order import Order
from vizlib.training.precision import half_type
from vizlib.training.recipes import Recipe, recipe
from vizlib.training.requests import Requests
from vizlib.training.schedules import learning_rate, picture_size, relative_cost

MOMENTUM = dict(name="sgd", learning_rate=0.02, momentum=0.9, weight_decay=1e-3, schedule="cosine")


def digits_config(epochs=2, name="adamw", **changes):
    order = Order("three_layer_module", "digits", recipe(name, epochs=epochs, **changes))
    return make_config(order, datasets.load("digits"))


def quiet(line):
    pass


@pytest.fixture
def whole_floats(monkeypatch):
    """No two-byte numbers, which some processors use here: for comparing with float32 to the last
    digits.
    """
    monkeypatch.setattr(prepared, "half_type", lambda *given: None)


def noise(count=40, classes=2, mirrors=True, seed=0, vanish=False):
    """A small grey Dataset of noise, whose classes differ in brightness. vanish: its test pictures
    cannot be read.
    """
    generator = np.random.default_rng(seed)

    class Gone:
        def __len__(self):
            return 8

        def __getitem__(self, row):
            raise UserError(
                "The picture 'a.png' cannot be read any more: No such file or directory."
            )

        def take(self, rows):
            return self

    def split(size, part):
        labels = np.arange(size) % classes
        pictures = (
            generator.integers(0, 128, (size, 8, 8, 1))
            + 127 * labels[:, None, None, None] // (classes - 1)
        ).astype(np.uint8)
        return Split(pictures, labels, np.array([f"{part}/{row}" for row in range(size)]))

    splits = {"train": split(count, "train"), "val": split(10, "val"), "test": split(8, "test")}
    if vanish:
        splits["test"] = Split(Gone(), splits["test"].labels, splits["test"].image_ids)
    return Dataset(
        "noise",
        [str(label) for label in range(classes)],
        (1, 8, 8),
        [0.5],
        [0.25],
        splits,
        "made up",
        mirrors=mirrors,
    )


def noise_config(dataset=None, architecture="three_layer_module", **settings):
    made = Recipe("made", "Made up.", **{"learning_rate": 0.01, "batch_size": 8, **settings})
    return make_config(Order(architecture, "noise", made), dataset or noise())


def without_times(rows, *other):
    """Events that do not depend on how fast this machine is."""
    return [
        {key: value for key, value in row.items() if key not in ("time", "seconds", *other)}
        for row in rows
        if row["event"] != "step"
    ]


def tensors(folder):
    return load_weights(folder / "model.safetensors")


# What is written


def test_it_learns(tmp_path):
    said = []
    run = train(tmp_path / "run", digits_config(epochs=3), say=said.append)
    assert run.best["val_accuracy"] > 0.8
    assert run.events_of("finished")[0]["test_accuracy"] > 0.8
    assert len(said) == 12 + 1
    assert said[0].startswith(" 10%  epoch   0.29  train loss")
    assert said[-1].startswith("test accuracy 0.")


FIELDS = {
    "started": (
        "device processor number_types processes parameters train_images val_images test_images "
        "train_counts steps layers"
    ),
    "step": "step epoch progress train_loss train_accuracy learning_rate seconds images_per_second",
    "epoch": (
        "epoch step progress train_loss train_accuracy val_loss val_accuracy learning_rate seconds"
    ),
    "gradients": "step epoch seconds norms weights",
    "checkpoint": "epoch step val_accuracy seconds",
    "finished": "test_accuracy seconds kept",
}


def test_events_come_in_order_with_all_their_fields(tiny_run):
    names = [row["event"] for row in tiny_run.events]
    assert names[0] == "started"
    assert names[-1] == "finished"
    assert names.count("started") == names.count("finished") == 1
    assert set(names) == set(FIELDS)
    for row in tiny_run.events:
        assert set(row) == {"event", "time", *FIELDS[row["event"]].split()}
    steps = [row["step"] for row in tiny_run.events if "step" in row]
    times, seconds = (
        [row[key] for row in tiny_run.events if key in row] for key in ("time", "seconds")
    )
    assert steps == sorted(steps)
    assert times == sorted(times)
    assert seconds == sorted(seconds)
    started = tiny_run.events_of("started")[0]
    assert (
        started["train_images"] + started["val_images"]
        == sum(started["train_counts"]) + 143
        == 1437
    )
    assert started["test_images"] == 360
    assert started["steps"] == tiny_run.events_of("epoch")[-1]["step"] == 2 * math.ceil(1294 / 64)
    assert started["processes"] == 1
    assert started["parameters"] == 32 * 26 + 16 * (32 * 9 + 1) + 10 * (16 * 64 + 1)
    assert started["layers"] == ["conv1", "conv2", "fc"]
    first = tiny_run.events_of("step")[0]
    assert first["step"] == 1
    assert first["learning_rate"] == pytest.approx(0.05 * 2e-3)
    assert first["train_loss"] > 1
    assert first["images_per_second"] > 0
    for row in (*tiny_run.events_of("step"), *tiny_run.events_of("epoch")):
        assert row["progress"] == pytest.approx(row["step"] / 42, abs=1e-5)
        assert row["epoch"] == pytest.approx(row["step"] / 21, abs=1e-5)
    evaluations = moments.evaluations(tiny_run)
    assert [row for row, _ in evaluations] == tiny_run.events_of("epoch")
    for row, confusion in evaluations:
        assert confusion.sum() == 143
        assert row["val_accuracy"] == pytest.approx(np.trace(confusion) / 143, abs=1e-5)
    assert [row["step"] for row in tiny_run.events_of("gradients")] == sorted(
        {1, 2, 3, 4, 6, 8, 12, 16, 24, 32} | {row["step"] for row in tiny_run.events_of("epoch")}
    )


@pytest.mark.parametrize(
    ("epochs", "batch_size", "marks"), [(1, 3, 10), (3, 4, 12), (12, 20, 12), (2, 40, 2), (1, 8, 5)]
)
def test_short_trainings_are_evaluated_ten_times_and_at_the_end_of_each_epoch(
    tmp_path, epochs, batch_size, marks
):
    """Or after every step, where there are fewer."""
    dataset = noise()
    run = train(
        tmp_path / "run",
        noise_config(dataset, epochs=epochs, batch_size=batch_size),
        dataset,
        say=quiet,
    )
    found = [row["epoch"] for row in run.events_of("epoch")]
    assert len(found) == marks
    assert set(range(1, epochs + 1)) <= set(found)
    assert found == sorted(set(found))
    steps = -(-40 // batch_size) * epochs  # each mark is taken at the first step that reaches it
    assert [row["step"] for row in run.events_of("epoch")] == [
        -(-mark * steps // marks) for mark in range(1, marks + 1)
    ]


def test_marks_of_trainings_of_any_length():
    """Ten evaluations at least where there are as many steps, three hundred at most, and one at the
    very end.
    """
    for epochs in (1, 2, 3, 7, 10, 11, 299, 300, 301, 599, 602, 10_000):
        for length in (1, 2, 7, 21):
            total = epochs * length
            marks = measures.Marks(recipe("sgd", epochs=epochs), total, 0.0)
            found = [step for step in range(1, total + 1) if marks.is_due(step / total)]
            assert min(10, total) <= len(found) <= 301, (epochs, length)
            assert found[-1] == total, (epochs, length)
            if epochs <= 300:
                assert set(range(length, total + 1, length)) <= set(found), (epochs, length)
            # one that goes on from a mark, or from just before it, takes the others
            for place in (0, len(found) // 2, len(found) - 1):
                for step in {found[place], found[place] - 1}:
                    later = measures.Marks(recipe("sgd", epochs=epochs), total, step / total)
                    assert [other for other in found if other > step] == [
                        other for other in range(step + 1, total + 1) if later.is_due(other / total)
                    ]


def test_a_training_by_seconds(tmp_path, monkeypatch):
    """Marks, the rate and the end follow the clock, which is looked at once a step: all processes
    of a training decide by that look, so nothing may move for one of them alone between two.
    """
    looks, obey, progress = [], loop.Training._obey, loop.Training._progress

    def look(self):
        looks.append(None)
        ending = obey(self)
        looks[-1] = set()
        return ending

    def noted(self, steps=0):
        found = progress(self, steps)
        if looks and looks[-1] is not None and not steps:
            looks[-1].add(found)
        return found

    monkeypatch.setattr(loop.Training, "_obey", look)
    monkeypatch.setattr(loop.Training, "_progress", noted)
    dataset = noise()
    run = train(
        tmp_path / "run",
        noise_config(dataset, seconds=1, schedule="linear", learning_rate=0.03),
        dataset,
        say=quiet,
    )
    assert run.events_of("started")[0]["steps"] is None
    assert 1 <= run.events_of("finished")[0]["seconds"] < 5
    evaluated = run.events_of("epoch")
    assert evaluated[-1]["progress"] == 1
    assert 2 <= len(evaluated) <= 10
    assert evaluated[-1]["step"] == max(row["step"] for row in run.events if "step" in row)
    for row in evaluated:
        assert 0.03 * (1 - row["progress"]) - 1e-6 <= row["learning_rate"] <= 0.03
    rates = [row["learning_rate"] for row in evaluated]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > rates[-1]
    assert len(looks) > 10
    assert [found for found in looks if len(found) > 1] == []


def test_step_events_are_few(tmp_path, monkeypatch):
    now = iter(range(10**9))
    # a second each time it is asked
    monkeypatch.setattr("vizlib.run.events.time.monotonic", lambda: next(now))
    with EventLog(tmp_path) as log:
        assert (
            sum(log.step_is_due(step / 10**6) for step in range(1, 50_000)) == 50_000 * 600 // 10**6
        )
    monkeypatch.setattr("vizlib.run.events.time.monotonic", lambda: next(now) / 100)
    with EventLog(tmp_path) as log:
        # ten seconds
        assert sum(log.step_is_due(step / 1000) for step in range(1000)) == pytest.approx(50, abs=2)


def test_the_configuration_says_all():
    dataset = datasets.load("digits")
    config = digits_config()
    assert config_of(json.loads(json.dumps(config.as_dict()))) == (config, [])
    assert config.arguments == {"num_classes": 10, "in_channels": 1, "image_size": 8}
    assert config.input_size == [1, 8, 8]
    assert config.validation == 143
    assert config.recipe["epochs"] == 2
    assert (config.mean, config.std) == (dataset.mean, dataset.std)
    assert config.start is None
    assert config.frozen == 0
    order = Order("resnet18", "digits", recipe("sgd"), validation=7, title="t", seed=5)
    large = make_config(order, dataset)
    assert large.input_size == [1, 224, 224]
    assert (
        large.validation,
        large.title,
        large.seed,
    ) == (7, "t", 5)


def test_one_seed_gives_one_run(tmp_path, tiny_run):
    again = train(tmp_path / "again", digits_config(), say=quiet)
    assert without_times(again.events) == without_times(tiny_run.events)
    assert again.config == tiny_run.config
    assert (
        again.path("model.safetensors").read_bytes()
        == tiny_run.path("model.safetensors").read_bytes()
    )
    other = train(
        tmp_path / "other", dataclasses.replace(digits_config(epochs=1), seed=1), say=quiet
    )
    assert without_times(other.events)[1] != without_times(tiny_run.events)[1]


def test_validation_and_test_images_are_never_trained_on():
    dataset = datasets.load("digits")
    training, validation = hold_out(dataset.splits["train"], digits_config().validation, 0)
    parts = [set(split.image_ids) for split in (training, validation, dataset.splits["test"])]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1797


# The numbers


class Recorder:
    """Looks over the loop's shoulder: the batches it takes, and the network before and after each
    step.
    """

    def __init__(self, monkeypatch):
        self.steps, learn = [], loop.Training._learn

        def watched(training, images, labels, all_labels, **options):
            before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
            learn(training, images, labels, all_labels, **options)
            after = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
            self.steps.append(
                (images, labels, before, after, training.optimisers[0].param_groups[0]["lr"])
            )

        monkeypatch.setattr(loop.Training, "_learn", watched)

    def logits(self, place, config):
        """(labels, logits with a graph, model) of a step, by a network built anew."""
        images, labels, before, _, _ = self.steps[place]
        model = architectures.create(config.architecture, **config.arguments)
        load_into(model, before)
        model.train()
        return labels, model(images), model


@pytest.mark.parametrize(
    ("weighed", "smoothing"), [(False, 0.0), (True, 0.0), (False, 0.2), (True, 0.1)]
)
def test_losses_and_gradients_are_pytorchs(tmp_path, monkeypatch, whole_floats, weighed, smoothing):
    """Rows of steps and of epochs hold means since the last such row; gradient norms are those of
    autograd on the same batch.
    """
    from sklearn.utils.class_weight import compute_class_weight

    recorder = Recorder(monkeypatch)
    config = digits_config(
        1, **MOMENTUM, batch_size=100, class_weights=weighed, label_smoothing=smoothing
    )
    run = train(tmp_path / "run", config, say=quiet)
    labels = hold_out(datasets.load("digits").splits["train"], 143, 0)[0].labels
    weight = (
        torch.tensor(
            compute_class_weight("balanced", classes=np.arange(10), y=labels), dtype=torch.float32
        )
        if weighed
        else None
    )
    losses, right, sizes, norms = [], [], [], []
    for place in range(13):
        labels, logits, model = recorder.logits(place, config)
        each = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
        counts = weight[labels] if weighed else torch.ones(len(labels))
        loss = (counts * each).sum() / counts.sum()
        loss.backward()
        losses.append(loss.item())
        right.append(int((logits.argmax(1) == labels).sum()))
        sizes.append(len(labels))
        norms.append(
            [
                model.get_parameter(f"{layer}.weight").grad.norm().item()
                for layer in ("conv1", "conv2", "fc")
            ]
        )
    losses, right, sizes = map(np.array, (losses, right, sizes))
    for event in ("step", "epoch"):
        last = 0
        for row in run.events_of(event):
            since = slice(last, row["step"])
            assert row["train_loss"] == pytest.approx(
                (losses * sizes)[since].sum() / sizes[since].sum(), abs=2e-5
            )
            assert row["train_accuracy"] == pytest.approx(
                right[since].sum() / sizes[since].sum(), abs=1e-5
            )
            last = row["step"]
    assert {row["step"] for row in run.events_of("gradients")} >= {1, 2, 3, 4, 6, 8, 12, 13}
    for row in run.events_of("gradients"):
        assert row["norms"] == pytest.approx(norms[row["step"] - 1], rel=1e-4)
        after = recorder.steps[row["step"] - 1][3]
        assert row["weights"] == pytest.approx(
            [after[f"{layer}.weight"].norm().item() for layer in ("conv1", "conv2", "fc")], abs=2e-5
        )


def test_the_rate_follows_the_schedule_and_the_factor(tmp_path, monkeypatch):
    recorder, folder = Recorder(monkeypatch), tmp_path / "run"

    def say(line):
        if "epoch   1.00" in line:
            requests.ask_rate(folder, 0.005)

    config = digits_config(2, "sgd", schedule="one_cycle", learning_rate=0.02)
    run = train(folder, config, say=say)
    used = [step[4] for step in recorder.steps]
    chosen = recipe("sgd", epochs=2, schedule="one_cycle", learning_rate=0.02)
    changed = run.events_of("rate")[0]["step"]
    assert used == pytest.approx(
        [learning_rate(chosen, step / 42) * (0.25 if step >= changed else 1) for step in range(42)],
        abs=1e-9,
    )
    assert changed == 22
    assert run.events_of("rate")[0]["learning_rate"] == 0.005
    assert run.events_of("rate")[0]["epoch"] == pytest.approx(22 / 21, abs=1e-5)
    for row in (*run.events_of("step"), *run.events_of("epoch")):
        assert row["learning_rate"] == pytest.approx(used[row["step"] - 1], abs=1e-9)


def test_weight_decay_acts_on_weights_only(tmp_path, monkeypatch, whole_floats):
    """One step with and without differs by rate times decay times weight, and not at all in
    biases.
    """
    steps = []
    for decay in (0.0, 0.25):
        recorder = Recorder(monkeypatch)
        train(
            tmp_path / str(decay),
            digits_config(1, "sgd", batch_size=2000, learning_rate=0.1, weight_decay=decay),
            say=quiet,
        )
        steps.append(recorder.steps[0])
        monkeypatch.undo()
        monkeypatch.setattr(prepared, "half_type", lambda *given: None)
    (*_, before, plain, _), (*_, decayed, _) = steps
    for name, tensor in before.items():
        difference = 0.1 * 0.25 * tensor if name.endswith("weight") else torch.zeros_like(tensor)
        assert torch.allclose(plain[name] - decayed[name], difference, atol=1e-6)
        assert tensor.shape == plain[name].shape
    assert before["conv1.weight"].abs().max() > 0.01


def test_momentum_is_the_textbooks(tmp_path, monkeypatch, whole_floats):
    """v = 0.9 v + g; w -= rate v, and with Nesterov w -= rate (g + 0.9 v); g from autograd."""
    for nesterov in (False, True):
        recorder = Recorder(monkeypatch)
        config = digits_config(1, "sgd", momentum=0.9, nesterov=nesterov, batch_size=300)
        train(tmp_path / str(nesterov), config, say=quiet)
        velocity = 0
        for place in range(4):
            labels, logits, model = recorder.logits(place, config)
            F.cross_entropy(logits, labels).backward()
            gradient = model.conv2.weight.grad
            velocity = 0.9 * velocity + gradient
            expected = recorder.steps[place][2]["conv2.weight"] - 0.02 * (
                gradient + 0.9 * velocity if nesterov else velocity
            )
            assert torch.allclose(recorder.steps[place][3]["conv2.weight"], expected, atol=1e-6)
        monkeypatch.undo()
        monkeypatch.setattr(prepared, "half_type", lambda *given: None)


def test_a_gradient_that_is_too_long_is_shortened(tmp_path, monkeypatch, whole_floats):
    """Of all weights and biases together; what is noted is its length before."""
    recorder = Recorder(monkeypatch)
    config = digits_config(1, "sgd", clip=0.5, learning_rate=0.1, batch_size=2000)
    run = train(tmp_path / "run", config, say=quiet)
    labels, logits, model = recorder.logits(0, config)
    F.cross_entropy(logits, labels).backward()
    length = math.sqrt(
        sum(parameter.grad.square().sum().item() for parameter in model.parameters())
    )
    assert length > 0.6
    _, _, before, after, _ = recorder.steps[0]
    for name, parameter in model.named_parameters():
        assert torch.allclose(
            before[name] - after[name], 0.1 * parameter.grad * 0.5 / length, atol=1e-6
        ), name
    assert run.events_of("gradients")[0]["norms"] == pytest.approx(
        [
            model.get_parameter(f"{layer}.weight").grad.norm().item()
            for layer in ("conv1", "conv2", "fc")
        ],
        rel=1e-4,
    )


def test_the_best_evaluation_is_kept(tmp_path, monkeypatch):
    """From two thirds on it climbs the loss instead of descending: the weights are those of the
    first best evaluation.
    """
    monkeypatch.setattr(
        loop,
        "rate_share",
        lambda recipe, progress: (2e-3 if progress < 2 / 3 else -1e-3) / recipe.learning_rate,
    )
    config = digits_config(3)
    run = train(tmp_path / "run", config, say=quiet)
    rows = run.events_of("epoch")
    accuracies = [row["val_accuracy"] for row in rows]
    assert accuracies[-1] < max(accuracies)
    assert run.best["step"] == rows[int(np.argmax(accuracies))]["step"]
    assert run.best["val_accuracy"] == max(accuracies)
    assert [row["val_accuracy"] for row in run.events_of("checkpoint")] == sorted(
        {*np.maximum.accumulate(accuracies)}
    )
    model = load_into(
        architectures.create("three_layer_module", **config.arguments), tensors(run.folder)
    )
    dataset = datasets.load("digits")
    held_out = hold_out(dataset.splits["train"], config.validation, 0)[1]
    right = (
        predict(model, held_out.images((1, 8, 8)), dataset.mean, dataset.std).argmax(1)
        == held_out.labels
    )
    # the weights are kept in float16
    assert right.mean() == pytest.approx(max(accuracies), abs=1.5 / len(right))


@pytest.mark.parametrize("stops", [False, True])
def test_where_classes_are_rare_the_balanced_accuracy_chooses_the_best(
    tmp_path, monkeypatch, stops
):
    """The most accurate evaluation, the third, answers the common class alone; the best one, the
    fifth, gets fewer images right, of more classes. A resume goes on by the same rule.
    """
    dataset = datasets.load("digits-imbalanced")
    config = make_config(
        Order("three_layer_module", dataset.name, recipe("sgd", epochs=1, batch_size=12)), dataset
    )
    labels = splits(dataset, config)[1].labels
    common, others = labels == 3, np.unique(labels[labels != 3])
    assert common.sum() > len(others) > 1
    wrong = (labels + 1) % 10
    first_other = np.where(labels == others[0], labels, np.where(common, 3, wrong))
    by_turns = [
        wrong,
        np.where(labels == others[0], labels, wrong),
        np.full(len(labels), 3),
        np.where(labels == others[0], labels, wrong),
        np.where(common, np.where(np.cumsum(common) == 1, 3, wrong), labels),
        first_other,
    ]
    answers = iter(by_turns + [wrong] * 9)

    def answered(model, held_out, *rest):
        return Predictions(held_out.labels, np.eye(10)[next(answers)], held_out.image_ids)

    monkeypatch.setattr(loop, "answers", answered)
    folder = tmp_path / "run"
    if stops:
        stopped_after(folder, config, 6, dataset)
        run = resume(folder, dataset)
    else:
        run = train(folder, config, dataset, say=quiet)
    evaluated = run.events_of("epoch")
    expected = [
        np.mean([np.mean(given[labels == label] == label) for label in np.unique(labels)])
        for given in by_turns
    ]
    assert int(np.argmax(expected)) == 4
    best = int(np.argmax([event["val_accuracy"] for event in evaluated[:6]]))
    assert best != 4
    assert run.best["step"] == evaluated[4]["step"]
    assert run.best["balanced_accuracy"] == pytest.approx(max(expected), abs=1e-5)


def test_where_classes_are_as_common_the_accuracy_chooses(tiny_run):
    assert "balanced_accuracy" not in tiny_run.best


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([50, 26, 49], False),
        ([50, 25, 49], True),
        ([50, 0, 49], False),
        ([0, 0], False),
        ([], False),
    ],
)
def test_what_is_imbalanced(counts, expected):
    assert is_imbalanced(counts) is expected


@pytest.mark.parametrize("stops", [False, True])
def test_a_tie_does_not_replace_the_best(tmp_path, monkeypatch, stops):
    """Of evaluations that are equally good in accuracy and loss the first one's weights stay, also
    where a resume lies between them: 77 of 143 right has more digits than are written.
    """
    right = iter([50, 77, 77, 60, 77, 30, 76, 77, 10, 70])

    def answered(model, held_out, *rest):
        answer = np.where(np.arange(143) < next(right), held_out.labels, held_out.labels + 1)
        return Predictions(held_out.labels, np.eye(10)[answer % 10], held_out.image_ids)

    monkeypatch.setattr(loop, "answers", answered)
    recorder, folder = Recorder(monkeypatch), tmp_path / "run"
    if stops:
        stopped_after(folder, digits_config(1), 6)
        run = resume(folder)
    else:
        run = train(folder, digits_config(1), say=quiet)
    evaluated = [event["step"] for event in run.events_of("epoch")]
    assert len(evaluated) == 10
    assert [event["step"] for event in run.events_of("checkpoint")] == evaluated[:2] == [3, 5]
    for name, tensor in tensors(folder).items():
        after = [recorder.steps[step - 1][3][name].half().float() for step in evaluated]
        assert torch.equal(tensor, after[1]), name
        assert not torch.equal(tensor, after[2]), name


@pytest.mark.parametrize("stops", [False, True])
def test_of_equal_accuracies_the_lowest_loss_is_the_best(tmp_path, monkeypatch, stops):
    """77 of 143 right each time, with logits of these lengths s: the loss, log(e^s + 9) - 77/143 s,
    is least at 2.35; later, 78 right at any loss.
    """
    lengths = [1, 3, 4, 3, 2.35, 2.3, 3, 2.35, 9, 2.35]
    right = [77] * 8 + [78, 77]
    answers = iter(zip(right, lengths, strict=True))

    def answered(model, held_out, *rest):
        count, length = next(answers)
        answer = np.where(np.arange(143) < count, held_out.labels, held_out.labels + 1)
        return Predictions(held_out.labels, length * np.eye(10)[answer % 10], held_out.image_ids)

    monkeypatch.setattr(loop, "answers", answered)
    folder = tmp_path / "run"
    if stops:
        stopped_after(folder, digits_config(1), 6)
        run = resume(folder)
    else:
        run = train(folder, digits_config(1), say=quiet)
    epochs = run.events_of("epoch")
    losses = [math.log(math.exp(s) + 9) - n / 143 * s for n, s in zip(right, lengths, strict=True)]
    assert [event["val_loss"] for event in epochs] == pytest.approx(losses, abs=1e-4)
    kept = [epochs[place]["step"] for place in (0, 1, 4, 8)]
    assert [event["step"] for event in run.events_of("checkpoint")] == kept


def test_predictions_are_those_of_the_saved_weights(tiny_run):
    config, test = tiny_run.config, datasets.load("digits").splits["test"]
    model = load_into(
        architectures.create("three_layer_module", **config.arguments), tensors(tiny_run.folder)
    )
    mean, std = config.mean[0], config.std[0]
    with torch.no_grad():
        logits = model.eval()(
            torch.tensor(
                (test.pictures.transpose(0, 3, 1, 2) / 255 - mean) / std, dtype=torch.float32
            )
        )
    predictions = load_predictions(tiny_run.path("predictions.npz"), 10)
    assert np.allclose(predictions.logits, logits, rtol=2e-3, atol=2e-2)
    assert np.array_equal(predictions.labels, test.labels)
    assert list(predictions.image_ids) == list(test.image_ids)
    assert tiny_run.events_of("finished")[0]["test_accuracy"] == pytest.approx(
        (logits.argmax(1).numpy() == test.labels).mean(), abs=1.5 / 360
    )
    again = evaluate(tiny_run.folder, config, datasets.load("digits"))
    assert np.array_equal(again.logits.astype(np.float16), predictions.logits)


@pytest.mark.parametrize(
    ("architecture", "side", "half"),
    [
        ("mobilenet", 8, False),
        ("resnet18", 8, False),
        ("resnet18", 32, True),
        ("resnet18_cifar", 8, True),
        ("lenet", 16, True),
    ],
)
def test_no_two_byte_numbers_where_pictures_are_too_small(monkeypatch, architecture, side, half):
    """A window that strides over maps of one place would get gradients from memory that nobody
    wrote.
    """
    monkeypatch.setattr(number_types, "_bfloat16_pays", lambda: {number_types.CONVOLUTION: True})
    arguments = architectures.get(architecture).arguments_for(10, (1, side, side))
    model = architectures.create(architecture, **arguments).train()
    assert half_type(torch.device("cpu"), model, (1, side, side)) is (
        torch.bfloat16 if half else None
    )
    assert model.training
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("architecture", ["mobilenet", "resnet18"])
def test_large_networks_learn_from_tiny_pictures(tmp_path, architecture):
    order = Order(architecture, "noise", recipe("one_cycle", epochs=4, batch_size=8), side=8)
    run = train(tmp_path / "run", make_config(order, noise()), noise(), say=quiet)
    assert run.status == "finished"
    assert all(math.isfinite(norm) for row in run.events_of("gradients") for norm in row["norms"])


@pytest.mark.parametrize(
    ("side", "growth"),
    [
        (42, [(1 / 2, 12), (1 / 3, 21), (1 / 6, 42)]),
        (32, [(2 / 5, 20), (7 / 20, 26), (1 / 4, 32)]),
    ],
)
def test_growing_pictures(tmp_path, monkeypatch, side, growth):
    """Half of the steps on pictures of 2/7 of the side, a third on half of it, the rest on whole
    ones; small pictures grow less. A resumed training goes on with the size that it left.

    growth: the shares of the steps, and the side of their pictures.
    """
    sides, learn = [], loop.Training._learn
    monkeypatch.setattr(
        loop.Training,
        "_learn",
        lambda self, images, *rest, **given: (
            sides.append(images.shape[2:]),
            learn(self, images, *rest, **given),
        ),
    )
    dataset = noise()
    growing = recipe("growing", epochs=3, batch_size=8)
    config = make_config(Order("resnet32", "noise", growing, side=side), dataset)
    steps = 3 * -(-len(dataset.splits["train"]) // 8)
    stopped_after(tmp_path / "run", config, steps // 2 + 1, dataset)
    run = resume(tmp_path / "run", dataset)
    assert run.status == "finished"
    ends = [math.ceil(steps * share) for share in itertools.accumulate(of for of, _ in growth)]
    expected = []
    for end, (_, small) in zip([*ends[:-1], steps], growth, strict=True):
        expected += [(small, small)] * (end - len(expected))
    assert sides == expected
    assert [(row["step"], row["height"], row["width"]) for row in run.events_of("pictures")] == [
        (sides.index((small, small)), small, small) for _, small in growth
    ]
    assert run.input_size == (1, side, side)
    cost = sum(share * (small / side) ** 2 for share, small in growth)
    assert 0 < relative_cost(growing, (side, side)) == pytest.approx(cost)


def test_tiny_pictures_stay_as_they_are():
    growing = recipe("growing")
    for side in (8, 15):
        assert picture_size(growing, (side, side), 0) == (side, side)
        assert relative_cost(growing, (side, side)) == 1
    assert picture_size(growing, (16, 9), 0) == (10, 6)
    assert relative_cost(growing, (16, 9)) < 1


@pytest.mark.parametrize(
    ("architecture", "side", "smallest"),
    [("lenet", 32, 20), ("vgg16_slim", 64, 18), ("three_layer_module", 32, 20)],
)
def test_a_network_for_one_side_cannot_have_growing_pictures(
    tmp_path, architecture, side, smallest
):
    config = make_config(Order(architecture, "noise", recipe("growing"), side=side), noise())
    with pytest.raises(
        UserError,
        match=rf"^{architecture} cannot begin with pictures of {smallest} × {smallest} pixels and "
        r"let them grow: it takes those of one side only, or larger ones\.$",
    ):
        train(tmp_path / "run", config, noise(), say=quiet)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("mirrors", [True, False])
def test_mirrored_answers_are_the_mean_of_both(tmp_path, mirrors):
    """In the test, and in the validation: but not where a mirror image is of another class."""
    dataset = noise(mirrors=mirrors)
    run = train(tmp_path / "run", noise_config(dataset, mirrored=True), dataset, say=quiet)
    model = load_into(
        architectures.create("three_layer_module", **run.config.arguments), tensors(run.folder)
    ).eval()

    def answers(split):
        images = torch.tensor(
            (split.pictures.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.25, dtype=torch.float32
        )
        with torch.no_grad():
            return (
                (model(images) + model(images.flip(3))) / 2 if mirrors else model(images)
            ), model(images.flip(3))

    logits, mirrored = answers(dataset.splits["test"])
    assert np.allclose(load_predictions(run.path("predictions.npz"), 2).logits, logits, atol=1e-2)
    assert not torch.allclose(logits, mirrored, atol=1e-2)
    row = next(row for row in run.events_of("epoch") if row["step"] == run.best["step"])
    loss = F.cross_entropy(
        answers(dataset.splits["val"])[0], torch.from_numpy(dataset.splits["val"].labels)
    ).item()
    assert row["val_loss"] == pytest.approx(loss, abs=5e-3)  # the weights are kept in float16


def test_snapshots_are_of_the_network_as_it_was(tmp_path, monkeypatch, whole_floats):
    """Maps are those of a plain forward pass through the weights after each such step, on the
    picture among those held out that stands out: not the first.
    """
    recorder, dataset = Recorder(monkeypatch), noise()
    picture = dataset.splits["val"].pictures[3]
    picture[:] = 250
    picture[2:-1, 1:-2] = np.arange(10, 85, 3).reshape(5, 5, 1)
    run = train(tmp_path / "run", noise_config(dataset, epochs=2), dataset, say=quiet)
    taken = load_weights(run.path("snapshots.safetensors"))
    assert {name[6:] for name in taken if name.startswith("conv1/")} == {
        f"{step:08d}" for step in (0, 1, 2, 3, 4, 6, 8, 10)
    }
    assert np.array_equal(taken["probe/picture"], picture)
    received = torch.tensor((picture / 255 - 0.5) / 0.25, dtype=torch.float32).permute(2, 0, 1)[
        None
    ]
    assert {name.split("/")[1] for name in taken if name.startswith("range/")} == {
        f"{step:08d}" for step in (0, 1, 2, 4, 8, 10)
    }
    for step in (1, 4, 10):
        weights = recorder.steps[step - 1][3]
        greatest = weights["conv1.weight"].flatten(1).abs().amax(dim=1).reshape(-1, 1, 1, 1)
        lost = (taken[f"conv1/{step:08d}"] - weights["conv1.weight"]).abs()
        assert (lost <= greatest / 253).all()
        maps = F.conv2d(received, weights["conv1.weight"], weights["conv1.bias"], padding=2)
        for layer in ("conv1", "conv2"):
            maps = (
                maps
                if layer == "conv1"
                else F.conv2d(
                    maps.relu(), weights["conv2.weight"], weights["conv2.bias"], padding=1
                )
            )
            least, greatest = taken[f"range/{step:08d}/{layer}"].tolist()
            assert (least, greatest) == pytest.approx(
                (maps.min().item(), maps.max().item()), abs=1e-4
            )
            shown = taken[f"probe/{step:08d}/{layer}"].float() / 255 * (greatest - least) + least
            assert torch.allclose(shown, maps[0], atol=0.6 * (greatest - least) / 255)


def test_tensorboard_reads_the_same_numbers(tiny_run):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(
        str(tiny_run.path("tensorboard")), size_guidance={"scalars": 0}
    )
    found.Reload()

    def curve(name):
        return [
            (scalar.step, pytest.approx(scalar.value, rel=1e-5)) for scalar in found.Scalars(name)
        ]

    rows = {event: tiny_run.events_of(event) for event in ("step", "epoch", "gradients")}
    layers = [f"gradient/{layer}" for layer in ("conv1", "conv2", "fc")]
    kinds = ("loss", "accuracy")
    assert set(found.Tags()["scalars"]) == {
        f"{kind}/{split}" for kind in kinds for split in ("training", "validation")
    } | {"learning_rate", *layers}
    for kind in kinds:
        assert [(row["step"], row[f"train_{kind}"]) for row in rows["step"]] == curve(
            f"{kind}/training"
        )
        assert [(row["step"], row[f"val_{kind}"]) for row in rows["epoch"]] == curve(
            f"{kind}/validation"
        )
    assert [(row["step"], row["learning_rate"]) for row in rows["step"]] == curve("learning_rate")
    for place, layer in enumerate(layers):
        assert [(row["step"], row["norms"][place]) for row in rows["gradients"]] == curve(layer)


def test_streamed_and_held_in_memory_are_one_training(tmp_path, monkeypatch):
    """Training, validation and test alike."""
    dataset = noise()
    config = noise_config(dataset, epochs=2, augment=True, cutout=0.3)
    run = train(tmp_path / "memory", config, dataset, say=quiet)
    monkeypatch.setattr(reading, "MOST_IN_MEMORY", 0)
    monkeypatch.setattr(prepared, "WORKERS", 0)
    streamed = train(tmp_path / "streamed", config, dataset, say=quiet)
    assert without_times(streamed.events) == without_times(run.events)
    for name in ("model.safetensors", "predictions.npz", "snapshots.safetensors"):
        assert streamed.path(name).read_bytes() == run.path(name).read_bytes(), name


# Stopping and going on


def resume(folder, dataset=None, say=quiet):
    """Go on with a run in this process."""
    requests.forget(folder)
    with EventLog(folder) as log:
        carry_on(folder, log, dataset, say=say)
    return read_run(folder)


def stopped_after(folder, config, step, dataset=None, end="asked"):
    """Train until just after a step, and end there: asked to, or as if the process was killed."""
    wishes, learn = Requests(folder), loop.Training._learn

    class Killed(BaseException):
        pass

    def watched(training, *batch, **options):
        if training.step == step and end == "killed":
            raise Killed
        learn(training, *batch, **options)
        if training.step == step:
            wishes.reason = "Enough." if end == "asked" else ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Training, "_learn", watched)
        with contextlib.suppress(Killed):
            train(folder, config, dataset, requests=wishes, say=quiet)
    return read_run(folder)


OPTIMISERS = {
    "momentum": MOMENTUM,
    "adamw": dict(name="adamw"),
    "nesterov": dict(name="one_cycle", learning_rate=0.02),
    "muon": dict(name="minute"),
}


@pytest.fixture(scope="module")
def whole_runs(tmp_path_factory):
    """whole(name): an uninterrupted run of two epochs, 42 steps, by the name of its optimiser."""
    done = {}

    def whole(name):
        if name not in done:
            done[name] = train(
                tmp_path_factory.mktemp("whole") / name,
                digits_config(2, **{"batch_size": 64, **OPTIMISERS[name]}),
                say=quiet,
            )
        return done[name]

    return whole


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("momentum", 21),
        ("momentum", 30),
        ("adamw", 5),
        ("adamw", 25),
        ("nesterov", 30),
        ("muon", 25),
    ],
)
def test_resumed_is_as_if_it_had_never_ended(tmp_path, whole_runs, name, step):
    """At the end of an epoch and in its middle: the same weights bit for bit, and the same events
    but for those of ending and resuming.
    """
    whole, folder = whole_runs(name), tmp_path / "run"
    run = stopped_after(folder, whole.config, step)
    assert run.status == "stopped"
    assert run.can_resume
    assert not run.is_active
    assert (
        run.events_of("stopped")[-1]["reason"]
        == "Enough. The best weights so far are kept, and it can be resumed."
    )
    assert max(row["step"] for row in run.events if "step" in row) <= step
    assert not run.has("predictions.npz")
    assert run.has(state.NAME)
    run = resume(folder)
    assert run.events_of("resumed")[0]["step"] == step
    assert run.events_of("resumed")[0]["epoch"] == pytest.approx(step / 21, abs=1e-5)
    between = [row for row in run.events if row["event"] not in ("stopped", "resumed")]
    assert without_times(between) == without_times(whole.events)
    for file in (
        "model.safetensors",
        "predictions.npz",
        "snapshots.safetensors",
        "evaluations.safetensors",
    ):
        assert run.path(file).read_bytes() == whole.path(file).read_bytes(), file
    assert run.status == "finished"
    assert not run.can_resume
    assert not run.has(state.NAME)
    seconds = [row["seconds"] for row in run.events if "seconds" in row]
    assert seconds == sorted(seconds)


def test_killed_rows_after_the_saved_state_are_undone_once(tmp_path, whole_runs):
    """The state is that of the first evaluation; what came later is trained again, and read
    once.
    """
    whole, folder = whole_runs("momentum"), tmp_path / "run"
    run = stopped_after(folder, whole.config, 30, end="killed")
    assert run.status == "interrupted"
    assert run.can_resume
    assert run.events_of("epoch")[-1]["step"] == 30
    run = resume(folder)
    saved = run.events_of("resumed")[0]["step"]
    assert saved == whole.events_of("epoch")[0]["step"] == 5
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [row["step"] for row in lines if row["event"] == "epoch"] != [
        row["step"] for row in run.events_of("epoch")
    ]
    kinds = ("epoch", "gradients", "finished")
    for event in kinds:
        assert without_times(run.events_of(event)) == without_times(whole.events_of(event))
    assert [row["step"] for row in run.events_of("step")] == sorted(
        {row["step"] for row in run.events_of("step")}
    )
    best = {row["step"]: row["val_accuracy"] for row in whole.events_of("checkpoint")}
    assert {row["step"]: row["val_accuracy"] for row in run.events_of("checkpoint")} == best
    assert run.best["step"] == whole.best["step"]
    for file in ("model.safetensors", "evaluations.safetensors"):
        assert run.path(file).read_bytes() == whole.path(file).read_bytes()


def test_long_epochs_are_saved_in_their_middle(tmp_path, whole_runs, monkeypatch):
    """Where an epoch takes an hour, an end that nobody asked for takes back minutes of it."""
    whole, folder = whole_runs("muon"), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(noted, "UNSAVED_SECONDS", 0)
        run = stopped_after(folder, whole.config, 28, end="killed")
    assert run.status == "interrupted"
    assert 28 not in [row["step"] for row in run.events_of("epoch")]
    run = resume(folder)
    assert run.events_of("resumed")[0]["step"] == 28
    for event in ("epoch", "gradients", "finished"):
        assert without_times(run.events_of(event)) == without_times(whole.events_of(event))
    assert (
        run.path("model.safetensors").read_bytes() == whole.path("model.safetensors").read_bytes()
    )


def test_killed_before_anything_was_saved_it_starts_anew(tmp_path, whole_runs):
    whole, folder = whole_runs("momentum"), tmp_path / "run"
    run = stopped_after(folder, whole.config, 3, end="killed")
    assert not run.has(state.NAME)
    assert run.can_resume
    assert {name: tensor.shape for name, tensor in tensors(folder).items()}
    run = resume(folder)
    assert run.events_of("resumed")[0]["step"] == 0
    for event in ("epoch", "gradients", "checkpoint", "finished"):
        assert without_times(run.events_of(event)) == without_times(whole.events_of(event))
    assert (
        run.path("snapshots.safetensors").read_bytes()
        == whole.path("snapshots.safetensors").read_bytes()
    )


def test_resumed_at_another_rate(tmp_path, monkeypatch):
    """The whole schedule is multiplied from there on, and still is after another stop."""
    folder, config = tmp_path / "run", digits_config(2, **MOMENTUM, batch_size=64)
    stopped_after(folder, config, 10)
    recorder = Recorder(monkeypatch)
    requests.ask_rate(folder, 0.002)
    wishes, obey = Requests(folder), loop.Training._obey

    def until_20(training):
        wishes.reason = "Enough." if training.step == 20 else ""
        return obey(training)

    monkeypatch.setattr(loop.Training, "_obey", until_20)
    with EventLog(folder) as log:
        carry_on(folder, log, requests=wishes, say=quiet)
    monkeypatch.setattr(loop.Training, "_obey", obey)
    run = resume(folder)
    assert [(row["step"], row["learning_rate"]) for row in run.events_of("rate")] == [(10, 0.002)]
    assert [row["step"] for row in run.events_of("resumed")] == [
        10,
        20,
    ]
    chosen = recipe(epochs=2, **MOMENTUM)
    assert [step[4] for step in recorder.steps] == pytest.approx(
        [0.1 * learning_rate(chosen, step / 42) for step in range(10, 42)]
    )


def test_the_saved_state_is_plain_and_complete(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    stopped_after(folder, digits_config(1), 4)
    opened, load = [], torch.load
    monkeypatch.setattr(
        torch,
        "load",
        lambda *arguments, **options: opened.append(options) or load(*arguments, **options),
    )
    saved = state.load_state(folder)
    assert [options["weights_only"] for options in opened] == [True]
    assert saved["step"] == 4
    assert saved["highest_rate"] == digits_config(1).recipe["learning_rate"]
    assert saved["seconds"] > 0
    assert all(tensor.dtype == torch.float32 for tensor in saved["model"].values())
    assert len(saved["optimisers"][0]["state"]) == 6
    assert state.load_state(tmp_path) is None


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_damaged_state_is_one_sentence(tmp_path):
    folder = tmp_path / "run"
    stopped_after(folder, digits_config(1), 4)
    whole = (folder / state.NAME).read_bytes()
    generator = np.random.default_rng(0)
    damaged = [
        b"",
        b"\x80",
        b"garbage" * 100,
        whole[: len(whole) // 2],
        whole[:-30],
        b"PK\x03\x04" + bytes(100),
    ]
    for _ in range(20):
        flipped = bytearray(whole)
        for place in generator.integers(0, 1500, 8):
            flipped[place] ^= int(generator.integers(1, 256))
        damaged.append(bytes(flipped))
    for content in damaged:
        (folder / state.NAME).write_bytes(content)
        try:
            assert state.load_state(folder)["step"] == 4  # a flip in a tensor's padding
        except UserError as error:
            sentence = "The saved state of this run is damaged. Remove last.pt"
            assert str(error).startswith(sentence)  # noqa: PT017
    for content in ([1, 2], {"step": 3}, torch.zeros(3), 5):
        torch.save(content, folder / state.NAME)
        with pytest.raises(
            UserError,
            match="^The saved state of this run is damaged. Remove last.pt from its folder to "
            "train it from the beginning.$",
        ):
            state.load_state(folder)
    with pytest.raises(UserError, match="Remove last.pt"):
        resume(folder)
    run = read_run(folder)
    assert run.status == "failed"
    assert run.events_of("failed")[0]["reason"].startswith(
        "The saved state of this run is damaged."
    )
    assert run.can_resume
    (folder / state.NAME).unlink()
    run = resume(folder)
    assert run.status == "finished"
    assert [row["step"] for row in run.events_of("epoch")] == sorted(
        {row["step"] for row in run.events_of("epoch")}
    )


def test_a_torn_last_line_is_no_hindrance(tmp_path):
    folder = tmp_path / "run"
    stopped_after(folder, digits_config(1), 10)
    before = read_run(folder).events
    with open(folder / "events.jsonl", "ab") as file:
        file.write(b'{"event": "epoch", "time": 1.0, "st')
    run = resume(folder)
    assert run.events[: len(before)] == before
    assert run.events[len(before)]["event"] == "resumed"
    assert run.status == "finished"


def test_a_run_is_never_overwritten(tiny_run):
    before = {path.name: path.read_bytes() for path in tiny_run.folder.iterdir() if path.is_file()}
    with pytest.raises(UserError, match="holds a run already"):
        train(tiny_run.folder, digits_config(), say=quiet)
    assert {
        path.name: path.read_bytes() for path in tiny_run.folder.iterdir() if path.is_file()
    } == before


# Requests


def asked_for(folder, wish, at):
    """A `say` that makes a request at a share of the training, as the lines begin with it."""

    def say(line):
        if line.startswith(at):
            requests.ask(folder, wish)

    return say


def test_stop_and_keep_by_file(tmp_path):
    folder = tmp_path / "run"
    run = train(folder, digits_config(4), say=asked_for(folder, "stop", " 33%"))
    assert run.status == "stopped"
    assert (
        run.events_of("stopped")[0]["reason"]
        == "Stopped by hand. The best weights so far are kept, and it can be resumed."
    )
    assert run.events_of("epoch")[-1]["progress"] < 0.36
    requests.ask(folder, "keep")  # and it goes on until it is told otherwise
    with EventLog(folder) as log:
        requests.ask(folder, "pause")
        requests.forget(folder)
        carry_on(folder, log, say=asked_for(folder, "keep", " 75%"))
    run = read_run(folder)
    assert run.status == "finished"
    assert run.events_of("finished")[0]["kept"] is True
    assert not run.has(state.NAME)
    assert 0.74 < run.events_of("epoch")[-1]["progress"] < 0.8
    assert run.events_of("epoch")[-1]["step"] == max(
        row["step"] for row in run.events if "step" in row
    )
    predictions = load_predictions(run.path("predictions.npz"), 10)
    assert run.events_of("finished")[0]["test_accuracy"] == round(predictions.accuracy, 5) > 0.5
    assert np.array_equal(
        evaluate(folder, run.config, datasets.load("digits")).logits.astype(np.float16),
        predictions.logits,
    )


def test_leftover_requests_end_a_training_that_does_not_forget_them(tmp_path):
    """A request made before the first step is obeyed at once: a stop can be resumed, and nothing is
    trained.
    """
    folder = tmp_path / "run"
    folder.mkdir()
    requests.ask(folder, "stop")
    run = train(folder, digits_config(1), say=quiet)
    assert run.status == "stopped"
    assert run.events_of("epoch") == run.events_of("gradients") == []
    assert run.has(state.NAME)
    assert run.has("model.safetensors")
    assert resume(folder).status == "finished"


def test_keeping_before_the_first_step_tests_the_start(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    requests.ask(folder, "keep")
    run = train(folder, digits_config(1), say=quiet)
    assert run.status == "finished"
    assert run.events_of("epoch") == []
    assert run.events_of("finished")[0]["kept"] is True
    assert run.events_of("finished")[0]["test_accuracy"] == pytest.approx(0.1, abs=0.15)


def test_a_pause_takes_no_seconds_and_can_be_ended(tmp_path):
    folder, seen = tmp_path / "run", []

    def wait_and_go_on():
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (seen and seen[-1] == "paused"):
            seen.append(read_run(folder).status)
            time.sleep(0.02)
        time.sleep(0.5)
        seen.extend(
            [read_run(folder).status, read_run(folder).is_active, read_run(folder).has(state.NAME)]
        )
        requests.ask(folder, "continue")

    thread = threading.Thread(target=wait_and_go_on)

    def say(line):
        if "epoch   0.52" in line:
            requests.ask(folder, "pause")
            thread.start()

    run = train(folder, digits_config(1), say=say)
    thread.join()
    assert seen[-4:] == ["paused", "paused", True, True]
    (paused,), (continued,) = run.events_of("paused"), run.events_of("continued")
    assert continued["time"] - paused["time"] >= 0.5
    assert continued["seconds"] == paused["seconds"]
    assert paused["step"] == continued["step"]
    assert run.status == "finished"
    assert len(run.events_of("epoch")) == 10


def test_a_pause_can_end_in_a_stop(tmp_path):
    folder = tmp_path / "run"

    def say(line):
        if "epoch   0.52" in line:
            requests.ask(folder, "pause")
            threading.Timer(0.3, requests.ask, [folder, "stop"]).start()

    run = train(folder, digits_config(1), say=say)
    assert [
        row["event"]
        for row in run.events
        if row["event"] in ("paused", "continued", "stopped", "epoch")
    ][-3:] == [
        "paused",
        "continued",
        "stopped",
    ]
    assert run.can_resume


@pytest.mark.parametrize(
    "content", [b"", b"fast", b"nan", b"-1", b"1e9", b"inf", b"\xff\xfe", b"0.1 0.2"]
)
def test_a_rate_that_is_nonsense_is_ignored(tmp_path, content):
    (tmp_path / "rate").write_bytes(content)
    assert Requests(tmp_path).take_rate() is None
    assert not (tmp_path / "rate").exists()


def test_a_rate_is_taken_once(tmp_path):
    assert Requests(tmp_path).take_rate() is None
    requests.ask_rate(tmp_path, 0.25)
    requests.ask_rate(tmp_path, 0.125)
    assert [Requests(tmp_path).take_rate() for _ in range(2)] == [0.125, None]
    assert os.listdir(tmp_path) == []
    for rate in (-0.1, 101, math.nan, math.inf):
        with pytest.raises(
            UserError, match=f"^learning rate {rate} is not possible: between 0 and 100[.]$"
        ):
            requests.ask_rate(tmp_path, rate)
    assert os.listdir(tmp_path) == []


# Ending badly


def ended(folder):
    """The run and the last event of one that did not finish; there is exactly one such, and no
    half-written file.
    """
    run = read_run(folder)
    ends = [row for row in run.events if row["event"] in ("finished", "stopped", "failed")]
    assert ends == run.events[-1:]
    assert ends[0]["reason"].endswith(".")
    assert "\n" not in ends[0]["reason"]
    assert not list(folder.glob("*.tmp"))
    return run, ends[0]


def test_divergence_is_one_sentence_and_keeps_what_was_there(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(UserError, match="diverged"):
        train(folder, digits_config(name="nesterov", learning_rate=100, epochs=20), say=quiet)
    run, end = ended(folder)
    assert run.status == "failed"
    assert end["reason"].startswith("The loss is not a number after")
    assert "Resume it with a learning rate below" in end["reason"]
    assert load_weights(folder / "snapshots.safetensors")["conv1/00000000"].shape == (
        32,
        1,
        5,
        5,
    )
    assert tensors(folder)


@pytest.mark.parametrize(
    "first", [8, 9], ids=["in a step before an evaluation", "in the step that is evaluated"]
)
def test_divergence_later_keeps_the_best_weights_and_can_be_resumed(tmp_path, monkeypatch, first):
    """The rate explodes before the second of ten evaluations, which come every 4.2 steps."""
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(
            loop,
            "rate_share",
            lambda recipe, progress: (
                (1e38 if progress * 42 > first - 1.5 else 1e-3) / recipe.learning_rate
            ),
        )
        with pytest.raises(UserError, match="diverged"):
            train(folder, digits_config(), say=quiet)
    run, end = ended(folder)
    assert run.status == "failed"
    assert len(run.events_of("epoch")) == len(run.events_of("checkpoint")) == 1
    assert run.best["step"] == 5
    assert "after 9 steps" in end["reason"]
    kept = tensors(folder)
    requests.ask_rate(folder, 5e-4)
    assert run.can_resume
    assert state.load_state(folder)["step"] == 5
    with EventLog(folder) as log:
        carry_on(folder, log, say=lambda line: None)
    run = read_run(folder)
    assert run.status == "finished"
    assert run.events_of("resumed")[0]["step"] == 5
    assert run.events_of("rate")[0]["learning_rate"] == 5e-4
    assert run.best["val_accuracy"] > 0.7
    assert any(not torch.equal(kept[name], tensor) for name, tensor in tensors(folder).items())


@pytest.mark.parametrize("wish", ["stop", "pause"])
def test_a_stop_right_after_divergence_can_be_resumed(tmp_path, wish):
    """Before a row or an evaluation shows it: weights that are no numbers must not take the place
    of the last good state.
    """
    folder, learn = tmp_path / "run", loop.Training._learn
    wishes = Requests(folder)

    def explode(training, *batch, **options):
        if training.step == 7:
            training.highest_rate = math.inf
        learn(training, *batch, **options)
        if training.step == 8 and wish == "stop":
            wishes.reason = "Enough."
        elif training.step == 8:
            requests.ask(folder, "pause")
            threading.Timer(0.3, requests.ask, [folder, "stop"]).start()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Training, "_learn", explode)
        patch.setattr(EventLog, "step_is_due", lambda self, progress: False)
        try:
            train(folder, digits_config(), requests=wishes, say=quiet)
        except UserError as error:
            assert "diverged" in str(error)  # saying so is as good  # noqa: PT017
    assert read_run(folder).can_resume
    requests.forget(folder)
    requests.ask_rate(folder, 1e-3)
    with EventLog(folder) as log:
        carry_on(folder, log, say=quiet)
    assert read_run(folder).status == "finished"
    assert read_run(folder).best["val_accuracy"] > 0.7


def test_interrupted_by_the_keyboard(tmp_path):
    folder = tmp_path / "run"

    def stop(line):
        if "epoch   0.52" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(folder, digits_config(1), say=stop)
    run, end = ended(folder)
    assert run.status == "stopped"
    assert run.can_resume
    assert "kept" in end["reason"]
    assert run.best["step"]
    assert tensors(folder)
    assert resume(folder).status == "finished"


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("what", ["save_weights", "save_predictions", "the state", "snapshots"])
def test_a_full_disk_is_one_sentence_and_can_be_resumed(tmp_path, monkeypatch, what):
    folder = tmp_path / "run"
    place = {"the state": "state.save_state", "snapshots": "Snapshots.take"}.get(what, what)
    with monkeypatch.context() as patch:
        patch.setattr(f"vizlib.training.noted.{place}", full_disk)
        with pytest.raises(OSError, match="No space left|the disk is full"):
            train(folder, digits_config(1), say=quiet)
    run, end = ended(folder)
    assert run.status == "failed"
    assert (
        end["reason"]
        == "The disk is full. What was written before is kept; make room, then resume."
    )
    assert run.can_resume
    assert resume(folder).status == "finished"


class FullFile:
    """A file on a disk that gets full: it takes `room` more bytes, a part of a line in the end, as
    the system does.
    """

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        if not self.room:
            full_disk()
        taken = self.file.write(data[: self.room])
        self.room -= taken
        return taken

    def close(self):
        self.file.close()


@pytest.mark.parametrize("room", [0, 20, 400])
def test_events_on_a_full_disk_are_whole_or_missing(tmp_path, monkeypatch, room):
    """Where the system takes a part of a line only, the next line must not be glued to it."""
    folder, real = tmp_path / "run", EventLog._open
    opened = []

    def fill(line):
        opened[-1]._file = FullFile(opened[-1]._file, room)

    with monkeypatch.context() as patch:
        patch.setattr(EventLog, "_open", lambda self: (real(self), opened.append(self))[0])
        with pytest.raises(OSError, match="No space left|the disk is full"):
            train(folder, digits_config(1), say=fill)
    _, end = ended(folder)
    assert end["reason"].startswith("The disk is full.")
    assert not (folder / "spare.tmp").exists()
    lines = (folder / "events.jsonl").read_text().splitlines()
    damaged = [line for line in lines if line and not _is_json(line)]
    assert len(damaged) <= 1
    assert all(line.startswith('{"event"') and line.count('"event"') == 1 for line in damaged)
    assert resume(folder).status == "finished"


def _is_json(line):
    try:
        return bool(json.loads(line))
    except ValueError:
        return False


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 384 kB; skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=384k", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if shutil.which("mount")
        else None
    )
    if mounted is None or mounted.returncode:
        pytest.skip("no small file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def test_on_a_real_disk_that_is_full(small_disk):
    folder = small_disk / "run"
    with pytest.raises(OSError, match="No space left|the disk is full"):
        train(folder, digits_config(4), say=quiet)
    run, end = ended(folder)
    assert run.status == "failed"
    assert end["reason"].startswith("The disk is full.")
    assert tensors(folder)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
            "There is not enough memory on cpu for this network and batch size.",
        ),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't "
                "allocate memory: you tried"
            ),
            "There is not enough memory",
        ),
        (
            RuntimeError("shape '[3]' is invalid\nand a second line"),
            "RuntimeError: shape '[3]' is invalid.",
        ),
        (ZeroDivisionError(), "ZeroDivisionError: no message."),
        (
            OSError(errno.EACCES, "Permission denied"),
            "PermissionError: [Errno 13] Permission denied.",
        ),
    ],
)
def test_an_error_in_the_loop_is_named(tmp_path, monkeypatch, error, reason):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(loop.Training, "_learn", fail)
    dataset = noise()
    with pytest.raises(type(error)):
        train(tmp_path / "run", noise_config(dataset), dataset, say=quiet)
    run, end = ended(tmp_path / "run")
    assert run.status == "failed"
    assert end["reason"].startswith(reason)
    assert "Traceback" not in end["reason"]


def test_pictures_that_vanish_before_the_test(tmp_path):
    """All is trained by then: resumed, it is only tested."""
    folder, dataset = tmp_path / "run", noise(vanish=True)
    with pytest.raises(UserError, match="cannot be read any more"):
        train(folder, noise_config(dataset), dataset, say=quiet)
    run, end = ended(folder)
    assert run.status == "failed"
    assert end["reason"].startswith("The picture 'a.png' cannot be read any more")
    assert run.can_resume
    assert run.has(state.NAME)
    trained = without_times(run.events)[:-1]
    run = resume(folder, noise())
    assert run.status == "finished"
    assert without_times(run.events)[: len(trained)] == trained
    assert [row["event"] for row in run.events if row["event"] != "step"][len(trained) :] == [
        "failed",
        "resumed",
        "finished",
    ]
    assert run.events_of("finished")[0]["kept"] is False
    assert len(load_predictions(run.path("predictions.npz"), 2).labels) == 8


def test_what_cannot_be_trained_leaves_nothing_behind(tmp_path):
    for changes in (
        {"architecture": "nonesuch"},
        {"architecture": "vgg16_slim"},
        {"validation": 10**6},
        {"validation": 0},
        {"frozen": 99},
        {"arguments": {"width": 3}},
    ):
        with pytest.raises(UserError):
            train(tmp_path / "run", dataclasses.replace(digits_config(), **changes), say=quiet)
        assert not (tmp_path / "run").exists()


def test_two_cannot_write_one_run(tmp_path):
    with EventLog(tmp_path) as log:
        log.write("queued", device="cpu")
        with pytest.raises(UserError, match="is being trained already"), EventLog(tmp_path):
            pass
    with EventLog(tmp_path) as log:  # and another one may, afterwards
        assert (tmp_path / "spare.tmp").stat().st_size >= 4096
        log.write("finished", test_accuracy=0.5, seconds=1)
    assert not (tmp_path / "spare.tmp").exists()
    for _ in range(2):  # one that came too late says so, and does not keep the lock
        with pytest.raises(UserError, match="is finished already"), EventLog(tmp_path):
            pass
    assert not (tmp_path / "spare.tmp").exists()


def test_a_data_set_that_changed_is_not_trained_on(tmp_path):
    folder = tmp_path / "run"
    stopped_after(folder, digits_config(1), 4)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(config | {"class_names": [f"class {label}" for label in range(10)]})
    )
    with pytest.raises(UserError, match="beginning with 'class 0'"):
        resume(folder)
    assert read_run(folder).status == "failed"


def test_a_configuration_is_a_copy_of_its_recipe():
    chosen = recipe("sgd")
    config = make_config(Order("three_layer_module", "digits", chosen), datasets.load("digits"))
    config.recipe["learning_rate"] = 3.0
    assert chosen.learning_rate == 0.02
