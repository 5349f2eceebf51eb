"""Wide residual networks, as their two commonest sources name their layers.

Zagoruyko and Komodakis, Wide Residual Networks, https://arxiv.org/abs/1605.07146
"""

from __future__ import annotations

from functools import partial

from torch import nn

from vizlib.architectures.elsewhere import Source, add
from vizlib.architectures.elsewhere.blocks import (
    Residual,
    conv,
    head,
    named,
    norms_before,
    stages,
)

XTERNALZ = Source(
    "xternalz",
    "xternalz's WideResNet-pytorch",
    "https://github.com/xternalz/WideResNet-pytorch",
    (125.3 / 255, 123.0 / 255, 113.9 / 255),
    (63.0 / 255, 62.1 / 255, 66.7 / 255),
    "cifar10",
)
MELIKETOY = Source(
    "meliketoy",
    "meliketoy's wide-resnet.pytorch",
    "https://github.com/meliketoy/wide-resnet.pytorch",
    (0.4914, 0.4822, 0.4465),
    (0.2023, 0.1994, 0.2010),
    "cifar10",
)
# (depth, times as wide)
XTERNALZ_SIZES = (
    *((16, 1), (16, 2), (16, 4), (16, 8), (16, 10), (22, 8), (28, 2), (28, 4), (28, 8)),
    *((28, 10), (28, 12), (34, 10), (40, 1), (40, 2), (40, 4), (40, 8), (40, 10)),
)
MELIKETOY_SIZES = ((28, 2), (28, 10), (28, 20), (40, 10), (40, 14), (16, 4), (16, 8))


def _widths(wide: int) -> tuple[int, ...]:
    return (16 * wide, 32 * wide, 64 * wide)


def xternalz_block(in_channels: int, width: int, stride: int) -> Residual:
    """Where the number of channels changes the shortcut takes what the first norm and ReLU make."""
    branch = norms_before([conv(in_channels, width, 3, stride), conv(width, width)])
    shared = {name: branch.pop(name) for name in ("bn1", "relu1")}
    shortcut = None if in_channels == width else conv(in_channels, width, 1, stride)
    return Residual(branch, shortcut, shortcut_name="convShortcut", shared=shared)


def xternalz(depth: int, wide: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """depth: 6n + 4, in three stages of n blocks, each within `layer`."""
    widths = _widths(wide)
    blocks = stages(xternalz_block, 16, widths, ((depth - 4) // 6,) * 3)
    return named(
        {
            "conv1": conv(in_channels, 16),
            **{
                f"block{number}": named({"layer": stage})
                for number, stage in enumerate(blocks.values(), 1)
            },
            "bn1": nn.BatchNorm2d(widths[-1]),
            "relu": nn.ReLU(),
            **head(widths[-1], num_classes, "fc"),
        }
    )


def meliketoy_block(in_channels: int, width: int, stride: int) -> Residual:
    """Biases everywhere; the second convolution strides; the shortcut takes the maps themselves."""
    convolutions = [
        conv(in_channels, width, bias=True),
        conv(width, width, 3, stride, bias=True),
    ]
    changes = in_channels != width or stride != 1
    shortcut = nn.Sequential(conv(in_channels, width, 1, stride, bias=True)) if changes else None
    return Residual(norms_before(convolutions), shortcut)


def meliketoy(depth: int, wide: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """depth: 6n + 4, in three stages of n blocks."""
    widths = _widths(wide)
    return named(
        {
            "conv1": conv(in_channels, 16, bias=True),
            **stages(meliketoy_block, 16, widths, ((depth - 4) // 6,) * 3),
            "bn1": nn.BatchNorm2d(widths[-1]),
            "relu": nn.ReLU(),
            **head(widths[-1], num_classes),
        }
    )


for depth, wide in XTERNALZ_SIZES:
    add(
        XTERNALZ,
        f"wrn_{depth}_{wide}",
        partial(xternalz, depth, wide),
        summary=f"A wide residual network of {depth} layers, {wide} times as wide.",
    )
for depth, wide in MELIKETOY_SIZES:
    add(
        MELIKETOY,
        f"wide_resnet_{depth}x{wide}",
        partial(meliketoy, depth, wide),
        summary=f"A wide residual network of {depth} layers, {wide} times as wide, with biases.",
    )
