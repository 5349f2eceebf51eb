"""Starts trainings in processes of their own, and speaks with them through their run folders only.
Imports no torch by itself.

Trainings queue by device: the processes look at one another's run folders, and the one that has
waited longest goes next. Nothing is kept in this process but the pipe by which a training notices
that the app is gone, however it goes.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.run.files import refuse_irregular
from vizlib.training import requests

MOST_WAITING = 10
ROOT = Path(__file__).resolve().parent.parent.parent
_processes = []  # with their open pipes: as long as this process lives
_spawning = threading.Lock()
# In a session of its own, so that Ctrl-C in the terminal does not reach it before it could save;
# Windows has another word for it.
_ALONE = (
    dict(creationflags=subprocess.CREATE_NEW_PROCESS_GROUP)
    if sys.platform == "win32"
    else dict(start_new_session=True)
)


def devices():
    """The devices to train on, the default first: "cuda:0", ..., "cpu". Imports torch."""
    import torch

    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] + ["cpu"]


def start_new(
    *,
    architecture,
    dataset,
    recipe,
    device,
    seed=0,
    title="",
    start=None,
    frozen=0,
    side=None,
    name=None,
):
    """Start a training in a process of its own. Returns the id of its run, which is listed at once.

    dataset: a name; recipe: a Recipe. The other arguments are those of `make_config`. UserError if
    it is not possible, or too many wait.
    """
    from vizlib import datasets
    from vizlib.training.config import begun, make_config

    if sum(status == "queued" for _, status in active_runs()) >= MOST_WAITING:
        raise UserError(
            f"{MOST_WAITING} trainings wait already. Try again when one of them has begun."
        )
    found = datasets.load(dataset)
    config = make_config(
        architecture, found, recipe, seed=seed, title=title, start=start, frozen=frozen, side=side
    )
    folder = begun(config, found, name or folders.usual_name(architecture, dataset))
    _spawn(folder, device)
    return folder.name


def resume(run, device=None, learning_rate=None):
    """Let a run that ended too early go on, on the device it was on or another one, at the same or
    another highest learning rate.
    """
    if not run.can_resume:
        raise UserError(f"{run.run_id} cannot be resumed: it is {run.status}.")
    requests.forget(run.folder)
    if learning_rate is not None:
        requests.ask_rate(run.folder, learning_rate)
    _spawn(run.folder.resolve(), device or device_of(run))


def _spawn(folder, device):
    """Start the process. Its standard input is a pipe that closes when this process ends, also by
    kill -9.
    """
    with _spawning:
        # which also reaps the ended ones
        for process in [process for process in _processes if process.poll() is not None]:
            _processes.remove(process)
    command = [
        sys.executable,
        "-m",
        "vizlib.training.worker",
        str(folder),
        "--device",
        device,
        "--asked",
        str(time.time()),
        "--with-parent",
    ]
    data = os.environ.get("CONVSCOPE_DATA") or "data"
    environment = {**os.environ, "CONVSCOPE_DATA": str(Path(data).resolve())}
    refuse_irregular(folder / "log.txt")
    with open(folder / "log.txt", "ab") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            **_ALONE,
        )
    with _spawning:
        _processes.append(process)


def request(run, wish):
    """Ask a training for "stop", "keep", "pause" or "continue"."""
    requests.ask(run.folder, wish)


def change_rate(run, learning_rate):
    """Ask a training to go on at another highest learning rate. UserError for one that is not
    possible.
    """
    requests.ask_rate(run.folder, learning_rate)


def active_runs():
    """The runs that train here, then those that wait, in the order in which they were asked for,
    each with its status: pairs (run, status).
    """
    found = [(run, run.status) for run in folders.list_runs(shipped=False)[0]]
    return sorted(((run, status) for run, status in found if status in folders.ACTIVE), key=_place)


def _place(run_and_status):
    run, status = run_and_status
    queued = run.events_of("queued")
    return status == "queued", queued[-1].get("asked", 0.0) if queued else time.time(), run.run_id


def device_of(run):
    """The device a run waits for or trains on: "cpu" where it does not say."""
    queued = run.events_of("queued")
    return queued[-1].get("device", "cpu") if queued else "cpu"


def place_in_queue(run, active):
    """1 for the one that is next on its device, 2 for the one after; 0 for one that does not wait,
    or is about to begin. active: the `active_runs`.
    """
    same = [
        (other.run_id, status) for other, status in active if device_of(other) == device_of(run)
    ]
    waiting = [run_id for run_id, status in same if status == "queued"]
    place = waiting.index(run.run_id) + 1 if run.run_id in waiting else 0
    return 0 if place == 1 and len(same) == len(waiting) else place


def is_next(run):
    """Whether a run that waits may begin: no other one on its device trains, or has waited
    longer.
    """
    ahead = [
        other
        for other, _ in active_runs()
        if device_of(other) == device_of(run) and other.events_of("queued")
    ]
    return bool(ahead) and ahead[0].run_id == run.run_id
