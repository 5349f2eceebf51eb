"""Read any layer of a network while it runs, safely from many threads at once.

Hooks are put on once, when the model is loaded (`prepare`), and hand what they see to an observer
in the caller's own context variable. Threads that share one model therefore never see one another's
maps, and nothing is left behind on the model.
"""

import copy
import os
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial

import torch

from vizlib.errors import unknown

_observer = ContextVar("vizlib_observer", default=None)
# `with slots:` around each pass: more at a time than cores only slow one another
slots = threading.BoundedSemaphore(os.cpu_count() or 1)


def prepare(model):
    """Make a model ready to be looked into, once, before it is shared: evaluation mode, no
    gradients, nothing in place, hooks on.

    An in-place ReLU would rewrite the layer before it is read. Preparing twice changes nothing.
    Returns the model.
    """
    model.eval().requires_grad_(False)
    if getattr(model, "_convscope_prepared", False):
        return model
    for name, module in model.named_modules():
        if getattr(module, "inplace", False):
            module.inplace = False
        if name:
            module.register_forward_hook(partial(_after_forward, name))
    model._convscope_prepared = True
    return model


def twin(model):
    """A model of the same weights, the very same tensors, whose hooks and modes are its own: for
    whoever puts hooks on while others read the model.

    In evaluation mode, with nothing in place; the weights take no gradients. Made in milliseconds,
    thrown away after use.
    """
    tensors = [*model.parameters(), *model.buffers()]
    double = copy.deepcopy(model, memo={id(tensor): tensor.detach() for tensor in tensors}).eval()
    for module in double.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    return double


def _after_forward(name, module, arguments, output):
    observer = _observer.get()
    if observer is not None and isinstance(output, torch.Tensor):
        observer(name, module, output)


@contextmanager
def observing(observer):
    """Within `with observing(f)`, f(layer_name, module, output) is called after each module of a
    prepared model, in this thread only.
    """
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def forward(model, images, observer=None):
    """Logits (N, classes) of images (N, C, H, W); `observer`, if given, sees every module's
    output.
    """
    with slots, torch.inference_mode(), observing(observer):
        return model(images)


class CallNames:
    """Names the calls of one forward pass: a module called again, as torchvision's shared ReLUs
    are, becomes "name#2", "name#3".
    """

    def __init__(self):
        self._calls = {}

    def __call__(self, name):
        self._calls[name] = count = self._calls.get(name, 0) + 1
        return name if count == 1 else f"{name}#{count}"


def capture(model, images, layer_names):
    """Feature maps of some layers for some images.

    images: (N, C, H, W), normalised, on the model's device. Returns logits (N, classes) and a
    dictionary from each layer name to its output, a clone. "name#2" is the second call of a module.
    UserError if a layer does not exist or is not reached.
    """
    wanted, found, all_names, called = set(layer_names), {}, [], CallNames()

    def keep(name, module, output):
        name = called(name)
        all_names.append(name)
        if name in wanted:
            found[name] = output.detach().clone()

    logits = forward(model, images, keep)
    for name in layer_names:
        if name not in found:
            raise unknown("layer", name, all_names)
    return logits, {name: found[name] for name in layer_names}
