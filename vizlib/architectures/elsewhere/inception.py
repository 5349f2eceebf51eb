"""GoogLeNet at 32x32 pixels with batch norm, as kuangliu and weiaicunzai name its layers. Registers
no network.

Szegedy et al., Going Deeper with Convolutions, https://arxiv.org/abs/1409.4842
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from vizlib.architectures.elsewhere.blocks import Concatenated, Layers, conv, head, named, normed

# 1x1; 3x3, before and after; 5x5 as two 3x3, before and after; behind the pool
WIDTHS = {
    "a3": (64, 96, 128, 16, 32, 32),
    "b3": (128, 128, 192, 32, 96, 64),
    "a4": (192, 96, 208, 16, 48, 64),
    "b4": (160, 112, 224, 24, 64, 64),
    "c4": (128, 128, 256, 24, 64, 64),
    "d4": (112, 144, 288, 32, 64, 64),
    "e4": (256, 160, 320, 32, 128, 128),
    "a5": (256, 160, 320, 32, 128, 128),
    "b5": (384, 192, 384, 48, 128, 128),
}


def _in_turn(in_channels: int, *steps: tuple[int, int]) -> list[nn.Module]:
    """Convolutions of (channels, size), each with a bias, a norm and a ReLU."""
    layers: list[nn.Module] = []
    for channels, size in steps:
        layers += normed(conv(in_channels, channels, size, bias=True))
        in_channels = channels
    return layers


def inception(in_channels: int, widths: Sequence[int]) -> Concatenated:
    """b1 to b4."""
    one, before_3, three, before_5, five, pooled = widths
    pool = nn.MaxPool2d(3, 1, padding=1)
    return Concatenated(
        {
            "b1": nn.Sequential(*_in_turn(in_channels, (one, 1))),
            "b2": nn.Sequential(*_in_turn(in_channels, (before_3, 1), (three, 3))),
            "b3": nn.Sequential(*_in_turn(in_channels, (before_5, 1), (five, 3), (five, 3))),
            "b4": nn.Sequential(pool, *_in_turn(in_channels, (pooled, 1))),
        }
    )


def googlenet(before: Layers, num_classes: int) -> nn.Module:
    """before: what makes 192 maps of a picture."""
    layers = dict(before)
    channels = 192
    for name, widths in WIDTHS.items():
        layers[name] = inception(channels, widths)
        channels = widths[0] + widths[2] + widths[4] + widths[5]
        if name in ("b3", "e4"):
            layers[f"maxpool{name[1]}"] = nn.MaxPool2d(3, 2, padding=1)
    return named({**layers, **head(channels, num_classes)})
