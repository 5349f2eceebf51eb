"""How a network is trained, as data. Imports no torch."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from vizlib.errors import UserError, unknown
from vizlib.run.config import RunConfig

OPTIMISERS = ("sgd", "adamw", "muon")
SCHEDULES = ("constant", "steps", "linear", "cosine", "one_cycle")
LIMITS = {  # what is possible, from and to; the app's fields have the same
    "epochs": (1, 10_000),
    "seconds": (1, 1_000_000),
    "batch_size": (1, 65_536),
    "learning_rate": (0.0, 100.0),
    "companion_share": (0.0, 100.0),
    "momentum": (0.0, 0.9999),
    "weight_decay": (0.0, 1.0),
    "label_smoothing": (0.0, 0.9),
    "clip": (0.0, 1e6),
    "crop": (2, 64),
    "cutout": (0.0, 0.9),
    "decay": (0.0, 1.0),
    "decay_every": (1, 10_000),
}
WHOLE = ("epochs", "batch_size", "crop", "decay_every")


@dataclass(frozen=True)
class Recipe:
    """One way of training. It ends after `epochs`, or after `seconds` of training where those are
    given.

    learning_rate: the highest of the schedule, for "muon" that of the filters; companion_share: the
    share of it for all else, by Nesterov's method, or 0 for the shares of airbench. Schedule
    "steps" multiplies it by `decay` every `decay_every` epochs. clip: the greatest length of the
    gradient of all weights together, 0 for any. augment: random crops and, where the data set
    allows, mirror images; crop: they reach 1/crop of the side beyond the picture, whose
    surroundings are black, or its own reflection where `reflect`. cutout: the side of a square that
    is covered, as a share of the picture's. For imbalanced classes: class_weights weighs the loss
    by the inverse of each class's share, balanced draws all classes equally often,
    augment_only_rare leaves pictures of classes with more than their share as they are. mirrored:
    answers are averaged over a picture and its mirror image. growing: pictures are small at first
    and grow to their side, as `schedules.side_share` says. compile: by torch.compile, before the
    clock starts.
    """

    name: str
    summary: str
    optimiser: str = "sgd"
    learning_rate: float = 0.1
    companion_share: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: str = "constant"
    decay: float = 0.1
    decay_every: int = 10
    batch_size: int = 64
    epochs: int = 1
    seconds: float | None = None
    label_smoothing: float = 0.0
    clip: float = 0.0
    augment: bool = False
    crop: int = 8
    reflect: bool = False
    cutout: float = 0.0
    class_weights: bool = False
    balanced: bool = False
    augment_only_rare: bool = False
    mirrored: bool = False
    growing: bool = False
    compile: bool = False


_NESTEROV: dict[str, Any] = dict(momentum=0.9, nesterov=True, weight_decay=5e-4)
_MUON: dict[str, Any] = dict(
    optimiser="muon",
    momentum=0.6,
    schedule="linear",
    augment=True,
    crop=16,
    reflect=True,
    mirrored=True,
)
_DEEP: dict[str, Any] = dict(
    optimiser="muon",
    learning_rate=0.05,
    companion_share=0.4,
    momentum=0.6,
    schedule="one_cycle",
    batch_size=250,
    epochs=10,
    augment=True,
)
_ALL = [
    Recipe("sgd", "Plain stochastic gradient descent at a constant rate.", learning_rate=0.02),
    Recipe(
        "sgd_decay",
        "Gradient descent with weight decay, the rate falling along a cosine.",
        learning_rate=0.03,
        weight_decay=1e-3,
        schedule="cosine",
    ),
    Recipe(
        "nesterov",
        "Gradient descent with Nesterov momentum and weight decay, along a cosine.",
        learning_rate=2e-3,
        schedule="cosine",
        **_NESTEROV,
    ),
    Recipe(
        "one_cycle",
        "Nesterov momentum with crops and flips; the rate rises, then falls to zero. Good for "
        "residual networks.",
        learning_rate=0.15,
        schedule="one_cycle",
        batch_size=128,
        epochs=20,
        # without, deep networks diverge where the rate rises within a few steps, as it does on
        # small sets
        clip=3.0,
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
    Recipe(
        "small_set",
        "Thirty short epochs of AdamW with shifted pictures and smoothed labels. Good for a "
        "few thousand small pictures, such as digits.",
        optimiser="adamw",
        learning_rate=4e-3,
        weight_decay=0.02,
        schedule="one_cycle",
        batch_size=32,
        epochs=30,
        label_smoothing=0.1,
        augment=True,
    ),
    Recipe(
        "minute",
        "Sixty seconds of Muon, for the network airbench on two CPU cores. How wide it is, is "
        "chosen by how fast the machine is.",
        learning_rate=0.12,
        batch_size=500,
        label_smoothing=0.1,
        seconds=60,
        **_MUON,
    ),
    Recipe(
        "five_minutes",
        "Three hundred seconds of Muon, for the network airbench_wide on two CPU cores.",
        learning_rate=0.12,
        batch_size=500,
        label_smoothing=0.1,
        seconds=300,
        **_MUON,
    ),
    Recipe(
        "speedrun",
        "Eight epochs of Muon, for the network airbench94 on one large GPU.",
        learning_rate=0.24,
        batch_size=2000,
        label_smoothing=0.2,
        epochs=8,
        compile=True,
        **_MUON,
    ),
    Recipe(
        "muon",
        "Muon, with crops and flips. Learns deep networks in few epochs, where batch "
        "normalisation follows each convolution.",
        **_DEEP,
    ),
    Recipe(
        "growing",
        "Muon on pictures that grow from 2/7 of their side: learns large pictures in little "
        "more than a third of the time. For networks that take pictures of any size.",
        growing=True,
        **_DEEP,
    ),
    Recipe(
        "too_slow",
        "A rate so small that an imbalanced set is never learned: for showing a class collapse.",
        learning_rate=5e-4,
        epochs=4,
    ),
    # The reports' own, by the row of the table of systems; where a report gives no rate, the usual
    # one of its optimiser.
    Recipe(
        "report_a1",
        "As reported for the three layers in bare tensors: one epoch of gradient descent.",
        learning_rate=0.01,
    ),
    Recipe(
        "report_a2",
        "As reported for the three layers as a module: one epoch with weight decay.",
        learning_rate=0.01,
        weight_decay=1e-4,
    ),
    Recipe(
        "report_a3",
        "As reported for the three layers as a sequence: one epoch with Nesterov momentum.",
        learning_rate=0.01,
        momentum=0.9,
        nesterov=True,
        weight_decay=1e-4,
    ),
    Recipe(
        "report_b",
        "As reported for plain and residual networks of 32 layers: twenty epochs with "
        "Nesterov momentum.",
        learning_rate=0.01,
        momentum=0.9,
        nesterov=True,
        epochs=20,
    ),
    Recipe(
        "report_c",
        "As reported for graded photographs: a low rate for a few epochs, mirror images of "
        "the rare grades only; then resumed at a lower rate.",
        learning_rate=1e-3,
        momentum=0.9,
        epochs=5,
        augment=True,
        augment_only_rare=True,
    ),
    Recipe(
        "report_d",
        "As reported for the late-pool ResNet-18: twenty epochs with momentum.",
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=5e-4,
        epochs=20,
    ),
    Recipe(
        "report_e",
        "As reported for VGG and the cut ResNet-50: Adam, the rate divided by three every "
        "twenty epochs.",
        optimiser="adamw",
        learning_rate=1e-3,
        schedule="steps",
        decay=1 / 3,
        decay_every=20,
        batch_size=100,
        epochs=250,
        augment=True,
    ),
    Recipe(
        "report_f",
        "As reported for five nets: ten epochs of gradient descent.",
        learning_rate=0.01,
        momentum=0.9,
        epochs=10,
    ),
]
RECIPES = {recipe.name: recipe for recipe in _ALL}
_OURS = {  # by how an architecture's name begins
    "three_layer": "adamw",
    "lenet": "adamw",
    "resnet18_late_pool": "growing",
    "vgg16_slim": "muon",
    "airbench_wide": "five_minutes",
    "airbench94": "speedrun",
    "airbench": "minute",
}


def recipe_for(architecture: str, dataset_name: str = "") -> str:
    """The name of the recipe that suits an architecture, and a data set, best."""
    fitting = [name for beginning, name in _OURS.items() if architecture.startswith(beginning)]
    name = fitting[0] if fitting else "one_cycle"
    return "small_set" if name == "adamw" and dataset_name == "digits" else name


def recipe(name: str, **changes: Any) -> Recipe:
    """The recipe of that name, `changed`. UserError for what is not possible."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return changed(RECIPES[name], **changes)


def changed(recipe: Recipe, **changes: Any) -> Recipe:
    """A recipe with some values changed (None changes nothing). UserError for what is not possible.

    Epochs given for a recipe that is measured in seconds take the place of the seconds; to augment
    only rare classes is to augment.
    """
    given = {key: value for key, value in changes.items() if value is not None}
    for key in given:
        if key not in Recipe.__dataclass_fields__:
            raise unknown("setting of a recipe", key, list(Recipe.__dataclass_fields__)[2:])
    if "epochs" in given and "seconds" not in given:
        given["seconds"] = None
    if given.get("augment_only_rare"):
        given.setdefault("augment", True)
    return checked(dataclasses.replace(recipe, **given))


def checked(recipe: Recipe) -> Recipe:
    """The same recipe. UserError if one of its values is not possible."""
    for key in LIMITS:
        _check_limits(key, getattr(recipe, key))
    for key, possible in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES)):
        if getattr(recipe, key) not in possible:
            raise unknown(key, getattr(recipe, key), possible)
    if recipe.clip and recipe.optimiser == "muon":
        raise UserError("Muon's steps do not depend on how long the gradient is: clip must be 0.")
    if recipe.nesterov and not recipe.momentum:
        raise UserError("Nesterov's method needs a momentum above 0.")
    return recipe


def _check_limits(key: str, value: float | None) -> None:
    if key == "seconds" and value is None:
        return
    low, high = LIMITS[key]
    if not low <= value <= high or (key in WHOLE and not isinstance(value, int)):
        raise UserError(
            f"{key.replace('_', ' ')} {value} is not possible: "
            f"{'a whole number ' if key in WHOLE else ''}between {low:g} and {high:,}."
        )


def from_config(config: RunConfig) -> Recipe:
    """The Recipe that a run's configuration stores. UserError if it holds what no recipe has."""
    stored = config.recipe
    strange = [key for key in stored if key not in Recipe.__dataclass_fields__]
    if strange or not isinstance(stored.get("name"), str):
        raise UserError(
            f"The recipe of this run cannot be used: {strange[0]!r} is no setting."
            if strange
            else "The recipe of this run has no name."
        )
    try:
        return checked(Recipe(**{"summary": "", **stored}))
    except TypeError as error:
        raise UserError(f"The recipe of this run cannot be used: {error}.") from error
