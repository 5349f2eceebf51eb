"""One unit of a convolution as it works on one image: what it is given, its kernel, what each input
channel brings to its sum, and what becomes of that sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vizlib.errors import NothingToShow, UserError
from vizlib.inside.activations import CallNames, forward, no_such_unit
from vizlib.inside.relus import rectifier_name

_CONVOLUTIONS = {F.conv2d, torch.conv2d}
_NORMALISATIONS = {
    F.batch_norm: "batch normalisation",
    torch.batch_norm: "batch normalisation",
    F.group_norm: "group normalisation",
    F.instance_norm: "instance normalisation",
    F.layer_norm: "layer normalisation",
}
_UNCHANGED = {F.dropout, F.dropout2d, torch.Tensor.contiguous}
Sides = tuple[int, int, int, int]  # (top, left, bottom, right)


@dataclass(frozen=True)
class Stage:
    """What becomes of a sum. word: what did it, "ReLU". values: float32 (h, w), the unit's.
    scale, shift: of a normalisation that does the same at every position and for every image:
    values = scale * before + shift; else None.
    """

    word: str
    values: np.ndarray
    scale: float | None = None
    shift: float | None = None


@dataclass(frozen=True)
class Convolved:
    """A unit of a convolution at work on one image.

    given: float32 (C, H, W), the input channels that the unit reads, with what was put around them;
    `outside` says how many rows and columns of it that is. fill: what stands there, "zeros", or how
    it was made. first: the number of the first of these, of `channels`. is_picture: whether they
    are the picture itself, as the network gets it. kernel: float32 (C, kh, kw). bias: None where
    there is none. shares: float32 (C, h, w), what each channel brings to each position. output:
    float32 (h, w), the network's own values. stages: what becomes of them, up to the rectifier.
    """

    given: np.ndarray
    outside: Sides
    fill: str
    first: int
    channels: int
    is_picture: bool
    kernel: np.ndarray
    bias: float | None
    stride: tuple[int, int]
    dilation: tuple[int, int]
    shares: np.ndarray
    output: np.ndarray
    stages: tuple[Stage, ...]


def at_work(model: nn.Module, image: Tensor, layer_name: str, unit: int) -> Convolved:
    """A unit of a convolution, or of a module that gives one's output as it is, at work on an image
    (1, C, H, W), normalised.

    model: prepared. "name#2" is the second call of a module. NothingToShow for a layer that is no
    convolution of maps; UserError for a unit that is not there, or a layer that is not reached.
    """
    watch = _Watch(layer_name)
    with watch:
        forward(model, image, watch.module_ended)
    if not watch.is_reached:
        raise UserError(f"There is no layer {layer_name!r} on the way of this image.")
    call = watch.call
    if call is None:
        raise NothingToShow(f"{layer_name} is no convolution: no kernel slides over its input.")
    if not 0 <= unit < call.output.shape[1]:
        raise no_such_unit(layer_name, call.output.shape[1:], unit)
    with torch.inference_mode():
        return call.of_unit(unit, image, [step(unit) for step in watch.steps])


@dataclass(frozen=True)
class _Call:
    """One call of F.conv2d, and what was put around its input before."""

    given: Tensor
    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, int]
    padding: Sides
    dilation: tuple[int, int]
    groups: int
    output: Tensor
    fill: str = "zeros"
    inner: Tensor | None = None  # the input without what was put around it before

    def of_unit(self, unit: int, image: Tensor, stages: Sequence[Stage]) -> Convolved:
        kernel = self.weight[unit].detach()
        count = len(kernel)
        first = unit // (len(self.weight) // self.groups) * count
        top, left, bottom, right = self.padding
        channels = self.given[:1, first : first + count]
        if self.inner is None:
            channels = F.pad(channels, (left, right, top, bottom))
        shares = F.conv2d(
            channels,
            kernel[:, None],
            stride=self.stride,
            dilation=self.dilation,
            groups=count,
        )[0]
        inner = self.given if self.inner is None else self.inner
        return Convolved(
            _array(channels[0]),
            self.padding,
            self.fill,
            first,
            self.given.shape[1],
            inner.shape == image.shape and bool(torch.equal(inner, image)),
            _array(kernel),
            None if self.bias is None else float(self.bias[unit]),
            self.stride,
            self.dilation,
            _array(shares),
            _array(self.output[0, unit]),
            tuple(stages),
        )


class _Watch(TorchFunctionMode):
    """Within it, in this thread only, the convolution that a layer's output is of is kept, and what
    becomes of that output is followed through normalisations up to its rectifier.
    """

    def __init__(self, layer_name: str) -> None:
        super().__init__()
        self.layer_name = layer_name
        self.is_reached = False
        self.call: _Call | None = None
        self.steps: list[Callable[[int], Stage]] = []
        self._latest: _Call | None = None
        self._padded: tuple[Tensor, Tensor, Sides, str] | None = None
        self._now: Tensor | None = None
        self._called = CallNames()

    def module_ended(self, name: str, module: nn.Module, output: Tensor) -> None:
        """The observer of the pass."""
        if self._called(name) != self.layer_name:
            return
        self.is_reached = True
        if self._latest is not None and output is self._latest.output:
            self.call, self._now = self._latest, output

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        if function in _CONVOLUTIONS and self.call is None and result.dim() == 4:
            self._latest = self._called_with(result, *args, **kwargs)
        elif function is F.pad:
            self._padded = _around(result, *args, **kwargs)
        given = args[0] if args else kwargs.get("input")
        # asking it for its size makes nothing of it
        if self._now is not None and given is self._now and isinstance(result, Tensor):
            self._follow(function, args, kwargs, result)
        return result

    def _called_with(
        self,
        output: Tensor,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> _Call:
        steps, spread = _pair(stride), _pair(dilation)
        around = _padding(padding, weight.shape[2:], spread)
        call = _Call(input, weight, bias, steps, around, spread, groups, output)
        if self._padded is None or self._padded[0] is not input or any(around):
            return call
        _, inner, sides, fill = self._padded
        return _Call(input, weight, bias, steps, sides, spread, groups, output, fill, inner)

    def _follow(
        self, function: Callable, args: tuple[Any, ...], kwargs: dict[str, Any], result: Tensor
    ) -> None:
        rectifier = rectifier_name(function, args, kwargs)
        word = rectifier or _NORMALISATIONS.get(function, "")
        if word:
            # a copy: what follows may write over it
            values = result.detach()[0].clone()
            affine = _affine(*args, **kwargs) if function is F.batch_norm else None
            self.steps.append(lambda unit: _stage(word, values, affine, unit))
        goes_on = not rectifier and (word or function in _UNCHANGED)
        self._now = result if goes_on else None


def _stage(word: str, values: Tensor, affine: tuple[Tensor, Tensor] | None, unit: int) -> Stage:
    scale, shift = (None, None) if affine is None else (float(part[unit]) for part in affine)
    return Stage(word, _array(values[unit]), scale, shift)


def _affine(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor] | None:
    """(scale, shift) by channel of a batch normalisation; None where it goes by the batch."""
    if running_mean is None or running_var is None or training:
        return None
    scale = (running_var + eps).rsqrt() * (1 if weight is None else weight)
    return scale, (0 if bias is None else bias) - running_mean * scale


def _around(
    result: Tensor, input: Tensor, pad: Sequence[int], mode: str = "constant", value: Any = None
) -> tuple[Tensor, Tensor, Sides, str] | None:
    """(padded, as it was, sides, what stands there) of a call of F.pad; None where it pads other
    axes than the map's, or cuts off.
    """
    if len(pad) != 4 or min(pad) < 0:
        return None
    left, right, top, bottom = (int(side) for side in pad)
    zeros = mode == "constant" and not value
    fill = "zeros" if zeros else f"{value:g}" if mode == "constant" else mode
    return result, input, (top, left, bottom, right), fill


def _padding(padding: Any, kernel: Sequence[int], dilation: Sequence[int]) -> Sides:
    """What a convolution itself puts around its input; "same" leaves the odd one below and right,
    as PyTorch does.
    """
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":
        reach = [(size - 1) * step for size, step in zip(kernel, dilation, strict=True)]
        top, left = (whole // 2 for whole in reach)
        return top, left, reach[0] - top, reach[1] - left
    vertical, horizontal = _pair(padding)
    return vertical, horizontal, vertical, horizontal


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    first, *rest = value
    return int(first), int(rest[0] if rest else first)


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())
