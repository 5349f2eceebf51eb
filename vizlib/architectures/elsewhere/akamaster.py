"""akamaster's residual networks for CIFAR-10, whose shortcuts have no weights.

He et al., Deep Residual Learning for Image Recognition, https://arxiv.org/abs/1512.03385, 4.2
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from vizlib.architectures.elsewhere import Source, add
from vizlib.architectures.elsewhere.blocks import (
    Residual,
    conv,
    head,
    named,
    norms_behind,
    stages,
)

AKAMASTER = Source(
    "akamaster",
    "akamaster's pytorch_resnet_cifar10",
    "https://github.com/akamaster/pytorch_resnet_cifar10",
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
    "cifar10",
)
DEPTHS = (20, 32, 44, 56, 110, 1202)


class Subsampled(nn.Module):
    """The paper's option A: every second position, and maps of zeros before and behind until there
    are `channels` of them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        missing = self.channels - maps.shape[1]
        around = (0, 0, 0, 0, missing // 2, missing - missing // 2)
        return F.pad(maps[:, :, ::2, ::2], around)


def block(in_channels: int, width: int, stride: int) -> Residual:
    """Two 3x3 convolutions beside the maps themselves, subsampled where the shape changes."""
    return Residual(
        norms_behind([conv(in_channels, width, 3, stride), conv(width, width)]),
        None if in_channels == width and stride == 1 else Subsampled(width),
        after={"relu": nn.ReLU()},
    )


def resnet(depth: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """depth: 6n + 2, in three stages of n blocks."""
    blocks = (depth - 2) // 6
    return named(
        {
            **norms_behind([conv(in_channels, 16)], last_relu=True),
            **stages(block, 16, (16, 32, 64), (blocks,) * 3),
            **head(64, num_classes),
        }
    )


for depth in DEPTHS:
    add(
        AKAMASTER,
        f"resnet{depth}",
        partial(resnet, depth),
        summary=f"The ResNet paper's network of {depth} layers for CIFAR-10, with shortcuts "
        "without weights.",
    )
