"""Plain chains rebuilt from the names and shapes of their tensors: the networks that these tests
write with PyTorch's own classes are among what is proposed, and answer the same.
"""

import dataclasses
import json
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vizlib import architectures
from vizlib.architectures.elsewhere import chain as chain_module
from vizlib.bring import chains
from vizlib.errors import UserError
from vizlib.inside.layers import layer_table

# Networks as people write them


class Tutorial(nn.Module):
    """As PyTorch's tutorial has it: one pool for both convolutions."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))))


class Grey(nn.Module):
    """As PyTorch's MNIST example has it: one pool at the end, dropouts."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1)
        self.conv2 = nn.Conv2d(32, 64, 3, 1)
        self.fc1 = nn.Linear(9216, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        return self.fc2(F.dropout(F.relu(self.fc1(x.flatten(1))), 0.5, self.training))


class LeNet5(nn.Module):
    """On 28 x 28 pictures, padded to 32: the third convolution covers its whole map."""

    def __init__(self):
        super().__init__()
        self.c1, self.c3 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.c5, self.f6 = nn.Conv2d(16, 120, 5), nn.Linear(120, 84)
        self.output = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.c1(x)), 2)
        x = F.relu(self.c5(F.max_pool2d(F.relu(self.c3(x)), 2)))
        return self.output(F.relu(self.f6(x.flatten(1))))


class Norms(nn.Module):
    """The norms are defined after the convolutions; the widths of two are the same."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1)
        self.conv3 = nn.Conv2d(12, 20, 3, padding=1)
        self.bn1, self.bn2, self.bn3 = nn.BatchNorm2d(12), nn.BatchNorm2d(12), nn.BatchNorm2d(20)
        self.fc = nn.Linear(20 * 16, 7)

    def forward(self, x):
        for conv, norm in zip(
            (self.conv1, self.conv2, self.conv3), (self.bn1, self.bn2, self.bn3), strict=True
        ):
            x = F.max_pool2d(F.relu(norm(conv(x))), 2)
        return self.fc(x.flatten(1))


class ReluFirst(nn.Module):
    """The nonlinearity stands before the norm."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.fc = nn.Linear(16 * 64, 5)

    def forward(self, x):
        x = F.max_pool2d(self.bn1(F.relu(self.conv1(x))), 2)
        return self.fc(F.max_pool2d(self.bn2(F.relu(self.conv2(x))), 2).flatten(1))


class Averages(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc = nn.Linear(16 * 16, 10)

    def forward(self, x):
        x = F.avg_pool2d(F.relu(self.conv1(x)), 2)
        return self.fc(F.avg_pool2d(F.relu(self.conv2(x)), 2).flatten(1))


class Separable(nn.Module):
    """Depthwise convolutions and convolutions of one pixel, nothing between them."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.pointwise = nn.Conv2d(16, 32, 1)
        self.head = nn.Linear(32, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.first(x)), 2)
        x = F.max_pool2d(F.relu(self.pointwise(self.depthwise(x))), 2)
        return self.head(x.mean((2, 3)))


class Listed(nn.Module):
    """Numbers of a ModuleList are no neighbours."""

    def __init__(self):
        super().__init__()
        widths = [3, 8, 12, 16]
        self.layers = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(widths)
        )
        self.classify = nn.Linear(16 * 16, 6)

    def forward(self, x):
        for layer in self.layers:
            x = F.max_pool2d(F.relu(layer(x)), 2)
        return self.classify(x.flatten(1))


class Blocks(nn.Module):
    """Each block is a Sequential: conv, norm, ReLU, pool; 64 pixels."""

    def __init__(self):
        super().__init__()
        self.layer1, self.layer2 = self.block(3, 8), self.block(8, 8)
        self.layer3 = self.block(8, 16)
        self.fc = nn.Linear(16 * 8 * 8, 3)

    @staticmethod
    def block(before, after):
        conv = nn.Conv2d(before, after, 5, padding=2, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2))

    def forward(self, x):
        return self.fc(self.layer3(self.layer2(self.layer1(x))).flatten(1))


def vgg(widths, *, norms, head):
    layers, before = [], 3
    for width in widths:
        if width == "M":
            layers.append(nn.MaxPool2d(2))
            continue
        layers.append(nn.Conv2d(before, width, 3, padding=1))
        layers += [nn.BatchNorm2d(width)] * norms + [nn.ReLU()]
        before = width
    whole = nn.Sequential(*layers, nn.Flatten())
    return nn.Sequential(dict_of(features=whole, classifier=head))


def dict_of(**modules):
    from collections import OrderedDict

    return OrderedDict(modules)


def grey_sequential():
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(784, 50),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(50, 10),
    )


def striding():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 16, 9),
    )


def averaging():
    """A global average pool, and dropouts where a pool could be."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def perceptron():
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 40), nn.ReLU(), nn.Linear(40, 10))


def normed_last():
    """conv, ReLU, norm, pool: the numbers tell that the nonlinearity is before the norm."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.BatchNorm2d(8),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 36, 10),
    )


def convolutions_only():
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 10, 3, stride=2, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


# (network, size of its pictures, whether it is the first that is proposed)
NETWORKS = {
    "tutorial": (Tutorial, (3, 32, 32), True),
    "grey": (Grey, (1, 28, 28), True),
    "lenet5": (LeNet5, (1, 28, 28), True),
    "norms": (Norms, (3, 32, 32), True),
    "relu first": (ReluFirst, (3, 32, 32), False),
    "averages": (Averages, (1, 28, 28), False),
    "separable": (Separable, (3, 32, 32), True),
    "listed": (Listed, (3, 32, 32), True),
    "blocks": (Blocks, (3, 64, 64), True),
    "vgg": (
        lambda: vgg([8, 8, "M", 16, 16, "M", 16, "M"], norms=True, head=nn.Linear(256, 5)),
        (3, 32, 32),
        True,
    ),
    "deep vgg": (
        lambda: vgg(
            [8, "M", 16, "M", 24, 24, "M", 32, 32, "M", 32, 32, "M"],
            norms=False,
            head=nn.Sequential(nn.Linear(32, 20), nn.ReLU(), nn.Linear(20, 10)),
        ),
        (3, 32, 32),
        True,
    ),
    "grey sequential": (grey_sequential, (1, 28, 28), True),
    "striding": (striding, (3, 32, 32), True),
    "averaging": (averaging, (3, 32, 32), True),
    "perceptron": (perceptron, (3, 32, 32), True),
    "normed last": (normed_last, (3, 32, 32), True),
    "convolutions only": (convolutions_only, (1, 28, 28), True),
}


def lively(network):
    """With norms that have seen something, and in evaluation mode."""
    torch.manual_seed(11)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.3, 2)
            nn.init.uniform_(module.weight, -1, 1.5)
            nn.init.uniform_(module.bias, -0.4, 0.4)
    return network.eval()


def shapes_of(network):
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def rebuilt(proposal, network):
    """What a run of the proposal would be, by its configuration."""
    layers = json.loads(json.dumps(proposal.layers))
    chain = architectures.create("chain/net", layers=layers)
    chain.load_state_dict(network.state_dict())
    return chain.eval()


@torch.inference_mode()
def answers_alike(proposal, network, input_size):
    images = torch.randn(3, *input_size, generator=torch.Generator().manual_seed(4))
    if proposal.input_size != input_size:
        return False
    return torch.allclose(rebuilt(proposal, network)(images), network(images), atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_among_those_proposed(name):
    make, input_size, is_first = NETWORKS[name]
    network = lively(make())
    proposals = chains.propose(shapes_of(network))
    assert 0 < len(proposals) <= 8
    alike = [answers_alike(proposal, network, input_size) for proposal in proposals]
    assert any(alike), [proposal.sentence for proposal in proposals]
    assert alike[0] == is_first
    assert all(proposal.fits() for proposal in proposals)
    assert len({json.dumps(proposal.layers) for proposal in proposals}) == len(proposals)


@pytest.mark.parametrize("name", ["tutorial", "norms", "vgg"])
def test_a_rebuilt_network_has_the_names_of_the_file(name):
    make, input_size, _ = NETWORKS[name]
    network = make()
    [first, *_] = chains.propose(shapes_of(network))
    chain = rebuilt(first, network)
    assert set(chain.state_dict()) == set(network.state_dict())
    names = [layer.name for layer in layer_table(chain, input_size)]
    assert [layer["name"] for layer in first.layers] == names


def test_names_that_sequentials_leave_out_are_those_of_the_layers_without_weights():
    network = grey_sequential()
    [first, *_] = chains.propose(shapes_of(network))
    kinds = {layer["name"]: layer["kind"] for layer in first.layers}
    assert kinds == {
        "0": "conv",
        "1": "relu",
        "2": "pool",
        "3": "conv",
        "4": "relu",
        "5": "pool",
        "6": "flatten",
        "7": "linear",
        "8": "relu",
        "10": "linear",
    }


def test_tensors_sorted_by_name_are_the_same_chain():
    """As safetensors has them: bn1 before conv1, classifier before features."""
    for make in (Norms, NETWORKS["vgg"][0], Blocks):
        shapes = shapes_of(make())
        by_name = dict(sorted(shapes.items()))
        assert list(by_name) != list(shapes)
        proposals = [chains.propose(order)[0].layers for order in (shapes, by_name)]
        assert proposals[0] == proposals[1]


def test_a_size_that_is_known_is_the_size_of_all():
    shapes = shapes_of(Listed())
    assert {proposal.input_size for proposal in chains.propose(shapes, 35)} == {(3, 35, 35)}
    oblong = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2400, 4)
    )
    [first, *_] = chains.propose(shapes_of(oblong), (20, 60))
    assert first.input_size == (3, 20, 60)
    assert answers_alike(first, oblong.eval(), (3, 20, 60))


def test_proposals_are_of_different_placements():
    """Behind a global average any size fits, and any placement: each of them at most twice."""
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()]
    for _ in range(7):
        layers += [nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
    proposals = chains.propose(shapes_of(nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 4))))
    placements = [(each.assumed.by, each.assumed.reduced) for each in proposals]
    assert len(proposals) == 8
    assert max(map(placements.count, placements)) <= 2


def test_a_proposal_says_what_it_assumes():
    [first, *_] = chains.propose(shapes_of(Tutorial()))
    assert first.sentence == (
        "32 x 32 pictures, 2 x 2 max pool after conv1 and conv2, no padding, ReLU after each layer "
        "but the last"
    )
    assert (first.num_classes, first.assumed.reduced) == (10, ("conv1", "conv2"))
    assert chains.convolutions(shapes_of(Tutorial())) == ["conv1", "conv2"]


def test_other_answers_make_another_network():
    shapes = shapes_of(Grey())
    [first, *_] = chains.propose(shapes)
    other = dataclasses.replace(
        first.assumed, by="2 x 2 average pool", nonlinearity="tanh", size=(29, 29)
    )
    layers = {layer["name"]: layer for layer in chains.rebuild(shapes, other).layers}
    assert layers["tanh1"]["of"] == "tanh"
    assert layers["pool1"] == {"kind": "pool", "name": "pool1"} | {
        "of": "average",
        "size": 2,
        "stride": 2,
    }
    for changes, reason in [
        (dict(reduced=("conv9",)), "no convolution 'conv9'"),
        (dict(size=(20, 20)), "9 x 9|8 x 8"),
        (dict(size=(3, 3)), "too small"),
        (dict(by="magic"), "one of"),
        (dict(nonlinearity="magic"), "No picture"),
    ]:
        with pytest.raises(UserError, match=reason):
            chains.rebuild(shapes, dataclasses.replace(first.assumed, **changes))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 5)
        self.fc = nn.Linear(16, 10)


class Shortcut(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3)
        self.downsample = nn.Conv2d(8, 16, 1)  # fits as a convolution in two groups
        self.fc = nn.Linear(16, 10)


NO_CHAINS = {
    "branches": Branches,
    "shortcut": Shortcut,
    "lstm": lambda: nn.LSTM(10, 20),
    "attention": lambda: nn.TransformerEncoderLayer(16, 4),
    "embedding": lambda: nn.Sequential(nn.Embedding(90, 16), nn.Linear(16, 2)),
    "one dimension": lambda: nn.Sequential(nn.Conv1d(3, 8, 3), nn.ReLU(), nn.Linear(8, 2)),
    "group norm": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Linear(8, 2)),
    "back to maps": lambda: nn.Sequential(nn.Linear(13, 8), nn.Conv2d(8, 3, 3)),
    "no picture": lambda: nn.Sequential(nn.Linear(13, 8), nn.Linear(8, 3)),
}


@pytest.mark.parametrize("name", NO_CHAINS)
def test_what_is_no_chain_gives_none(name):
    shapes = shapes_of(NO_CHAINS[name]())
    assert chains.propose(shapes) == []
    if name != "no picture":
        assert chains.convolutions(shapes) == []
        with pytest.raises(UserError, match="no chain"):
            chains.rebuild(shapes, chains.Assumed((32, 32)))


@pytest.mark.parametrize(
    "shapes",
    [
        {},
        {"weight": (8, 3, 3, 3)},
        {"a.weight": ()},
        {"a.weight": (8, 0, 3, 3), "b.weight": (2, 8)},
        {"a.weight": (10**12, 3, 3, 3), "b.weight": (2, 10**12)},
        {"a.weight": (8, 3, 3, 3), "a.bias": (9,), "b.weight": (2, 8)},
        {"a.weight": (8, 3, 3, 3), "a.b.weight": (2, 8)},
        {"a/../b.weight": (8, 3, 3, 3), "b.weight": (2, 8)},
        {"forward.weight": (8, 3, 3, 3), "b.weight": (2, 8)},
        {"a.running_mean": (8,), "a.running_var": (9,), "b.weight": (2, 8)},
        {f"{number}.weight": (3, 3, 3, 3) for number in range(3000)},
    ],
)
def test_odd_tensors_give_none(shapes):
    assert chains.propose(shapes) == []


CONV = {"kind": "conv", "name": "conv1", "in": 3, "out": 8, "size": 3}


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        (None, "needs a list"),
        ([], "needs a list"),
        ("conv", "needs a list"),
        ([CONV] * 1001, "at most 1,000 layers"),
        ([CONV, ["conv"]], "Layer 1 is of no kind"),
        ([{"kind": ["conv"]}], "of no kind"),
        ([{"kind": "os.system", "name": "x"}], "of no kind. Possible: conv, norm"),
        ([CONV | {"name": 7}], "no name"),
        ([CONV | {"name": "a..b"}], "no name"),
        ([CONV | {"name": "a b"}], "no name"),
        ([CONV | {"name": "x" * 201}], "no name"),
        ([CONV | {"name": "__class__"}], "no module can have: '__class__'"),
        ([CONV | {"name": "features.forward"}], "no module can have"),
        ([CONV | {"name": "_in_order"}], "no module can have"),
        ([CONV, CONV], "exclude one another"),
        ([CONV, CONV | {"name": "conv1.inner"}, CONV | {"name": "conv1-"[:-1] + "0"}], "exclude"),
        ([CONV | {"out": True}], "'out' of the layer 'conv1' is a whole number from 1"),
        ([CONV | {"out": 0}], "'out' of"),
        ([CONV | {"out": 1e3}], "'out' of"),
        ([CONV | {"out": 10**9}], "'out' of"),
        ([CONV | {"size": [3, 3, 3]}], "'size' of"),
        ([CONV | {"size": [3, 99]}], "'size' of"),
        ([CONV | {"stride": None}], "'stride' of"),
        ([CONV | {"bias": "yes"}], "is true or false"),
        ([CONV | {"groups": 2}], "no multiple of its 2 groups"),
        ([CONV | {"device": "cuda"}], "has no 'device'"),
        ([{"kind": "relu", "name": "r", "of": "eval"}], "is one of relu,"),
        ([{"kind": "pool", "name": "p", "size": 2, "padding": 2}], "more than half"),
        ([{"kind": "linear", "name": "f", "in": 10**6, "out": 10**6}], "at most 250,000,000"),
        ([CONV | {"in": 65_536, "out": 65_536}], "at most 250,000,000"),
    ],
)
def test_hostile_layers_are_refused_in_a_sentence(layers, reason):
    with pytest.raises(UserError, match=reason) as error:
        architectures.create("chain/net", layers=layers)
    assert len(str(error.value)) < 300


def test_maps_that_would_fill_the_memory_are_refused():
    wide = [CONV | {"out": 65_536, "size": 1}]
    network = architectures.create("chain/net", layers=wide).eval()
    with torch.inference_mode(), pytest.raises(UserError, match="65,536,000,000|values for one"):
        network(torch.zeros(1, 3, 1000, 1000))


def test_every_size_of_a_layer_reaches_its_module():
    layers = [
        CONV | {"stride": [2, 1], "padding": 3, "dilation": 2, "groups": 1, "bias": False},
        {"kind": "norm", "name": "bn", "channels": 8, "affine": False},
        {"kind": "relu", "name": "act", "of": "leaky_relu"},
        {"kind": "pool", "name": "pool", "of": "average", "size": [3, 2], "padding": [1, 0]},
        {"kind": "dropout", "name": "drop"},
        {"kind": "adaptive_pool", "name": "adaptive", "size": [2, 3]},
        {"kind": "flatten", "name": "flat"},
        {"kind": "linear", "name": "head.0", "in": 48, "out": 5, "bias": False},
        {"kind": "norm", "name": "head.1", "channels": 5},
    ]
    torch.manual_seed(5)
    network = architectures.create("chain/net", layers=layers).eval()
    same = nn.Sequential(
        nn.Conv2d(3, 8, 3, (2, 1), 3, 2, bias=False),
        nn.BatchNorm2d(8, affine=False),
        nn.LeakyReLU(),
        nn.AvgPool2d((3, 2), (3, 2), (1, 0)),
        nn.AdaptiveAvgPool2d((2, 3)),
        nn.Flatten(),
        nn.Linear(48, 5, bias=False),
        nn.BatchNorm1d(5),
    ).eval()
    same.load_state_dict(dict(zip(same.state_dict(), network.state_dict().values(), strict=True)))
    images = torch.randn(2, 3, 21, 26)
    torch.testing.assert_close(network(images), same(images))


def test_what_a_layer_can_have_is_what_it_is_checked_for():
    for kind, defaults in chain_module._DEFAULTS.items():
        assert defaults.keys() <= chain_module._SIZES[kind].keys()
