"""Networks that torchvision has, with the changes that make them fit 32x32 pixels; the names of
their layers are torchvision's. Registers no network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from vizlib.architectures.elsewhere.blocks import (
    Concatenated,
    Layers,
    Residual,
    Shuffle,
    basic_block,
    bottleneck,
    conv,
    head,
    named,
    normed,
    norms_behind,
    stages,
)
from vizlib.architectures.elsewhere.small import linear_layers, vgg_features

RESNET_DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
# (expansion, channels, blocks, stride); the second stage keeps its size
MOBILENET_V2 = (
    *((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


def vgg(depth: int, hidden: int, num_classes: int, in_channels: int, *, side: int = 1) -> nn.Module:
    """Batch norm behind each convolution, three linear layers; features.N, classifier.0, .3, .6.

    side: of the maps that the linear layers are given, from an adaptive pool.
    """
    return named(
        {
            "features": nn.Sequential(*vgg_features(depth, in_channels, batch_norm=True)),
            "avgpool": nn.AdaptiveAvgPool2d(side),
            "flatten": nn.Flatten(),
            "classifier": nn.Sequential(
                *linear_layers(512 * side**2, hidden, hidden, num_classes, dropout=True)
            ),
        }
    )


def resnet(depth: int, num_classes: int, in_channels: int) -> nn.Module:
    """The stem is a 3x3 convolution that keeps the size; the pool behind it stays."""
    block: Callable[..., nn.Module] = basic_block if depth < 50 else bottleneck
    expansion = 1 if depth < 50 else 4
    return named(
        {
            **norms_behind([conv(in_channels, 64)], last_relu=True),
            "maxpool": nn.MaxPool2d(3, 2, padding=1),
            **stages(
                partial(block, shortcut_name="downsample"),
                64,
                (64, 128, 256, 512),
                RESNET_DEPTHS[depth],
                expansion=expansion,
            ),
            **head(512 * expansion, num_classes, "fc"),
        }
    )


def rounded(channels: float) -> int:
    """To the nearest multiple of 8, but not below nine tenths of it (arXiv 1801.04381)."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def _relu6(convolution: nn.Conv2d) -> nn.Sequential:
    return normed(convolution, nn.ReLU6)


def _inverted(in_channels: int, out_channels: int, expansion: int, stride: int) -> nn.Module:
    inner = in_channels * expansion
    layers: list[nn.Module] = [] if expansion == 1 else [_relu6(conv(in_channels, inner, 1))]
    layers += [
        _relu6(conv(inner, inner, 3, stride, groups=inner)),
        *normed(conv(inner, out_channels, 1), activation=None),
    ]
    branch: Layers = {"conv": nn.Sequential(*layers)}
    keeps_shape = stride == 1 and in_channels == out_channels
    return Residual(branch) if keeps_shape else named(branch)


def mobilenet_v2(width: float, num_classes: int, in_channels: int) -> nn.Module:
    """width scales all channel numbers, the last one only upwards."""
    channels = rounded(32 * width)
    layers: list[nn.Module] = [_relu6(conv(in_channels, channels))]
    for expansion, base, depth, stride in MOBILENET_V2:
        for number in range(depth):
            out_channels = rounded(base * width)
            layers.append(_inverted(channels, out_channels, expansion, 1 if number else stride))
            channels = out_channels
    last = rounded(1280 * max(1.0, width))
    layers.append(_relu6(conv(channels, last, 1)))
    return named(
        {
            "features": nn.Sequential(*layers),
            "avgpool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "classifier": nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes)),
        }
    )


class Halved(nn.Module):
    """The first half of the channels passes on, `branch2` gets the second; then both are
    shuffled.
    """

    def __init__(self, branch2: nn.Module) -> None:
        super().__init__()
        self.branch2 = branch2
        self.shuffle = Shuffle(2)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        first, second = maps.chunk(2, dim=1)
        return self.shuffle(torch.cat([first, self.branch2(second)], dim=1))


class Halving(Concatenated):
    """Two branches that halve the size; their maps are shuffled."""

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self.shuffle = Shuffle(2)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.shuffle(super().forward(maps))


def _shuffle_unit(in_channels: int, width: int, stride: int) -> nn.Module:
    half = width // 2
    branch2 = nn.Sequential(
        *normed(conv(in_channels if stride > 1 else half, half, 1)),
        *normed(conv(half, half, 3, stride, groups=half), activation=None),
        *normed(conv(half, half, 1)),
    )
    if stride == 1:
        return Halved(branch2)
    branch1 = nn.Sequential(
        *normed(conv(in_channels, in_channels, 3, stride, groups=in_channels), activation=None),
        *normed(conv(in_channels, half, 1)),
    )
    return Halving({"branch1": branch1, "branch2": branch2})


def shufflenet_v2(widths: Sequence[int], num_classes: int, in_channels: int) -> nn.Module:
    """widths: of the three stages and of the last convolution."""
    *stage_widths, last = widths
    layers: Layers = {"conv1": normed(conv(in_channels, 24))}
    units = stages(_shuffle_unit, 24, stage_widths, (4, 8, 4), (2, 2, 2))
    for number, units_of_stage in enumerate(units.values(), 2):
        layers[f"stage{number}"] = units_of_stage
    layers["conv5"] = normed(conv(stage_widths[-1], last, 1))
    return named({**layers, **head(last, num_classes, "fc")})


def _dense_layer(channels: int, growth: int) -> Concatenated:
    layers: Layers = {
        "norm1": nn.BatchNorm2d(channels),
        "relu1": nn.ReLU(),
        "conv1": conv(channels, 4 * growth, 1),
        "norm2": nn.BatchNorm2d(4 * growth),
        "relu2": nn.ReLU(),
        "conv2": conv(4 * growth, growth),
    }
    return Concatenated(layers, [[], list(layers)])


def _transition(channels: int) -> nn.Sequential:
    return named(
        {
            "norm": nn.BatchNorm2d(channels),
            "relu": nn.ReLU(),
            "conv": conv(channels, channels // 2, 1),
            "pool": nn.AvgPool2d(2),
        }
    )


def densenet(growth: int, depths: Sequence[int], num_classes: int, in_channels: int) -> nn.Module:
    """A 3x3 stem that keeps the size, and the pool behind it; new maps stand last."""
    channels = 2 * growth
    layers: Layers = {
        "conv0": conv(in_channels, channels),
        "norm0": nn.BatchNorm2d(channels),
        "relu0": nn.ReLU(),
        "pool0": nn.MaxPool2d(3, 2, padding=1),
    }
    for number, depth in enumerate(depths, 1):
        dense = {
            f"denselayer{layer + 1}": _dense_layer(channels + layer * growth, growth)
            for layer in range(depth)
        }
        layers[f"denseblock{number}"] = named(dense)
        channels += depth * growth
        if number < len(depths):
            layers[f"transition{number}"] = _transition(channels)
            channels //= 2
    layers["norm5"] = nn.BatchNorm2d(channels)
    layers["relu5"] = nn.ReLU()
    return named({"features": named(layers), **head(channels, num_classes, "classifier")})
