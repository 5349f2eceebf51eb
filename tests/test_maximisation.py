"""Activation maximisation: the known best input of units made by hand, values that the network
itself gives, nothing left behind.
"""

import by_hand
import numpy as np
import pytest
import torch

from vizlib import architectures
from vizlib.errors import UserError
from vizlib.inside import activations, maximisation
from vizlib.inside.maximisation import maximise

OFF = dict(fourier=False, decorrelated=False, robust=False)
BY_HAND = dict(input_size=by_hand.INPUT_SIZE, mean=by_hand.MEAN, std=by_hand.STD)
COLOUR = dict(input_size=(3, 32, 32), mean=[0.5, 0.45, 0.4], std=[0.25, 0.2, 0.3])


def greatest(layer_name, images):
    """The greatest value of each unit of the network by hand over some images, by a plain pass."""
    model = by_hand.network().eval()
    model.relu1.inplace = False
    received = (torch.from_numpy(images).float() / 255 - by_hand.MEAN[0]) / by_hand.STD[0]
    with torch.no_grad():
        output = model[: list(dict(model.named_children())).index(layer_name) + 1](received)
    return output.flatten(2).amax((0, 2)).numpy() if output.dim() == 4 else output.amax(0).numpy()


@pytest.mark.parametrize(
    ("layer_name", "patterns", "edges"), [("conv1", by_hand.EDGES, 1), ("conv2", by_hand.PAIRS, 2)]
)
def test_with_everything_off_the_best_input_is_the_saturated_filter(layer_name, patterns, edges):
    found = maximise(
        by_hand.network(), layer_name, range(len(patterns)), **BY_HAND, **OFF, steps=400
    )
    levels = found.pictures[..., 0].astype(int)
    assert found.pictures.dtype == np.uint8
    assert levels.shape == patterns.shape
    assert (np.abs(levels - 255 * (patterns > 0))[patterns != 0] <= 3).all()
    assert (np.abs(levels - 127.5)[patterns == 0] <= 3).all()
    np.testing.assert_allclose(found.values, edges * (6 + by_hand.BIAS), rtol=0.02)


@pytest.mark.parametrize(
    "switches", [{}, dict(fourier=False), dict(decorrelated=False), dict(robust=False)]
)
@pytest.mark.parametrize(
    ("layer_name", "patterns"), [("conv1", by_hand.EDGES), ("conv2", by_hand.PAIRS)]
)
def test_the_best_input_looks_like_the_filter_and_beats_every_planted_picture(
    layer_name, patterns, switches
):
    found = maximise(by_hand.network(), layer_name, range(len(patterns)), **BY_HAND, **switches)
    for picture, pattern in zip(found.pictures[..., 0], patterns, strict=True):
        assert np.corrcoef(picture[pattern != 0], pattern[pattern != 0])[0, 1] > 0.95
    assert (found.values > greatest(layer_name, by_hand.planted(patterns)[0])).all()


def test_the_best_input_of_a_class_is_of_that_class_and_beats_every_planted_picture():
    found = maximise(by_hand.network(), "fc", [1, 0], **BY_HAND)
    assert found.pictures.shape == (2, 16, 16, 1)
    assert (found.values > greatest("fc", by_hand.planted(by_hand.PAIRS)[0])[::-1]).all()
    logits = by_hand.network()(
        (torch.from_numpy(found.pictures).permute(0, 3, 1, 2).float() / 255 - by_hand.MEAN[0])
        / by_hand.STD[0]
    )
    assert logits.argmax(1).tolist() == [1, 0]
    np.testing.assert_allclose(found.values, logits.detach().amax(1), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "layer_name", "size", "side"),
    [
        ("lenet", "conv2", 32, 14),
        ("resnet32", "stage1.block2.conv2", 32, 11),
        ("resnet32", "stage2.block1.shortcut", 32, 23),
        ("airbench", "stage2.conv1", 32, 13),
        ("resnet50_three_stage", "stage1.block1.conv1", 32, 11),
        ("resnet18", "layer1.0.conv2", 224, 27),
    ],
)
def test_values_are_those_of_the_picture_anywhere_in_a_whole_input(name, layer_name, size, side):
    """A picture is as large as what the unit sees, and put there in a noisy input it makes the
    network answer what was returned.
    """
    torch.manual_seed(0)
    model, outputs = architectures.create(name).eval(), []
    for weight in [weight for weight in model.parameters() if weight.dim() == 4]:
        # one architecture begins with identities, which see less
        torch.nn.init.kaiming_normal_(weight)
    found = maximise(
        model, layer_name, [3, 1], **COLOUR | dict(input_size=(3, size, size)), steps=3
    )
    assert found.pictures.shape == (2, side, side, 3)
    mean, std = (torch.tensor(COLOUR[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    model.get_submodule(layer_name).register_forward_hook(
        lambda module, inputs, output: outputs.append(output)
    )

    def central(images):
        model((images - mean) / std)
        height, width = outputs[-1].shape[2:]
        return outputs[-1][:, :, height // 2, width // 2]

    images = torch.rand(4, 3, size, size, requires_grad=True)
    central(images).sum().backward()
    ys, xs = (images.grad.abs().amax((0, 1)).amax(axis).nonzero() for axis in (1, 0))
    assert (ys.max() - ys.min() + 1, xs.max() - xs.min() + 1) == (side, side)
    with torch.no_grad():
        images[:2, :, ys.min() : ys.max() + 1, xs.min() : xs.max() + 1] = (
            torch.from_numpy(found.pictures).permute(0, 3, 1, 2) / 255
        )
        np.testing.assert_allclose(
            central(images)[[0, 1], [3, 1]], found.values, rtol=1e-4, atol=1e-5
        )


def test_the_same_seed_gives_the_same_picture_whoever_else_is_made(monkeypatch):
    torch.manual_seed(0)
    model = architectures.create("lenet")
    together, alone = (
        maximise(model, "fc3", units, **COLOUR, steps=5) for units in ([0, 1, 2, 7], [7])
    )
    np.testing.assert_allclose(together.pictures[3].astype(int), alone.pictures[0], atol=1)
    assert (maximise(model, "fc3", [7], **COLOUR, steps=5).pictures == alone.pictures).all()
    assert (maximise(model, "fc3", [7], **COLOUR, steps=5, seed=1).pictures != alone.pictures).any()
    monkeypatch.setattr(maximisation, "MOST_BYTES", 1)  # one unit at a time
    shares = []
    one_by_one = maximise(model, "fc3", [0, 1, 2, 7], **COLOUR, steps=5, say=shares.append)
    np.testing.assert_allclose(one_by_one.pictures.astype(int), together.pictures, atol=1)
    np.testing.assert_allclose(one_by_one.values, together.values, rtol=0.01)
    np.testing.assert_allclose(shares, np.arange(1, 21) / 20)


def test_a_dead_unit_has_a_picture_and_its_value():
    model = by_hand.network()
    model.conv1.bias.data.fill_(-100)
    found = maximise(model, "conv2", [0], **BY_HAND, steps=3)
    assert found.values.tolist() == [0]
    assert found.pictures.shape == (1, 7, 7, 1)
    assert (np.abs(found.pictures - 127.5) < 5).all()


@pytest.mark.parametrize(
    ("layer_name", "units", "sentence"),
    [
        ("conv9", [0], "no layer named 'conv9'. Possible: conv1, relu1"),
        ("conv1", [0, 4], "are 0 to 3"),
        ("conv1", [-1], "are 0 to 3"),
        ("conv1", [], "are 0 to 3"),
    ],
)
def test_unknown_layers_and_units_are_refused(layer_name, units, sentence):
    with pytest.raises(UserError, match=sentence):
        maximise(by_hand.network(), layer_name, units, **BY_HAND)


@pytest.mark.parametrize("prepared", [False, True])
def test_leaves_nothing_behind(prepared):
    model = by_hand.network().train()
    if prepared:
        activations.prepare(model)
    before, random = by_hand.state(model), torch.get_rng_state()
    with torch.no_grad():  # as callers may be
        maximise(model, "conv2", [0, 1], **BY_HAND, steps=2)

    def cancel(share):
        raise InterruptedError

    for _ in range(20):  # more than there are slots: each must be given back
        with pytest.raises(InterruptedError):
            maximise(model, "fc", [0, 1], **BY_HAND, say=cancel)
    assert by_hand.state(model) == before
    assert torch.equal(torch.get_rng_state(), random)
    assert activations._observer.get() is None
    assert torch.is_grad_enabled()
