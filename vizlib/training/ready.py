"""A process that has imported PyTorch before it is needed: python -m vizlib.training.ready. Told
what to train on its standard input, it is that training's worker.

Importing takes four to six seconds, for which whoever presses Train would wait. So one is begun
when the form is opened, and ends if nobody has trained for a while. Imports no torch by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from vizlib.training import process

ROOT = Path(__file__).resolve().parents[2]
KEPT_SECONDS = 300  # since a form was last looked at
# In a session of its own, so that Ctrl-C in the terminal does not reach it before it could save;
# Windows has another word for it.
_ALONE: dict[str, Any] = (
    dict(creationflags=subprocess.CREATE_NEW_PROCESS_GROUP)
    if sys.platform == "win32"
    else dict(start_new_session=True)
)


@dataclass
class _Ready:
    """One that waits. device, environment: what it was begun for."""

    process: subprocess.Popen[Any]
    device: str
    environment: Mapping[str, str]
    begun: float
    asked: float

    def is_for(self, device: str, environment: Mapping[str, str]) -> bool:
        is_same = self.device == device and _ours(self.environment) == _ours(environment)
        return is_same and self.process.poll() is None


def _ours(environment: Mapping[str, str]) -> dict[str, str]:
    """What is set for this app; importing a library may set more of its own."""
    return {name: value for name, value in environment.items() if name.startswith("CONVSCOPE_")}


_ready: _Ready | None = None
_one_at_a_time = threading.Lock()


def started(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], log: int | IO[bytes]
) -> subprocess.Popen[Any]:
    """A process that runs a module of this room and writes into a log. Its standard input is a pipe
    that closes when this process ends, also by kill -9.
    """
    return subprocess.Popen(
        [sys.executable, "-m", f"vizlib.training.{module}", *arguments],
        cwd=ROOT,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        **_ALONE,
    )


def begin(device: str, environment: Mapping[str, str]) -> None:
    """Have one for a device, which ends when nobody has asked for it for a while."""
    global _ready
    with _one_at_a_time:
        if _ready is not None and _ready.is_for(device, environment):
            _ready.asked = time.monotonic()
            return
        _end()
        waits, now = started("ready", [device], environment, subprocess.DEVNULL), time.monotonic()
        begun = _ready = _Ready(waits, device, environment, now, now)
    # not _ready, which somebody may have taken already
    _look_again(begun, KEPT_SECONDS)


def take(
    arguments: Sequence[str], log: Path, device: str, environment: Mapping[str, str]
) -> subprocess.Popen[Any] | None:
    """The process, which trains from now on with a worker's arguments and writes into a log; None
    where there is none, or none for this device and environment.
    """
    global _ready
    with _one_at_a_time:
        taken, _ready = _ready, None
        if taken is None:
            return None
        if not taken.is_for(device, environment):
            _close(taken)
            return None
    told = json.dumps({"arguments": list(arguments), "log": str(log)})
    assert taken.process.stdin is not None
    try:
        # unlike what Popen gives, which is buffered until it is closed
        os.write(taken.process.stdin.fileno(), told.encode() + b"\n")
    except OSError:  # it has just died
        return None
    return taken.process


def head_start(device: str) -> float:
    """For how many seconds the one for a device has been importing; 0 where there is none."""
    with _one_at_a_time:
        there = _ready
    if there is None or there.device != device or there.process.poll() is not None:
        return 0.0
    return time.monotonic() - there.begun


def _look_again(ready: _Ready, seconds: float) -> None:
    timer = threading.Timer(seconds, _unless_asked, (ready,))
    timer.daemon = True
    timer.start()


def _unless_asked(ready: _Ready) -> None:
    """End it, if it still waits and nobody has asked for it lately."""
    with _one_at_a_time:
        if _ready is not ready:
            return
        left = ready.asked + KEPT_SECONDS - time.monotonic()
        if left <= 0:
            _end()
            return
    _look_again(ready, left)


def _end() -> None:
    global _ready
    if _ready is not None:
        _close(_ready)
    _ready = None


def _close(ready: _Ready) -> None:
    """End it: it has nothing that could be lost."""
    ready.process.kill()
    ready.process.wait()
    assert ready.process.stdin is not None
    ready.process.stdin.close()


def main(device: str) -> int:
    """Import, wait, and train. Returns the exit status."""
    from vizlib.training import worker

    if device == "cpu":
        process.give_way(worker.NICENESS)
    worker.import_all()
    line = b""
    # letter by letter: what follows is the worker's to read
    while not line.endswith(b"\n"):
        letter = os.read(0, 1)
        if not letter:
            return 0
        line += letter
    told = json.loads(line)
    log = os.open(told["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    return worker.main(told["arguments"])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
