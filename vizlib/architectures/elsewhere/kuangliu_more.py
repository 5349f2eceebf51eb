"""kuangliu's other networks for CIFAR-10: GoogLeNet, DPN, both ShuffleNets, EfficientNet, RegNet,
DLA, PNASNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from vizlib.architectures.elsewhere import add
from vizlib.architectures.elsewhere.blocks import (
    Block,
    Concatenated,
    Gate,
    Layers,
    Residual,
    Shuffle,
    basic_block,
    conv,
    head,
    named,
    normed,
    norms_behind,
    projection,
    run,
    stage,
    stages,
)
from vizlib.architectures.elsewhere.inception import googlenet as googlenet_behind
from vizlib.architectures.elsewhere.kuangliu import (
    KUANGLIU,
    inverted_convolutions,
    squeeze,
    stem,
)

DPN_GROWTH = (16, 32, 24, 128)
SHUFFLENET_V2_WIDTHS = {
    "0.5": (48, 96, 192, 1024),
    "1": (116, 232, 464, 1024),
    "1.5": (176, 352, 704, 1024),
    "2": (224, 488, 976, 2048),
}
# (expansion, channels, blocks, size, stride)
EFFICIENTNET = (
    *((1, 16, 1, 3, 1), (6, 24, 2, 3, 2), (6, 40, 2, 5, 2), (6, 80, 3, 3, 2)),
    *((6, 112, 3, 5, 1), (6, 192, 4, 5, 2), (6, 320, 1, 3, 1)),
)
# (depths, widths, width of a group, weighs channels)
REGNETS = {
    "RegNetX_200MF": ((1, 1, 4, 7), (24, 56, 152, 368), 8, False),
    "RegNetX_400MF": ((1, 2, 7, 12), (32, 64, 160, 384), 16, False),
    "RegNetY_400MF": ((1, 2, 7, 12), (32, 64, 160, 384), 16, True),
}


def googlenet(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """One 3x3 convolution comes first."""
    before: Layers = {"pre_layers": normed(conv(in_channels, 192, bias=True))}
    return googlenet_behind(before, num_classes)


class DualPath(nn.Module):
    """The first `width` channels are added to those of the shortcut, the others join behind them
    (arXiv 1707.01629).
    """

    def __init__(self, layers: Layers, shortcut: nn.Module | None, width: int) -> None:
        super().__init__()
        self.width = width
        self._branch = list(layers)
        for name, module in layers.items():
            self.add_module(name, module)
        self.shortcut = shortcut or nn.Sequential()
        self.relu = nn.ReLU()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        new = run(self, self._branch, maps)
        old = self.shortcut(maps)
        total = old[:, : self.width] + new[:, : self.width]
        return self.relu(torch.cat([total, old[:, self.width :], new[:, self.width :]], dim=1))


def dpn(depths: Sequence[int], num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Four stages, each of its own growth; their first blocks have a shortcut with weights."""
    channels = 64
    layers = stem(in_channels)
    for number, (depth, growth) in enumerate(zip(depths, DPN_GROWTH, strict=True)):
        inner, width = 96 * 2**number, 256 * 2**number
        blocks = []
        for block in range(depth):
            stride = 2 if number and not block else 1
            convolutions = [
                conv(channels, inner, 1),
                conv(inner, inner, 3, stride, groups=32),
                conv(inner, width + growth, 1),
            ]
            shortcut = None if block else projection(channels, width + growth, stride)
            blocks.append(DualPath(norms_behind(convolutions), shortcut, width))
            channels = width + (block + 2) * growth
        layers[f"layer{number + 1}"] = nn.Sequential(*blocks)
    return named({**layers, **head(channels, num_classes)})


class ShuffleUnit(nn.Module):
    """1x1 in groups, shuffled, depthwise, 1x1 in groups; added to its maps, or where it halves the
    size joined by their means (arXiv 1707.01083).
    """

    def __init__(self, in_channels: int, new: int, stride: int, groups: int) -> None:
        super().__init__()
        inner = new // 4
        first = 1 if in_channels == 24 else groups
        layers = norms_behind(
            [
                conv(in_channels, inner, 1, groups=first),
                conv(inner, inner, 3, stride, groups=inner),
                conv(inner, new, 1, groups=groups),
            ]
        )
        order = ("conv1", "bn1", "relu1", "shuffle1", "conv2", "bn2", "relu2", "conv3", "bn3")
        layers["shuffle1"] = Shuffle(first)
        for name in order:
            self.add_module(name, layers[name])
        self._branch = order
        self.halves = stride == 2
        self.shortcut = nn.AvgPool2d(3, 2, padding=1) if self.halves else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        new, old = run(self, self._branch, maps), self.shortcut(maps)
        return self.relu(torch.cat([new, old], dim=1) if self.halves else new + old)


def shufflenet(
    groups: int, widths: Sequence[int], num_classes: int = 10, in_channels: int = 3
) -> nn.Module:
    """The stem is a 1x1 convolution of 24 filters; every stage halves the size."""
    channels = 24
    layers = stem(in_channels, channels, size=1)
    for number, (width, depth) in enumerate(zip(widths, (4, 8, 4), strict=True), 1):
        units = [ShuffleUnit(channels, width - channels, 2, groups)]
        units += [ShuffleUnit(width, width, 1, groups) for _ in range(depth - 1)]
        layers[f"layer{number}"] = nn.Sequential(*units)
        channels = width
    return named({**layers, **head(channels, num_classes)})


class HalfUnit(nn.Module):
    """The first half of the channels passes on, the second is convolved; then both are shuffled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        layers = norms_behind(
            [conv(half, half, 1), conv(half, half, groups=half), conv(half, half, 1)],
            last_relu=True,
        )
        del layers["relu2"]  # none behind the depthwise convolution
        for name, module in layers.items():
            self.add_module(name, module)
        self._branch = list(layers)
        self.shuffle = Shuffle(2)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        first = maps.shape[1] // 2
        new = run(self, self._branch, maps[:, first:])
        return self.shuffle(torch.cat([maps[:, :first], new], dim=1))


class Down(Concatenated):
    """Two branches that halve the size, conv1 and conv2, and conv3 to conv5; then a shuffle."""

    def __init__(self, in_channels: int, width: int) -> None:
        half = width // 2
        layers = norms_behind(
            [
                conv(in_channels, in_channels, 3, 2, groups=in_channels),
                conv(in_channels, half, 1),
                conv(in_channels, half, 1),
                conv(half, half, 3, 2, groups=half),
                conv(half, half, 1),
            ],
            last_relu=True,
        )
        del layers["relu1"], layers["relu4"]  # none behind the depthwise convolutions
        left = [name for name in layers if name[-1] in "12"]
        super().__init__(layers, [left, [name for name in layers if name not in left]])
        self.shuffle = Shuffle(2)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.shuffle(super().forward(maps))


def shufflenet_v2(widths: Sequence[int], num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """widths: of three stages and of the last convolution."""
    channels = 24
    layers = stem(in_channels, channels)
    for number, (width, depth) in enumerate(zip(widths[:3], (3, 7, 3), strict=True), 1):
        units = [Down(channels, width), *(HalfUnit(width) for _ in range(depth))]
        layers[f"layer{number}"] = nn.Sequential(*units)
        channels = width
    last: Layers = {
        "conv2": conv(channels, widths[3], 1),
        "bn2": nn.BatchNorm2d(widths[3]),
        "relu2": nn.ReLU(),
    }
    return named({**layers, **last, **head(widths[3], num_classes)})


def _efficient_block(
    in_channels: int, width: int, expansion: int, size: int, stride: int
) -> nn.Module:
    """Squeeze and excitation before the last 1x1 convolution; SiLU for ReLU. The 1x1 convolution
    of a block that does not expand is there, and not used.
    """
    convolutions = inverted_convolutions(in_channels, width, expansion, stride, size)
    layers = {
        name: nn.SiLU() if name.startswith("relu") else module
        for name, module in norms_behind(convolutions).items()
    }
    inner = expansion * in_channels
    gate = Gate(squeeze(inner, in_channels // 4, ("se1", "se2")))
    gate.squeeze_relu = nn.SiLU()
    order = ["conv1", "bn1", "relu1", "conv2", "bn2", "relu2", "se", "conv3", "bn3"]
    layers["se"] = gate
    ordered = {name: layers[name] for name in order}
    used = order[3:] if expansion == 1 else order
    return EfficientBlock(ordered, used, skips=stride == 1 and in_channels == width)


class EfficientBlock(nn.Module):
    """Its `used` layers, and the maps added again if it skips."""

    def __init__(self, layers: Layers, used: Sequence[str], skips: bool) -> None:
        super().__init__()
        for name, module in layers.items():
            self.add_module(name, module)
        self._used = used
        self.skips = skips

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        result = run(self, self._used, maps)
        return result + maps if self.skips else result


def efficientnet_b0(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """The stem keeps the size (arXiv 1905.11946)."""
    channels = 32
    blocks = []
    for expansion, width, depth, size, stride in EFFICIENTNET:
        for number in range(depth):
            blocks.append(
                _efficient_block(channels, width, expansion, size, 1 if number else stride)
            )
            channels = width
    first: Layers = {
        "conv1": conv(in_channels, 32),
        "bn1": nn.BatchNorm2d(32),
        "silu1": nn.SiLU(),
    }
    return named({**first, "layers": nn.Sequential(*blocks), **head(channels, num_classes)})


def regnet(
    depths: Sequence[int],
    widths: Sequence[int],
    group_width: int,
    weighs: bool,
    num_classes: int = 10,
    in_channels: int = 3,
) -> nn.Module:
    """Bottlenecks that do not narrow, their 3x3 convolutions in groups (arXiv 2003.13678)."""

    def block(channels: int, width: int, stride: int) -> Residual:
        layers = norms_behind(
            [
                conv(channels, width, 1),
                conv(width, width, 3, stride, groups=width // group_width),
                conv(width, width, 1),
            ]
        )
        if weighs:  # between the second and the third
            last = {name: layers.pop(name) for name in ("conv3", "bn3")}
            gate = Gate(squeeze(width, round(channels * 0.25), ("se1", "se2")))
            layers |= {"se": gate, **last}
        return Residual(layers, projection(channels, width, stride), after={"relu": nn.ReLU()})

    layers = stages(block, 64, widths, depths, (1, 1, 2, 2))
    return named({**stem(in_channels), **layers, **head(widths[-1], num_classes)})


def _root(in_channels: int, width: int) -> nn.Sequential:
    return named(
        {"conv": conv(in_channels, width, 1), "bn": nn.BatchNorm2d(width), "relu": nn.ReLU()}
    )


class Tree(nn.Module):
    """What the subtrees of all lower levels, a block before them and two behind make, joined by the
    root (arXiv 1707.06484).
    """

    def __init__(self, in_channels: int, width: int, level: int, stride: int) -> None:
        super().__init__()
        self.root = _root((level + 2) * width if level > 1 else 2 * width, width)
        self._subtrees = [f"level_{number}" for number in range(level - 1, 0, -1)]
        for number in range(level - 1, 0, -1):
            self.add_module(f"level_{number}", Tree(in_channels, width, number, stride))
        if level > 1:
            self.prev_root = basic_block(in_channels, width, stride)
        first = width if level > 1 else in_channels
        self.left_node = basic_block(first, width, 1 if level > 1 else stride)
        self.right_node = basic_block(width, width, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        seen = [self.prev_root(maps)] if self._subtrees else []
        for name in (*self._subtrees, "left_node", "right_node"):
            maps = run(self, [name], maps)
            seen.append(maps)
        return self.root(torch.cat(seen, dim=1))


class SimpleTree(nn.Module):
    """Two subtrees, or blocks, one behind the other, joined by the root."""

    def __init__(self, in_channels: int, width: int, level: int, stride: int) -> None:
        super().__init__()
        self.root = _root(2 * width, width)
        if level == 1:
            self.left_tree = basic_block(in_channels, width, stride)
            self.right_tree = basic_block(width, width, 1)
        else:
            self.left_tree = SimpleTree(in_channels, width, level - 1, stride)
            self.right_tree = SimpleTree(width, width, level - 1, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        left = self.left_tree(maps)
        return self.root(torch.cat([left, self.right_tree(left)], dim=1))


def dla(
    tree: type[Tree] | type[SimpleTree], num_classes: int = 10, in_channels: int = 3
) -> nn.Module:
    """Three convolutions, then four trees."""
    return named(
        {
            "base": normed(conv(in_channels, 16)),
            "layer1": normed(conv(16, 16)),
            "layer2": normed(conv(16, 32)),
            "layer3": tree(32, 64, 1, 1),
            "layer4": tree(64, 128, 2, 2),
            "layer5": tree(128, 256, 2, 2),
            "layer6": tree(256, 512, 1, 2),
            **head(512, num_classes),
        }
    )


def _separable(in_channels: int, width: int, size: int, stride: int) -> nn.Sequential:
    convolution = conv(in_channels, width, size, stride, groups=in_channels)
    return named({"conv1": convolution, "bn1": nn.BatchNorm2d(width)})


def _pooled(in_channels: int, width: int, stride: int) -> Layers:
    """A max pool, and a 1x1 convolution where it halves the size."""
    layers: Layers = {"maxpool": nn.MaxPool2d(3, stride, padding=1)}
    if stride == 2:
        layers |= {"conv1": conv(in_channels, width, 1), "bn1": nn.BatchNorm2d(width)}
    return layers


class CellA(nn.Module):
    """A 7x7 separable convolution beside a max pool."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.sep_conv1 = _separable(in_channels, width, 7, stride)
        pooled = _pooled(in_channels, width, stride)
        for name, module in pooled.items():
            self.add_module(name, module)
        self._pooled = list(pooled)
        self.relu = nn.ReLU()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.relu(self.sep_conv1(maps) + run(self, self._pooled, maps))


class CellB(nn.Module):
    """7x7 beside 3x3, and 5x5 beside a max pool; both sums joined by a 1x1 convolution."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.sep_conv1 = _separable(in_channels, width, 7, stride)
        self.sep_conv2 = _separable(in_channels, width, 3, stride)
        self.sep_conv3 = _separable(in_channels, width, 5, stride)
        pooled = _pooled(in_channels, width, stride)
        for name, module in pooled.items():
            self.add_module(name, module)
        self._pooled = list(pooled)
        self.relu_left = nn.ReLU()
        self.relu_right = nn.ReLU()
        self.conv2 = conv(2 * width, width, 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        left = self.relu_left(self.sep_conv1(maps) + self.sep_conv2(maps))
        right = self.relu_right(run(self, self._pooled, maps) + self.sep_conv3(maps))
        return run(self, ("conv2", "bn2", "relu2"), torch.cat([left, right], dim=1))


def pnasnet(cell: Block, channels: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Three stages of six cells, and a cell that halves the size between two."""
    layers = stem(in_channels, channels)
    layers["layer1"] = stage(cell, channels, channels, 6, 1)
    for number in (2, 4):
        layers[f"layer{number}"] = cell(channels, 2 * channels, 2)
        channels *= 2
        layers[f"layer{number + 1}"] = stage(cell, channels, channels, 6, 1)
    return named({**layers, **head(channels, num_classes)})


add(
    KUANGLIU,
    "GoogLeNet",
    googlenet,
    summary="GoogLeNet with batch norm, and two 3x3 convolutions for a 5x5.",
)
for name, depths in (("DPN26", (2, 2, 2, 2)), ("DPN92", (3, 4, 20, 3))):
    add(
        KUANGLIU,
        name,
        partial(dpn, depths),
        summary="A dual path network: some channels are added, some join behind them.",
    )
for groups, widths in ((2, (200, 400, 800)), (3, (240, 480, 960))):
    add(
        KUANGLIU,
        f"ShuffleNetG{groups}",
        partial(shufflenet, groups, widths),
        summary=f"ShuffleNet of {groups} groups for 32x32 pixels.",
    )
for size, widths in SHUFFLENET_V2_WIDTHS.items():
    add(
        KUANGLIU,
        f"ShuffleNetV2_{size}",
        partial(shufflenet_v2, widths),
        summary=f"ShuffleNetV2 for 32x32 pixels, {widths[0]} to {widths[2]} channels.",
    )
add(
    KUANGLIU,
    "EfficientNetB0",
    efficientnet_b0,
    summary="EfficientNet-B0 with a stem that keeps the size of 32x32 pixels.",
)
for name, (depths, widths, group_width, weighs) in REGNETS.items():
    add(
        KUANGLIU,
        name,
        partial(regnet, depths, widths, group_width, weighs),
        summary=f"RegNet for 32x32 pixels, its 3x3 convolutions in groups of {group_width}.",
    )
add(KUANGLIU, "DLA", partial(dla, Tree), summary="Deep layer aggregation, as in its paper.")
add(
    KUANGLIU,
    "SimpleDLA",
    partial(dla, SimpleTree),
    summary="Deep layer aggregation, with trees of two.",
)
for name, cell, channels in (("PNASNetA", CellA, 44), ("PNASNetB", CellB, 32)):
    add(
        KUANGLIU,
        name,
        partial(pnasnet, cell, channels),
        summary="PNASNet for 32x32 pixels: cells of separable convolutions and max pools.",
    )
