"""LeNet-5, the first convolutional network in wide use."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from vizlib.architectures import register
from vizlib.architectures.initialisation import kaiming_convolutions

SMALLEST = 16  # pixels: 16, conv 12, pool 6, conv 2, pool 1


@register()
def lenet(num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> nn.Module:
    """LeNet: two 5x5 convolutions with pools and three linear layers, small enough to follow by
    hand.

    Square images of 16 x 16 pixels or more (28 and 32 are usual). ReLU and max pools in place of
    the sigmoids and means of 1998. Source: LeCun et al., Gradient-Based Learning Applied to
    Document Recognition, Proceedings of the IEEE 86 (1998)
    """
    if image_size < SMALLEST:
        raise ValueError(
            f"images must have at least {SMALLEST} pixels a side, not {image_size}: the "
            "second pool would leave nothing"
        )
    side = ((image_size - 4) // 2 - 4) // 2
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(in_channels, 6, 5),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(6, 16, 5),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(16 * side**2, 120),
        relu3=nn.ReLU(),
        fc2=nn.Linear(120, 84),
        relu4=nn.ReLU(),
        fc3=nn.Linear(84, num_classes),
    )
    return kaiming_convolutions(nn.Sequential(layers))
