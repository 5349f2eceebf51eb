"""Trains the systems of the reports, one after another: what is missing, from where it was left."""

from collections.abc import Callable, Iterable
from pathlib import Path

from vizlib import datasets
from vizlib.errors import UserError
from vizlib.reports.systems import SYSTEMS, System, finished_runs, runs_of
from vizlib.run.events import EventLog
from vizlib.run.folders import Run
from vizlib.training import process
from vizlib.training.config import begun, make_config
from vizlib.training.loop import carry_on
from vizlib.training.order import Order
from vizlib.training.recipes import recipe
from vizlib.training.requests import Requests, forget


def reproduce(
    systems: Iterable[System],
    *,
    again: bool = False,
    device: str = "cpu",
    say: Callable[[str], object] = print,
) -> bool:
    """Train these systems, each into a run folder, or let it go on where one was begun. Returns
    whether all were trained.

    again: also those that ship; one that was trained here, and has its weights, is not trained
    twice. One that fails says why, and the next follows; being asked to stop ends them all.
    """
    complete = True
    for system in systems:
        done = _done(system, again)
        if done:
            test_accuracy = done.events_of("finished")[-1]["test_accuracy"]
            say(
                f"{system.id} is there: {done.run_id}, {test_accuracy:.1%} of the test images "
                "right."
            )
            continue
        try:
            if _train(system, device, say).stop:
                return False
        # no data, no memory, a full disk: the run's events say it too
        except (UserError, OSError, RuntimeError) as error:
            complete = False
            say(f"{system.id}: {error}")
    return complete


def _done(system: System, again: bool) -> Run | None:
    """The run that makes training this system needless."""
    for run in finished_runs(system):
        if (not again) if run.ships else (not run.is_weightless):
            return run
    return None


def _train(system: System, device: str, say: Callable[[str], object]) -> Requests:
    """Train it; returns what it was asked for meanwhile."""
    folder = _begun(system) or _new(system)
    forget(folder)
    requests = Requests(folder)
    process.end_in_order(requests)
    say(f"{system.id}: {folder.name}, on {device}")
    with EventLog(folder) as log:
        carry_on(folder, log, device=device, requests=requests, say=say)
    return requests


def _begun(system: System) -> Path | None:
    """The folder of a run of this system that can go on, or None."""
    return next((run.folder for run in runs_of(system) if run.can_resume), None)


def _new(system: System) -> Path:
    """A new run folder, with its configuration."""
    dataset = datasets.load(system.dataset)
    order = Order(
        system.architecture,
        system.dataset,
        recipe(system.recipe, **system.changes),
        title=system.title,
        start=_start(system),
        side=system.side,
        name=system.run,
        system=system.id,
    )
    return begun(make_config(order, dataset), dataset, system.run)


def _start(system: System) -> dict[str, str] | None:
    """The run of the system that it starts from. UserError if that is not here with its weights."""
    if not system.start:
        return None
    for run in finished_runs(SYSTEMS[system.start]):
        if not run.is_weightless:
            return {"run": run.run_id}
    raise UserError(
        f"it starts from the weights of {system.start}, which are not here yet: "
        f"python -m vizlib reproduce {system.start}"
    )
