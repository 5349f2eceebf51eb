"""Somebody's own class as data: what is built from the description gives the module's own logits,
and nothing of the code is run again.
"""

import copy
import json
import re
from functools import partial
from pathlib import Path

import own_networks as own
import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.resnet import BasicBlock

import vizlib
from vizlib import architectures
from vizlib.architectures import elsewhere
from vizlib.architectures.elsewhere import graph
from vizlib.bring import models as models_of
from vizlib.bring import sources
from vizlib.bring.own_code import load_class, traced
from vizlib.errors import UserError
from vizlib.inside.activations import capture, prepare, twin
from vizlib.inside.layers import convolutions, layer_table
from vizlib.inside.model import load_model, randomised
from vizlib.run.folders import open_run

OWN = {
    own.Plain: (3, 32, 32),
    own.ResidualNet: (3, 16, 16),
    own.Dense: (3, 12, 12),
    own.Mobile: (3, 16, 16),
    own.Scaled: (3, 8, 8),
    own.Shared: (1, 8, 8),
    own.Attention: (3, 16, 16),
}
TORCHVISION = [
    partial(models.ResNet, BasicBlock, [1, 2, 1, 1]),
    partial(models.MobileNetV2, width_mult=0.25),
    partial(models.ShuffleNetV2, [2, 2, 2], [8, 16, 32, 64, 64]),
    partial(models.GoogLeNet, init_weights=False, num_classes=7),
    partial(
        models.ConvNeXt, [CNBlockConfig(8, 16, 2), CNBlockConfig(16, None, 1)], 0.1, num_classes=7
    ),
    partial(models.VisionTransformer, 32, 8, 2, 2, 16, 32, num_classes=7),
]
HERE = own.__file__


def module_of(kind):
    """A module with weights, and statistics, that are no defaults."""
    torch.manual_seed(3)
    module = kind()
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and ("running" in name or "bias" in name):
            tensor.uniform_(0.5, 1.5)
    return module.eval()


def rebuilt(network):
    """What is built from a description that went through a file."""
    arguments = json.loads(json.dumps(network.arguments))
    built = architectures.create("graph/net", **arguments)
    built.load_state_dict(network.tensors)
    return built.eval()


def assert_same_logits(module, built, size):
    for count in (1, 2, 5):
        images = torch.randn(count, *size)
        with torch.no_grad():
            torch.testing.assert_close(built(images), module(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.__name__)
def test_what_is_built_from_data_gives_the_same_logits(kind):
    module, size = module_of(kind), OWN[kind]
    network = traced(module, size)
    built = rebuilt(network)
    assert_same_logits(module, built, size)
    own_names = {name for name in network.tensors if not name.startswith("constant")}
    assert own_names == set(module.state_dict())
    assert network.input_size == size
    assert network.title == kind.__name__
    # as the app looks into it, and as it would while others look
    assert_same_logits(module, twin(prepare(built)), size)


@pytest.mark.parametrize("build", TORCHVISION)
def test_torchvisions_are_followed(build):
    size = (3, 32, 32)
    module = build().eval()
    network = traced(module, size)
    assert_same_logits(module, rebuilt(network), size)
    assert set(network.tensors) == set(module.state_dict())


def test_the_module_stays_as_it_was():
    module, seen = module_of(own.Dense).train(), []
    module.convs[1].register_forward_hook(lambda *given: seen.append(type(given[-1])))
    before, state = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    traced(module, (3, 12, 12))
    assert module.training
    assert module.relu.inplace
    assert all(module.state_dict()[name].equal(tensor) for name, tensor in before.items())
    assert torch.get_rng_state().equal(state)
    assert set(seen) == {torch.Tensor}  # no stand-in of torch.fx's
    module(torch.zeros(2, 3, 12, 12))
    assert len(seen) > 1


def test_a_hook_that_changes_something_is_not_passed_over():
    module = module_of(own.Dense)
    module.fc.register_forward_hook(lambda *given: given[-1] * 2)
    with pytest.raises(UserError, match="on a hook"):
        traced(module, (3, 12, 12))


def test_functions_become_layers_and_containers_stay_blocks():
    layers = layer_table(rebuilt(traced(module_of(own.Plain), (3, 32, 32))), (3, 32, 32))
    assert [layer.name for layer in layers] == [
        "conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "pool3", "fc1", "tanh1", "dropout1",
        "fc2", "logsoftmax1",
    ]  # fmt: skip
    layers = layer_table(rebuilt(traced(module_of(own.ResidualNet), (3, 16, 16))), (3, 16, 16))
    shown = [(layer.name, layer.kind, layer.depth, layer.is_sum) for layer in layers][11:]
    assert shown[:9] == [
        ("stages.1.bn1", "BatchNorm2d", 1, False),
        ("stages.1.relu1", "ReLU", 1, False),
        ("stages.1.conv2", "Conv2d", 1, False),
        ("stages.1.bn2", "BatchNorm2d", 1, False),
        ("stages.1.shortcut", "Sequential", 1, False),
        ("stages.1.shortcut.0", "Conv2d", 2, False),
        ("stages.1.shortcut.1", "BatchNorm2d", 2, False),
        ("stages.1.relu2", "ReLU", 1, False),
        ("stages.2", "Residual", 0, True),
    ]


def test_convolutions_that_are_functions_are_layers():
    built = rebuilt(traced(module_of(own.Scaled), (3, 8, 8)))
    layers = layer_table(built, (3, 8, 8))
    assert [(layer.name, layer.kind, layer.is_convolution) for layer in layers] == [
        ("standardised", "Standardised", True),
        ("conv1", "conv2d", True),
        ("block", "Module", True),
    ]
    assert [name for name, _ in convolutions(built, layers)] == ["standardised", "block"]


def test_a_block_called_twice_is_two_calls_of_one():
    network = traced(module_of(own.Shared), (1, 8, 8))
    names = [layer.name for layer in layer_table(rebuilt(network), (1, 8, 8))]
    assert {"block", "block#2", "block.relu2", "block.relu2#2"} <= set(names)


def test_layers_are_the_modules_own():
    module = module_of(own.ResidualNet)
    images, seen = torch.randn(2, 3, 16, 16), []
    module.stages[1].register_forward_hook(lambda *given: seen.append(given[-1]))
    built = prepare(rebuilt(traced(module, (3, 16, 16))))
    with torch.no_grad():
        module(images)
    _, maps = capture(built, images, ["stages.1", "stages.1.relu2"])
    torch.testing.assert_close(maps["stages.1"], seen[-1])
    assert maps["stages.1.relu2"].equal(maps["stages.1"])
    assert [name for name, _ in convolutions(built)][:2] == ["stem", "stages.0.conv1"]


def test_logits_are_taken_out_of_a_dictionary_and_that_is_said():
    module = own.Wrapped().eval()
    network = traced(module, (3, 8, 8))
    assert "'logits'" in network.note
    images = torch.randn(4, 3, 8, 8)
    expected = module(images)["logits"]
    torch.testing.assert_close(rebuilt(network)(images), expected)


def test_a_size_is_found_where_none_is_given():
    assert traced(module_of(own.Plain)).input_size == (3, 32, 32)
    assert traced(own.Sized(28)).input_size == (3, 28, 28)
    with pytest.raises(UserError, match="no pictures of a usual size: say which"):
        traced(own.Sized(31))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (own.AsksForValues, "values that depend on the picture .line {if x.sum} of own_networks"),
        (own.AsksForAnItem, "values that depend on the picture .line {.item} of own_networks"),
        (own.Unknown, "calls 'fft_fft2'"),
        (own.Assigns, "item assignment .line {x.:, 0. = 0}"),
        (own.Recurrent, "'lstm' is a recurrent layer"),
        (own.Drops, "training=self.training"),
        (own.Draws, "other logits each time"),
        (own.OfBatch, "depends on more than the picture"),
        (own.TwoInputs, "takes 2 inputs .images, lengths."),
        (own.Maps, "returns .2, 3, 8, 8. for two pictures"),
        (own.TwoOutputs, "0: .2, 3., 1: .2, 3."),
        (own.Sized, "3 x 8 x 8 .* .line {self.fc.x.flatten} of own_networks"),
    ],
)
def test_what_cannot_be_described_is_refused_in_a_sentence(kind, words):
    lines = Path(HERE).read_text(encoding="utf-8").splitlines()
    for snippet in re.findall("{(.+?)}", words):
        number = next(n for n, line in enumerate(lines, 1) if re.search(snippet, line))
        words = words.replace(f"{{{snippet}}}", str(number))
    with pytest.raises(UserError, match=words) as error:
        traced(kind(), (3, 8, 8))
    assert "\n" not in str(error.value)


# What a configuration of somebody's may hold


def small():
    """A description that works, to be spoilt."""
    return {
        "modules": {"a.conv": {"kind": "Conv2d", "in_channels": 3, "out_channels": 2,
                               "kernel_size": [3, 3]}},
        "blocks": {"a": "Stem"},
        "parameters": {"scale": {"shape": [1, 2, 1, 1]}},
        "steps": [
            {"op": "block", "target": "a", "output": 2, "steps": [
                {"op": "module", "target": "a.conv", "args": [{"result": 0}]},
                {"op": "function", "target": "operator.mul",
                 "args": [{"result": 1}, {"parameter": "scale"}]},
            ]},
            {"op": "method", "target": "mean", "args": [{"result": 3}, [2, 3]]},
        ],
        "output": 4,
        "num_classes": 2,
        "input_size": [3, 8, 8],
    }  # fmt: skip


def test_the_description_that_is_spoilt_works():
    assert architectures.create("graph/net", **small())(torch.zeros(3, 3, 8, 8)).shape == (3, 2)


def step(**content):
    """A spoiler: another last step."""
    usual = {"op": "method", "target": "mean", "args": [{"result": 3}, [2, 3]]}
    return lambda d: d["steps"].__setitem__(1, usual | content)


def module(**content):
    """A spoiler: other arguments of the convolution."""
    return lambda d: d["modules"]["a.conv"].update(content)


def other(**content):
    """A spoiler: other arguments of the network."""
    return lambda d: d.update(content)


def more(what, name, value):
    """A spoiler: one more part."""
    return lambda d: d[what].update({name: value})


def doubling(count):
    """A spoiler: a tensor that doubles, and doubles."""
    steps = [
        {"op": "function", "target": "torch.cat", "args": [[{"result": n}, {"result": n}], 3]}
        for n in range(count)
    ]
    return other(steps=steps, output=count)


def keeping(count):
    """A spoiler: many large tensors, none of which can be let go."""
    steps = [
        {"op": "method", "target": "repeat", "args": [{"result": 0}, 1, 1, 600, 600]}
        for _ in range(count)
    ]
    put = {
        "op": "function",
        "target": "torch.cat",
        "args": [[{"result": n + 1} for n in range(count)]],
    }
    return other(steps=[*steps, put], output=count + 1)


def attending():
    """A spoiler: all pixels attend to all."""
    steps = [
        {"op": "method", "target": "flatten", "args": [{"result": 0}, 2]},
        {"op": "method", "target": "transpose", "args": [{"result": 1}, 1, 2]},
        {"op": "module", "target": "m", "args": [{"result": 2}, {"result": 2}, {"result": 2}]},
    ]
    module = {"kind": "MultiheadAttention", "embed_dim": 3, "num_heads": 1, "batch_first": True}
    return other(steps=steps, modules={"m": module}, blocks={}, parameters={}, output=3,
                 input_size=[3, 512, 512])  # fmt: skip


def nested(depth):
    inner = []
    for _ in range(depth):
        inner = [{"op": "block", "target": "a", "output": 0, "steps": inner}]
    return other(steps=inner, output=1)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (step(op="exec"), "no kind of step named 'exec'"),
        (step(op=["method"]), "no kind of step"),
        (step(target="__class__"), "method '__class__': it is not known"),
        (step(target="add_"), "method 'add_'"),
        (step(op="attribute", target="__dict__", args=[{"result": 3}]), "attribute '__dict__'"),
        (step(op="function", target="builtins.__import__"), "'builtins.__import__'"),
        (step(op="function", target="__import__", args=["os"]), "function '__import__'"),
        (step(op="module", target="a"), "module 'a'"),
        (step(op="module", target="a.conv.forward"), "'a.conv.forward'"),
        (step(args=[{"result": 4}]), "result '4'; there are 0 to 3"),
        (step(args=[{"result": -1}]), "result '-1'"),
        (step(args=[{"result": True}]), "result 'True'"),
        (step(args=[{"result": 3, "more": 1}]), "cannot have|can have the argument"),
        (step(args=[{"parameter": "a.conv.__class__"}]), "no tensor named"),
        (step(args=[{"parameter": "forward"}]), "can have the argument"),
        (step(args=[{"dtype": "load"}]), "can have the argument"),
        (step(args=[3]), "no tensor"),
        (step(args={}), "asked of nothing"),
        (step(args=[{"result": 3}, float("nan")]), "can have the argument"),
        (step(args=[{"result": 3}, 10**30]), "can have the argument"),
        (step(args=[{"result": 3}, [[[[[[[1]]]]]]]]), "can have the argument"),
        (step(kwargs={"out": {"result": 3}}), "argument named 'out'"),
        (step(kwargs={"__class__": 1}), "argument named '__class__'"),
        (step(target="repeat", args=[{"result": 3}, 1, 1, 9999, 9999]), "would have"),
        (step(target="split", args=[{"result": 0}, 1, 2], kwargs={"x": 1}), "cannot be taken"),
        (step(target="expand", args=[{"result": 1}, 99999, 2, 6, 6]), "cannot be taken"),
        (step(op="function", target="operator.pow", args=[10, 10**11]), "too large"),
        (step(op="function", target="operator.mul", args=[[1, 2], 10**11]), "tensors and numbers"),
        (step(secret=1), "no part of a step named 'secret'"),
        (doubling(40), "would have"),
        (doubling(20_001), "would have|up to 20,000 steps"),
        (nested(40), "blocks deep"),
        (keeping(20), "more would be kept"),
        (attending(), "weights of attention"),
        (module(kind="LSTM"), "'LSTM'"),
        (module(kind="__import__"), "'__import__'"),
        (module(kind=None), "kind of module"),
        (module(device="cuda"), "named 'device'"),
        (module(out_channels=10**9), "cannot have out_channels"),
        (module(out_channels=-2), "cannot have out_channels"),
        (module(out_channels="2"), "cannot have out_channels"),
        (module(in_channels=10**7, out_channels=10**7), "at most 250,000,000"),
        (module(groups=2), "divisible"),
        (module(in_channels=4), "cannot be taken"),
        (module(padding=[1024, 1024], out_channels=100), "would have"),
        (module(kernel_size=[1000, 1000], padding=[1000, 1000], out_channels=80), "minutes"),
        (more("modules", "forward", {"kind": "ReLU"}), "'forward'"),
        (more("modules", "a..b", {"kind": "ReLU"}), "'a..b'"),
        (more("modules", "a.conv.b", {"kind": "ReLU"}), "'a.conv'"),
        (more("modules", "a", {"kind": "ReLU"}), "'a'"),
        (other(modules=[1]), "by name"),
        (other(blocks={"a": "Not a class"}), "'Not a class'"),
        (more("blocks", "__class__", "Stem"), "'__class__'"),
        (other(parameters={"scale": {"shape": [10**5, 10**5]}}), "at most"),
        (other(parameters={"scale": {"shape": 3}}), "no shape"),
        (other(parameters={"scale": {"shape": [1], "dtype": "object"}}), "'object'"),
        (other(num_classes=3), "3 logits"),
        (other(num_classes=0), "100,000 classes"),
        (other(input_size=[3, 4096, 4096]), "up to 1024"),
        (other(input_size=None), "up to 1024"),
        (other(output=9), "result '9'"),
        (other(steps="forward"), "a list"),
        (other(code="import os"), "no argument of graph/net named 'code'"),
    ],
)
def test_a_description_of_anybodys_is_refused_in_a_sentence(spoil, words):
    description = small()
    spoil(description)
    with pytest.raises(UserError, match=words) as error:
        architectures.create("graph/net", **description)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 3000


def test_larger_pictures_than_it_was_tried_with_are_refused():
    network = architectures.create("graph/net", **small())
    assert network(torch.zeros(3, 3, 5, 8)).shape == (3, 2)
    with pytest.raises(UserError, match="pictures of 3 x 8 x 8, and takes no larger"):
        network(torch.zeros(1, 3, 9, 8))


def test_it_is_known_by_its_name():
    assert graph.NAME in elsewhere.names()
    with pytest.raises(UserError, match="have .channels, height, width."):
        architectures.create(graph.NAME)


# Somebody's file


def brought(tmp_path, content, spec, arguments, side):
    torch.save(content, tmp_path / "weights.pth")
    return sources.from_code(tmp_path / "weights.pth", spec, arguments, side)


def test_a_class_of_a_file_with_weights_of_another(tmp_path):
    kept = own.ResidualNet(num_classes=6, width=3).eval()
    spec, arguments = f"{HERE}:ResidualNet", {"num_classes": 6, "width": 3}
    content = {"state_dict": kept.state_dict(), "classes": list("abcdef")}
    ours = brought(tmp_path, content, spec, arguments, 16)
    assert ours.class_names == list("abcdef")
    (candidate,) = ours.candidates
    assert (candidate.input_size, candidate.num_classes) == ((3, 16, 16), 6)
    built = models_of.network(candidate, ours.tensors)
    assert_same_logits(kept, built, (3, 16, 16))
    with pytest.raises(UserError, match="do not fit this network.*head.weight is 6x6"):
        brought(tmp_path, content, spec, arguments | {"num_classes": 5}, 16)
    with pytest.raises(UserError, match="do not fit this network.*Missing: stem.weight"):
        brought(tmp_path, kept.stages.state_dict(), spec, arguments, 16)


@pytest.mark.parametrize("around", ["", "module.", "module._orig_mod."])
@pytest.mark.parametrize("kind", [own.ResidualNet, own.Wrapped, own.Scaled])
def test_what_stands_before_names_is_no_matter(tmp_path, around, kind):
    """Wrapped's own names all begin with "model.", which readers of weights take off, as they leave
    a lone "mean" out.
    """
    kept = module_of(kind)
    content = {around + name: tensor for name, tensor in kept.state_dict().items()}
    ours = brought(tmp_path, content, f"{HERE}:{kind.__name__}", {}, 8)
    for name, tensor in kept.state_dict().items():
        torch.testing.assert_close(ours.tensors[name], tensor)


def test_weights_of_what_lies_inside_the_class(tmp_path):
    kept = module_of(own.Wrapped)
    ours = brought(tmp_path, kept.model.state_dict(), f"{HERE}:Wrapped", {}, 8)
    assert ours.tensors["model.2.bias"].equal(kept.model[2].bias)
    assert "'logits'" in " ".join(ours.remarks)


def test_lazy_layers(tmp_path):
    """Are what they have become in a notebook; from code alone nobody knows what that is."""
    assert traced(own.Lazy(), (3, 8, 8)).tensors["fc.weight"].shape == (4, 3 * 8 * 8)
    with pytest.raises(UserError, match="Lazy has lazy layers"):
        brought(tmp_path, own.Sized().state_dict(), f"{HERE}:Lazy", {}, 8)


def test_weights_of_a_training_that_failed_are_refused(tmp_path):
    content = own.Plain().state_dict()
    content["fc2.bias"][3] = float("nan")
    with pytest.raises(UserError, match="NaN or infinite"):
        brought(tmp_path, content, f"{HERE}:Plain", {}, 32)


@pytest.mark.parametrize(
    ("spec", "arguments", "words"),
    [
        ("nowhere.py:Net", {}, "no Python file 'nowhere.py'"),
        (HERE, {}, "Say which class of .* Possible: own_networks.py:Plain, own_networks"),
        (f"{HERE}:Netz", {}, "has no 'Netz'. Possible: own_networks.py:Plain"),
        (f"{HERE}:F", {}, "no class and no function"),
        (f"{HERE}:Residual", {}, "missing a required argument: 'channels'.*stride=1"),
        (f"{HERE}:Plain", {"depth": 3}, "'depth'"),
        (f"{HERE}:Stops", {"depth": 3}, "RuntimeError: 3 is too deep .line [0-9]+ of own_networks"),
    ],
)
def test_a_file_that_does_not_give_a_module(spec, arguments, words):
    with pytest.raises(UserError, match=words):
        load_class(spec, arguments)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("a = 1\nb = a +\n", "SyntaxError.*line 2 of net.py"),
        ("\n\nnot_there\n", "NameError.*'not_there'.*line 3 of net.py"),
        ("import nothing_of_the_kind\n", "ModuleNotFoundError.*line 1 of net.py"),
        ("import sys\nsys.exit(2)\n", "SystemExit: 2 .line 2 of net.py"),
        ("a = 1\n", "Possible: no class of modules"),
        ("def net():\n    return 3\n", "Say which class"),
    ],
)
def test_code_that_cannot_be_run(tmp_path, code, words):
    (tmp_path / "net.py").write_text(code)
    with pytest.raises(UserError, match=words):
        load_class(f"{tmp_path}/net.py")


def test_neighbours_of_a_file_are_found(tmp_path):
    (tmp_path / "own_blocks_beside.py").write_text("from torch import nn\nBlock = nn.ReLU\n")
    (tmp_path / "net.py").write_text(
        "from own_blocks_beside import Block\ndef net(): return Block()"
    )
    assert isinstance(load_class(f"{tmp_path}/net.py:net"), nn.ReLU)


# As a run


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVSCOPE_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def test_a_module_of_a_notebook_becomes_a_run(runs):
    module = module_of(own.Shared)
    run = vizlib.open_model(
        module,
        name="mine",
        input_size=(1, 8, 8),
        class_names=["a", "b", "c"],
        mean=[0.3],
        std=[0.2],
    )
    assert run == open_run("mine")
    assert run.class_names == ["a", "b", "c"]
    assert (run.config.mean, run.config.std) == ([0.3], [0.2])
    assert run.status == "imported"
    assert run.provenance == "imported from the class Shared"
    assert run.config.title == "Shared"
    assert_same_logits(module, load_model(run), (1, 8, 8))
    images = torch.randn(2, 1, 8, 8)
    assert randomised(run)(images).isfinite().all()
    assert not torch.allclose(randomised(run)(images), module(images))


def test_classes_are_those_of_the_data_set(runs):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    run = vizlib.open_model(network, name="mine", input_size=(1, 8, 8), dataset="digits")
    assert run.config.dataset == "digits"
    assert run.class_names == [str(number) for number in range(10)]
    with pytest.raises(UserError, match="4 classes apart, and 10 are named"):
        vizlib.open_model(own.Sized(8), name="x", input_size=(3, 8, 8), dataset="digits")
    assert (
        vizlib.open_model(own.Sized(8), name="x", input_size=(3, 8, 8)).class_names[3] == "class 3"
    )


def test_opening_such_a_run_runs_nothing_of_the_file(runs, tmp_path, interpreter):
    canary = tmp_path / "canary"
    (tmp_path / "net.py").write_text(
        f"import torch\nopen({str(canary)!r}, 'a').write('run')\n"
        "class Mine(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv = torch.nn.Conv2d(3, 4, 3)\n"
        "    def forward(self, x):\n"
        f"        open({str(canary)!r}, 'a').write('run')\n"
        "        return torch.relu(self.conv(x)).mean((2, 3))\n"
    )
    module = load_class(f"{tmp_path}/net.py:Mine").eval()
    vizlib.open_model(module, name="theirs", input_size=(3, 8, 8))
    images = torch.ones(2, 3, 8, 8)
    expected = module(images)[1, 2].item()
    canary.unlink()
    ended = interpreter(
        "-c",
        "import torch\n"
        "from vizlib.run.folders import open_run\n"
        "from vizlib.inside.model import load_model\n"
        "from vizlib.inside.layers import layer_table\n"
        "model = load_model(open_run('theirs'))\n"
        "print([layer.name for layer in layer_table(model, (3, 8, 8))])\n"
        "print(model(torch.ones(2, 3, 8, 8))[1, 2].item())\n",
    )
    names, logit = ended.stdout.splitlines()
    assert names == "['conv', 'relu1']"
    assert float(logit) == pytest.approx(expected, rel=1e-5)
    assert not canary.exists()
