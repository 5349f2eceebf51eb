"""Grad-CAM: Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391. The last maps, rectified where
the network rectifies them, each weighted with the class's mean gradient, their sum after a ReLU,
enlarged bilinearly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vizlib.errors import UserError
from vizlib.inside.evidence import for_classes

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
    gradients, and not logits, say how large it is. UserError for a network without maps.
    """
    import torch
    import torch.nn.functional as F

    from vizlib.inside.activations import slots
    from vizlib.inside.layers import layer_table

    layer = last_maps(layer_table(model, tuple(image.shape[1:])))
    with slots:
        logits, maps, is_rectified = _rectified_maps(model, image.requires_grad_(), layer.name)
        (gradient,) = torch.autograd.grad(logits[0, target], maps)
        summed = (gradient.mean((2, 3), keepdim=True) * maps.detach()).sum(1, keepdim=True)
        values = F.interpolate(F.relu(summed), tuple(image.shape[2:]), mode="bilinear")
    size = tuple(maps.shape[2:])
    return values[0, 0], {"layer": layer.name, "rectified": is_rectified, "size": size}


def _rectified_maps(
    model: nn.Module, image: Tensor, layer_name: str
) -> tuple[Tensor, Tensor, bool]:
    """Logits (1, K), the layer's maps (1, C, h, w) as they are rectified after it, if they are, and
    whether that is so.

    Followed from function to function: a normalisation or a dropout on the way is gone through,
    anything else, as a pool, ends it.
    """
    from vizlib.inside.activations import CallNames, observing
    from vizlib.inside.following import Following

    called, following = CallNames(), Following()

    def look(name: str, module: nn.Module, output: Tensor) -> None:
        if called(name) == layer_name:
            following.begin(output)

    with following, observing(look):
        logits = model(image)
    return logits, following.maps(), following.is_rectified


def last_maps(layers: Sequence[Layer]) -> Layer:
    """Of a layer table, the convolution, block or sum with maps larger than 1x1 that ends last; of
    several that end together the outermost.

    UserError if there is none.
    """
    ends, candidates = {}, []
    for number, layer in enumerate(layers):
        ends[number] = next(
            (end for end in range(number + 1, len(layers)) if layers[end].depth <= layer.depth),
            len(layers),
        )
        has_maps = len(layer.output_shape) == 3 and max(layer.output_shape[1:]) > 1
        if has_maps and (layer.is_convolution or layer.is_block or layer.is_sum):
            candidates.append(number)
    if not candidates:
        raise UserError("This network has no layer with maps, so there is no Grad-CAM of it.")
    return layers[max(candidates, key=lambda number: (ends[number], -number))]
