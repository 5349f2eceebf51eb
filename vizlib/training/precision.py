"""The type of number that a training computes in."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vizlib.training.number_types import CONVOLUTION, fast_type


def half_type(
    device: torch.device, model: nn.Module, picture_size: Sequence[int]
) -> torch.dtype | None:
    """The two-byte type that convolutions are faster in on this device, or None. model: on it;
    picture_size: the smallest (C, H, W) that it gets.
    """
    fast = fast_type(device, CONVOLUTION)
    if fast is torch.float32:
        return None
    if device.type == "cpu" and _strides_over_a_point(model, picture_size):
        return None
    return fast


def autocast_of(device: torch.device, half: torch.dtype | None) -> dict[str, Any]:
    """The arguments of torch.autocast that compute in this two-byte type, or in none."""
    return {
        "device_type": device.type,
        "dtype": half or torch.bfloat16,
        "enabled": half is not None,
    }


def _strides_over_a_point(model: nn.Module, picture_size: Sequence[int]) -> bool:
    """Whether a window that strides is laid over maps of one position, as where a large network
    gets very small pictures.

    On CPUs the gradient of its filters is then left unwritten in bfloat16, and holds whatever was
    in that memory before (PyTorch 2.14).
    """
    for convolution, sides in _maps_of_convolutions(model, picture_size):
        windows = zip(sides, convolution.kernel_size, convolution.stride, strict=True)
        if any(side == 1 and kernel > 1 and stride > 1 for side, kernel, stride in windows):
            return True
    return False


def _maps_of_convolutions(
    model: nn.Module, picture_size: Sequence[int]
) -> list[tuple[nn.Conv2d, torch.Size]]:
    """Each call of a convolution, with (height, width) of the maps that it is given."""
    calls: list[tuple[nn.Conv2d, torch.Size]] = []

    def look(convolution: nn.Conv2d, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        calls.append((convolution, inputs[0].shape[2:]))

    hooks = [
        convolution.register_forward_pre_hook(partial(look, convolution))
        for convolution in model.modules()
        if isinstance(convolution, nn.Conv2d)
    ]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *picture_size))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return calls
