"""Reading layers: the right values, of the right thread, and nothing left behind."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torchvision
from torchvision.models import vgg

from vizlib import architectures
from vizlib.errors import UserError
from vizlib.inside import activations
from vizlib.inside.activations import (
    capture,
    forward,
    observing,
    output_of,
    prepare,
    value_of,
)


@pytest.fixture(scope="module")
def lenet():
    torch.manual_seed(0)
    return prepare(architectures.create("lenet"))


def plain_hooks(model, images, names):
    """The outputs of some modules by hooks put on for this one pass."""
    kept = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: kept.update({name: output.clone()})
        )
        for name in names
    ]
    with torch.no_grad():
        logits = model(images)
    for hook in hooks:
        hook.remove()
    return logits, kept


def test_equals_a_plain_hook(lenet):
    images, names = torch.randn(2, 3, 32, 32), ["conv1", "pool2", "fc3"]
    logits, maps = capture(lenet, images, names)
    expected_logits, expected = plain_hooks(lenet, images, names)
    assert list(maps) == names
    assert torch.equal(logits, expected_logits)
    assert all(torch.equal(maps[name], expected[name]) for name in names)


def test_threads_never_get_one_anothers_maps():
    torch.manual_seed(0)
    model, names = prepare(architectures.create("lenet")), ["conv1", "pool1", "conv2"]
    inputs = torch.randn(8, 1, 3, 32, 32)
    expected = [capture(model, images, names)[1] for images in inputs]

    def look(thread):
        wrong, chosen = 0, random.Random(thread)
        for _ in range(30):
            wanted = chosen.sample(names, 2)
            maps = capture(model, inputs[thread], wanted)[1]
            wrong += list(maps) != wanted or any(
                not torch.equal(maps[name], expected[thread][name]) for name in wanted
            )
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(look, range(8))) == [0] * 8


def test_second_call_of_a_shared_relu():
    """In torchvision's BasicBlock one ReLU stands after bn1 and after the sum: its second output is
    the block's.
    """
    torch.manual_seed(0)
    model, images = prepare(torchvision.models.resnet18()), torch.randn(1, 3, 64, 64)
    _, maps = capture(
        model,
        images,
        ["layer1.0.relu", "layer1.0.relu#2", "layer1.0.bn1", "layer1.0.bn2", "layer1.0", "maxpool"],
    )
    assert torch.equal(maps["layer1.0.relu"], maps["layer1.0.bn1"].relu())
    assert torch.equal(maps["layer1.0.relu#2"], (maps["layer1.0.bn2"] + maps["maxpool"]).relu())
    assert torch.equal(maps["layer1.0.relu#2"], maps["layer1.0"])


def test_layers_are_read_before_an_in_place_relu():
    torch.manual_seed(0)
    model = vgg.make_layers(vgg.cfgs["A"])  # vgg11 without its large linear layers
    assert model[1].inplace
    images = torch.randn(1, 3, 32, 32)
    _, maps = capture(prepare(model), images, ["0", "1"])
    assert (maps["0"] < 0).any()
    assert torch.equal(maps["0"].relu(), maps["1"])
    kept = {}
    # an observer need not copy
    forward(model, images, lambda name, module, output: kept.update({name: output}))
    assert torch.equal(kept["0"], maps["0"])


@pytest.mark.parametrize("name", ["conv9", "", "conv1#2"])
def test_unknown_layer_is_refused_with_the_possible_ones(lenet, name):
    with pytest.raises(UserError, match="no layer named .*conv1, .*conv2, .*fc3"):
        capture(lenet, torch.zeros(1, 3, 32, 32), ["conv1", name])


def test_leaves_nothing_behind():
    model = architectures.create("lenet")
    prepare(model)
    hooks, state = (
        [len(module._forward_hooks) for module in model.modules()],
        {name: value.clone() for name, value in model.state_dict().items()},
    )
    assert prepare(model) is model
    images = torch.randn(1, 3, 32, 32)
    logits, maps = capture(model, images, ["conv1", "fc3"])
    again = capture(model, images, ["conv1"])[1]["conv1"]
    expected = again.clone()
    maps["conv1"].numpy()[:] = maps["fc3"].numpy()[:] = 0  # the caller's own copies
    assert logits.abs().sum() > 0
    assert torch.equal(again, expected)
    assert torch.equal(capture(model, images, ["conv1"])[1]["conv1"], expected)
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    assert max(hooks) == 1
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not torch.is_inference_mode_enabled()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_an_exception_puts_the_observer_back(lenet):
    seen = []

    def fails(name, module, output):
        raise RuntimeError("full")

    with observing(lambda name, module, output: seen.append(name)):
        for _ in range(20):  # more than there are slots: each must be given back
            with pytest.raises(RuntimeError, match="full"):
                forward(lenet, torch.zeros(1, 3, 32, 32), fails)
        lenet(torch.zeros(1, 3, 32, 32))
        assert "conv1" in seen
    assert activations._observer.get() is None


def test_a_forward_without_an_observer_is_not_seen_by_an_outer_one(lenet):
    seen = []
    with observing(lambda name, module, output: seen.append(name)):
        forward(lenet, torch.zeros(1, 3, 32, 32))
    assert seen == []


@pytest.mark.parametrize("name", ["resnet32", "three_layer_functional", "resnet18"])
def test_a_twin_has_the_same_weights_and_hooks_of_its_own(name):
    """Many may put hooks on twins of one model, and take gradients through them, while others read
    it.
    """
    torch.manual_seed(0)
    model = architectures.create(name).train()
    before = [
        (
            len(module._forward_hooks),
            len(module._backward_hooks),
            module.training,
            getattr(module, "inplace", None),
        )
        for module in model.modules()
    ]
    twin, images = (
        activations.twin(model),
        torch.randn(2, *architectures.get(name).input_size).requires_grad_(),
    )
    assert [one.data_ptr() for one in twin.state_dict().values()] == [
        one.data_ptr() for one in model.state_dict().values()
    ]
    twin.conv1.register_forward_hook(lambda *seen: None)
    twin(images).sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(
        parameter.requires_grad and parameter.grad is None for parameter in model.parameters()
    )
    assert not any(one.requires_grad for one in twin.parameters())
    assert before == [
        (
            len(module._forward_hooks),
            len(module._backward_hooks),
            module.training,
            getattr(module, "inplace", None),
        )
        for module in model.modules()
    ]
    images.grad = None
    assert torch.equal(activations.twin(model)(images), prepare(model)(images))


@pytest.mark.parametrize("to_the_end", [False, True])
def test_one_layers_output_and_how_far_the_pass_goes(to_the_end):
    """The very tensor, so a gradient goes through it; what lies behind it runs only if asked."""
    torch.manual_seed(0)
    shared = torch.nn.Conv2d(2, 2, 3, padding=1)
    ran = []
    last = torch.nn.Conv2d(2, 1, 1)
    last.register_forward_pre_hook(lambda *seen: ran.append("last"))
    model = prepare(torch.nn.Sequential(shared, torch.nn.Tanh(), shared, last))
    images, seen = torch.randn(3, 2, 5, 4).requires_grad_(), []
    output = output_of(model, images, "0#2", to_the_end=to_the_end, see=seen.append)
    assert torch.equal(output, shared(shared(images).tanh()))
    assert (len(seen), len(ran)) == ((4, 1) if to_the_end else (3, 0))
    gradient = torch.autograd.grad(value_of(output[1], "0#2", 1, (2, 3)), images)[0]
    assert gradient[1].any()
    assert not gradient[[0, 2]].any()
    with pytest.raises(UserError, match="no layer named '0#3'. Possible: 0, 1, 0#2, 3"):
        output_of(model, images, "0#3", to_the_end=to_the_end)
    assert activations._observer.get() is None


def test_the_value_of_a_unit():
    maps = torch.arange(24.0).reshape(2, 3, 4)
    assert value_of(maps, "conv", 1, (2, 1)) == 12 + 2 * 4 + 1
    assert value_of(maps[:, :1, :1], "pool", 1) == 12 == value_of(maps[:, :1, :1], "pool", 1, ())
    assert value_of(maps[:, 0, 2], "fc", 1) == 14
    for wrong, words in (
        ((maps, "conv", 2, (0, 0)), "no unit 2 at 0, 0 .*'conv': its units are 0 to 1, of 3 x 4"),
        ((maps, "conv", -1, (0, 0)), "no unit -1 at 0, 0"),
        ((maps, "conv", 1, (0, 4)), "no unit 1 at 0, 4"),
        ((maps, "conv", 1, (-1, 0)), "no unit 1 at -1, 0"),
        ((maps, "conv", 1), "no unit 1 without a position"),
        ((maps[:, 0, 0], "fc", 1, (0, 0)), "no unit 1 at 0, 0 .*'fc': its units are 0 to 1, count"),
    ):
        with pytest.raises(UserError, match=words):
            value_of(*wrong)
