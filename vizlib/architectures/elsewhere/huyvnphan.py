"""huyvnphan's pretrained networks for CIFAR-10: torchvision's, with a stem that keeps the size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from vizlib.architectures.elsewhere import Source, add, like_torchvision
from vizlib.architectures.elsewhere.blocks import Concatenated, Layers, head, named, run

HUYVNPHAN = Source(
    "huyvnphan",
    "huyvnphan's PyTorch_CIFAR10",
    "https://github.com/huyvnphan/PyTorch_CIFAR10",
    (0.4914, 0.4822, 0.4465),
    (0.2471, 0.2435, 0.2616),
    "cifar10",
)
DENSENETS = {
    121: (32, (6, 12, 24, 16)),
    161: (48, (6, 12, 36, 24)),
    169: (32, (6, 12, 32, 32)),
}
# 1x1; 3x3, before and after; 5x5, before and after; behind the pool
INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def vgg(depth: int, side: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Two hidden layers of 4,096. side: of the maps that they are given."""
    return like_torchvision.vgg(depth, 4096, num_classes, in_channels, side=side)


def resnet(depth: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """The stem is a 3x3 convolution that keeps the size; the pool behind it stays."""
    return like_torchvision.resnet(depth, num_classes, in_channels)


def densenet(depth: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """The stem is a 3x3 convolution that keeps the size; the pool behind it stays."""
    return like_torchvision.densenet(*DENSENETS[depth], num_classes, in_channels)


def mobilenet_v2(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """The first two stages keep the size."""
    return like_torchvision.mobilenet_v2(1.0, num_classes, in_channels)


def convolution(
    in_channels: int, out_channels: int, size: int | tuple[int, int], stride: int = 1
) -> nn.Sequential:
    """conv, bn, relu. Padded so that it keeps the size, but not where it strides."""
    height, width = (size, size) if isinstance(size, int) else size
    padding = (0, 0) if stride > 1 else (height // 2, width // 2)
    return named(
        {
            "conv": nn.Conv2d(
                in_channels, out_channels, (height, width), stride, padding, bias=False
            ),
            "bn": nn.BatchNorm2d(out_channels, eps=0.001),
            "relu": nn.ReLU(),
        }
    )


def inception(in_channels: int, widths: Sequence[int]) -> Concatenated:
    """GoogLeNet's four branches; what torchvision calls the 5x5 one is 3x3."""
    one, before_3, three, before_5, five, pooled = widths
    return Concatenated(
        {
            "branch1": convolution(in_channels, one, 1),
            "branch2": nn.Sequential(
                convolution(in_channels, before_3, 1), convolution(before_3, three, 3)
            ),
            "branch3": nn.Sequential(
                convolution(in_channels, before_5, 1), convolution(before_5, five, 3)
            ),
            "branch4": nn.Sequential(
                nn.MaxPool2d(3, 1, padding=1), convolution(in_channels, pooled, 1)
            ),
        }
    )


def googlenet(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """One convolution of 192 filters for a stem, and none of the answers on the way."""
    layers: Layers = {"conv1": convolution(in_channels, 192, 3)}
    channels = 192
    for name, widths in INCEPTIONS.items():
        layers[f"inception{name}"] = inception(channels, widths)
        channels = widths[0] + widths[2] + widths[4] + widths[5]
        if name in ("3b", "4e"):
            layers[f"maxpool{name[0]}"] = nn.MaxPool2d(3, 2, padding=1)
    return named({**layers, **head(channels, num_classes, "fc")})


def _chain(in_channels: int, name: str, *steps: tuple) -> Layers:
    """name_1, name_2, ... of (channels, size) or (channels, size, stride)."""
    layers: Layers = {}
    for number, (channels, *rest) in enumerate(steps, 1):
        layers[f"{name}_{number}"] = convolution(in_channels, channels, *rest)
        in_channels = channels
    return layers


def _side_by_side(*branches: Layers) -> Concatenated:
    together = {name: module for branch in branches for name, module in branch.items()}
    return Concatenated(together, [list(branch) for branch in branches])


def _pooled(in_channels: int, channels: int) -> Layers:
    return {
        "pool": nn.AvgPool2d(3, 1, padding=1),
        "branch_pool": convolution(in_channels, channels, 1),
    }


def inception_a(in_channels: int, pooled: int) -> Concatenated:
    """Figure 5 of arXiv 1512.00567, with one 5x5 convolution."""
    return _side_by_side(
        {"branch1x1": convolution(in_channels, 64, 1)},
        _chain(in_channels, "branch5x5", (48, 1), (64, 5)),
        _chain(in_channels, "branch3x3dbl", (64, 1), (96, 3), (96, 3)),
        _pooled(in_channels, pooled),
    )


def inception_b(in_channels: int) -> Concatenated:
    """Halves the size."""
    return _side_by_side(
        {"branch3x3": convolution(in_channels, 384, 3, 2)},
        _chain(in_channels, "branch3x3dbl", (64, 1), (96, 3), (96, 3, 2)),
        {"pool": nn.MaxPool2d(3, 2)},
    )


def inception_c(in_channels: int, inner: int) -> Concatenated:
    """Figure 6: 7x7 as rows and columns."""
    row, column = (1, 7), (7, 1)
    return _side_by_side(
        {"branch1x1": convolution(in_channels, 192, 1)},
        _chain(in_channels, "branch7x7", (inner, 1), (inner, row), (192, column)),
        _chain(
            in_channels,
            "branch7x7dbl",
            *((inner, 1), (inner, column), (inner, row), (inner, column), (192, row)),
        ),
        _pooled(in_channels, 192),
    )


def inception_d(in_channels: int) -> Concatenated:
    """Halves the size."""
    return _side_by_side(
        _chain(in_channels, "branch3x3", (192, 1), (320, 3, 2)),
        _chain(in_channels, "branch7x7x3", (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)),
        {"pool": nn.MaxPool2d(3, 2)},
    )


class InceptionE(nn.Module):
    """Figure 7: two of four branches end in a row and a column side by side."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        row, column = (1, 3), (3, 1)
        self.branch1x1 = convolution(in_channels, 320, 1)
        self.branch3x3_1 = convolution(in_channels, 384, 1)
        self.branch3x3_2a = convolution(384, 384, row)
        self.branch3x3_2b = convolution(384, 384, column)
        self.branch3x3dbl_1 = convolution(in_channels, 448, 1)
        self.branch3x3dbl_2 = convolution(448, 384, 3)
        self.branch3x3dbl_3a = convolution(384, 384, row)
        self.branch3x3dbl_3b = convolution(384, 384, column)
        for name, module in _pooled(in_channels, 192).items():
            self.add_module(name, module)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        once = self.branch3x3_1(maps)
        twice = run(self, ("branch3x3dbl_1", "branch3x3dbl_2"), maps)
        branches = [
            self.branch1x1(maps),
            *(self.branch3x3_2a(once), self.branch3x3_2b(once)),
            *(self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice)),
            run(self, ("pool", "branch_pool"), maps),
        ]
        return torch.cat(branches, dim=1)


def inception_v3(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """One convolution of 192 filters for a stem, and no answer on the way."""
    layers: Layers = {
        "Conv2d_1a_3x3": convolution(in_channels, 192, 3),
        "Mixed_5b": inception_a(192, 32),
        "Mixed_5c": inception_a(256, 64),
        "Mixed_5d": inception_a(288, 64),
        "Mixed_6a": inception_b(288),
        "Mixed_6b": inception_c(768, 128),
        "Mixed_6c": inception_c(768, 160),
        "Mixed_6d": inception_c(768, 160),
        "Mixed_6e": inception_c(768, 192),
        "Mixed_7a": inception_d(768),
        "Mixed_7b": InceptionE(1280),
        "Mixed_7c": InceptionE(2048),
    }
    return named({**layers, **head(2048, num_classes, "fc")})


for depth in (11, 13, 16, 19):
    add(
        HUYVNPHAN,
        f"vgg{depth}_bn",
        partial(vgg, depth, 1),
        summary=f"VGG-{depth} with batch norm and linear layers of 4,096.",
    )
    add(
        HUYVNPHAN,
        f"vgg{depth}_bn_2019",
        partial(vgg, depth, 7),
        summary=f"VGG-{depth} with batch norm as its first versions had it: the last maps are "
        "blown up to 7x7.",
    )
for depth in like_torchvision.RESNET_DEPTHS:
    add(
        HUYVNPHAN,
        f"resnet{depth}",
        partial(resnet, depth),
        summary=f"ResNet-{depth} with a 3x3 stem and torchvision's pool.",
    )
for depth in DENSENETS:
    add(
        HUYVNPHAN,
        f"densenet{depth}",
        partial(densenet, depth),
        summary=f"DenseNet-{depth} with a 3x3 stem and torchvision's pool.",
    )
add(
    HUYVNPHAN,
    "mobilenet_v2",
    mobilenet_v2,
    summary="MobileNetV2 whose first stages keep the size of 32x32 pixels.",
)
add(
    HUYVNPHAN,
    "googlenet",
    googlenet,
    summary="GoogLeNet with one convolution for a stem.",
)
add(
    HUYVNPHAN,
    "inception_v3",
    inception_v3,
    summary="Inception v3 with one convolution for a stem.",
)
