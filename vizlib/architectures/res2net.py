"""Res2Net: a residual block whose 3x3 convolution is a small hierarchy of scales.

Gao et al., Res2Net: A New Multi-scale Backbone Architecture, https://arxiv.org/abs/1904.01169
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from vizlib.architectures import register
from vizlib.architectures.resnet_cifar import ResNetCifar, projection_shortcut


@register(partners={"resnet18_cifar": "scales in a block"})
def res2net18(
    num_classes: int = 10, in_channels: int = 3, widths: tuple[int, ...] = (64, 128, 256, 512)
) -> nn.Module:
    """Res2Net with the layout of ResNet-18: four groups of channels in a block, each seeing further
    than the one before.

    Source: Gao et al. 2019, https://arxiv.org/abs/1904.01169
    """
    return ResNetCifar(num_classes, in_channels, widths, block=Res2NetBlock)


class Res2NetBlock(nn.Module):
    """1x1 convolution, four scales, 1x1 convolution, shortcut.

    The scales are y1 = x1, y2 = K2(x2), y3 = K3(x3 + y2), y4 = K4(x4 + y3), as in the paper's
    equation 1: K is a 3x3 convolution on a quarter of the channels. A block that strides follows
    the authors' code, since the paper's text says nothing of it: the 3x3 convolutions stride,
    nothing is added between the scales (their sizes differ), and x1 is average-pooled 3x3.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        width = out_channels // 4
        self.strides = stride != 1
        self.conv1 = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.scale1 = nn.AvgPool2d(3, stride=stride, padding=1) if self.strides else nn.Identity()
        self.scale2 = _scale(width, stride)
        self.scale3 = _scale(width, stride)
        self.scale4 = _scale(width, stride)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = projection_shortcut(in_channels, out_channels, stride)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        x1, x2, x3, x4 = self.relu1(self.bn1(self.conv1(maps))).chunk(4, dim=1)
        y1 = self.scale1(x1)
        y2 = self.scale2(x2)
        y3 = self.scale3(x3 if self.strides else x3 + y2)
        y4 = self.scale4(x4 if self.strides else x4 + y3)
        branch = self.bn2(self.conv2(torch.cat([y1, y2, y3, y4], dim=1)))
        return branch + self.shortcut(maps)


def _scale(width: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(OrderedDict(conv=convolution, bn=nn.BatchNorm2d(width), relu=nn.ReLU()))
