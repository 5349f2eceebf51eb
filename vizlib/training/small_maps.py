"""Convolutions over very small maps as products of matrices, which they are then, on a CPU.

oneDNN's kernels for convolutions are made for maps of many places. Over 1 x 1 and 2 x 2 places,
where the last stages of large networks work on small pictures, they take several times as long as
the product that is the same: of the weights' gradient up to fifty times (PyTorch 2.14, one to
seventeen times in all; `python -m benchmarks.small_maps`).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# so many places of its output a convolution may have: of one pixel, and any other one
PLACES_OF_ONE_PIXEL, PLACES = 16, 4


def as_products(device: torch.device, *, compiled: bool = False) -> AbstractContextManager[object]:
    """Within it convolutions over very small maps are products of matrices, on a CPU; what is
    compiled has kernels of its own.
    """
    return _AsProducts() if device.type == "cpu" and not compiled else nullcontext()


class _AsProducts(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.conv2d:
            return _convolved(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _convolved(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sequence[int] | int = 1,
    padding: Sequence[int] | int | str = 0,
    dilation: Sequence[int] | int = 1,
    groups: int = 1,
) -> Tensor:
    """torch.conv2d, or a product that is the same."""
    is_plain = input.dim() == 4 and groups == 1 and _pair(dilation) == (1, 1)
    if is_plain and not isinstance(padding, str):
        steps, border = _pair(stride), _pair(padding)
        sides = [
            (side + 2 * more - kernel) // step + 1
            for side, kernel, step, more in zip(
                input.shape[2:], weight.shape[2:], steps, border, strict=True
            )
        ]
        is_of_one_pixel = weight.shape[2:] == (1, 1) and border == (0, 0)
        places = sides[0] * sides[1] if min(sides) > 0 else inf
        if is_of_one_pixel and places <= PLACES_OF_ONE_PIXEL:
            seen = input[:, :, :: steps[0], :: steps[1]].permute(0, 2, 3, 1)
            return _with_bias(seen @ weight[:, :, 0, 0].t(), bias)
        if places <= PLACES:
            return _with_bias(_by_places(input, weight, sides, steps, border), bias)
    return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)


def _by_places(
    images: Tensor,
    weight: Tensor,
    sides: Sequence[int],
    steps: Sequence[int],
    border: Sequence[int],
) -> Tensor:
    """(N, h, w, out): at each place one product, of what its window has of the images, without the
    border of zeros, and the weights that lie over it.
    """
    out = len(weight)
    if torch.is_autocast_enabled("cpu"):  # once, and not at every place
        weight = weight.to(torch.get_autocast_dtype("cpu"))
    images, weight = images.permute(0, 2, 3, 1), weight.permute(2, 3, 1, 0)
    places = []
    for row in range(sides[0]):
        rows, over_rows = _window(row * steps[0] - border[0], weight.shape[0], images.shape[1])
        for column in range(sides[1]):
            start = column * steps[1] - border[1]
            columns, over_columns = _window(start, weight.shape[1], images.shape[2])
            seen = images[:, rows, columns].flatten(1)
            places.append(seen @ weight[over_rows, over_columns].reshape(-1, out))
    return torch.stack(places, dim=1).unflatten(1, tuple(sides))


def _window(start: int, length: int, side: int) -> tuple[slice, slice]:
    """Which pixels of `side` a window from `start` on has, and which of its own lie over them."""
    first, end = max(start, 0), min(start + length, side)
    end = max(first, end)  # it may lie in the border as a whole
    return slice(first, end), slice(first - start, end - start)


def _with_bias(places: Tensor, bias: Tensor | None) -> Tensor:
    """(N, h, w, out) with the bias, as maps (N, out, h, w)."""
    if bias is not None:
        places = places + bias.to(places.dtype)
    return places.permute(0, 3, 1, 2)


def _pair(value: Sequence[int] | int) -> tuple[int, int]:
    """A number for both axes, or one for each."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values[0], values[-1]
