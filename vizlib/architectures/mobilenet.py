"""MobileNet: a 3x3 convolution taken apart into one for each channel (depthwise) and a 1x1 across
channels (pointwise).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

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


@register(partners={"mobilenet_two_norms": "the norm and ReLU between"})
def mobilenet(num_classes: int = 10, in_channels: int = 3, width: float = 1.0) -> nn.Module:
    """MobileNet: depthwise and pointwise convolutions, an eighth of the work of ordinary ones.

    One norm and one ReLU a block, after the pointwise convolution, as in the report. `width` scales
    all channel numbers. Source: Howard et al. 2017, https://arxiv.org/abs/1704.04861
    """
    return _mobilenet(_separable_block, num_classes, in_channels, width)


@register()
def mobilenet_two_norms(
    num_classes: int = 10, in_channels: int = 3, width: float = 1.0
) -> nn.Module:
    """MobileNet as in its paper: a norm and a ReLU after the depthwise convolution of a block too.

    `width` scales all channel numbers. Source: Howard et al. 2017, figure 3
    """
    return _mobilenet(_block_of_two_norms, num_classes, in_channels, width)


def _mobilenet(
    block: Callable[[int, int, int], nn.Module], num_classes: int, in_channels: int, width: float
) -> nn.Module:
    """block: makes one of its thirteen from input channels, output channels and stride."""
    channels = _scaled(STEM, width)
    model = nn.Sequential()
    model.add_module("conv1", nn.Conv2d(in_channels, channels, 3, stride=2, padding=1, bias=False))
    model.add_module("bn1", nn.BatchNorm2d(channels))
    model.add_module("relu1", nn.ReLU())
    for number, (out_channels, stride) in enumerate(BLOCKS, start=1):
        model.add_module(f"block{number}", block(channels, _scaled(out_channels, width), stride))
        channels = _scaled(out_channels, width)
    model.add_module("pool", nn.AdaptiveAvgPool2d(1))
    model.add_module("flatten", nn.Flatten())
    model.add_module("fc", nn.Linear(channels, num_classes))
    return kaiming_convolutions(model)


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _separable_block(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        depthwise=_depthwise(in_channels, stride),
        pointwise=nn.Conv2d(in_channels, out_channels, 1, bias=False),
        bn=nn.BatchNorm2d(out_channels),
        relu=nn.ReLU(),
    )
    return nn.Sequential(layers)


def _block_of_two_norms(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        depthwise=_depthwise(in_channels, stride),
        bn1=nn.BatchNorm2d(in_channels),
        relu1=nn.ReLU(),
        pointwise=nn.Conv2d(in_channels, out_channels, 1, bias=False),
        bn2=nn.BatchNorm2d(out_channels),
        relu2=nn.ReLU(),
    )
    return nn.Sequential(layers)


def _depthwise(channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
