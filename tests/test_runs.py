"""The run folder: every shipped run keeps the contract, and a damaged one is a sentence, never an exception."""

import json
import os
import shutil
import subprocess
import time

import numpy as np
import pytest

from vizlib import architectures, runs
from vizlib.errors import UserError
from vizlib.predictions import load_predictions
from vizlib.runs import list_runs, open_run, read_events, read_run

ROOT = runs.SHIPPED.parent
SHIPPED = sorted(path.name for path in runs.SHIPPED.iterdir() if path.is_dir()) if runs.SHIPPED.is_dir() else []

CONFIG = {
    "architecture": "lenet",
    "arguments": {"num_classes": 2, "in_channels": 3},
    "dataset": "digits",
    "class_names": ["a", "b"],
    "input_size": [3, 32, 32],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.2, 0.2, 0.2],
    "recipe": {"name": "sgd"},
    "seed": 0,
}


def write_run(root, name, config=CONFIG, events=()):
    folder = root / name
    folder.mkdir()
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return folder


# What is shipped


def check_run(run):
    """What holds for every finished run."""
    from vizlib.weights import load_into, load_weights

    assert run.status == "finished" and run.config["title"] and run.config["recipe"]["name"] and run.config["dataset_note"]
    model = architectures.create(run.config["architecture"], **run.config["arguments"])
    load_into(model, load_weights(run.path("model.safetensors")))
    predictions = load_predictions(run.path("predictions.npz"), len(run.class_names))
    accuracy = np.mean(np.argmax(predictions.logits, axis=1) == predictions.labels)
    assert run.rows("finished")[-1]["test_accuracy"] == round(float(accuracy), 5)
    assert len(set(predictions.image_ids)) == len(predictions.image_ids)
    snapshots = load_weights(run.path("snapshots.safetensors"))
    first = next(weight for weight in model.parameters() if weight.dim() == 4)
    steps = [int(name.removeprefix("conv1/")) for name in snapshots]
    assert min(steps) == 0 and max(steps) == run.rows("epoch")[-1]["step"] and {value.shape for value in snapshots.values()} == {first.shape}
    epochs = run.rows("epoch")
    assert [row["epoch"] for row in epochs] == list(range(1, run.config["recipe"]["epochs"] + 1))
    assert run.best["val_accuracy"] == max(row["val_accuracy"] for row in epochs)
    assert all(np.sum(row["confusion"]) == run.rows("started")[0]["val_images"] for row in epochs)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_run(name):
    check_run(read_run(runs.SHIPPED / name))


def test_a_run_just_trained_keeps_the_same_contract(tiny_run):
    check_run(read_run(tiny_run.folder))


def test_all_shipped_runs_are_listed():
    listed, problems = list_runs()
    assert set(SHIPPED) <= {run.run_id for run in listed} and not [problem for problem in problems if any(name in problem for name in SHIPPED)]


def test_the_repository_stays_small():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert sum(path.stat().st_size for path in files if path.is_file()) < 40e6


# What is damaged

DAMAGED = {
    "half": '{"architecture": "lenet", "argu',
    "empty": "",
    "null": "null",
    "a list": "[1, 2]",
    "deep": "[" * 100_000,
    "no names": {**CONFIG, "class_names": []},
    "names are numbers": {**CONFIG, "class_names": [1, 2]},
    "seed": {**CONFIG, "seed": "0"},
    "flat": {**CONFIG, "input_size": [3, 32]},
    "huge": {**CONFIG, "input_size": [3, 32, 10**9]},
    "negative": {**CONFIG, "input_size": [3, -32, 32]},
    "grey mean": {**CONFIG, "mean": [0.5]},
    "mean is text": {**CONFIG, "mean": ["0.5"] * 3},
    "mean is no number": {**CONFIG, "mean": [float("nan")] * 3},
    "std is zero": {**CONFIG, "std": [0, 0.2, 0.2]},
    "std is beyond floats": {**CONFIG, "std": [10**400] * 3},
    **{f"no {key}": {other: value for other, value in CONFIG.items() if other != key} for key in CONFIG},
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_a_damaged_config_is_a_sentence(runs_root, fault):
    folder = write_run(runs_root, "bad", DAMAGED[fault])
    write_run(runs_root, "good")
    with pytest.raises(UserError, match="^'bad' cannot be read: .*config.json.*[.]$"):
        read_run(folder)
    listed, problems = list_runs()
    assert "good" in {run.run_id for run in listed} and "bad" not in {run.run_id for run in listed}
    assert [problem for problem in problems if "'bad'" in problem]


def test_folders_that_are_no_run(runs_root, tmp_path):
    (runs_root / "no-config").mkdir()
    (runs_root / "binary").mkdir()
    (runs_root / "binary" / "config.json").write_bytes(b"\xff\xfe\x00\x80")
    (runs_root / "nested" / "config.json").mkdir(parents=True)
    (runs_root / ".hidden").mkdir()
    (runs_root / "a file").write_text("")
    (runs_root / "linked").symlink_to(write_run(tmp_path, "elsewhere"))
    listed, problems = list_runs()
    assert not {"no-config", "binary", "nested", ".hidden", "linked"} & {run.run_id for run in listed}
    assert len(problems) == 3 and not any("linked" in problem for problem in problems)
    for name in ("no-config", "binary", "nested", "linked"):
        with pytest.raises(UserError):
            open_run(name)


@pytest.mark.parametrize("run_id", ["../etc", "..", ".", "", "a/b", "a\\b", "/etc", "a\0", "%00", "good\n", "-x", "a" * 300, None, 3, ["good"]])
def test_no_id_leads_out_of_the_roots(runs_root, run_id):
    write_run(runs_root, "good")
    write_run(runs_root.parent, "etc")
    with pytest.raises(UserError, match="There is no run named .*good"):
        open_run(run_id)


def test_shipped_runs_come_before_ones_of_the_same_name(runs_root, tmp_path, monkeypatch):
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(runs, "SHIPPED", tmp_path / "shipped")
    shipped = write_run(tmp_path / "shipped", "same")
    write_run(runs_root, "same")
    assert open_run("same").folder == shipped and [run.folder for run in list_runs()[0]] == [shipped]


# Events

STARTED, EPOCH = {"event": "started", "parameters": 9}, {"event": "epoch", "epoch": 1, "step": 9, "seconds": 1, "train_loss": 1, "train_accuracy": 0.5}
EPOCH |= {"val_loss": 1, "val_accuracy": 0.5, "learning_rate": 0.1}


def test_torn_and_foreign_lines_are_left_out(tmp_path):
    path = tmp_path / "events.jsonl"
    lines = [json.dumps(STARTED).encode(), b"\xff\x00garbage", b"[1]", b'{"no": "event"}', b'{"event": 3}', b"[" * 100_000, b"", json.dumps(EPOCH).encode()]
    path.write_bytes(b"\n".join(lines) + b"\n" + json.dumps(EPOCH).encode()[:30])
    assert read_events(path) == [STARTED, EPOCH]
    path.write_bytes(bytes(range(256)) * 50)
    assert read_events(path) == [] == read_events(tmp_path / "none")


ODD = [{"event": "checkpoint", "epoch": 1, "val_accuracy": "x"}, {"event": "epoch", "epoch": 1}, *({"event": name} for name in ("checkpoint", "step", "finished"))]


@pytest.mark.parametrize("event", ODD)
def test_events_without_their_figures_are_left_out(runs_root, event):
    """Every page counts on the figures of an epoch, a step and a checkpoint."""
    run = read_run(write_run(runs_root, "odd", events=[STARTED, event, EPOCH]))
    assert run.events == [STARTED, EPOCH] and run.best is None


def test_events_are_read_again_when_the_file_grows(runs_root):
    folder = write_run(runs_root, "live", events=[STARTED])
    run = read_run(folder)
    assert run.rows("epoch") == []
    before = run.changed("events.jsonl")
    with open(folder / "events.jsonl", "a") as file:
        file.write(json.dumps(EPOCH) + "\n")
    os.utime(folder / "events.jsonl", ns=(before + 10**6, before + 10**6))
    assert run.rows("epoch") == [EPOCH]


@pytest.mark.parametrize(
    "names, age, status",
    [
        (["started", "finished"], 1e6, "finished"),
        (["started", "failed"], 1e6, "failed"),
        (["started", "stopped"], 0, "stopped"),
        (["started"], 0, "training"),
        (["started"], 1000, "interrupted"),
        (["started", "stopped", "started"], 0, "training"),
        (["started", "stopped", "started"], 1000, "interrupted"),
        ([], 1000, "interrupted"),
    ],
)
def test_status_is_derived(runs_root, names, age, status):
    figures = {"parameters": 9, "test_accuracy": 0.5, "seconds": 1}
    folder = write_run(runs_root, "run", events=[{"event": name, **figures} for name in names])
    when = time.time() - age
    os.utime(folder / "events.jsonl", (when, when))
    assert read_run(folder).status == status


def test_status_without_events(runs_root):
    folder = write_run(runs_root, "run")
    (folder / "events.jsonl").unlink()
    assert read_run(folder).status == "interrupted" and read_run(folder).events == []


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "config.json"
    runs.write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        runs.write_json(path, {"new": object()})
    assert json.loads(path.read_text()) == {"old": 1}
    runs.write_json(path, {"new": 2})
    assert json.loads(path.read_text()) == {"new": 2} and os.listdir(tmp_path) == ["config.json"]


def test_a_copied_run_is_the_same_run(tiny_run, runs_root):
    shutil.copytree(tiny_run.folder, runs_root / "copy")
    assert open_run("copy").config == tiny_run.config and open_run("copy").events == tiny_run.events
