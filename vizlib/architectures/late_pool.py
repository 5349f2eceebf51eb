"""ResNet-18 with the max pool moved behind the first stage, for large pictures of its feature
maps.
"""

from __future__ import annotations

import torch
from torch import nn

from vizlib.architectures import register
from vizlib.architectures.initialisation import kaiming_convolutions
from vizlib.architectures.resnet_cifar import BasicBlock, two_blocks


@register(input_size=(3, 224, 224))
def resnet18_late_pool(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """ResNet-18 whose max pool comes after the first stage: the 64 maps of its first layers stay
    112 x 112.

    For CIFAR-10 resized to 224 x 224. Source: a course report's variant of He et al. 2015,
    https://arxiv.org/abs/1512.03385
    """
    return ResNetLatePool(num_classes, in_channels)


class ResNetLatePool(nn.Module):
    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu1 = nn.ReLU()
        self.stage1 = two_blocks(BasicBlock, 64, 64, stride=1)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stage2 = two_blocks(BasicBlock, 64, 128, stride=2)
        self.stage3 = two_blocks(BasicBlock, 128, 256, stride=2)
        self.stage4 = two_blocks(BasicBlock, 256, 512, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)  # a window of 7 at 224x224; any other size works too
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(512, num_classes)
        kaiming_convolutions(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.relu1(self.bn1(self.conv1(images)))
        maps = self.maxpool(self.stage1(maps))
        maps = self.stage4(self.stage3(self.stage2(maps)))
        return self.fc(self.flatten(self.avgpool(maps)))
