"""ResNet-18 for 32x32 images, whose frame `res2net` shares, and whose basic block `late_pool` does.

He et al., Deep Residual Learning for Image Recognition, https://arxiv.org/abs/1512.03385
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import nn

from vizlib.architectures import register
from vizlib.architectures.initialisation import kaiming_convolutions


@register()
def resnet18_cifar(
    num_classes: int = 10, in_channels: int = 3, widths: tuple[int, ...] = (64, 128, 256, 512)
) -> nn.Module:
    """ResNet-18 for small images: a 3x3 stem without a pool, so that 32x32 pixels last for four
    stages.

    Source: He et al. 2015, https://arxiv.org/abs/1512.03385, with the stem usual for CIFAR-10.
    """
    return ResNetCifar(num_classes, in_channels, widths, block=BasicBlock)


class ResNetCifar(nn.Module):
    """A 3x3 stem, four stages of two blocks, of which the last three halve the size, global average
    pool, linear.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        widths: tuple[int, ...],
        block: Callable[..., nn.Module],
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu1 = nn.ReLU()
        self.stage1 = two_blocks(block, widths[0], widths[0], stride=1)
        self.stage2 = two_blocks(block, widths[0], widths[1], stride=2)
        self.stage3 = two_blocks(block, widths[1], widths[2], stride=2)
        self.stage4 = two_blocks(block, widths[2], widths[3], stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)  # a window of 4 at 32x32
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[3], num_classes)
        kaiming_convolutions(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.relu1(self.bn1(self.conv1(images)))
        maps = self.stage4(self.stage3(self.stage2(self.stage1(maps))))
        return self.fc(self.flatten(self.pool(maps)))


def two_blocks(
    block: Callable[..., nn.Module], in_channels: int, out_channels: int, stride: int
) -> nn.Sequential:
    """block1, relu1, block2, relu2. A block returns its sum; the ReLU that the paper puts after the
    sum is a layer of its own.
    """
    layers = OrderedDict(
        block1=block(in_channels, out_channels, stride),
        relu1=nn.ReLU(),
        block2=block(out_channels, out_channels, 1),
        relu2=nn.ReLU(),
    )
    return nn.Sequential(layers)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: the identity, or a 1x1 convolution with batch norm where
    the shape changes.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = projection_shortcut(in_channels, out_channels, stride)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        branch = self.relu1(self.bn1(self.conv1(maps)))
        branch = self.bn2(self.conv2(branch))
        return branch + self.shortcut(maps)


def projection_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    convolution = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
    return nn.Sequential(OrderedDict(conv=convolution, bn=nn.BatchNorm2d(out_channels)))
