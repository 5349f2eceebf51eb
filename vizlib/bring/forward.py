"""A network's forward followed once, by torch.fx: which modules and functions it calls, in order.

An example goes along with the names. So what a forward asks of sizes (`if x.shape[2] > 7`, a loop
over channels) has an answer; what it asks of values has none, and is refused.

PyTorch patches its own classes for the whole process meanwhile: this is for the command line and
for notebooks, never for the app's server.
"""

from __future__ import annotations

import operator
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg
from torch.fx.proxy import Attribute, Proxy

from vizlib.architectures.elsewhere.kinds import kind_of
from vizlib.errors import UserError

PREFIX = "network."  # where the module lies in what is followed
VALUE, IS_OF_SIZES = "convscope_value", "convscope_is_of_sizes"
UNKNOWN = object()
_SIZES = ("shape", "ndim", "dtype", "device", "is_cuda", "layout", "requires_grad", "is_sparse")
_SIZES += ("size", "dim", "ndimension", "numel", "is_contiguous", "is_floating_point", "itemsize")
_NOT_THEIRS = (str(Path(torch.__file__).parent), str(Path(__file__).parents[1]))


class DependsOnValuesError(Exception):
    """The forward asks for the value of something made of the picture."""


def followed(wrapped: nn.Module, images: Tensor) -> fx.Graph:
    """The graph of the forward of a module that holds the network under PREFIX, each node with the
    VALUE that it has for these images (N, C, H, W). UserError, with the line, where it cannot be
    followed.
    """
    try:
        with torch.no_grad():
            return _Tracer(images).trace(wrapped)
    except DependsOnValuesError:
        raise
    except Exception as error:  # somebody's code, given what it does not expect
        raise UserError(
            f"What forward computes cannot be followed: {in_words(error)}. Write it with tensors, "
            "torch's functions and modules alone, and without assigning to a part of a tensor."
        ) from error


def in_words(error: BaseException) -> str:
    """An error of somebody's code in a few words, with the line where it happened."""
    words = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}{': ' if words else ''}{words}{where(error)}"


def where(error: BaseException) -> str:
    """The line of their code where an error happened, in brackets; empty where nobody knows."""
    if isinstance(error, SyntaxError):
        return f" (line {error.lineno} of {Path(error.filename or '').name})"
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [
        frame
        for frame in frames
        if not frame.filename.startswith((*_NOT_THEIRS, "<")) and frame.lineno
    ]
    if not theirs:
        return ""
    return f" (line {theirs[-1].lineno} of {Path(theirs[-1].filename).name})"


class _WithExample:
    """What a proxy answers because its example has it."""

    tracer: Any

    def __getattr__(self, name: str) -> Any:
        return _Attribute(self, name)  # pyright: ignore[reportArgumentType]

    def __len__(self) -> int:
        return self.tracer.length(self)

    def __index__(self) -> int:
        return operator.index(self.tracer.answer(self))

    def __int__(self) -> int:
        return int(self.tracer.answer(self))

    def __float__(self) -> float:
        return float(self.tracer.answer(self))


class _Proxy(_WithExample, Proxy):
    pass


class _Attribute(_WithExample, Attribute):
    pass


class _Tracer(fx.Tracer):
    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self._images = images
        self._is_running = False  # an example, and not to be followed

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if m is self.root.get_submodule(PREFIX[:-1]):
            return False
        return kind_of(m) is not None or isinstance(m, nn.RNNBase)

    def call_module(
        self, m: nn.Module, forward: Callable, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self._is_running:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if self._is_running:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def create_proxy(
        self, kind: str, target: Any, args: Any, kwargs: Any, *more: Any, **named: Any
    ) -> Any:
        if kind == "call_function" and _is_wrapped(target):
            return target(*args, **kwargs)
        return super().create_proxy(kind, target, args, kwargs, *more, **named)

    def create_node(self, kind: str, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(kind, *args, **kwargs)
        if kind != "output":
            node.meta[VALUE] = self._value(node)
            node.meta[IS_OF_SIZES] = _is_of_sizes(node)
        return node

    def proxy(self, node: fx.Node) -> Proxy:
        return _Proxy(node, self)

    def _value(self, node: fx.Node) -> Any:
        """What a node is for the example; UNKNOWN where that cannot be computed."""
        args, kwargs = map_arg((node.args, node.kwargs), lambda given: given.meta[VALUE])
        self._is_running = True
        try:
            return self._run(node, args, kwargs)
        except Exception:  # noqa: BLE001 # nobody may ask for it
            return UNKNOWN
        finally:
            self._is_running = False

    def _run(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        if node.op == "placeholder":
            return self._images
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(self.root)
        if node.op == "call_module":
            return self.root.get_submodule(str(node.target)).forward(*args, **kwargs)
        if callable(node.target):
            return node.target(*args, **kwargs)
        return getattr(args[0], node.target)(*args[1:], **kwargs)

    def answer(self, proxy: Proxy) -> Any:
        """The value of what depends on sizes alone; DependsOnValuesError for anything else."""
        value = proxy.node.meta[VALUE]
        if value is UNKNOWN or not proxy.node.meta[IS_OF_SIZES]:
            raise DependsOnValuesError
        return value

    def to_bool(self, obj: Proxy) -> bool:
        return bool(self.answer(obj))

    def length(self, proxy: Proxy) -> int:
        """How many parts something has."""
        value = proxy.node.meta[VALUE]
        if not isinstance(value, (tuple, list, Tensor)):
            raise DependsOnValuesError
        return len(value)

    def iter(self, obj: Proxy) -> Iterator[Any]:
        parts: Any = obj
        return iter([parts[number] for number in range(self.length(obj))])


def _is_wrapped(function: Any) -> bool:
    """Whether it is somebody's that torch.fx was told not to follow (fx.wrap), as torchvision's
    stochastic depth: it is followed all the same.
    """
    is_theirs = isinstance(function, FunctionType)
    return is_theirs and function.__module__.partition(".")[0] != "torch"


def _is_of_sizes(node: fx.Node) -> bool:
    """Whether a node depends on sizes and kinds of tensors alone, not on their values."""
    if node.op == "call_method" and node.target in _SIZES:
        return True
    if node.target is getattr and node.args[1] in _SIZES:
        return True
    inputs = node.all_input_nodes
    return bool(inputs) and all(given.meta[IS_OF_SIZES] for given in inputs)
