"""Attribution: against the rules of each method written out by hand, where the answer is known, and
nothing left behind on the model.
"""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vizlib import architectures
from vizlib.errors import UserError
from vizlib.inside import activations, relus
from vizlib.inside.attribution import evidence, of_units
from vizlib.inside.evidence import class_methods, unit_methods
from vizlib.inside.evidence.grad_cam import last_maps
from vizlib.inside.layers import layer_table
from vizlib.inside.model import randomised
from vizlib.inside.relus import Rectifiers, rectifiers
from vizlib.run import folders

# pytest puts its own filters over the module's
pytestmark = pytest.mark.filterwarnings("ignore:Setting backward hooks")


def created(name, **arguments):
    torch.manual_seed(0)
    return architectures.create(name, **arguments)


class Deconvnet(torch.autograd.Function):
    """A ReLU that hands back what is positive in the gradient, whatever its input was."""

    @staticmethod
    def forward(ctx, maps):
        return maps.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        return gradient.clamp(min=0)


class Guided(torch.autograd.Function):
    """A ReLU that hands back what is positive in the gradient where its input was positive."""

    @staticmethod
    def forward(ctx, maps):
        ctx.save_for_backward(maps)
        return maps.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        (maps,) = ctx.saved_tensors
        return torch.where(maps > 0, gradient.clamp(min=0), 0.0)


def by_hand(monkeypatch, model, images, module, call, units, places, rule):
    """The same attribution without Captum: the function that nn.ReLU and functional networks call
    is replaced, and each image goes by itself.
    """
    found = []
    with monkeypatch.context() as patched:
        patched.setattr(F, "relu", lambda maps, inplace=False: rule.apply(maps))
        for image, unit, place in zip(images, units, places, strict=True):
            twin, outputs, image = activations.twin(model), [], image[None].clone().requires_grad_()
            twin.get_submodule(module).register_forward_hook(
                lambda module, inputs, output, outputs=outputs: outputs.append(output)
            )
            twin(image)
            found.append(torch.autograd.grad(outputs[call][(0, unit, *(place or ()))], image)[0][0])
    return torch.stack(found).numpy()


class Tangled(nn.Module):
    """What trips an override that is kept by module, or put on a tensor: one ReLU for two branches
    at once, whose inputs others use as well.
    """

    def __init__(self):
        super().__init__()
        self.stem, self.left, self.right = (
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
        )
        self.relu, self.last, self.fc = nn.ReLU(), nn.Conv2d(4, 5, 3, padding=1), nn.Linear(5, 3)

    def forward(self, images):
        stem = self.stem(images)
        maps = self.relu(stem) - 0.5 * stem
        left, right = self.left(maps), self.right(maps)
        left, right = self.relu(left), self.relu(right)
        return self.fc(self.last(left - right + 0.3 * stem).relu().mean((2, 3)))


NETWORKS = {
    "lenet": (
        lambda: created("lenet"),
        (3, 32, 32),
        [("conv2", 0, (4, 7)), ("relu2", 0, (1, 1)), ("fc2", 0, None)],
    ),
    "three_layer_functional": (
        lambda: created("three_layer_functional", image_size=12, in_channels=1),
        (1, 12, 12),
        [("conv2", 0, (3, 11)), ("fc", 0, None)],
    ),
    "resnet32": (
        lambda: created("resnet32"),
        (3, 32, 32),
        [("stage2.block2", 0, (3, 3)), ("fc", 0, None)],
    ),
    "resnet18": (
        lambda: created("resnet18", num_classes=5),
        (3, 64, 64),
        [("layer2.0.relu", 0, (2, 5)), ("layer2.0.relu", 1, (2, 5)), ("layer4.1.bn2", 0, (1, 0))],
    ),
    "tangled": (
        lambda: torch.manual_seed(0) and Tangled(),
        (3, 9, 9),
        [("last", 0, (4, 2)), ("fc", 0, None)],
    ),
}


@pytest.mark.parametrize(
    ("rule", "method"), [(Deconvnet, "deconvnet"), (Guided, "guided backpropagation")]
)
@pytest.mark.parametrize("name", NETWORKS)
def test_units_equal_the_rules_by_hand(monkeypatch, name, rule, method):
    """Each image with a unit and a place of its own, in one pass; whether or not the model is
    prepared.
    """
    build, size, layers = NETWORKS[name]
    model = build()
    exact = copy.deepcopy(model).double()
    # its last ReLU is a method of tensors, which the patch below would not see
    if name == "tangled":
        monkeypatch.setattr(torch.Tensor, "relu", lambda maps: F.relu(maps))
        monkeypatch.setattr(relus, "_PLAIN", {F.relu})
    images = torch.randn(3, *size)
    for module, call, (place) in layers:
        units, places = [0, 2, 1], [place, place and (0, 0), place]
        # in double precision: in single a ReLU at nearly zero may pass here and not there
        expected = by_hand(monkeypatch, exact, images.double(), module, call, units, places, rule)
        layer = module if call == 0 else f"{module}#{call + 1}"
        found = of_units(model, images, layer, units, places, method)
        assert found.dtype == np.float32
        in_doubles = of_units(exact, images.double(), layer, units, places, method)
        assert found.shape == in_doubles.shape == images.shape
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(in_doubles, expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(
        of_units(activations.prepare(model), images, layer, units, places, method), found
    )


@pytest.mark.parametrize(
    "relu",
    [
        F.relu,
        torch.relu,
        torch.Tensor.relu,
        nn.ReLU(),
        nn.ReLU(inplace=True),
        lambda maps: F.relu(maps, inplace=True),
        torch.relu_,
        lambda maps: (maps.relu_(), maps)[1],
        lambda maps: maps.clamp(min=0),
        lambda maps: torch.clamp(maps, 0),
        lambda maps: maps.clamp_(0),
        nn.ReLU6(),  # its bound is not reached
        nn.LeakyReLU(0.3),
        nn.LeakyReLU(0.3, inplace=True),
        lambda maps: F.leaky_relu(maps, negative_slope=0.3),
        nn.PReLU(2, 0.3),
    ],
)
def test_every_way_to_call_a_relu_is_overridden(relu):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(1, 2, 1, bias=False), nn.Linear(18, 1, bias=False)

        def forward(self, images):
            return self.fc(relu(self.conv(images)).flatten(1))

    model = Network().requires_grad_(False)
    model.conv.weight[:] = torch.tensor([1.0, -1.0])[:, None, None, None]
    # the second channel's gradient is negative, so a deconvnet stops it
    model.fc.weight[:] = torch.tensor([1.0] * 9 + [-1.0] * 9)
    image = torch.linspace(-1, 1, 9).reshape(1, 1, 3, 3)
    assert rectifiers(model, image).with_rule
    assert of_units(model, image, "fc", [0], [None], "deconvnet").ravel().tolist() == [1.0] * 9
    assert (
        of_units(model, image, "fc", [0], [None], "guided backpropagation").ravel().tolist()
        == [0.0] * 5 + [1.0] * 4
    )


RECTIFIERS = {  # by name: one, its value, where a ReLU in it is open, where nothing bounds it
    "ReLU6": (nn.ReLU6(), lambda x: x.clip(0, 6), lambda x: x < 6),
    "LeakyReLU": (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x), np.isfinite),
    "PReLU": (nn.PReLU(2, 0.2), lambda x: np.where(x > 0, x, 0.2 * x), np.isfinite),
}


class TwoLayers(nn.Module):
    """Two convolutions of 1 x 1, each with a rectifier behind it: what a pixel gives depends on it
    alone.
    """

    first, last = np.array([3.0, -4.0]), np.array([[2.0, -0.5], [-1.0, 0.7]])

    def __init__(self, rectifier):
        super().__init__()
        self.conv, self.mix = nn.Conv2d(1, 2, 1, bias=False), nn.Conv2d(2, 2, 1, bias=False)
        self.one, self.two = rectifier, copy.deepcopy(rectifier)
        self.requires_grad_(False)
        self.conv.weight[:] = torch.tensor(self.first).reshape(2, 1, 1, 1)
        self.mix.weight[:] = torch.tensor(self.last).reshape(2, 2, 1, 1)

    def forward(self, images):
        return self.two(self.mix(self.one(self.conv(images))))


@pytest.mark.parametrize("method", ["deconvnet", "guided backpropagation"])
@pytest.mark.parametrize("name", RECTIFIERS)
def test_a_rectifier_that_is_more_than_a_relu(name, method):
    """By hand, pixel by pixel: what is positive comes back, in guided backpropagation only from
    where the ReLU was open, and nothing from beyond a bound; the values are the network's own.
    """
    rectifier, value, unbounded = RECTIFIERS[name]
    model, x = TwoLayers(rectifier), np.linspace(-3.1, 2.9, 9)
    inner = model.first[:, None] * x
    outer = model.last[0] @ value(inner)
    image = torch.tensor(x, dtype=torch.float32).reshape(1, 1, 3, 3)
    np.testing.assert_allclose(model(image)[0, 0].ravel(), value(outer), rtol=1e-5)

    def handed_back(gradient, before):
        is_open = (before > 0) | (method == "deconvnet")
        return gradient.clip(0) * is_open * unbounded(before)

    back = handed_back(np.ones(9), outer)
    back = handed_back(model.last[0][:, None] * back, inner)
    expected = model.first @ back
    positions = [(row, column) for row in range(3) for column in range(3)]
    found = of_units(model, image.repeat(9, 1, 1, 1), "two", [0] * 9, positions, method)
    np.testing.assert_allclose(found.reshape(9, 9).diagonal(), expected, atol=1e-5)
    assert expected.any()
    assert rectifiers(model, image) == Rectifiers((name,), ())


def test_without_relus_both_methods_are_the_plain_gradient():
    model, images = activations.prepare(created("airbench")), torch.randn(2, 3, 32, 32)
    assert rectifiers(model, images) == Rectifiers((), ("GELU",))
    for name in ("three_layer_functional", "resnet32"):
        assert rectifiers(created(name), images) == Rectifiers(("ReLU",), ())
    own = images.clone().requires_grad_()
    expected = torch.autograd.grad(activations.twin(model)(own)[[0, 1], [3, 7]].sum(), own)[
        0
    ].numpy()
    for method in unit_methods():
        np.testing.assert_allclose(
            of_units(model, images, "fc", [3, 7], [None, None], method), expected, atol=1e-6
        )


# A network whose units are known: two edges, and a corner, which is a horizontal edge above and a
# vertical one to its left

ACROSS, DOWN = (
    torch.tensor([[1.0, 1, 1], [0, 0, 0], [-1, -1, -1]]),
    torch.tensor([[1.0, 0, -1], [1, 0, -1], [1, 0, -1]]),
)


@pytest.fixture
def corners():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, bias=False),
        nn.ReLU(),
        nn.Conv2d(2, 1, 5, padding=2, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 2),
    )
    model.requires_grad_(False)
    model[0].weight[:] = torch.stack([ACROSS, DOWN])[:, None]
    model[2].weight.zero_()
    # the edge across lies above to the right, the one down below to the left
    model[2].weight[0, 0, 1, 3], model[2].weight[0, 1, 3, 1] = (2.0, 1.0)
    return model


def placed(*patterns):
    """An empty 12x12 picture with 3x3 patterns, each around its place."""
    picture = np.zeros((12, 12), np.float32)
    for pattern, factor, row, column in patterns:
        picture[row - 1 : row + 2, column - 1 : column + 2] += factor * pattern.numpy()
    return picture


@pytest.mark.parametrize("method", unit_methods())
def test_projected_pattern_of_a_known_unit(corners, method):
    image = torch.zeros(1, 1, 12, 12)
    # bright above and to the left, dark below to the right: a corner at (5, 5)
    image[..., 5:, 5:] = -1.0
    assert np.array_equal(
        of_units(corners, image, "0", [0], [(5, 8)], method)[0, 0], placed((ACROSS, 1, 5, 8))
    )
    assert np.array_equal(
        of_units(corners, image, "0", [1], [(8, 5)], method)[0, 0], placed((DOWN, 1, 8, 5))
    )
    assert np.array_equal(
        of_units(corners, image, "2", [0], [(6, 6)], method)[0, 0],
        placed((ACROSS, 2, 5, 7), (DOWN, 1, 7, 5)),
    )
    # nothing answers: guided backpropagation has nothing to show, a deconvnet shows the pattern all
    # the same
    flat = torch.zeros(1, 1, 12, 12)
    there = of_units(corners, flat, "2", [0], [(6, 6)], method)[0, 0]
    assert np.array_equal(
        there,
        placed() if method.startswith("guided") else placed((ACROSS, 2, 5, 7), (DOWN, 1, 7, 5)),
    )


@pytest.mark.parametrize(
    ("layer", "unit", "place", "said"),
    [
        ("conv9", 0, None, "no layer named 'conv9'"),
        ("conv1", 99, (0, 0), "no unit 99"),
        ("conv1", -1, (0, 0), "no unit -1"),
        ("conv1", 0, (28, 0), "28 x 28"),
        ("conv1", 0, None, "without a position"),
        ("fc1", 0, (0, 0), "no unit 0 at 0, 0 .* are 0 to 119"),
    ],
)
def test_a_unit_that_is_not_there(layer, unit, place, said):
    with pytest.raises(UserError, match=said):
        of_units(
            created("lenet"),
            torch.zeros(2, 3, 32, 32),
            layer,
            [0, unit],
            [(0, 0) if layer.startswith("conv") else None, place],
            "deconvnet",
        )


def test_no_images_and_unknown_methods():
    model = created("lenet")
    assert of_units(model, torch.zeros(0, 3, 32, 32), "conv1", [], [], "deconvnet").shape == (
        0,
        3,
        32,
        32,
    )
    with pytest.raises(UserError, match="no method named 'saliency'.*deconvnet"):
        of_units(model, torch.zeros(1, 3, 32, 32), "conv1", [0], [(0, 0)], "saliency")
    with pytest.raises(UserError, match="no method named 'LIME'.*Grad-CAM"):
        evidence(model, torch.zeros(1, 3, 32, 32), 0, "LIME")
    with pytest.raises(UserError, match="no class named '10'"):
        evidence(model, torch.zeros(1, 3, 32, 32), 10, "occlusion")


# Classes


@pytest.mark.parametrize("name", ["lenet", "resnet32", "three_layer_functional", "airbench"])
def test_integrated_gradients_add_up_to_the_difference_of_logits(name):
    model, image = activations.prepare(created(name)), torch.randn(1, 3, 32, 32)
    found = evidence(model, image, 4, "integrated gradients")
    rise = (model(image) - model(torch.zeros_like(image)))[0, 4].item()
    assert found.values.shape == (32, 32)
    assert found.facts["rise"] == pytest.approx(rise, abs=1e-4)
    assert (
        found.values.sum()
        == pytest.approx(found.facts["total"], abs=1e-4)
        == pytest.approx(rise, rel=0.03)
    )
    assert found.facts["steps"] == 256 or abs(found.facts["total"] - rise) <= 0.0101 * abs(rise)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("lenet", "conv2"),
        ("resnet32", "stage3"),
        ("three_layer_functional", "conv2"),
        ("resnet18", "layer4"),
    ],
)
def test_grad_cam_by_hand(name, layer):
    model, size = created(name), (64, 64) if name == "resnet18" else (32, 32)
    image, kept = torch.randn(1, 3, *size), []
    found = evidence(model, image, 2, "Grad-CAM")
    twin = activations.twin(model)
    after = {"conv2": "relu2"}.get(layer, layer)  # where the maps are rectified
    twin.get_submodule(after).register_forward_hook(
        lambda module, inputs, output: kept.append(output.requires_grad_())
    )
    gradient = torch.autograd.grad(twin(image)[0, 2], kept[0])[0]
    expected = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).clamp(min=0)
    expected = F.interpolate(expected, size, mode="bilinear", align_corners=False)[0, 0].detach()
    is_rectified = "conv" in layer
    size = tuple(kept[0].shape[2:])
    assert found.facts == {"layer": layer, "rectified": is_rectified, "size": size}
    np.testing.assert_allclose(found.values, expected, atol=1e-6)


class Ending(nn.Module):
    """A convolution, and what comes behind it, before the classes."""

    def __init__(self, behind):
        super().__init__()
        self.conv, self.behind = nn.Conv2d(3, 6, 3), behind
        self.fc = nn.Linear(6 * 9, 4)

    def forward(self, images):
        return self.fc(F.adaptive_max_pool2d(self.behind(self.conv(images)), 3).flatten(1))


def normalised(maps):
    spread = torch.linspace(0.5, 2, 6)
    return F.dropout(F.batch_norm(maps, spread - 1, spread, weight=spread.flip(0)), training=False)


@pytest.mark.parametrize(
    ("behind", "is_rectified"),
    [
        (nn.ReLU(inplace=True), True),
        (lambda maps: F.relu(maps), True),
        (lambda maps: maps.relu_(), True),
        (lambda maps: F.leaky_relu(normalised(maps), 0.1), True),
        (lambda maps: F.gelu(normalised(maps)), True),
        (nn.SiLU(), True),
        (nn.Identity(), False),
        (nn.MaxPool2d(2), False),
        (lambda maps: F.relu(F.max_pool2d(maps, 2)), False),
    ],
)
def test_grad_cam_is_of_the_maps_as_they_are_rectified(behind, is_rectified):
    """Of what comes out behind the convolution where a rectifier stands there before the pool, by
    autograd from a copy of the network that begins there.
    """
    torch.manual_seed(1)
    model = Ending(behind).eval()
    image = torch.randn(1, 3, 14, 14)
    with torch.no_grad():
        maps = model.conv(image)
        maps = (behind(maps.clone()) if is_rectified else maps).requires_grad_()
    after = maps if is_rectified else behind(maps)
    logits = model.fc(F.adaptive_max_pool2d(after, 3).flatten(1))
    (gradient,) = torch.autograd.grad(logits[0, 1], maps)
    expected = (gradient.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True).clamp(min=0)
    expected = F.interpolate(expected, (14, 14), mode="bilinear", align_corners=False)[0, 0]
    found = evidence(model, image, 1, "Grad-CAM")
    assert found.facts["rectified"] == is_rectified
    np.testing.assert_allclose(found.values, expected.detach(), atol=1e-6)
    assert found.values.max() > 0


@pytest.mark.parametrize(
    "name", [one for one in architectures.names() if "152" not in one and "101" not in one]
)
def test_the_last_maps_are_those_before_they_are_pooled_away(name):
    with torch.device("meta"):
        model = activations.prepare(architectures.create(name))
    rows = layer_table(model, architectures.get(name).input_size)
    row = last_maps(rows)
    later = rows[rows.index(row) + 1 :]
    assert max(row.output_shape[1:]) > 1
    assert not any(
        one.is_convolution and one.depth <= row.depth and max(one.output_shape[1:]) > 1
        for one in later
    )


def test_a_network_without_maps_has_no_grad_cam():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(UserError, match="no layer with maps"):
        evidence(model, torch.zeros(1, 3, 2, 2), 0, "Grad-CAM")


def test_of_a_linear_network_everything_is_known():
    """A pixel adds its weight times its value; a window takes away what it covers, and a pixel has
    the mean of the windows over it.
    """
    torch.manual_seed(0)
    model, image = (
        nn.Sequential(nn.Flatten(), nn.Linear(2 * 16 * 11, 3)).requires_grad_(False),
        torch.randn(1, 2, 16, 11),
    )
    added = (model[1].weight[1] * image.flatten()).reshape(2, 16, 11).sum(0).numpy()
    np.testing.assert_allclose(
        evidence(model, image, 1, "integrated gradients").values, added, atol=1e-6
    )
    found = evidence(model, image, 1, "occlusion")
    assert found.facts == {"window": (3, 2), "stride": (1, 1)}
    total, count = np.zeros((16, 11)), np.zeros((16, 11))
    for row in range(14):
        for column in range(10):
            window = np.s_[row : row + 3, column : column + 2]
            total[window] += added[window].sum()
            count[window] += 1
    np.testing.assert_allclose(found.values, total / count, atol=1e-5)


def test_the_control_is_the_same_each_time_and_leaves_the_random_state_alone():
    run = folders.open_run("lenet")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = randomised(run)
    assert torch.equal(torch.rand(3), expected)
    with ThreadPoolExecutor(2) as pool:
        others = list(pool.map(lambda _: randomised(run), range(4)))
    assert all(
        torch.equal(one, two)
        for other in others
        for one, two in zip(first.parameters(), other.parameters(), strict=True)
    )
    assert not first.training
    assert [name for name, _ in first.named_modules()] == [
        name for name, _ in created("lenet").named_modules()
    ]


# Nothing left behind, and threads beside one another


def condition(model):
    modules = [
        (
            name,
            len(module._forward_hooks),
            len(module._forward_pre_hooks),
            len(module._backward_hooks),
            module.training,
            getattr(module, "inplace", None),
        )
        for name, module in model.named_modules()
    ]
    return modules, [
        (one.requires_grad, one.grad, one.sum().item())
        for one in [*model.parameters(), *model.buffers()]
    ]


class Cancelled(Exception):
    pass


def cancel(share):
    raise Cancelled


@pytest.mark.parametrize("is_prepared", [True, False])
def test_nothing_is_left_on_the_model(is_prepared, monkeypatch):
    model = created("resnet18").train()
    model = activations.prepare(model) if is_prepared else model
    images, before = torch.randn(2, 3, 32, 32), condition(model)
    for method in unit_methods():
        of_units(model, images, "layer2.0.relu#2", [0, 1], [(0, 0), (1, 1)], method)
        with pytest.raises(Cancelled):
            of_units(model, images, "fc", [0, 1], [None, None], method, cancel)
        with pytest.raises(UserError):
            of_units(model, images, "nowhere", [0, 1], [None, None], method)
    for method in class_methods():
        shares = []
        evidence(model, images[:1], 1, method, shares.append)
        assert shares == sorted(shares)
        assert shares[-1] == 1
        with pytest.raises(Cancelled):
            evidence(model, images[:1], 1, method, cancel)
    with monkeypatch.context() as patched:
        patched.setattr(F, "adaptive_avg_pool2d", lambda *arguments: 1 / 0)
        for compute in (
            lambda: of_units(model, images, "conv1", [0, 0], [(0, 0)] * 2, "deconvnet"),
            lambda: evidence(model, images[:1], 1, "Grad-CAM"),
        ):
            with pytest.raises(ZeroDivisionError):
                compute()
    assert condition(model) == before
    assert not images.requires_grad
    assert images.grad is None
    assert torch.is_grad_enabled()
    assert F.relu(torch.ones(1)).item() == 1
    slots = [
        activations.slots.acquire(blocking=False) for _ in range(activations.slots._initial_value)
    ]
    for _ in slots:
        activations.slots.release()
    assert all(slots), "each slot has been given back"


def test_threads_on_one_model_beside_one_that_reads_maps():
    model, images = activations.prepare(created("resnet32")), torch.randn(2, 3, 32, 32)
    kinds = [
        lambda: of_units(model, images, "stage2", [3, 5], [(1, 1), (2, 2)], "deconvnet"),
        lambda: evidence(model, images[:1], 3, "Grad-CAM").values,
    ]
    kinds.append(
        lambda: of_units(
            model, images, "stage2", [3, 5], [(1, 1), (2, 2)], "guided backpropagation"
        )
    )
    alone, maps = (
        [compute() for compute in kinds],
        activations.capture(model, images, ["stage1"])[1]["stage1"],
    )
    ended, wrong = threading.Event(), []

    def read():
        while not ended.is_set():
            wrong.append(
                not torch.equal(activations.capture(model, images, ["stage1"])[1]["stage1"], maps)
            )

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda number: kinds[number % 3](), range(9)))
    ended.set()
    reader.join()
    assert all(np.allclose(one, alone[number % 3], atol=1e-6) for number, one in enumerate(found))
    assert wrong
    assert not any(wrong)
