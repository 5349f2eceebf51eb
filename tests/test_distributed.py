"""One training by two processes, started by torchrun: the numbers are those of one process with the
whole batch.
"""

import dataclasses
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.distributed as dist

from tests.conftest import ROOT
from tests.test_launcher import DEADLINE, is_gone, until
from tests.test_training import quiet, without_times
from vizlib import datasets
from vizlib.run import folders
from vizlib.run.events import EventLog
from vizlib.run.weights import load_weights
from vizlib.training import distributed, prepared, requests
from vizlib.training.config import make_config
from vizlib.training.distributed import Group, join
from vizlib.training.loop import carry_on, train
from vizlib.training.order import Order
from vizlib.training.recipes import recipe

pytestmark = pytest.mark.skipif(
    not dist.is_available() or not dist.is_gloo_available(), reason="this PyTorch has no gloo"
)

# The command line in float32: two-byte numbers, which some processors use, would round a share of a
# batch in another way than the whole.
SCRIPT = """
import os, sys
from vizlib.command_line import main
from vizlib.training import prepared
prepared.half_type = lambda *given: None
print("process", os.getpid(), flush=True)
sys.exit(main())
"""


@pytest.fixture
def torchrun(runs_root, tmp_path, monkeypatch):
    """start(name, *arguments) begins `train` in two processes on the CPU. What still runs in the
    end is ended.
    """
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    started = []

    def start(name, *arguments):
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            "2",
            str(tmp_path / "script.py"),
        ]
        command += [
            "train",
            "-a",
            "three_layer_module",
            "-d",
            "digits",
            "--device",
            "cpu",
            "--name",
            name,
            *arguments,
        ]
        started.append(
            subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE)


def test_two_processes_train_as_one(torchrun, runs_root, tmp_path, monkeypatch):
    """Batches of 71 and 72 pictures, shared as 36 and 35, with the classes weighed; one run folder
    and one stream of events.
    """
    process = torchrun(
        "two",
        "-r",
        "nesterov",
        "--epochs",
        "2",
        "--batch-size",
        "75",
        "--learning-rate",
        "0.02",
        "--class-weights",
    )
    monkeypatch.setattr(prepared, "half_type", lambda *given: None)
    chosen = recipe("nesterov", epochs=2, batch_size=75, learning_rate=0.02, class_weights=True)
    config = make_config(Order("three_layer_module", "digits", chosen), datasets.load("digits"))
    one = train(tmp_path / "one", config, say=quiet)
    printed, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, errors
    two = folders.open_run("two")
    assert printed.count("written to") == printed.count("test accuracy") == 1
    assert "Traceback" not in errors
    assert dataclasses.replace(two.config, title=config.title) == config
    assert two.status == "finished"
    assert [row["processes"] for row in two.events_of("started")] == [2]
    assert [row["processes"] for row in one.events_of("started")] == [1]
    numbers = (
        "train_loss",
        "val_loss",
        "norms",
        "weights",
        "train_accuracy",
        "val_accuracy",
        "test_accuracy",
        "processes",
    )
    assert without_times(two.events, *numbers) == without_times(one.events, *numbers)
    for row, expected in zip(two.events_of("epoch"), one.events_of("epoch"), strict=True):
        for key in ("train_loss", "val_loss"):
            assert row[key] == pytest.approx(expected[key], rel=1e-3), key
        assert row["train_accuracy"] == pytest.approx(expected["train_accuracy"], abs=5e-3)
        assert row["val_accuracy"] == pytest.approx(expected["val_accuracy"], abs=1 / 143)
    for row, expected in zip(two.events_of("gradients"), one.events_of("gradients"), strict=True):
        assert row["norms"] == pytest.approx(expected["norms"], rel=2e-3)
        assert row["weights"] == pytest.approx(expected["weights"], rel=1e-4)
    last = f"conv1/{one.events_of('epoch')[-1]['step']:08d}"
    for name, tensor in load_weights(one.path("model.safetensors")).items():
        assert torch.allclose(
            load_weights(two.path("model.safetensors"))[name], tensor, atol=2e-3
        ), name
    assert torch.allclose(
        load_weights(two.path("snapshots.safetensors"))[last],
        load_weights(one.path("snapshots.safetensors"))[last],
        atol=2e-3,
    )
    assert two.events_of("finished")[0]["test_accuracy"] == pytest.approx(
        one.events_of("finished")[0]["test_accuracy"], abs=2 / 360
    )


def test_two_processes_stop_together_and_one_goes_on(torchrun, runs_root):
    """Ctrl-C reaches torchrun, which tells its processes: they end in order, and the run can be
    resumed, by one process alone.
    """
    process = torchrun("two", "-r", "sgd", "--seconds", "3000")
    run = until(lambda: (runs_root / "two" / "config.json").exists() and folders.open_run("two"))
    until(lambda: run.events_of("step"))
    pids = [int(process.stdout.readline().split()[1]) for _ in range(2)]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=DEADLINE)
    until(lambda: all(is_gone(pid) for pid in pids))
    assert run.status == "stopped", errors
    assert run.can_resume, errors
    assert run.has("last.pt"), errors
    assert run.events[-1]["reason"].endswith(
        "The best weights so far are kept, and it can be resumed."
    )
    assert len(run.events_of("started")) == len(run.events_of("stopped")) == 1
    step = max(row["step"] for row in run.events if "step" in row)
    requests.ask(run.folder, "keep")
    with EventLog(run.folder) as log:
        carry_on(run.folder, log, say=quiet)
    assert run.status == "finished"
    assert run.events_of("resumed")[0]["step"] >= step > 0


# In one process


def test_without_torchrun_a_process_is_a_group_of_one(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    group, device = join("cpu")
    assert (group.leads, group.rank, group.size, device) == (True, 0, 1, "cpu")
    model, sums = torch.nn.Linear(2, 2), torch.tensor([1.0, 2.0])
    assert group.wrapped(model, "cpu") is model
    assert group.total(sums).tolist() == [1, 2]
    assert group.decided([1, 2.5]) == [1, 2.5]
    distributed.leave()


@pytest.fixture
def alone(tmp_path):
    """A real group of gloo with one process in it, which says that it is one of two."""
    dist.init_process_group(
        "gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1
    )
    yield Group(0, 2, dist.new_group(backend="gloo"))
    distributed.leave()
    assert not dist.is_initialized()


def test_what_is_decided_keeps_every_digit(alone):
    """Seconds and factors are shared as they are, in double precision."""
    values = [1, True, 1 / 3, np.pi * 1e5]
    assert alone.decided(values) == [1.0, 1.0, 1 / 3, np.pi * 1e5]
    assert alone.total(torch.tensor([1 / 3], dtype=torch.float64)).item() == 1 / 3
    wrapped = alone.wrapped(torch.nn.Linear(2, 2), "cpu")
    assert isinstance(wrapped, torch.nn.parallel.DistributedDataParallel)
