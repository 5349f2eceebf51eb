"""chenyaofo's pretrained networks for CIFAR-10 and CIFAR-100: torchvision's families at 32x32
pixels, and RepVGG.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from vizlib.architectures.elsewhere import Source, add, like_torchvision
from vizlib.architectures.elsewhere.blocks import (
    basic_block,
    conv,
    head,
    named,
    norms_behind,
    stage,
    stages,
)

CHENYAOFO = Source(
    "chenyaofo",
    "chenyaofo's pytorch-cifar-models",
    "https://github.com/chenyaofo/pytorch-cifar-models",
    (0.4914, 0.4822, 0.4465),  # those for CIFAR-10; its CIFAR-100 has others
    (0.2023, 0.1994, 0.2010),
    "cifar10",
)
MOBILENET_WIDTHS = {"0_5": 0.5, "0_75": 0.75, "1_0": 1.0, "1_4": 1.4}
SHUFFLENET_WIDTHS = {
    "0_5": (48, 96, 192, 1024),
    "1_0": (116, 232, 464, 1024),
    "1_5": (176, 352, 704, 1024),
    "2_0": (244, 488, 976, 2048),
}
REPVGG_WIDTHS = {
    "a0": (48, 96, 192, 1280),
    "a1": (64, 128, 256, 1280),
    "a2": (96, 192, 384, 1408),
}


def resnet(depth: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """depth: 6n + 2, in three stages of n blocks; the shortcuts have weights."""
    block = partial(basic_block, shortcut_name="downsample")
    return named(
        {
            **norms_behind([conv(in_channels, 16)], last_relu=True),
            **stages(block, 16, (16, 32, 64), ((depth - 2) // 6,) * 3),
            **head(64, num_classes, "fc"),
        }
    )


def vgg(depth: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Two hidden layers of 512."""
    return like_torchvision.vgg(depth, 512, num_classes, in_channels)


def mobilenet_v2(width: float, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """width scales all channel numbers."""
    return like_torchvision.mobilenet_v2(width, num_classes, in_channels)


def shufflenet_v2(
    widths: tuple[int, ...], num_classes: int = 10, in_channels: int = 3
) -> nn.Module:
    """widths: of the three stages and of the last convolution."""
    return like_torchvision.shufflenet_v2(widths, num_classes, in_channels)


class RepVGGBlock(nn.Module):
    """A 3x3 and a 1x1 convolution side by side, and the maps themselves where the shape stays,
    each with a batch norm; a ReLU behind the sum (arXiv 2101.03697).
    """

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        keeps_shape = in_channels == width and stride == 1
        self.rbr_identity = nn.BatchNorm2d(width) if keeps_shape else None
        self.rbr_dense = self._branch(conv(in_channels, width, 3, stride))
        self.rbr_1x1 = self._branch(conv(in_channels, width, 1, stride))
        self.nonlinearity = nn.ReLU()

    @staticmethod
    def _branch(convolution: nn.Conv2d) -> nn.Sequential:
        return named({"conv": convolution, "bn": nn.BatchNorm2d(convolution.out_channels)})

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        total = self.rbr_dense(maps) + self.rbr_1x1(maps)
        if self.rbr_identity is not None:
            total = total + self.rbr_identity(maps)
        return self.nonlinearity(total)


def repvgg(widths: tuple[int, ...], num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """As it is trained: three branches a block."""
    channels = min(64, widths[0])
    layers: dict[str, nn.Module] = {"stage0": RepVGGBlock(in_channels, channels, 1)}
    for number, (width, depth) in enumerate(zip(widths, (2, 4, 14, 1), strict=True), 1):
        layers[f"stage{number}"] = stage(
            RepVGGBlock, channels, width, depth, 1 if number == 1 else 2
        )
        channels = width
    return named({**layers, **head(channels, num_classes)})


for depth in (20, 32, 44, 56):
    add(
        CHENYAOFO,
        f"resnet{depth}",
        partial(resnet, depth),
        summary=f"A residual network of {depth} layers for CIFAR, whose shortcuts have weights "
        "where the shape changes.",
    )
for depth in (11, 13, 16, 19):
    add(
        CHENYAOFO,
        f"vgg{depth}_bn",
        partial(vgg, depth),
        summary=f"VGG-{depth} with batch norm and linear layers of 512.",
    )
for name, width in MOBILENET_WIDTHS.items():
    add(
        CHENYAOFO,
        f"mobilenetv2_x{name}",
        partial(mobilenet_v2, width),
        summary=f"MobileNetV2 for 32x32 pixels, its channels times {width}.",
    )
for name, widths in SHUFFLENET_WIDTHS.items():
    add(
        CHENYAOFO,
        f"shufflenetv2_x{name}",
        partial(shufflenet_v2, widths),
        summary=f"ShuffleNetV2 for 32x32 pixels, {widths[0]} to {widths[2]} channels.",
    )
for name, widths in REPVGG_WIDTHS.items():
    add(
        CHENYAOFO,
        f"repvgg_{name}",
        partial(repvgg, widths),
        summary=f"RepVGG-{name.upper()} for 32x32 pixels, as it is trained: three branches a "
        "block.",
    )
