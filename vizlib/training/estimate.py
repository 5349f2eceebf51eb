"""How long a training will take, before it starts. Imports no torch by itself."""

import os
import sys
from functools import lru_cache

from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.training import recipes

START_SECONDS = 4  # until the first step: Python, PyTorch, the data
# Multiply-adds a second in training, forward and back together: guessed, until a training on this
# machine tells better.
CORE_SPEED, GPU_SPEED = 30e9, 5e12


def estimate(architecture, dataset_name, recipe, device, *, images, input_size):
    """(seconds from press to end, where the figure is from); (None, why there is none) where it is
    not known.

    images: how many there are to train on. input_size: (C, H, W) of what the network gets.

    Taken from the speed of earlier trainings here, of the same network at the same size on the same
    kind of device, or else guessed from its multiply-adds, for which torch must have been imported
    already. UserError for an architecture that does not exist.
    """
    if recipe.seconds:
        return recipe.seconds + START_SECONDS, "its own budget and a few seconds to start"
    speed = _measured_speed(architecture, dataset_name, device, tuple(input_size))
    source = "from earlier runs here"
    if not speed:
        if "torch" not in sys.modules:
            return None, "not known yet"
        rate = GPU_SPEED if device.startswith("cuda") else CORE_SPEED * (os.cpu_count() or 1)
        speed, source = (
            rate / (3 * _multiply_adds(architecture, tuple(input_size))),
            "guessed from its size",
        )
    return recipe.epochs * images * recipes.relative_cost(recipe) / speed + START_SECONDS, source


@lru_cache(maxsize=64)
def _multiply_adds(architecture, input_size):
    """Of one image through a network with ten classes."""
    from vizlib import architectures
    from vizlib.inside.layers import layer_table

    model = architectures.create(
        architecture, **architectures.get(architecture).arguments_for(10, input_size)
    )
    return sum(row.multiply_adds for row in layer_table(model, input_size) if row.depth == 0)


def _measured_speed(architecture, dataset_name, device, input_size):
    """Whole images a second of the latest training of this network on this data, in this size,
    here, evaluations included; None if there was none.
    """
    for run in sorted(
        folders.list_runs(shipped=False)[0], key=lambda run: -run.changed("events.jsonl")
    ):
        queued, started, steps = (
            run.events_of("queued"),
            run.events_of("started"),
            run.events_of("step"),
        )
        same = (
            run.config.architecture == architecture
            and run.config.dataset == dataset_name
            and run.input_size == input_size
        )
        # the time between its steps is not that of training alone
        went_on = run.events_of("paused") or run.events_of("resumed")
        if (
            same
            and queued
            and queued[-1]["device"] == device
            and started
            and len(steps) > 1
            and not went_on
        ):
            images = (steps[-1]["epoch"] - steps[0]["epoch"]) * started[-1].get("train_images", 0)
            return images * _cost(run) / max(1e-3, steps[-1]["time"] - steps[0]["time"])
    return None


def _cost(run):
    """What a run's recipe costs relative to one on whole pictures throughout."""
    try:
        return recipes.relative_cost(recipes.from_config(run.config))
    except (UserError, KeyError, TypeError):  # it is of another version, or written by hand
        return 1.0
