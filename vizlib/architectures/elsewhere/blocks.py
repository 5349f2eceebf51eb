"""What the networks of all sources are made of. Registers no network.

A state dict knows names and shapes only. So a layer without weights is a module here wherever no
key changes by it, since a module can be looked at; and a block holds its layers under the names
that its source gives them, in the order in which its source defines them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import nn

Layers = dict[str, nn.Module]  # in order, by the names that they have in a state dict
Block = Callable[[int, int, int], nn.Module]  # (in_channels, width, stride)


def named(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    """One after the other, by name."""
    return nn.Sequential(OrderedDict(layers))


def run(owner: nn.Module, layer_names: Iterable[str], maps: torch.Tensor) -> torch.Tensor:
    """The layers of a module that have these names, one after the other."""
    for name in layer_names:
        maps = owner.get_submodule(name)(maps)
    return maps


def conv(
    in_channels: int,
    out_channels: int,
    size: int = 3,
    stride: int = 1,
    *,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """A convolution of an odd size, padded so that it keeps the picture's size."""
    return nn.Conv2d(
        in_channels, out_channels, size, stride, padding=size // 2, groups=groups, bias=bias
    )


def normed(
    convolution: nn.Conv2d, activation: Callable[[], nn.Module] | None = nn.ReLU
) -> nn.Sequential:
    """A convolution, its batch norm, and its activation if it has one: 0, 1, 2."""
    norm = nn.BatchNorm2d(convolution.out_channels)
    return nn.Sequential(convolution, norm, *([activation()] if activation else []))


def norms_behind(convolutions: Sequence[nn.Conv2d], *, last_relu: bool = False) -> Layers:
    """conv1, bn1, relu1, conv2, bn2 ...; no ReLU behind the last unless last_relu."""
    layers: Layers = {}
    for number, convolution in enumerate(convolutions, 1):
        layers[f"conv{number}"] = convolution
        layers[f"bn{number}"] = nn.BatchNorm2d(convolution.out_channels)
        if last_relu or number < len(convolutions):
            layers[f"relu{number}"] = nn.ReLU()
    return layers


def norms_before(convolutions: Sequence[nn.Conv2d]) -> Layers:
    """bn1, relu1, conv1, bn2, relu2, conv2 ..."""
    layers: Layers = {}
    for number, convolution in enumerate(convolutions, 1):
        layers[f"bn{number}"] = nn.BatchNorm2d(convolution.in_channels)
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"conv{number}"] = convolution
    return layers


def head(channels: int, num_classes: int, name: str = "linear") -> Layers:
    """The mean of each map, and a linear layer of that name."""
    return {
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        name: nn.Linear(channels, num_classes),
    }


def stage(
    block: Block, in_channels: int, width: int, depth: int, stride: int, expansion: int = 1
) -> nn.Sequential:
    """`depth` blocks, each giving width * expansion channels; the first has the stride."""
    first = block(in_channels, width, stride)
    return nn.Sequential(first, *(block(width * expansion, width, 1) for _ in range(depth - 1)))


def stages(
    block: Block,
    in_channels: int,
    widths: Sequence[int],
    depths: Sequence[int],
    strides: Sequence[int] = (1, 2, 2, 2),
    expansion: int = 1,
) -> Layers:
    """layer1, layer2, ..."""
    layers: Layers = {}
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        layers[f"layer{number + 1}"] = stage(
            block, in_channels, width, depth, strides[number], expansion
        )
        in_channels = width * expansion
    return layers


def projection(
    in_channels: int, out_channels: int, stride: int, size: int = 1
) -> nn.Sequential | None:
    """A shortcut of a convolution and batch norm where the shape changes, None elsewhere."""
    if in_channels == out_channels and stride == 1:
        return None
    return normed(conv(in_channels, out_channels, size, stride), activation=None)


def basic_block(
    in_channels: int,
    width: int,
    stride: int,
    *,
    shortcut_name: str = "shortcut",
    shortcut_size: int = 1,
) -> Residual:
    """Two 3x3 convolutions beside a shortcut, and a ReLU behind the sum (arXiv 1512.03385)."""
    return Residual(
        norms_behind([conv(in_channels, width, 3, stride), conv(width, width)]),
        projection(in_channels, width, stride, shortcut_size),
        shortcut_name=shortcut_name,
        after={"relu": nn.ReLU()},
    )


def bottleneck(
    in_channels: int,
    width: int,
    stride: int,
    *,
    expansion: int = 4,
    groups: int = 1,
    shortcut_name: str = "shortcut",
) -> Residual:
    """1x1, 3x3 with the stride, 1x1 to width * expansion, and a ReLU behind the sum."""
    out_channels = width * expansion
    convolutions = [
        conv(in_channels, width, 1),
        conv(width, width, 3, stride, groups=groups),
        conv(width, out_channels, 1),
    ]
    return Residual(
        norms_behind(convolutions),
        projection(in_channels, out_channels, stride),
        shortcut_name=shortcut_name,
        after={"relu": nn.ReLU()},
    )


class Residual(nn.Module):
    """after(branch(maps) + shortcut(maps)); without a shortcut the sum takes the maps themselves.

    shared: what comes before both; a sum without a shortcut takes the maps before it. gate: what
    the branch is multiplied by, computed from the branch.
    """

    def __init__(
        self,
        branch: Layers,
        shortcut: nn.Module | None = None,
        *,
        shortcut_name: str = "shortcut",
        shared: Layers | None = None,
        gate: Layers | None = None,
        after: Layers | None = None,
    ) -> None:
        super().__init__()
        self._parts = [list(part or {}) for part in (shared, branch, gate, after)]
        self._shortcut = [shortcut_name] if shortcut else []
        for layers in (shared, branch, {shortcut_name: shortcut}, gate, after):
            for name, module in (layers or {}).items():
                if module is not None:
                    self.add_module(name, module)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        shared, layers, gate, after = self._parts
        prepared = run(self, shared, maps)
        branch = run(self, layers, prepared)
        if gate:
            branch = branch * run(self, gate, branch)
        through = run(self, self._shortcut, prepared if self._shortcut else maps)
        return run(self, after, branch + through)


class Gate(nn.Module):
    """Its maps times what its layers make of them: squeeze and excitation (arXiv 1709.01507)."""

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        for name, module in layers.items():
            self.add_module(name, module)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * run(self, self._modules, maps)


class Concatenated(nn.Module):
    """What its branches make of the same maps, one behind the other. A branch is the names of its
    layers; a name of none is the maps themselves.
    """

    def __init__(self, layers: Layers, branches: Sequence[Sequence[str]] | None = None) -> None:
        super().__init__()
        for name, module in layers.items():
            self.add_module(name, module)
        self._branches = branches or [[name] for name in layers]

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return torch.cat([run(self, branch, maps) for branch in self._branches], dim=1)


class Shuffle(nn.Module):
    """The channels of some groups dealt out in turn (arXiv 1707.01083)."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)
