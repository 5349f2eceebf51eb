"""Every number that a command takes is obeyed or refused in one sentence, zero too; and the loss
that class weights and smoothed labels ask for together.
"""

import argparse
import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.test_training import noise, noise_config, quiet
from vizlib.command_line import main, resume, train
from vizlib.errors import UserError
from vizlib.training import state
from vizlib.training.config import check_possible, make_config
from vizlib.training.loop import Training
from vizlib.training.loop import train as train_into
from vizlib.training.order import Order
from vizlib.training.recipes import Recipe, recipe

NUMBERS = (0, -1, 1, 3, math.nan, math.inf, 10**30)
IN_CONFIG = {  # where a number of `train` is found again
    "epochs": ("recipe", "epochs"),
    "seconds": ("recipe", "seconds"),
    "batch_size": ("recipe", "batch_size"),
    "learning_rate": ("recipe", "learning_rate"),
    "freeze": ("frozen",),
    "side": ("input_size", 2),
    "validation": ("validation",),
    "seed": ("seed",),
}


def options_of(command):
    """The options of a command that take a number."""
    commands = argparse.ArgumentParser().add_subparsers()
    command.add_to(commands)
    [parser] = commands.choices.values()
    return [action for action in parser._actions if action.type in (int, float)]


def test_all_numbers_of_train_are_looked_at():
    assert {action.dest for action in options_of(train)} == set(IN_CONFIG)
    assert {action.dest for action in options_of(resume)} == {"learning_rate"}


@pytest.mark.parametrize("number", NUMBERS, ids=str)
@pytest.mark.parametrize("action", options_of(train), ids=lambda action: action.dest)
def test_a_number_of_train_is_obeyed_or_refused(action, number, runs_root, monkeypatch, capsys):
    kept = []

    def instead(folder, config, dataset, device):
        check_possible(config, dataset)
        kept.append(config.as_dict())

    monkeypatch.setattr(train, "_trained", instead)
    given = ["train", "-a", "resnet32", "-d", "digits", "-r", "one_cycle"]
    try:
        status = main([*given, f"{action.option_strings[0]}={number}"])
    except SystemExit:  # argparse: not even a number of that kind
        assert "error: argument" in capsys.readouterr().err
        return
    if status == 2:
        [line] = capsys.readouterr().err.splitlines()
        assert line.endswith(".")
        return
    [found] = kept
    for key in IN_CONFIG[action.dest]:
        found = found[key]
    assert found == number


def test_epochs_and_seconds_are_not_taken_together(capsys):
    with pytest.raises(SystemExit):
        main(["train", "-a", "lenet", "-d", "digits", "--epochs", "3", "--seconds", "9"])
    assert "not allowed with" in capsys.readouterr().err


def test_held_out_images_cannot_be_counted_where_the_data_set_brings_its_own():
    dataset = noise()
    order = Order("three_layer_module", dataset.name, recipe("sgd"), validation=5)
    with pytest.raises(UserError, match="brings 10 validation images of its own"):
        make_config(order, dataset)


def test_augmenting_only_rare_classes_augments():
    assert recipe("sgd", augment_only_rare=True).augment
    assert not recipe("sgd").augment
    assert not recipe("sgd", augment_only_rare=False).augment


# Rates


def rates_asked(folder, first, asked):
    """The learning rates of a training at a constant rate, that is asked for another one from its
    beginning.
    """
    dataset = noise()
    constant = Recipe("constant", "Constant.", learning_rate=first, batch_size=16, epochs=2)
    config = dataclasses.replace(noise_config(dataset), recipe=dict(vars(constant)))

    rates = [asked]
    requests = SimpleNamespace(
        wish="", stop="", keep=False, take_rate=lambda: rates.pop() if rates else None
    )
    run = train_into(folder, config, dataset, requests=requests, say=quiet)
    return [event["learning_rate"] for event in run.events_of("epoch")]


@pytest.mark.parametrize(("first", "asked"), [(0.0, 0.03), (0.03, 0.0), (0.01, 0.07)])
def test_a_rate_asked_for_is_obeyed_from_zero_and_to_zero(runs_root, first, asked):
    rates = rates_asked(runs_root / "run", first, asked)
    assert rates == [pytest.approx(asked)] * len(rates)
    assert rates


def test_a_state_of_an_earlier_version_goes_on_at_its_rate():
    chosen = recipe("sgd", learning_rate=0.4)
    assert state.highest_rate({"factor": 0.25}, chosen) == pytest.approx(0.1)
    assert state.highest_rate({"highest_rate": 0.0, "factor": 3.0}, chosen) == 0


# The loss


def loss_of(logits, labels, weights, smoothing):
    """As it is trained with, of one process."""
    training = object.__new__(Training)
    training.recipe = recipe("sgd", label_smoothing=smoothing)
    training.prepared = type("Prepared", (), {"class_weights": weights})
    return training._loss(logits, labels, labels)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_an_image_counts_as_its_true_class_does(smoothing, weighted):
    """By hand: sum over images of w[y] * -sum over classes of q * log p, over the sum of w[y]; q is
    1 - smoothing for the true class, and smoothing / K more for each.
    """
    rng = np.random.default_rng(5)
    logits, labels = rng.normal(size=(6, 4)) * 3, np.array([2, 0, 3, 3, 1, 0])
    weights = np.array([0.2, 7.0, 1.0, 3.0]) if weighted else np.ones(4)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    q = np.full((6, 4), smoothing / 4)
    q[np.arange(6), labels] += 1 - smoothing
    w = weights[labels]
    expected = (w * -(q * log_p).sum(axis=1)).sum() / w.sum()
    given = torch.tensor(weights) if weighted else None
    found = loss_of(torch.tensor(logits), torch.tensor(labels), given, smoothing)
    assert found.item() == pytest.approx(expected, rel=1e-6)


# Statistics of one image


@pytest.mark.parametrize(
    ("images", "batch_size", "processes", "sentence"),
    [
        (8, 1, 1, "a batch of 1 would have those of one image: use a batch size of 2 or more"),
        (9, 2, 1, "a batch of 1 would .* use a batch size of 3 or more"),
        (8, 2, 2, "a batch of 2 shared by 2 processes .* use a batch size of 4 or more"),
        (3, 3, 2, "a batch of 3 shared by 2 processes .* more images are needed"),
        (8, 2, 1, ""),
        (9, 3, 1, ""),
        (8, 4, 2, ""),
    ],
)
def test_a_share_of_one_image_is_refused_before_the_run(images, batch_size, processes, sentence):
    dataset = noise(images)
    chosen = recipe("sgd", batch_size=batch_size)
    config = make_config(Order("densenet4", dataset.name, chosen), dataset)
    assert len(dataset.splits["train"]) == images
    if not sentence:
        return check_possible(config, dataset, processes)
    with pytest.raises(UserError, match=sentence):
        check_possible(config, dataset, processes)
    # without statistics, or with those of the whole batch, there is nothing against it
    plain = Order("three_layer_module", dataset.name, chosen)
    check_possible(make_config(plain, dataset), dataset, processes)
    if batch_size > 1 and processes > 1:
        check_possible(config, dataset, processes, shares_norms=True)
    return None


def test_more_processes_than_images_of_a_batch_are_refused():
    dataset = noise(12)
    order = Order("three_layer_module", dataset.name, recipe("sgd", batch_size=2))
    expected = "3 processes cannot share a batch of 2, .* use a batch size of 3 or more"
    with pytest.raises(UserError, match=expected):
        check_possible(make_config(order, dataset), dataset, 3)
