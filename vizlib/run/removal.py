"""Runs that go, and what is kept of those that ended only to go on with them."""

import os
import shutil
import uuid
from collections.abc import Iterable

from vizlib.errors import UserError
from vizlib.files import size_of
from vizlib.run.folders import Run

STATE = "last.pt"  # what resuming needs
REMOVED = ".removed-"  # how a folder is called while its files go: no run has such a name


def why_it_stays(run: Run) -> str:
    """Why a run cannot be removed, in a sentence; empty where it can."""
    if run.ships:
        return f"{run.run_id} comes with the project and stays."
    if run.is_active:
        return f"{run.run_id} is {run.status}: stop it first."
    return ""


def remove(run: Run) -> None:
    """Delete a run's folder, with all that is in it. It is gone from every list at once, also where
    deleting takes its time or fails on the way. UserError for one that stays.
    """
    if reason := why_it_stays(run):
        raise UserError(reason)
    try:
        os.rename(run.folder, run.folder.with_name(f"{REMOVED}{uuid.uuid4().hex}"))
    except OSError as error:
        raise UserError(f"{run.run_id} cannot be removed: {error.strerror}.") from None
    for removed in run.folder.parent.glob(f"{REMOVED}*"):  # and what was left before
        shutil.rmtree(removed, ignore_errors=True)


def resumable_bytes(runs: Iterable[Run]) -> int:
    """What runs keep only so that they can go on: as much could be freed."""
    return sum(size_of(run.path(STATE)) for run in runs if _keeps_state(run))


def forget_states(runs: Iterable[Run]) -> None:
    """Free that. Resumed, such a run begins anew; its best weights so far stay."""
    for run in runs:
        if _keeps_state(run):
            run.path(STATE).unlink(missing_ok=True)


def _keeps_state(run: Run) -> bool:
    return run.can_resume and run.has(STATE)
