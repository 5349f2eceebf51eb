"""The reports' systems: what is said of them is in the run folders, and what the command trains is
what the table lists.
"""

import dataclasses
import json
from functools import cache

import numpy as np
import pytest

from vizlib import architectures, datasets
from vizlib.errors import UserError
from vizlib.reports import reproduce as reproducing
from vizlib.reports import systems
from vizlib.reports.reproduce import reproduce
from vizlib.reports.systems import SYSTEMS, System, finished_runs
from vizlib.run import folders
from vizlib.run.predictions import load_predictions
from vizlib.training.evaluation import evaluate
from vizlib.training.recipes import from_config, recipe

SHIPPED = [run for run in folders.list_runs()[0] if run.folder.parent == folders.SHIPPED]
TINY = System(
    "T1",
    "tiny",
    "three_layer_module",
    "Tiny",
    "adamw",
    dict(epochs=1),
    0.3,
    epochs=3,
    dataset="digits",
)
SECOND = System(
    "T2",
    "second",
    "three_layer_module",
    "From the first",
    "adamw",
    dict(epochs=1),
    dataset="digits",
    start="T1",
)


@pytest.fixture
def said(runs_root, monkeypatch):
    """What is said, a line each, while only the two tiny systems exist."""
    for module in (systems, reproducing):
        monkeypatch.setattr(module, "SYSTEMS", {"T1": TINY, "T2": SECOND})
    return []


# The list


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=str)
def test_every_system_can_be_trained_in_no_more_epochs(system):
    assert system.architecture in architectures.names()
    assert folders.new_run_folder(f"{system.run}-2")
    chosen = recipe(system.recipe, **system.changes)
    assert chosen.seconds is None
    assert system.epochs is None or chosen.epochs <= system.epochs
    assert system.start is None or SYSTEMS[system.start].architecture == system.architecture
    assert system.reported is None or 0 < system.reported < 1


def test_systems_are_named_by_id_or_its_beginning():
    assert [system.id for system in systems.named(["b"])] == ["B1", "B2", "B3"]
    assert [system.id for system in systems.named(["F2", "A1"])] == ["A1", "F2"]
    assert [system.id for system in systems.named(["C18"])] == ["C18"]
    with pytest.raises(UserError, match="^There is no system named 'X9'. Possible: A1, "):
        systems.named(["A1", "X9"])


@pytest.mark.parametrize(
    "run", [run for run in SHIPPED if run.config.system], ids=lambda run: run.run_id
)
def test_a_shipped_run_is_what_its_system_says(run):
    system = SYSTEMS[run.config.system]
    # settings that came later are at their defaults in older runs
    stored, chosen = (from_config(run.config), recipe(system.recipe, **system.changes))
    assert dataclasses.replace(stored, summary="") == dataclasses.replace(chosen, summary="")
    assert (run.run_id, run.config.architecture, run.config.dataset) == (
        system.run,
        system.architecture,
        system.dataset,
    )
    assert system.side is None or run.input_size[1:] == (system.side, system.side)
    assert (run.config.start is None) == (system.start is None)


REPORTED = [run for run in SHIPPED if run.config.system and SYSTEMS[run.config.system].reported]


@pytest.mark.parametrize("run", REPORTED, ids=lambda run: run.run_id)
def test_a_shipped_run_is_above_the_report(run):
    """Also on images on which nothing was chosen, which counts against us where the report has
    validation images.
    """
    system = SYSTEMS[run.config.system]
    assert run.events_of("finished")[-1]["test_accuracy"] > system.reported
    assert system.split == "test" or run.best["val_accuracy"] > system.reported


@cache
def read_once(name):
    return datasets.load(name)


@pytest.mark.real_data
@pytest.mark.parametrize(
    "run", [run for run in SHIPPED if run.has("model.safetensors")], ids=lambda run: run.run_id
)
def test_shipped_weights_have_the_accuracy_that_is_told_of_them(run):
    """On a hundred test images, image by image: all that ship are answered elsewhere
    (test_shipped_pictures).
    """
    try:
        dataset = read_once(run.config.dataset)
    except UserError as error:
        pytest.skip(str(error))
    if dataset.note != run.config.dataset_note:
        pytest.skip("another copy of the data has other test images")
    stored = load_predictions(run.path("predictions.npz"), len(run.class_names))
    rows = np.arange(0, len(stored.labels), len(stored.labels) // 100)
    some = dataclasses.replace(
        dataset, splits=dataset.splits | {"test": dataset.splits["test"].take(rows)}
    )
    again = evaluate(run.folder, run.config, some)
    assert np.array_equal(again.labels, stored.labels[rows])
    assert np.array_equal(again.image_ids, stored.image_ids[rows])
    assert again.predicted_labels.tolist() == stored.predicted_labels[rows].tolist()


# The command


def test_what_is_missing_is_trained_and_told(said):
    assert "| T1 |" in systems.table()
    assert systems.table().count("*not yet run*") == 2
    assert reproduce([TINY, SECOND], say=said.append)
    (first,), (second,) = finished_runs(TINY), finished_runs(SECOND)
    assert first.run_id == "tiny"
    assert first.config.system == "T1"
    assert first.config.title == "Tiny"
    assert second.config.start == {"run": "tiny"}
    line = next(line for line in systems.table().splitlines() if line.startswith("| T1 "))
    for figure in (
        f"**{first.events_of('finished')[0]['test_accuracy']:.1%}**",
        f"{first.best['val_accuracy']:.1%}",
        "30.0% test",
        "3 epochs",
        "`tiny`",
    ):
        assert f"| {figure} |" in line
    del said[:]
    # one that was trained here is not trained twice
    assert reproduce([TINY], again=True, say=said.append)
    assert len(said) == 1
    assert said[0].startswith("T1 is there: tiny, ")
    assert len(folders.list_runs(shipped=False)[0]) == 2


def test_one_that_was_stopped_goes_on(said, monkeypatch):
    looks = []

    class Stopping(reproducing.Requests):
        @property
        def stop(self):
            looks.append(1)
            return "Stopped by hand." if len(looks) > 5 else ""

    with monkeypatch.context() as patch:
        patch.setattr(reproducing, "Requests", Stopping)
        assert not reproduce([TINY, SECOND], say=said.append)
    found = folders.list_runs(shipped=False)[0]
    assert [(run.run_id, run.status) for run in found] == [("tiny", "stopped")]
    (found[0].folder / "stop").touch()  # as a press in the app leaves it
    assert reproduce([TINY], say=said.append)
    (run,) = finished_runs(TINY)
    assert run.run_id == "tiny"
    assert len(run.events_of("started")) == len(run.events_of("resumed")) == 1
    assert run.events_of("resumed")[0]["step"] > 0


def test_what_cannot_be_trained_says_why_and_the_next_follows(said, data_folder):
    elsewhere = System(
        "T3", "elsewhere", "three_layer_module", "Not here", "adamw", dataset="folder:gone"
    )
    assert not reproduce([SECOND, elsewhere, TINY], say=said.append)
    assert said[0] == (
        "T2: it starts from the weights of T1, which are not here yet: python -m vizlib "
        "reproduce T1"
    )
    assert said[1].startswith("T3: The data set 'folder:gone' is not on this machine.")
    assert finished_runs(TINY)
    assert not finished_runs(elsewhere)
    assert len(folders.list_runs(shipped=False)[0]) == 1


def test_shipped_ones_are_trained_again_only_if_named(
    said, runs_root, tmp_path, monkeypatch, tiny_run
):
    import shutil

    shipped = tmp_path / "checkpoints"
    shutil.copytree(tiny_run.folder, shipped / "tiny")
    (shipped / "tiny" / "config.json").write_text(
        json.dumps(tiny_run.config.as_dict() | {"system": "T1"})
    )
    monkeypatch.setattr(folders, "SHIPPED", shipped)
    assert reproduce([TINY], say=said.append)
    assert not list(runs_root.iterdir())
    assert reproduce([TINY], again=True, say=said.append)
    assert [path.name for path in runs_root.iterdir()] == ["tiny-2"]
    assert [run.folder.name for run in finished_runs(TINY)] == ["tiny", "tiny-2"]
    assert finished_runs(TINY)[0].folder == shipped / "tiny"
    assert reproduce([TINY], again=True, say=said.append)
    assert "T1 is there: tiny-2" in said[-1]
    (runs_root / "tiny-2" / "model.safetensors").unlink()
    assert reproduce([TINY], again=True, say=said.append)
    assert sorted(path.name for path in runs_root.iterdir()) == ["tiny-2", "tiny-3"]
    # what starts from its weights takes those that were trained here
    (shipped / "tiny" / "model.safetensors").unlink()
    assert reproduce([SECOND], say=said.append)
    assert finished_runs(SECOND)[0].config.start == {"run": "tiny-3"}


@pytest.mark.parametrize(("side", "size"), [(None, [1, 8, 8]), (16, [1, 16, 16])])
def test_pictures_come_in_the_side_that_is_asked_for(tmp_path, side, size):
    from vizlib.training.config import make_config
    from vizlib.training.loop import train
    from vizlib.training.order import Order

    dataset = datasets.load("digits")
    order = Order("three_layer_module", dataset.name, recipe("adamw", epochs=1), side=side)
    config = make_config(order, dataset)
    assert config.input_size == size
    run = train(tmp_path / "run", config, dataset, say=lambda line: None)
    assert run.status == "finished"
    assert np.isfinite(run.best["val_accuracy"])
    with pytest.raises(UserError, match="^Pictures of 0 x 0 are not possible"):
        Order("three_layer_module", dataset.name, recipe("adamw"), side=0)
