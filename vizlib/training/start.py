"""What a training starts from: a random network, another run's weights, or weights that torchvision
trained on ImageNet.
"""

import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vizlib import architectures
from vizlib.errors import UserError, unknown
from vizlib.run import folders
from vizlib.run.config import RunConfig
from vizlib.run.weights import load_into, load_weights

FITTED_ON = 2000  # pictures that a network which looks at the data before it is trained gets to see


def check_start(start: dict[str, str] | None, architecture: str) -> None:
    """UserError unless a start ({"run": id}, {"pretrained": "torchvision"} or None) is possible for
    an architecture.
    """
    if start is None:
        return
    if set(start) == {"run"}:
        _check_run(start["run"], architecture)
    elif set(start) == {"pretrained"}:
        _check_pretrained(start["pretrained"], architecture)
    else:
        raise unknown("start", start, ['{"run": ID}', '{"pretrained": "torchvision"}'])


def _check_run(run_id: str, architecture: str) -> None:
    run = folders.open_run(run_id)
    if run.missing_weights:
        raise UserError(run.missing_weights)
    if run.config.architecture != architecture:
        raise UserError(
            f"The run {run.run_id!r} is a {run.config.architecture}: its weights do "
            f"not fit {architecture}."
        )


def _check_pretrained(source: str, architecture: str) -> None:
    if source != "torchvision":
        raise unknown("source of pretrained weights", source, ["torchvision"])
    pretrained = architectures.pretrained_by("torchvision")
    if architecture not in pretrained:
        raise UserError(
            f"torchvision has no pretrained weights of {architecture}, only of: "
            f"{', '.join(pretrained)}."
        )


def starting_model(config: RunConfig, images: Callable[[int], Tensor]) -> nn.Module:
    """The network of a configuration as its training begins, on the CPU.

    images: a function that gives some normalised training images (N, C, H, W), for networks that
    look at the data first (`fit_to`).
    """
    model = architectures.create(config.architecture, **config.arguments)
    start = config.start
    check_start(start, config.architecture)
    if start is None:
        fit_to = getattr(model, "fit_to", None)
        if callable(fit_to):
            fit_to(images(FITTED_ON))
    elif "run" in start:
        load_all_but_head(
            model, load_weights(folders.open_run(start["run"]).path("model.safetensors"))
        )
    else:
        load_all_but_head(model, _torchvision_weights(config.architecture))
    return model


def load_all_but_head(model: nn.Module, state_dict: dict[str, Tensor]) -> nn.Module:
    """Put tensors into a model whose last layer may be of another number of classes; that layer
    then stays random. UserError if more differs.

    A first convolution for colours is summed over them where the model takes grey pictures: it then
    answers as to a picture of three equal channels.
    """
    own = model.state_dict()
    weights = [name for name, parameter in model.named_parameters() if parameter.ndim > 1]
    state_dict = _in_grey(state_dict, own, weights[0])
    head = _layer_of(weights[-1])
    differs = any(
        name in own and tensor.shape != own[name].shape
        for name, tensor in state_dict.items()
        if _layer_of(name) == head
    )
    if differs:
        body = {name: tensor for name, tensor in state_dict.items() if _layer_of(name) != head}
        random = {name: tensor for name, tensor in own.items() if _layer_of(name) == head}
        state_dict = body | random
    return load_into(model, state_dict)


def _layer_of(tensor_name: str) -> str:
    return tensor_name.rpartition(".")[0]


def _in_grey(
    state_dict: dict[str, Tensor], own: dict[str, Tensor], first: str
) -> dict[str, Tensor]:
    """The tensors with the first convolution summed over colours, where the model's own is for grey
    pictures and this one is not.
    """
    takes_grey = own[first].ndim == 4 and own[first].shape[1] == 1
    if takes_grey and first in state_dict and state_dict[first].shape[1:2] == (3,):
        return state_dict | {first: state_dict[first].sum(1, keepdim=True)}
    return state_dict


def _torchvision_weights(architecture: str) -> dict[str, Tensor]:
    """torchvision's best weights, from its cache or its makers' site; a download's checksum is
    compared with the one in its name.
    """
    from torchvision.models import get_model_weights

    possible: Any = get_model_weights(architecture)
    weights = possible.DEFAULT
    path = weights.url.rpartition("/")[2]
    try:
        torch.hub.load_state_dict_from_url(
            weights.url,
            file_name=path,
            check_hash=True,
            progress=False,
            map_location="cpu",
            weights_only=True,
        )
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        cached = f"{torch.hub.get_dir()}/checkpoints/{path}"
        raise UserError(
            f"torchvision's weights of {architecture} cannot be had: they are not at "
            f"{cached}, or damaged there, and cannot be downloaded. "
            f"Put {weights.url} there, or start from scratch."
        ) from error
    return load_weights(f"{torch.hub.get_dir()}/checkpoints/{path}")


def freeze(model: nn.Module, count: int) -> list[nn.Module]:
    """Take the first `count` convolutions, and the normalisations after them, out of the training.
    Returns these modules.

    UserError if nothing but the last layer would be left, or less.
    """
    if not count:
        return []
    leaves = [
        module
        for module in model.modules()
        if not list(module.children()) and list(module.parameters())
    ]
    # 4 in a convolution, 2 in a linear layer
    ranks = [getattr(getattr(module, "weight", None), "ndim", 0) for module in leaves]
    convolutions = [number for number, rank in enumerate(ranks) if rank == 4]
    if not 0 < count <= len(convolutions):
        raise UserError(
            f"Cannot freeze {count} convolutions: between 0 and {len(convolutions)} is possible."
        )
    end = convolutions[count] if count < len(convolutions) else ranks.index(2, convolutions[-1])
    for module in leaves[:end]:
        module.requires_grad_(False)
    return leaves[:end]
