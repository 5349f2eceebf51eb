"""The type of number that a training computes in."""

import torch
from torch import nn


def half_type(device, model, picture_size):
    """The two-byte type that convolutions are faster in on this device, or None. model: on it;
    picture_size: the smallest (C, H, W) that it gets.
    """
    if device.type == "cuda":
        return (
            torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
        )
    return (
        torch.bfloat16
        if torch.cpu._is_avx512_bf16_supported() and not _strides_over_a_point(model, picture_size)
        else None
    )


def _strides_over_a_point(model, picture_size):
    """Whether a window that strides is laid over maps of one place, as where a large network gets
    very small pictures.

    On CPUs the gradient of its filters is then left unwritten in bfloat16, and holds whatever was
    in that memory before (PyTorch 2.14).
    """
    found = []

    def look(module, inputs):
        windows = zip(inputs[0].shape[2:], module.kernel_size, module.stride, strict=True)
        found.append(
            any(side == 1 and kernel > 1 and stride > 1 for side, kernel, stride in windows)
        )

    hooks = [
        module.register_forward_pre_hook(look)
        for module in model.modules()
        if isinstance(module, nn.Conv2d)
    ]
    was_training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, *picture_size))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return any(found)
