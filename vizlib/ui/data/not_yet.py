"""What a run does not have yet, or will never have, and why."""

from vizlib.errors import UserError
from vizlib.run.folders import Run


class NotYet(UserError):
    """Something that a run does not have yet, or will never have, as its training ended before: no
    fault of anybody's.
    """

    icon: str = ":material/hourglass_empty:"


class NotHere(NotYet):
    """What a run will never have: the weights of a finished one that comes without them, or all
    but the weights.
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
    begun, ended too early, comes without its weights, or with nothing else.
    """
    if what == "weights" and run.is_weightless:
        return NotHere(run.missing_weights)
    if run.is_bare:
        return weights_alone(run)
    name = f"{run.run_id!r}"
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
