"""A small DenseNet: every layer adds its maps to all that came before it.

Huang et al., Densely Connected Convolutional Networks, https://arxiv.org/abs/1608.06993
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from vizlib.architectures import register
from vizlib.architectures.initialisation import kaiming_convolutions


@register()
def densenet4(
    num_classes: int = 10,
    in_channels: int = 3,
    growth: int = 32,
    layers: tuple[int, ...] = (1, 1, 1, 1),
) -> nn.Module:
    """A DenseNet of four stages of one layer: each layer concatenates 32 new maps to those it was
    given.

    `layers` is the number of bottleneck layers in each stage, `growth` the maps that each adds.
    Source: Huang et al. 2016, https://arxiv.org/abs/1608.06993
    """
    channels = 2 * growth
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(in_channels, channels, 3, padding=1, bias=False))
    for stage, count in enumerate(layers, start=1):
        if stage > 1:
            model.add_module(f"transition{stage - 1}", _transition(channels))
            channels //= 2
        model.add_module(f"stage{stage}", _stage(channels, growth, count))
        channels += count * growth
    model.add_module("bn_last", nn.BatchNorm2d(channels))
    model.add_module("relu_last", nn.ReLU())
    model.add_module("pool", nn.AdaptiveAvgPool2d(1))  # a window of 4 at 32x32
    model.add_module("flatten", nn.Flatten())
    model.add_module("fc", nn.Linear(channels, num_classes))
    return kaiming_convolutions(model)


def _stage(channels: int, growth: int, count: int) -> nn.Sequential:
    stage = nn.Sequential()
    for number in range(count):
        stage.add_module(f"layer{number + 1}", DenseLayer(channels + number * growth, growth))
    return stage


def _transition(channels: int) -> nn.Sequential:
    """Halves the channels and the size."""
    convolution = nn.Conv2d(channels, channels // 2, 1, bias=False)
    return nn.Sequential(
        OrderedDict(
            bn=nn.BatchNorm2d(channels), relu=nn.ReLU(), conv=convolution, pool=nn.AvgPool2d(2)
        )
    )


class DenseLayer(nn.Module):
    """1x1 convolution to 4 * growth maps, 3x3 convolution to `growth` maps; returns its input with
    these maps appended.
    """

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(4 * growth)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        new = self.conv1(self.relu1(self.bn1(maps)))
        new = self.conv2(self.relu2(self.bn2(new)))
        return torch.cat([maps, new], dim=1)
