"""Which devices there are, and what is done for Apple's GPU, which no machine of ours has: a
stand-in takes its place, whose tensors lie on the CPU.
"""

from types import SimpleNamespace

import pytest
import torch

from vizlib import datasets
from vizlib.errors import UserError
from vizlib.training import batches, devices, loop, measures, optimisers
from vizlib.training.config import make_config
from vizlib.training.number_types import CONVOLUTION, PRODUCT, fast_type
from vizlib.training.order import Order
from vizlib.training.recipes import recipe

APPLE = torch.device("mps")


@pytest.fixture
def apple(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


def test_apples_gpu_is_listed_before_the_cpu(apple, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.devices() == ["cuda:0", "cuda:1", "mps", "cpu"]
    assert devices.device_named(None) == "cuda:0"
    assert devices.device_named("mps") == "mps"
    assert devices.device_named("cuda") == "cuda"
    with pytest.raises(UserError, match=r"'cuda:2' here\. Possible: cuda:0, cuda:1, mps, cpu"):
        devices.device_named("cuda:2")


def test_it_is_the_default_where_there_is_no_other(apple, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert devices.device_named(None) == "mps"
    with pytest.raises(UserError, match="Possible: mps, cpu"):
        devices.device_named("cuda")


def test_where_there_is_none_it_is_refused(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match="no device 'mps'"):
        devices.device_named("mps")


def test_what_is_not_relied_on_there():
    assert devices.words_for(APPLE) == "Apple's GPU"
    assert not devices.pins_memory(APPLE)
    assert not devices.has_fused_steps([SimpleNamespace(device=APPLE)])
    assert {fast_type(APPLE, operation) for operation in (CONVOLUTION, PRODUCT)} == {torch.float32}


def test_its_numbers_are_summed_on_the_cpu():
    """It has no float64: asking for it is an error there."""

    class Tensor:
        device = APPLE

        def cpu(self):
            return torch.tensor([0.1, 3.0])

        def double(self):
            raise TypeError("no float64")

    assert devices.as_double(Tensor()).dtype is torch.float64


@pytest.mark.parametrize("optimiser", ["adamw", "muon", "one_cycle"])
def test_a_training_without_what_it_lacks_learns_the_same(tmp_path, monkeypatch, optimiser):
    dataset = datasets.load("digits")
    config = make_config(
        Order("three_layer_module", "digits", recipe(optimiser, epochs=1)), dataset
    )
    usual = loop.train(tmp_path / "usual", config, dataset, say=lambda line: None)
    calls = []

    def for_apple(module, name, answer):
        monkeypatch.setattr(module, name, lambda *given: (calls.append(name), answer(*given))[1])

    for_apple(optimisers, "has_fused_steps", lambda parameters: False)
    for_apple(measures.devices, "as_double", lambda tensor: tensor.cpu().double())
    for_apple(batches, "pins_memory", lambda device: devices.pins_memory(APPLE))
    for_apple(measures.devices, "starts_slowly", lambda device: True)
    stand_in = loop.train(tmp_path / "stand-in", config, dataset, say=lambda line: None)
    assert {"has_fused_steps", "as_double", "starts_slowly"} <= set(calls)
    losses = [
        [event["train_loss"] for event in run.events_of("epoch")] for run in (usual, stand_in)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)
