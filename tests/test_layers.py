"""The layer table against closed forms, against gradients, and what it leaves behind."""

import threading

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack, is_in_torch_dispatch_mode

from vizlib import architectures
from vizlib.errors import UserError
from vizlib.inside.activations import prepare
from vizlib.inside.layers import at_depth, convolutions, default_layer, layer_table

NAMES = architectures.names()


@pytest.fixture(scope="module")
def tables():
    made = {}

    def get(name):
        if name not in made:
            model = architectures.create(name)
            made[name] = (model, layer_table(model, architectures.get(name).input_size))
        return made[name]

    return get


def top(rows, fact):
    return sum(getattr(row, fact) for row in rows if row.depth == 0)


# What holds for every network


@pytest.mark.parametrize("name", NAMES)
def test_counts_every_parameter_once(name, tables):
    model, rows = tables(name)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert (
        top(rows, "parameters") == count == sum(row.parameters for row in rows if not row.is_block)
    )
    assert top(rows, "multiply_adds") == sum(row.multiply_adds for row in rows if not row.is_block)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_stand_before_their_children(name, tables):
    model, rows = tables(name)
    around = []  # names of the open blocks
    for row in rows:
        del around[row.depth :]
        assert len(around) == row.depth
        assert all(row.name.startswith(block + ".") for block in around)
        if row.is_block:
            around.append(row.name)
    called = {row.name.partition("#")[0] for row in rows}
    assert called == {module_name for module_name, _ in model.named_modules() if module_name}


@pytest.mark.parametrize("name", NAMES)
def test_last_row_gives_the_logits(name, tables):
    _, rows = tables(name)
    assert rows[-1].output_shape == (10,)
    assert rows[-1].receptive_field == architectures.get(name).input_size[1:]
    assert rows[-1].stride is None


@pytest.mark.parametrize("name", NAMES)
def test_opens_on_the_first_convolution(name, tables):
    model, rows = tables(name)
    layer = default_layer(rows)
    assert layer == convolutions(model, rows)[0][0]
    assert layer in ("conv1", "conv1_1")


@pytest.mark.parametrize("name", NAMES)
def test_convolutions_in_order(name, tables):
    model, rows = tables(name)
    found = convolutions(model, rows)
    assert [layer for layer, _ in found] == [row.name for row in rows if row.is_convolution]
    assert all(weight.dim() == 4 and not weight.requires_grad for _, weight in found)
    assert sorted(layer for layer, _ in convolutions(model)) == sorted(layer for layer, _ in found)


def test_a_sum_where_a_block_adds(tables):
    for name, blocks in (
        ("resnet18", 8),
        ("resnet50", 16),
        ("resnet152", 50),
        ("resnet18_late_pool", 8),
        ("res2net18", 8),
        ("resnet50_three_stage", 13),
    ):
        sums = [row for row in tables(name)[1] if row.is_sum]
        assert len(sums) == blocks
        assert {row.kind for row in sums} <= {
            "BasicBlock",
            "Bottleneck",
            "BottleneckBlock",
            "Res2NetBlock",
        }
    for name in ("plain32", "densenet4", "mobilenet", "vgg16_slim", "lenet"):
        assert not [row for row in tables(name)[1] if row.is_sum]


# Multiply-adds

# The paper's row, in 1e9, and how far torchvision's model may be from it. resnet18 and resnet34 are
# the paper's. From resnet50 on torchvision strides in the 3x3 convolution instead of the 1x1 before
# it ("v1.5"): the three 1x1 convolutions of the striding blocks work at four times the places. That
# is 0.23e9 more whatever the depth: 4.1e9 for resnet50, +6 % on the paper's count (its 3.8e9 is
# 3.86e9 cut off).
PAPER = {
    "resnet18": (1.8, 0.03),
    "resnet34": (3.6, 0.03),
    "resnet50": (3.8, 0.08),
    "resnet101": (7.6, 0.03),
    "resnet152": (11.3, 0.03),
}


@pytest.mark.parametrize("name", PAPER)
def test_multiply_adds_of_the_paper(name, tables):
    expected, tolerance = PAPER[name]
    assert top(tables(name)[1], "multiply_adds") / 1e9 == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("name", ["resnet50", "resnet101", "resnet152"])
def test_striding_in_the_3x3_is_the_difference_to_the_paper(name, tables):
    """Undo torchvision's change: the first 1x1 of a striding block would work at a quarter of its
    places, the 3x3 at as many as now.
    """
    rows = tables(name)[1]
    more = sum(
        row.multiply_adds * 3 // 4
        for row in rows
        if row.name in ("layer2.0.conv1", "layer3.0.conv1", "layer4.0.conv1")
    )
    assert more == 3 * (3 * 56 * 56 * 256 * 128 // 4)
    paper = {"resnet50": 3.86, "resnet101": 7.57, "resnet152": 11.28}[name]
    assert (top(rows, "multiply_adds") - more) / 1e9 == pytest.approx(paper, rel=0.005)


def test_multiply_adds_of_lenet(tables):
    expected = {
        "conv1": 28 * 28 * 6 * 75,
        "conv2": 10 * 10 * 16 * 150,
        "fc1": 400 * 120,
        "fc2": 120 * 84,
        "fc3": 84 * 10,
    }
    assert {
        row.name: row.multiply_adds for row in tables("lenet")[1] if row.multiply_adds
    } == expected


# Receptive fields, by hand


def fields(rows):
    return {row.name: (row.receptive_field[0], row.stride and row.stride[0]) for row in rows}


@pytest.mark.parametrize(
    "name", ["three_layer_functional", "three_layer_module", "three_layer_sequential"]
)
def test_fields_of_three_layers(name, tables):
    expected = {
        "conv1": (5, 1),
        "relu1": (5, 1),
        "conv2": (7, 1),
        "relu2": (7, 1),
        "flatten": (32, None),
        "fc": (32, None),
    }
    assert fields(tables(name)[1]) == expected


def test_fields_of_lenet(tables):
    found = fields(tables("lenet")[1])
    assert [found[name] for name in ("conv1", "pool1", "conv2", "pool2", "flatten")] == [
        (5, 1),
        (6, 2),
        (14, 2),
        (16, 4),
        (32, None),
    ]


def test_fields_of_vgg(tables):
    found = fields(tables("vgg16_slim")[1])
    field, stride = 1, 1
    for group, count in enumerate((2, 2, 3, 2, 3), start=1):
        for number in range(1, count + 1):
            field += 2 * stride
            assert found[f"conv{group}_{number}"] == (field, stride)
        field, stride = field + stride, 2 * stride
        assert found[f"pool{group}"] == (field, stride)


def test_fields_of_resnet18(tables):
    found = fields(tables("resnet18")[1])
    assert [
        found[name] for name in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4")
    ] == [(7, 2), (11, 4), (43, 4), (99, 8), (211, 16), (435, 32)]
    assert found["avgpool"] == (224, None)


# Networks of other people


def test_other_shapes_of_module():
    class Squeeze(nn.Module):
        """Squeeze and excitation: the whole image scales each channel, and the maps remain."""

        def __init__(self):
            super().__init__()
            self.narrow = nn.Conv2d(4, 2, 1)

        def forward(self, maps):
            return maps * self.narrow(maps.mean((2, 3), keepdim=True)).mean(1, keepdim=True)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(1, 4, (3, 5), stride=(1, 2), dilation=(2, 1), padding="valid")
            self.act = nn.ReLU(inplace=True)
            self.squeeze = Squeeze()
            self.last = nn.Linear(4, 3)

        def forward(self, images):
            maps = self.act(self.first(images))
            # a sum of the network, not of a block
            maps = maps + nn.functional.conv2d(maps, maps.new_ones(4, 4, 1, 1))
            maps = self.act(self.squeeze(maps))
            return self.last(maps.amax((2, 3)))

    model = Net()
    rows = {row.name: row for row in layer_table(model, (1, 20, 24))}
    assert list(rows) == ["first", "act", "squeeze", "squeeze.narrow", "act#2", "last"]
    assert rows["first"].output_shape == (4, 16, 10)
    assert rows["first"].geometry == "3x5, stride 1x2, padding 0, dilation 2x1"
    assert rows["first"].receptive_field == (5, 5)
    assert rows["first"].stride == (1, 2)
    assert rows["squeeze"].receptive_field == (20, 24)
    assert rows["squeeze"].stride == (1, 2)
    assert not any(row.is_sum for row in rows.values())
    assert rows["act"].geometry == ""
    assert rows["last"].multiply_adds == 12
    assert model.act.inplace
    assert model.training


def test_shared_weights_count_once():
    shared = nn.Conv2d(4, 4, 3, padding=1)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), shared, nn.ReLU(), shared, nn.Flatten())
    rows = layer_table(model, (3, 8, 8))
    assert [row.name for row in rows] == ["0", "1", "2", "1#2", "4"]
    assert [row.parameters for row in rows] == [16, 148, 0, 0, 0]
    assert rows[3].multiply_adds == rows[1].multiply_adds == 64 * 144


def test_a_block_called_twice():
    block = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())
    model = nn.Sequential(nn.Sequential(block, block), block)
    rows = layer_table(model, (3, 8, 8))
    assert [(row.name, row.depth) for row in rows] == [
        ("0", 0),
        ("0.0", 1),
        ("0.0.0", 2),
        ("0.0.1", 2),
        ("0.0#2", 1),
        ("0.0.0#2", 2),
        ("0.0.1#2", 2),
        ("0.0#3", 0),
        ("0.0.0#3", 1),
        ("0.0.1#3", 1),
    ]
    assert [row.receptive_field[0] for row in rows if row.name.startswith("0.0.0")] == [3, 5, 7]


# What it leaves behind


def traces(model):
    hooks = [
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    ]
    return (
        hooks,
        model.training,
        [parameter.requires_grad for parameter in model.parameters()],
        sorted(model.state_dict()),
    )


@pytest.mark.parametrize("prepared", [False, True])
def test_leaves_nothing_behind(prepared):
    model = architectures.create("lenet")
    if prepared:
        prepare(model)
    before = traces(model)
    layer_table(model, (3, 32, 32))
    with pytest.raises(UserError, match="cannot take images of 3 x 20 x 20"):
        layer_table(model, (3, 20, 20))
    assert traces(model) == before
    assert _get_current_dispatch_mode_stack() == []
    assert not is_in_torch_dispatch_mode()
    assert not torch.is_inference_mode_enabled()


def test_many_threads_get_the_same_table():
    model = prepare(architectures.create("resnet32"))
    expected = layer_table(model, (3, 32, 32))
    found = []

    def look():
        for _ in range(3):
            model(torch.randn(1, 3, 32, 32))
            found.append(layer_table(model, (3, 32, 32)))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 12
    assert not is_in_torch_dispatch_mode()


def test_a_network_without_convolutions():
    rows = layer_table(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 2, 2))
    assert default_layer(rows) == "0"
    with pytest.raises(UserError, match="no layers"):
        default_layer([])


@pytest.mark.parametrize(
    ("name", "size"), [("lenet", 32), ("resnet32", 32), ("three_layer_functional", 32)]
)
def test_relative_depth_runs_from_the_first_convolution_to_the_last(name, size):
    rows = layer_table(architectures.create(name), (3, size, size))
    names = [row.name for row in rows if row.is_convolution]
    last = len(names) - 1
    for share, place in (
        (0, 0),
        (1, last),
        *((place / last, place) for place in range(len(names))),
    ):
        assert at_depth(rows, share) == (
            next(row for row in rows if row.name == names[place]),
            place + 1,
            len(names),
        )
    assert all(
        abs(at_depth(rows, share / 100)[1] - 1 - share / 100 * last) <= 0.5 for share in range(101)
    ), "the nearest one"


def test_relative_depth_without_convolutions():
    rows = layer_table(nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Linear(3, 2)), (1, 2, 2))
    assert [(at_depth(rows, share)[0].name, at_depth(rows, share)[2]) for share in (0, 0.5, 1)] == [
        ("0", 3),
        ("1", 3),
        ("2", 3),
    ]


class Colours(nn.Module):
    """Convolutions of three channels, of which only some are the picture's."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 3, 3)
        self.conv2 = nn.Conv2d(3, 4, 3)
        self.beside = nn.Conv2d(3, 4, 5)
        self.narrow = nn.Conv2d(3, 4, 1)
        self.fc = nn.Linear(4, 2)

    def forward(self, images):
        first = self.conv2(self.conv1(images))
        # scaled, the picture is the picture; pooled or added to what was made of it, it is not
        scaled = self.beside((images - 0.5) / 0.25)
        mixed = self.narrow(nn.functional.pad(self.conv1(images), [1] * 4) + images)
        return self.fc(first.mean((2, 3)) + scaled.mean((2, 3)) + mixed.mean((2, 3)))


def test_which_convolutions_read_the_picture():
    layers = layer_table(Colours(), (3, 12, 12))
    assert [layer.name for layer in layers if layer.reads_picture] == ["conv1", "beside", "conv1#2"]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_convolution_reads_the_picture_and_alone(tables, name):
    _, layers = tables(name)
    first = next(layer for layer in layers if layer.is_convolution)
    assert [layer.name for layer in layers if layer.reads_picture] == [first.name]
