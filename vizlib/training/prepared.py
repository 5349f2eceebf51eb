"""What a training computes with, made before its first step: the data on the device, the network,
its optimisers.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vizlib.datasets import Dataset, Split, reading
from vizlib.run.config import RunConfig
from vizlib.run.images import RunImages
from vizlib.training import devices, recipes
from vizlib.training.batches import Batches, InMemory, Source, Streamed, border_of, normalised
from vizlib.training.distributed import Group
from vizlib.training.number_types import PRODUCT, fast_type
from vizlib.training.optimisers import make_optimisers
from vizlib.training.precision import autocast_of, half_type
from vizlib.training.probe import Probe, clearest
from vizlib.training.recipes import Recipe
from vizlib.training.remembered import split_again
from vizlib.training.schedules import picture_size
from vizlib.training.start import freeze, starting_model

WORKERS = 4  # processes that read pictures, where the data set streams


@dataclass(frozen=True)
class Prepared:
    """All of it, on the device.

    batches: of the training images. train_counts: how many of them each class has. held_out: the
    validation images; val_images: a function that gives their pictures as `predict` takes them.
    frozen: the modules that are not learned. layers: name and weight of each layer that is.
    class_weights: float (K,), or None where all classes count the same. autocast: the arguments of
    torch.autocast. probe: the picture whose maps are kept. number_types: that are computed in, in
    words.
    """

    batches: Batches
    train_counts: list[int]
    held_out: Split
    val_images: Callable[[], np.ndarray | Iterable[np.ndarray]]
    model: nn.Module
    frozen: list[nn.Module]
    layers: list[tuple[str, Tensor]]
    optimisers: list[torch.optim.Optimizer]
    class_weights: Tensor | None
    autocast: dict[str, Any]
    scaler: torch.amp.GradScaler
    probe: Probe
    number_types: str


def prepare(
    config: RunConfig,
    dataset: Dataset,
    images: RunImages,
    device: torch.device,
    group: Group,
    *,
    resumes: bool,
) -> Prepared:
    """Prepare the training of a configuration. images: which it learns from. resumes: whether its
    network gets the weights of a saved state afterwards: the run that it started from may be gone
    by now.
    """
    devices.use(device)
    recipe = recipes.from_config(config)
    training, validation = split_again(dataset, images)
    batches = _batches(config, recipe, dataset, training, device, group)
    model = _model(replace(config, start=None) if resumes else config, training)
    model = group.with_shared_norms(model, device)
    frozen = freeze(model, config.frozen)
    # as documented; the stub does not know it
    model.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    half = _half_type(config, recipe, model, device)
    return Prepared(
        batches=batches,
        train_counts=np.bincount(training.labels, minlength=len(config.class_names)).tolist(),
        held_out=validation,
        val_images=reading.reader(validation, config.input_size),
        model=model,
        frozen=frozen,
        layers=_learned_layers(model),
        optimisers=make_optimisers(model, recipe),
        class_weights=_class_weights(batches.labels, config) if recipe.class_weights else None,
        autocast=autocast_of(device, half),
        scaler=torch.amp.GradScaler(device.type, enabled=half is torch.float16),
        probe=Probe(clearest(validation, config.input_size), config.mean, config.std, device),
        number_types=_number_types(recipe, device, half or torch.float32),
    )


def _batches(
    config: RunConfig,
    recipe: Recipe,
    dataset: Dataset,
    training: Split,
    device: torch.device,
    group: Group,
) -> Batches:
    """Those of the training images, in the size in which they are kept until then."""
    kept = reading.kept_size(training, config.input_size)
    border = border_of(recipe, kept[1:])
    return Batches(
        _source(training, kept, device, border, recipe.reflect),
        torch.from_numpy(training.labels).to(device),
        len(config.class_names),
        recipe,
        mean=config.mean,
        std=config.std,
        mirrors=dataset.mirrors,
        border=border,
        seed=config.seed,
        rank=group.rank,
        ranks=group.size,
    )


def _source(
    training: Split, kept: Sequence[int], device: torch.device, border: int, reflect: bool
) -> Source:
    """The training images: lying on the device, or streamed from their files where they are too
    many.
    """
    if reading.streams(training, kept):
        workers = min(WORKERS, os.cpu_count() or 1)
        return Streamed(training, kept, device, border, reflect, workers=workers)
    images = torch.from_numpy(training.images(kept)).to(device)
    return InMemory(images, border, reflect)


def _model(config: RunConfig, training: Split) -> nn.Module:
    """The network as its training begins, on the CPU."""
    looks = (config.input_size, config.mean, config.std)
    return starting_model(config, lambda count: normalised(training, count, *looks))


def _half_type(
    config: RunConfig, recipe: Recipe, model: nn.Module, device: torch.device
) -> torch.dtype | None:
    """The two-byte type to compute in, or None, by the smallest pictures that the network gets."""
    channels, *sides = config.input_size
    return half_type(device, model, (channels, *picture_size(recipe, sides, 0)))


def _number_types(recipe: Recipe, device: torch.device, dtype: torch.dtype) -> str:
    words = str(dtype).removeprefix("torch.")
    product = fast_type(device, PRODUCT)
    if recipe.optimiser == "muon" and product is not dtype:
        words += f" (Muon's steps in {str(product).removeprefix('torch.')})"
    return words


def _learned_layers(model: nn.Module) -> list[tuple[str, Tensor]]:
    return [
        (name.removesuffix(".weight"), weight)
        for name, weight in model.named_parameters()
        if weight.ndim > 1 and weight.requires_grad
    ]


def _class_weights(labels: Tensor, config: RunConfig) -> Tensor:
    """The inverse of each class's share, (K,), as scikit-learn's "balanced"."""
    classes = len(config.class_names)
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    return len(labels) / (classes * counts).float()
