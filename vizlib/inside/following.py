"""What becomes of a tensor behind the layer that made it, as far as its rectifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from vizlib.inside.relus import is_rectifier

# what may stand between a convolution and its rectifier
_ON_THE_WAY = {
    F.batch_norm,
    torch.batch_norm,
    F.group_norm,
    F.instance_norm,
    F.layer_norm,
    F.dropout,
    F.dropout2d,
    torch.Tensor.contiguous,
}


class Following(TorchFunctionMode):
    """Within `with Following() as following`, what is begun with is followed through normalisations
    into the rectifier after it, in this thread only.

    is_rectified: whether there was one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_rectified = False
        self._begun: Tensor | None = None
        self._now: Tensor | None = None

    def begin(self, tensor: Tensor) -> None:
        """Follow this tensor from now on."""
        self._begun = self._now = tensor
        self.is_rectified = False

    def maps(self) -> Tensor:
        """What was followed: rectified, or as it began."""
        reached = self._now if self.is_rectified else self._begun
        if reached is None:
            raise ValueError("nothing was followed")
        return reached

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        given = args[0] if args else kwargs.get("input")
        if self._now is not None and given is self._now and not self.is_rectified:
            self.is_rectified = is_rectifier(function, args, kwargs)
            if self.is_rectified or function in _ON_THE_WAY:
                self._now = result
        return result
