"""Small networks that are one layer after the other, and the usual ways of naming their layers.
Registers no network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from vizlib.architectures.elsewhere.blocks import Layers, named

WORDS = {
    nn.Conv2d: "conv",
    nn.Linear: "fc",
    nn.BatchNorm2d: "bn",
    nn.ReLU: "relu",
    nn.MaxPool2d: "pool",
    nn.AvgPool2d: "pool",
}
VGG_GROUPS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
ONLY_ONE = {nn.Flatten: "flatten", nn.LogSoftmax: "log_softmax"}


def side_after(layers: Sequence[nn.Module], image_size: int) -> int:
    """How many positions a side the maps have behind such layers. ValueError for none."""
    side = image_size
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            side = (side + 2 * int(layer.padding[0]) - layer.kernel_size[0]) // layer.stride[0] + 1
        elif isinstance(layer, (nn.MaxPool2d, nn.AvgPool2d)):
            side //= int(layer.kernel_size)  # type: ignore[arg-type]
    if side < 1:
        raise ValueError(f"images of {image_size} pixels a side leave nothing behind the last pool")
    return side


def features_of(layers: Sequence[nn.Module], image_size: int) -> int:
    """How many numbers such layers make of an image."""
    channels = [layer.out_channels for layer in layers if isinstance(layer, nn.Conv2d)][-1]
    return channels * side_after(layers, image_size) ** 2


def linear_layers(
    *widths: int, activation: Callable[[], nn.Module] = nn.ReLU, dropout: bool = False
) -> list[nn.Module]:
    """Linear layers from each width to the next, an activation between two of them, and a dropout
    behind it where the numbers of their source count one.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), activation(), *([nn.Dropout()] if dropout else [])]
    return layers[: -2 if dropout else -1]


def with_linear_layers(
    layers: Sequence[nn.Module],
    hidden: Sequence[int],
    num_classes: int,
    image_size: int,
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> list[nn.Module]:
    """The layers, a flatten, and linear layers of hidden widths down to the classes."""
    widths = [features_of(layers, image_size), *hidden, num_classes]
    return [*layers, nn.Flatten(), *linear_layers(*widths, activation=activation)]


def numbered(layers: Sequence[nn.Module], names: dict[str, str] | None = None) -> nn.Sequential:
    """conv1, relu1, pool1, conv2, ..., fc1, fc2. names: what some of them are called instead."""
    counted: Counter[str] = Counter()
    result: Layers = {}
    for layer in layers:
        word = WORDS.get(type(layer), type(layer).__name__.lower())
        counted[word] += 1
        name = ONLY_ONE.get(type(layer), f"{word}{counted[word]}")
        result[(names or {}).get(name, name)] = layer
    return named(result)


def features_and_classifier(
    features: Sequence[nn.Module],
    classifier: Sequence[nn.Module],
    names: tuple[str, str] = ("features", "classifier"),
) -> nn.Sequential:
    """features.0, features.1, ..., a flatten, classifier.0, ..."""
    return named(
        {
            names[0]: nn.Sequential(*features),
            "flatten": nn.Flatten(),
            names[1]: nn.Sequential(*classifier),
        }
    )


def lenet5_features(
    in_channels: int,
    padding: int = 0,
    activation: Callable[[], nn.Module] = nn.ReLU,
    pool: Callable[[int], nn.Module] = nn.MaxPool2d,
    widths: Sequence[int] = (6, 16),
) -> list[nn.Module]:
    """Two 5x5 convolutions of these many filters, each with an activation and a pool."""
    return [
        nn.Conv2d(in_channels, widths[0], 5, padding=padding),
        activation(),
        pool(2),
        nn.Conv2d(widths[0], widths[1], 5),
        activation(),
        pool(2),
    ]


def vgg_features(depth: int, in_channels: int = 3, *, batch_norm: bool) -> list[nn.Module]:
    """The 3x3 convolutions of a VGG of that many layers, with biases, each with a ReLU, and a pool
    behind each of five groups (arXiv 1409.1556, table 1).
    """
    layers: list[nn.Module] = []
    for width, count in zip((64, 128, 256, 512, 512), VGG_GROUPS[depth], strict=True):
        for _ in range(count):
            norm = [nn.BatchNorm2d(width)] if batch_norm else []
            layers += [nn.Conv2d(in_channels, width, 3, padding=1), *norm, nn.ReLU()]
            in_channels = width
        layers.append(nn.MaxPool2d(2))
    return layers
