"""Read any layer of a network while it runs, safely from many threads at once.

Hooks are put on once, when the model is loaded (`prepare`), and hand what they see to an observer
in the caller's own context variable. Threads that share one model therefore never see one another's
maps, and nothing is left behind on the model.
"""

import copy
import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from vizlib.errors import UserError, unknown

# f(layer_name, module, output), called after each module
Observer = Callable[[str, nn.Module, Tensor], None]
_observer: ContextVar[Observer | None] = ContextVar("vizlib_observer", default=None)
# f(layer_name, output) -> what goes on in its place, or None to leave it
Changer = Callable[[str, Tensor], Tensor | None]
_changer: ContextVar[Changer | None] = ContextVar("vizlib_changer", default=None)
# In one pass, so that a pass takes some tenths of a second at most, and what a ResNet-18 keeps of
# it for its gradients a hundred megabytes. More at a time is no faster.
PIXELS_AT_ONCE, MOST_AT_ONCE = 50_000, 32
# `with slots:` around each pass: more at a time than cores only slow one another
slots = threading.BoundedSemaphore(os.cpu_count() or 1)


def prepare(model: nn.Module) -> nn.Module:
    """Make a model ready to be looked into, once, before it is shared: evaluation mode, no
    gradients, nothing in place, hooks on.

    An in-place ReLU would rewrite the layer before it is read. Preparing twice changes nothing.
    Returns the model.
    """
    model.eval().requires_grad_(False)
    if getattr(model, "_convscope_prepared", False):
        return model
    for name, module in model.named_modules():
        _out_of_place(module)
        if name:
            module.register_forward_hook(partial(_after_forward, name))
    model._convscope_prepared = True  # type: ignore[assignment]
    return model


def twin(model: nn.Module) -> nn.Module:
    """A model of the same weights, the very same tensors, whose hooks and modes are its own: for
    whoever puts hooks on while others read the model.

    In evaluation mode, with nothing in place; the weights take no gradients. Made in milliseconds,
    thrown away after use.
    """
    tensors = [*model.parameters(), *model.buffers()]
    double = copy.deepcopy(model, memo={id(tensor): tensor.detach() for tensor in tensors}).eval()
    for module in double.modules():
        _out_of_place(module)
    return double


def _out_of_place(module: Any) -> None:
    if getattr(module, "inplace", False):
        module.inplace = False


def _after_forward(name: str, module: nn.Module, arguments: tuple, output: object) -> object:
    """What the module gives instead, or None."""
    observer, changer = _observer.get(), _changer.get()
    if observer is None and changer is None:
        return None
    # as of attention, which gives its weights too
    first = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(first, torch.Tensor):
        return None
    changed = changer(name, first) if changer else None
    if observer is not None:
        observer(name, module, first if changed is None else changed)
    if changed is None:
        return None
    return (changed, *output[1:]) if isinstance(output, tuple) else changed


@contextmanager
def observing(observer: Observer | None) -> Iterator[None]:
    """Within `with observing(f)`, f(layer_name, module, output) is called after each module of a
    prepared model, in this thread only.
    """
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


@contextmanager
def changing(changer: Changer) -> Iterator[None]:
    """Within `with changing(f)`, what f(layer_name, output) gives goes on in the place of the
    output of each module of a prepared model, in this thread only; observers see it so too.
    """
    token = _changer.set(changer)
    try:
        yield
    finally:
        _changer.reset(token)


def forward(model: nn.Module, images: Tensor, observer: Observer | None = None) -> Tensor:
    """Logits (N, classes) of images (N, C, H, W); `observer`, if given, sees every module's
    output.
    """
    with slots, torch.inference_mode(), observing(observer):
        return model(images)


def images_at_once(images: Tensor) -> int:
    """How many of such images (N, C, H, W) go through a network in one pass."""
    return max(1, min(MOST_AT_ONCE, PIXELS_AT_ONCE // math.prod(images.shape[2:])))


def paced(function: Callable, count: int, say: Callable[[float], None]) -> Callable:
    """The function, each call of it in a slot; after each, say(the share of `count` calls that are
    done).
    """
    done = 0

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal done
        with slots:
            result = function(*arguments, **named)
        done += 1
        say(min(1.0, done / count))
        return result

    return call


class CallNames:
    """Names the calls of one forward pass: a module called again, as torchvision's shared ReLUs
    are, becomes "name#2", "name#3".
    """

    def __init__(self) -> None:
        self._calls: dict[str, int] = {}

    def __call__(self, name: str) -> str:
        self._calls[name] = count = self._calls.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"


def capture(
    model: nn.Module, images: Tensor, layer_names: Sequence[str]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Feature maps of some layers for some images.

    images: (N, C, H, W), normalised, on the model's device. Returns logits (N, classes) and a
    dictionary from each layer name to its output, a clone. "name#2" is the second call of a module.
    UserError if a layer does not exist or is not reached.
    """
    wanted, kept = set(layer_names), {}
    reached, called = [], CallNames()

    def keep(name: str, module: nn.Module, output: Tensor) -> None:
        reached.append(called(name))
        if reached[-1] in wanted:
            kept[reached[-1]] = output.detach().clone()

    logits = forward(model, images, keep)
    for name in layer_names:
        if name not in kept:
            raise unknown("layer", name, reached)
    return logits, {name: kept[name] for name in layer_names}


class _Reached(Exception):
    """The layer asked for has its output: what lies behind it need not run."""


class _Stop:
    """The observer of one pass that keeps a layer's output, and unless it is to go `to_the_end`
    ends it there. see(output) is given each output.
    """

    def __init__(self, layer_name: str, to_the_end: bool, see: Callable[[Tensor], object]) -> None:
        self._layer_name = layer_name
        self._to_the_end = to_the_end
        self._see = see
        self._called = CallNames()
        self._reached: list[str] = []
        self._output: Tensor | None = None

    def __call__(self, name: str, module: nn.Module, output: Tensor) -> None:
        self._see(output)
        self._reached.append(self._called(name))
        if self._reached[-1] == self._layer_name:
            self._output = output
            if not self._to_the_end:
                raise _Reached

    def output(self) -> Tensor:
        """What was kept. UserError if the layer does not exist or was not reached."""
        if self._output is None:
            raise unknown("layer", self._layer_name, self._reached)
        return self._output


def output_of(
    model: nn.Module,
    images: Tensor,
    layer_name: str,
    *,
    to_the_end: bool = False,
    see: Callable[[Tensor], object] = lambda output: None,
) -> Tensor:
    """One layer's output (N, ...) for images (N, C, H, W), the very tensor, so that a gradient goes
    through it where the caller takes gradients.

    model: prepared. The pass ends at the layer, unless it is to go `to_the_end`. see(output) is
    given each output on the way. UserError if a layer does not exist or is not reached.
    """
    stop = _Stop(layer_name, to_the_end, see)
    with observing(stop), suppress(_Reached):
        model(images)
    return stop.output()


def value_of(
    output: Tensor, layer_name: str, unit: int, position: Sequence[int] | None = None
) -> Tensor:
    """The value of a unit at a position of its map, a tensor of one number.

    output: a layer's for one image, (units, height, width), or (units,). position: (row, column);
    None or () for a unit's only value. UserError for a unit or a position that is not there.
    """
    sizes = output.shape[1:]
    index = tuple(position or (() if sizes.numel() > 1 else (0,) * len(sizes)))
    is_there = len(index) == len(sizes) and all(
        0 <= number < size for number, size in zip((unit, *index), output.shape, strict=True)
    )
    if not is_there:
        raise no_such_unit(layer_name, tuple(output.shape), unit, position)
    return output[(unit, *index)]


def no_such_unit(
    layer_name: str, shape: Sequence[int], unit: int, position: Sequence[int] | None = None
) -> UserError:
    """The error for a unit or a position that is not there; shape: of a layer's output for one
    image.
    """
    where = ""
    if position:
        where = f" at {', '.join(map(str, position))}"
    elif 0 <= unit < shape[0]:
        where = " without a position"
    of_maps = f", of {' x '.join(map(str, shape[1:]))} positions each" if len(shape) > 1 else ""
    return UserError(
        f"There is no unit {unit}{where} in the layer {layer_name!r}: its units are 0 to "
        f"{shape[0] - 1}{of_maps}, counted from 0."
    )
