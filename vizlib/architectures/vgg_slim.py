"""A slimmer VGG for 32x32 images: nothing but 3x3 convolutions and 2x2 pools."""

from __future__ import annotations

from torch import nn

from vizlib.architectures import register
from vizlib.architectures.initialisation import kaiming_convolutions

# One tuple a group, a 2x2 max pool after each. One layer of 512 fewer and smaller linear layers
# than VGG-16.
GROUPS = ((64, 64), (128, 128), (256, 256, 256), (512, 512), (512, 512, 512))


@register(partners={"vgg16_slim_bn": "batch normalisation"})
def vgg16_slim(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
    batch_norm: bool = False,
    widths: tuple[tuple[int, ...], ...] = GROUPS,
) -> nn.Module:
    """A slim VGG: twelve 3x3 convolutions in five groups, each group halving the picture, then two
    linear layers.

    Only the first of these is normalised, as in the report; batch_norm=True does so after each
    convolution too. Images of at least 32 x 32 pixels. Source: Simonyan and Zisserman,
    https://arxiv.org/abs/1409.1556
    """
    side = image_size // 2 ** len(widths)
    if side < 1:
        raise ValueError(
            f"images must have at least {2 ** len(widths)} pixels a side, not {image_size}: "
            f"each of {len(widths)} pools halves them"
        )
    model = nn.Sequential()
    channels = in_channels
    for group, group_widths in enumerate(widths, start=1):
        for number, width in enumerate(group_widths, start=1):
            model.add_module(f"conv{group}_{number}", nn.Conv2d(channels, width, 3, padding=1))
            if batch_norm:
                model.add_module(f"bn{group}_{number}", nn.BatchNorm2d(width))
            model.add_module(f"relu{group}_{number}", nn.ReLU())
            channels = width
        model.add_module(f"pool{group}", nn.MaxPool2d(2))
    model.add_module("flatten", nn.Flatten())
    model.add_module("dropout1", nn.Dropout(0.5))
    model.add_module("fc1", nn.Linear(channels * side**2, 512))
    model.add_module("bn_fc1", nn.BatchNorm1d(512))
    model.add_module("relu_fc1", nn.ReLU())
    model.add_module("dropout2", nn.Dropout(0.5))
    model.add_module("fc2", nn.Linear(512, num_classes))
    return kaiming_convolutions(model)  # variance 2 / (k k out), zero biases


@register()
def vgg16_slim_bn(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
    widths: tuple[tuple[int, ...], ...] = GROUPS,
) -> nn.Module:
    """The slim VGG with batch normalisation after each convolution.

    Source: Ioffe and Szegedy, Batch Normalization, https://arxiv.org/abs/1502.03167
    """
    return vgg16_slim(num_classes, in_channels, image_size, True, widths)
