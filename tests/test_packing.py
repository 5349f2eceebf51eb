"""Weights in a quarter of the bytes: what is lost, and that a packed run says so and answers with
what its file holds.
"""

import shutil

import numpy as np
import pytest
import safetensors.torch
import torch

from vizlib import datasets
from vizlib.command_line import main
from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.run.integers import SCALE
from vizlib.run.predictions import load_predictions
from vizlib.run.weights import load_weights, packed_weights
from vizlib.training import packing
from vizlib.training.evaluation import evaluate


def filters():
    """float32 (16, 8, 3, 3): channels of very different size, the greatest value in the middle, one
    of zeros.
    """
    weight = np.random.default_rng(3).normal(size=(16, 8, 3, 3)).astype(np.float32)
    weight *= np.logspace(-7, 4, 16, dtype=np.float32).reshape(-1, 1, 1, 1)
    weight[:, 4, 1, 1] = -2 * np.abs(weight).reshape(16, -1).max(axis=1)
    weight[5] = 0
    return weight


def test_each_channel_comes_back_within_half_of_its_own_step():
    weight = filters()
    back = load_weights(packed_weights({"conv.weight": torch.from_numpy(weight)}))["conv.weight"]
    assert back.dtype == torch.float32
    steps = np.abs(weight).reshape(16, -1).max(axis=1) / 127
    lost = np.abs(back.numpy() - weight).reshape(16, -1).max(axis=1)
    assert (lost <= 0.5001 * steps).all()
    assert (lost[steps > 0] > 0).all(), "nothing was rounded"
    np.testing.assert_allclose(back[:, 4, 1, 1], weight[:, 4, 1, 1], rtol=1e-6)  # the greatest


def test_what_is_small_stays_a_float():
    given = {
        "fc.weight": torch.full((4, 8), 0.3),
        "fc.bias": torch.linspace(-1, 1, 2000),
        "bn.num_batches_tracked": torch.tensor(70_000),
    }
    back = load_weights(packed_weights(given))
    assert back.keys() == given.keys()
    assert back["bn.num_batches_tracked"] == 70_000
    for name in ("fc.weight", "fc.bias"):
        assert torch.equal(back[name], given[name].half().float())


def test_it_takes_a_quarter():
    weight = torch.randn(64, 64, 3, 3)
    assert len(packed_weights({"w": weight})) < 1.02 * weight.numel()


@pytest.mark.parametrize(
    ("tensor", "scales"),
    [
        (torch.ones(4, 3, dtype=torch.int8), torch.ones(5)),
        (torch.ones(4, 3), torch.ones(4)),
        (torch.ones(4, dtype=torch.int8), torch.ones(4)),
    ],
)
def test_scales_that_do_not_fit_are_refused(tensor, scales):
    data = safetensors.torch.save({"conv1.weight": tensor, "conv1.weight" + SCALE: scales})
    with pytest.raises(UserError, match="'?conv1.weight'? and its scales do not fit"):
        load_weights(data)


@pytest.fixture
def copied(tiny_run, runs_root):
    """A copy of the small run, by its id."""
    shutil.copytree(tiny_run.folder, runs_root / "small")
    return folders.open_run("small")


def test_a_packed_run_is_what_its_file_is(copied, capsys):
    before = copied.path("model.safetensors").stat().st_size
    trained = copied.events_of("finished")[-1]["test_accuracy"]
    assert main(["pack", "small"]) == 0
    assert "in 8 bits" in capsys.readouterr().out
    run = folders.open_run("small")
    assert run.path("model.safetensors").stat().st_size < 0.6 * before  # from 16 bits
    stored = load_predictions(run.path("predictions.npz"), 10)
    again = evaluate(run.folder, run.config, datasets.load("digits"))
    np.testing.assert_allclose(stored.logits, again.logits, atol=0.02)
    finished = run.events_of("finished")[-1]
    assert finished["test_accuracy"] == round(again.accuracy, 5)
    assert finished["trained_accuracy"] == trained
    assert run.status == "finished"
    assert f"{again.accuracy:.2%}" in run.packed
    assert f"{trained:.2%} as they were trained" in run.packed
    assert main(["pack", "small"]) == 2
    assert "packed already, in 8 bits" in capsys.readouterr().err


def test_one_that_would_lose_too_much_stays_as_it_is(copied, monkeypatch):
    files = {path.name: path.read_bytes() for path in copied.folder.iterdir() if path.is_file()}
    monkeypatch.setattr(packing, "MOST_LOST", -1)
    with pytest.raises(UserError, match="it stays as it is"):
        packing.pack(copied, datasets.load("digits"))
    now = {path.name: path.read_bytes() for path in copied.folder.iterdir() if path.is_file()}
    assert now == files
    assert copied.packed == ""


def test_one_that_has_not_finished_is_refused(copied):
    log = copied.path("events.jsonl")
    lines = [line for line in log.read_bytes().splitlines(True) if b'"finished"' not in line]
    log.write_bytes(b"".join(lines))
    with pytest.raises(UserError, match="has not finished"):
        packing.pack(folders.open_run("small"), datasets.load("digits"))
