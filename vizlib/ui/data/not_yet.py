"""What a run does not have yet, or will never have, and why."""

from vizlib.errors import UserError
from vizlib.run.folders import Run


class NotYet(UserError):
    """Something that a run does not have yet, or will never have, as its training ended before: no
    fault of anybody's.
    """

    icon: str = ":material/hourglass_empty:"


class NotHere(NotYet):
    """The weights of a finished run that comes without them."""

    icon: str = ":material/info:"


def without(run: Run, what: str) -> NotYet:
    """The NotYet that says why a run has no `what` ("weights", "evaluation"): it waits, has just
    begun, ended too early, or comes without its weights.
    """
    if what == "weights" and run.is_weightless:
        return NotHere(run.missing_weights)
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
