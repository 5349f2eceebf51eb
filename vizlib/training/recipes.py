"""How a network is trained, as data. Imports no torch."""

import dataclasses
from dataclasses import dataclass

from vizlib.errors import UserError, unknown

OPTIMISERS = ("sgd", "adamw")
SCHEDULES = ("constant", "cosine", "one_cycle")
WARM_UP = 0.2  # the share of a one-cycle schedule in which the rate rises (Smith and Topin 2017)


@dataclass(frozen=True)
class Recipe:
    """learning_rate is the highest one of the schedule; augment crops and, where the data allows, flips."""

    name: str
    summary: str
    optimiser: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: str = "constant"
    batch_size: int = 64
    epochs: int = 1
    label_smoothing: float = 0.0
    augment: bool = False


_NESTEROV = dict(momentum=0.9, nesterov=True, weight_decay=5e-4)
_ALL = [
    Recipe("sgd", "Plain stochastic gradient descent at a constant rate.", learning_rate=0.02),
    Recipe("sgd_decay", "Gradient descent with weight decay, the rate falling along a cosine.", learning_rate=0.03, weight_decay=1e-3, schedule="cosine"),
    Recipe("nesterov", "Gradient descent with Nesterov momentum and weight decay, along a cosine.", learning_rate=2e-3, schedule="cosine", **_NESTEROV),
    Recipe(
        "one_cycle",
        "Nesterov momentum with crops and flips; the rate rises, then falls to zero. Good for residual networks.",
        learning_rate=0.15,
        schedule="one_cycle",
        batch_size=128,
        epochs=20,
        augment=True,
        **_NESTEROV,
    ),
    Recipe(
        "adamw",
        "AdamW with a one-cycle rate. Good for small networks without batch normalisation.",
        optimiser="adamw",
        learning_rate=2e-3,
        weight_decay=0.02,
        schedule="one_cycle",
        epochs=10,
    ),
    Recipe("too_slow", "A rate so small that an imbalanced set is never learned: for showing a class collapse.", learning_rate=5e-4, epochs=4),
]
RECIPES = {recipe.name: recipe for recipe in _ALL}


def recipe(name, **changes):
    """The recipe of that name with some values changed (None changes nothing). UserError for what is not possible."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    changed = dataclasses.replace(RECIPES[name], **{key: value for key, value in changes.items() if value is not None})
    for key, low, high in (("epochs", 1, 10_000), ("batch_size", 1, 65_536), ("learning_rate", 0, 100)):
        value = getattr(changed, key)
        if not low <= value <= high:
            raise UserError(f"{key.replace('_', ' ')} {value} is not possible: between {low} and {high}.")
    return changed


def learning_rate(recipe, progress):
    """The rate at a progress in [0, 1] through the training."""
    from math import cos, pi

    if recipe.schedule == "constant":
        share = 1.0
    elif recipe.schedule == "one_cycle" and progress < WARM_UP:
        share = 0.05 + 0.95 * progress / WARM_UP
    else:
        start = WARM_UP if recipe.schedule == "one_cycle" else 0.0
        share = 0.5 + 0.5 * cos(pi * (progress - start) / (1 - start))
    return recipe.learning_rate * share
