"""Networks as others write them: every one keeps the registry's contract, has the names and the
size that its source gives it, and computes what its source computes.
"""

import copy
from functools import cache, lru_cache, partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models

from vizlib import architectures
from vizlib.architectures import elsewhere
from vizlib.inside.activations import prepare
from vizlib.inside.layers import layer_table

# those of torchvision and of timm, and what a file describes itself, have tests of their own
NAMES = [
    name
    for name in elsewhere.names()
    if name.partition("/")[0] not in ("torchvision", "timm", "chain", "bare", "graph", "headed")
]
# Of networks that differ in depth alone the shallow ones are looked into: of how many modules
SHALLOW, DEEP = 60, 220


@cache
def on_meta(name):
    """A network of shapes alone."""
    with torch.device("meta"):
        return architectures.create(name).eval()


# sums of some hundred thousand products in another order
assert_close = partial(torch.testing.assert_close, rtol=1e-4, atol=1e-4)


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@lru_cache(maxsize=4)
def trained(name):
    """A network that looks as if it had learned: no number is where it starts."""
    torch.manual_seed(3)
    model = architectures.create(name).eval()
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if tensor.dim() > 1:  # so that no signal dies on its way
                nn.init.kaiming_normal_(tensor, nonlinearity="relu")
            elif key.endswith(("running_var", "weight")):
                tensor.uniform_(0.5, 1.5)
            elif tensor.dim() == 1:
                tensor.uniform_(-0.3, 0.3)
    return model


def answers(name):
    """(state dict, images, logits) of a network with random weights."""
    model = trained(name)
    images = torch.randn(2, *architectures.get(name).input_size)
    with torch.inference_mode():
        logits = model(images)
    assert (logits[0] - logits[1]).abs().max() > 0.01, "the images make a difference"
    return model.state_dict(), images, logits


# The contract


@pytest.mark.parametrize("name", NAMES)
def test_keeps_the_contract(name):
    architecture = architectures.get(name)
    assert architecture.name == name
    assert architecture.summary.endswith(".")
    assert "num_classes" in architecture.arguments
    assert set(architecture.arguments) <= {
        "num_classes",
        "in_channels",
        "image_size",
        "widths",
    }
    source = elsewhere.source_of(name)
    assert source.name == name.partition("/")[0]
    assert len(source.mean) == len(source.std)
    assert len(source.mean) in (1, architecture.input_size[0])
    model = on_meta(name)
    assert not [module for module in model.modules() if getattr(module, "inplace", False)]
    count = len(list(model.modules()))
    if count <= SHALLOW:
        check_layers(model, architecture.input_size)
        check_other_arguments(architecture)
    if count <= DEEP:
        check_shape(model, architecture.input_size, architecture.arguments["num_classes"])


def check_shape(model, input_size, num_classes):
    with torch.inference_mode():
        assert model(torch.zeros(1, *input_size, device="meta")).shape == (1, num_classes)


def check_layers(model, input_size):
    layers = layer_table(model, input_size)
    assert sum(layer.reads_picture for layer in layers) >= 1
    assert sum(layer.parameters for layer in layers if layer.depth == 0) == parameters(model)
    assert all(layer.receptive_field for layer in layers), "every operation is understood"


def check_other_arguments(architecture):
    channels, side, _ = architecture.input_size
    given = {"num_classes": 7}
    if "in_channels" in architecture.arguments:
        channels = given["in_channels"] = 2
    with torch.device("meta"):
        model = architectures.create(architecture.name, **given).eval()
    check_shape(model, (channels, side, side), 7)


@pytest.mark.parametrize(
    ("name", "widths", "shapes"),
    [
        ("tutorials/cifar10", (8, 24, 100, 50), ["8x3x5x5", "24x8x5x5", "100x600", "50x100"]),
        ("michigan/three_layers", (12, 8), ["12x3x5x5", "8x12x3x3", "10x8192"]),
    ],
)
def test_takes_other_widths(name, widths, shapes):
    with torch.device("meta"):
        model = architectures.create(name, widths=widths)
    weights = [tensor.shape for key, tensor in model.state_dict().items() if "weight" in key]
    assert ["x".join(map(str, shape)) for shape in weights][: len(shapes)] == shapes


def test_a_name_of_nobody():
    with pytest.raises(architectures.UserError, match="kuangliu/ResNet19"):
        architectures.get("kuangliu/ResNet19")


def test_is_ready_to_be_looked_into():
    model = prepare(architectures.create("kuangliu/LeNet"))
    assert not model.training


# What the sources say of their networks


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("tutorials/cifar10", 62_006),
        ("fashion_tutorial/GarmentClassifier", 44_426),
        ("mnist_example/Net", 1_199_882),
        ("mnist_example/Net_2017", 21_840),
        ("mnist_example/Net_2018", 431_080),
        ("keras_like/images_cnn", 122_570),  # as TensorFlow's tutorial prints it
        ("keras_like/cifar10_cnn", 1_250_858),  # as Keras's example printed it
        ("yunjey/ResNet", 195_738),
        ("akamaster/resnet20", 269_722),
        ("akamaster/resnet110", 1_727_962),
        ("akamaster/resnet1202", 19_421_274),
        ("chenyaofo/resnet20", 272_474),
        ("chenyaofo/vgg16_bn", 15_253_578),
        ("chenyaofo/mobilenetv2_x0_75", 1_368_234),
        ("chenyaofo/shufflenetv2_x1_5", 2_488_874),
        ("chenyaofo/repvgg_a2", 26_815_690),
        ("huyvnphan/vgg11_bn", 28_149_514),
        ("reports/mobilenet", 3_207_306),
        ("lenet5/features_tanh", 61_706),
        ("xternalz/wrn_28_10", 36_479_194),
        ("xternalz/wrn_40_2", 2_243_546),
        ("meliketoy/wide_resnet_28x10", 36_489_290),
        ("jovian/ResNet9", 6_575_370),
        ("jovian_cnn/Cifar10CnnModel", 5_851_338),
        ("kuangliu/VGG16", 14_728_266),
        ("kuangliu/ResNet18", 11_173_962),
        ("kuangliu/ResNet50", 23_520_842),
        ("kuangliu/PreActResNet18", 11_171_146),
        ("kuangliu/ResNeXt29_2x64d", 9_128_778),
        ("kuangliu/DenseNet121", 6_956_298),
        ("kuangliu/densenet_cifar", 1_000_618),
        ("kuangliu/SENet18", 11_260_354),
        ("kuangliu/MobileNet", 3_217_226),
        ("kuangliu/MobileNetV2", 2_296_922),
        ("kuangliu/GoogLeNet", 6_166_250),
        ("kuangliu/DPN26", 11_574_842),
        ("kuangliu/DPN92", 34_236_634),
        ("kuangliu/ShuffleNetG2", 887_582),
        ("kuangliu/ShuffleNetV2_1", 1_263_854),
        ("kuangliu/EfficientNetB0", 3_599_686),
        ("kuangliu/RegNetX_200MF", 2_321_946),
        ("kuangliu/RegNetY_400MF", 5_714_362),
        ("kuangliu/DLA", 16_291_386),
        ("kuangliu/SimpleDLA", 15_142_970),
        ("kuangliu/PNASNetA", 130_646),
        ("kuangliu/PNASNetB", 451_626),
    ],
)
def test_has_as_many_parameters_as_its_source_says(name, count):
    assert parameters(on_meta(name)) == count


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("weiaicunzai/mobilenet", "3.3"),
        ("weiaicunzai/mobilenetv2", "2.37"),
        ("weiaicunzai/squeezenet", "0.78"),
        ("weiaicunzai/vgg11_bn", "28.5"),
        ("weiaicunzai/vgg16_bn", "34.0"),
        ("weiaicunzai/resnet18", "11.2"),
        ("weiaicunzai/resnet50", "23.7"),
        ("weiaicunzai/resnext50", "14.8"),
        ("weiaicunzai/densenet121", "7.0"),
        ("weiaicunzai/wideresnet", "55.9"),
        ("weiaicunzai/xception", "21.0"),
        ("bearpaw/alexnet", "2.47"),
        ("bearpaw/resnet164_bottleneck", "1.70"),
        ("bearpaw/preresnet164_bottleneck", "1.70"),
        ("bearpaw/resnext29_8x64d", "34.43"),
        ("bearpaw/densenet_bc_100_12", "0.77"),
        ("bearpaw/densenet_bc_190_40", "25.62"),
        ("chenyaofo/mobilenetv2_x0_5", "0.70"),
        ("chenyaofo/shufflenetv2_x2_0", "5.37"),
        ("huyvnphan/densenet161", "26.483"),
        ("huyvnphan/googlenet", "5.491"),
    ],
)
def test_is_as_large_as_its_readme_says(name, millions):
    digits = len(millions.partition(".")[2])
    assert f"{parameters(on_meta(name)) / 1e6:.{digits}f}" == millions


BN = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("tutorials/cifar10", "conv1 conv2 fc1 fc2 fc3"),
        ("mnist_example/Net_2017", "conv1 conv2 fc1 fc2"),
        ("nn_tutorial/sequential", "0 2 4"),
        ("nn_tutorial/sequential_with_preprocessing", "1 3 5"),
        ("yunjey/ConvNet", "layer1.0 layer1.1 layer2.0 layer2.1 fc"),
        ("morvan/CNN", "conv1.0 conv2.0 out"),
        (
            "kuangliu/EfficientNetB0",
            "conv1 bn1 layers.0.conv1 layers.0.bn1 layers.0.conv2 layers.0.bn2 *linear",
        ),
        ("kuangliu/DLA", "base.0 base.1 layer1.0 layer1.1 layer2.0 layer2.1 *linear"),
        (
            "kuangliu/PNASNetB",
            "conv1 bn1 layer1.0.sep_conv1.conv1 layer1.0.sep_conv1.bn1 *linear",
        ),
        ("kuangliu/GoogLeNet", "pre_layers.0 pre_layers.1 a3.b1.0 a3.b1.1 a3.b2.0 *linear"),
        ("kuangliu/VGG11", "features.0 features.1 features.4 features.5 *classifier"),
        (
            "chenyaofo/repvgg_a0",
            "stage0.rbr_dense.conv stage0.rbr_dense.bn stage0.rbr_1x1.conv *linear",
        ),
        (
            "jovian/ResNet9",
            "conv1.0 conv1.1 conv2.0 conv2.1 res1.0.0 res1.0.1 res1.1.0 *classifier.2",
        ),
        ("jovian_cnn/Cifar10CnnModel", "network.0 network.2 network.5 network.7 *network.20"),
        ("chengyangfu/vgg11", "features.0 features.3 features.6 features.8 *classifier.6"),
        (
            "bearpaw/resnext29_8x64d",
            "conv_1_3x3 bn_1 stage_1.stage_1_bottleneck_0.conv_reduce *classifier",
        ),
        ("bearpaw/preresnet20", "conv1 layer1.0.bn1 layer1.0.conv1 layer1.0.bn2 *fc"),
        ("michigan/three_layers", "conv_1 conv_2 fc"),
        ("michigan/three_layers_sequential", "0 2 5"),
        (
            "michigan/resnet32",
            "cnn.0.net.0 cnn.1.net.0.block.net.0 cnn.1.net.0.block.net.2 *fc",
        ),
        ("michigan/plain32", "cnn.0.net.0 cnn.1.net.0.net.0 cnn.1.net.0.net.2 *fc"),
        ("michigan/resnet47", "cnn.0.net.0 cnn.1.net.0.block.0 cnn.1.net.0.block.2 *fc"),
        (
            "reports/resnet18_left",
            "conv1.0 conv1.1 layer1.0.left.0 layer1.0.left.1 layer1.0.left.3 *fc",
        ),
        ("reports/vgg16_slim", "features.0 features.2 features.5 features.7 *classifier.5"),
        (
            "reports/resnet50_layer4",
            "layer1.0 layer1.1 layer2.0.layer.0.0 layer2.0.layer.0.1 layer2.0.layer.1.0 *fc",
        ),
        ("lenet5/features_relu", "features.0 features.3 classifier.0 classifier.2 classifier.4"),
        ("d2l/LeNet", "0 3 7 9 11"),
        ("activatedgeek/LeNet5", "convnet.c1 convnet.c3 convnet.c5 fc.f6 fc.f7"),
        (
            "xternalz/wrn_28_2",
            "conv1 block1.layer.0.bn1 block1.layer.0.conv1 block1.layer.0.bn2 *fc",
        ),
        (
            "weiaicunzai/resnet18",
            "conv1.0 conv1.1 conv2_x.0.residual_function.0 conv2_x.0.residual_function.1 *fc",
        ),
        ("weiaicunzai/seresnet18", "pre.0 pre.1 stage1.0.residual.0 stage1.0.residual.1 *linear"),
        ("weiaicunzai/mobilenet", "stem.0.conv stem.0.bn stem.1.depthwise.0 *fc"),
        (
            "weiaicunzai/densenet121",
            "conv1 features.dense_block_layer_0.bottle_neck_layer_0.bottle_neck.0 *linear",
        ),
        (
            "weiaicunzai/xception",
            "entry_flow.conv1.0 entry_flow.conv1.1 entry_flow.conv2.0 entry_flow.conv2.1 *fc",
        ),
        (
            "kuangliu/PreActResNet18",
            "conv1 layer1.0.bn1 layer1.0.conv1 layer1.0.bn2 layer1.0.conv2 *linear",
        ),
        (
            "akamaster/resnet20",
            "conv1 bn1 layer1.0.conv1 layer1.0.bn1 layer1.0.conv2 layer1.0.bn2 *linear",
        ),
    ],
)
def test_names_its_layers_as_its_source(name, keys):
    """All of them in order; behind a star only the last."""
    names = list(dict.fromkeys(key.rpartition(".")[0] for key in on_meta(name).state_dict()))
    first, star, last = keys.partition("*")
    assert names[: len(first.split())] == first.split()
    assert names[-1] == last if star else len(names) == len(first.split())


def test_a_batch_norm_has_all_its_keys():
    keys = [key for key in on_meta("akamaster/resnet20").state_dict() if key.startswith("bn1.")]
    assert keys == [f"bn1.{key}" for key in BN]


# What they compute, once more by hand from the state dict


def norm(state, name, maps):
    weight, bias, mean, variance = (state[f"{name}.{key}"] for key in BN[:4])
    scale = weight / (variance + 1e-5).sqrt()
    return maps * scale[:, None, None] + (bias - mean * scale)[:, None, None]


def test_the_tutorials_network():
    state, images, logits = answers("tutorials/cifar10")

    def layer(function, name, value):
        return function(value, state[f"{name}.weight"], state[f"{name}.bias"])

    maps = F.max_pool2d(F.relu(layer(F.conv2d, "conv1", images)), 2, 2)
    maps = F.max_pool2d(F.relu(layer(F.conv2d, "conv2", maps)), 2, 2)
    vectors = F.relu(layer(F.linear, "fc1", maps.reshape(2, 16 * 5 * 5)))
    vectors = F.relu(layer(F.linear, "fc2", vectors))
    assert_close(logits, layer(F.linear, "fc3", vectors))


def test_the_mnist_example_answers_logarithms():
    _, _, answer = answers("mnist_example/Net")
    assert_close(answer.exp().sum(dim=1), torch.ones(2))


def test_akamasters_network():
    """Option A: every second pixel, zeros for the channels that are missing, half on each side."""
    state, images, logits = answers("akamaster/resnet20")
    maps = F.relu(norm(state, "bn1", F.conv2d(images, state["conv1.weight"], padding=1)))
    for stage in (1, 2, 3):
        for block in range(3):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            branch = F.conv2d(maps, state[f"{name}.conv1.weight"], stride=stride, padding=1)
            branch = F.relu(norm(state, f"{name}.bn1", branch))
            branch = F.conv2d(branch, state[f"{name}.conv2.weight"], padding=1)
            branch = norm(state, f"{name}.bn2", branch)
            if stride == 2:
                zeros = torch.zeros_like(branch)[:, : branch.shape[1] // 4]
                maps = torch.cat([zeros, maps[:, :, 0::2, 0::2], zeros], dim=1)
            maps = F.relu(branch + maps)
    expected = F.linear(maps.mean(dim=(2, 3)), state["linear.weight"], state["linear.bias"])
    assert_close(logits, expected)


@pytest.mark.parametrize(("block", "stride"), [("layer1.1", 1), ("layer2.0", 2)])
def test_kuanglius_preactivation_block(block, stride):
    """A projection takes what the first norm and ReLU make, the identity what comes before."""
    model = trained("kuangliu/PreActResNet18")
    state = model.get_submodule(block).state_dict()
    maps = torch.randn(2, 64, 8, 8)
    active = F.relu(norm(state, "bn1", maps))
    through = maps
    if stride == 2:
        through = F.conv2d(active, state["shortcut.0.weight"], stride=2)
    branch = F.conv2d(active, state["conv1.weight"], stride=stride, padding=1)
    branch = F.conv2d(F.relu(norm(state, "bn2", branch)), state["conv2.weight"], padding=1)
    with torch.inference_mode():
        assert_close(model.get_submodule(block)(maps), branch + through)


def test_kuanglius_squeeze_and_excitation():
    model = trained("kuangliu/SENet18")
    block = model.get_submodule("layer1.0")
    state = block.state_dict()
    maps = torch.randn(2, 64, 8, 8)
    branch = F.relu(norm(state, "bn1", maps))
    branch = F.conv2d(branch, state["conv1.weight"], padding=1)
    branch = F.conv2d(F.relu(norm(state, "bn2", branch)), state["conv2.weight"], padding=1)
    vectors = branch.mean(dim=(2, 3)) @ state["fc1.weight"][:, :, 0, 0].T + state["fc1.bias"]
    vectors = vectors.relu() @ state["fc2.weight"][:, :, 0, 0].T + state["fc2.bias"]
    with torch.inference_mode():
        expected = branch * vectors.sigmoid()[:, :, None, None] + maps
        assert_close(block(maps), expected)


def test_kuanglius_dense_layer_puts_the_new_maps_first():
    layer = trained("kuangliu/densenet_cifar").get_submodule("dense1.0")
    maps = torch.randn(1, 24, 8, 8)
    with torch.inference_mode():
        assert torch.equal(layer(maps)[:, 12:], maps)


def test_a_shufflenet_of_two_sources():
    """The one's is compared with torchvision's below; the other's has the same layers in the same
    order by other names.
    """
    state, images, logits = answers("chenyaofo/shufflenetv2_x1_0")
    other = architectures.create("kuangliu/ShuffleNetV2_1").eval()
    other.load_state_dict(dict(zip(other.state_dict(), state.values(), strict=True)))
    with torch.inference_mode():
        assert_close(other(images), logits)


def test_a_shuffle_unit_that_halves():
    """Its new maps stand before the means of its old ones."""
    unit = trained("kuangliu/ShuffleNetG2").get_submodule("layer2.0")
    state, maps = unit.state_dict(), torch.randn(1, 200, 4, 4)
    new = F.relu(norm(state, "bn1", F.conv2d(maps, state["conv1.weight"], groups=2)))
    order = [channel + 25 * group for channel in range(25) for group in range(2)]
    new = F.conv2d(new[:, order], state["conv2.weight"], stride=2, padding=1, groups=50)
    new = F.conv2d(F.relu(norm(state, "bn2", new)), state["conv3.weight"], groups=2)
    old = F.avg_pool2d(maps, 3, 2, 1)
    with torch.inference_mode():
        expected = F.relu(torch.cat([norm(state, "bn3", new), old], dim=1))
        assert_close(unit(maps), expected)


def test_a_dual_path_adds_some_channels_and_keeps_the_others():
    block = trained("kuangliu/DPN26").get_submodule("layer1.1")
    state, maps = block.state_dict(), torch.randn(1, 288, 4, 4)
    new = F.relu(norm(state, "bn1", F.conv2d(maps, state["conv1.weight"])))
    new = F.conv2d(new, state["conv2.weight"], padding=1, groups=32)
    new = F.conv2d(F.relu(norm(state, "bn2", new)), state["conv3.weight"])
    new = norm(state, "bn3", new)
    expected = torch.cat([maps[:, :256] + new[:, :256], maps[:, 256:], new[:, 256:]], dim=1)
    with torch.inference_mode():
        assert_close(block(maps), F.relu(expected))


def test_a_tree_joins_all_that_it_made():
    tree = trained("kuangliu/DLA").get_submodule("layer4")
    maps = torch.randn(1, 64, 8, 8)
    with torch.inference_mode():
        before, below = tree.prev_root(maps), tree.level_1(maps)
        left = tree.left_node(below)
        joined = torch.cat([before, below, left, tree.right_node(left)], dim=1)
        expected = F.relu(tree.root.bn(tree.root.conv(joined)))
        assert_close(tree(maps), expected)


def test_efficientnets_first_block_does_not_expand():
    model = copy.deepcopy(trained("kuangliu/EfficientNetB0"))
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        logits = model(images)
        model.get_submodule("layers.0.conv1").weight.zero_()
        assert torch.equal(model(images), logits)
        model.get_submodule("layers.1.conv1").weight.zero_()
        assert not torch.equal(model(images), logits)


def test_a_repvgg_block():
    block = trained("chenyaofo/repvgg_a0").get_submodule("stage1.1")
    state, maps = block.state_dict(), torch.randn(2, 48, 8, 8)
    large = F.conv2d(maps, state["rbr_dense.conv.weight"], padding=1)
    small = F.conv2d(maps, state["rbr_1x1.conv.weight"])
    total = norm(state, "rbr_dense.bn", large) + norm(state, "rbr_1x1.bn", small)
    with torch.inference_mode():
        assert_close(block(maps), F.relu(total + norm(state, "rbr_identity", maps)))


@pytest.mark.parametrize(("block", "stride"), [("layer1.1", 1), ("layer3.0", 2)])
def test_a_block_of_left_and_shortcut(block, stride):
    block = trained("reports/resnet18_left").get_submodule(block)
    state, maps = block.state_dict(), torch.randn(2, 128 if stride == 2 else 64, 8, 8)
    left = F.conv2d(maps, state["left.0.weight"], stride=stride, padding=1)
    left = F.conv2d(F.relu(norm(state, "left.1", left)), state["left.3.weight"], padding=1)
    through = maps
    if stride == 2:
        through = F.conv2d(maps, state["shortcut.0.weight"], stride=2)
        through = norm(state, "shortcut.1", through)
    with torch.inference_mode():
        assert_close(block(maps), F.relu(norm(state, "left.4", left) + through))


def test_michigans_residual_network():
    """Stem, three stages of five blocks, means, one linear layer; nothing behind a sum."""
    state, images, logits = answers("michigan/resnet32")

    def convolved(name, maps, stride=1):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return F.conv2d(maps, weight, bias, stride=stride, padding=weight.shape[2] // 2)

    maps = F.relu(convolved("cnn.0.net.0", images))
    for stage in (1, 2, 3):
        for number in range(5):
            block = f"cnn.{stage}.net.{number}"
            stride = 2 if stage > 1 and number == 0 else 1
            branch = F.relu(norm(state, f"{block}.block.net.0", maps))
            branch = convolved(f"{block}.block.net.2", branch, stride)
            branch = F.relu(norm(state, f"{block}.block.net.3", branch))
            branch = convolved(f"{block}.block.net.5", branch)
            changes = f"{block}.shortcut.weight" in state
            maps = branch + (convolved(f"{block}.shortcut", maps, stride) if changes else maps)
    expected = F.linear(maps.mean(dim=(2, 3)), state["fc.weight"], state["fc.bias"])
    assert_close(logits, expected)


def test_weiaicunzais_squeeze_and_excitation():
    """A ReLU before the weighing, and one behind the sum."""
    block = trained("weiaicunzai/seresnet18").get_submodule("stage1.0")
    state, maps = block.state_dict(), torch.randn(2, 64, 8, 8)
    branch = maps
    for number in (0, 3):
        weight, bias = (state[f"residual.{number}.{key}"] for key in ("weight", "bias"))
        branch = F.conv2d(branch, weight, bias, padding=1)
        branch = F.relu(norm(state, f"residual.{number + 1}", branch))
    vectors = branch.mean(dim=(2, 3))
    vectors = vectors @ state["excitation.0.weight"].T + state["excitation.0.bias"]
    vectors = vectors.relu() @ state["excitation.2.weight"].T + state["excitation.2.bias"]
    with torch.inference_mode():
        expected = F.relu(branch * vectors.sigmoid()[:, :, None, None] + maps)
        assert_close(block(maps), expected)


@pytest.mark.parametrize(
    ("name", "layer", "size"),
    [
        ("reports/resnet50_layer4", "layer1", (64, 7, 7)),
        ("reports/resnet50_layer4", "layer2", (256, 4, 4)),
        ("reports/resnet50_layer4", "layer4", (1024, 2, 2)),
        ("reports/resnet50_layer4_padded", "layer1", (64, 8, 8)),
        ("weiaicunzai/mobilenetv2", "pre", (32, 34, 34)),  # a 1x1 convolution that pads
        ("weiaicunzai/googlenet", "a3", (256, 16, 16)),
        ("weiaicunzai/xception", "entry_flow", (728, 8, 8)),
        ("weiaicunzai/squeezenet", "conv10", (100, 4, 4)),
        ("kuangliu/MobileNetV2", "layers", (320, 4, 4)),
        ("kuangliu/ResNeXt29_2x64d", "layer3", (1024, 8, 8)),
        ("huyvnphan/resnet18", "layer1", (64, 16, 16)),
        ("huyvnphan/inception_v3", "Mixed_7a", (1280, 7, 7)),
        ("chenyaofo/repvgg_a1", "stage1", (64, 32, 32)),
    ],
)
def test_maps_have_the_size_they_have_there(name, layer, size):
    sizes = {}
    module = on_meta(name).get_submodule(layer)
    hook = module.register_forward_hook(lambda m, i, output: sizes.update(size=output.shape[1:]))
    with torch.inference_mode():
        on_meta(name)(torch.zeros(1, 3, 32, 32, device="meta"))
    hook.remove()
    assert sizes["size"] == size


def test_bearpaws_shortcut_takes_the_maps_themselves():
    block = trained("bearpaw/preresnet20").get_submodule("layer2.0")
    state, maps = block.state_dict(), torch.randn(1, 16, 8, 8)
    branch = F.conv2d(F.relu(norm(state, "bn1", maps)), state["conv1.weight"], None, 2, 1)
    branch = F.conv2d(F.relu(norm(state, "bn2", branch)), state["conv2.weight"], padding=1)
    through = F.conv2d(maps, state["downsample.0.weight"], stride=2)
    with torch.inference_mode():
        assert_close(block(maps), branch + through)


def test_jovians_residual_pairs():
    """The second pair's sum is not rectified again, and the last pool takes the greatest."""
    model = trained("jovian/ResNet9")
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        maps = model.conv2(model.conv1(images))
        for pair, behind in (("res1", nn.Sequential(model.conv3, model.conv4)), ("res2", None)):
            first, second = (model.get_submodule(f"{pair}.{number}") for number in (0, 1))
            maps = maps + second(first(maps))
            maps = behind(maps) if behind else maps
        vectors = maps.amax(dim=(2, 3))
        expected = F.linear(vectors, model.classifier[2].weight, model.classifier[2].bias)
        assert_close(model(images), expected)


def test_the_cut_resnet50_computes_what_ours_does():
    """Ours has no biases, which the norms behind them make good."""
    theirs = copy.deepcopy(trained("reports/resnet50_layer4"))
    ours = architectures.create("resnet50_three_stage").eval()
    state = theirs.state_dict()
    for key, tensor in state.items():
        if key.endswith("0.bias"):  # of a convolution
            tensor.zero_()
    weights = [tensor for key, tensor in state.items() if not key.endswith("0.bias")]
    ours.load_state_dict(dict(zip(ours.state_dict(), weights, strict=True)))
    images = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        logits = theirs(images)
        assert_close(logits, ours(images))
    assert (logits[0] - logits[1]).abs().max() > 0.01, "the images make a difference"


def test_the_report_pools_late():
    model = on_meta("late_pool/resnet18_left")
    sizes = {layer.name: layer.output_shape[1:] for layer in layer_table(model, (3, 224, 224))}
    assert sizes["layer1.1"] == (112, 112)
    assert sizes["maxpool"] == (56, 56)
    assert sizes["layer4"] == (7, 7)


def test_wide_blocks():
    """xternalz's projection takes what the first ReLU makes, meliketoy's the maps themselves, and
    its second convolution strides.
    """
    maps = torch.randn(2, 32, 8, 8)
    block = trained("xternalz/wrn_16_2").get_submodule("block2.layer.0")
    state = block.state_dict()
    active = F.relu(norm(state, "bn1", maps))
    branch = F.conv2d(active, state["conv1.weight"], stride=2, padding=1)
    branch = F.conv2d(F.relu(norm(state, "bn2", branch)), state["conv2.weight"], padding=1)
    through = F.conv2d(active, state["convShortcut.weight"], stride=2)
    with torch.inference_mode():
        assert_close(block(maps), branch + through)

    block = trained("meliketoy/wide_resnet_28x2").get_submodule("layer2.0")
    state = block.state_dict()
    branch = F.relu(norm(state, "bn1", maps))
    branch = F.conv2d(branch, state["conv1.weight"], state["conv1.bias"], padding=1)
    branch = F.relu(norm(state, "bn2", branch))
    branch = F.conv2d(branch, state["conv2.weight"], state["conv2.bias"], stride=2, padding=1)
    through = F.conv2d(maps, state["shortcut.0.weight"], state["shortcut.0.bias"], stride=2)
    with torch.inference_mode():
        assert_close(block(maps), branch + through)


def test_activations_and_pools_of_a_lenet():
    """Three of one state dict compute three different things."""
    model = trained("lenet5/features_relu")
    state, images = model.state_dict(), torch.randn(1, 1, 32, 32)
    results = []
    for activation, pool in (
        (F.relu, F.max_pool2d),
        (torch.tanh, F.max_pool2d),
        (torch.tanh, F.avg_pool2d),
    ):
        maps = images
        for name in ("features.0", "features.3"):
            maps = F.conv2d(maps, state[f"{name}.weight"], state[f"{name}.bias"])
            maps = pool(activation(maps), 2)
        vectors = maps.flatten(1)
        for name in ("classifier.0", "classifier.2"):
            linear = F.linear(vectors, state[f"{name}.weight"], state[f"{name}.bias"])
            vectors = activation(linear)
        results.append(F.linear(vectors, state["classifier.4.weight"], state["classifier.4.bias"]))
    for expected, words in zip(results, ("relu", "tanh", "tanh_mean"), strict=True):
        other = architectures.create(f"lenet5/features_{words}").eval()
        other.load_state_dict(state)
        with torch.inference_mode():
            assert_close(other(images), expected)


# Torchvision's own, changed as the sources say that they changed them


def keeping_the_size(in_channels, out_channels, **arguments):
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False, **arguments)


def torchvisions_vgg(hidden, side):
    model = models.vgg11_bn(num_classes=10)
    model.avgpool = nn.AdaptiveAvgPool2d(side)
    model.classifier[0] = nn.Linear(512 * side**2, hidden)
    model.classifier[3] = nn.Linear(hidden, hidden)
    model.classifier[6] = nn.Linear(hidden, 10)
    return model


def torchvisions_resnet(build):
    model = build(num_classes=10)
    model.conv1 = keeping_the_size(3, 64)
    return model


def torchvisions_mobilenet(width):
    model = models.mobilenet_v2(num_classes=10, width_mult=width)
    for convolution in (model.features[0][0], model.features[2].conv[1][0]):
        convolution.stride = (1, 1)
    return model


def torchvisions_shufflenet():
    model = models.shufflenet_v2_x0_5(num_classes=10)
    model.conv1[0].stride = (1, 1)
    model.maxpool = nn.Identity()
    return model


def torchvisions_densenet():
    model = models.densenet121(num_classes=10)
    model.features.conv0 = keeping_the_size(3, 64)
    return model


def torchvisions_googlenet():
    model = models.googlenet(num_classes=10, aux_logits=False, init_weights=False)
    model.conv1 = type(model.conv1)(3, 192, kernel_size=3, padding=1)
    model.maxpool1 = model.conv2 = model.conv3 = model.maxpool2 = nn.Identity()
    model.maxpool3 = model.maxpool4 = nn.MaxPool2d(3, 2, padding=1)
    return model


def torchvisions_inception():
    model = models.inception_v3(num_classes=10, aux_logits=False, init_weights=False)
    block = type(model.Conv2d_1a_3x3)
    model.Conv2d_1a_3x3 = block(3, 192, kernel_size=3, padding=1)
    for name in ("Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"):
        setattr(model, name, nn.Identity())
    model.maxpool1 = model.maxpool2 = nn.Identity()
    return model


@pytest.mark.parametrize(
    ("name", "build"),
    [
        ("chenyaofo/vgg11_bn", partial(torchvisions_vgg, 512, 1)),
        ("chenyaofo/mobilenetv2_x1_4", partial(torchvisions_mobilenet, 1.4)),
        ("chenyaofo/shufflenetv2_x0_5", torchvisions_shufflenet),
        ("huyvnphan/vgg11_bn", partial(torchvisions_vgg, 4096, 1)),
        ("huyvnphan/resnet18", partial(torchvisions_resnet, models.resnet18)),
        ("huyvnphan/resnet50", partial(torchvisions_resnet, models.resnet50)),
        ("huyvnphan/mobilenet_v2", partial(torchvisions_mobilenet, 1.0)),
        ("huyvnphan/densenet121", torchvisions_densenet),
        ("huyvnphan/googlenet", torchvisions_googlenet),
        ("huyvnphan/inception_v3", torchvisions_inception),
    ],
)
def test_computes_what_torchvisions_does(name, build):
    state, images, logits = answers(name)
    with torch.device("meta"):
        model = build().eval()
    model.load_state_dict(state, assign=True)
    assert list(model.state_dict()) == list(state), "in the same order"
    with torch.inference_mode():
        assert_close(model(images), logits)
