"""Plain and residual networks of equal depth, with the activation before each convolution.

He et al., Identity Mappings in Deep Residual Networks, https://arxiv.org/abs/1603.05027. The
comparison is the lesson: without the shortcut the gradient fades on its way to the first layers.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from vizlib.architectures import register
from vizlib.architectures.initialisation import kaiming_convolutions


@register()
def plain32(
    num_classes: int = 10,
    in_channels: int = 3,
    widths: tuple[int, ...] = (16, 32, 64),
    blocks: int = 5,
) -> nn.Module:
    """Thirty-two layers without a shortcut: what a deep network does when the gradient has one way
    only.

    1 + 3 stages x 5 blocks x 2 convolutions + 1. Source: He et al. 2016,
    https://arxiv.org/abs/1603.05027
    """
    return PreactivationNet(PlainBlock, num_classes, in_channels, widths, blocks)


@register(partners={"plain32": "shortcuts"})
def resnet32(
    num_classes: int = 10,
    in_channels: int = 3,
    widths: tuple[int, ...] = (16, 32, 64),
    blocks: int = 5,
) -> nn.Module:
    """The same thirty-two layers with a shortcut around every two: the residual network that trains
    better.

    Source: He et al. 2016, https://arxiv.org/abs/1603.05027
    """
    return PreactivationNet(ResidualBlock, num_classes, in_channels, widths, blocks)


@register()
def resnet32_bottleneck(
    num_classes: int = 10,
    in_channels: int = 3,
    widths: tuple[int, ...] = (64, 128, 256),
    blocks: int = 5,
) -> nn.Module:
    """The residual network with bottleneck blocks: 1x1 down to a quarter of the channels, 3x3, 1x1
    up again.

    The widths are four times those of resnet32, as in the ResNet paper, so that the 3x3
    convolutions have the same 16, 32 and 64 channels and a block costs about the same. Source: He
    et al. 2016, https://arxiv.org/abs/1603.05027
    """
    return PreactivationNet(BottleneckBlock, num_classes, in_channels, widths, blocks)


class PreactivationNet(nn.Module):
    """A stem (3x3 convolution, ReLU), three stages of blocks, global average pool, linear. The
    second and third stage halve the size.
    """

    def __init__(
        self,
        block: Callable[..., nn.Module],
        num_classes: int,
        in_channels: int,
        widths: tuple[int, ...],
        blocks: int,
    ) -> None:
        super().__init__()
        first, second, third = widths
        # no batch norm follows, so it has a bias
        self.conv1 = nn.Conv2d(in_channels, first, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.stage1 = _stage(block, first, first, blocks, downsample=False)
        self.stage2 = _stage(block, first, second, blocks, downsample=True)
        self.stage3 = _stage(block, second, third, blocks, downsample=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(third, num_classes)
        kaiming_convolutions(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.relu1(self.conv1(images))
        maps = self.stage3(self.stage2(self.stage1(maps)))
        return self.fc(self.flatten(self.pool(maps)))


def _stage(
    block: Callable[..., nn.Module],
    in_channels: int,
    out_channels: int,
    blocks: int,
    downsample: bool,
) -> nn.Sequential:
    stage = nn.Sequential()
    for number in range(1, blocks + 1):
        stage.add_module(
            f"block{number}",
            block(
                in_channels if number == 1 else out_channels,
                out_channels,
                downsample and number == 1,
            ),
        )
    return stage


class PlainBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, downsample: bool = False) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, 3, stride=2 if downsample else 1, padding=1, bias=False
        )
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        maps = self.conv1(self.relu1(self.bn1(maps)))
        return self.conv2(self.relu2(self.bn2(maps)))


class ResidualBlock(PlainBlock):
    def __init__(self, in_channels: int, out_channels: int, downsample: bool = False) -> None:
        super().__init__(in_channels, out_channels, downsample)
        self.shortcut = _shortcut(in_channels, out_channels, downsample)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return super().forward(maps) + self.shortcut(maps)


class BottleneckBlock(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, downsample: bool = False) -> None:
        super().__init__()
        inner = out_channels // 4
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU()
        # the first 1x1 carries the stride
        self.conv1 = nn.Conv2d(in_channels, inner, 1, stride=2 if downsample else 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(inner)
        self.relu3 = nn.ReLU()
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.shortcut = _shortcut(in_channels, out_channels, downsample)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        branch = self.conv1(self.relu1(self.bn1(maps)))
        branch = self.conv2(self.relu2(self.bn2(branch)))
        branch = self.conv3(self.relu3(self.bn3(branch)))
        return branch + self.shortcut(maps)


def _shortcut(in_channels: int, out_channels: int, downsample: bool) -> nn.Module:
    """The identity, or a 1x1 convolution where the shape changes."""
    if in_channels == out_channels and not downsample:
        return nn.Identity()
    return nn.Conv2d(in_channels, out_channels, 1, stride=2 if downsample else 1, bias=False)
