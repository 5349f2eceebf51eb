"""Trains the systems of the reports, one after another: what is missing, from where it was left."""

from vizlib import datasets
from vizlib.errors import UserError
from vizlib.reports.systems import SYSTEMS, finished_runs, runs_of
from vizlib.run.events import EventLog
from vizlib.training import process
from vizlib.training.config import begun, make_config
from vizlib.training.loop import carry_on
from vizlib.training.recipes import recipe
from vizlib.training.requests import Requests, forget


def reproduce(systems, *, again=False, device="cpu", say=print):
    """Train these systems, each into a run folder, or let it go on where one was begun. Returns
    whether all were trained.

    again: also those that ship; one that was trained here, and has its weights, is not trained
    twice. One that fails says why, and the next follows; being asked to stop ends them all.
    """
    complete = True
    for system in systems:
        done = next(
            (
                run
                for run in finished_runs(system)
                if (not again if run.ships else not run.is_weightless)
            ),
            None,
        )
        if done:
            say(
                f"{system.id} is there: {done.run_id}, "
                f"{done.events_of('finished')[-1]['test_accuracy']:.1%} of the test images right."
            )
            continue
        try:
            folder = _begun(system) or _new(system)
            forget(folder)
            requests = Requests(folder)
            process.end_in_order(requests)
            say(f"{system.id}: {folder.name}, on {device}")
            with EventLog(folder) as log:
                carry_on(folder, log, device=device, requests=requests, say=say)
            if requests.stop:
                return False
        except (
            UserError,
            OSError,
            RuntimeError,
        ) as error:  # no data, no memory, a full disk: the run's events say it too
            complete = False
            say(f"{system.id}: {error}")
    return complete


def _begun(system):
    """The folder of a run of this system that can go on, or None."""
    return next((run.folder for run in runs_of(system) if run.can_resume), None)


def _new(system):
    """A new run folder, with its configuration."""
    dataset = datasets.load(system.dataset)
    start = None
    if system.start:
        first = next(
            (run for run in finished_runs(SYSTEMS[system.start]) if not run.is_weightless), None
        )
        if first is None:
            raise UserError(
                f"it starts from the weights of {system.start}, which are not here yet: "
                f"python -m vizlib reproduce {system.start}"
            )
        start = {"run": first.run_id}
    config = make_config(
        system.architecture,
        dataset,
        recipe(system.recipe, **system.changes),
        title=system.title,
        start=start,
        side=system.side,
        system=system.id,
    )
    return begun(config, dataset, system.run)
