"""Grad-CAM: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391. The last maps, rectified where
the network rectifies them, each weighted with the class's mean gradient, their sum after a ReLU,
enlarged bilinearly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vizlib.errors import NothingToShow
from vizlib.inside.evidence import for_classes
from vizlib.inside.layouts import TOKENS

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from vizlib.inside.layers import Layer

WORDS = (
    "**Grad-CAM** shows at which places the last maps raise the class's score. It is no finer "
    "than those maps, and shows nothing of what speaks against the class."
)


def reading(values: np.ndarray, facts: Mapping[str, Any]) -> str:
    return f"up to {values.max():.3g}" if values.max() > 0 else "nothing speaks for it"


def making(facts: Mapping[str, Any]) -> str:
    rectified = " after their rectifier" if facts["rectified"] else ""
    return f"of the maps of {facts['layer']}{rectified}, {' × '.join(map(str, facts['size']))}"


@for_classes("Grad-CAM", style="heat", passes=3, words=WORDS, reading=reading, making=making)
def grad_cam(
    model: nn.Module, image: Tensor, target: int, say: Callable[[float], None]
) -> tuple[Tensor, dict[str, Any]]:
    """facts: layer; whether its maps are taken rectified; their size (height, width). Their mean
    gradients, and not logits, say how large it is. NothingToShow for a network without maps.
    """
    import torch.nn.functional as F

    from vizlib.inside.activations import slots
    from vizlib.inside.layers import layer_table

    layers = layer_table(model, tuple(image.shape[1:]))
    layer, is_rectified = last_maps(layers), False
    with slots:
        image.requires_grad_()
        if layer.layout.kind == TOKENS:
            layer, maps, gradient = _token_maps(model, image, target, layers)
        else:
            maps, gradient, is_rectified = _rectified_maps(model, image, target, layer)
        summed = (gradient.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True)
        values = F.interpolate(F.relu(summed), tuple(image.shape[2:]), mode="bilinear")
    size = tuple(maps.shape[2:])
    return values[0, 0], {"layer": layer.name, "rectified": is_rectified, "size": size}


def _rectified_maps(
    model: nn.Module, image: Tensor, target: int, layer: Layer
) -> tuple[Tensor, Tensor, bool]:
    """The layer's maps (1, C, h, w) as they are rectified after it, if they are, the gradient of
    the class's logit by them, and whether that is so.

    Followed from function to function: a normalisation or a dropout on the way is gone through,
    anything else, as a pool, ends it.
    """
    import torch

    from vizlib.inside.activations import CallNames, observing
    from vizlib.inside.following import Following

    called, following = CallNames(), Following()

    def look(name: str, module: nn.Module, output: Tensor) -> None:
        if called(name) == layer.name:
            following.begin(output)

    with following, observing(look):
        logits = model(image)
    maps, first = following.maps(), layer.layout.units_first
    (gradient,) = torch.autograd.grad(logits[0, target], maps)
    return first(maps.detach()), first(gradient), following.is_rectified


def _token_maps(
    model: nn.Module, image: Tensor, target: int, layers: Sequence[Layer]
) -> tuple[Layer, Tensor, Tensor]:
    """The last block of tokens whose places still have a say in the class's logit, its maps (1, C,
    h, w) and their gradient. Behind the last attention a vision transformer goes on with the token
    of the class alone. NothingToShow where none has a way to the logit.
    """
    import torch

    from vizlib.inside.activations import CallNames, observing

    blocks = {layer.name: layer for layer in layers if _is_block_of_tokens(layer)}
    called, outputs = CallNames(), {}

    def keep(name: str, module: nn.Module, output: Tensor) -> None:
        name = called(name)
        if name in blocks:
            outputs[name] = output

    with observing(keep):
        logits = model(image)
    gradients = torch.autograd.grad(logits[0, target], list(outputs.values()), allow_unused=True)
    kept = [
        (blocks[name], blocks[name].layout.units_first(gradient))
        for name, gradient in zip(outputs, gradients, strict=True)
        if gradient is not None
    ]
    if not kept:
        raise _nothing()
    layer, gradient = next((each for each in reversed(kept) if each[1].any()), kept[-1])
    return layer, layer.layout.units_first(outputs[layer.name].detach()), gradient


def _is_block_of_tokens(layer: Layer) -> bool:
    return layer.layout.kind == TOKENS and layer.is_block


def _nothing() -> NothingToShow:
    return NothingToShow("This network has no layer with maps, so there is no Grad-CAM of it.")


def last_maps(layers: Sequence[Layer]) -> Layer:
    """Of a layer table, the convolution, block or sum with maps larger than 1x1 that ends last; of
    several that end together the outermost.

    NothingToShow if there is none.
    """
    ends, candidates = {}, []
    for number, layer in enumerate(layers):
        ends[number] = next(
            (end for end in range(number + 1, len(layers)) if layers[end].depth <= layer.depth),
            len(layers),
        )
        has_maps = layer.has_maps and max(layer.layout.shape[1:]) > 1
        if has_maps and (layer.is_convolution or layer.is_block or layer.is_sum):
            candidates.append(number)
    if not candidates:
        raise _nothing()
    return layers[max(candidates, key=lambda number: (ends[number], -number))]
