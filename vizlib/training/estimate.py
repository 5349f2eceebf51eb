"""How long a training will take, before it starts. Imports no torch by itself."""

import json
import os
from collections.abc import Sequence
from functools import lru_cache

from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.run.folders import Run
from vizlib.training import ready, recipes, trial
from vizlib.training.again import own_arguments
from vizlib.training.order import Order
from vizlib.training.recipes import Recipe
from vizlib.training.schedules import relative_cost
from vizlib.training.trial import trial_of

START_SECONDS = 4  # until the first step: Python, PyTorch, the data; guessed
LOADING_SECONDS = 2  # of these, where it was tried how long PyTorch takes
LEAST_SECONDS = 0.5  # of these, where all is imported
# Multiply-adds a second in training, forward and back together: guessed, until a training on this
# machine tells better.
CORE_SPEED = 30e9
GPU_SPEED = 5e12


def estimate(order: Order, *, images: int, input_size: Sequence[int]) -> tuple[float, str]:
    """(seconds from press to end, where the figure is from).

    images: how many there are to train on. input_size: (C, H, W) of what the network gets.

    Taken from the speed of earlier trainings here, of the same network at the same size on the same
    kind of device; or of a second that was tried here; or else guessed from its multiply-adds.
    """
    recipe, start = order.recipe, _until_it_begins(order.device)
    if recipe.seconds:
        return recipe.seconds + start, "its own budget and a few seconds to start"
    speed, source = known_speed(order, input_size)
    if speed is None:
        speed, source = _guessed_speed(order, input_size), "guessed from its size"
    cost = relative_cost(recipe, input_size[1:])
    return recipe.epochs * images * cost / speed + start, source


def _until_it_begins(device: str) -> float:
    """Seconds from press to the first step: less where PyTorch is being imported already."""
    tried = trial.start_seconds()
    importing = START_SECONDS - LOADING_SECONDS if tried is None else tried
    return max(LEAST_SECONDS, importing + LOADING_SECONDS - ready.head_start(device))


def known_speed(order: Order, input_size: Sequence[int]) -> tuple[float | None, str]:
    """(whole images a second, where that is from); (None, "") where nothing was trained or tried
    here that tells it.
    """
    speed = _measured_speed(order, input_size)
    if speed:
        return speed, "from earlier runs here"
    speed = trial.speed(trial_of(order, input_size))
    return (speed, "from a second that was tried here") if speed else (None, "")


def epochs_within(recipe: Recipe, speed: float, images: int, input_size: Sequence[int]) -> float:
    """How many epochs a recipe in seconds comes to at so many whole images a second."""
    return (recipe.seconds or 0.0) * speed / (images * relative_cost(recipe, input_size[1:]))


def _guessed_speed(order: Order, input_size: Sequence[int]) -> float:
    """Images a second."""
    speed = CORE_SPEED * (os.cpu_count() or 1) if order.device == "cpu" else GPU_SPEED
    own = json.dumps(order.arguments)
    return speed / (3 * _multiply_adds(order.architecture, own, tuple(input_size)))


@lru_cache(maxsize=64)
def _multiply_adds(architecture: str, own: str, input_size: tuple[int, ...]) -> int:
    """Of one image through a network with ten classes. own: its other arguments, as JSON."""
    from vizlib import architectures
    from vizlib.inside.layers import layer_table

    fitting = architectures.get(architecture).arguments_for(10, input_size)
    model = architectures.create(architecture, **fitting, **json.loads(own))
    return sum(layer.multiply_adds for layer in layer_table(model, input_size) if layer.depth == 0)


def _measured_speed(order: Order, input_size: Sequence[int]) -> float | None:
    """Whole images a second of the latest training of this network on this data, in this size,
    here, evaluations included; None if there was none.
    """
    runs = folders.list_runs(shipped=False)[0]
    for run in sorted(runs, key=lambda run: -run.changed("events.jsonl")):
        is_same = (
            run.config.architecture == order.architecture
            and own_arguments(run) == order.arguments
            and run.config.dataset == order.dataset
            and run.input_size == tuple(input_size)
        )
        if is_same and _was_trained_in_one_go(run, order.device):
            return _speed_of(run)
    return None


def _speed_of(run: Run) -> float:
    """Whole images a second, from its first to its last step event."""
    first, last = run.events_of("step")[0], run.events_of("step")[-1]
    train_images = run.events_of("started")[-1].get("train_images", 0)
    images = (last["epoch"] - first["epoch"]) * train_images
    return images * _cost(run) / max(1e-3, last["time"] - first["time"])


def _was_trained_in_one_go(run: Run, device: str) -> bool:
    """Whether the time between its steps is that of training on this device alone."""
    queued = run.events_of("queued")
    return bool(
        queued
        and queued[-1]["device"] == device
        and run.events_of("started")
        and len(run.events_of("step")) > 1
        and not run.events_of("paused")
        and not run.events_of("resumed")
    )


def _cost(run: Run) -> float:
    """What a run's recipe costs relative to one on whole pictures throughout."""
    try:
        return relative_cost(recipes.from_config(run.config), run.input_size[1:])
    except (UserError, KeyError, TypeError):  # it is of another version, or written by hand
        return 1.0
