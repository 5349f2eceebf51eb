"""Every architecture keeps the registry's contract, and each system is what its report
describes.
"""

import ast
import inspect
import json
import math
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from vizlib import architectures
from vizlib.architectures import preactivation, three_layer
from vizlib.architectures.shapes import not_drawn
from vizlib.errors import UserError
from vizlib.inside.layers import layer_table

NAMES = architectures.names()
PHOTOGRAPH = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
# here without numbers, on the meta device; test_layers runs them
DEEPEST = ["resnet101", "resnet152"]
THREE_LAYER = ["three_layer_functional", "three_layer_module", "three_layer_sequential"]


@pytest.fixture(scope="module")
def built():
    """Each network once, with its default arguments, in evaluation mode."""
    models = {}

    def get(name):
        if name not in models:
            with torch.device("meta" if name in DEEPEST else "cpu"):
                models[name] = architectures.create(name).eval()
        return models[name]

    return get


@pytest.fixture(scope="module")
def table(built):
    """From a name to {layer name: Layer} at the architecture's own input size."""
    tables = {}

    def get(name):
        if name not in tables:
            tables[name] = {
                row.name: row
                for row in layer_table(built(name), architectures.get(name).input_size)
            }
        return tables[name]

    return get


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


# The contract


def test_the_systems_are_all_there():
    systems = """three_layer_functional three_layer_module three_layer_sequential
        plain32 resnet32 resnet32_bottleneck resnet18 resnet34 resnet50 resnet101 resnet152
        resnet18_late_pool vgg16_slim resnet50_three_stage lenet resnet18_cifar res2net18
        densenet4 mobilenet vgg16_slim_bn mobilenet_two_norms"""
    assert set(systems.split()) <= set(NAMES)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(DEEPEST)))
def test_maps_images_to_logits(name, built):
    # not inside inference mode, where its parameters would become inference tensors
    model = built(name)
    with torch.inference_mode():
        logits = model(torch.randn(2, *architectures.get(name).input_size))
    assert logits.shape == (2, 10)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_honours_classes_and_channels(name):
    _, height, width = architectures.get(name).input_size
    with torch.device("meta"):
        model = architectures.create(name, num_classes=7, in_channels=1).eval()
        assert model(torch.empty(2, 1, height, width)).shape == (2, 7)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_works_in_place(name, built):
    assert not [
        module_name
        for module_name, module in built(name).named_modules()
        if getattr(module, "inplace", False)
    ]


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(PHOTOGRAPH)))
def test_a_relu_is_called_once(name, table):
    assert not [row for row in table(name) if "#" in row]


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(DEEPEST)))
def test_state_dict_round_trip(name, built):
    model, copy = built(name), architectures.create(name).eval()
    copy.load_state_dict(model.state_dict())
    channels, height, width = architectures.get(name).input_size
    height, width = (64, 64) if height > 64 else (height, width)
    images = torch.randn(1, channels, height, width)
    with torch.inference_mode():
        assert torch.equal(model(images), copy(images))


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name):
    channels, height, width = architectures.get(name).input_size
    height, width = (64, 64) if height > 64 else (height, width)
    meta = name in DEEPEST  # too slow on a CPU: there only that a gradient arrives
    with torch.device("meta" if meta else "cpu"):
        torch.manual_seed(0)
        model = architectures.create(name).train()
        nn.functional.cross_entropy(
            model(torch.randn(4, channels, height, width)), torch.zeros(4, dtype=torch.long)
        ).backward()
    trained = [
        (key, parameter) for key, parameter in model.named_parameters() if parameter.requires_grad
    ]
    without = [
        key
        for key, parameter in trained
        if parameter.grad is None or not (meta or parameter.grad.abs().sum() > 0)
    ]
    assert without == []


@pytest.mark.parametrize("name", NAMES)
def test_has_a_summary_and_a_source(name):
    architecture = architectures.get(name)
    assert 20 < len(architecture.summary) < 160
    assert architecture.summary.endswith(".")
    text = inspect.getdoc(architecture.build)
    assert "arxiv.org" in text or "Source" in text


@pytest.mark.parametrize("name", NAMES)
def test_fits_a_data_set(name):
    arguments = architectures.get(name).arguments_for(5, (1, 48, 48))
    assert arguments["num_classes"] == 5
    assert arguments["in_channels"] == 1
    with torch.device("meta"):
        assert architectures.create(name, **arguments).eval()(torch.empty(2, 1, 48, 48)).shape == (
            2,
            5,
        )


# The registry


def test_a_name_taken_twice_raises():
    def lenet(num_classes=10):
        """Another one."""

    with pytest.raises(ValueError, match="'lenet' is registered already"):
        architectures.register()(lenet)


def test_an_unknown_name_lists_the_possible_ones():
    with pytest.raises(UserError) as error:
        architectures.create("resnet1000")
    assert "'resnet1000'" in str(error.value)
    assert all(name in str(error.value) for name in NAMES)


def test_an_unknown_argument_lists_the_possible_ones():
    with pytest.raises(UserError, match="'depth'.*num_classes, in_channels, image_size"):
        architectures.create("lenet", depth=3)


def test_partners_and_pretrained_weights_are_told_without_torch(interpreter):
    code = """
import json, sys
from vizlib import architectures
told = {"three_layer_module", "resnet18_cifar", "plain32", "lenet", "nobody's"}
print(json.dumps([
    {name: architectures.partners_of(name) for name in sorted(told)},
    architectures.pretrained_by("torchvision"),
    architectures.pretrained_by("elsewhere"),
    "torch" in sys.modules,
]))
"""
    partners, pretrained, elsewhere, has_torch = json.loads(interpreter("-c", code).stdout)
    written = "how it is written"
    assert partners == {
        "lenet": {},
        "nobody's": {},
        "plain32": {"resnet32": "shortcuts"},
        "resnet18_cifar": {"res2net18": "scales in a block"},
        "three_layer_module": {
            "three_layer_functional": written,
            "three_layer_sequential": written,
        },
    }
    assert pretrained == ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
    assert (elsewhere, has_torch) == ([], False)


@pytest.mark.parametrize("name", NAMES)
def test_weights_of_a_file_need_none_drawn_before(name):
    """All that a network computes with comes from the file, or is the same each time."""
    architecture = architectures.get(name)
    arguments = architecture.arguments_for(5, architecture.input_size)
    drawn = architectures.create(name, **arguments).eval()
    before = torch.random.get_rng_state()
    with not_drawn():
        network = architectures.create(name, **arguments).eval()
    assert torch.equal(torch.random.get_rng_state(), before)
    network.load_state_dict(drawn.state_dict())
    image = torch.rand(1, *architecture.input_size)
    with torch.no_grad():
        assert torch.equal(network(image), drawn(image))


FOUND = -9.0


class Patience(TorchFunctionMode):
    """Ends what would draw for ever. What memory happens to hold is FOUND."""

    drawings = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.drawings += "normal_" in function.__name__ or "uniform_" in function.__name__
        assert self.drawings < 100, "it would be drawn for ever"
        made = function(*args, **kwargs or {})
        return made.fill_(FOUND) if function is torch.empty_like else made


def until(fits, draw):
    """A way to draw a weight: again until it fits."""

    def way(weight):
        with torch.no_grad():
            while not fits(weight).all():
                draw(weight)

    return way


def within(weight):
    return weight.abs() <= 2


def above(weight):
    return weight > 0.4


AGAIN = {
    "PyTorch's truncated normal distribution": (within, nn.init.trunc_normal_),
    "normal": (within, until(within, lambda weight: nn.init.normal_(weight, std=0.1))),
    "uniform": (within, until(within, lambda weight: weight.uniform_(-1, 1))),
    "never zero": (above, until(above, lambda weight: weight.uniform_(0.5, 1))),
}


@pytest.mark.parametrize("way", AGAIN)
def test_what_is_drawn_until_it_fits_ends_all_the_same(way):
    fits, draw = AGAIN[way]
    weight = nn.Parameter(torch.full((64,), FOUND))
    with not_drawn(), Patience():
        draw(weight)
    assert fits(weight).all()


def test_the_sources_are_read_while_another_thread_parses_too(monkeypatch):
    """Python up to 3.12 gives a tree up then."""
    real, told = ast.parse, []

    def parse(source):
        told.append(source)
        if len(told) % 3:
            raise SystemError("AST constructor recursion depth mismatch (before=75, after=65)")
        return real(source)

    whole = architectures.declared()
    architectures.declared.cache_clear()
    monkeypatch.setattr(ast, "parse", parse)
    assert architectures.declared() == whole
    assert len(told) == 3 * len(set(told))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_from_the_source_is_what_is_registered(name):
    architecture, declared = architectures.get(name), architectures.declared()[name]
    assert architecture.partners == declared.get("partners", {})
    assert architecture.pretrained == declared.get("pretrained", "")
    assert set(architecture.partners) <= set(NAMES) - {name}
    assert set(architectures.declared()) == set(NAMES)


# A. Three forms of one network


@pytest.mark.parametrize(("image_size", "in_channels"), [(32, 3), (8, 1), (28, 1)])
def test_three_forms_compute_the_same(image_size, in_channels):
    first, *others = [
        architectures.create(name, in_channels=in_channels, image_size=image_size).eval()
        for name in THREE_LAYER
    ]
    images = torch.randn(4, in_channels, image_size, image_size)
    for other in others:
        assert {key: value.shape for key, value in first.state_dict().items()} == {
            key: value.shape for key, value in other.state_dict().items()
        }
        other.load_state_dict(first.state_dict())
        torch.testing.assert_close(other(images), first(images))


def test_three_forms_start_alike():
    states = []
    for name in THREE_LAYER:
        torch.manual_seed(7)
        states.append(architectures.create(name).state_dict())
    for other in states[1:]:
        assert all(torch.equal(other[key], tensor) for key, tensor in states[0].items())


def test_three_forms_show_the_same_layers(table):
    facts = [
        [
            (row.name, row.output_shape, row.parameters, row.multiply_adds, row.receptive_field)
            for row in table(name).values()
        ]
        for name in THREE_LAYER
    ]
    assert facts[0] == facts[1] == facts[2]
    assert [row[0] for row in facts[0]] == ["conv1", "relu1", "conv2", "relu2", "flatten", "fc"]


def test_the_functional_form_uses_no_layers():
    model = architectures.create("three_layer_functional")
    assert {type(module) for module in model.children()} == {three_layer.Marker}
    assert "nn." not in inspect.getsource(three_layer.three_layer_forward)


@pytest.mark.parametrize("name", THREE_LAYER)
def test_three_layer_start(name):
    torch.manual_seed(0)
    state = architectures.create(name).state_dict()
    assert sorted(state) == [
        "conv1.bias",
        "conv1.weight",
        "conv2.bias",
        "conv2.weight",
        "fc.bias",
        "fc.weight",
    ]
    for key, fan_in in (("conv1", 3 * 25), ("conv2", 32 * 9), ("fc", 16 * 32 * 32)):
        assert state[f"{key}.weight"].std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.06)
        assert not state[f"{key}.bias"].any()


def test_three_layer_printed_example():
    state = architectures.create("three_layer_module", widths=(12, 8)).state_dict()
    assert state["conv1.weight"].shape == (12, 3, 5, 5)
    assert state["conv2.weight"].shape == (8, 12, 3, 3)
    assert state["fc.weight"].shape == (10, 8192)


# Parameters, by closed forms


def conv(inputs, outputs, kernel, bias=False):
    return inputs * outputs * kernel**2 + (outputs if bias else 0)


def norm(channels):
    return 2 * channels


def linear(inputs, outputs):
    return (inputs + 1) * outputs


def three_layers():
    return conv(3, 32, 5, True) + conv(32, 16, 3, True) + linear(16 * 32 * 32, 10)


def preactivation_net(widths, block):
    total = conv(3, widths[0], 3, True) + linear(widths[-1], 10)
    before = widths[0]
    for width in widths:
        total += block(before, width) + 4 * block(width, width)
        before = width
    return total


def plain_block(inputs, outputs):
    return norm(inputs) + conv(inputs, outputs, 3) + norm(outputs) + conv(outputs, outputs, 3)


def residual_block(inputs, outputs):
    return plain_block(inputs, outputs) + (conv(inputs, outputs, 1) if inputs != outputs else 0)


def preactivation_bottleneck(inputs, outputs):
    inner = outputs // 4
    branch = (
        norm(inputs)
        + conv(inputs, inner, 1)
        + norm(inner)
        + conv(inner, inner, 3)
        + norm(inner)
        + conv(inner, outputs, 1)
    )
    return branch + (conv(inputs, outputs, 1) if inputs != outputs else 0)


def projection(inputs, outputs):
    return conv(inputs, outputs, 1) + norm(outputs) if inputs != outputs else 0


def basic_block(inputs, outputs):
    return (
        conv(inputs, outputs, 3)
        + norm(outputs)
        + conv(outputs, outputs, 3)
        + norm(outputs)
        + projection(inputs, outputs)
    )


def bottleneck_branch(inputs, inner, outputs):
    return (
        conv(inputs, inner, 1)
        + norm(inner)
        + conv(inner, inner, 3)
        + norm(inner)
        + conv(inner, outputs, 1)
        + norm(outputs)
    )


def basic_resnet(stem, blocks, block=basic_block):
    total = conv(3, 64, stem) + norm(64) + linear(512, 10)
    before = 64
    for width, count in zip((64, 128, 256, 512), blocks, strict=True):
        total += block(before, width) + (count - 1) * block(width, width)
        before = width
    return total


def bottleneck_resnet(blocks):
    total = conv(3, 64, 7) + norm(64) + linear(2048, 10)
    before = 64
    for inner, count in zip((64, 128, 256, 512), blocks, strict=True):
        total += (
            bottleneck_branch(before, inner, 4 * inner)
            + projection(before, 4 * inner)
            + (count - 1) * bottleneck_branch(4 * inner, inner, 4 * inner)
        )
        before = 4 * inner
    return total


def three_stage():
    total = conv(3, 64, 7) + norm(64) + linear(1024, 10)
    before = 64
    for inner, count in zip((64, 128, 256), (3, 4, 6), strict=True):
        for _ in range(count):  # every shortcut is a convolution
            total += (
                bottleneck_branch(before, inner, 4 * inner)
                + conv(before, 4 * inner, 1)
                + norm(4 * inner)
            )
            before = 4 * inner
    return total


def vgg(norm_after_convolution):
    widths = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512]
    return (
        sum(
            conv(*pair, 3, True) + norm_after_convolution * norm(pair[1])
            for pair in pairwise(widths)
        )
        + linear(512, 512)
        + norm(512)
        + linear(512, 10)
    )


def res2net_block(inputs, outputs):
    scales = 3 * (conv(outputs // 4, outputs // 4, 3) + norm(outputs // 4))
    return (
        conv(inputs, outputs, 1)
        + norm(outputs)
        + scales
        + conv(outputs, outputs, 1)
        + norm(outputs)
        + projection(inputs, outputs)
    )


def dense_layer(channels, growth=32):
    return (
        norm(channels)
        + conv(channels, 4 * growth, 1)
        + norm(4 * growth)
        + conv(4 * growth, growth, 3)
    )


def densenet():
    layers = sum(dense_layer(channels) for channels in (64, 48, 40, 36))
    transitions = sum(
        norm(channels) + conv(channels, channels // 2, 1) for channels in (96, 80, 72)
    )
    return conv(3, 64, 3) + layers + transitions + norm(68) + linear(68, 10)


def mobile(norm_between):
    channels = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    blocks = sum(
        9 * a + norm_between * norm(a) + conv(a, b, 1) + norm(b) for a, b in pairwise(channels)
    )
    return conv(3, 32, 3) + norm(32) + blocks + linear(1024, 10)


EXPECTED = {
    "three_layer_functional": three_layers(),
    "three_layer_module": three_layers(),
    "three_layer_sequential": three_layers(),
    "plain32": preactivation_net((16, 32, 64), plain_block),
    "resnet32": preactivation_net((16, 32, 64), residual_block),
    "resnet32_bottleneck": preactivation_net((64, 128, 256), preactivation_bottleneck),
    "resnet18": basic_resnet(7, (2, 2, 2, 2)),
    "resnet34": basic_resnet(7, (3, 4, 6, 3)),
    "resnet50": bottleneck_resnet((3, 4, 6, 3)),
    "resnet101": bottleneck_resnet((3, 4, 23, 3)),
    "resnet152": bottleneck_resnet((3, 8, 36, 3)),
    "resnet18_late_pool": basic_resnet(7, (2, 2, 2, 2)),
    "vgg16_slim": vgg(norm_after_convolution=False),
    "vgg16_slim_bn": vgg(norm_after_convolution=True),
    "resnet50_three_stage": three_stage(),
    "lenet": conv(3, 6, 5, True)
    + conv(6, 16, 5, True)
    + linear(400, 120)
    + linear(120, 84)
    + linear(84, 10),
    "resnet18_cifar": basic_resnet(3, (2, 2, 2, 2)),
    "res2net18": basic_resnet(3, (2, 2, 2, 2), res2net_block),
    "densenet4": densenet(),
    "mobilenet": mobile(norm_between=False),
    "mobilenet_two_norms": mobile(norm_between=True),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_parameter_count(name, built):
    assert parameters(built(name)) == EXPECTED[name]


# Names and shapes, in the order of the reports

SLIM_VGG = """
    conv1_1 64x3x3x3 64, conv1_2 64x64x3x3 64,
    conv2_1 128x64x3x3 128, conv2_2 128x128x3x3 128,
    conv3_1 256x128x3x3 256, conv3_2 256x256x3x3 256, conv3_3 256x256x3x3 256,
    conv4_1 512x256x3x3 512, conv4_2 512x512x3x3 512,
    conv5_1 512x512x3x3 512, conv5_2 512x512x3x3 512, conv5_3 512x512x3x3 512,
    fc1 512x512 512, bn_fc1 512 512, fc2 10x512 10
"""
MOBILENET = """
    conv1 32x3x3x3, bn1 32 32,
    block1.depthwise 32x1x3x3, block1.pointwise 64x32x1x1, block1.bn 64 64,
    block2.depthwise 64x1x3x3, block2.pointwise 128x64x1x1, block2.bn 128 128,
    block3.depthwise 128x1x3x3, block3.pointwise 128x128x1x1, block3.bn 128 128,
    block4.depthwise 128x1x3x3, block4.pointwise 256x128x1x1, block4.bn 256 256,
    block5.depthwise 256x1x3x3, block5.pointwise 256x256x1x1, block5.bn 256 256,
    block6.depthwise 256x1x3x3, block6.pointwise 512x256x1x1, block6.bn 512 512,
    block7.depthwise 512x1x3x3, block7.pointwise 512x512x1x1, block7.bn 512 512,
    block8.depthwise 512x1x3x3, block8.pointwise 512x512x1x1, block8.bn 512 512,
    block9.depthwise 512x1x3x3, block9.pointwise 512x512x1x1, block9.bn 512 512,
    block10.depthwise 512x1x3x3, block10.pointwise 512x512x1x1, block10.bn 512 512,
    block11.depthwise 512x1x3x3, block11.pointwise 512x512x1x1, block11.bn 512 512,
    block12.depthwise 512x1x3x3, block12.pointwise 1024x512x1x1, block12.bn 1024 1024,
    block13.depthwise 1024x1x3x3, block13.pointwise 1024x1024x1x1, block13.bn 1024 1024,
    fc 10x1024 10
"""


@pytest.mark.parametrize(
    ("name", "listing", "count"),
    [("vgg16_slim", SLIM_VGG, 12_623_690), ("mobilenet", MOBILENET, 3_207_306)],
)
def test_the_layers_are_those_that_its_report_lists(name, listing, count, built):
    """Layer by layer, in order: the shape of its weights, and of its biases where it has any."""
    found = {}
    for key, parameter in built(name).named_parameters():
        layer, _, kind = key.rpartition(".")
        assert kind in ("weight", "bias")
        found.setdefault(layer, []).append("x".join(map(str, parameter.shape)))
    listed = [line.split() for line in listing.split(",")]
    assert [[layer, *shapes] for layer, shapes in found.items()] == listed
    assert parameters(built(name)) == count


# Sizes, layer by layer

SIZES = {
    "plain32": {
        "conv1": (16, 32, 32),
        "stage1": (16, 32, 32),
        "stage2": (32, 16, 16),
        "stage3": (64, 8, 8),
        "pool": (64, 1, 1),
    },
    "resnet32": {
        "conv1": (16, 32, 32),
        "stage1": (16, 32, 32),
        "stage2": (32, 16, 16),
        "stage3": (64, 8, 8),
        "pool": (64, 1, 1),
    },
    "resnet32_bottleneck": {
        "stage1": (64, 32, 32),
        "stage2": (128, 16, 16),
        "stage2.block1.conv1": (32, 16, 16),
        "stage3": (256, 8, 8),
    },
    "resnet18_late_pool": {
        "conv1": (64, 112, 112),
        "stage1": (64, 112, 112),
        "maxpool": (64, 56, 56),
        "stage2": (128, 28, 28),
        "stage3": (256, 14, 14),
        "stage4": (512, 7, 7),
        "avgpool": (512, 1, 1),
        "fc": (10,),
    },
    "vgg16_slim": {
        "pool1": (64, 16, 16),
        "pool2": (128, 8, 8),
        "pool3": (256, 4, 4),
        "pool4": (512, 2, 2),
        "pool5": (512, 1, 1),
        "fc1": (512,),
        "fc2": (10,),
    },
    "resnet50_three_stage": {
        "conv1": (64, 16, 16),
        "maxpool": (64, 7, 7),
        "stage1.block2": (256, 7, 7),
        "stage1": (256, 4, 4),
        "stage2.block3": (512, 4, 4),
        "stage2": (512, 2, 2),
        "stage3": (1024, 2, 2),
        "avgpool": (1024, 1, 1),
    },
    "lenet": {
        "conv1": (6, 28, 28),
        "pool1": (6, 14, 14),
        "conv2": (16, 10, 10),
        "pool2": (16, 5, 5),
        "flatten": (400,),
        "fc1": (120,),
        "fc2": (84,),
    },
    "resnet18_cifar": {
        "stage1": (64, 32, 32),
        "stage2": (128, 16, 16),
        "stage3": (256, 8, 8),
        "stage4": (512, 4, 4),
        "pool": (512, 1, 1),
    },
    "res2net18": {
        "stage1": (64, 32, 32),
        "stage2": (128, 16, 16),
        "stage3": (256, 8, 8),
        "stage4": (512, 4, 4),
        "stage4.block1.scale1": (128, 4, 4),
    },
    "densenet4": {
        "conv1": (64, 32, 32),
        "stage1": (96, 32, 32),
        "transition1": (48, 16, 16),
        "stage2": (80, 16, 16),
        "transition2": (40, 8, 8),
        "stage3": (72, 8, 8),
        "transition3": (36, 4, 4),
        "stage4": (68, 4, 4),
        "stage4.layer1.conv1": (128, 4, 4),
        "pool": (68, 1, 1),
    },
    "mobilenet": {
        "conv1": (32, 16, 16),
        "block2": (128, 8, 8),
        "block4": (256, 4, 4),
        "block6": (512, 2, 2),
        "block11": (512, 2, 2),
        "block13": (1024, 1, 1),
    },
}
PHOTOGRAPH_SIZES = {
    "conv1": 112,
    "maxpool": 56,
    "layer1": 56,
    "layer2": 28,
    "layer3": 14,
    "layer4": 7,
    "avgpool": 1,
}


@pytest.mark.parametrize("name", SIZES)
def test_output_sizes(name, table):
    assert {layer: table(name)[layer].output_shape for layer in SIZES[name]} == SIZES[name]


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_output_sizes_for_photographs(name, table):
    rows = table(name)
    assert {layer: rows[layer].output_shape[1:] for layer in PHOTOGRAPH_SIZES} == {
        layer: (side, side) for layer, side in PHOTOGRAPH_SIZES.items()
    }
    assert rows["layer4"].output_shape[0] == (2048 if name == "resnet50" else 512)


# The peculiarities of each system


def test_plain_has_no_sums_and_residual_one_a_block(table):
    assert not [row.name for row in table("plain32").values() if row.is_sum]
    for name in ("resnet32", "resnet32_bottleneck"):
        sums = [row.name for row in table(name).values() if row.is_sum]
        assert sums == [
            f"stage{stage}.block{block}" for stage in (1, 2, 3) for block in (1, 2, 3, 4, 5)
        ]


@pytest.mark.parametrize("block", [preactivation.ResidualBlock, preactivation.BottleneckBlock])
def test_the_shortcut_is_the_identity_unless_the_shape_changes(block):
    assert isinstance(block(16, 16).shortcut, nn.Identity)
    for inputs, outputs, downsample, stride in (
        (16, 32, False, 1),
        (16, 16, True, 2),
        (16, 32, True, 2),
    ):
        shortcut = block(inputs, outputs, downsample).shortcut
        assert (shortcut.kernel_size, shortcut.stride, shortcut.out_channels) == (
            (1, 1),
            (stride, stride),
            outputs,
        )


def test_the_preactivation_blocks_start_with_batch_norm_and_relu():
    for block in (preactivation.PlainBlock, preactivation.ResidualBlock):
        assert [name for name, _ in block(16, 32, True).named_children()][:6] == [
            "bn1",
            "relu1",
            "conv1",
            "bn2",
            "relu2",
            "conv2",
        ]
    block = preactivation.BottleneckBlock(64, 64, True)
    assert block.conv1.stride == (2, 2)
    assert block.conv2.stride == (1, 1)
    assert block.conv2.in_channels == 16


def test_thirty_two_layers_deep(table):
    # and one linear layer
    assert sum(row.is_convolution for row in table("plain32").values()) == 31


@pytest.mark.parametrize(
    ("name", "block", "last"),
    [
        ("resnet32", "stage2.block1", "conv2"),
        ("resnet18_cifar", "stage1.block1", "bn2"),
        ("resnet50_three_stage", "stage1.block3", "relu3"),
    ],
)
def test_a_blocks_output_is_the_sum(name, block, last, built):
    model, seen = built(name), {}
    parts = {
        "branch": f"{block}.{last}",
        "shortcut": f"{block}.shortcut",
        "sum": block,
    }
    hooks = [
        model.get_submodule(path).register_forward_hook(
            lambda m, i, output, part=part: seen.update({part: output})
        )
        for part, path in parts.items()
    ]
    with torch.inference_mode():
        model(torch.randn(1, *architectures.get(name).input_size))
    for hook in hooks:
        hook.remove()
    assert torch.equal(seen["sum"], seen["branch"] + seen["shortcut"])


def test_vgg_order_start_and_options():
    torch.manual_seed(0)
    plain = architectures.create("vgg16_slim")
    assert not [module for module in plain if isinstance(module, nn.BatchNorm2d)]
    order = [
        "M" if isinstance(module, nn.MaxPool2d) else module.out_channels
        for module in plain
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d))
    ]
    assert order == [
        64,
        64,
        "M",
        128,
        128,
        "M",
        256,
        256,
        256,
        "M",
        512,
        512,
        "M",
        512,
        512,
        512,
        "M",
    ]
    assert [type(module).__name__ for module in plain][-6:] == [
        "Dropout",
        "Linear",
        "BatchNorm1d",
        "ReLU",
        "Dropout",
        "Linear",
    ]
    assert plain.conv3_2.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.02)
    assert not plain.conv3_2.bias.any()
    normalised = [architectures.create("vgg16_slim_bn")]
    normalised.append(architectures.create("vgg16_slim", batch_norm=True))
    for model in normalised:
        kinds = [type(module).__name__ for module in model]
        behind = {kinds[place + 1] for place, kind in enumerate(kinds) if kind == "Conv2d"}
        assert behind == {"BatchNorm2d"}
    with pytest.raises(UserError, match="at least 32 pixels a side, not 28"):
        architectures.create("vgg16_slim", image_size=28)


def test_three_stage_variant(built):
    model = built("resnet50_three_stage")
    assert [len(stage) for stage in (model.stage1, model.stage2, model.stage3)] == [3, 4, 6]
    strides = [
        block.shortcut.conv.stride[0]
        for stage in (model.stage1, model.stage2, model.stage3)
        for block in stage
    ]
    # the last block of the first two stages halves
    assert strides == [1, 1, 2] + [1, 1, 1, 2] + [1] * 6
    assert all(
        isinstance(block.shortcut[-1], nn.ReLU)
        for stage in (model.stage1, model.stage2, model.stage3)
        for block in stage
    )
    weight = model.stage3.block2.conv2.weight
    # Xavier's uniform bound
    assert weight.abs().max().item() == pytest.approx(math.sqrt(6 / (9 * 256 + 9 * 256)), rel=0.01)
    with pytest.raises(UserError, match="at least 21 pixels a side, not 20"):
        architectures.create("resnet50_three_stage", image_size=20)


@pytest.mark.parametrize(("image_size", "features"), [(16, 16), (28, 256), (32, 400)])
def test_lenet_sizes(image_size, features):
    model = architectures.create("lenet", in_channels=1, image_size=image_size).eval()
    assert model.fc1.in_features == features
    assert model(torch.randn(2, 1, image_size, image_size)).shape == (2, 10)


def test_lenet_names_the_possible_sizes():
    with pytest.raises(ValueError, match="at least 16 pixels a side, not 15"):
        architectures.get("lenet").build(image_size=15)


def test_res2net_scales(built):
    """y1 = x1, y2 = K2(x2), y3 = K3(x3 + y2), y4 = K4(x4 + y3)."""
    block = built("res2net18").stage1.block1
    seen = {}
    names = ("relu1", "scale1", "scale2", "scale3", "scale4", "conv2")
    hooks = [
        block.get_submodule(name).register_forward_hook(
            lambda m, i, output, name=name: seen.update({name: (i[0], output)})
        )
        for name in names
    ]
    with torch.inference_mode():
        block(torch.randn(1, 64, 8, 8))
    for hook in hooks:
        hook.remove()
    x1, x2, x3, x4 = seen["relu1"][1].split(16, dim=1)
    y1, y2, y3, y4 = (seen[name][1] for name in names[1:5])
    assert torch.equal(y1, x1)
    assert torch.equal(seen["scale2"][0], x2)
    assert torch.equal(seen["scale3"][0], x3 + y2)
    assert torch.equal(seen["scale4"][0], x4 + y3)
    assert torch.equal(seen["conv2"][0], torch.cat([y1, y2, y3, y4], dim=1))


def test_densenet_keeps_its_input(built):
    layer = built("densenet4").stage1.layer1
    maps = torch.randn(1, 64, 8, 8)
    with torch.inference_mode():
        assert torch.equal(layer(maps)[:, :64], maps)


def test_mobilenet_is_depthwise(table):
    rows = table("mobilenet")
    assert rows["block3.depthwise"].geometry == "3x3, stride 1, padding 1, 128 groups"
    assert rows["block3.depthwise"].multiply_adds == 128 * 9 * 8 * 8
    assert rows["block3.pointwise"].multiply_adds == 128 * 128 * 8 * 8


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("mobilenet", "depthwise pointwise bn relu"),
        ("mobilenet_two_norms", "depthwise bn1 relu1 pointwise bn2 relu2"),
    ],
)
def test_where_mobilenet_normalises(name, layers, built):
    for block in range(1, 14):
        assert [*built(name).get_submodule(f"block{block}")._modules] == layers.split()


@pytest.mark.parametrize(
    "name", ["plain32", "resnet18_cifar", "resnet18_late_pool", "densenet4", "mobilenet", "lenet"]
)
def test_kaiming_start(name):
    torch.manual_seed(0)
    for module in architectures.create(name).modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 4000:
            fan = module.weight[0, 0].numel() * (module.out_channels if module.groups == 1 else 1)
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan), rel=0.08)
            assert module.bias is None or not module.bias.any()
