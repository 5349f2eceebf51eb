"""The process that has imported PyTorch before Train is pressed: it trains what it is told, and is
never left over.
"""

import os
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from tests.test_launcher import LONG, is_gone, newest, place, reason, resumable, until
from vizlib.training import launcher, ready, worker
from vizlib.training.estimate import LEAST_SECONDS, START_SECONDS, estimate
from vizlib.training.order import Order
from vizlib.training.recipes import recipe

BEGIN = ready.begin  # which other tests do without
DIGITS = dict(images=1437, input_size=(1, 8, 8))
__all__ = ["place"]


@pytest.fixture
def waits(place, monkeypatch):
    """waits() has one for the processor, and gives its process; what is left is ended."""
    monkeypatch.setattr(ready, "begin", BEGIN)

    def begun(device="cpu"):
        launcher.get_ready(device)
        return ready._ready.process

    yield begun
    ready._end()


def test_it_trains_what_it_is_told(place, waits):
    process = waits()
    assert waits() is process
    run = resumable(place, "one", epochs=2)
    launcher.resume(run)
    assert newest() is process
    until(lambda: run.status == "finished")
    assert process.wait(60) == 0
    log = run.path("log.txt").read_text()
    assert "epoch" in log
    assert "Traceback" not in log
    # the next one is another
    assert waits() is not process


def test_it_gives_way_as_any_training_does(place, waits):
    process = waits()
    until(lambda: os.getpriority(os.PRIO_PROCESS, process.pid) == max(worker.NICENESS, os.nice(0)))
    run = resumable(place, "one", **LONG)
    launcher.resume(run)
    until(lambda: run.events_of("epoch"))
    nice = os.getpriority(os.PRIO_PROCESS, process.pid)
    assert nice == max(worker.NICENESS, os.nice(0))
    launcher.request(run, "stop")
    until(lambda: run.status == "stopped")


def _for_a_gpu(monkeypatch, process):
    return dict(device="cuda:0")


def _elsewhere(monkeypatch, process):
    monkeypatch.setenv("CONVSCOPE_DATA", "/nowhere")
    return dict(device="cpu")


def _dead(monkeypatch, process):
    process.kill()
    process.wait()
    return dict(device="cpu")


@pytest.mark.parametrize("change", [_for_a_gpu, _elsewhere, _dead])
def test_it_is_used_for_nothing_else(waits, monkeypatch, change):
    """Another device, another environment; and one that has died leaves the training to a process
    of its own.
    """
    process = waits()
    asked = change(monkeypatch, process)
    taken = ready.take([], ROOT / "log.txt", asked["device"], launcher._environment())
    assert taken is None
    assert process.poll() is not None
    assert ready.head_start("cpu") == 0


def test_it_ends_when_nobody_looks_at_a_form_any_more(waits, monkeypatch):
    monkeypatch.setattr(ready, "KEPT_SECONDS", 0.8)
    process = waits()
    for _ in range(6):
        time.sleep(0.3)
        assert waits() is process
    until(lambda: process.poll() is not None)
    assert ready._ready is None


PARENT = """
import sys, time
from vizlib.run import folders
from vizlib.training import launcher, ready
launcher.get_ready("cpu")
launcher.resume(folders.open_run("one"))
launcher.get_ready("cpu")
assert "torch" not in sys.modules
print(launcher._processes[0].pid, ready._ready.process.pid, flush=True)
time.sleep(600)
"""


def test_when_the_app_is_gone_both_end(place):
    """The one that trains saves before."""
    run = resumable(place, "one", **LONG)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        until(lambda: run.events_of("epoch"))
        parent.kill()
        parent.wait()
        until(lambda: run.status == "stopped")
        until(lambda: all(is_gone(pid) for pid in pids))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert reason(run).startswith("The app was closed.")
    assert run.can_resume


def test_an_estimate_knows_of_it(monkeypatch):
    minute = Order("airbench", "digits", recipe("minute"))
    for ahead, start in ((0.0, START_SECONDS), (1.5, START_SECONDS - 1.5), (99, LEAST_SECONDS)):
        monkeypatch.setattr(ready, "head_start", lambda device, ahead=ahead: ahead)
        assert estimate(minute, **DIGITS)[0] == 60 + start
