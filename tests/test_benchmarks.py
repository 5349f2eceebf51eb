"""Every benchmark measures what it says: each part once, with the smallest sizes, never how fast;
and the tables say on what. What a page no longer shows ends them with one sentence.
"""

import asyncio
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import ROOT
from vizlib.run import folders
from vizlib.training import processor
from vizlib.ui.frame import links

SERVE = {  # the rows that each part promises, by how they begin
    "home": ["Home, first pixels", "Home, first pixels, 3 runs of one's own"],
    "keys": [
        "next layer of 512 maps, not computed yet",
        "layer of 512 maps, computed before",
        "arrow key to the unit over the input",
        "arrow key to the unit's map",
    ],
    "train": ["a sign, after Train", "the training in the sidebar, after Train"],
    "load": [
        "resnet32, alone",
        "resnet32, 1 sessions: 1 reruns",
        "resnet32, 1 sessions: first pages",
    ],
    "switches": [
        "An empty page of Streamlit",
        "One with a chart and a table",
        *links.titles()[1:3],
        "Home",
    ],
}
TRAINING = {
    "speed": ["`three_layer_module`"],
    "press": ["seed 0"],
    "minute": ["seed 0"],
    "five_minutes": ["seed 0"],
    "speedrun": ["seconds of training, 1 run", "test accuracy"],
}


def figures(printed):
    """[(texts, numbers)] of the rows of the tables in a text, as their heads tell words from
    numbers.
    """
    rows, texts = [], 0
    for line in printed.splitlines():
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if set(line) <= set("|-:"):
            texts, rows = cells.count("---"), rows[:-1]  # the line before was the head
        else:
            rows.append((cells[:texts], [number(cell) for cell in cells[texts:] if cell != "–"]))
    return rows


def number(cell):
    try:
        return float(cell.strip("*<% ").replace(",", ""))
    except ValueError:  # of a head
        return math.nan


def check(printed, promised):
    rows = figures(printed)
    assert len(rows) == len(promised), printed
    for (texts, numbers), beginning in zip(rows, promised, strict=True):
        assert " | ".join(texts).startswith(beginning)
        assert numbers, printed
        assert all(math.isfinite(value) and value >= 0 for value in numbers), printed
    assert processor.this_processor() in printed


@pytest.fixture
def threads():
    """Gives PyTorch back the threads that it had."""
    import torch

    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


def test_what_is_checked_can_fail():
    head = "| what | way | s |\n|---|---|---:|\n"
    assert figures(f"{head}| a | b | **1,000.5** |") == [(["a", "b"], [1000.5])]
    with pytest.raises(AssertionError):
        check(f"{head}| a | b | nan |\n{processor.this_processor()}", ["a | b"])
    with pytest.raises(AssertionError):
        check(f"{head}| a | b | 1 |", ["a | b"])


@pytest.mark.walk
def test_render(capsys, threads):
    from benchmarks import render

    render.main(["--smallest"])
    check(capsys.readouterr().out, [f"4x7x7 | {way}" for way in render.WAYS])


@pytest.mark.walk
def test_patterns(capsys, threads):
    from benchmarks import patterns

    patterns.main(["--smallest"])
    index = ["a plain forward pass", "the index of all layers"]
    sheet = ["Convscope, the whole sheet", "one unit at a time"]
    printed = capsys.readouterr().out
    check(printed, ["resnet32, 4 "] * 2 + ["resnet18_cifar, conv1, 2 units"] * 2)
    assert [texts[1] for texts, _ in figures(printed)] == index + sheet


@pytest.mark.walk
def test_folder(capsys):
    from benchmarks import folder

    folder.main(["--smallest"])
    ours = ["listed", "the first start", "the second start"]
    check(capsys.readouterr().out, ["ImageFolder and DataLoader", *ours])


@pytest.mark.walk
@pytest.mark.parametrize("part", TRAINING)
def test_training(part, capsys):
    from benchmarks import training

    training.main([part, "--smallest"])
    check(capsys.readouterr().out, TRAINING[part])


@pytest.mark.walk
def test_pages_beside_a_training(interpreter):
    ended = interpreter("-m", "benchmarks.training", "pages", "--smallest")
    assert ended.returncode == 0, ended.stderr
    check(ended.stdout, ["idle", "training"])
    assert "Ratio of the medians" in ended.stdout


@pytest.mark.walk
@pytest.mark.parametrize(
    "part",
    [
        "load",
        *(
            pytest.param(part, marks=pytest.mark.browser)
            for part in ("home", "keys", "train", "switches")
        ),
    ],
)
def test_serve(part, interpreter):
    ended = interpreter("-m", "benchmarks.serve", part, "--smallest")
    assert ended.returncode == 0, ended.stderr
    check(ended.stdout, SERVE[part])
    if part == "load":
        assert "0 wrong" in ended.stdout


def test_no_part_of_serve_finds_the_runs_of_another(monkeypatch, capsys):
    from benchmarks import serve

    found = []

    def part(runs, sizes):
        found.append([run.name for run in runs.iterdir()])
        (runs / "left").mkdir()

    monkeypatch.setattr(serve, "PARTS", dict.fromkeys(serve.PARTS, part))
    serve.main(["--smallest"])
    assert found == [[]] * len(serve.PARTS)


@pytest.mark.walk
def test_networks(capsys, threads):
    from benchmarks import networks

    networks.main(["--smallest", "--device", "cpu"])
    check(capsys.readouterr().out, ["`three_layer_module`"])


@pytest.mark.walk
def test_estimates(interpreter):
    ended = interpreter("-m", "benchmarks.estimates", "--smallest")
    assert ended.returncode == 0, ended.stderr
    check(ended.stdout, ["`three_layer_module`, digits, `small_set`, 2"])


@pytest.mark.walk
def test_roofline(capsys, threads):
    from benchmarks import roofline

    roofline.main(["--smallest"])
    printed = capsys.readouterr().out
    check(printed, ["`three_layer_module`"])
    assert "GFLOP/s in float32" in printed


@pytest.mark.walk
def test_small_maps(interpreter):
    ended = interpreter("-m", "benchmarks.small_maps", "--smallest")
    assert ended.returncode == 0, ended.stderr
    check(ended.stdout, ["3 x 3, stride 1, 8 to 8", "`three_layer_module`"])


def test_the_work_of_a_step_is_counted(threads):
    """Multiplications and bytes against those of the layers' sizes."""
    import torch
    from torch import nn

    from benchmarks import roofline
    from vizlib import architectures
    from vizlib.training.recipes import recipe
    from vizlib.training.trial import Trial

    batch, size = 6, (3, 16, 16)
    trial = Trial("three_layer_module", size, recipe("one_cycle", batch_size=batch), "cpu")
    works = roofline.work_of(trial)
    arguments = architectures.get("three_layer_module").arguments_for(10, size)
    model = architectures.create("three_layer_module", **arguments)
    values = {}
    layers = [each for each in model.modules() if isinstance(each, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        layer.register_forward_hook(lambda layer, given, made: values.update({layer: made.shape}))
    model(torch.zeros(batch, *size))
    once = [2 * layer.weight[0].numel() * values[layer].numel() for layer in layers]
    # forward, by the weights, and by the input of all but the first
    assert sum(work.flops for work in works) == 3 * sum(once) - once[0]
    first = next(work for work in works if work.name == "aten.convolution")
    touched = batch * 3 * 16 * 16, layers[0].weight.numel(), values[layers[0]].numel()
    bias = 0 if layers[0].bias is None else len(layers[0].bias)
    assert first.bytes == first.dtype.itemsize * (sum(touched) + bias)
    assert not {"aten.view", "aten.t", "aten.permute"} & {work.name for work in works}
    assert {work.name for work in works} & {"aten.threshold_backward"}


@pytest.mark.walk
def test_the_script_for_gpus_is_right_to_its_last_line(tmp_path):
    """Where there is no GPU its lines run on the CPU, so that it will not fail on one."""
    ended = subprocess.run(
        ["bash", "benchmarks/gpu.sh", "--dry", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    made = {path.name for path in (tmp_path / "runs").iterdir()}
    assert made == {"airbench94-eager", "three_layer_module-cpu", "one_process"}
    for name in made:
        assert folders.read_run(tmp_path / "runs" / name).status == "finished"
    assert "airbench94" in (tmp_path / "speedrun.md").read_text()
    check((tmp_path / "networks.md").read_text(), ["`three_layer_module`"])


@pytest.mark.walk
@pytest.mark.browser
def test_a_class(interpreter):
    """On a server just started: what fails only then fails here."""
    ended = interpreter("-m", "benchmarks.classroom", "--smallest")
    assert ended.returncode == 0, ended.stderr
    assert "0 wrong" in ended.stdout
    last = figures(ended.stdout)[-2:]
    assert [texts for texts, _ in last] == [["all of them"], ["in a browser"]]
    assert all(value > 0 for _, numbers in last for value in numbers)
    assert processor.this_processor() in ended.stdout


def test_every_part_is_tried():
    from benchmarks import serve, training

    assert set(serve.PARTS) == set(SERVE)
    assert set(training.PARTS) == {*TRAINING, "pages"}


def page_of_maps(**changes):
    from benchmarks.crowd import Page

    given = dict(title="Feature maps of lenet", layer=SimpleNamespace(), unit=SimpleNamespace())
    atlas = {"alt": "16 feature maps of conv2", "selected": 3}
    return Page(**{**given, "atlas": atlas, **changes})


@pytest.mark.parametrize(
    ("changes", "asked", "expected"),
    [
        ({}, {}, []),
        ({}, {"layer": "conv2"}, []),
        ({}, {"unit": 3}, []),
        ({}, {"layer": "conv1"}, ["not the maps of conv1 but '16 feature maps of conv2'"]),
        ({}, {"unit": 2}, ["not unit 2 but 3"]),
        ({"atlas": {}}, {}, ["no picture of all maps"]),
        ({"unit": None}, {}, ["no choice of a layer and a unit"]),
        ({"title": "Filters of lenet"}, {}, ["not the page Feature maps"]),
        ({"faults": ["exception: x"]}, {}, ["exception: x"]),
    ],
)
def test_an_answer_to_a_session_is_checked(changes, asked, expected):
    from benchmarks.crowd import faults

    assert faults(page_of_maps(**changes), **asked) == expected


def test_a_page_has_come_when_its_whole_script_has_ended():
    """Not a part of it that draws itself again, and not one that begins once more."""
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    from benchmarks.crowd import exchange

    def ended(how):
        return ForwardMsg(script_finished=how).SerializeToString()

    def titled(text):
        message = ForwardMsg()
        message.delta.new_element.heading.tag = "h1"
        message.delta.new_element.heading.body = text
        return message.SerializeToString()

    answers = [
        ended(ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY),
        titled("the page before"),
        ended(ForwardMsg.FINISHED_EARLY_FOR_RERUN),
        titled("the page"),
        ended(ForwardMsg.FINISHED_SUCCESSFULLY),
        titled("another"),
    ]

    class Socket:
        async def send(self, content):
            pass

        async def recv(self):
            return answers.pop(0)

    page, _ = asyncio.run(exchange(Socket(), ForwardMsg()))
    assert page.title == "the page"


@pytest.mark.browser
@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        ("document.querySelector('.renamed')", "there is no such picture"),
        ("document.querySelector('img')", "nothing new within 100.0 ms"),
    ],
)
def test_a_page_that_has_changed_ends_the_benchmark_with_a_sentence(page, picture, reason):
    from benchmarks.serve import press

    page.set_content('<img src="data:image/png;base64,AAAA">')
    with pytest.raises(SystemExit, match="has it changed") as ended:
        press(page, "j", picture, patience=0.1)
    assert str(ended.value).count("\n") == 0
    assert reason in str(ended.value)


XEON = """processor : 0
model name : Some Xeon
flags : fpu avx2 avx512f amx_bf16

processor : 1
model name : Another
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (XEON, ["Some Xeon", "AVX2", "AVX-512", "AMX BF16"]),
        ("processor : 0\nFeatures : fp asimd sve bf16\n", ["aarch64", "Neon", "SVE", "BF16"]),
    ],
)
def test_the_processor_is_named(monkeypatch, tmp_path, text, expected):
    path = tmp_path / "cpuinfo"
    path.write_text(text)
    monkeypatch.setattr(processor, "CPUINFO", path)
    monkeypatch.setattr(processor.platform, "processor", lambda: "aarch64")
    assert processor.this_processor().split(", ")[:-1] == expected  # the last says how many cores


def test_without_linux_the_processor_is_what_python_knows(monkeypatch, tmp_path):
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr(processor.platform, "processor", lambda: "")
    monkeypatch.setattr(processor.platform, "machine", lambda: "arm64")
    assert processor.this_processor().startswith("arm64, ")
