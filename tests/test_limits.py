"""What a server allows, and who may steer what: read from a file, and held by whoever begins
something.
"""

import json
import math
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import ROOT
from tests.test_bring import class_folders, zipped
from tests.test_launcher import place, start, until  # noqa: F401
from vizlib import limits as limits_module
from vizlib.bring import data_sets
from vizlib.command_line import main
from vizlib.errors import UserError
from vizlib.limits import Limits, check_room, limits
from vizlib.run import events, folders, removal
from vizlib.training import launcher
from vizlib.training.order import Order
from vizlib.training.recipes import recipe
from vizlib.training.requests import KEEP, PAUSE, STOP, Requests

SHIPPED = folders.SHIPPED / "digits_three_layer"


@pytest.fixture
def allow(tmp_path, monkeypatch):
    """allow(text) makes it the limits of this server."""

    def write(text):
        (tmp_path / "class.toml").write_text(text)
        monkeypatch.setenv("CONVSCOPE_LIMITS", str(tmp_path / "class.toml"))

    return write


def waiting(root, run_id, **changes):
    """A run that waits: it was just made."""
    folder = root / run_id
    folder.mkdir()
    config = json.loads((SHIPPED / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folders.read_run(folder)


def order(by="", **changes):
    return Order("three_layer_module", "digits", recipe("sgd", **changes), name="new", by=by)


def test_without_a_file_the_usual_ones_hold(monkeypatch):
    monkeypatch.delenv("CONVSCOPE_LIMITS", raising=False)
    assert limits() == Limits()
    assert not limits().word


def test_what_the_file_says_holds_and_the_rest_is_as_usual(allow):
    allow('word = "chalk"\nminutes = 2.5\nwaiting_each = 3\nruns_gb = inf\n')
    assert limits() == Limits(word="chalk", minutes=2.5, waiting_each=3, runs_gb=math.inf)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("minuets = 3", "'minuets' in 'class.toml' is no limit: possible are word, waiting,"),
        ('minutes = "3"', "'minutes' in 'class.toml' is not a number from 0"),
        ("minutes = true", "is not a number from 0"),
        ("minutes = nan", "is not a number from 0"),
        ("epochs = -1", "is not a number from 0"),
        ("word = 3", "'word' in 'class.toml' is not a text"),
        ("minutes 3", "are no TOML"),
        ("\x00", "are no TOML"),
    ],
)
def test_a_file_that_says_something_else_is_a_sentence(allow, runs_root, text, words):
    allow(text)
    with pytest.raises(UserError, match=words):
        limits()
    with pytest.raises(UserError, match=words):  # nothing begins, rather than everything
        launcher.start_new(order())
    assert not any(runs_root.iterdir())


def test_a_file_that_is_not_there_is_a_sentence(allow, tmp_path):
    allow("")
    (tmp_path / "class.toml").unlink()
    with pytest.raises(UserError, match="cannot be read: 'class.toml'"):
        limits()


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        ("epochs = 7", dict(epochs=8), "8 epochs are more than the 7 that are allowed"),
        ("minutes = 2", dict(seconds=150.0), "2.5 minutes are more than the 2 that"),
        ("waiting = 2", {}, "2 trainings wait already"),
        ("waiting_each = 1", {}, "1 trainings of this browser wait already"),
        ("free_gb = 1e9", {}, r"GB are free on the disk of .*, and 1e\+09 stay free"),
        ("runs_gb = 0", {}, "The runs here take .* GB, and 0 are allowed"),
    ],
)
def test_what_is_not_allowed_leaves_nothing_behind(allow, runs_root, text, changes, words):
    waiting(runs_root, "mine", by="me")
    waiting(runs_root, "theirs", by="you")
    allow(text)
    with pytest.raises(UserError, match=words):
        launcher.start_new(order(by="me", **changes))
    assert {path.name for path in runs_root.iterdir()} == {"mine", "theirs"}


def test_one_browser_does_not_wait_for_what_another_may_have(allow, runs_root, monkeypatch):
    """Two of one browser's wait; who has none there may begin, and so may who cannot be told."""
    monkeypatch.setattr(launcher, "_spawn", lambda folder, device: None)
    allow("waiting_each = 2\nepochs = 9")
    waiting(runs_root, "first", by="me")
    waiting(runs_root, "second", by="me")
    with pytest.raises(UserError, match="2 trainings of this browser"):
        launcher.start_new(order(by="me", epochs=9))
    assert folders.open_run(launcher.start_new(order(by="you", epochs=9))).config.by == "you"
    assert folders.open_run(launcher.start_new(order(epochs=9))).config.by == ""


def test_seconds_are_not_counted_as_epochs(allow, runs_root, monkeypatch):
    monkeypatch.setattr(launcher, "_spawn", lambda folder, device: None)
    allow("epochs = 1\nminutes = 2")
    launcher.start_new(order(seconds=120.0, epochs=10))


def test_room_is_that_of_the_disk_a_folder_will_be_on(tmp_path, monkeypatch):
    Usage = namedtuple("Usage", "free")
    asked = []

    def usage(path):
        asked.append(Path(path))
        return Usage(2.0e9)

    monkeypatch.setattr(limits_module.shutil, "disk_usage", usage)
    check_room(tmp_path / "not" / "there", 2.0)
    assert asked == [tmp_path.resolve()]
    with pytest.raises(UserError, match="2 GB are free"):
        check_room(tmp_path, 2.1)


def test_no_more_data_sets_than_there_is_room_for(allow, tmp_path, monkeypatch):
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "data"))
    allow("data_gb = 0")
    assert data_sets.add_zip(zipped(class_folders()), "first").name == "folder:first"
    with pytest.raises(UserError, match="and 0 are allowed: remove one"):
        data_sets.add_zip(zipped(class_folders()), "second")
    data_sets.remove("folder:first")
    assert data_sets.add_zip(zipped(class_folders()), "second").name == "folder:second"


def test_a_training_ends_in_time_and_is_kept(allow, place):  # noqa: F811
    allow("minutes = 0.02\nepochs = 10000")
    run = start("long", epochs=10_000)
    until(lambda: run.status == "finished")
    assert run.events_of("finished")[-1]["kept"]
    assert all(event["epoch"] < 10_000 for event in run.events_of("epoch"))
    assert run.has("model.safetensors")


def test_what_is_asked_for_comes_before_the_end_of_its_time(tmp_path):
    wishes = Requests(tmp_path)
    assert wishes.wish == ""
    (tmp_path / PAUSE).touch()
    wishes.deadline = 0.0
    assert wishes.wish == KEEP  # one that pauses holds up the others
    (tmp_path / STOP).touch()
    assert wishes.wish == STOP


# Removing


def copied(root, run_id, **changes):
    shutil.copytree(SHIPPED, root / run_id)
    config = json.loads((root / run_id / "config.json").read_text()) | changes
    (root / run_id / "config.json").write_text(json.dumps(config))
    return folders.read_run(root / run_id)


def unfinished(root, run_id):
    run = copied(root, run_id)
    lines = run.path("events.jsonl").read_text().splitlines()
    kept = [line for line in lines if json.loads(line)["event"] != "finished"]
    stopped = json.dumps({"event": "stopped", "time": 1.0, "reason": "Stopped by hand."})
    run.path("events.jsonl").write_text("\n".join([*kept, stopped]) + "\n")
    return folders.read_run(run.folder)


def test_a_removed_run_is_gone_with_what_was_left_of_others(runs_root):
    run = copied(runs_root, "mine")
    other = copied(runs_root, "other")
    (runs_root / f"{removal.REMOVED}before").mkdir()
    removal.remove(run)
    assert [path.name for path in runs_root.iterdir()] == ["other"]
    assert [listed.run_id for listed in folders.list_runs(shipped=False)[0]] == [other.run_id]


def test_what_is_half_gone_is_no_run(runs_root, monkeypatch):
    monkeypatch.setattr(removal.shutil, "rmtree", lambda *_, **__: None)
    removal.remove(copied(runs_root, "mine"))
    assert folders.list_runs(shipped=False) == ([], [])


def test_what_ships_or_trains_stays(runs_root):
    shipped = folders.open_run("digits_three_layer")
    with pytest.raises(UserError, match="comes with the project and stays"):
        removal.remove(shipped)
    assert shipped.has("model.safetensors")
    run = unfinished(runs_root, "trains")
    run.path("events.jsonl").write_text(json.dumps({"event": "queued", "time": 1.0}) + "\n")
    with FileLock(run.path(events.LOCK)), pytest.raises(UserError, match="queued: stop it first"):
        removal.remove(run)
    assert run.has("config.json")


def test_only_states_of_what_can_go_on_are_freed(runs_root):
    ended, finished = unfinished(runs_root, "ended"), copied(runs_root, "finished")
    for run, size in ((ended, 1234), (finished, 99)):
        run.path(removal.STATE).write_bytes(b"x" * size)
    shipped = folders.open_run("digits_three_layer")
    assert removal.resumable_bytes([finished, ended, shipped]) == 1234
    removal.forget_states([finished, ended, shipped])
    assert not ended.has(removal.STATE)
    assert finished.has(removal.STATE)
    assert ended.can_resume
    assert ended.has("model.safetensors")


def test_the_command_asks_before_it_removes(runs_root, monkeypatch, capsys):
    copied(runs_root, "mine")
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert main(["remove", "mine"]) == 1
    assert (runs_root / "mine").is_dir()
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert main(["remove", "mine"]) == 0
    assert not (runs_root / "mine").exists()
    copied(runs_root, "mine")
    monkeypatch.setattr("builtins.input", lambda question: pytest.fail("it was not to ask"))
    assert main(["remove", "mine", "--yes"]) == 0
    assert main(["remove", "digits_three_layer", "--yes"]) == 2
    assert "comes with the project" in capsys.readouterr().err


def test_the_example_in_the_documents_is_one(allow):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    example = text.split("```toml\n")[1].split("```")[0]
    allow(example)
    assert limits().word == "chalk"
