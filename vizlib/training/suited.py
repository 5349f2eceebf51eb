"""Which form of a network learns most in the seconds that a recipe has on this machine. Imports no
torch by itself.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vizlib import architectures
from vizlib.architectures import Form
from vizlib.training.estimate import epochs_within, known_speed
from vizlib.training.order import Order


def has_choice(order: Order) -> bool:
    """Whether the machine decides the form: of networks that come in several, for a given time."""
    forms = architectures.get(order.architecture).forms
    is_free = not order.arguments and not order.recipe.growing and order.start is None
    return bool(forms and order.recipe.seconds and is_free)


@dataclass(frozen=True)
class Choice:
    """form: what learns most. epochs: how many of the usual form are in the time of the recipe."""

    form: Form
    epochs: float


def choice(order: Order, *, images: int, input_size: Sequence[int]) -> Choice | None:
    """What learns most on so many images of `input_size` (C, H, W); None where there is no choice,
    or nobody knows how fast this machine is.
    """
    speed = known_speed(order, input_size)[0] if has_choice(order) else None
    if speed is None:
        return None
    epochs = epochs_within(order.recipe, speed, images, input_size)
    forms = architectures.get(order.architecture).forms
    return Choice([form for form in forms if form.epochs <= epochs][-1], epochs)


def in_words(arguments: Mapping[str, Any], growing: bool = False) -> str:
    """A form by its arguments: "widths 16, 48, 96"; without any "its usual form". growing: whether
    its pictures are.
    """
    words = [f"{name} {', '.join(map(str, values))}" for name, values in arguments.items()]
    return ("; ".join(words) or "its usual form") + (" on growing pictures" if growing else "")


def sentence(order: Order, form: Form) -> str:
    """What this machine decided, without its full stop."""
    return (
        f"Of {order.architecture} {in_words(form.arguments, form.growing)} learns most in "
        f"{order.recipe.seconds:g} s on this machine"
    )


def usual(order: Order) -> Order:
    """The same order of the usual form, where the machine may have chosen another."""
    return of_form(order, Form(0.0, {}, ()))


def suited(order: Order, *, images: int, input_size: Sequence[int]) -> Order:
    """The same order, of the form that suits this machine, or of the usual one."""
    found = choice(order, images=images, input_size=input_size)
    return order if found is None else of_form(order, found.form)


def of_form(order: Order, form: Form) -> Order:
    """The same order of another form."""
    recipe = dataclasses.replace(order.recipe, growing=form.growing)
    return dataclasses.replace(order, arguments=form.arguments, recipe=recipe)
