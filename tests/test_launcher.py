"""Trainings in processes of their own: the queue, what ends them and how, and that nothing is left
of them.
"""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from vizlib import datasets
from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.run.events import EventLog
from vizlib.run.folders import open_run
from vizlib.run.predictions import load_predictions
from vizlib.training import launcher, requests, worker
from vizlib.training.estimate import START_SECONDS, estimate, known_speed
from vizlib.training.order import Order
from vizlib.training.recipes import recipe
from vizlib.training.state import NAME as STATE

DEADLINE = 90  # seconds; generous, since other work may share the processor
LONG = dict(epochs=3000)


@pytest.fixture
def place(runs_root, monkeypatch):
    """An empty folder of runs. What still trains in the end is ended."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = list(launcher._processes)
    yield runs_root
    for process in launcher._processes:
        if process not in before:
            process.kill()
            process.wait()


def until(condition):
    """Wait for something to become true, and give it back."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def start(name, **changes):
    return open_run(
        launcher.start_new(
            Order("three_layer_module", "digits", recipe("sgd", **changes), name=name)
        )
    )


def resumable(root, name, **changes):
    """A run that was stopped before its first step, trained in this process."""
    from vizlib.training.config import make_config
    from vizlib.training.loop import train

    (root / name).mkdir()
    requests.ask(root / name, "stop")
    return train(
        root / name,
        make_config(
            Order("three_layer_module", "digits", recipe("sgd", **changes)),
            datasets.load("digits"),
        ),
        say=lambda line: None,
    )


def newest():
    return launcher._processes[-1]


def is_gone(pid):
    """Whether no process of that number runs any more; one that only waits to be buried is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def reason(run):
    return run.events[-1].get("reason")


# The queue


def test_one_trains_at_a_time_in_the_order_of_asking(place):
    """Five are asked for while another run trains; three of them are called off as they wait, the
    others go one after the other.
    """
    other = resumable(place, "other")
    with EventLog(other.folder) as log:  # as its process would
        log.write("queued", device="cpu", asked=0.0)
        log.write("starting")
        found = [
            start(name, **changes)
            for name, changes in [("e", LONG), ("d", {}), ("c", {}), ("b", {}), ("a", {})]
        ]
        assert [run.status for run in found] == ["queued"] * 5
        assert other.status == "training"
        until(lambda: all(run.events_of("queued") for run in found))
        assert [
            launcher.place_in_queue(run, launcher.active_runs()) for run in (*found, other)
        ] == [1, 2, 3, 4, 5, 0]
        assert [run.run_id for run, _ in launcher.active_runs()] == [
            "other",
            "e",
            "d",
            "c",
            "b",
            "a",
        ]
        if Path("/proc/self/maps").exists():  # one that waits is small
            assert not any(
                "libtorch" in Path(f"/proc/{process.pid}/maps").read_text()
                for process in launcher._processes[-5:]
            )
        launcher.request(found[2], "stop")
        launcher._processes[-2].send_signal(signal.SIGTERM)
        until(lambda: found[2].status == found[3].status == "stopped")
        assert reason(found[2]) == "Stopped by hand. It was waiting in the queue."
        assert reason(found[3]) == "The process was asked to end. It was waiting in the queue."
        assert [launcher.place_in_queue(run, launcher.active_runs()) for run in found] == [
            1,
            2,
            0,
            0,
            3,
        ]
        assert found[2].can_resume
        log.write("stopped", reason="Enough.")
    until(lambda: found[0].events_of("epoch"))
    assert [run.status for run in found] == ["training", "queued", "stopped", "stopped", "queued"]
    launcher._processes[-5].send_signal(signal.SIGTERM)
    until(lambda: found[0].status == "stopped")
    assert reason(found[0]).startswith(
        "The process was asked to end. The best weights so far are kept"
    )
    assert found[0].has(STATE)
    assert found[0].can_resume
    until(lambda: found[1].events_of("started"))
    launcher.request(found[4], "stop")
    until(lambda: found[1].status == "finished" and found[4].status == "stopped")
    times = [
        other.events[-1]["time"],
        *(
            row["time"]
            for run in found[:2]
            for row in (run.events_of("starting")[0], run.events[-1])
        ),
    ]
    assert times == sorted(times)
    assert found[4].events_of("starting") == []
    for process in launcher._processes[-5:]:
        assert process.wait(DEADLINE) == 0
    names = [row["event"] for row in found[1].events]
    assert names[:3] == ["queued", "starting", "started"]
    assert names[-1] == "finished"
    assert found[1].events_of("queued")[0]["device"] == "cpu"
    log = found[1].path("log.txt").read_text()
    assert "epoch   1.00  train loss" in log
    assert "test accuracy 0." in log
    assert "Traceback" not in log
    assert "Warning" not in log


def test_a_full_queue_says_so(runs_root, tiny_run):
    for number in range(10):
        (runs_root / f"waiting{number}").mkdir()
        # just made: its process has not come so far
        (runs_root / f"waiting{number}" / "config.json").write_text(
            json.dumps(tiny_run.config.as_dict())
        )
    with pytest.raises(UserError, match="10 trainings wait already"):
        start("more")
    assert not (runs_root / "more").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "nonesuch"},
        {"dataset": "nonesuch"},
        {"start": {"run": "nonesuch"}},
        {"name": "../out"},
        {"frozen": 99},
    ],
)
def test_what_cannot_be_started_leaves_nothing_behind(runs_root, changes):
    arguments = {
        "architecture": "three_layer_module",
        "dataset": "digits",
        "recipe": recipe("sgd"),
        "device": "cpu",
        **changes,
    }
    before = list(launcher._processes)
    with pytest.raises(UserError):
        launcher.start_new(Order(**arguments))
    assert list(runs_root.iterdir()) == []
    assert launcher._processes == before


def test_names_that_are_taken_get_a_number(runs_root, monkeypatch):
    spawned = []
    monkeypatch.setattr(
        launcher, "_spawn", lambda folder, device: spawned.append((folder.name, device))
    )
    assert [start("mine").run_id for _ in range(3)] == ["mine", "mine-2", "mine-3"]
    assert spawned == [(name, "cpu") for name in ("mine", "mine-2", "mine-3")]
    assert start(None).run_id.startswith("three_layer_module-digits")


def test_devices():
    assert launcher.devices()[-1] == "cpu"
    assert all(re.fullmatch(r"cuda:\d+|mps", name) for name in launcher.devices()[:-1])


# Ending, and going on


def test_killed_it_is_interrupted_at_once_and_goes_on(place):
    """kill -9 in the middle; then a resume at another rate, which is changed again as it trains,
    paused, and kept before its end.
    """
    run = start("run", **LONG)
    first = newest()
    until(lambda: run.events_of("epoch") and run.has(STATE))
    assert run.status == "training"
    assert run.is_active
    assert not run.can_resume
    with pytest.raises(UserError, match="^run cannot be resumed: it is training[.]$"):
        launcher.resume(run)
    first.kill()
    first.wait()
    assert run.status == "interrupted"
    assert run.can_resume
    assert not run.is_active
    with pytest.raises(UserError, match="not possible"):
        launcher.resume(run, learning_rate=-1.0)
    requests.ask(run.folder, "keep")  # left over
    launcher.resume(run, learning_rate=0.005)
    second = newest()
    until(
        lambda: (
            run.events_of("resumed")
            and run.events_of("epoch")[-1]["step"] > run.events_of("resumed")[0]["step"]
        )
    )
    assert run.events_of("resumed")[0]["step"] > 0
    assert [row["learning_rate"] for row in run.events_of("rate")] == [0.005]
    twice = subprocess.run(
        [sys.executable, "-m", "vizlib.training.worker", str(run.folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert twice.returncode == 1
    assert twice.stderr == "run is being trained already.\n"
    assert run.status == "training"
    for rate in (-1, 101, float("nan")):
        with pytest.raises(UserError, match="is not possible: between 0 and 100"):
            launcher.change_rate(run, rate)
    launcher.change_rate(run, 0.0025)
    until(lambda: len(run.events_of("rate")) == 2)
    launcher.request(run, "pause")
    until(lambda: run.status == "paused")
    assert run.is_active
    assert not run.can_resume
    launcher.request(run, "continue")
    until(lambda: run.status == "training")
    launcher.request(run, "keep")
    until(lambda: run.status == "finished")
    assert second.wait(DEADLINE) == 0
    assert run.events_of("finished")[0]["kept"] is True
    assert not run.has(STATE)
    assert not run.can_resume
    used = [row["learning_rate"] for row in run.events_of("epoch")]
    assert {0.02, 0.005} <= set(used) <= {0.02, 0.005, 0.0025}
    assert used == sorted(used, reverse=True)
    for event in ("step", "epoch", "gradients"):
        steps = [row["step"] for row in run.events_of(event)]
        assert steps == sorted(set(steps)), event
    assert load_predictions(run.path("predictions.npz"), 10).accuracy == pytest.approx(
        run.events_of("finished")[0]["test_accuracy"], abs=1e-5
    )
    with pytest.raises(UserError, match="^run cannot be resumed: it is finished[.]$"):
        launcher.resume(run)


PARENT = """
import sys, time
from vizlib.run import folders
from vizlib.training import launcher
assert "torch" not in sys.modules
for name in ("one", "two"):
    launcher.resume(folders.open_run(name))
assert "torch" not in sys.modules
print(*(process.pid for process in launcher._processes), flush=True)
time.sleep(600)
"""


def test_when_the_app_is_gone_its_trainings_end(place):
    """Also after kill -9 of the app, the one that trains and the one that waits: both can be
    resumed, and no process is left.
    """
    found = [resumable(place, name, **LONG) for name in ("one", "two")]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        trains, waits = until(
            lambda: (
                sorted(found, key=lambda run: run.status != "training")
                if any(run.events_of("epoch") for run in found)
                else None
            )
        )
        until(lambda: waits.status == "queued")
        assert trains.status == "training"
        assert len(pids) == 2
        parent.kill()
        parent.wait()
        until(lambda: trains.status == waits.status == "stopped")
        until(lambda: all(is_gone(pid) for pid in pids))
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    assert (
        reason(trains)
        == "The app was closed. The best weights so far are kept, and it can be resumed."
    )
    assert trains.can_resume
    assert reason(waits) == "The app was closed. It was waiting in the queue."
    assert waits.can_resume
    assert "Traceback" not in trains.path("log.txt").read_text() + waits.path("log.txt").read_text()


def test_many_who_look_do_not_take_one_another_for_a_training(runs_root, tiny_run):
    """Processes that wait look at one another's locks all the time; a run whose process is gone
    must not seem to train to any of them.
    """
    folder = runs_root / "gone"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(tiny_run.config.as_dict()))
    with EventLog(folder) as log:
        log.write("starting")
    code = (
        "import sys; from vizlib.run.folders import read_run; run = read_run(sys.argv[1]); "
        "print({run.status for _ in range(3000)})"
    )
    looking = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert [process.communicate(timeout=DEADLINE)[0] for process in looking] == [
        "{'interrupted'}\n"
    ] * 3


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="no groups by session here")
@pytest.mark.parametrize(("alone", "of_group"), [(True, 7), (False, 0)])
def test_a_training_gives_way_as_a_session_and_takes_nobody_along(alone, of_group):
    """Between sessions Linux looks at the niceness of the group only."""
    told = "print(os.nice(0), open('/proc/self/autogroup').read().split()[-1])"
    code = f"import os; from vizlib.training import process; process.give_way(7); {told}"
    parent = f"""
        import subprocess, sys
        subprocess.run([sys.executable, "-c", {code!r}], start_new_session={alone})
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(parent)],
        start_new_session=True,  # not that of the tests
        capture_output=True,
        text=True,
        check=True,
    )
    assert [int(word) for word in ran.stdout.split()] == [max(7, os.nice(0)), of_group]


# The worker, in this process


@pytest.fixture
def in_process(monkeypatch):
    """work(folder) is the worker's main, without what changes the whole process."""
    for name in ("end_in_order", "keep_freed_memory", "give_way"):
        monkeypatch.setattr(worker.process, name, lambda *arguments: None)
    monkeypatch.setenv("CONVSCOPE_RUNS", os.environ.get("CONVSCOPE_RUNS", ""))  # which it sets
    return lambda folder: worker.main([str(folder)])


def test_what_fails_is_noted_and_one_line(runs_root, in_process, capsys, tiny_run):
    folder = runs_root / "run"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps(tiny_run.config.as_dict() | {"dataset": "folder:gone"})
    )
    assert in_process(folder) == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert printed.startswith("The data set 'folder:gone' is not on this machine.")
    run = open_run("run")
    assert run.status == "failed"
    assert reason(run) + "\n" == printed
    assert [row["event"] for row in run.events] == ["queued", "starting", "failed"]


def test_a_run_that_has_finished_meanwhile_is_left_alone(runs_root, in_process, tiny_run):
    """Two who resume one run at a time: the second gets the lock when all is done."""
    import shutil

    shutil.copytree(tiny_run.folder, runs_root / "done")
    before = (runs_root / "done" / "model.safetensors").stat().st_mtime_ns
    in_process(runs_root / "done")
    run = open_run("done")
    assert run.status == "finished"
    assert len(run.events_of("started")) == 1
    assert run.events_of("resumed") == []
    assert run.path("model.safetensors").stat().st_mtime_ns == before


def test_what_ends_the_training_before_ends_the_waiting_one_too(
    runs_root, in_process, monkeypatch, tiny_run
):
    """An app that closes frees the device at the same moment as it asks those who wait to end: they
    do not begin.
    """
    folder = runs_root / "run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(tiny_run.config.as_dict()))
    made, imported, looks = [], [], []

    def noted(folder):
        made.append(requests.Requests(folder))
        return made[0]

    def is_next(run):
        """Its turn until it has imported all it needs, then another's once, then its own again: the
        app has gone.
        """
        if not imported:
            return True
        looks.append(run)
        if len(looks) > 1:
            made[0].reason = "The app was closed."
        return len(looks) > 1

    monkeypatch.setattr(worker.process, "keep_freed_memory", lambda: imported.append(True))
    monkeypatch.setattr(worker, "Requests", noted)
    monkeypatch.setattr(worker.launcher, "is_next", is_next)
    assert in_process(folder) == 0
    run = open_run("run")
    assert reason(run) == "The app was closed. It was waiting in the queue."
    assert [row["event"] for row in run.events] == ["queued", "stopped"]


# How long it will take


def test_an_estimate_is_of_earlier_runs_or_of_the_budget(runs_root, tiny_run):
    digits = dict(images=1437, input_size=(1, 8, 8))
    minute = Order("airbench", "digits", recipe("minute"))
    assert estimate(minute, **digits)[0] == 60 + START_SECONDS
    folder = runs_root / "run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(tiny_run.config.as_dict()))
    figures = dict(seconds=1.0, train_loss=1.0, learning_rate=0.1)
    events = [
        dict(event="queued", device="cpu", asked=0.0),
        dict(event="started", parameters=1, train_images=1000),
    ]
    events += [
        dict(event="step", step=step, epoch=epoch, time=time, **figures)
        for step, epoch, time in ((1, 0.5, 100.0), (9, 2.5, 104.0))
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))

    def asked(epochs=7, **given):
        return Order("three_layer_module", "digits", recipe("sgd", epochs=epochs), **given)

    # two thousand images in four seconds
    seconds, source = estimate(asked(), **digits)
    assert seconds == pytest.approx(7 * 1437 / 500 + START_SECONDS)
    assert source == "from earlier runs here"
    # which that run was not on
    seconds, source = estimate(asked(device="cuda:0"), **digits)
    assert source == "guessed from its size"
    assert 0 < seconds - START_SECONDS < np.inf
    twice = estimate(asked(14, device="cuda:0"), **digits)[0]
    assert twice - START_SECONDS == pytest.approx(2 * (seconds - START_SECONDS))
    # which it did not get
    larger = estimate(asked(), images=1437, input_size=(1, 16, 16))
    assert larger[1] == "guessed from its size"


def test_the_speed_of_a_run_is_of_its_form(runs_root, tiny_run):
    """A narrower network of the same name is faster."""
    folder = runs_root / "run"
    folder.mkdir()
    config = tiny_run.config.as_dict() | {
        "architecture": "airbench",
        "arguments": {"num_classes": 10, "in_channels": 1, "widths": [4, 6, 8]},
    }
    (folder / "config.json").write_text(json.dumps(config))
    figures = dict(seconds=1.0, train_loss=1.0, learning_rate=0.1)
    events = [
        dict(event="queued", device="cpu", asked=0.0),
        dict(event="started", parameters=1, train_images=1000),
        dict(event="step", step=1, epoch=0.5, time=100.0, **figures),
        dict(event="step", step=9, epoch=2.5, time=104.0, **figures),
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    usual = Order("airbench", "digits", recipe("sgd"))
    narrow = dataclasses.replace(usual, arguments={"widths": [4, 6, 8]})
    assert known_speed(narrow, (1, 8, 8))[0] == pytest.approx(500)
    assert known_speed(usual, (1, 8, 8))[0] is None


def test_runs_that_ship_are_never_resumed():
    found = [run for run in folders.list_runs()[0] if run.folder.parent == folders.SHIPPED]
    assert not any(run.can_resume or run.is_active for run in found)
