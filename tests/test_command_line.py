"""The commands as a shell sees them: what they print, and their exit status."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import ROOT
from tests.test_launcher import DEADLINE, until
from vizlib import __version__, datasets
from vizlib.command_line import main
from vizlib.inside import strongest
from vizlib.run import folders
from vizlib.run.predictions import Predictions, load_predictions, save_predictions
from vizlib.run.weights import load_weights
from vizlib.training import requests


@pytest.fixture(autouse=True)
def same_signals():
    """A training on the command line listens to signals; the tests' own process gets its handlers
    back.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def copied_run(runs_root, tiny_run):
    shutil.copytree(tiny_run.folder, runs_root / "tiny")
    return runs_root / "tiny"


def test_a_real_process(interpreter, tmp_path):
    ended = interpreter("-m", "vizlib", "--help")
    assert ended.returncode == 0
    assert "python -m vizlib check RUN" in ended.stdout
    assert ended.stderr == ""
    ended = interpreter("-m", "vizlib", "check", "nonesuch", CONVSCOPE_RUNS=str(tmp_path))
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("convscope: There is no run named 'nonesuch'")
    assert ended.stderr.count("\n") == 1
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has another error for it")
@pytest.mark.parametrize("arguments", [("list",), ("data", "digits")])
def test_nobody_reads_on(arguments):
    """As after `list | head -1`: it ends, and says nothing of it."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "vizlib", *arguments],
            cwd=ROOT,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert __version__ in capsys.readouterr().out


def test_list(copied_run, capsys):
    (copied_run.parent / "broken").mkdir()
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    for words in (
        "tiny ",
        "three_layer_module",
        "finished",
        "digits",
        "one_cycle",
        "resnet18",
        "! 'broken' is not a run",
    ):
        assert words in printed


def test_train_evaluate_and_check(runs_root, capsys):
    arguments = [
        "-a",
        "three_layer_module",
        "-d",
        "digits",
        "-r",
        "adamw",
        "--epochs",
        "1",
        "--device",
        "cpu",
        "--title",
        "a title",
        "--seed",
        "3",
    ]
    assert main(["train", *arguments, "--name", "mine", "--batch-size", "32"]) == 0
    printed = capsys.readouterr().out
    assert "100%  epoch   1.00" in printed
    assert f"written to {runs_root / 'mine'}" in printed
    assert "Not collapsed" in printed
    run = folders.open_run("mine")
    assert run.status == "finished"
    assert run.config.seed == 3
    assert run.config.title == "a title"
    assert run.config.recipe["batch_size"] == 32

    assert main(["train", *arguments, "--name", "mine"]) == 2
    assert "holds a run already" in capsys.readouterr().err

    predictions = load_predictions(run.path("predictions.npz"), 10)
    run.path("predictions.npz").unlink()
    assert main(["check", "mine"]) == 2
    assert "python -m vizlib evaluate mine" in capsys.readouterr().err
    assert main(["evaluate", "mine"]) == 0
    printed = capsys.readouterr().out
    assert f"accuracy {predictions.accuracy:.4f} on 360 images" in printed
    assert printed.count("\n") >= 13
    assert np.array_equal(
        load_predictions(run.path("predictions.npz"), 10).logits, predictions.logits
    )
    assert main(["check", "mine"]) == 0 == main(["check", str(runs_root / "mine")])
    assert "Not collapsed" in capsys.readouterr().out


def test_the_recipe_can_be_changed(runs_root, capsys):
    begun = ["train", "-a", "three_layer_module", "-d", "digits", "--device", "cpu", "-r", "sgd"]
    assert (
        main(
            [
                *begun,
                "--name",
                "first",
                "--epochs",
                "1",
                "--class-weights",
                "--balanced",
                "--augment-only-rare",
                "--learning-rate",
                "0.01",
                "--batch-size",
                "200",
            ]
        )
        == 0
    )
    run = folders.open_run("first")
    changed = dict(
        class_weights=True,
        balanced=True,
        augment_only_rare=True,
        learning_rate=0.01,
        batch_size=200,
        epochs=1,
        seconds=None,
        compile=False,
    )
    assert {key: run.config.recipe[key] for key in changed} == changed
    assert (
        run.config.start,
        run.config.frozen,
    ) == (None, 0)
    assert (
        main([*begun, "--name", "second", "--seconds", "1", "--start", "first", "--freeze", "1"])
        == 0
    )
    run = folders.open_run("second")
    assert run.config.recipe["seconds"] == 1
    assert (run.config.start, run.config.frozen) == ({"run": "first"}, 1)
    assert run.events_of("started")[0]["layers"] == ["conv2", "fc"]
    first, second = (
        load_weights(folders.open_run(name).path("model.safetensors"))["conv1.weight"]
        for name in ("first", "second")
    )
    assert torch.equal(first, second)
    assert run.events_of("finished")[0]["seconds"] >= 1
    capsys.readouterr()
    assert main(["resume", "second"]) == 2
    assert "second cannot be resumed: it is finished." in capsys.readouterr().err
    for arguments in (["--start", "first", "--pretrained"], ["--freeze", "some"]):
        with pytest.raises(SystemExit):
            main([*begun, *arguments])


def test_ctrl_c_ends_a_training_that_can_be_resumed(runs_root, capsys):
    """In a real process; resumed at another rate, it goes on until it is kept."""
    command = [
        sys.executable,
        "-m",
        "vizlib",
        "train",
        "-a",
        "three_layer_module",
        "-d",
        "digits",
        "-r",
        "sgd",
        "--device",
        "cpu",
        "--name",
        "mine",
        "--epochs",
        "3000",
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    run = until(lambda: (runs_root / "mine" / "config.json").exists() and folders.open_run("mine"))
    until(lambda: run.events_of("step"))
    assert run.status == "training"
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert errors == ""
    assert printed.endswith(f"written to {run.folder}\nstopped: python -m vizlib resume mine\n")
    assert run.status == "stopped"
    assert (
        run.events[-1]["reason"]
        == "Stopped by hand. The best weights so far are kept, and it can be resumed."
    )
    step = max(row["step"] for row in run.events if "step" in row)
    for rate, words in (
        ("-1", "learning rate -1.0 is not possible"),
        ("nan", "learning rate nan is not possible"),
    ):
        assert main(["resume", "mine", "--learning-rate", rate]) == 2
        assert words in capsys.readouterr().err
        assert run.status == "stopped"
    requests.ask(run.folder, "stop")  # left over
    keeper = threading.Thread(
        target=lambda: until(lambda: run.events_of("resumed")) and requests.ask(run.folder, "keep")
    )
    keeper.start()
    assert main(["resume", str(run.folder), "--learning-rate", "0.01", "--device", "cpu"]) == 0
    keeper.join()
    printed = capsys.readouterr().out
    assert f"written to {run.folder}" in printed
    assert "Not collapsed" in printed
    assert run.status == "finished"
    assert run.events_of("resumed")[0]["step"] >= step
    assert [row["learning_rate"] for row in run.events_of("rate")] == [0.01]


def test_a_training_that_fails_is_one_line(runs_root, capsys):
    arguments = [
        "-a",
        "three_layer_module",
        "-d",
        "digits",
        "--device",
        "cpu",
        "-r",
        "nesterov",
        "--epochs",
        "1",
        "--learning-rate",
        "100",
        "--name",
        "mine",
    ]
    assert main(["train", *arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("convscope: The loss is not a number after")
    assert printed.count("\n") == 1
    assert folders.open_run("mine").status == "failed"
    assert folders.open_run("mine").can_resume


def test_several_processes_need_a_name(runs_root, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    assert main(["train", "-a", "three_layer_module", "-d", "digits"]) == 2
    assert "Give a --name" in capsys.readouterr().err
    assert list(runs_root.iterdir()) == []


def test_check_of_a_collapsed_run(copied_run, capsys):
    labels = np.repeat(np.arange(10), 30)
    save_predictions(
        copied_run / "predictions.npz",
        Predictions(labels, np.tile(np.eye(10)[4], (300, 1)), labels.astype(str)),
    )
    assert main(["check", "tiny"]) == 1
    printed = capsys.readouterr().out
    assert "Collapsed: 100 % of 300 predictions are 4." in printed
    assert "Never answered: 0, 1, 2, 3, 5" in printed
    assert "Likely cause." in printed


def test_the_name_of_a_run_made_from_its_data(runs_root, data_folder, capsys):
    """A folder's name may hold what the name of a run may not: the run must still be found
    again.
    """
    from tests.test_datasets import write_picture

    for name in ("a", "b"):
        for number in range(20):
            write_picture(data_folder / "my flowers (1)" / name / f"{number}.png", seed=number)
    assert (
        main(
            [
                "train",
                "-a",
                "three_layer_module",
                "-d",
                "folder:my flowers (1)",
                "-r",
                "adamw",
                "--epochs",
                "1",
                "--device",
                "cpu",
            ]
        )
        == 0
    )
    assert [
        run.config.dataset for run in folders.list_runs()[0] if run.folder.parent == runs_root
    ] == ["folder:my flowers (1)"]


def test_patterns(copied_run, tmp_path, capsys, monkeypatch):
    """Both sheets have a tile a unit, and the table names the images in the order of the unit's
    values.
    """
    assert main(["patterns", "tiny", "--layer", "conv1", "--out", str(tmp_path / "sheets")]) == 0
    printed = capsys.readouterr().out
    for name in (
        "conv1-strongest-patch.png",
        "conv1-made-picture.png",
        "conv1-strongest-images.csv",
    ):
        assert str(tmp_path / "sheets" / name) in printed
    found = strongest.load(folders.read_run(copied_run), datasets.load("digits"))["conv1"]
    lines = (tmp_path / "sheets/conv1-strongest-images.csv").read_text().splitlines()
    assert lines[0] == "unit,rank,value,image_id,class,row,column"
    assert len(lines) == 1 + found.values.size
    split = datasets.load("digits").splits["test"]
    unit, rank, value, image_id, label, *place = lines[1 + 30 + 2].split(",")
    assert (unit, rank, image_id.strip('"')) == (
        "1",
        "3",
        split.image_ids[found.image_numbers[1, 2]],
    )
    assert [int(at) for at in place] == found.positions[1, 2].tolist()
    assert float(value) == pytest.approx(found.values[1, 2], rel=1e-4)
    assert label.strip('"') == str(split.labels[found.image_numbers[1, 2]])
    with Image.open(tmp_path / "sheets/conv1-strongest-patch.png") as sheet:
        assert sheet.size[0] > 500
    monkeypatch.chdir(tmp_path)
    assert main(["patterns", "tiny"]) == 0
    assert Path("tiny-patterns/conv2-made-picture.png").is_file(), (
        "of the convolution halfway, beside where it is called"
    )


def test_film(copied_run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("vizlib.run.moments.FRAMES", 3)
    monkeypatch.chdir(tmp_path)
    for arguments, name in (
        ([], "tiny-film.gif"),
        (["--layer", "conv2", "--out", "mine.GIF"], "mine.GIF"),
    ):
        assert main(["film", "tiny", *arguments]) == 0
        assert f"{name}: 0." in capsys.readouterr().out
        assert Image.open(tmp_path / name).n_frames == 3
    assert (tmp_path / "tiny-film.gif").read_bytes() != (tmp_path / "mine.GIF").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "nonesuch"], "no run named 'nonesuch'"),
        (["check", "../etc"], "no run named '../etc'"),
        (["check", "/"], "not a run"),
        (["evaluate", "tiny", "--device", "cuda:99"], "no device 'cuda:99' here. Possible: cpu"),
        (["evaluate", "tiny", "--device", "tpu"], "no device 'tpu'"),
        (["train", "-a", "nonesuch", "-d", "digits"], "no architecture named 'nonesuch'"),
        (["train", "-a", "lenet", "-d", "nonesuch"], "no data set named 'nonesuch'"),
        (["train", "-a", "lenet", "-d", "cifar10"], "vizlib download cifar10"),
        (["train", "-a", "lenet", "-d", "digits", "-r", "nonesuch"], "no recipe named 'nonesuch'"),
        (["train", "-a", "lenet", "-d", "digits", "--epochs", "0"], "epochs 0 is not possible"),
        (
            [
                "train",
                "-a",
                "lenet",
                "-d",
                "digits",
                "--device",
                "cpu",
                "--epochs",
                "1",
                "--validation",
                "9999",
            ],
            "Cannot hold out 9999 of 1437",
        ),
        (
            [
                "train",
                "-a",
                "three_layer_module",
                "-d",
                "digits",
                "--epochs",
                "1",
                "--name",
                "../out",
            ],
            "'../out'",
        ),
        (
            ["train", "-a", "three_layer_module", "-d", "digits", "--seconds", "0"],
            "seconds 0.0 is not possible",
        ),
        (
            [
                "train",
                "-a",
                "three_layer_module",
                "-d",
                "digits",
                "--seed",
                "-1",
                "--device",
                "cpu",
            ],
            "seed",
        ),
        (
            [
                "train",
                "-a",
                "three_layer_module",
                "-d",
                "digits",
                "--seed",
                "10000000000000",
                "--device",
                "cpu",
            ],
            "seed",
        ),
        (
            [
                "train",
                "-a",
                "three_layer_module",
                "-d",
                "digits",
                "--freeze",
                "3",
                "--device",
                "cpu",
            ],
            "Cannot freeze 3 convolutions: between 0 and 2",
        ),
        (
            ["train", "-a", "three_layer_module", "-d", "digits", "--start", "nonesuch"],
            "no run named 'nonesuch'",
        ),
        (
            ["train", "-a", "three_layer_module", "-d", "digits", "--pretrained"],
            "no pretrained weights of three_layer_module",
        ),
        (
            ["train", "-a", "lenet", "-d", "digits", "--start", "tiny"],
            "its weights do not fit lenet",
        ),
        (["resume", "tiny"], "tiny cannot be resumed: it is finished"),
        (["film", "nonesuch"], "no run named 'nonesuch'"),
        (
            ["patterns", "tiny", "--layer", "relu1"],
            "no layer with units named 'relu1'. Possible: conv1, conv2, fc",
        ),
        (["patterns", "tiny", "--layer", "conv1", "--out", "pyproject.toml/x"], "cannot be made"),
        (
            ["film", "tiny", "--layer", "fc9", "--out", "x.gif"],
            "no stored layer named 'fc9'. Possible: conv1",
        ),
        (["film", "tiny", "--out", "film.mp4"], "does not end with .gif"),
        (
            ["film", "tiny", "--out", "no/such/folder/film.gif"],
            "There is no folder 'no/such/folder'",
        ),
        (["resume", "nonesuch"], "no run named 'nonesuch'"),
        (["resume", "lenet"], "cannot be resumed"),
        (
            [
                "train",
                "-a",
                "three_layer_module",
                "-d",
                "digits",
                "--epochs",
                "1",
                "--name",
                "two words",
            ],
            "'two words'",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(copied_run, data_folder, capsys, arguments, words):
    before = sorted(path.name for path in copied_run.parent.parent.rglob("*"))
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("convscope: ")
    assert words in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert sorted(path.name for path in copied_run.parent.parent.rglob("*")) == before


def test_missing_arguments():
    for arguments in (
        [],
        ["train"],
        ["nonesuch"],
        ["train", "-a", "lenet", "-d", "digits", "--epochs", "many"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2


def test_a_damaged_run_is_one_line(copied_run, capsys):
    config = json.loads((copied_run / "config.json").read_text())
    (copied_run / "config.json").write_text(json.dumps({**config, "class_names": ["only", "two"]}))
    assert main(["check", "tiny"]) == 2
    assert "expected (360, 2)" in capsys.readouterr().err
    assert main(["evaluate", "tiny"]) == 2
    assert "has 10 classes" in capsys.readouterr().err
    (copied_run / "config.json").write_text(json.dumps(config))
    (copied_run / "model.safetensors").write_bytes(b"garbage")
    assert main(["evaluate", "tiny"]) == 2
    assert "not a PyTorch or safetensors file" in capsys.readouterr().err
    (copied_run / "config.json").write_text("{")
    assert main(["check", "tiny"]) == 2
    assert "cut short or damaged" in capsys.readouterr().err


def test_a_run_without_its_weights_is_one_line_with_the_way_to_them(weightless, capsys):
    before = weightless.path("predictions.npz").read_bytes()
    for arguments in (
        ["evaluate", "weightless"],
        ["train", "-a", "plain32", "-d", "digits", "--start", "weightless", "--device", "cpu"],
    ):
        assert main(arguments) == 2
        printed = capsys.readouterr()
        assert printed.err == f"convscope: {weightless.missing_weights}\n"
        assert "python -m vizlib reproduce B1" in printed.err
        assert printed.out == ""
    assert [path.name for path in weightless.folder.parent.iterdir()] == ["weightless"]
    assert weightless.path("predictions.npz").read_bytes() == before
    assert main(["check", "weightless"]) == 0
    assert "Not collapsed" in capsys.readouterr().out


def test_evaluate_on_another_copy_keeps_what_the_run_reports(copied_run, capsys):
    config = json.loads((copied_run / "config.json").read_text())
    (copied_run / "config.json").write_text(
        json.dumps(config | {"dataset_note": "other test images"})
    )
    before = (copied_run / "predictions.npz").read_bytes()
    assert main(["evaluate", "tiny"]) == 0
    assert "Not stored" in capsys.readouterr().out
    assert (copied_run / "predictions.npz").read_bytes() == before


def test_a_run_cannot_be_named_like_one_that_ships(runs_root, capsys):
    assert (
        main(
            [
                "train",
                "-a",
                "three_layer_module",
                "-d",
                "digits",
                "--epochs",
                "1",
                "--name",
                "lenet",
            ]
        )
        == 2
    )
    assert "ships is named 'lenet'" in capsys.readouterr().err
    assert not (runs_root / "lenet").exists()
