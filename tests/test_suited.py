"""Which form of a network a training in seconds gets on this machine."""

import dataclasses
import json

import pytest
import torch

from vizlib import architectures
from vizlib.architectures import Form
from vizlib.command_line import main
from vizlib.training import of_machine, suited, trial
from vizlib.training.order import Order
from vizlib.training.recipes import recipe

SIZE = (3, 64, 64)
MINUTE = Order("airbench", "any", recipe("minute", seconds=30.0))


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A machine of which nothing is known."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


def found(order, epochs, images):
    """As if so many epochs of the usual form were within its seconds here."""
    cost = trial_cost(order)
    of_machine.keep(
        trial.FILE, trial.trial_of(order, SIZE).of, epochs * images * cost / order.recipe.seconds
    )


def trial_cost(order):
    """Of an epoch on pictures of 64 pixels that may grow, by hand."""
    grown = (1 / 2) * (2 / 7) ** 2 + (1 / 3) * (1 / 2) ** 2 + 1 / 6
    return grown if order.recipe.growing else 1.0


@pytest.mark.parametrize("name", architectures.names())
def test_forms_go_from_no_epoch_on_and_can_be_built(name):
    architecture = architectures.get(name)
    if not architecture.forms:
        return
    epochs = [form.epochs for form in architecture.forms]
    assert epochs[0] == 0
    assert epochs == sorted(set(epochs))
    for form in architecture.forms:
        assert list(form.reached) == sorted(form.reached)
        accuracies = [accuracy for _, accuracy in form.reached]
        assert accuracies == sorted(accuracies)
        assert all(0 < accuracy < 1 for accuracy in accuracies)
    sizes = []
    for form in architecture.forms:
        assert json.loads(json.dumps(form.arguments)) == form.arguments  # as a run keeps them
        model = architectures.create(name, **form.arguments)
        sizes.append(sum(weight.numel() for weight in model.parameters()))
        if form.growing:  # from 20 pixels on
            assert model(torch.zeros(2, 3, 20, 20)).shape == (2, 10)
    # of the same size, the cheaper one first
    work = [(size, not form.growing) for size, form in zip(sizes, architecture.forms, strict=True)]
    assert work == sorted(set(work))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_slower_machine_gets_a_smaller_network(place):
    forms = architectures.get("airbench").forms
    images = 9_000
    found(MINUTE, forms[place].epochs + 0.01, images)
    chosen = suited.suited(MINUTE, images=images, input_size=SIZE)
    assert chosen.arguments == forms[place].arguments
    assert chosen.recipe == dataclasses.replace(MINUTE.recipe, growing=forms[place].growing)
    assert suited.usual(chosen) == MINUTE


def test_nobody_chooses_where_nothing_is_known_or_to_be_chosen():
    images = 9_000
    assert suited.suited(MINUTE, images=images, input_size=SIZE) == MINUTE
    for given in (
        Order("airbench", "any", recipe("muon")),  # ends after epochs
        Order("airbench94", "any", MINUTE.recipe),  # has one form
        Order("airbench", "any", MINUTE.recipe, arguments={"widths": [8, 9, 10]}),
        Order("airbench", "any", MINUTE.recipe, start={"run": "other"}),
        Order("airbench", "any", recipe("minute", seconds=30.0, growing=True)),
    ):
        of_machine.keep(trial.FILE, trial.trial_of(given, SIZE).of, 0.01)
        assert not suited.has_choice(given)
        assert suited.suited(given, images=images, input_size=SIZE) == given


def test_what_is_expected_is_what_a_shorter_trial_reached():
    form = Form(0.0, {}, ((0.5, 0.7), (1.5, 0.8), (4.0, 0.9)))
    assert [form.expected(epochs) for epochs in (0.4, 0.5, 3.9, 4.0, 99)] == [
        None,
        0.7,
        0.8,
        0.9,
        0.9,
    ]


def test_a_form_in_words():
    assert suited.in_words({}) == "its usual form"
    assert suited.in_words({"widths": [3, 50, 7]}) == "widths 3, 50, 7"
    assert suited.in_words({}, growing=True) == "its usual form on growing pictures"


def test_the_command_tries_the_machine_and_says_what_it_chose(tmp_path, monkeypatch, capsys):
    """A machine of two images a second."""
    monkeypatch.setattr(trial, "measured", lambda tried: 2.0)
    where = ["--out", str(tmp_path), "--name", "run"]
    main(["train", "-a", "airbench", "-d", "digits", "-r", "minute", "--seconds", "1", *where])
    said = capsys.readouterr().out
    narrow = architectures.get("airbench").forms[0]
    words = suited.in_words(narrow.arguments, narrow.growing)
    assert f"Of airbench {words} learns most in 1 s on this machine." in said
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["arguments"] == {"num_classes": 10, "in_channels": 1, **narrow.arguments}
    assert of_machine.read(trial.FILE) != {}
