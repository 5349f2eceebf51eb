"""LeNet-5 and its kin for grey digits, in the spellings that one meets most.

LeCun et al., Gradient-Based Learning Applied to Document Recognition, 1998. Activations and kinds
of pools leave no trace in a state dict: the usual ones have a name each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from vizlib.architectures.elsewhere import Source, add
from vizlib.architectures.elsewhere.blocks import named
from vizlib.architectures.elsewhere.small import (
    features_and_classifier,
    features_of,
    lenet5_features,
    linear_layers,
    numbered,
    with_linear_layers,
)

GREY = (1, 28, 28)
GREY_32 = (1, 32, 32)
MNIST = ((0.1307,), (0.3081,))

LENET5 = Source(
    "lenet5",
    "LeNet-5 as it is often written",
    "http://vision.stanford.edu/cs598_spring07/papers/Lecun98.pdf",
    *MNIST,
)
D2L = Source(
    "d2l",
    "The book Dive into Deep Learning",
    "https://d2l.ai/chapter_convolutional-neural-networks/lenet.html",
    (0.0,),
    (1.0,),
)
ACTIVATEDGEEK = Source(
    "activatedgeek",
    "activatedgeek's LeNet-5",
    "https://github.com/activatedgeek/LeNet-5",
    (0.0,),
    (1.0,),
)
DIGITS = Source(
    "digits_cnn",
    "Two 5x5 convolutions for digits, as they are often written",
    "http://neuralnetworksanddeeplearning.com/chap6.html",
    *MNIST,
)


def padded(num_classes: int = 10) -> nn.Module:
    """For grey pictures of 28 pixels, which conv1 pads to 32."""
    layers = lenet5_features(1, padding=2)
    return numbered(with_linear_layers(layers, (120, 84), num_classes, 28))


def in_two_parts(
    activation: Callable[[], nn.Module],
    pool: Callable[[int], nn.Module],
    padding: int,
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int = 32,
) -> nn.Module:
    """features.0, features.3, classifier.0, .2, .4."""
    features = lenet5_features(in_channels, padding, activation, pool)
    widths = (features_of(features, image_size), 120, 84, num_classes)
    return features_and_classifier(features, linear_layers(*widths, activation=activation))


def three_convolutions(num_classes: int = 10, in_channels: int = 1) -> nn.Module:
    """feature_extractor.0, .3, .6, classifier.0, .2: the third layer as a convolution of all that
    is left of 32 pixels.
    """
    features = [*lenet5_features(in_channels, 0, nn.Tanh, nn.AvgPool2d), nn.Conv2d(16, 120, 5)]
    classifier = linear_layers(120, 84, num_classes, activation=nn.Tanh)
    return features_and_classifier(
        [*features, nn.Tanh()], classifier, ("feature_extractor", "classifier")
    )


def d2l_lenet(num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> nn.Module:
    """0, 3, 7, 9, 11: sigmoids and means."""
    features = lenet5_features(in_channels, 2, nn.Sigmoid, nn.AvgPool2d)
    return nn.Sequential(
        *with_linear_layers(features, (120, 84), num_classes, image_size, nn.Sigmoid)
    )


def activatedgeek(num_classes: int = 10, in_channels: int = 1) -> nn.Module:
    """convnet.c1, .c3, .c5, fc.f6, .f7, and the logarithm of a softmax."""
    convolutions = [*lenet5_features(in_channels), nn.Conv2d(16, 120, 5), nn.ReLU()]
    names = ("c1", "relu1", "s2", "c3", "relu3", "s4", "c5", "relu5")
    linear = [nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, num_classes), nn.LogSoftmax(dim=1)]
    return named(
        {
            "convnet": named(dict(zip(names, convolutions, strict=True))),
            "flatten": nn.Flatten(),
            "fc": named(dict(zip(("f6", "relu6", "f7", "sig7"), linear, strict=True))),
        }
    )


def two_convolutions(
    widths: tuple[int, int, int],
    padding: int,
    num_classes: int = 10,
    in_channels: int = 1,
    image_size: int = 28,
) -> nn.Module:
    """conv1, conv2, fc1, fc2."""
    first, second, hidden = widths
    layers = [
        *(nn.Conv2d(in_channels, first, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(first, second, 5, padding=padding), nn.ReLU(), nn.MaxPool2d(2)),
    ]
    return numbered(with_linear_layers(layers, (hidden,), num_classes, image_size))


add(
    LENET5,
    "padded",
    padded,
    summary="LeNet-5 with ReLU and max pools, its first convolution padded for 28 pixels.",
    input_size=GREY,
)
for name, activation, pool in (
    ("features_relu", nn.ReLU, nn.MaxPool2d),
    ("features_tanh", nn.Tanh, nn.MaxPool2d),
    ("features_tanh_mean", nn.Tanh, nn.AvgPool2d),
):
    words = f"{activation.__name__} and {'mean' if pool is nn.AvgPool2d else 'max'} pools"
    add(
        LENET5,
        name,
        partial(in_two_parts, activation, pool, 0),
        summary=f"LeNet-5 in two parts, features and classifier, with {words}.",
        input_size=GREY_32,
    )
    add(
        LENET5,
        f"{name}_padded",
        partial(in_two_parts, activation, pool, 2, image_size=28),
        summary=f"The same for 28 pixels: {words}, and a first convolution that pads.",
        input_size=GREY,
    )
add(
    LENET5,
    "feature_extractor",
    three_convolutions,
    summary="LeNet-5 of 1998 in two parts: three convolutions with Tanh and mean pools.",
    input_size=GREY_32,
)
add(
    D2L,
    "LeNet",
    d2l_lenet,
    summary="LeNet with sigmoids and mean pools, as the book has it.",
    input_size=GREY,
)
add(
    ACTIVATEDGEEK,
    "LeNet5",
    activatedgeek,
    summary="LeNet-5 of three convolutions for 32 pixels, its layers named as in the paper.",
    input_size=GREY_32,
)
for widths, padding in (((20, 40, 100), 0), ((32, 64, 512), 0), ((32, 64, 512), 2)):
    add(
        DIGITS,
        f"{widths[0]}_{widths[1]}_{widths[2]}{'_padded' if padding else ''}",
        partial(two_convolutions, widths, padding),
        summary=f"Two 5x5 convolutions of {widths[0]} and {widths[1]} filters with pools, "
        f"{widths[2]} hidden units.",
        input_size=GREY,
    )
