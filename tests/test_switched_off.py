"""A unit that is off is a channel of zeros, as in a network that somebody builds by hand; and who
shares the model sees nothing of it.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F

from vizlib import architectures
from vizlib.errors import UserError
from vizlib.inside.activations import forward, prepare
from vizlib.inside.layers import layer_table
from vizlib.inside.layouts import MAPS, TOKENS, UNITS_LAST, Layout
from vizlib.inside.switched_off import _silenced, capture_without

OFF = {"relu1": [2, 5], "conv2": [11]}


@pytest.fixture(scope="module")
def lenet():
    torch.manual_seed(0)
    return prepare(architectures.create("lenet"))


def layouts_of(model, size=(3, 32, 32)):
    return {layer.name: layer.layout for layer in layer_table(model, size)}


def by_hand(model, images, off):
    """LeNet written out, with channels multiplied by zero where they are off."""

    def kept(name, maps):
        mask = torch.ones(maps.shape[1])
        mask[off.get(name, [])] = 0
        return maps * mask.view(1, -1, *[1] * (maps.ndim - 2))

    weights = dict(model.named_parameters())

    def part(name):
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    maps = kept("conv1", F.conv2d(images, *part("conv1")))
    maps = F.max_pool2d(kept("relu1", maps.relu()), 2)
    conv2 = maps = kept("conv2", F.conv2d(maps, *part("conv2")))
    maps = F.max_pool2d(kept("relu2", maps.relu()), 2).flatten(1)
    maps = F.linear(maps, *part("fc1")).relu()
    maps = F.linear(maps, *part("fc2")).relu()
    return F.linear(maps, *part("fc3")), conv2


@pytest.mark.parametrize("off", [{}, OFF, {"conv1": range(6)}, {"relu2": [15]}])
def test_equals_zeroing_the_channel_by_hand(lenet, off):
    images = torch.randn(2, 3, 32, 32)
    logits, maps = capture_without(lenet, images, ["conv2"], off, layouts_of(lenet))
    expected, expected_maps = by_hand(lenet, images, off)
    assert torch.allclose(logits, expected, atol=1e-5)
    assert torch.allclose(maps["conv2"], expected_maps, atol=1e-5)
    assert torch.allclose(forward(lenet, images), by_hand(lenet, images, {})[0], atol=1e-5)


def test_the_second_call_of_a_module_is_switched_alone():
    torch.manual_seed(0)
    model, images = prepare(architectures.create("resnet18")), torch.randn(1, 3, 64, 64)
    off = {"layer1.0.relu#2": [7]}
    _, maps = capture_without(
        model, images, ["layer1.0.relu", "layer1.0"], off, layouts_of(model, (3, 64, 64))
    )
    assert maps["layer1.0.relu"][0, 7].abs().sum() > 0
    assert maps["layer1.0"][0, 7].abs().sum() == 0
    assert maps["layer1.0"][0, 6].abs().sum() > 0


@pytest.mark.parametrize(
    ("kind", "given", "zeros"),
    [
        (MAPS, (4, 3, 5), lambda output: output[:, 2]),
        (UNITS_LAST, (3, 5, 4), lambda output: output[..., 2]),
        (TOKENS, (16, 4), lambda output: output[..., 2]),
    ],
)
def test_units_lie_where_the_layout_says(kind, given, zeros):
    output = torch.ones(2, *given)
    silenced = _silenced(output, "layer", [2], Layout(kind, given, (4, 3, 5)))
    assert zeros(silenced).sum() == 0
    assert silenced.sum() == output.sum() - zeros(output).sum()
    assert output.min() == 1, "the output itself stays"


def test_a_unit_that_is_not_there(lenet):
    with pytest.raises(UserError, match="no unit 6"):
        capture_without(lenet, torch.zeros(1, 3, 32, 32), [], {"conv1": [6]}, layouts_of(lenet))
    assert forward(lenet, torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_two_at_once_do_not_mix(lenet):
    images = torch.randn(4, 1, 3, 32, 32)
    switched = [{}, OFF, {"conv1": [0, 1, 2, 3]}, {"relu2": [4, 9]}]
    layouts = layouts_of(lenet)
    expected = [by_hand(lenet, *one)[0] for one in zip(images, switched, strict=True)]

    def look(number):
        wrong = 0
        for _ in range(25):
            logits = capture_without(lenet, images[number], ["fc1"], switched[number], layouts)[0]
            wrong += not torch.allclose(logits, expected[number], atol=1e-5)
        return wrong

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(look, range(4))) == [0] * 4
