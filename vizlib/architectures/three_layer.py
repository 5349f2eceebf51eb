"""One small network written three ways: with bare tensors, as a Module, and as a Sequential. The
three compute the same.

Their state_dicts have the same keys and shapes (conv1.weight, conv1.bias, conv2..., fc...), so
weights move freely between them: conv 5x5 and ReLU, conv 3x3 and ReLU, flatten, linear.
Kaiming-normal weights, zero biases, the same in all three after the same seed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from vizlib.architectures import register

WIDTHS = (32, 16)  # channels after conv1 and after conv2


@register(
    partners={
        "three_layer_module": "how it is written",
        "three_layer_sequential": "how it is written",
    }
)
def three_layer_functional(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
    widths: tuple[int, ...] = WIDTHS,
) -> nn.Module:
    """The three-layer network with bare tensors and torch.nn.functional: every step in plain sight.

    The computation is `three_layer_forward`. Source: the form of the CS231n and EECS 498
    assignments on PyTorch (the "barebones" part).
    """
    return _initialised(lambda: ThreeLayerFunctional(num_classes, in_channels, image_size, widths))


@register(partners={"three_layer_sequential": "how it is written"})
def three_layer_module(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
    widths: tuple[int, ...] = WIDTHS,
) -> nn.Module:
    """The three-layer network as a class of its own, an nn.Module with a forward method.

    Source: the same assignments, the "module API" part.
    """
    return _initialised(lambda: ThreeLayerModule(num_classes, in_channels, image_size, widths))


@register()
def three_layer_sequential(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
    widths: tuple[int, ...] = WIDTHS,
) -> nn.Module:
    """The three-layer network as a list of named layers, an nn.Sequential of an OrderedDict.

    Source: the same assignments, the "sequential API" part.
    """

    def layers() -> OrderedDict[str, nn.Module]:
        return OrderedDict(
            conv1=nn.Conv2d(in_channels, widths[0], kernel_size=5, padding=2),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(widths[0], widths[1], kernel_size=3, padding=1),
            relu2=nn.ReLU(),
            flatten=nn.Flatten(),
            fc=nn.Linear(widths[1] * image_size**2, num_classes),
        )

    return _initialised(lambda: nn.Sequential(layers()))


# First form: bare tensors


def three_layer_forward(
    images: torch.Tensor,
    conv1: tuple[torch.Tensor, torch.Tensor],
    conv2: tuple[torch.Tensor, torch.Tensor],
    fc: tuple[torch.Tensor, torch.Tensor],
    look: Callable[[str, torch.Tensor], torch.Tensor] = lambda name, tensor: tensor,
) -> torch.Tensor:
    """Logits (N, classes) of images (N, C, H, W). conv1, conv2 and fc are pairs (weight, bias) of
    tensors.

    `look(name, tensor)` is called with each result and returns it; it is there for watching only.
    """
    weight, bias = conv1
    maps = look("conv1", F.conv2d(images, weight, bias, padding=2))
    maps = look("relu1", F.relu(maps))
    weight, bias = conv2
    maps = look("conv2", F.conv2d(maps, weight, bias, padding=1))
    maps = look("relu2", F.relu(maps))
    vectors = look("flatten", maps.flatten(start_dim=1))
    weight, bias = fc
    return look("fc", F.linear(vectors, weight, bias))


class Marker(nn.Module):
    """Returns its argument unchanged, so that a forward hook sees it. It may keep the weight and
    bias that made the argument.
    """

    def __init__(self, kind: str, *weight_shape: int) -> None:
        super().__init__()
        self.kind = f"functional {kind}"
        if weight_shape:
            self.weight = nn.Parameter(torch.empty(weight_shape))
            self.bias = nn.Parameter(torch.empty(weight_shape[0]))

    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor


class ThreeLayerFunctional(nn.Module):
    """Keeps the tensors of `three_layer_forward` and lets hooks see each of its results under the
    names of the Sequential form.
    """

    def __init__(
        self, num_classes: int, in_channels: int, image_size: int, widths: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.conv1 = Marker("conv2d", widths[0], in_channels, 5, 5)
        self.relu1 = Marker("relu")
        self.conv2 = Marker("conv2d", widths[1], widths[0], 3, 3)
        self.relu2 = Marker("relu")
        self.flatten = Marker("flatten")
        self.fc = Marker("linear", num_classes, widths[1] * image_size**2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        conv1, conv2, fc = (
            (layer.weight, layer.bias) for layer in (self.conv1, self.conv2, self.fc)
        )
        return three_layer_forward(
            images, conv1, conv2, fc, look=lambda name, tensor: getattr(self, name)(tensor)
        )


# Second form: a Module


class ThreeLayerModule(nn.Module):
    def __init__(
        self, num_classes: int, in_channels: int, image_size: int, widths: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, widths[0], kernel_size=5, padding=2)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(widths[0], widths[1], kernel_size=3, padding=1)
        self.relu2 = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[1] * image_size**2, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.relu1(self.conv1(images))
        maps = self.relu2(self.conv2(maps))
        return self.fc(self.flatten(maps))


def _initialised(build: Callable[[], nn.Module]) -> nn.Module:
    """The network that build() makes, with Kaiming-normal weights and zero biases."""
    # PyTorch's own weights, which only two of the forms draw, must not count
    with torch.random.fork_rng(devices=[]):
        model = build()
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            nn.init.kaiming_normal_(parameter, nonlinearity="relu")
        else:
            nn.init.zeros_(parameter)
    return model
