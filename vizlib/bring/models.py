"""A network that was trained elsewhere becomes a run: what its file does not say is guessed, tried
on labelled pictures, and settled; then it is a folder like any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vizlib import architectures
from vizlib.architectures import elsewhere
from vizlib.bring import pretrained
from vizlib.bring.recognition import ALONE, Candidate
from vizlib.datasets.usual import usual
from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.run.config import MOST_CLASSES, RunConfig
from vizlib.run.events import add_to_ended

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vizlib.datasets import Dataset
    from vizlib.run.folders import Run

RGB, BGR = "RGB", "BGR"
IMAGENET = "resnet18"  # of torchvision's, whose classes those of a thousand most likely are
FILE = "model.safetensors"
LARGE = (
    200  # pixels a side: of photographs, which nearly all are normalised with ImageNet's figures
)


@dataclass(frozen=True)
class Settings:
    """What a file of weights does not say of its network.

    class_names: in the order of the logits. input_size: (C, H, W). mean, std: by channel, of pixels
    in [0, 1], in the order in which the network takes them. order: of the colours it takes, RGB or
    BGR.
    """

    class_names: list[str]
    input_size: tuple[int, int, int]
    mean: list[float]
    std: list[float]
    order: str = RGB


def fitted(candidate: Candidate, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A file's tensors under the network's own names; those that it has no place for are left out.
    UserError where some are missing.
    """
    if not candidate.is_usable:
        raise UserError(
            f"{candidate.architecture} does not take these weights: {faults(candidate)}"
        )
    return {own: tensors[name] for own, name in candidate.names.items()}


def faults(candidate: Candidate) -> str:
    """What keeps a network from taking a file's tensors, in words."""
    parts = []
    if candidate.missing:
        parts.append(f"{len(candidate.missing):,} are missing, as {candidate.missing[0]!r}")
    if candidate.misshapen:
        own, wanted, given = candidate.misshapen[0]
        parts.append(
            f"{len(candidate.misshapen):,} have another shape, as {own!r}: "
            f"{'x'.join(map(str, given))} and not {'x'.join(map(str, wanted))}"
        )
    return f"{', and '.join(parts)}." if parts else ""


def network(candidate: Candidate, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """The network with its weights, prepared to be looked into. UserError where they do not fit."""
    from vizlib.inside.activations import prepare
    from vizlib.run.weights import load_into

    model = architectures.create(candidate.architecture, **candidate.arguments)
    return prepare(load_into(model, fitted(candidate, tensors)))


def guesses(
    candidate: Candidate,
    *,
    class_names: Sequence[str] | None = None,
    dataset: Dataset | None = None,
    given: Settings | None = None,
) -> Settings:
    """What is most likely, where nobody has said anything: the classes that the file names, or the
    data set's, or ImageNet's where there are a thousand, or numbers; the normalisation that is
    usual where the network comes from. given: what its source says, which goes before.
    """
    if given is not None:
        return given
    mean, std = _likely_normalisation(candidate)
    names = class_names or (dataset.class_names if dataset else None)
    if names is None and (candidate.input_size[0], candidate.num_classes) == (3, 1000):
        names = pretrained.class_names(IMAGENET)
    if names is None or (candidate.num_classes and len(names) != candidate.num_classes):
        names = [f"class {number}" for number in range(max(1, candidate.num_classes))]
    return Settings(list(names), candidate.input_size, mean, std)


def _likely_normalisation(candidate: Candidate) -> tuple[list[float], list[float]]:
    """That of the scripts which the network comes from, or of the data that have such pictures and
    as many classes.
    """
    channels = candidate.input_size[0]
    name = candidate.base or candidate.architecture
    if "/" in name:
        source = elsewhere.source_of(name)
        if len(source.mean) == channels:
            return list(source.mean), list(source.std)
    if channels == 3 and candidate.input_size[1] >= LARGE:
        return usual(channels)["ImageNet"]
    likely = {(3, 10): "CIFAR-10", (3, 100): "CIFAR-100", (3, 1000): "ImageNet", (1, 10): "MNIST"}
    name = likely.get((channels, candidate.num_classes), "0 to 1")
    return usual(channels)[name]


def check(settings: Settings, candidate: Candidate) -> None:
    """UserError, in a sentence, for settings that do not fit the network."""
    count = len(settings.class_names)
    if candidate.num_classes and count != candidate.num_classes:
        raise UserError(
            f"The network tells {candidate.num_classes:,} classes apart, and {count:,} are named."
        )
    if not 0 < count <= MOST_CLASSES:
        raise UserError(f"{count:,} classes: between 1 and {MOST_CLASSES:,} are possible.")
    channels = settings.input_size[0]
    if len(settings.mean) != channels or len(settings.std) != channels:
        raise UserError(f"Mean and deviation need {channels} numbers each, one a channel.")
    if not all(value > 0 for value in settings.std):
        raise UserError("A deviation is greater than 0.")


def run_name(file_name: str) -> str:
    """What a run of a file of that name may be called."""
    stem = re.sub(r"(\.(pth|pt|ckpt|th|tar|pkl|bin|safetensors))+$", "", file_name.strip())
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem)[:60].strip("-._")
    return name or "network"


def add(
    candidate: Candidate,
    tensors: Mapping[str, torch.Tensor],
    settings: Settings,
    name: str,
    origin: Mapping[str, str],
    dataset: Dataset | None = None,
    by: str = "",
) -> Run:
    """Write a run folder of a network from elsewhere, of this name or of it and a number, and
    return the Run. UserError for settings that do not fit, weights that do not, a network that does
    not take its pictures; then nothing is written.

    origin: {"file": ..., "sha256": ...}, what the run says of where it comes from. by: who brings
    it, as RunConfig has it.
    """
    check(settings, candidate)
    if candidate.how == ALONE:
        weights = dict(tensors)
    else:
        model = network(candidate, tensors)
        _check_input(model, settings.input_size)
        weights, settings = _in_rgb(model, settings)
    config = replace(_config(candidate, settings, origin, dataset), by=by)
    folder = folders.claim_folder(name, config)
    _write(folder, weights, candidate.sentence)
    return folders.read_run(folder)


def _check_input(model: nn.Module, input_size: Sequence[int]) -> None:
    from vizlib.inside.layers import layer_table

    layer_table(model, input_size)


def _write(folder: Any, weights: Mapping[str, torch.Tensor], recognised: str) -> None:
    from vizlib.run.weights import save_weights

    save_weights(weights, folder / FILE, dtype=None)
    (folder / "events.jsonl").touch()
    add_to_ended(
        folder,
        "imported",
        parameters=sum(tensor.numel() for name, tensor in weights.items() if _is_parameter(name)),
        recognised=recognised,
    )


def _is_parameter(name: str) -> bool:
    """Whether a tensor of this name is learned, and no statistic of batch normalisation."""
    last = name.rpartition(".")[2]
    return last not in ("running_mean", "running_var", "num_batches_tracked")


def _config(
    candidate: Candidate,
    settings: Settings,
    origin: Mapping[str, str],
    dataset: Dataset | None,
) -> RunConfig:
    return RunConfig(
        title=origin.get("class", candidate.title),
        architecture=candidate.architecture,
        arguments=dict(candidate.arguments),
        dataset=dataset.name if dataset else "",
        dataset_note=dataset.note if dataset else None,
        ordered=_are_grades(settings.class_names, dataset),
        class_names=list(settings.class_names),
        input_size=list(settings.input_size),
        mean=list(settings.mean),
        std=list(settings.std),
        validation=0,
        recipe={},
        start=None,
        frozen=0,
        system=None,
        seed=0,
        versions={},
        origin=dict(origin),
    )


def _are_grades(class_names: Sequence[str], dataset: Dataset | None) -> bool:
    """Whether these classes stand one above the other: the data set's grades, in their order."""
    return (
        dataset is not None and dataset.ordered and list(class_names) == list(dataset.class_names)
    )


def _in_rgb(model: nn.Module, settings: Settings) -> tuple[dict[str, torch.Tensor], Settings]:
    """The weights and settings of a network that computes the same and takes red first: the app's
    pictures are RGB, and its filters are then shown in their colours. UserError for a network
    whose first layer is no convolution of the picture.
    """
    weights = dict(model.state_dict())
    if settings.order == RGB:
        return weights, settings
    from vizlib.inside.layers import layer_table

    readers = [
        layer.name for layer in layer_table(model, settings.input_size) if layer.reads_picture
    ]
    if settings.input_size[0] != 3 or not readers:
        raise UserError(
            "Only a network of colour pictures that begins with a convolution can have its "
            "channels turned round."
        )
    for name in readers:
        weights[f"{name}.weight"] = weights[f"{name}.weight"].flip(1)
    return weights, replace(settings, mean=settings.mean[::-1], std=settings.std[::-1], order=RGB)
