"""MobileNet: a 3x3 convolution taken apart into one for each channel (depthwise) and a 1x1 across
channels (pointwise).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from vizlib.architectures import register
from vizlib.architectures.initialisation import kaiming_convolutions

STEM = 32
# (channels, stride) of the thirteen blocks
BLOCKS = (
    ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2))
    + ((512, 1),) * 5
    + ((1024, 2), (1024, 1))
)


@register()
def mobilenet(num_classes: int = 10, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """MobileNet: depthwise and pointwise convolutions, an eighth of the work of ordinary ones.

    `width` scales all channel numbers. Source: Howard et al. 2017, https://arxiv.org/abs/1704.04861
    """
    channels = _scaled(STEM, width)
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False))
    model.add_module("bn1", nn.BatchNorm2d(channels))
    model.add_module("relu1", nn.ReLU())
    for number, (out_channels, stride) in enumerate(BLOCKS, start=1):
        model.add_module(
            f"block{number}", _separable_block(channels, _scaled(out_channels, width), stride)
        )
        channels = _scaled(out_channels, width)
    model.add_module("pool", nn.AdaptiveAvgPool2d(1))
    model.add_module("flatten", nn.Flatten())
    model.add_module("fc", nn.Linear(channels, num_classes))
    return kaiming_convolutions(model)


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _separable_block(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Batch norm and ReLU after the depthwise convolution too, as in the paper's figure 3."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        depthwise=nn.Conv2d(
            in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels, bias=False
        ),
        bn1=nn.BatchNorm2d(in_channels),
        relu1=nn.ReLU(),
        pointwise=nn.Conv2d(in_channels, out_channels, 1, bias=False),
        bn2=nn.BatchNorm2d(out_channels),
        relu2=nn.ReLU(),
    )
    return nn.Sequential(layers)
