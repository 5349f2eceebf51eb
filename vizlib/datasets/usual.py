"""The means and deviations that pictures are usually normalised with, by channel, of pixels in
[0, 1]: which of them a network from elsewhere was trained with, its file hardly ever says.
"""

from __future__ import annotations

from collections.abc import Sequence

IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]
ZEROS, ONES, HALVES = [0.0] * 3, [1.0] * 3, [0.5] * 3
CIFAR10_MEAN = [0.4914, 0.4822, 0.4465]

# {what it is called: (mean, deviation)}, of three colours
OF_COLOURS: dict[str, tuple[list[float], list[float]]] = {
    "0 to 1": (ZEROS, ONES),
    "-1 to 1": (HALVES, HALVES),
    "ImageNet": (IMAGENET_MEAN, IMAGENET_STD),
    # the deviation within a picture, on average, as most scripts have it; and that of all pixels
    "CIFAR-10": (CIFAR10_MEAN, [0.2023, 0.1994, 0.2010]),
    "CIFAR-10, of all pixels": (CIFAR10_MEAN, [0.2470, 0.2435, 0.2616]),
    "CIFAR-100": ([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
    "0 to 255": (ZEROS, [1 / 255] * 3),
}
OF_GREYS: dict[str, tuple[list[float], list[float]]] = {
    "0 to 1": ([0.0], [1.0]),
    "-1 to 1": ([0.5], [0.5]),
    "MNIST": ([0.1307], [0.3081]),
    "Fashion-MNIST": ([0.2860], [0.3530]),
    "0 to 255": ([0.0], [1 / 255]),
}


def usual(channels: int) -> dict[str, tuple[list[float], list[float]]]:
    """{name: (mean, deviation)} of so many channels; of other numbers than one and three those
    that treat all alike.
    """
    if channels == 3:
        return dict(OF_COLOURS)
    if channels == 1:
        return dict(OF_GREYS)
    alike = ("0 to 1", "-1 to 1", "0 to 255")
    return {name: _repeated(OF_GREYS[name], channels) for name in alike}


def _repeated(
    pair: tuple[Sequence[float], Sequence[float]], channels: int
) -> tuple[list[float], list[float]]:
    mean, std = pair
    return list(mean) * channels, list(std) * channels
