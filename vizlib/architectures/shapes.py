"""Networks of names and shapes alone: what is asked of a network's form costs neither the memory of
its weights nor the time to draw them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

# What weights are made with. No others: of torch.arange and the like some networks reckon their
# widths (torchvision's RegNets), and need the numbers.
_MAKERS = {
    torch.empty,
    torch.zeros,
    torch.ones,
    torch.full,
    torch.rand,
    torch.randn,
}
# What they are filled with afterwards: there is nothing to fill, and PyTorch's own rules for the
# meta device import its compiler, which takes seconds
_FILLERS = {
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    torch.Tensor.zero_,
    torch.Tensor.fill_,
    torch.Tensor.erfinv_,
    torch.Tensor.mul_,
    torch.Tensor.add_,
    torch.Tensor.clamp_,
}


class _OnMeta(TorchFunctionMode):
    """In this thread weights are made on PyTorch's meta device, where tensors have no values."""

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in _MAKERS:
            kwargs = kwargs | {"device": "meta"}
        if function in _FILLERS and args[0].is_meta:
            return args[0]
        return function(*args, **kwargs)


# What weights are drawn at random with; the last three call the first two unseen
_DRAWERS = {
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    nn.init.kaiming_uniform_,
}
# A layer draws its weights, its network once more, perhaps a network around that. What is drawn
# oftener is drawn until it fits, as for a truncated normal distribution, and would be for ever.
MOST_DRAWINGS = 3


class _NotDrawn(TorchFunctionMode):
    """In this thread parameters are zero instead of drawn at random; all else is drawn."""

    def __init__(self) -> None:
        super().__init__()
        self._drawings: Counter[int] = Counter()  # of a parameter, by its id

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        drawn = args[0] if args else kwargs.get("tensor")
        if function in _DRAWERS and isinstance(drawn, nn.Parameter):
            self._drawings[id(drawn)] += 1
            if self._drawings[id(drawn)] <= MOST_DRAWINGS:
                with torch.no_grad():
                    return drawn.zero_()
        return function(*args, **kwargs)


@contextmanager
def not_drawn() -> Iterator[None]:
    """Within it, in this thread alone, a network that is built has zeros for weights, until those
    of a file come: drawing them takes as long as reading them.
    """
    with _NotDrawn():
        yield


@contextmanager
def without_numbers() -> Iterator[None]:
    """Within it, in this thread alone, a network that is built has names and shapes and no values:
    a second for the largest, and no memory.

    Its buffers may have values all the same; `network.to("meta")` takes them.
    """
    with _OnMeta():
        yield
