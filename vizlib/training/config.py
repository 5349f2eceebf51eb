"""From what was asked for to the configuration of a run, and whether it can be trained at all."""

import platform
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from vizlib import architectures, datasets
from vizlib.architectures.shapes import without_numbers
from vizlib.datasets import Dataset, Split
from vizlib.datasets.usual import IMAGENET_MEAN, IMAGENET_STD
from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.run.config import RunConfig
from vizlib.run.weights import load_weights
from vizlib.training import recipes
from vizlib.training.order import Order
from vizlib.training.schedules import picture_size
from vizlib.training.start import (
    check_start,
    freeze,
    load_all_but_head,
)


def make_config(order: Order, dataset: Dataset) -> RunConfig:
    """The configuration of a new run: all that is needed to build, train and evaluate it again.

    dataset: the one that the order names, loaded. UserError for a start that is not possible.
    """
    check_start(order.start, order.architecture)
    architecture = architectures.get(order.architecture)
    input_size = _input_size(order, dataset)
    mean, std = _statistics(order, dataset, input_size)
    return RunConfig(
        title=order.title or order.architecture,
        architecture=order.architecture,
        arguments=architecture.arguments_for(len(dataset.class_names), input_size)
        | order.arguments,
        dataset=dataset.name,
        dataset_note=dataset.note,
        ordered=dataset.ordered,
        class_names=list(dataset.class_names),
        input_size=list(input_size),
        mean=mean,
        std=std,
        validation=_held_out(order, dataset),
        recipe=dict(vars(order.recipe)),
        start=order.start,
        frozen=order.frozen,
        system=order.system,
        seed=order.seed,
        versions={"torch": torch.__version__, "python": platform.python_version()},
        whole=order.whole,
        levels=_levels(dataset),
        by=order.by,
    )


def _statistics(
    order: Order, dataset: Dataset, input_size: Sequence[int]
) -> tuple[list[float], list[float]]:
    """Mean and deviation by channel: of the data, or of what pretrained weights were trained on."""
    if order.start and "pretrained" in order.start:
        return _by_channel(IMAGENET_MEAN, input_size), _by_channel(IMAGENET_STD, input_size)
    return dataset.mean, dataset.std


def _levels(dataset: Dataset) -> list[float] | None:
    """The scale of the data's greys of more than 8 bits; None where there are none."""
    levels = getattr(dataset.splits["train"].pictures, "levels", None)
    return list(levels) if levels else None


def _held_out(order: Order, dataset: Dataset) -> int:
    """How many training images are held out: a tenth, from 1 to 1,000, where the order does not
    say. UserError for an order that the data set's own validation images leave no room for.
    """
    if order.validation is not None and "val" in dataset.splits:
        raise UserError(
            f"{dataset.name!r} brings {len(dataset.splits['val']):,} validation images of its own: "
            "how many are held out cannot be chosen."
        )
    if order.validation is not None:
        return order.validation
    return max(1, min(1000, len(dataset.splits["train"]) // 10))


def _input_size(order: Order, dataset: Dataset) -> tuple[int, int, int]:
    """(C, H, W) of what the network gets. A network for large pictures gets them in its own size;
    small networks take the pictures as they are.
    """
    architecture = architectures.get(order.architecture)
    channels, *sides = dataset.image_size
    if architecture.input_size[1] > 64:
        sides = architecture.input_size[1:]
    if "image_size" in architecture.arguments:  # its linear layers count on a square
        sides = (min(sides), min(sides))
    if order.side is not None:
        sides = (order.side, order.side)
    height, width = sides
    return channels, height, width


def _by_channel(colours: list[float], input_size: Sequence[int]) -> list[float]:
    """Three colours' values, or their mean for grey pictures."""
    return colours if input_size[0] == 3 else [round(sum(colours) / 3, 4)]


def check_possible(
    config: RunConfig, dataset: Dataset, processes: int = 1, *, shares_norms: bool = False
) -> None:
    """UserError for what could not be trained, before anything is written: too few images, a
    network that cannot be built or frozen so far, batches too small for it.

    processes: how many share each batch; shares_norms: whether they share its statistics too.
    """
    training, _ = splits(dataset, config)
    with without_numbers():  # nothing is drawn at random
        model = architectures.create(config.architecture, **config.arguments).to("meta")
    frozen = freeze(model, config.frozen)
    _check_growth(config, model)
    _check_shares(config, len(training), processes)
    if any(isinstance(module, _BatchNorm) and module not in frozen for module in model.modules()):
        _check_statistics(config, len(training), 1 if shares_norms else processes)
    if config.start and "run" in config.start:
        load_all_but_head(
            model.to_empty(device="cpu"),
            load_weights(folders.open_run(config.start["run"]).path("model.safetensors")),
        )


def _smallest_batch(images: int, batch_size: int) -> int:
    """How many images the smallest batch of an epoch has, as `Batches` makes them."""
    return images // -(-images // batch_size)


def _check_shares(config: RunConfig, images: int, processes: int) -> None:
    """UserError if a process would get no image of a batch."""
    batch_size = recipes.from_config(config).batch_size
    smallest = _smallest_batch(images, batch_size)
    if smallest < processes:
        raise UserError(
            f"{processes} processes cannot share a batch of {smallest}, as there is one of "
            f"{images:,} training images: {_remedy(images, batch_size, processes)}."
        )


def _check_statistics(config: RunConfig, images: int, processes: int) -> None:
    """UserError if batch normalisation would take its statistics of a single image: PyTorch refuses
    that on maps of 1 x 1, and on larger ones they are not those that testing goes by.
    """
    batch_size = recipes.from_config(config).batch_size
    smallest = _smallest_batch(images, batch_size)
    if smallest // processes > 1:
        return
    shared = f" shared by {processes} processes" if processes > 1 else ""
    raise UserError(
        f"{config.architecture} normalises by the statistics of a batch, and of {images:,} "
        f"training images a batch of {smallest}{shared} would have those of one image: "
        f"{_remedy(images, batch_size, 2 * processes)}."
    )


def _remedy(images: int, batch_size: int, fewest: int) -> str:
    """What lets the smallest batch have so many images."""
    larger = (
        size
        for size in range(batch_size + 1, images + 1)
        if _smallest_batch(images, size) >= fewest
    )
    size = next(larger, None)
    return f"use a batch size of {size} or more" if size else "more images are needed"


def _check_growth(config: RunConfig, model: nn.Module) -> None:
    """UserError if pictures are to grow and the network, on the meta device, does not take the
    smallest.
    """
    channels, *sides = config.input_size
    smallest = picture_size(recipes.from_config(config), sides, 0)
    if smallest == tuple(sides):
        return
    try:
        with torch.device("meta"):
            model.eval()(torch.empty(1, channels, *smallest))
    except RuntimeError as error:
        height, width = smallest
        raise UserError(
            f"{config.architecture} cannot begin with pictures of {height} × {width} "
            "pixels and let them grow: it takes those of one side only, or larger ones."
        ) from error


def begun(config: RunConfig, dataset: Dataset, name: str) -> Path:
    """A new run folder of that name, or of it and a number, with its configuration in it.
    UserError, and no folder, for what could not be trained.
    """
    check_possible(config, dataset)
    return folders.claim_folder(name, config)


def splits(dataset: Dataset, config: RunConfig) -> tuple[Split, Split]:
    """(training, validation): as the data set brings them, or held out by seed."""
    if "val" in dataset.splits:
        return dataset.splits["train"], dataset.splits["val"]
    return datasets.hold_out(dataset.splits["train"], config.validation, config.seed)
