"""The methods that show what in an image speaks for a class, or excites a unit, by name. A file
dropped into this folder is found, tested and shown at once.

    @for_classes("saliency", style="map", passes=3, words="**Saliency** shows ...")
    def saliency(model, image, target, say):
        image.requires_grad_()
        gradient, = torch.autograd.grad(model(image)[0, target], image)
        return gradient[0].abs().amax(0), {}

    @for_units("gradient", words="**The gradient** shows ...")
    def gradient(values, images):
        return torch.autograd.grad(values(images).sum(), images)[0]

What is registered is read without torch, so a file imports torch and Captum inside its functions.
`vizlib.inside.attribution` calls them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from vizlib.errors import unknown

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    # (model, image (1, C, H, W), target, say) -> values (H, W), facts. model: a prepared twin of
    # one's own. image: normalised, of one's own. say(share) after each pass; it may raise to cancel
    OfClass = Callable[[nn.Module, Tensor, int, Callable[[float], None]], tuple[Tensor, dict]]
    # (values, images (N, C, H, W)) -> (N, C, H, W). values: a module from images to the value (N,)
    # of each image's unit, all of whose ReLUs are its one child `relu`. images: take gradients
    OfUnits = Callable[[nn.Module, Tensor], Tensor]

STYLES = ("heat", "map", "signed")
Function = TypeVar("Function", bound=Callable)


@dataclass(frozen=True)
class ClassMethod:
    """What in an image speaks for a class.

    style: how it is drawn: "heat" over the image for evidence that is never negative, "signed" over
    the image, "map" by itself. passes: what it costs, in forward passes of one image, about, a
    backward pass counted as two. words: what it shows, and what it does not, in Markdown.
    reading(values, facts): what a picture says in numbers. making(facts): how it was computed, to
    follow the method's name; may be empty.
    """

    name: str
    style: str
    passes: int
    words: str
    compute: OfClass
    reading: Callable[[np.ndarray, Mapping[str, Any]], str]
    making: Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class UnitMethod:
    """What in an image excites a unit. words: what it shows, and what it does not, in Markdown."""

    name: str
    words: str
    compute: OfUnits


_class_methods: dict[str, ClassMethod] = {}
_unit_methods: dict[str, UnitMethod] = {}


def _ends(values: np.ndarray, facts: Mapping[str, Any]) -> str:
    return f"from {values.min():.3g} to {values.max():.3g}"


def for_classes(
    name: str,
    *,
    style: str,
    passes: int,
    words: str,
    reading: Callable[[np.ndarray, Mapping[str, Any]], str] = _ends,
    making: Callable[[Mapping[str, Any]], str] = lambda facts: "",
) -> Callable[[Function], Function]:
    """Decorator for ClassMethod.compute. A name taken twice or no such style: ValueError."""
    if style not in STYLES:
        raise ValueError(f"the style of {name!r} is {style!r}, and not one of {', '.join(STYLES)}")

    def decorate(compute: Function) -> Function:
        _refuse_twice(name)
        _class_methods[name] = ClassMethod(name, style, passes, words, compute, reading, making)
        return compute

    return decorate


def for_units(name: str, *, words: str) -> Callable[[Function], Function]:
    """Decorator for a function as UnitMethod.compute. A name taken twice raises ValueError."""

    def decorate(compute: Function) -> Function:
        _refuse_twice(name)
        _unit_methods[name] = UnitMethod(name, words, compute)
        return compute

    return decorate


def _refuse_twice(name: str) -> None:
    if name in _class_methods or name in _unit_methods:
        raise ValueError(f"a method named {name!r} is registered already")


def class_methods() -> dict[str, ClassMethod]:
    """All methods for classes by name, in alphabetical order."""
    return _in_order(_class_methods)


def unit_methods() -> dict[str, UnitMethod]:
    """All methods for units by name, in alphabetical order."""
    return _in_order(_unit_methods)


def class_method(name: str) -> ClassMethod:
    """The ClassMethod of that name; UserError lists the possible ones."""
    if name not in class_methods():
        raise unknown("method", name, class_methods())
    return _class_methods[name]


def unit_method(name: str) -> UnitMethod:
    """The UnitMethod of that name; UserError lists the possible ones."""
    if name not in unit_methods():
        raise unknown("method", name, unit_methods())
    return _unit_methods[name]


def _in_order(methods: dict) -> dict:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return {name: methods[name] for name in sorted(methods, key=str.casefold)}
