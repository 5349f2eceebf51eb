"""A small convolutional network that learns fast: whitened patches first, then filters that start
as the identity.

The network of the airbench speed runs, at widths for two CPU cores. Jordan, 94% on CIFAR-10 in 3.29
Seconds on a Single GPU, https://arxiv.org/abs/2404.00498
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from vizlib.architectures import Form, register

PATCH = 2  # the side of the patches that the first layer whitens
EPSILON = (
    5e-4  # added to each variance, so that directions that hold next to nothing are not blown up
)


# By trials, see docs/benchmarks.md. With half the width or so it was ahead by 8, 3 and 2 points in
# the time of 0.44, 0.97 and 1.49 epochs, and behind by 1 in that of 2 and of 3; with pictures that
# grow, too, it was ahead by 2 more in that of 0.55. In that of 1.2 and of 3 these gained nothing.
FORMS = (
    Form(0.0, {"widths": [16, 48, 96]}, ((0.55, 0.838),), growing=True),
    Form(0.9, {"widths": [16, 48, 96]}, ((0.97, 0.839), (1.49, 0.866))),
    Form(1.8, {}, ((2.0, 0.867), (3.15, 0.889))),
)
# Tried in the time of 1.6 epochs alone; where the usual channels are ahead was not.
FORMS_OF_WIDE = (
    Form(0.0, {"widths": [32, 96, 192]}, ((1.6, 0.89),), growing=True),
    Form(4.0, {}, ((9.2, 0.932),)),
)


@register(forms=FORMS)
def airbench(
    num_classes: int = 10, in_channels: int = 3, widths: tuple[int, ...] = (32, 96, 192)
) -> nn.Module:
    """Frozen whitening filters and three stages of two convolutions: made to be trained within a
    minute.

    widths: the channels of the three stages; in a recipe for some seconds fewer or more, by how
    fast the machine is. Source: Jordan 2024, https://arxiv.org/abs/2404.00498, where they are 64,
    256 and 256.
    """
    return Airbench(num_classes, in_channels, widths)


@register(forms=FORMS_OF_WIDE)
def airbench_wide(
    num_classes: int = 10, in_channels: int = 3, widths: tuple[int, ...] = (64, 128, 256)
) -> nn.Module:
    """The same with more channels, for some minutes on a CPU.

    Source: Jordan 2024, https://arxiv.org/abs/2404.00498
    """
    return Airbench(num_classes, in_channels, widths)


@register()
def airbench94(
    num_classes: int = 10, in_channels: int = 3, widths: tuple[int, ...] = (64, 256, 256)
) -> nn.Module:
    """The same with the channels of the paper, for some seconds on a large GPU.

    Source: Jordan 2024, https://arxiv.org/abs/2404.00498
    """
    return Airbench(num_classes, in_channels, widths)


class Airbench(nn.Module):
    """Images (N, C, H, W) of 8x8 or more to logits (N, classes): 32x32 becomes 31, 15, 7 and 4
    wide, then one maximum per channel.

    conv1 does not learn. `fit_to` makes it the whitening of a data set; until then its filters are
    random.
    """

    def __init__(self, num_classes: int, in_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        directions = in_channels * PATCH**2
        self.conv1 = nn.Conv2d(in_channels, 2 * directions, PATCH, bias=False)
        self.conv1.weight.requires_grad_(False)
        self.gelu1 = nn.GELU()
        self.stage1 = Stage(2 * directions, widths[0])
        self.stage2 = Stage(widths[0], widths[1])
        self.stage3 = Stage(widths[1], widths[2], keep_edge=True)  # 8x8 pictures arrive as 1x1
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[2], num_classes, bias=False)
        # The paper's scores are sums of unit deviation divided by the width; here the weights hold
        # the division.
        nn.init.normal_(self.fc.weight, std=1 / widths[2])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.gelu1(self.conv1(images))
        maps = self.stage3(self.stage2(self.stage1(maps)))
        return self.fc(self.flatten(self.pool(maps)))

    @torch.no_grad()
    def fit_to(self, images: torch.Tensor) -> None:
        """Set conv1 to the principal directions of the patches of `images` and their negatives,
        each scaled to unit variance.

        images: float (N, C, H, W), normalised as for training; a few thousand are enough. The sign
        of an activation is lost in a GELU, hence the negatives. Source: airbench, after Page, How
        to train your ResNet, https://myrtle.ai/learn/how-to-train-your-resnet-8-bag-of-tricks/
        """
        # (N x places, C x PATCH x PATCH)
        patches = F.unfold(images.float(), PATCH).transpose(1, 2).flatten(0, 1)
        # ascending; the directions are columns
        variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (
            (directions / (variances + EPSILON).sqrt())
            .T.flip(0)
            .unflatten(1, self.conv1.weight.shape[1:])
        )
        self.conv1.weight.copy_(torch.cat([filters, -filters]))


class Stage(nn.Module):
    """conv1, a pool that halves the size, batch norm, GELU; then conv2, batch norm, GELU.
    keep_edge: an odd size is halved upwards.
    """

    def __init__(self, in_channels: int, out_channels: int, keep_edge: bool = False) -> None:
        super().__init__()
        self.conv1 = identity_convolution(in_channels, out_channels)
        self.pool = nn.MaxPool2d(2, ceil_mode=keep_edge)
        self.bn1 = unscaled_norm(out_channels)
        self.gelu1 = nn.GELU()
        self.conv2 = identity_convolution(out_channels, out_channels)
        self.bn2 = unscaled_norm(out_channels)
        self.gelu2 = nn.GELU()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        maps = self.gelu1(self.bn1(self.pool(self.conv1(maps))))
        return self.gelu2(self.bn2(self.conv2(maps)))


def identity_convolution(in_channels: int, out_channels: int) -> nn.Conv2d:
    """A 3x3 convolution whose first filters pass a channel on unchanged; filters in excess of the
    channels are random.
    """
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight.data[:in_channels])
    return convolution


def unscaled_norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm that learns a shift but no scale, and whose running statistics follow within a few
    steps: a run has only hundreds.
    """
    norm = nn.BatchNorm2d(channels, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm
