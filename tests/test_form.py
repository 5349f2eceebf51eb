"""Every field of the form that trains a model reaches the run: entered with a value that is no
default, it is in the run's configuration, or in how its process is started.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.test_panel import fine, script
from vizlib.run import folders
from vizlib.training import launcher, ready
from vizlib.training.recipes import RECIPES
from vizlib.ui.train_panel import beginning, settings, trainings

KINDS = ("selectbox", "number_input", "text_input", "toggle", "checkbox", "segmented_control")
DEVICES = ["cuda:0", "cuda:1", "cpu"]


@dataclass(frozen=True)
class Process:
    """What stands for a training process."""

    command: list

    def poll(self):
        return 0


@pytest.fixture
def started(root, monkeypatch):
    """The commands of the processes that would have been started; a run to start from is there."""
    shutil.copytree(folders.SHIPPED / "digits_three_layer", root / "earlier")
    commands = []

    def start(command, **given):
        commands.append(command)
        return Process(command)

    replaced = SimpleNamespace(Popen=start, PIPE=subprocess.PIPE, STDOUT=subprocess.STDOUT)
    monkeypatch.setattr(ready, "subprocess", replaced)
    monkeypatch.setattr(launcher, "devices", lambda: DEVICES)
    monkeypatch.setattr(trainings, "WAKING_SECONDS", 0)
    return commands


def opened():
    app = AppTest.from_function(script, default_timeout=60)
    app.session_state["model"] = "lenet"
    app.session_state[settings.OPEN] = True
    app.session_state[beginning.BEGUN] = True  # with the usual values, whatever data there are
    return fine(app.run())


def fields(app):
    """The widgets of the form by their keys, without the recipe or architecture they belong to."""
    found = {}
    for kind in KINDS:
        for widget in app.sidebar.get(kind):
            if (widget.key or "").startswith("train_"):
                owner = widget.key.removeprefix("train_").replace("learning_rate", "learning-rate")
                owner = owner.replace("batch_size", "batch-size")
                owner = owner.replace("label_smoothing", "label-smoothing")
                found[owner.partition("_")[0].replace("-", "_")] = widget
    return found


@dataclass(frozen=True)
class Entered:
    """A value that is no default, and what it must become. config: the path in config.json, empty
    where it is a part of the command.
    """

    value: Any
    config: tuple
    expected: Any


START = ("run", "earlier")
# as they are filled in: what changes the others' defaults first
EVERY_FIELD = {
    "architecture": Entered("three_layer_sequential", ("architecture",), "three_layer_sequential"),
    "dataset": Entered("folder:photographs", ("dataset",), "folder:photographs"),
    "recipe": Entered("report_a3", ("recipe", "name"), "report_a3"),
    "epochs": Entered(13, ("recipe", "epochs"), 13),
    "batch_size": Entered(48, ("recipe", "batch_size"), 48),
    "learning_rate": Entered(0.0345, ("recipe", "learning_rate"), 0.0345),
    "imbalance": Entered("class_weights", ("recipe", "class_weights"), True),
    "label_smoothing": Entered(0.15, ("recipe", "label_smoothing"), 0.15),
    "frozen": Entered(2, ("frozen",), 2),
    "seed": Entered(4711, ("seed",), 4711),
    "title": Entered("  Mine, not yours ", ("title",), "Mine, not yours"),
    "device": Entered("cuda:1", (), "cuda:1"),
}
OTHERS = {
    "start": Entered(START, ("start",), {"run": "earlier"}),
    "seconds": Entered(47, ("recipe", "seconds"), 47),
    "side": Entered(96, ("input_size",), [1, 96, 96]),
}


def fill(app, entries):
    for name, entry in entries.items():
        widget = fields(app)[name]
        assert widget.value != entry.value, f"{name}: that is the default"
        widget.set_value(entry.value)
        fine(app.run())
    return app


def press(app, started):
    """(config.json of the run, the command of its process)."""
    fine(app.button(key="train_press").click().run())
    assert not app.error, app.error[0].value
    [command] = started
    run_folder = next(part for part in command if "/runs/" in str(part))
    with open(f"{run_folder}/config.json") as file:
        return json.load(file), command


def at(config, path):
    for key in path:
        config = config[key]
    return config


def check(entries, config, command):
    for name, entry in entries.items():
        if entry.config:
            assert at(config, entry.config) == entry.expected, name
        else:
            assert command[command.index(f"--{name}") + 1] == entry.expected


def photographs(folder):
    """A data set of its own: a folder of pictures for each class."""
    from PIL import Image

    for split, count in (("train", 24), ("test", 6)):
        for label, colour in (("cat", 60), ("dog", 180)):
            place = folder / "photographs" / split / label
            place.mkdir(parents=True)
            for number in range(count):
                picture = Image.new("RGB", (32, 32), (colour, number * 5, 90))
                picture.save(place / f"{number}.png")


def test_every_field_reaches_the_run(started, data_folder):
    photographs(data_folder)
    app = opened()
    assert set(fields(app)) == {*EVERY_FIELD, "start"}, "a new field has to be covered here"
    fill(app, EVERY_FIELD)
    config, command = press(app, started)
    check(EVERY_FIELD, config, command)
    assert config["class_names"] == ["cat", "dog"]


@pytest.mark.parametrize("end", ["min", "max"])
def test_each_number_at_its_ends_is_obeyed(started, end):
    """A rate of zero too, and no smoothing where the recipe has some."""
    app = opened()
    numbers = {
        name: getattr(widget, end)
        for name, widget in fields(app).items()
        if widget in app.sidebar.get("number_input")
    }
    assert len(numbers) >= 6
    for name, number in numbers.items():
        fields(app)[name].set_value(number)
        fine(app.run())
    config, _ = press(app, started)
    for name, number in numbers.items():
        assert at(config, EVERY_FIELD[name].config) == number, name


def test_a_training_by_the_clock(started):
    app = opened()
    before = set(fields(app))
    fill(app, {"recipe": Entered("minute", (), None)})
    assert set(fields(app)) == before - {"epochs"} | {"seconds"}
    entered = {name: OTHERS[name] for name in ("seconds", "start")}
    config, command = press(fill(app, entered), started)
    check(entered, config, command)
    assert config["recipe"]["name"] == "minute"


def test_a_side_of_its_own(started):
    app = opened()
    before = set(fields(app))
    fill(app, {"architecture": Entered("resnet18", (), None)})
    assert set(fields(app)) == before | {"side"}
    entered = {"side": OTHERS["side"]}
    config, command = press(fill(app, entered), started)
    check(entered, config, command)
    assert config["architecture"] == "resnet18"


@pytest.mark.parametrize("chosen", [flag for flag in settings.IMBALANCE if flag])
def test_each_way_against_imbalance(started, chosen):
    app = fill(opened(), {"imbalance": Entered(chosen, (), None)})
    config, _ = press(app, started)
    flags = {flag: config["recipe"][flag] for flag in settings.IMBALANCE if flag}
    assert flags == {flag: flag == chosen for flag in flags}
    assert config["recipe"]["augment"] or chosen != "augment_only_rare"


def test_what_a_recipe_brings_against_imbalance_can_be_taken_away(started):
    name = next(
        name
        for name, recipe in RECIPES.items()
        if any(getattr(recipe, flag) for flag in settings.IMBALANCE if flag)
    )
    app = fill(opened(), {"recipe": Entered(name, (), None), "imbalance": Entered("", (), None)})
    config, _ = press(app, started)
    assert not any(config["recipe"][flag] for flag in settings.IMBALANCE if flag)
