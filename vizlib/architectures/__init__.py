"""The network architectures, by name. A file dropped into this folder is found, listed, tested and
trainable at once.

    @register(input_size=(3, 32, 32))
    def lenet(num_classes=10, in_channels=3):
        '''One sentence that the app shows.'''
        return LeNet(num_classes, in_channels)

The name is the function's. Importing this package imports no torch; the first look-up does.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from vizlib.errors import UserError, unknown

_registry = {}


@dataclass(frozen=True)
class Architecture:
    """A recipe for a network: `build(**arguments)` returns an nn.Module that maps (N, C, H, W) to
    logits (N, classes).
    """

    name: str
    build: Callable
    input_size: tuple  # (channels, height, width) that it was designed for
    summary: str  # one sentence

    @property
    def arguments(self):
        """The names and default values that `build` takes."""
        return {
            name: parameter.default
            for name, parameter in inspect.signature(self.build).parameters.items()
        }

    def arguments_for(self, num_classes, image_size):
        """The arguments that fit a data set of `num_classes` classes and images of `image_size` (C,
        H, W).
        """
        fitting = {
            "num_classes": num_classes,
            "in_channels": image_size[0],
            "image_size": image_size[1],
        }
        return {name: value for name, value in fitting.items() if name in self.arguments}


def register(*, input_size=(3, 32, 32)):
    """Decorator: makes a function that builds a network known under its own name. A name taken
    twice raises ValueError.
    """

    def decorate(build):
        if build.__name__ in _registry:
            raise ValueError(f"an architecture named {build.__name__!r} is registered already")
        summary = inspect.getdoc(build).split("\n\n")[0].replace("\n", " ")
        _registry[build.__name__] = Architecture(build.__name__, build, input_size, summary)
        return build

    return decorate


def names():
    """All names, in alphabetical order."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(_registry)


def get(name):
    """The Architecture of that name; UserError lists the possible ones."""
    possible = names()
    if name not in possible:
        raise unknown("architecture", name, possible)
    return _registry[name]


def create(name, **arguments):
    """A new, randomly initialised network. UserError for a name or an argument that does not
    exist.
    """
    architecture = get(name)
    for argument in arguments:
        if argument not in architecture.arguments:
            raise unknown(f"argument of {name}", argument, architecture.arguments)
    try:
        return architecture.build(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{name} cannot be built with {arguments}: {str(error).splitlines()[0][:200]}"
        ) from error
