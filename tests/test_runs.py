"""The run folder: every shipped run keeps the contract, and a damaged one is a sentence, never an
exception.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import time

import numpy as np
import pytest

from vizlib import architectures
from vizlib.errors import UserError
from vizlib.reports.systems import SYSTEMS
from vizlib.run import folders, moments
from vizlib.run.config import config_of, read_config, write_config
from vizlib.run.events import EVENTS, EventLog, read_events
from vizlib.run.folders import list_runs, open_run, read_run
from vizlib.run.predictions import load_predictions

ROOT = folders.SHIPPED.parent
SHIPPED = (
    sorted(path.name for path in folders.SHIPPED.iterdir() if path.is_dir())
    if folders.SHIPPED.is_dir()
    else []
)

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
    (folder / "config.json").write_text(
        config if isinstance(config, str) else json.dumps(config), encoding="utf-8"
    )
    (folder / "events.jsonl").write_text(
        "".join(json.dumps(event) + "\n" for event in events), encoding="utf-8"
    )
    return folder


# What is shipped


def check_run(run):
    """What holds for every finished run."""
    from vizlib.run.weights import load_into, load_weights

    assert run.status == "finished"
    assert run.config.title
    assert run.config.recipe["name"]
    assert run.config.dataset_note
    model = architectures.create(run.config.architecture, **run.config.arguments)
    assert (
        sum(parameter.numel() for parameter in model.parameters())
        == run.events_of("started")[0]["parameters"]
    )
    if run.has("model.safetensors"):
        load_into(model, load_weights(run.path("model.safetensors")))
    else:  # they are too large to ship: one command trains them anew
        assert run.config.system in SYSTEMS
        assert run.reproducing_command in run.missing_weights
    predictions = load_predictions(run.path("predictions.npz"), len(run.class_names))
    accuracy = np.mean(np.argmax(predictions.logits, axis=1) == predictions.labels)
    assert run.events_of("finished")[-1]["test_accuracy"] == round(float(accuracy), 5)
    assert len(set(predictions.image_ids)) == len(predictions.image_ids)
    snapshots = load_weights(run.path("snapshots.safetensors"))
    first = next(weight for weight in model.parameters() if weight.dim() == 4)
    filters = {
        int(name.removeprefix("conv1/")): value
        for name, value in snapshots.items()
        if name.startswith("conv1/")
    }
    epochs, recipe = run.events_of("epoch"), run.config.recipe
    assert min(filters) == 0
    assert max(filters) == epochs[-1]["step"]
    assert {value.shape for value in filters.values()} == {first.shape}
    check_film(
        run,
        {name: value for name, value in snapshots.items() if not name.startswith("conv1/")},
        filters,
    )
    found = [row["epoch"] for row in epochs]
    assert found == sorted(set(found))
    assert recipe.get("seconds") or (
        found[-1] == recipe["epochs"] and set(range(1, recipe["epochs"] + 1)) <= set(found)
    )
    evaluations = moments.evaluations(run)
    if "balanced_accuracy" in run.events_of("checkpoint")[-1]:  # accuracy favours the collapsed
        shares = [
            counts.diagonal() / np.where(counts.sum(axis=1), counts.sum(axis=1), np.nan)
            for _, counts in evaluations
        ]
        chosen_by = [round(float(np.nanmean(share)), 5) for share in shares]
        assert run.events_of("checkpoint")[-1]["balanced_accuracy"] == max(chosen_by)
    else:
        chosen_by = [row["val_accuracy"] for row in epochs]
        assert run.best["val_accuracy"] == max(chosen_by)
    # the first of equal ones in runs of earlier versions
    assert run.best["step"] in (epochs[int(np.argmax(chosen_by))]["step"], _of_least_loss(run))
    assert [event for event, _ in evaluations] == epochs
    val_images = run.events_of("started")[0]["val_images"]
    assert all(counts.sum() == val_images for _, counts in evaluations)


def _of_least_loss(run):
    """The step of the epoch that is kept of those that are equally right."""
    scores = [row["val_accuracy"] for row in run.events_of("epoch")]
    equal = [row for row in run.events_of("epoch") if row["val_accuracy"] == max(scores)]
    return min(equal, key=lambda row: row["val_loss"])["step"]


def check_film(run, snapshots, steps):
    """The maps of a probe picture, which older runs lack: of the same layers at some of the
    filters' steps, each with its range.
    """
    if not snapshots:
        return
    picture, channels = snapshots.pop("probe/picture"), run.input_size[0]
    assert picture.shape == (*run.input_size[1:], channels)
    assert (picture % 1 == 0).all()
    maps = {
        name.removeprefix("probe/"): value
        for name, value in snapshots.items()
        if name.startswith("probe/")
    }
    ranges = {
        name.removeprefix("range/"): value
        for name, value in snapshots.items()
        if name.startswith("range/")
    }
    assert maps.keys() == ranges.keys()
    assert len(maps) + len(ranges) == len(snapshots)
    assert {0, max(steps)} <= (stored := {int(name.split("/")[0]) for name in maps}) <= set(steps)
    layers = {name.partition("/")[2] for name in maps}
    assert 1 <= len(layers) <= 5
    assert len(maps) == len(layers) * len(stored)
    for name, value in maps.items():
        least, greatest = ranges[name].tolist()
        assert value.ndim == 3
        assert max(value.shape[1:]) <= 32
        assert 0 <= value.min() <= value.max() <= 255
        assert least <= greatest


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_run(name):
    check_run(read_run(folders.SHIPPED / name))


def test_a_run_just_trained_keeps_the_same_contract(tiny_run):
    run = read_run(tiny_run.folder)
    check_run(run)
    assert run.best["step"] == _of_least_loss(run)


def test_a_run_without_its_weights_keeps_all_the_rest(weightless):
    check_run(weightless)
    with pytest.raises(AssertionError):
        check_run(
            folders.Run(
                weightless.folder,
                dataclasses.replace(weightless.config, system=None),
            )
        )
    for name in ("predictions.npz", "snapshots.safetensors"):
        content = weightless.path(name).read_bytes()
        weightless.path(name).unlink()
        with pytest.raises(UserError):
            check_run(weightless)
        weightless.path(name).write_bytes(content)


def test_all_shipped_runs_are_listed():
    listed, problems = list_runs()
    assert set(SHIPPED) <= {run.run_id for run in listed}
    assert not [problem for problem in problems if any(name in problem for name in SHIPPED)]


def test_the_repository_stays_small():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    sizes = [path.stat().st_size for path in files if path.is_file()]
    assert sum(sizes) < 110e6
    assert max(sizes) < 25e6


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
    **{
        f"no {key}": {other: value for other, value in CONFIG.items() if other != key}
        for key in CONFIG
    },
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_a_damaged_config_is_a_sentence(runs_root, fault):
    folder = write_run(runs_root, "bad", DAMAGED[fault])
    write_run(runs_root, "good")
    with pytest.raises(UserError, match="^'bad' cannot be read: .*config.json.*[.]$"):
        read_run(folder)
    listed, problems = list_runs()
    assert "good" in {run.run_id for run in listed}
    assert "bad" not in {run.run_id for run in listed}
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
    assert not {"no-config", "binary", "nested", ".hidden", "linked"} & {
        run.run_id for run in listed
    }
    assert len(problems) == 3
    assert not any("linked" in problem for problem in problems)
    for name in ("no-config", "binary", "nested", "linked"):
        with pytest.raises(UserError):
            open_run(name)


@pytest.mark.parametrize(
    "run_id",
    [
        "../etc",
        "..",
        ".",
        "",
        "a/b",
        "a\\b",
        "/etc",
        "a\0",
        "%00",
        "good\n",
        "-x",
        "a" * 300,
        None,
        3,
        ["good"],
    ],
)
def test_no_id_leads_out_of_the_roots(runs_root, run_id):
    write_run(runs_root, "good")
    write_run(runs_root.parent, "etc")
    with pytest.raises(UserError, match="There is no run named .*good"):
        open_run(run_id)


def test_shipped_runs_come_before_ones_of_the_same_name(runs_root, tmp_path, monkeypatch):
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(folders, "SHIPPED", tmp_path / "shipped")
    shipped = write_run(tmp_path / "shipped", "same")
    write_run(runs_root, "same")
    assert open_run("same").folder == shipped
    assert [run.folder for run in list_runs()[0]] == [shipped]


# Without weights


def test_a_run_says_how_to_come_by_its_weights(weightless, runs_root):
    assert weightless.is_weightless
    assert weightless.missing_weights == (
        "'weightless' comes without its weights. Train them anew, which took 48 min (CPU, 1 "
        "thread), with: python -m vizlib reproduce B1"
    )
    weightless.path("model.safetensors").touch()
    assert weightless.missing_weights == ""
    assert not weightless.is_weightless
    waiting = read_run(write_run(runs_root, "waiting"))
    assert waiting.missing_weights == "'waiting' has no weights yet: it is queued."
    assert not waiting.is_weightless


@pytest.mark.parametrize("system", [None, "", 3, ["B1"], "B1; rm -rf /", "B1\n", "--table"])
def test_what_is_no_system_gets_into_no_command(runs_root, system):
    run = read_run(
        write_run(
            runs_root,
            "bare",
            CONFIG | {"system": system},
            [{"event": "finished", "test_accuracy": 0.5, "seconds": 9}],
        )
    )
    assert run.is_weightless
    assert (
        run.missing_weights
        == "'bare' comes without its weights. There is no model.safetensors in its folder."
    )


def test_a_finished_run_that_never_said_where_it_began(runs_root):
    run = read_run(
        write_run(
            runs_root,
            "bare",
            CONFIG | {"system": "F1"},
            [{"event": "finished", "test_accuracy": 0.5, "seconds": 9000}],
        )
    )
    assert run.missing_weights.endswith(
        "which took 2.5 h (unknown device), with: python -m vizlib reproduce F1"
    )


# Events

STARTED, EPOCH = (
    {"event": "started", "parameters": 9},
    {"event": "epoch", "epoch": 1, "step": 9, "seconds": 1, "train_loss": 1, "train_accuracy": 0.5},
)
EPOCH |= {"val_loss": 1, "val_accuracy": 0.5, "learning_rate": 0.1}


def test_torn_and_foreign_lines_are_left_out(tmp_path):
    path = tmp_path / "events.jsonl"
    lines = [
        json.dumps(STARTED).encode(),
        b"\xff\x00garbage",
        b"[1]",
        b'{"no": "event"}',
        b'{"event": 3}',
        b"[" * 100_000,
        b"",
        json.dumps(EPOCH).encode(),
    ]
    path.write_bytes(b"\n".join(lines) + b"\n" + json.dumps(EPOCH).encode()[:30])
    assert read_events(path)[0] == [STARTED, EPOCH]
    path.write_bytes(bytes(range(256)) * 50)
    assert read_events(path)[0] == [] == read_events(tmp_path / "none")[0]


ODD = [
    {"event": "checkpoint", "epoch": 1, "val_accuracy": "x"},
    {"event": "epoch", "epoch": 1},
    *({"event": name} for name in ("checkpoint", "step", "finished")),
]


@pytest.mark.parametrize("event", ODD)
def test_events_without_their_figures_are_left_out(runs_root, event):
    """Every page counts on the figures of an epoch, a step and a checkpoint."""
    run = read_run(write_run(runs_root, "odd", events=[STARTED, event, EPOCH]))
    assert run.events == [STARTED, EPOCH]
    assert run.best is None


def test_events_are_read_again_when_the_file_grows(runs_root):
    folder = write_run(runs_root, "live", events=[STARTED])
    run = read_run(folder)
    assert run.events_of("epoch") == []
    before = run.changed("events.jsonl")
    with open(folder / "events.jsonl", "a") as file:
        file.write(json.dumps(EPOCH) + "\n")
    os.utime(folder / "events.jsonl", ns=(before + 10**6, before + 10**6))
    assert run.events_of("epoch") == [EPOCH]


FIGURES = {"parameters": 9, "test_accuracy": 0.5, "seconds": 1, "step": 0, "epoch": 0}
FIGURES |= {"learning_rate": 0.1}


@pytest.mark.parametrize(
    ("names", "alive", "gone"),
    [
        (["queued"], "queued", "interrupted"),
        (["queued", "starting"], "training", "interrupted"),
        (["queued", "starting", "started"], "training", "interrupted"),
        (["started", "paused"], "paused", "interrupted"),
        (["started", "paused", "continued"], "training", "interrupted"),
        (["started", "finished"], "finished", "finished"),
        (["started", "failed"], "failed", "failed"),
        (["started", "stopped"], "stopped", "stopped"),
        (["started", "stopped", "queued"], "queued", "interrupted"),
        (["started", "stopped", "queued", "starting", "resumed"], "training", "interrupted"),
        (["started", "stopped", "resumed", "rate", "gradients"], "training", "interrupted"),
    ],
)
def test_status_is_derived_from_the_events_and_the_lock(runs_root, names, alive, gone):
    folder = write_run(runs_root, "run", events=[])
    os.utime(folder / "config.json", (0, 0))
    run = read_run(folder)
    with EventLog(folder) as log:
        for name in names:
            needed = EVENTS[name].needed
            log.write(name, **{key: FIGURES[key] for key in needed})
        assert run.status == alive
        assert run.is_active == (alive in ("queued", "training", "paused"))
        assert not (run.is_active and run.can_resume)
    assert run.status == gone
    assert not run.is_active
    assert run.can_resume == (gone != "finished")


def test_a_run_just_made_waits_for_its_process(runs_root):
    """A process needs a moment to start; one that never came is gone."""
    folder = write_run(runs_root, "run")
    (folder / "events.jsonl").unlink()
    run = read_run(folder)
    assert run.status == "queued"
    assert run.is_active
    assert run.events == []
    when = time.time() - folders.STARTING_SECONDS - 1
    os.utime(folder / "config.json", (when, when))
    assert run.status == "interrupted"
    assert run.can_resume
    with EventLog(folder):
        assert run.status == "queued"


def test_looking_at_a_lock_does_not_keep_it(runs_root):
    folder = write_run(runs_root, "run", events=[{"event": "starting"}])
    with EventLog(folder):
        pass
    for _ in range(3):
        assert read_run(folder).status == "interrupted"
        with EventLog(folder):
            assert read_run(folder).status == "training"


def rows_of(*events):
    return [
        {
            "event": name,
            **FIGURES,
            **dict.fromkeys(
                (
                    "epoch",
                    "train_loss",
                    "train_accuracy",
                    "val_loss",
                    "val_accuracy",
                    "learning_rate",
                ),
                1,
            ),
            "step": step,
        }
        for name, step in events
    ]


def test_a_resume_undoes_what_came_after_the_saved_state(tmp_path):
    """Rows of later steps, at once and for good; checkpoints stay, as their weights do, unless all
    begins anew.
    """
    path = tmp_path / "events.jsonl"
    before = [
        ("started", 0),
        ("step", 5),
        ("epoch", 10),
        ("checkpoint", 10),
        ("gradients", 12),
        ("rate", 15),
        ("step", 20),
        ("epoch", 20),
        ("checkpoint", 20),
        ("paused", 20),
    ]
    after = [("step", 11), ("gradients", 12), ("epoch", 20)]

    def read(*events):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows_of(*events)))
        return [(row["event"], row["step"]) for row in read_events(path)[0]]

    kept = [
        ("started", 0),
        ("step", 5),
        ("epoch", 10),
        ("checkpoint", 10),
        ("checkpoint", 20),
        ("paused", 20),
        ("resumed", 10),
    ]
    assert read(*before, ("resumed", 10)) == kept
    assert read(*before, ("resumed", 10), *after) == [
        *kept,
        *after,
    ]
    assert read(*before, ("resumed", 20)) == [*before, ("resumed", 20)]
    assert read(*before, ("resumed", 10), *after, ("resumed", 10)) == [*kept, ("resumed", 10)]
    assert read(*before, ("resumed", 0), ("started", 0)) == [
        ("started", 0),
        ("paused", 20),
        ("resumed", 0),
        ("started", 0),
    ]


def test_json_is_written_whole_or_not_at_all(tmp_path):
    config, _ = config_of(CONFIG)
    write_config(tmp_path, config)
    with pytest.raises(TypeError):
        write_config(tmp_path, dataclasses.replace(config, recipe={"name": object()}))
    assert read_config(tmp_path) == (config, [])
    write_config(tmp_path, dataclasses.replace(config, seed=2))
    assert read_config(tmp_path)[0].seed == 2
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_copied_run_is_the_same_run(tiny_run, runs_root):
    shutil.copytree(tiny_run.folder, runs_root / "copy")
    assert open_run("copy").config == tiny_run.config
    assert open_run("copy").events == tiny_run.events
