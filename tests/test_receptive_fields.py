"""Receptive fields against light sent through the networks, against perturbed pixels, and against
boxes tried one by one.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vizlib import architectures
from vizlib.errors import UserError
from vizlib.inside.activations import capture, observing, prepare
from vizlib.inside.layers import layer_table
from vizlib.inside.receptive_fields import box, effective, spans, tight_box

# Every architecture: a row of pixels is lit, and a place is lit if it sees it. Nothing cancels: all
# weights are positive


class Window(nn.Module):
    """Stands for a convolution: a place of each of four channels is lit if any place of any channel
    in its window is.
    """

    def __init__(self, convolution):
        super().__init__()
        self.like = convolution

    def forward(self, maps):
        like = self.like
        lit = F.conv2d(
            maps.sum(1, keepdim=True),
            torch.ones(1, 1, *like.kernel_size),
            stride=like.stride,
            padding=like.padding,
            dilation=like.dilation,
        )
        return (lit > 0).float().repeat(1, 4, 1, 1)


class Mixed(nn.Module):
    """Stands for a linear layer."""

    def forward(self, vectors):
        return vectors.amax(1, keepdim=True)


def transparent(model):
    """The model with all its windows and paths, and nothing that could hide a pixel: positive
    weights, no biases, no normalisation.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(0 if name.endswith("bias") else 1)
    for path, module in list(model.named_modules()):
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.BatchNorm1d)):
            stand_in = (
                Window(module)
                if isinstance(module, nn.Conv2d)
                else Mixed()
                if isinstance(module, nn.Linear)
                else nn.Identity()
            )
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, stand_in)
    return prepare(model)


def lit_spans(model, side, width, axis):
    """{layer: [(first, end) of the pixel rows, or columns, that light each row, or column, of its
    map]}, of `side` rows or columns.
    """
    # the n-th image has its n-th row lit
    images = torch.eye(side)[:, None, :, None].expand(side, 3, side, width)
    found = {}

    def keep(name, module, output):
        lit = (
            (output > 0).amax(1, keepdim=True)
            if output.dim() < 4
            else (output > 0).amax((1, 3 - axis))
        )
        spans = [line.nonzero().flatten() for line in lit.T]
        found.setdefault(name, []).append(
            [(int(span[0]), int(span[-1]) + 1) if len(span) else None for span in spans]
        )

    with torch.inference_mode(), observing(keep):
        model(images if axis == 0 else images.transpose(2, 3))
    return {
        name if call == 0 else f"{name}#{call + 1}": one
        for name, calls in found.items()
        for call, one in enumerate(calls)
    }


@pytest.mark.parametrize("name", architectures.names())
def test_every_place_of_every_layer_sees_what_lights_it(name):
    side = 96
    sized = {"image_size": side} if "image_size" in architectures.get(name).arguments else {}
    rows = layer_table(architectures.create(name, **sized), (3, side, side))
    model = transparent(architectures.create(name, **sized))
    for axis in (0, 1):
        # others take images of any width, and narrow ones are quick
        lit = lit_spans(model, side, side if sized else 32, axis)
        for row in rows:
            assert spans(row, (3, side, side))[axis] == lit[row.name], (row.name, axis)


def test_starts_by_hand():
    """7x7 and a 3x3 pool, both of stride 2, padded; a 2x2 that is not; two branches of which the
    strided one sees one pixel, the upper left.
    """
    table = {row.name: row for row in layer_table(architectures.create("resnet18"), (3, 224, 224))}
    assert [(table[name].start, table[name].end) for name in ("conv1", "maxpool", "layer1")] == [
        ((-3, -3), (4, 4)),
        ((-5, -5), (6, 6)),
        ((-21, -21), (22, 22)),
    ]
    table = {row.name: row for row in layer_table(architectures.create("airbench"), (3, 32, 32))}
    assert [
        (table[name].start[0], table[name].end[0], table[name].stride[0])
        for name in ("conv1", "stage1.conv1", "stage1.pool")
    ] == [(0, 2, 1), (-1, 3, 1), (-1, 4, 2)]
    assert (table["fc"].start, table["fc"].receptive_field) == (None, (32, 32))


# Measured: one pixel after another is changed, and the places that change are noted. Generic
# weights, float64


def moving_boxes(model, layer_names, side, channels=3, starts=1, strength=1.0):
    """{layer: {place: (top, left, bottom, right) of the pixels that move any of its units, or
    None}}, seen from some random images.
    """
    generator, boxes = torch.Generator().manual_seed(0), {}
    one_changed = torch.eye(side**2, dtype=torch.float64).reshape(-1, 1, side, side)
    for sign in (1, -1) * starts:
        image = torch.randn(1, channels, side, side, generator=generator, dtype=torch.float64)
        before, after = (
            capture(model, images, layer_names)[1]
            for images in (image, image + sign * strength * one_changed)
        )
        for name in layer_names:
            moved = (after[name] - before[name]).abs().amax(1) > 1e-12 * before[name].abs().max()
            boxes[name] = boxes.get(name, False) | moved.reshape(side, side, *moved.shape[1:])
    return {
        name: {place: hull(moved[:, :, *place]) for place in np.ndindex(*moved.shape[2:])}
        for name, moved in boxes.items()
    }


def hull(moved):
    rows, columns = moved.any(1).nonzero().flatten(), moved.any(0).nonzero().flatten()
    return (
        (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
        if len(rows)
        else None
    )


def computed_boxes(model, layer_names, input_size):
    table = {row.name: row for row in layer_table(model, input_size)}
    return {
        name: {
            place: box(table[name], place, input_size)
            for place in np.ndindex(*table[name].output_shape[1:])
        }
        for name in layer_names
    }


@pytest.mark.parametrize(
    ("name", "side", "layer_names"),
    [
        ("airbench", 16, ["conv1", "stage1.conv1", "stage1.pool", "stage1.conv2", "stage2.conv1"]),
        (
            "resnet32_bottleneck",
            16,
            ["conv1", "stage1.block1", "stage2.block1.conv1", "stage2.block1.shortcut"],
        ),
        ("res2net18", 12, ["stage1.block1.scale4.conv", "stage1.relu1", "stage2.block1.scale1"]),
        ("lenet", 20, ["conv1", "pool1", "conv2", "pool2"]),
    ],
)
def test_measured_boxes_of_all_places(name, side, layer_names):
    torch.manual_seed(0)
    sized = {"image_size": side} if "image_size" in architectures.get(name).arguments else {}
    widths = {
        "airbench": (16, 16, 16),
        "resnet32_bottleneck": (16, 16, 16),
        "res2net18": (16, 16, 16, 16),
    }
    model = architectures.create(
        name, **sized, **({"widths": widths[name]} if name in widths else {})
    ).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    assert moving_boxes(prepare(model), layer_names, side, starts=3, strength=5) == computed_boxes(
        model, layer_names, (3, side, side)
    )


class Beside(nn.Module):
    """The maps of all branches, one behind the other."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, maps):
        return torch.cat([branch(maps) for branch in self.branches], dim=1)


class Every(nn.Module):
    """A shortcut without weights: every second row, and every second column from the second one
    on.
    """

    def forward(self, maps):
        return maps[:, :, ::2, 1::2]


ODD = {
    "a strided shortcut": Beside(nn.Conv2d(1, 2, 3, 2, padding=1), nn.Conv2d(1, 2, 1, 2)),
    "a shortcut without weights": nn.Sequential(
        nn.Conv2d(1, 2, 2, padding=1),
        Beside(
            nn.Conv2d(2, 2, (1, 3), 2, padding=(0, 1)),
            nn.Sequential(Every(), nn.ZeroPad2d((0, 0, 1, -1))),
        ),
    ),
    "parts of a map": nn.Sequential(Every(), nn.Conv2d(1, 2, 2)),
    "pads at opposite sides": Beside(
        nn.Sequential(nn.ZeroPad2d((2, 0, 0, 1)), nn.Conv2d(1, 1, (2, 3))),
        nn.Sequential(nn.ZeroPad2d((0, 2, 1, 0)), nn.Conv2d(1, 1, (2, 3))),
    ),
    "an even kernel of the same size": nn.Sequential(
        nn.Conv2d(1, 3, 4, padding="same"), nn.Conv2d(3, 3, 2, padding="same", groups=3)
    ),
    "mirrored and repeated edges": nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"),
        nn.ReplicationPad2d((2, 1, 1, 2)),
        nn.Conv2d(2, 2, 4),
    ),
    "dilation by axis, depthwise": nn.Sequential(
        nn.Conv2d(1, 2, 2), nn.Conv2d(2, 2, 3, (1, 2), padding=(0, 1), dilation=(3, 1), groups=2)
    ),
    "pools that end outside": nn.Sequential(
        nn.AvgPool2d(3, 2, padding=1, ceil_mode=True), nn.MaxPool2d(2, ceil_mode=True)
    ),
    "cells of unequal size": nn.AdaptiveAvgPool2d((5, 7)),
    "cells of equal size": nn.Sequential(
        nn.Conv2d(1, 2, 3, 2), nn.Conv2d(2, 2, 1), nn.AdaptiveMaxPool2d((3, 2))
    ),
    "a transposed convolution": nn.ConvTranspose2d(1, 2, 4, 2, padding=1),
    "one of odd size": nn.Sequential(
        nn.ConvTranspose2d(1, 2, 3, 2, padding=1, output_padding=1), nn.ReLU()
    ),
}


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
@pytest.mark.parametrize("words", ODD)
def test_odd_networks_measured(words):
    torch.manual_seed(0)
    model = prepare(nn.Sequential(ODD[words], nn.Identity()).double())
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    assert moving_boxes(model, ["0"], 13, channels=1, starts=4, strength=50) == computed_boxes(
        model, ["0"], (1, 13, 13)
    )


class Do(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, maps):
        return self.function(maps)


class ChannelNorm(nn.Module):
    """ConvNeXt's: at each position over the channels."""

    def forward(self, maps):
        return F.layer_norm(maps.permute(0, 2, 3, 1), (maps.shape[1],)).permute(0, 3, 1, 2)


def first(*modules):
    """After a strided, padded convolution that leaves several channels, as ODD is measured."""
    return nn.Sequential(nn.Conv2d(1, 4, 3, 2, padding=1), *modules)


def scaled(factor, **settings):
    return Do(lambda maps: F.interpolate(maps, scale_factor=factor, **settings))


def sized(size, **settings):
    return Do(lambda maps: F.interpolate(maps, size=size, **settings))


EXACT = {
    "group norm": first(nn.GroupNorm(2, 4)),
    "instance norm": first(nn.InstanceNorm2d(4)),
    "layer norm of a map": first(nn.LayerNorm((7, 7))),
    "layer norm of its columns": first(nn.LayerNorm(7)),
    "batch norm with the statistics of the training": first(nn.BatchNorm2d(4)),
    "batch norm without them": first(nn.BatchNorm2d(4, track_running_stats=False)),
    "layer norm of the channels": first(ChannelNorm()),
    "softmax over the channels": first(nn.Softmax(1)),
    "softmax over the rows": first(nn.Softmax(2)),
    "nearest, twice": scaled(2),
    "bilinear, twice": scaled(2, mode="bilinear"),
    "bilinear, three times": scaled(3, mode="bilinear"),
    "bilinear, by axis": scaled((4, 2), mode="bilinear"),
    "bicubic, twice": scaled(2, mode="bicubic"),
    "channels shuffled": first(
        Do(lambda maps: maps.unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)), nn.Conv2d(4, 1, 2)
    ),
    "parts of the channels": first(
        Do(lambda maps: torch.cat([part.relu() for part in maps.chunk(2, 1)], 1)),
        Do(lambda maps: torch.stack(maps.split([1, 3], 1)[1].unbind(1), 1)),
    ),
    "channels last": first(
        Do(lambda maps: F.linear(maps.permute(0, 2, 3, 1), maps.new_ones(3, 4)).movedim(3, 1))
    ),
    "a mean of the channels": first(
        Do(lambda maps: maps * maps.mean(1, keepdim=True) + maps.amax(1).unsqueeze(1))
    ),
    "in place": first(Do(lambda maps: F.relu(maps.clone(), inplace=True).mul_(2).add_(maps))),
    "mirrored edges by axis": nn.Sequential(
        nn.ReflectionPad2d((2, 1, 1, 1)), nn.ReLU(), nn.Conv2d(1, 2, (3, 5))
    ),
    "more channels of zeros": first(Do(lambda maps: F.pad(maps, (0, 0, 0, 0, 1, 2)))),
}


def centred(parameters):
    for parameter in parameters:
        nn.init.normal_(parameter)


def measured_and_computed(module, starts=4, strength=3.0):
    """Both boxes of all positions of a module's maps, for images of 13x13; and its Layer."""
    torch.manual_seed(0)
    model = prepare(nn.Sequential(module, nn.Identity()).double())
    centred(model.parameters())
    layer = {layer.name: layer for layer in layer_table(model, (1, 13, 13))}["0"]
    measured = moving_boxes(model, ["0"], 13, channels=1, starts=starts, strength=strength)["0"]
    computed = {position: box(layer, position, (1, 13, 13)) for position in measured}
    return measured, computed, layer


def holds(outer, inner):
    return inner is None or (
        all(a <= b for a, b in zip(outer[:2], inner[:2], strict=True))
        and all(a >= b for a, b in zip(outer[2:], inner[2:], strict=True))
    )


SEES_ALL = (
    "group norm",
    "instance norm",
    "layer norm of a map",
    "layer norm of its columns",
    "batch norm without them",
    "softmax over the rows",
)


@pytest.mark.parametrize("words", EXACT)
def test_rules_measured(words):
    measured, computed, _ = measured_and_computed(EXACT[words])
    if words in SEES_ALL:
        assert set(computed.values()) == {(0, 0, 13, 13)}
        assert all(holds(computed[position], measured[position]) for position in measured)
        # a part of a column more than the window itself
        assert max(box[2] - box[0] for box in measured.values()) > 3 or words.endswith("columns")
    else:
        assert computed == measured


LOOSE = {  # exact in the middle of a map only, or for some sizes only
    "nearest, after a strided one": first(scaled(2)),
    "nearest, three times": scaled(3),
    "nearest, one and a half times": scaled(1.5),
    "nearest, to a size": sized((17, 9)),
    "bilinear, after a strided one": first(scaled(2, mode="bilinear"), nn.Conv2d(4, 2, 3)),
    "bilinear, one and a half times": scaled(1.5, mode="bilinear"),
    "bilinear, to a size": sized((17, 9), mode="bilinear"),
    "bilinear, corner to corner": sized((20, 25), mode="bilinear", align_corners=True),
    "bicubic, corner to corner": sized((20, 8), mode="bicubic", align_corners=True),
    "bicubic, after a strided one": first(scaled(3, mode="bicubic")),
    "one position beside many": first(
        Do(lambda maps: maps + F.conv2d(maps, maps.new_ones(4, 4, 6, 6))[:, :, :1, :1])
    ),
    "two that move apart": Do(lambda maps: maps[:, :, :6, :6] + maps[:, :, ::2, ::2][..., :6, :6]),
}


@pytest.mark.parametrize("words", LOOSE)
def test_no_rule_is_too_narrow(words):
    """Every pixel that moves a position lies in its box, and the box is not much larger."""
    measured, computed, layer = measured_and_computed(LOOSE[words])
    if layer.receptive_field is None:
        assert words == "two that move apart"
        return
    for position, inner in measured.items():
        assert holds(computed[position], inner), position
        if words != "one position beside many":
            sizes = [edge[2] - edge[0] for edge in (computed[position], inner)]
            assert sizes[0] <= sizes[1] + 8, position


def rewritten(maps):
    """Written into another view of the same tensor."""
    result = torch.zeros_like(maps)
    result[:, :, 1:] = maps[:, :, :-1].cumsum(2)
    return result


def added_in_a_view(maps):
    maps = maps.clone()
    maps[:, 1:2].add_(F.avg_pool2d(maps[:, :1], 3, 1, 1))
    return maps


WITHOUT_A_RULE = {
    "a running sum": lambda maps: maps.cumsum(3),
    "rolled": lambda maps: maps.roll((2, 5), (2, 3)),
    "mirrored": lambda maps: maps.flip(3),
    "sorted": lambda maps: maps.sort(2).values,
    "of frequencies": lambda maps: torch.fft.fft2(maps).real,
    "pixels shuffled": lambda maps: F.pixel_shuffle(maps, 2),
    "pixels unshuffled": lambda maps: F.pixel_unshuffle(maps[:, :, :6, :6], 2),
    "some positions picked": lambda maps: maps[:, :, [6, 0, 3]],
    "turned": lambda maps: maps.transpose(2, 3),
    "laid out otherwise": lambda maps: maps.reshape(len(maps), 4, 49, 1),
    "and back": lambda maps: maps.reshape(len(maps), 4, 49).flip(2).reshape(maps.shape),
    "one beside another": lambda maps: torch.cat([maps, maps], 3),
    "one row": lambda maps: maps.select(2, 5)[:, :, None],
    "rows apart": lambda maps: maps.split(4, 2)[1],
    "compared": lambda maps: (maps.flatten(2).mT @ maps.flatten(2)).softmax(-1)[:, None],
    "sampled": lambda maps: F.grid_sample(
        maps,
        F.affine_grid(
            maps.new_tensor([[[0, 1.0, 0], [1, 0, 0]]]), (1, 1, 7, 7), align_corners=False
        ).expand(len(maps), -1, -1, -1),
        align_corners=False,
    ),
    "written into": rewritten,
    "added in a view": added_in_a_view,
    "mirrored wider than the window": lambda maps: F.avg_pool2d(
        F.pad(maps, (2, 2, 2, 2), mode="reflect"), 3, 1
    ),
    "repeated wider than the window": lambda maps: F.max_pool2d(
        F.pad(maps, (3, 3, 3, 3), mode="replicate"), 2, 1
    ),
    "mirrored and enlarged": lambda maps: F.interpolate(
        F.pad(maps, (1, 1, 1, 1), mode="reflect"), scale_factor=2
    ),
    "round the edge": lambda maps: F.pad(maps, (1, 1, 1, 1), mode="circular"),
    "antialiased": lambda maps: F.interpolate(maps, 5, mode="bilinear", antialias=True),
    "unfolded": lambda maps: F.unfold(maps, 3)[:, None],
}


@pytest.mark.parametrize("words", WITHOUT_A_RULE)
def test_what_has_no_rule_is_not_known(words):
    """And so is all that is made of it, until it is laid out as one vector."""
    module = first(Do(WITHOUT_A_RULE[words]))
    tail = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten())
    layers = layer_table(nn.Sequential(module, tail), (1, 13, 13))
    table = {layer.name: layer for layer in layers}
    assert table["0.0"].receptive_field == (3, 3)
    for name in ("0.1", "0", "1.0", "1.1"):
        layer = table[name]
        assert (layer.receptive_field, layer.start, layer.end, layer.stride) == (None,) * 4, name
        assert spans(layer, (1, 13, 13)) is None
        assert box(layer, (0, 0), (1, 13, 13)) is None
    assert table["1.2"].receptive_field == (13, 13)
    assert spans(table["1.2"], (1, 13, 13)) == ([(0, 13)], [(0, 13)])


def test_mirrored_edges_are_known_once_a_window_reaches_over_them():
    model = nn.Sequential(nn.ReflectionPad2d(1), nn.ReLU(), nn.Conv2d(1, 1, 3))
    fields = [layer.receptive_field for layer in layer_table(model, (1, 13, 13))]
    assert fields == [None, None, (3, 3)]


@pytest.mark.parametrize("words", WITHOUT_A_RULE)
def test_what_has_seen_everything_sees_no_more(words):
    module = first(nn.GroupNorm(2, 4), Do(WITHOUT_A_RULE[words]))
    layer = layer_table(nn.Sequential(module), (1, 13, 13))[-1]
    assert layer.receptive_field in ((13, 13), None)
    assert layer.start is None


def test_where_a_box_is_not_the_smallest_it_holds_all():
    model = prepare(
        nn.Sequential(
            nn.Conv2d(1, 2, 3, 2, padding=2, dilation=2),
            nn.ConvTranspose2d(2, 2, 2, 2),
            nn.AdaptiveAvgPool2d((5, 5)),
        ).double()
    )
    for name, places in moving_boxes(model, ["0", "1", "2"], 13, channels=1).items():
        for place, found in computed_boxes(model, [name], (1, 13, 13))[name].items():
            (top, left, bottom, right), inner = found, places[place]
            assert top <= inner[0] <= top + 2
            assert left <= inner[1] <= left + 2
            assert bottom - 2 <= inner[2] <= bottom
            assert right - 2 <= inner[3] <= right


def test_squeezed_maps_see_the_whole_image():
    class Squeeze(nn.Module):
        def forward(self, maps):
            return maps * maps.mean((2, 3), keepdim=True)

    table = layer_table(
        nn.Sequential(
            nn.Conv2d(1, 2, 3, 2),
            Squeeze(),
            nn.Conv2d(2, 2, 3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        ),
        (1, 9, 12),
    )
    assert [box(row, (0, 0), (1, 9, 12)) for row in table] == [(0, 0, 3, 3), *[(0, 0, 9, 12)] * 4]
    assert table[2].stride == (2, 2)
    assert box(table[4], (), (1, 9, 12)) == (0, 0, 9, 12)


def test_a_place_outside_is_said():
    row = layer_table(architectures.create("lenet"), (3, 32, 32))[0]
    for place in ((28, 0), (0, 28), (-1, 0)):
        with pytest.raises(
            UserError, match="no position .* in conv1: its map has 28 rows and 28 columns"
        ):
            box(row, place, (3, 32, 32))


def test_places_of_a_map_averaged_down():
    """A cell sees what the places see that it is the mean of, as adaptive pools take them."""
    row = layer_table(architectures.create("lenet"), (3, 32, 32))[0]
    places, cells = (spans(row, (3, 32, 32), shape)[0] for shape in (None, (5, 9)))
    # (cells, places)
    means = F.adaptive_avg_pool2d(torch.eye(28)[:, None, :, None].expand(28, 1, 28, 9), (5, 9))[
        :, 0, :, 0
    ].T
    expected = [
        (places[int(mean.nonzero()[0])][0], places[int(mean.nonzero()[-1])][1]) for mean in means
    ]
    assert cells == expected


# The effective field


def traces(model):
    hooks = [
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for module in model.modules()
    ]
    return (
        hooks,
        [module.training for module in model.modules()],
        [(parameter.requires_grad, parameter.grad) for parameter in model.parameters()],
    )


def by_differences(model, image, layer_name, unit, place, step=1e-6):
    """The gradient's absolute value for each pixel, by central differences."""
    steps = torch.eye(image.numel(), dtype=image.dtype).reshape(-1, *image.shape[1:]) * step
    up, down = (
        capture(model, image + way * steps, [layer_name])[1][layer_name][
            (slice(None), unit, *place)
        ]
        for way in (1, -1)
    )
    return ((up - down) / (2 * step)).reshape(image.shape).abs().sum(1)[0].numpy()


@pytest.mark.parametrize(
    ("name", "arguments", "layer_name", "unit", "place"),
    [
        ("three_layer_functional", {"image_size": 16}, "relu2", 3, (0, 11)),
        ("lenet", {"image_size": 16}, "pool1", 2, (5, 0)),
        ("lenet", {"image_size": 16}, "fc3", 7, ()),
        ("airbench", {"widths": (8, 10, 8)}, "stage2.gelu1", 9, (0, 2)),
    ],
)
def test_effective_is_the_gradient(name, arguments, layer_name, unit, place):
    torch.manual_seed(1)
    model = prepare(architectures.create(name, **arguments).double())
    image = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    found = effective(model, image, layer_name, unit, place)
    assert found.dtype == np.float32
    assert found.shape == (16, 16)
    assert found.max() > 0
    assert np.allclose(
        found, by_differences(model, image, layer_name, unit, place), rtol=1e-4, atol=1e-6
    )


def test_effective_of_the_second_call_lies_in_its_box():
    torch.manual_seed(0)
    shared = nn.Conv2d(3, 3, 3, padding=1)
    model = nn.Sequential(shared, nn.Tanh(), shared)
    image = torch.randn(1, 3, 12, 12)
    first, second = (effective(model, image, name, 1, (4, 6)) for name in ("0", "0#2"))
    table = {row.name: row for row in layer_table(model, (3, 12, 12))}
    for name, found in (("0", first), ("0#2", second)):
        top, left, bottom, right = box(table[name], (4, 6), (3, 12, 12))
        assert found[top:bottom, left:right].all()
        assert np.count_nonzero(found) == (bottom - top) * (right - left)
    assert np.count_nonzero(second) > np.count_nonzero(first)


def test_effective_of_a_silent_unit_is_zero():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())
    nn.init.constant_(model[0].bias, -99)
    found = effective(model, torch.rand(1, 1, 6, 6), "1", 0, (2, 2))
    assert not found.any()
    assert tight_box(found) is None


@pytest.mark.parametrize("prepared", [False, True])
def test_effective_leaves_nothing_behind(prepared):
    model = architectures.create("lenet")
    if prepared:
        prepare(model)
    before, image = traces(model), torch.rand(1, 3, 32, 32)
    effective(model, image, "conv2", 0, (0, 0))
    for wrong, words in (
        (("conv9", 0, (0, 0)), "no layer named 'conv9'"),
        (("conv2", 16, (0, 0)), "no unit 16 at 0, 0 in the layer 'conv2'"),
        (("fc1", 0, (0, 0)), "no unit 0 at 0, 0 in the layer 'fc1'"),
    ):
        with pytest.raises(UserError, match=words):
            effective(model, image, *wrong)
    with pytest.raises(RuntimeError):
        effective(model, torch.rand(1, 3, 4, 4), "fc1", 0, ())
    assert traces(model) == before
    assert not image.requires_grad
    assert image.grad is None
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_tight_box_is_the_smallest_of_all():
    random = np.random.default_rng(0)
    for _ in range(20):
        influence = (random.random((7, 6)) ** 8 * (random.random((7, 6)) < 0.5)).astype(np.float32)
        top, left, bottom, right = tight_box(influence)
        needed = 0.95 * influence.astype(float).sum()
        sizes = [
            ((b - t) * (r - left_), -influence[t:b, left_:r].astype(float).sum())
            for t in range(7)
            for b in range(t + 1, 8)
            for left_ in range(6)
            for r in range(left_ + 1, 7)
            if influence[t:b, left_:r].astype(float).sum() >= needed
        ]
        assert (
            (bottom - top) * (right - left),
            -influence[top:bottom, left:right].astype(float).sum(),
        ) == pytest.approx(min(sizes))


def test_tight_box_by_hand():
    influence = np.zeros((9, 9), np.float32)
    influence[4, 5], influence[4, 6], influence[0, 0] = 90, 6, 4
    assert tight_box(influence) == (4, 5, 5, 7)
    assert tight_box(influence, 0.9) == (4, 5, 5, 6)
    assert tight_box(influence, 0.97) == (0, 0, 5, 7)
    assert tight_box(np.full((5, 5), np.nan)) is None
