"""Starts trainings in processes of their own, and speaks with them through their run folders only.
Imports no torch by itself.

Trainings queue by device: the processes look at one another's run folders, and the one that has
waited longest goes next. Nothing is kept in this process but the pipe by which a training notices
that the app is gone, however it goes.
"""

import os
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vizlib.errors import UserError
from vizlib.files import refuse_irregular, size_of
from vizlib.limits import GB, Limits, check_room, limits
from vizlib.run import folders
from vizlib.run.folders import Run
from vizlib.training import ready, requests
from vizlib.training.order import Order

# with their open pipes: as long as this process lives
_processes: list[subprocess.Popen[Any]] = []
_spawning = threading.Lock()


def devices() -> list[str]:
    """The devices to train on, the default first: "cuda:0", ..., "mps", "cpu". Imports torch."""
    from vizlib.training import devices

    return devices.devices()


def start_new(order: Order) -> str:
    """Start a training in a process of its own. Returns the id of its run, which is listed at once.
    UserError if it is not possible, or more than the limits of this server allow.
    """
    from vizlib import datasets
    from vizlib.training.config import begun, make_config

    _check_allowed(order, limits())
    dataset = datasets.load(order.dataset)
    name = order.name or folders.usual_name(order.architecture, order.dataset)
    folder = begun(make_config(order, dataset), dataset, name)
    _spawn(folder, order.device)
    return folder.name


def _check_allowed(order: Order, allowed: Limits) -> None:
    """UserError for a training that the limits do not allow now, or not at all."""
    waiting = [run for run, status in active_runs() if status == "queued"]
    if len(waiting) >= allowed.waiting:
        raise UserError(
            f"{len(waiting)} trainings wait already. Try again when one of them has begun."
        )
    own = [run for run in waiting if order.by and run.config.by == order.by]
    if len(own) >= allowed.waiting_each:
        raise UserError(
            f"{len(own)} trainings of this browser wait already. Try again when one of them has "
            "begun, or cancel one."
        )
    recipe = order.recipe
    if recipe.seconds is None and recipe.epochs > allowed.epochs:
        raise UserError(
            f"{recipe.epochs:,} epochs are more than the {allowed.epochs:g} that are allowed here."
        )
    if recipe.seconds is not None and recipe.seconds > 60 * allowed.minutes:
        raise UserError(
            f"{recipe.seconds / 60:g} minutes are more than the {allowed.minutes:g} that are "
            "allowed here."
        )
    _check_room(allowed)


def _check_room(allowed: Limits) -> None:
    """UserError where there is no room for another run."""
    check_room(folders.runs_root(), allowed.free_gb)
    taken = size_of(folders.runs_root()) / GB
    if taken > allowed.runs_gb:
        raise UserError(
            f"The runs here take {taken:.3g} GB, and {allowed.runs_gb:g} are allowed: remove some, "
            "or free what ended trainings keep."
        )


def resume(run: Run, device: str | None = None, learning_rate: float | None = None) -> None:
    """Let a run that ended too early go on, on the device it was on or another one, at the same or
    another highest learning rate.
    """
    if not run.can_resume:
        raise UserError(f"{run.run_id} cannot be resumed: it is {run.status}.")
    _check_room(limits())
    requests.forget(run.folder)
    if learning_rate is not None:
        requests.ask_rate(run.folder, learning_rate)
    _spawn(run.folder.resolve(), device or device_of(run))


def _spawn(folder: Path, device: str) -> None:
    """Start the process, or use the one that is ready."""
    _forget_ended()
    options = ["--device", device, "--asked", str(time.time()), "--with-parent"]
    options += ["--minutes", str(limits().minutes)]
    arguments = [str(folder), *options]
    log, environment = folder / "log.txt", _environment()
    refuse_irregular(log)
    process = ready.take(arguments, log, device, environment)
    if process is None:
        with open(log, "ab") as file:
            process = ready.started("worker", arguments, environment, file)
    with _spawning:
        _processes.append(process)


def get_ready(device: str) -> None:
    """Have a process import PyTorch for a training that is likely to be started soon."""
    ready.begin(device, _environment())


def _environment() -> dict[str, str]:
    """That of a training, which runs in the repository's folder."""
    data = os.environ.get("CONVSCOPE_DATA") or "data"
    return {**os.environ, "CONVSCOPE_DATA": str(Path(data).resolve())}


def _forget_ended() -> None:
    with _spawning:
        # which also reaps the ended ones
        for process in [process for process in _processes if process.poll() is not None]:
            _processes.remove(process)


def request(run: Run, wish: str) -> None:
    """Ask a training for "stop", "keep", "pause" or "continue"."""
    requests.ask(run.folder, wish)


def change_rate(run: Run, learning_rate: float) -> None:
    """Ask a training to go on at another highest learning rate. UserError for one that is not
    possible.
    """
    requests.ask_rate(run.folder, learning_rate)


def active_runs() -> list[tuple[Run, str]]:
    """The runs that train here, then those that wait, in the order in which they were asked for,
    each with its status: pairs (run, status).
    """
    return in_turn((run, run.status) for run in folders.list_runs(shipped=False)[0])


def in_turn(runs: Iterable[tuple[Run, str]]) -> list[tuple[Run, str]]:
    """`active_runs` of runs that are listed already, each with its status."""
    return sorted((each for each in runs if each[1] in folders.ACTIVE), key=_turn)


def _turn(run_and_status: tuple[Run, str]) -> tuple[bool, float, str]:
    """What the queue is sorted by."""
    run, status = run_and_status
    queued = run.events_of("queued")
    asked = queued[-1].get("asked", 0.0) if queued else time.time()
    return status == "queued", asked, run.run_id


def device_of(run: Run) -> str:
    """The device a run waits for or trains on: "cpu" where it does not say."""
    queued = run.events_of("queued")
    return queued[-1].get("device", "cpu") if queued else "cpu"


def place_in_queue(run: Run, active: list[tuple[Run, str]]) -> int:
    """1 for the one that is next on its device, 2 for the one after; 0 for one that does not wait,
    or is about to begin. active: the `active_runs`.
    """
    same = [
        (other.run_id, status) for other, status in active if device_of(other) == device_of(run)
    ]
    waiting = [run_id for run_id, status in same if status == "queued"]
    number = waiting.index(run.run_id) + 1 if run.run_id in waiting else 0
    return 0 if number == 1 and len(same) == len(waiting) else number


def is_next(run: Run) -> bool:
    """Whether a run that waits may begin: no other one on its device trains, or has waited
    longer.
    """
    ahead = [
        other
        for other, _ in active_runs()
        if device_of(other) == device_of(run) and other.events_of("queued")
    ]
    return bool(ahead) and ahead[0].run_id == run.run_id
