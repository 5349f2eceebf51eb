"""From what was asked for to the configuration of a run, and whether it can be trained at all."""

import platform

import torch

from vizlib import architectures, datasets
from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.run.config import RunConfig
from vizlib.run.weights import load_weights
from vizlib.training import recipes
from vizlib.training.recipes import picture_size
from vizlib.training.start import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    check_start,
    freeze,
    load_all_but_head,
)


def make_config(
    architecture,
    dataset,
    recipe,
    *,
    seed=0,
    validation=None,
    title="",
    start=None,
    frozen=0,
    side=None,
    system=None,
):
    """The configuration of a new run: all that is needed to build, train and evaluate it again.

    architecture: a registered name. dataset: a loaded Dataset. validation: how many training images
    are held out to choose the best epoch (default: a tenth, at most 1,000), unless the data set
    brings a split for that. start: None for a random network, {"run": id} for another run's
    weights, {"pretrained": "torchvision"}. frozen: how many of the first convolutions are left as
    they are. side: of the square pictures that the network gets (default: the pictures' own, or the
    network's where that is made for large ones). system: the id of the System that it is a training
    of.
    """
    found = architectures.get(architecture)
    check_start(start, architecture)
    # A network for large pictures gets them in its own size; small networks take the pictures as
    # they are.
    sides = found.input_size[1:] if found.input_size[1] > 64 else dataset.image_size[1:]
    if "image_size" in found.arguments:  # its linear layers count on a square
        sides = (min(sides), min(sides))
    if side is not None:
        if not 1 <= side <= 1024:
            raise UserError(
                f"Pictures of {side} x {side} are not possible: between 1 and 1024 pixels."
            )
        sides = (side, side)
    input_size = (dataset.image_size[0], *sides)
    pretrained = bool(start) and "pretrained" in start
    if not 0 <= seed < 2**32:
        raise UserError(f"seed {seed} is not possible: between 0 and {2**32 - 1:,}.")
    return RunConfig(
        title=title or architecture,
        architecture=architecture,
        arguments=found.arguments_for(len(dataset.class_names), input_size),
        dataset=dataset.name,
        dataset_note=dataset.note,
        ordered=dataset.ordered,
        class_names=list(dataset.class_names),
        input_size=list(input_size),
        mean=_by_channel(IMAGENET_MEAN, input_size) if pretrained else dataset.mean,
        std=_by_channel(IMAGENET_STD, input_size) if pretrained else dataset.std,
        validation=min(1000, len(dataset.splits["train"]) // 10)
        if validation is None
        else validation,
        recipe=dict(vars(recipe)),
        start=start,
        frozen=frozen,
        system=system,
        seed=seed,
        versions={"torch": torch.__version__, "python": platform.python_version()},
    )


def _by_channel(colours, input_size):
    """Three colours' values, or their mean for grey pictures."""
    return colours if input_size[0] == 3 else [round(sum(colours) / 3, 4)]


def check_possible(config, dataset):
    """UserError for what could not be trained, before anything is written: too few images, a
    network that cannot be built or frozen so far.
    """
    splits(dataset, config)
    with torch.device("meta"):  # shapes without numbers: nothing is drawn at random
        model = architectures.create(config.architecture, **config.arguments)
        freeze(model, config.frozen)
        _check_growth(config, model)
    if config.start and "run" in config.start:
        load_all_but_head(
            model.to_empty(device="cpu"),
            load_weights(folders.open_run(config.start["run"]).path("model.safetensors")),
        )


def _check_growth(config, model):
    """UserError if pictures are to grow and the network, on the meta device, does not take the
    smallest.
    """
    channels, *sides = config.input_size
    smallest = picture_size(recipes.from_config(config), sides, 0)
    if smallest == tuple(sides):
        return
    try:
        model.eval()(torch.empty(1, channels, *smallest))
    except RuntimeError as error:
        height, width = smallest
        raise UserError(
            f"{config.architecture} cannot begin with pictures of {height} × {width} "
            "pixels and let them grow: it takes those of one side only, or larger ones."
        ) from error


def begun(config, dataset, name):
    """A new run folder of that name, or of it and a number, with its configuration in it.
    UserError, and no folder, for what could not be trained.
    """
    check_possible(config, dataset)
    return folders.claim_folder(name, config)


def splits(dataset, config):
    """(training, validation): as the data set brings them, or held out by seed."""
    if "val" in dataset.splits:
        return dataset.splits["train"], dataset.splits["val"]
    return datasets.hold_out(dataset.splits["train"], config.validation, config.seed)
