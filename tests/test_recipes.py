"""Recipes: what is possible, the rate of every schedule in closed form, and what stored ones
become.
"""

import dataclasses
import json
import math
from types import SimpleNamespace

import pytest

from vizlib import architectures
from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.training.recipes import (
    LIMITS,
    OPTIMISERS,
    RECIPES,
    SCHEDULES,
    Recipe,
    checked,
    from_config,
    recipe,
    recipe_for,
)
from vizlib.training.schedules import learning_rate


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_possible(name):
    chosen = recipe(name)
    assert chosen == RECIPES[name] == checked(chosen)
    assert chosen.name == name
    assert chosen.optimiser in OPTIMISERS
    assert chosen.schedule in SCHEDULES
    assert chosen.summary.endswith(".")
    assert all(
        getattr(chosen, key) is None or low <= getattr(chosen, key) <= high
        for key, (low, high) in LIMITS.items()
    )
    rates = [learning_rate(chosen, progress / 1000) for progress in range(1001)]
    assert max(rates) == pytest.approx(chosen.learning_rate)
    assert min(rates) >= 0
    # as a run stores it
    assert (
        from_config(SimpleNamespace(recipe=json.loads(json.dumps(dataclasses.asdict(chosen)))))
        == chosen
    )


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("constant", {0: 1, 0.3: 1, 1: 1}),
        ("linear", {0: 1, 0.25: 0.75, 0.9: 0.1, 1: 0}),
        ("cosine", {0: 1, 1 / 3: 0.75, 0.5: 0.5, 1: 0}),
        (
            "one_cycle",
            {0: 0.05, 0.1: 0.525, 0.2: 1, 0.6: 0.5, 1: 0, 0.8: 0.5 - math.cos(math.pi / 4) / 2},
        ),
        ("steps", {0: 1, 0.2999: 1, 0.3: 1 / 4, 0.5: 1 / 4, 0.6: 1 / 16, 0.9: 1 / 64, 1: 1 / 64}),
    ],
)
def test_rates_of_a_schedule(schedule, shares):
    chosen = Recipe(
        "", "", schedule=schedule, learning_rate=0.4, epochs=10, decay=1 / 4, decay_every=3
    )
    for progress, share in shares.items():
        assert learning_rate(chosen, progress) == pytest.approx(0.4 * share, abs=1e-12)


def test_steps_fall_exactly_at_the_ends_of_epochs():
    """Also where a share of the steps is no float: 7 steps an epoch, 250 epochs, the rate divided
    by three every twenty.
    """
    chosen = recipe("report_e")
    for step in range(7 * 250):
        assert learning_rate(chosen, step / (7 * 250)) == pytest.approx(
            1e-3 / 3 ** (step // 7 // 20)
        ), step


def test_changes_and_the_limits():
    assert recipe("sgd", epochs=None, learning_rate=0.5) == Recipe(
        "sgd", RECIPES["sgd"].summary, learning_rate=0.5
    )
    with pytest.raises(UserError, match="no recipe named 'adam'. Possible: sgd, .*adamw"):
        recipe("adam")
    with pytest.raises(
        UserError, match="no setting of a recipe named 'epoch'. Possible: optimiser, learning_rate"
    ):
        recipe("sgd", epoch=3)
    for key, (low, high) in LIMITS.items():
        assert [getattr(recipe("sgd", **{key: value}), key) for value in (low, high)] == [low, high]
        for value in (low - 1e-3, low - 1, high * 1.001, high + 1, math.nan, math.inf, -math.inf):
            with pytest.raises(
                UserError,
                match=f"^{key.replace('_', ' ')} {value} is not possible: (a whole number )?"
                f"between {low:g} and {high:,}[.]$",
            ):
                recipe("sgd", **{key: value})
    with pytest.raises(UserError, match="needs a momentum"):
        recipe("sgd", nesterov=True)
    for key in ("optimiser", "schedule"):
        with pytest.raises(UserError, match=f"no {key} named 'adam'. Possible: "):
            recipe("sgd", **{key: "adam"})


def test_epochs_take_the_place_of_seconds():
    assert recipe("minute").seconds == 60
    assert recipe("minute", epochs=3).seconds is None
    assert recipe("minute", epochs=3).epochs == 3
    assert recipe("minute", learning_rate=0.1).seconds == 60
    assert recipe("sgd", seconds=5).seconds == recipe("sgd", seconds=5, epochs=2).seconds == 5


# Stored ones


def test_the_recipes_of_shipped_runs_can_be_used():
    """They were stored when a recipe had fewer fields: the others are off."""
    found = sorted(folders.SHIPPED.glob("*/config.json")) if folders.SHIPPED.is_dir() else []
    for path in found:
        stored = json.loads(path.read_text())
        chosen = from_config(SimpleNamespace(**stored))
        assert {key: getattr(chosen, key) for key in stored["recipe"]} == stored["recipe"]
        absent = [
            field for field in dataclasses.fields(Recipe) if field.name not in stored["recipe"]
        ]
        assert all(getattr(chosen, field.name) == field.default for field in absent)
    assert from_config(SimpleNamespace(recipe={"name": "old"})) == Recipe("old", "")


DAMAGED = {
    "no name": {},
    "name is a number": {"name": 3},
    "unknown field": {"name": "x", "lr": 0.1},
    "text for a number": {"name": "x", "epochs": "3"},
    "null": {"name": "x", "batch_size": None},
    "a list": {"name": "x", "learning_rate": [0.1]},
    "an object": {"name": "x", "momentum": {}},
    "not a number": {"name": "x", "learning_rate": math.nan},
    "too many": {"name": "x", "epochs": 10**9},
    "negative": {"name": "x", "weight_decay": -1},
    "half an epoch": {"name": "x", "epochs": 1.5},
    "half a picture": {"name": "x", "batch_size": 2.5},
    "optimiser": {"name": "x", "optimiser": "lion"},
    "optimiser is a list": {"name": "x", "optimiser": ["sgd"]},
    "schedule": {"name": "x", "schedule": None},
    "nesterov alone": {"name": "x", "nesterov": True},
    "crop of zero": {"name": "x", "augment": True, "crop": 0},
    "crop as text": {"name": "x", "augment": True, "crop": "8"},
    "crop below zero": {"name": "x", "augment": True, "crop": -1},
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_a_damaged_recipe_is_a_sentence(fault):
    with pytest.raises(UserError, match=r"^[^\n]+[.]$"):
        from_config(SimpleNamespace(recipe=DAMAGED[fault]))


def test_every_architecture_has_a_recipe():
    assert {
        name: recipe_for(name) for name in architectures.names() if recipe_for(name) not in RECIPES
    } == {}
    assert [
        recipe_for(name)
        for name in ("three_layer_module", "lenet", "airbench", "resnet18", "vgg16_slim")
    ] == ["adamw", "adamw", "minute", "one_cycle", "muon"]
