"""All ReLUs of a network as one that can be overridden, whether they are modules or functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vizlib.inside.activations import forward, prepare, twin

RELUS = (F.relu, torch.relu, torch.Tensor.relu)


def has_relu(model: nn.Module, images: Tensor) -> bool:
    """Whether a pass of these images (N, C, H, W) goes through any ReLU, be it a module or a
    function.
    """
    seen = []
    with _Through(lambda maps: seen.append(maps) or F.relu(maps)):
        forward(prepare(twin(model)), images)
    return bool(seen)


class OneRelu(nn.Module):
    """A function of images as a module whose only child is one ReLU, that every ReLU of a pass goes
    through: the one that Captum overrides.

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


class _Through(TorchFunctionMode):
    """In this thread every ReLU, of nn.ReLU or of a function, becomes relu(its input)."""

    def __init__(self, relu: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.relu = relu

    def __torch_function__(
        self,
        function: Callable,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if function in RELUS:
            return self.relu(args[0] if args else kwargs["input"])
        return function(*args, **kwargs)
