"""One damaged run says what is wrong with it, in one sentence, and takes no other one down."""

import errno
import json
import os
import shutil
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from vizlib import datasets
from vizlib.command_line import main
from vizlib.errors import UserError
from vizlib.run import config, folders, moments
from vizlib.run.config import config_of, read_config, write_config
from vizlib.run.events import EVENTS, LONGEST_LINE, EventLog, read_events
from vizlib.run.folders import list_runs, read_run
from vizlib.run.matrices import ROOM, Matrices
from vizlib.run.predictions import Predictions
from vizlib.training import launcher, worker

SOURCE = folders.SHIPPED / "digits_three_layer"
GOOD = json.loads((SOURCE / "config.json").read_text())
MOMENT = {"step": 5, "epoch": 0.1, "seconds": 1}
STARTED = {"event": "started", "parameters": 5, "steps": 100, "layers": ["conv1"]}
STEP = {"event": "step", **MOMENT, "train_loss": 1, "learning_rate": 0.1}
EPOCH = {"event": "epoch", **MOMENT, "train_loss": 1, "train_accuracy": 0.5}
EPOCH |= {"val_loss": 1, "val_accuracy": 0.5, "learning_rate": 0.1}
CHECKPOINT = {"event": "checkpoint", "epoch": 1, "val_accuracy": 0.5}


def lines(*events):
    return "".join(json.dumps(event) + "\n" for event in events).encode()


def snapshots(tensors):
    """Of a torch dictionary: NumPy has no bfloat16."""
    copies = {name: tensor.clone() for name, tensor in tensors.items()}  # sharing no memory
    return {"snapshots.safetensors": safetensors.torch.save(copies)}


FILTERS = torch.zeros(4, 3, 3, 3)
DAMAGED = {  # files of a run, and the words that are said of it; None where nothing is
    "title": ({"config.json": json.dumps(GOOD | {"title": "\ud83d"}).encode()}, None),
    "dataset": ({"config.json": json.dumps(GOOD | {"dataset": "folder:a\udce9"}).encode()}, None),
    "start": (
        {"config.json": json.dumps(GOOD | {"start": "lenet", "frozen": -1}).encode()},
        "'start', 'frozen' of its config.json are left out",
    ),
    "steps": (
        {"events.jsonl": lines(STARTED | {"steps": "many"}, STEP)},
        "the 'steps' of a 'started' event is not a whole number from 0, or null)",
    ),
    "progress": ({"events.jsonl": lines(STARTED, STEP | {"progress": None})}, "the 'progress' of"),
    "digits": (
        {"events.jsonl": lines(STARTED, STEP | {"step": 10**400})},
        "1 line of its events is left out (line 2: the 'step' of a 'step' event is not ",
    ),
    "checkpoint": (
        {
            "events.jsonl": lines(
                STARTED, STEP, CHECKPOINT | {"step": "x"}, {"event": "resumed", "step": 0}
            )
        },
        "the 'step' of a 'checkpoint'",
    ),
    "long": (
        {"events.jsonl": lines(STARTED, EPOCH | {"confusion": [[0] * 1500] * 1500}, CHECKPOINT)},
        f"line 2: it is longer than {LONGEST_LINE:,} bytes",
    ),
    "several": (
        {"events.jsonl": b"x\n" + lines(STARTED, {"event": "x"}, STEP | {"progress": 2})},
        "2 lines and 1 value of its events are left out (the first in line 1: it is no JSON)",
    ),
    "superscript": (
        snapshots({"conv1/\u00b2": FILTERS, "probe/\u00b2/a": FILTERS[0], "conv1/x": FILTERS}),
        None,
    ),
    "bfloat16": (
        snapshots(
            {
                "conv1/00000000": FILTERS.bfloat16(),
                "probe/picture": FILTERS[0].bfloat16(),
                "probe/00000000/a": FILTERS[0].bfloat16(),
                "range/00000000/a": FILTERS[0, 0, 0, :2].bfloat16(),
            }
        ),
        None,
    ),
    "pipes": (
        dict.fromkeys(("snapshots.safetensors", "predictions.npz", "events.jsonl", "alive.lock")),
        "its events cannot be read: it is no regular file",
    ),
}


def damaged(root, name):
    folder = root / name
    shutil.copytree(SOURCE, folder)
    for file, content in DAMAGED[name][0].items():
        (folder / file).unlink(missing_ok=True)
        if content is None:
            os.mkfifo(folder / file)
        else:
            (folder / file).write_bytes(content)
    return folder


# One among others


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_left_out_is_said_of_that_run_alone(runs_root, name):
    damaged(runs_root, name)
    shutil.copytree(SOURCE, runs_root / "good")
    runs, problems = list_runs(shipped=False)
    assert {run.run_id for run in runs} == {"good", name}
    assert problems == []
    by_id = {run.run_id: run for run in runs}
    assert by_id["good"].problem == ""
    problem, expected = by_id[name].problem, DAMAGED[name][1]
    assert (problem == "") == (expected is None)
    assert (expected or "") in problem
    assert problem.count(". ") == 0


def test_all_others_stand_on_home_and_in_the_list(root, capsys):
    from streamlit.testing.v1 import AppTest

    for name in DAMAGED:
        damaged(root, name)
    (root / "piped").mkdir()
    os.mkfifo(root / "piped" / "config.json")
    cards, warnings = "", set()
    for number in range(1, -(-(len(DAMAGED) + 1) // 4) + 1):  # a page of each group at a time
        app = AppTest.from_file(str(folders.SHIPPED.parent / "app.py"), default_timeout=60)
        for group in ("yours", "reports", "graded"):
            app.query_params[group] = str(number)
        app.run()
        assert not app.exception
        assert not app.error, [box.value for box in app.error]
        cards += " ".join(element.value.replace("\\", "") for element in app.markdown)
        warnings |= {box.value.replace("\\", "") for box in app.warning}
    shipped = [path.name for path in folders.SHIPPED.iterdir() if path.is_dir()]
    for run_id in (*DAMAGED, *shipped):
        assert f"**{run_id}**" in cards
    said = {name: words for name, (_, words) in DAMAGED.items() if words}
    for name, words in said.items():
        assert [words in box for box in warnings if box.startswith(f"'{name}'")] == [True]
    assert len(warnings) == len(said) + 1
    assert "'piped' cannot be read: its config.json cannot be opened" in " ".join(warnings)
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {run_id} " in printed for run_id in (*DAMAGED, *shipped))
    assert all(words in printed for words in said.values())


@pytest.mark.parametrize("name", ["steps", "pipes"])
@pytest.mark.parametrize("page", ["1_Architecture", "6_Training_curves", "10_Compare"])
def test_the_head_of_a_page_says_it(root, name, page):
    from streamlit.testing.v1 import AppTest

    damaged(root, name)
    page = folders.SHIPPED.parent / "pages" / f"{page}.py"
    app = AppTest.from_file(str(page), default_timeout=60)
    app.query_params["model"] = name
    app.run()
    assert not app.exception
    words = DAMAGED[name][1]
    assert [box for box in app.warning if words in box.value.replace("\\", "")]


def test_a_damaged_run_keeps_no_training_from_its_turn(runs_root):
    for name in DAMAGED:
        damaged(runs_root, name)
    waiting = queued(runs_root, "waiting")
    with EventLog(waiting) as log:
        log.write("queued", device="cpu", asked=time.time())
        assert [run.run_id for run, _ in launcher.active_runs()] == ["waiting"]
        assert launcher.is_next(read_run(waiting))


# Configurations


def test_a_configuration_is_written_as_it_was_read(tmp_path):
    """Of every run that ships, with what this version does not know."""
    compared = []
    for path in sorted(folders.SHIPPED.glob("*/config.json")):
        content = json.loads(path.read_text())
        read, left_out = read_config(path.parent)
        assert left_out == []
        assert content.items() <= read.as_dict().items()
        missing = read.as_dict().keys() - content.keys()
        assert all(read.as_dict()[name] in (None, 0, "") for name in missing)
        if missing <= {"by"}:  # which those of before it lack
            write_config(tmp_path, read)
            written, read_before = (
                file.read_bytes().replace(b' "by": "",\n', b"")
                for file in (tmp_path / "config.json", path)
            )
            assert written == read_before
            compared.append(path)
    assert compared
    read, left_out = config_of(GOOD | {"made by": ["a later", {"version": 2}]})
    assert left_out == []
    assert read.as_dict()["made by"] == ["a later", {"version": 2}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", 3),
        ("dataset_note", ["x"]),
        ("ordered", "yes"),
        ("validation", -1),
        ("validation", 10**30),
        ("validation", True),
        ("start", "lenet"),
        ("start", {"run": 3}),
        ("frozen", 1.5),
        ("system", {}),
        ("versions", "2.1"),
        ("whole", 1),
        ("levels", [5, 3]),
        ("levels", [0, float("nan")]),
        ("levels", "0-9"),
        ("edition", "1"),
        ("edition", -1),
    ],
)
def test_a_field_that_can_be_done_without_is_left_out(name, value):
    read, left_out = config_of(GOOD | {name: value})
    assert left_out == [name]
    plain, _ = config_of({key: content for key, content in GOOD.items() if key != name})
    assert read == plain


@pytest.mark.parametrize(
    ("content", "read"),
    [
        (("vgg16_slim", {}, "E1"), ("vgg16_slim_bn", {}, "E1N")),
        (("mobilenet", {"width": 0.5}, "F5"), ("mobilenet_two_norms", {"width": 0.5}, "F5N")),
        (
            ("vgg16_slim", {"batch_norm": False}, None),
            ("vgg16_slim", {"batch_norm": False}, None),
        ),
        (
            ("headed/net", {"base": "mobilenet", "at": "fc"}, None),
            ("headed/net", {"base": "mobilenet_two_norms", "at": "fc"}, None),
        ),
        (
            ("headed/net", {"base": ["mobilenet"]}, None),
            ("headed/net", {"base": ["mobilenet"]}, None),
        ),
        (("resnet32", {}, "B2"), ("resnet32", {}, "B2")),
        (("torchvision/vgg16", {}, None), ("torchvision/vgg16", {}, None)),
    ],
)
def test_names_that_meant_another_network_once(content, read, tmp_path):
    """A configuration that says no edition has the names of then; one of today those of today, also
    where it is written again.
    """

    def of(given):
        return given.architecture, given.arguments, given.system

    fields = dict(zip(("architecture", "arguments", "system"), content, strict=True))
    before, left_out = config_of(GOOD | fields)
    assert (of(before), left_out) == (read, [])
    today, _ = config_of(GOOD | fields | {"edition": config.EDITION})
    assert of(today) == content
    for given in (before, today):
        write_config(tmp_path, given)
        assert read_config(tmp_path) == (given, [])


def test_texts_of_a_configuration_can_be_printed(tmp_path):
    names = ["\udce9", *GOOD["class_names"][1:]]
    changes = {"title": "a\ud83d\ude00b\ud83d", "class_names": names, "later": {"\udc00": "\udfff"}}
    (tmp_path / "config.json").write_text(json.dumps(GOOD | changes))
    read, _ = read_config(tmp_path)
    assert read.title == "a\U0001f600b\ufffd"
    assert read.class_names[0] == "\ufffd"
    assert read.unknown == {"later": {"\ufffd": "\ufffd"}}
    str(read).encode()


def test_a_configuration_without_end_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "LONGEST", 5_000)
    (tmp_path / "config.json").write_text(json.dumps(GOOD | {"title": "x" * 5_000}))
    with pytest.raises(UserError, match=r"config\.json is cut short or damaged"):
        read_config(tmp_path)


# Events


def replayed(path):
    """The events of a file, read by hand: whole lines of JSON, less what a resume undoes."""
    events = []
    for line in path.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "resumed":
            undone = {"step", "epoch", "gradients", "rate", "pictures"}
            undone |= {"checkpoint"} if event["step"] == 0 else set()
            events = [
                old
                for old in events
                if old["event"] not in undone or old.get("step", 0) <= event["step"]
            ]
        events.append(event)
    return events


def test_nothing_of_a_shipped_run_is_left_out():
    paths = sorted(folders.SHIPPED.glob("*/events.jsonl"))
    for path in paths:
        assert read_events(path) == (replayed(path), "")
    assert {event["event"] for path in paths for event in read_events(path)[0]} <= set(EVENTS)


REFUSED = (10**400, float("inf"), float("nan"), True, "1", None, [1], {})
SIGNED = ("train_loss", "val_loss", "learning_rate")  # which have no bounds but those of float32
NEEDED = {"step": STEP, "epoch": EPOCH, "checkpoint": CHECKPOINT, "started": STARTED}
NEEDED |= {"resumed": {"event": "resumed", "step": 3}}
NEEDED |= {"finished": {"event": "finished", "test_accuracy": 0.5, "seconds": 3}}
NEEDED |= {"pictures": {"event": "pictures", **MOMENT, "height": 3, "width": 4}}


@pytest.mark.parametrize("name", NEEDED)
def test_numbers_are_bounded_where_they_are_read(tmp_path, name):
    path, event = tmp_path / "events.jsonl", NEEDED[name]
    for key in EVENTS[name].needed:
        for value in (*REFUSED, *(() if key in SIGNED else (-1, 2**53))):
            path.write_bytes(lines(event, event | {key: value}, event))
            events, words = read_events(path)
            assert events == [event, event], (key, value)
            assert words.startswith("1 line of its events is left out (line 2: the ")
            assert f"the {key!r} of a {name!r} event is not " in words
        path.write_bytes(lines({other: event[other] for other in event if other != key}))
        assert read_events(path)[0] == []


def test_what_an_event_can_do_without_is_left_out_alone(tmp_path):
    path = tmp_path / "events.jsonl"
    odd = STARTED | {"device": "a\x1b[2J", "layers": ["conv1", 3], "train_counts": [1, -1]}
    path.write_bytes(lines(odd, STEP | {"later": {"a": 1}, "time": "noon"}))
    events, words = read_events(path)
    assert events == [
        {"event": "started", "parameters": 5, "steps": 100},
        STEP | {"later": {"a": 1}},
    ]
    assert words.startswith("4 values of its events are left out (the first in line 1: ")


def test_texts_of_events_can_be_printed(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines({"event": "failed", "reason": "no \udce9"}))
    assert read_events(path) == ([{"event": "failed", "reason": "no \ufffd"}], "")


def test_a_resume_without_a_step_undoes_nothing(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines(STARTED, STEP, {"event": "resumed", "step": "4"}, CHECKPOINT))
    events, words = read_events(path)
    assert events == [STARTED, STEP, CHECKPOINT]
    assert "the 'step' of a 'resumed' event" in words


def test_a_line_that_is_being_written_is_no_fault(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(lines(STARTED) + lines(STEP)[:-9])
    assert read_events(path) == ([STARTED], "")
    with EventLog(tmp_path) as log:  # an earlier process was cut off within it
        log.write("paused")
    events, words = read_events(path)
    assert [event["event"] for event in events] == ["started", "paused"]
    assert words == "1 line of its events is left out (line 2: it is no JSON)"


def test_a_line_without_end_costs_neither_time_nor_memory(tmp_path):
    path = tmp_path / "events.jsonl"
    with open(path, "wb") as file:
        file.write(lines(STARTED) + b'{"event": "step", "x": "')
        file.truncate(300_000_000)
        file.seek(0, os.SEEK_END)
        file.write(b'"}\n' + lines(STEP))
    tracemalloc.start()
    start = time.perf_counter()
    events, words = read_events(path)
    seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert events == [STARTED, STEP]
    assert "line 2: it is longer than 4,000,000 bytes" in words
    assert peak < 20e6
    assert seconds < 10  # a busy machine may be slow


def test_what_is_written_can_be_read(tmp_path):
    with EventLog(tmp_path) as log:
        for event, values in (
            ("nonesuch", {}),
            ("step", {"step": 1}),
            ("paused", {"colour": "red"}),
            ("epoch", {key: EPOCH[key] for key in EPOCH if key != "event"} | {"step": -1}),
        ):
            with pytest.raises((KeyError, ValueError)):
                log.write(event, **values)
        log.write("gradients", step=3, epoch=0.5, norms=[1.0], weights=[float("nan")])
    events, words = read_events(tmp_path / "events.jsonl")
    assert words == ""
    assert [{key: event[key] for key in event if key != "time"} for event in events] == [
        {"event": "gradients", "step": 3, "epoch": 0.5, "norms": [1.0]}
    ]


# Matrices


def answered(confusion):
    """Predictions with these counts."""
    true, predicted = (
        axis.ravel().repeat(np.ravel(confusion)) for axis in np.indices(np.shape(confusion))
    )
    logits = np.eye(len(confusion), dtype=np.float32)[predicted]
    return Predictions(true, logits, true.astype(str))


def evaluated(folder, counts, classes=3):
    """A run with an epoch event at each step of {step: matrix} and the matrices kept."""
    folder.mkdir()
    names = [f"class {label}" for label in range(classes)]
    write_config(folder, config_of(GOOD | {"class_names": names})[0])
    (folder / "events.jsonl").write_bytes(lines(*(EPOCH | {"step": step} for step in counts)))
    kept = Matrices(folder)
    for step, matrix in counts.items():
        kept.keep(step, answered(matrix))
    return read_run(folder)


def test_matrices_are_kept_beside_the_events(runs_root):
    rng = np.random.default_rng(0)
    counts = {step: rng.integers(0, 90, (3, 3)) for step in (4, 9, 12)}
    counts[9][1, 2] = 70_000  # more than sixteen bits hold
    run = evaluated(runs_root / "run", counts)
    found = moments.evaluations(run)
    assert [event["step"] for event, _ in found] == [4, 9, 12]
    for event, matrix in found:
        assert matrix.dtype == np.int64
        assert np.array_equal(matrix, counts[event["step"]])
    assert b"confusion" not in run.path("events.jsonl").read_bytes()
    run.path(moments.MATRICES).unlink()  # a run that was copied without it has no matrices
    assert moments.evaluations(run) == []


def test_matrices_of_earlier_versions_are_those_of_their_lines(tmp_path):
    for name in ("lenet", "collapsed_lenet"):
        run = read_run(folders.SHIPPED / name)
        found = moments.evaluations(run)
        expected = [event for event in replayed(run.path("events.jsonl")) if "confusion" in event]
        assert [event["step"] for event, _ in found] == [event["step"] for event in expected]
        assert [matrix.tolist() for _, matrix in found] == [
            event["confusion"] for event in expected
        ]


def test_a_resume_undoes_the_matrices_of_later_steps(runs_root):
    counts = {step: np.full((3, 3), step) for step in (4, 9, 12)}
    run = evaluated(runs_root / "run", counts)
    resumed = Matrices(run.folder)
    resumed.take_up(run, 9)
    resumed.keep(11, answered(np.full((3, 3), 2)))
    assert sorted(moments.matrices(run)) == [4, 9, 11]


def test_matrices_have_so_much_room(runs_root, monkeypatch):
    """They stay spread over the training, from the first to the last."""
    monkeypatch.setattr("vizlib.run.matrices.ROOM", 5 * 3 * 3 * 2)
    counts = {step: np.full((3, 3), step) for step in range(1, 30)}
    run = evaluated(runs_root / "run", counts)
    kept = moments.matrices(run)
    assert len(kept) == 5
    assert min(kept) == 1
    assert max(kept) == 29
    assert all((matrix == step).all() for step, matrix in kept.items())
    assert np.diff(sorted(kept)).max() < 29 / 2


def test_of_ten_thousand_classes_none_is_kept(tmp_path):
    """Nor counted: the matrix would have 800 MB."""
    labels = np.arange(3)
    many = Predictions(labels, np.zeros((3, 10_000), np.float16), labels.astype(str))
    tracemalloc.start()
    Matrices(tmp_path).keep(1, many)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()
    assert os.listdir(tmp_path) == []
    assert 4 * 2 * 1_900**2 < ROOM < 4 * 2 * 10_000**2


def test_matrices_that_do_not_fit_are_passed_over(runs_root):
    run = evaluated(runs_root / "run", {4: np.ones((3, 3), int)})
    odd = {
        "confusion/00000004": np.ones((2, 2), np.uint16),
        "confusion/\u00b2": np.ones((3, 3), np.uint16),
        "confusion/5": np.ones((3, 3), np.uint16),
        "confusion/00000006": np.ones((3, 3), np.float32),
    }
    run.path(moments.MATRICES).write_bytes(safetensors.numpy.save(odd))
    assert moments.evaluations(run) == []
    run.path(moments.MATRICES).write_bytes(b"torn")
    assert moments.evaluations(run) == []


# Snapshots


def test_snapshots_that_cannot_be_read_are_passed_over(runs_root):
    good = torch.full((4, 3, 3, 3), 2.0).half()
    folder = runs_root / "mixed"
    shutil.copytree(SOURCE, folder)
    files = snapshots(
        {
            "conv1/00000000": good,
            "conv1/00000001": good.bfloat16(),
            "conv1/\u00b2": good,
            "conv1/2": good,
            "conv1/00000003": good[0],
            "conv1/99999999999999999999": good,
        }
    )
    (folder / "snapshots.safetensors").write_bytes(files["snapshots.safetensors"])
    found = moments.filters(read_run(folder))
    assert list(found) == [0]
    assert found[0].dtype == np.float32
    assert (found[0] == 2).all()


# Folders


def without_permission(monkeypatch, *names):
    """What an ordinary user meets in folders of mode 0; root would see through them."""
    real_stat, real_listdir, real_scandir = os.stat, os.listdir, os.scandir

    def refuse(path, inside):
        parts = Path(os.fsdecode(path)).parts if isinstance(path, (str, bytes, Path)) else ()
        if any(name in (parts[:-1] if inside else parts[-1:]) for name in names):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    def stat(path, *arguments, **named):
        refuse(path, inside=True)
        return real_stat(path, *arguments, **named)

    def listdir(path="."):
        refuse(path, inside=False)
        return real_listdir(path)

    def scandir(path="."):
        refuse(path, inside=False)
        return real_scandir(path)

    monkeypatch.setattr(os, "stat", stat)
    monkeypatch.setattr(os, "listdir", listdir)
    monkeypatch.setattr(os, "scandir", scandir)


def test_a_run_that_may_not_be_read_is_named(runs_root, monkeypatch):
    for name in ("closed", "good", "lost+found"):
        shutil.copytree(SOURCE, runs_root / name)
    without_permission(monkeypatch, "closed", "lost+found")
    runs, problems = list_runs(shipped=False)
    assert [run.run_id for run in runs] == ["good"]
    assert problems == [
        "'closed' cannot be read: its config.json cannot be opened (Permission denied)."
    ]


def test_a_folder_of_runs_that_may_not_be_read_is_named(runs_root, monkeypatch):
    shutil.copytree(SOURCE, runs_root / "good")
    without_permission(monkeypatch, runs_root.name)
    assert list_runs(shipped=False) == (
        [],
        [f"The folder {runs_root} cannot be read: Permission denied."],
    )
    assert list_runs()[0]


def test_a_run_that_goes_while_it_is_listed_is_not_there(runs_root, monkeypatch):
    for name in ("first", "goes", "last"):
        shutil.copytree(SOURCE, runs_root / name)
    real = folders.read_config

    def read_config(folder):
        if folder.name == "goes":
            shutil.rmtree(folder)
        return real(folder)

    monkeypatch.setattr(folders, "read_config", read_config)
    runs, problems = list_runs(shipped=False)
    assert [run.run_id for run in runs] == ["first", "last"]
    assert problems == []


def test_a_run_that_went_after_it_was_listed_has_nothing(runs_root):
    shutil.copytree(SOURCE, runs_root / "goes")
    run = read_run(runs_root / "goes")
    shutil.rmtree(runs_root / "goes")
    assert run.events == []
    assert run.problem == ""
    assert run.status == "interrupted"
    assert moments.filters(run) == moments.matrices(run) == {}


@pytest.mark.parametrize("ahead", [60, 3e9])
def test_what_is_ahead_of_the_clock_does_not_wait(runs_root, ahead):
    """Ten such runs would fill the queue for ever."""
    for number in range(10):
        folder = runs_root / f"run{number}"
        folder.mkdir()
        write_config(folder, config_of(GOOD)[0])
        os.utime(folder / "config.json", (time.time() + ahead,) * 2)
        run = read_run(folder)
        assert run.status == "interrupted"
        assert run.can_resume
    assert launcher.active_runs() == []


def test_a_clock_that_is_a_little_behind_makes_no_new_run_an_old_one(runs_root):
    (runs_root / "new").mkdir()
    write_config(runs_root / "new", config_of(GOOD)[0])
    os.utime(runs_root / "new" / "config.json", (time.time() + 2,) * 2)
    assert read_run(runs_root / "new").status == "queued"


def test_where_no_run_can_be_written_the_folder_is_named(tmp_path, monkeypatch, capsys):
    taken = tmp_path / "taken"
    taken.write_text("")
    monkeypatch.setenv("CONVSCOPE_RUNS", str(taken))
    words = f"No run can be written into the folder {taken}: Not a directory"
    with pytest.raises(UserError, match=words):
        folders.claim_folder("new", config_of(GOOD)[0])
    assert main(["train", "-a", "three_layer_module", "-d", "digits", "--device", "cpu"]) == 2
    printed = capsys.readouterr().err
    assert printed == f"convscope: {words}.\n"


def test_a_full_disk_leaves_no_empty_run_folder(runs_root, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(config, "write_whole", full)
    words = f"No run can be written into the folder {runs_root}: No space left on device"
    with pytest.raises(UserError, match=words):
        folders.claim_folder("new", config_of(GOOD)[0])
    assert os.listdir(runs_root) == []


def queued(root, name="goes"):
    folder = root / name
    folder.mkdir()
    write_config(folder, config_of(GOOD)[0])
    return folder


def test_a_training_whose_folder_goes_while_it_waits_ends_with_a_sentence(
    runs_root, monkeypatch, capsys
):
    folder = queued(runs_root)

    def is_next(run):
        shutil.rmtree(folder)
        return False

    monkeypatch.setattr(launcher, "is_next", is_next)
    assert worker.main([str(folder)]) == 1
    printed = capsys.readouterr()
    assert printed.err == "The folder of goes is gone, and its training ends.\n"
    assert not folder.exists()


def test_a_training_whose_folder_goes_while_it_trains_ends_with_a_sentence(
    runs_root, monkeypatch, capsys
):
    from vizlib.training import noted

    folder = queued(runs_root)
    save_weights = noted.save_weights

    def removed(*given):
        shutil.rmtree(folder, ignore_errors=True)
        return save_weights(*given)

    monkeypatch.setattr(noted, "save_weights", removed)
    assert worker.main([str(folder)]) == 1
    printed = capsys.readouterr()
    assert printed.err == "The folder of goes is gone, and its training ends.\n"
    assert not folder.exists()


# Data sets


def pictures(folder):
    from PIL import Image

    for class_name in ("cat", "dog"):
        (folder / class_name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (8, 8)).save(folder / class_name / f"{number}.png")


def test_a_data_folder_that_cannot_be_named_or_read_is_passed_over_and_said(
    data_folder, monkeypatch, capsys
):
    for name in ("good", "lost+found"):
        pictures(data_folder / name)
    pictures(data_folder / "tmp")
    os.rename(os.fsencode(data_folder / "tmp"), os.fsencode(data_folder) + b"/caf\xe9")
    without_permission(monkeypatch, "lost+found")
    assert datasets.names() == ["digits", "digits-imbalanced", "folder:good"]
    assert datasets.problems() == [
        "The data set 'caf\ufffd' is left out: its name is not UTF-8.",
        "The data set 'lost+found' is left out: it cannot be read (Permission denied).",
    ]
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    assert "  folder:good\n" in printed
    assert "  ! The data set 'caf\ufffd' is left out: its name is not UTF-8.\n" in printed


def test_a_root_of_data_sets_that_may_not_be_read_is_named(data_folder, monkeypatch):
    pictures(data_folder / "good")
    without_permission(monkeypatch, data_folder.name)
    assert datasets.names() == ["digits", "digits-imbalanced"]
    assert datasets.problems() == [
        f"The folder of data sets {data_folder} cannot be read: Permission denied."
    ]
