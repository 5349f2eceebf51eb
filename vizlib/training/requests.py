"""What a training is asked to do while it runs: small files in its run folder, made by anybody,
read by the training process. No torch.

stop    end now; it can be resumed       keep   end now, test the best weights: finished
pause   wait as long as the file exists  rate   the highest learning rate from now on, as text
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path

from vizlib.errors import UserError
from vizlib.files import check_regular, write_whole
from vizlib.training.recipes import LIMITS

STOP = "stop"
KEEP = "keep"
PAUSE = "pause"
RATE = "rate"


def ask(folder: Path, request: str) -> None:
    """Make a request: one of stop, keep, pause, or "continue", which takes a pause back."""
    if request == "continue":
        (folder / PAUSE).unlink(missing_ok=True)
    else:
        (folder / request).touch()


def forget(folder: Path) -> None:
    """Remove what is left of earlier requests."""
    for name in (STOP, KEEP, PAUSE, RATE):
        (folder / name).unlink(missing_ok=True)


def ask_rate(folder: Path, learning_rate: float) -> None:
    """Ask for another highest learning rate. UserError for one that is not possible."""
    low, high = LIMITS["learning_rate"]
    if not low <= learning_rate <= high:
        raise UserError(
            f"learning rate {learning_rate} is not possible: between {low:g} and {high:g}."
        )
    write_whole(folder / RATE, repr(float(learning_rate)).encode())


def asked_rate(folder: Path) -> float | None:
    """The learning rate that is asked for and not yet taken up, or None."""
    try:
        check_regular(folder / RATE)
        rate = float((folder / RATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    low, high = LIMITS["learning_rate"]
    return rate if low <= rate <= high else None


@dataclass
class Requests:
    """The requests of one run, as its training process sees them."""

    folder: Path
    # why the process must end by itself, once it must: set by signals and by whoever watches the
    # parent
    reason: str = ""
    deadline: float = math.inf  # by time.monotonic(), at which it is ended and kept

    @property
    def wish(self) -> str:
        """What is asked for now: STOP, else KEEP, else PAUSE, else an empty text."""
        if self.stop:
            return STOP
        if self.keep:
            return KEEP
        return PAUSE if self.pause else ""

    @property
    def stop(self) -> str:
        """Why to end now, or an empty text."""
        return self.reason or ("Stopped by hand." if (self.folder / STOP).exists() else "")

    @property
    def keep(self) -> bool:
        return time.monotonic() >= self.deadline or (self.folder / KEEP).exists()

    @property
    def pause(self) -> bool:
        return (self.folder / PAUSE).exists()

    def take_rate(self) -> float | None:
        """The learning rate asked for since the last look, or None."""
        if not (self.folder / RATE).exists():
            return None
        rate = asked_rate(self.folder)
        (self.folder / RATE).unlink(missing_ok=True)
        return rate
