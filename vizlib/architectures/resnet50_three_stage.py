"""ResNet-50 without its last stage, for 32x32 images, with a ReLU after every convolution and none
after the sum.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from vizlib.architectures import register


@register()
def resnet50_three_stage(
    num_classes: int = 10, in_channels: int = 3, image_size: int = 32
) -> nn.Module:
    """ResNet-50 cut after its third stage, in a course's variant: the last block of a stage halves
    the size.

    Thirteen bottleneck blocks; every shortcut is a 1x1 convolution. Source: a lab report's variant
    of He et al. 2015, https://arxiv.org/abs/1512.03385
    """
    return ResNet50ThreeStage(num_classes, in_channels, image_size)


class ResNet50ThreeStage(nn.Module):
    def __init__(self, num_classes: int, in_channels: int, image_size: int) -> None:
        super().__init__()
        side = _final_side(image_size)
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu1 = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2)
        self.stage1 = _stage(64, 64, 256, blocks=3, downsample=True)
        self.stage2 = _stage(256, 128, 512, blocks=4, downsample=True)
        self.stage3 = _stage(512, 256, 1024, blocks=6, downsample=False)
        self.avgpool = nn.AvgPool2d(2, stride=1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(1024 * side**2, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.maxpool(self.relu1(self.bn1(self.conv1(images))))
        maps = self.stage3(self.stage2(self.stage1(maps)))
        return self.fc(self.flatten(self.avgpool(maps)))


def _final_side(image_size: int) -> int:
    """The side of the maps after the average pool: 32 runs 16, 7, 4, 2, 2, 1."""
    side = (image_size + 1) // 2
    side = (side - 3) // 2 + 1
    side = (side + 1) // 2
    side = (side + 1) // 2 - 1
    if side < 1:
        raise ValueError(
            f"images must have at least 21 pixels a side, not {image_size}: the average pool "
            "needs maps of 2 x 2"
        )
    return side


def _stage(
    in_channels: int, inner: int, out_channels: int, blocks: int, downsample: bool
) -> nn.Sequential:
    stage = nn.Sequential()
    for number in range(1, blocks + 1):
        stride = 2 if downsample and number == blocks else 1
        stage.add_module(
            f"block{number}",
            BottleneckBlock(
                in_channels if number == 1 else out_channels, inner, out_channels, stride
            ),
        )
    return stage


class BottleneckBlock(nn.Module):
    """1x1, 3x3, 1x1, each with batch norm and ReLU, plus a shortcut of the same kind; nothing after
    the sum.
    """

    def __init__(self, in_channels: int, inner: int, out_channels: int, stride: int) -> None:
        super().__init__()
        # Which convolution halves is not given; the first 1x1, as in the paper. No biases: the
        # batch norm takes them away again.
        self.conv1 = nn.Conv2d(in_channels, inner, 1, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.relu2 = nn.ReLU()
        self.conv3 = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu3 = nn.ReLU()
        convolution = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
        self.shortcut = nn.Sequential(
            OrderedDict(conv=convolution, bn=nn.BatchNorm2d(out_channels), relu=nn.ReLU())
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        branch = self.relu1(self.bn1(self.conv1(maps)))
        branch = self.relu2(self.bn2(self.conv2(branch)))
        branch = self.relu3(self.bn3(self.conv3(branch)))
        return branch + self.shortcut(maps)
