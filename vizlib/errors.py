"""What goes wrong from outside: one sentence a user can act on."""

from __future__ import annotations

from collections.abc import Iterable


class UserError(ValueError):
    """Bad input. The message says what is wrong and what is possible, in one or two sentences, and
    may be shown as it is.
    """


class NothingToShow(UserError):
    """What is asked for does not exist of such a network or layer: no fault of anybody's."""


def unknown(kind: str, name: object, allowed: Iterable[object]) -> UserError:
    """A UserError for a name that is not among the allowed ones; `kind` is the word for it
    ("architecture", "layer").
    """
    shown = str(name)[:60]
    return UserError(
        f"There is no {kind} named {shown!r}. Possible: "
        f"{', '.join(map(str, allowed)) or 'none here'}."
    )
