"""All rectifiers of a network as one ReLU that can be overridden, whether they are modules or
functions.

The methods that override it are defined for ReLUs. A rectifier that is a ReLU and a little more is
taken apart into a ReLU and the rest: a ReLU6 is bounded above, where nothing comes back; of a leaky
one the leak is carried forward and hands nothing back. What bends smoothly, as GELU and SiLU, has
no such rule: its gradient is the plain one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vizlib.inside.activations import forward, prepare, twin

Relu = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Rectifiers:
    """The kinds that a pass goes through, by name: of those a ReLU can be taken out of, and of
    those that have no rule.
    """

    with_rule: tuple[str, ...]
    without_rule: tuple[str, ...]


def rectifiers(model: nn.Module, images: Tensor) -> Rectifiers:
    """The Rectifiers of a pass of these images (N, C, H, W)."""
    with_rule, without_rule = set(), set()

    def note(function: Callable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        rule = _rule(function, args, kwargs)
        if rule is not None:
            with_rule.add(rule[0])
        elif function in _SMOOTH:
            without_rule.add(_SMOOTH[function])

    with _Seen(note):
        forward(prepare(twin(model)), images)
    return Rectifiers(tuple(sorted(with_rule)), tuple(sorted(without_rule)))


class OneRelu(nn.Module):
    """A function of images as a module whose only child is one ReLU, that every rectifier of a pass
    goes through: the one that Captum overrides.

    Captum overrides modules only, not functions; and what it knows of a module called twice, as
    torchvision's are, is of its latest call.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function, self.relu = function, nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        # Captum rewrites the gradient of the ReLU's input, whoever else uses that tensor; the copy
        # is used by the ReLU alone, and is the next to get its gradient after the ReLU's output, so
        # that what Captum has kept is always of the same call.
        with _Through(lambda maps: self.relu(maps.clone())):
            return self.function(images)


def is_rectifier(function: Callable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call of this function cuts or bends off what is below zero, smoothly or not."""
    return bool(rectifier_name(function, args, kwargs))


def rectifier_name(function: Callable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The kind of rectifier that a call of this function is, "ReLU", "GELU"; empty for others."""
    rule = _rule(function, args, kwargs)
    return rule[0] if rule else _SMOOTH.get(function, "")


class _Seen(TorchFunctionMode):
    """In this thread note(function, args, kwargs) is told every call of PyTorch's functions."""

    def __init__(self, note: Callable[[Callable, tuple, dict[str, Any]], object]) -> None:
        super().__init__()
        self.note = note

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        self.note(function, args, kwargs or {})
        return function(*args, **(kwargs or {}))


class _Through(TorchFunctionMode):
    """In this thread every rectifier, of a module or a function, goes through relu(its input)."""

    def __init__(self, relu: Relu) -> None:
        super().__init__()
        self.relu = relu

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        rule = _rule(function, args, kwargs)
        if rule is None:
            return function(*args, **kwargs)
        maps = args[0] if args else kwargs["input"]
        result = rule[1](self.relu, maps)
        return maps.copy_(result) if function in _IN_PLACE else result


# A rule gives the value of a rectifier, made of relu(maps) and what hands no gradient back.
Rule = Callable[[Relu, Tensor], Tensor]


def _plain(relu: Relu, maps: Tensor) -> Tensor:
    return relu(maps)


def _bounded(relu: Relu, maps: Tensor) -> Tensor:
    return relu(maps).clamp(max=6)


def _leaky(slope: float | Tensor) -> Rule:
    def rule(relu: Relu, maps: Tensor) -> Tensor:
        leak = torch.where(maps < 0, maps * slope, 0.0)
        return relu(maps) + leak.detach()

    return rule


_PLAIN = {
    F.relu,
    torch.relu,
    torch.Tensor.relu,
    torch.relu_,
    torch.Tensor.relu_,
}
_LEAKY = {F.leaky_relu, F.leaky_relu_}
_PRELU = {F.prelu, torch.prelu, torch.Tensor.prelu}
_CLAMPS = {torch.clamp, torch.Tensor.clamp, torch.clamp_, torch.Tensor.clamp_}
_IN_PLACE = {torch.relu_, torch.Tensor.relu_, F.leaky_relu_, torch.clamp_, torch.Tensor.clamp_}
_SMOOTH = {
    F.gelu: "GELU",
    F.silu: "SiLU",
    F.elu: "ELU",
    F.selu: "SELU",
    F.celu: "CELU",
    F.mish: "Mish",
    F.hardswish: "Hardswish",
    F.softplus: "Softplus",
}


def _rule(
    function: Callable, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, Rule] | None:
    """The name and the rule of a call that is a rectifier with a ReLU in it; else None."""
    if function in _PLAIN:
        return "ReLU", _plain
    if function is F.relu6:
        return "ReLU6", _bounded
    if function in _LEAKY:
        return "LeakyReLU", _leaky(_argument(args, kwargs, 1, "negative_slope", 0.01))
    if function in _PRELU:
        return "PReLU", _of_weight(_argument(args, kwargs, 1, "weight", None))
    if function is F.hardtanh or function in _CLAMPS:
        return _between(function, args, kwargs)
    return None


def _of_weight(weight: Tensor) -> Rule:
    """Of a PReLU, whose slope is a number for each channel, or one for all."""

    def rule(relu: Relu, maps: Tensor) -> Tensor:
        slope = weight.reshape(1, -1, *[1] * (maps.ndim - 2)) if weight.numel() > 1 else weight
        return _leaky(slope)(relu, maps)

    return rule


def _between(
    function: Callable, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, Rule] | None:
    """nn.ReLU6 is a hardtanh from 0 to 6; clamping at 0 is a ReLU."""
    is_hardtanh = function is F.hardtanh
    names = ("min_val", "max_val") if is_hardtanh else ("min", "max")
    usual = (-1.0, 1.0) if is_hardtanh else (None, None)
    low, high = (
        _argument(args, kwargs, place, name, default)
        for place, name, default in zip((1, 2), names, usual, strict=True)
    )
    if isinstance(low, Tensor) or low != 0 or isinstance(high, Tensor):
        return None
    if high is None:
        return "ReLU", _plain
    return ("ReLU6", _bounded) if high == 6 else None


def _argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str, default: Any
) -> Any:
    return args[place] if len(args) > place else kwargs.get(name, default)
