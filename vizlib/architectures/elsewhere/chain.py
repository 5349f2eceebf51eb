"""A plain chain of layers, described by data alone: what bring/chains.py makes of a file's tensors.

A layer is a dictionary with a "kind", the "name" that the file has before ".weight" and ".bias",
and the sizes of its kind; sizes left out have PyTorch's defaults. Together they are the argument
`layers` in a run's config.json:

    {"kind": "conv", "name": "conv1", "in": 3, "out": 6, "size": 5, "padding": 2, "bias": true}
    {"kind": "relu", "name": "relu1"}
    {"kind": "pool", "name": "pool1", "of": "max", "size": 2, "stride": 2}
    {"kind": "flatten", "name": "flatten"}
    {"kind": "linear", "name": "classifier.1", "in": 1350, "out": 10}

A configuration may come from anybody, so nothing of it is believed before it is checked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from vizlib.architectures.elsewhere import Source, add
from vizlib.errors import UserError

NAME = "chain/net"
MOST_LAYERS = 1000
MOST_WEIGHTS = 250_000_000  # a gigabyte, the most that a weights file may have
MOST_VALUES = 100_000_000  # of one layer's maps for one image
NONLINEARITIES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
POOLS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}
_CHANNELS, _FEATURES, _SIDE = (1, 65_536), (1, 10_000_000), (1, 64)
# the sizes of each kind: (least, greatest) of a whole number; a bool for one that is true or false,
# and names for one that is a choice
_SIZES: dict[str, dict[str, Any]] = {
    "conv": {
        "in": _CHANNELS,
        "out": _CHANNELS,
        "size": _SIDE,
        "stride": _SIDE,
        "padding": (0, 64),
        "dilation": _SIDE,
        "groups": _CHANNELS,
        "bias": bool,
    },
    "norm": {"channels": _FEATURES, "affine": bool},
    "relu": {"of": NONLINEARITIES},
    "pool": {"of": POOLS, "size": _SIDE, "stride": _SIDE, "padding": (0, 32), "ceil": bool},
    "adaptive_pool": {"size": (1, 32)},
    "flatten": {},
    "linear": {"in": _FEATURES, "out": _FEATURES, "bias": bool},
    "dropout": {},
}
_DEFAULTS = {
    "conv": {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True},
    "norm": {"affine": True},
    "relu": {"of": "relu"},
    "pool": {"of": "max", "padding": 0, "ceil": False},
    "adaptive_pool": {"size": 1},
    "linear": {"bias": True},
}
_TWO_SIDES = ("size", "stride", "padding", "dilation")  # a number, or [vertical, horizontal]
_NAME = re.compile(r"\w+(\.\w+){0,15}", re.ASCII)
_LONGEST_NAME = 200


class Chain(nn.Module):
    """Modules by their names, dots and all, that are called one after the other."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        super().__init__()
        self._in_order = list(modules)
        for name, module in modules.items():
            _put(self, name, module)

    def forward(self, images: Tensor) -> Tensor:
        for name in self._in_order:
            module = self.get_submodule(name)
            _check_maps(name, module, images)
            images = module(images)
        return images


def _put(container: nn.Module, name: str, module: nn.Module) -> None:
    """Register a module inside others, which are made where they are not there."""
    *outer, last = name.split(".")
    for part in outer:
        if part not in container._modules:
            container.add_module(part, nn.Module())
        container = container.get_submodule(part)
    container.add_module(last, module)


def _check_maps(name: str, module: nn.Module, images: Tensor) -> None:
    """UserError before a convolution that would fill the memory."""
    if isinstance(module, nn.Conv2d) and images.dim() == 4:
        values = module.out_channels * math.prod(images.shape[2:])
        if values > MOST_VALUES * max(module.stride) ** 2:
            raise UserError(f"The maps of {name!r} would have {values:,} values for one image.")


def net(layers: Sequence[dict[str, Any]] = ()) -> nn.Module:
    """A network of these layers in this order. UserError for what is no such list."""
    modules, is_flat = {}, False
    for layer in check(layers):
        is_flat = is_flat or layer["kind"] in ("flatten", "linear")
        modules[layer["name"]] = _module(layer, is_flat)
    return Chain(modules)


def _module(layer: dict[str, Any], is_flat: bool) -> nn.Module:
    kind = layer["kind"]
    sizes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in layer.items()
        if name not in ("kind", "name")
    }
    if kind == "relu":
        return NONLINEARITIES[sizes["of"]]()
    if kind == "pool":
        pool = POOLS[sizes["of"]]
        return pool(sizes["size"], sizes["stride"], sizes["padding"], ceil_mode=sizes["ceil"])
    if kind == "conv":
        rest = {name: sizes[name] for name in ("stride", "padding", "dilation", "groups", "bias")}
        return nn.Conv2d(sizes["in"], sizes["out"], sizes["size"], **rest)
    if kind == "norm":
        norm = nn.BatchNorm1d if is_flat else nn.BatchNorm2d
        return norm(sizes["channels"], affine=sizes["affine"])
    if kind == "linear":
        return nn.Linear(sizes["in"], sizes["out"], bias=sizes["bias"])
    if kind == "adaptive_pool":
        return nn.AdaptiveAvgPool2d(sizes["size"])
    return nn.Flatten() if kind == "flatten" else nn.Dropout()


def check(layers: object) -> list[dict[str, Any]]:
    """The layers with all their sizes. UserError that says which of them is none, and why."""
    if not isinstance(layers, (list, tuple)) or not layers:
        raise UserError("A chain needs a list of layers.")
    if len(layers) > MOST_LAYERS:
        raise UserError(f"A chain has at most {MOST_LAYERS:,} layers, not {len(layers):,}.")
    checked = [_checked(number, layer) for number, layer in enumerate(layers)]
    _check_names([layer["name"] for layer in checked])
    weights = sum(map(_weights, checked))
    if weights > MOST_WEIGHTS:
        raise UserError(f"These layers have {weights:,} weights; at most {MOST_WEIGHTS:,} can be.")
    return checked


def _checked(number: int, layer: object) -> dict[str, Any]:
    """One layer with all its sizes. UserError if it is none."""
    kind = layer.get("kind") if isinstance(layer, dict) else None
    if not isinstance(layer, dict) or not isinstance(kind, str) or kind not in _SIZES:
        raise UserError(f"Layer {number} is of no kind. Possible: {', '.join(_SIZES)}.")
    name, possible = layer.get("name"), _SIZES[kind]
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise UserError(f"Layer {number} has no name of letters, digits, '_' and '.'.")
    if any(hasattr(nn.Module, part) or hasattr(_PLAIN, part) for part in name.split(".")):
        raise UserError(f"Layer {number} has a name that no module can have: {name!r}.")
    whole = _DEFAULTS.get(kind, {}) | layer
    if kind == "pool":
        whole.setdefault("stride", whole.get("size"))
    for unknown in whole.keys() - possible.keys() - {"kind", "name"}:
        raise UserError(f"A layer of kind {kind!r} has no {str(unknown)[:40]!r}: {name!r} has.")
    for size, allowed in possible.items():
        if not _fits(whole.get(size), allowed, both=size in _TWO_SIDES):
            raise UserError(f"{size!r} of the layer {name!r} {_wanted(allowed)}.")
    _check_together(whole)
    return whole


_PLAIN = Chain({})


def _fits(value: object, allowed: Any, both: bool) -> bool:
    if both and isinstance(value, list):
        return len(value) == 2 and all(_fits(side, allowed, both=False) for side in value)
    if allowed is bool:
        return isinstance(value, bool)
    if isinstance(allowed, dict):
        return isinstance(value, str) and value in allowed
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return is_whole and allowed[0] <= value <= allowed[1]


def _wanted(allowed: Any) -> str:
    if allowed is bool:
        return "is true or false"
    if isinstance(allowed, dict):
        return f"is one of {', '.join(allowed)}"
    return f"is a whole number from {allowed[0]:,} to {allowed[1]:,}"


def _check_together(layer: dict[str, Any]) -> None:
    """UserError for sizes that do not go together."""
    name = layer["name"]
    if layer["kind"] == "conv" and (
        layer["in"] % layer["groups"] or layer["out"] % layer["groups"]
    ):
        raise UserError(
            f"The channels of {name!r} are no multiple of its {layer['groups']} groups."
        )
    if layer["kind"] == "pool":
        sizes, paddings = _sides(layer["size"]), _sides(layer["padding"])
        if any(2 * pad > side for side, pad in zip(sizes, paddings, strict=True)):
            raise UserError(f"The padding of the pool {name!r} is more than half of its size.")


def _sides(size: int | list[int]) -> list[int]:
    """[vertical, horizontal] of a size that is one number for both, or two."""
    return size if isinstance(size, list) else [size, size]


def _check_names(names: list[str]) -> None:
    """UserError for a name taken twice, or one that would hold another."""
    for before, name in pairwise(sorted(names, key=lambda name: name.split("."))):
        if name == before or name.startswith(before + "."):
            raise UserError(f"The names of the layers {before!r} and {name!r} exclude one another.")


def _weights(layer: dict[str, Any]) -> int:
    """How many a layer has, about: without biases."""
    if layer["kind"] == "conv":
        return layer["in"] // layer["groups"] * layer["out"] * math.prod(_sides(layer["size"]))
    if layer["kind"] == "linear":
        return layer["in"] * layer["out"]
    return 4 * layer.get("channels", 0)


add(
    Source(
        "chain",
        "a chain rebuilt from its tensors",
        "",
        mean=(),  # nobody knows
        std=(),
    ),
    "net",
    net,
    summary="A chain of layers, rebuilt from the shapes of its weights: pools, strides and padding "
    "are as they were assumed when it was imported.",
)
