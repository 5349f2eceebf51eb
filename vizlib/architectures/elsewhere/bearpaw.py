"""bearpaw's networks for CIFAR: AlexNet, VGG, residual networks with the activation behind and
before, ResNeXt, DenseNet. Its wide ones are xternalz's, its VGGs with batch norm kuangliu's, and
its shallow residual ones chenyaofo's, tensor by tensor.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from vizlib.architectures.elsewhere import Source, add
from vizlib.architectures.elsewhere.blocks import (
    Concatenated,
    Layers,
    Residual,
    basic_block,
    bottleneck,
    conv,
    head,
    named,
    norms_before,
    norms_behind,
    stages,
)
from vizlib.architectures.elsewhere.small import vgg_features

BEARPAW = Source(
    "bearpaw",
    "bearpaw's pytorch-classification",
    "https://github.com/bearpaw/pytorch-classification",
    (0.4914, 0.4822, 0.4465),
    (0.2023, 0.1994, 0.2010),
    "cifar10",
)
WIDTHS = (16, 32, 64)
# depths of 6n + 2 of two convolutions a block, and of 9n + 2 of three
BASIC, BOTTLENECK = (20, 32, 44, 56, 110), (29, 47, 56, 83, 110, 164)
DENSENETS = ((40, 12), (100, 12), (190, 40))


def alexnet(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """AlexNet for 32 pixels: its first convolution pads by 5, and there is one linear layer."""
    features = [
        *(nn.Conv2d(in_channels, 64, 11, 4, padding=5), nn.ReLU(), nn.MaxPool2d(2)),
        *(conv(64, 192, 5, bias=True), nn.ReLU(), nn.MaxPool2d(2)),
        *(conv(192, 384, bias=True), nn.ReLU()),
        *(conv(384, 256, bias=True), nn.ReLU()),
        *(conv(256, 256, bias=True), nn.ReLU(), nn.MaxPool2d(2)),
    ]
    return named(
        {
            "features": nn.Sequential(*features),
            "flatten": nn.Flatten(),
            "classifier": nn.Linear(256, num_classes),
        }
    )


def vgg(depth: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Without batch norm, and with one linear layer; for 32 pixels."""
    return named(
        {
            "features": nn.Sequential(*vgg_features(depth, in_channels, batch_norm=False)),
            "flatten": nn.Flatten(),
            "classifier": nn.Linear(512, num_classes),
        }
    )


def resnet(blocks: int, expansion: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Three stages of that many blocks; bottlenecks if they expand."""
    block = partial(bottleneck if expansion > 1 else basic_block, shortcut_name="downsample")
    return named(
        {
            **norms_behind([conv(in_channels, 16)], last_relu=True),
            **stages(block, 16, WIDTHS, (blocks,) * 3, expansion=expansion),
            **head(64 * expansion, num_classes, "fc"),
        }
    )


def preactivated(expansion: int, in_channels: int, width: int, stride: int) -> Residual:
    """Norm and ReLU before each convolution; the shortcut takes the maps themselves, and has no
    norm.
    """
    outputs = width * expansion
    convolutions = [conv(in_channels, width, 3, stride), conv(width, width)]
    if expansion > 1:
        convolutions = [
            conv(in_channels, width, 1),
            conv(width, width, 3, stride),
            conv(width, outputs, 1),
        ]
    changes = in_channels != outputs or stride != 1
    shortcut = nn.Sequential(conv(in_channels, outputs, 1, stride)) if changes else None
    return Residual(norms_before(convolutions), shortcut, shortcut_name="downsample")


def preresnet(
    blocks: int, expansion: int, num_classes: int = 10, in_channels: int = 3
) -> nn.Module:
    """Three stages of that many blocks; bottlenecks if they expand."""
    channels = 64 * expansion
    block = partial(preactivated, expansion)
    return named(
        {
            "conv1": conv(in_channels, 16),
            **stages(block, 16, WIDTHS, (blocks,) * 3, expansion=expansion),
            "bn": nn.BatchNorm2d(channels),
            "relu": nn.ReLU(),
            **head(channels, num_classes, "fc"),
        }
    )


def _aggregated(in_channels: int, out_channels: int, stride: int, groups: int) -> Residual:
    inner = groups * out_channels // 4
    branch: Layers = {
        "conv_reduce": conv(in_channels, inner, 1),
        "bn_reduce": nn.BatchNorm2d(inner),
        "relu_reduce": nn.ReLU(),
        "conv_conv": conv(inner, inner, 3, stride, groups=groups),
        "bn": nn.BatchNorm2d(inner),
        "relu_conv": nn.ReLU(),
        "conv_expand": conv(inner, out_channels, 1),
        "bn_expand": nn.BatchNorm2d(out_channels),
    }
    shortcut: Layers = {
        "shortcut_conv": conv(in_channels, out_channels, 1, stride),
        "shortcut_bn": nn.BatchNorm2d(out_channels),
    }
    projected = named(shortcut) if in_channels != out_channels else None
    return Residual(branch, projected, after={"relu": nn.ReLU()})


def resnext29(groups: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Three stages of three bottlenecks, 64 channels in each group of the first."""
    layers: Layers = {
        "conv_1_3x3": conv(in_channels, 64),
        "bn_1": nn.BatchNorm2d(64),
        "relu_1": nn.ReLU(),
    }
    channels = 64
    for number, width in enumerate((256, 512, 1024), 1):
        blocks: Layers = {}
        for block in range(3):
            stride = 2 if number > 1 and block == 0 else 1
            name = f"stage_{number}_bottleneck_{block}"
            blocks[name] = _aggregated(channels, width, stride, groups)
            channels = width
        layers[f"stage_{number}"] = named(blocks)
    return named({**layers, **head(channels, num_classes, "classifier")})


def densenet(depth: int, growth: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Three stages of (depth - 4) / 6 layers; new maps stand last."""
    channels = 2 * growth
    layers: Layers = {"conv1": conv(in_channels, channels)}
    for number in (1, 2, 3):
        dense = []
        for _ in range((depth - 4) // 6):
            parts = norms_before([conv(channels, 4 * growth, 1), conv(4 * growth, growth)])
            dense.append(Concatenated(parts, [[], list(parts)]))
            channels += growth
        layers[f"dense{number}"] = nn.Sequential(*dense)
        if number < 3:
            halved = norms_before([conv(channels, channels // 2, 1)])
            layers[f"trans{number}"] = named({**halved, "pool": nn.AvgPool2d(2)})
            channels //= 2
    last: Layers = {"bn": nn.BatchNorm2d(channels), "relu": nn.ReLU()}
    return named({**layers, **last, **head(channels, num_classes, "fc")})


add(
    BEARPAW,
    "alexnet",
    alexnet,
    summary="AlexNet for 32x32 pixels, with one linear layer.",
)
for depth in (11, 13, 16, 19):
    add(
        BEARPAW,
        f"vgg{depth}",
        partial(vgg, depth),
        summary=f"VGG-{depth} without batch norm, with one linear layer.",
    )
add(
    BEARPAW,
    "resnet110",
    partial(resnet, 18, 1),
    summary="A residual network of 110 layers for CIFAR, whose shortcuts have weights where the "
    "shape changes.",
)
for depth in BOTTLENECK:
    add(
        BEARPAW,
        f"resnet{depth}_bottleneck",
        partial(resnet, (depth - 2) // 9, 4),
        summary=f"A residual network of {depth} layers for CIFAR, of bottlenecks.",
    )
for depths, expansion in ((BASIC, 1), (BOTTLENECK, 4)):
    for depth in depths:
        blocks = (depth - 2) // (6 if expansion == 1 else 9)
        words = "" if expansion == 1 else " of bottlenecks"
        add(
            BEARPAW,
            f"preresnet{depth}{'' if expansion == 1 else '_bottleneck'}",
            partial(preresnet, blocks, expansion),
            summary=f"A residual network of {depth} layers for CIFAR{words}, with norm and ReLU "
            "before each convolution.",
        )
for groups in (8, 16):
    add(
        BEARPAW,
        f"resnext29_{groups}x64d",
        partial(resnext29, groups),
        summary=f"ResNeXt of 29 layers, its 3x3 convolutions in {groups} groups.",
    )
for depth, growth in DENSENETS:
    add(
        BEARPAW,
        f"densenet_bc_{depth}_{growth}",
        partial(densenet, depth, growth),
        summary=f"DenseNet-BC of {depth} layers, each adding {growth} maps.",
    )
