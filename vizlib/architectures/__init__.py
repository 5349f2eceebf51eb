"""The network architectures, by name. A file dropped into this folder is found, listed, tested and
trainable at once.

    @register(input_size=(3, 32, 32), partners={"plain32": "shortcuts"})
    def resnet32(num_classes=10, in_channels=3):
        '''One sentence that the app shows.'''
        return PreactivationNet(ResidualBlock, num_classes, in_channels)

The name is the function's. Importing this package imports no torch, nor does asking for partners
and pretrained weights; the first look-up of an Architecture does.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.errors import UserError, unknown

if TYPE_CHECKING:
    from torch import nn

OF_THE_DATA = ("num_classes", "in_channels", "image_size")  # arguments that a data set decides
TRIES = 10  # to parse a file
_registry: dict[str, Architecture] = {}
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Form:
    """Other arguments of an architecture, for trainings that end after some seconds.

    growing: whether its pictures grow along the training, as a Recipe has it.
    epochs: it learns most where the usual form gets through so many or more in that time.
    reached: in trials, (epochs of the usual form in their time, accuracy on the test images of
    CIFAR-10), from few to many.
    """

    epochs: float
    arguments: dict[str, Any]
    reached: tuple[tuple[float, float], ...]
    growing: bool = False

    def expected(self, epochs: float) -> float | None:
        """The accuracy on CIFAR-10 that a trial of no more epochs reached; None without one."""
        accuracies = [accuracy for least, accuracy in self.reached if least <= epochs]
        return accuracies[-1] if accuracies else None


@dataclass(frozen=True)
class Architecture:
    """A recipe for a network: `build(**arguments)` returns an nn.Module that maps (N, C, H, W) to
    logits (N, classes).
    """

    name: str
    build: Callable[..., nn.Module]
    input_size: tuple[int, int, int]  # (channels, height, width) that it was designed for
    summary: str  # one sentence
    partners: dict[str, str]
    pretrained: str
    forms: tuple[Form, ...] = ()

    @property
    def arguments(self) -> dict[str, Any]:
        """The names and default values that `build` takes."""
        return {
            name: parameter.default
            for name, parameter in inspect.signature(self.build).parameters.items()
        }

    def arguments_for(self, num_classes: int, image_size: Sequence[int]) -> dict[str, int]:
        """The arguments that fit a data set of `num_classes` classes and images of `image_size` (C,
        H, W).
        """
        fitting = dict(zip(OF_THE_DATA, (num_classes, *image_size[:2]), strict=True))
        return {name: value for name, value in fitting.items() if name in self.arguments}


def register(
    *,
    input_size: tuple[int, int, int] = (3, 32, 32),
    partners: dict[str, str] | None = None,
    pretrained: str = "",
    forms: Sequence[Form] = (),
) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Decorator: makes a function that builds a network known under its own name. A name taken
    twice raises ValueError.

    partners: {name of an architecture that says most beside it: what the two differ in}; one of two
    declares the other. pretrained: who has weights of it, "torchvision" or nobody. Both are
    literals: they are read from the source, see `declared`. forms: for trainings of some seconds,
    by the epochs that they are for, from 0 on.
    """

    def decorate(build: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        if build.__name__ in _registry:
            raise ValueError(f"an architecture named {build.__name__!r} is registered already")
        summary = (inspect.getdoc(build) or "").split("\n\n")[0].replace("\n", " ")
        _registry[build.__name__] = Architecture(
            build.__name__,
            build,
            input_size,
            summary,
            partners or {},
            pretrained,
            tuple(forms),
        )
        return build

    return decorate


@lru_cache
def declared() -> dict[str, dict]:
    """What @register is given besides a size, {name: {"partners": ..., "pretrained": ...}}, of all
    files here. Read from their sources: importing them imports torch, which Home does without.
    """
    functions = (
        node
        for path in sorted(Path(__file__).parent.glob("*.py"))
        for node in _parsed(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    )
    return {
        function.name: {
            keyword.arg: ast.literal_eval(keyword.value)
            for keyword in decorator.keywords
            if keyword.arg in ("partners", "pretrained")
        }
        for function in functions
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "register"
    }


def _parsed(source: str) -> ast.Module:
    """Python up to 3.12 counts the depth of all threads' trees in one place, and gives one up where
    they mix (gh-106905): here two pages may ask at once, and PyTorch parses where it is imported.
    """
    for _ in range(TRIES - 1):
        with suppress(SystemError), _one_at_a_time:
            return ast.parse(source)
    return ast.parse(source)


def partners_of(name: str) -> dict[str, str]:
    """The architectures that say most beside one of this name, and what the two differ in,
    whichever of them declares it; empty for a name of none.
    """
    partners = dict(declared().get(name, {}).get("partners", {}))
    for other, arguments in declared().items():
        if name in arguments.get("partners", {}):
            partners[other] = arguments["partners"][name]
    return partners


def pretrained_by(source: str) -> list[str]:
    """The architectures of which there are weights from a source."""
    return [name for name, given in declared().items() if given.get("pretrained") == source]


def names() -> list[str]:
    """All names, in alphabetical order."""
    for module in pkgutil.iter_modules(__path__):
        if not module.ispkg:  # elsewhere/ has names of its own
            importlib.import_module(f"{__name__}.{module.name}")
    return sorted(_registry)


def get(name: str) -> Architecture:
    """The Architecture of that name; UserError lists the possible ones. A name with a slash is one
    of those in elsewhere/.
    """
    if "/" in name:
        from vizlib.architectures import elsewhere

        return elsewhere.get(name)
    possible = names()
    if name not in possible:
        raise unknown("architecture", name, possible)
    return _registry[name]


def create(name: str, **arguments: object) -> nn.Module:
    """A new, randomly initialised network. UserError for a name or an argument that does not
    exist.
    """
    architecture = get(name)
    for argument in arguments:
        if argument not in architecture.arguments:
            raise unknown(f"argument of {name}", argument, architecture.arguments)
    try:
        return architecture.build(**arguments)
    except UserError:  # which says it all
        raise
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise UserError(
            f"{name} cannot be built with {arguments}: {str(error).splitlines()[0][:200]}"
        ) from error
