"""What a run does not have yet, or will never have, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizlib.errors import UserError
from vizlib.run.folders import Run

if TYPE_CHECKING:
    from vizlib.inside.layers import Layer

# what an imported run has no `what` for, and what can be seen or done
_ELSEWHERE = {
    "step": (
        "{name} was trained elsewhere, and its file tells nothing of how. Its filters, feature "
        "maps, units and class evidence are there."
    ),
    "evaluation": (
        "{name} was trained elsewhere, and has answered no labelled pictures here. Those of a data "
        "set with its classes do it: python -m vizlib check {run_id} --data SET."
    ),
    "gradients": (
        "{name} was trained elsewhere: no gradients were noted along its training, and the weights "
        "at its end do not tell them."
    ),
    "data": (
        "{name} comes from a file, without the pictures that it learned from. Photographs and "
        "pictures of yours are there for it."
    ),
}


class NotYet(UserError):
    """Something that a run does not have yet, or will never have, as its training ended before: no
    fault of anybody's.
    """

    icon: str = ":material/hourglass_empty:"


class NotHere(NotYet):
    """Something that a run comes without for good: the weights of a finished one, the training of
    an imported one, the maps of a layer that gives none, all but the weights.
    """

    icon: str = ":material/info:"


def weights_alone(run: Run) -> NotHere:
    """Why nothing that a network computes can be shown of a run."""
    return NotHere(
        f"Only the weights of {run.run_id!r} are here, neither how its network computes with them "
        "nor how it was trained, so there is nothing to show on this page. The pages Filters and "
        "Architecture show the weights."
    )


def without(run: Run, what: str) -> NotYet:
    """The NotYet that says why a run has no `what` ("weights", "evaluation"): it waits, has just
    begun, ended too early, was trained elsewhere, comes without its weights, or with nothing else.
    """
    if what == "weights" and run.is_weightless:
        return NotHere(run.missing_weights)
    if run.is_bare and what != "weights":
        return weights_alone(run)
    name = f"{run.run_id!r}"
    if run.is_imported and what in _ELSEWHERE:
        return NotHere(_ELSEWHERE[what].format(name=name, run_id=run.run_id))
    if run.status == "queued":
        return NotYet(
            f"{name} waits for its turn to train: its first {what} will show here by itself."
        )
    if run.is_active:
        return NotYet(
            f"{name} has just begun to train: its first {what} will show here in a moment."
        )
    again = "let it go on, with Resume in the sidebar," if run.can_resume else "train it again"
    return NotYet(f"{name} ended before its first {what}: {again} to see something here.")


def no_maps(layer: Layer) -> NotHere:
    """The NotHere of a Layer that gives no maps: what it is, and what it gives."""
    return NotHere(
        f"{layer.name} is a {layer.kind}, and no convolution. {layer.layout.words} Choose another "
        "layer to see maps."
    )
