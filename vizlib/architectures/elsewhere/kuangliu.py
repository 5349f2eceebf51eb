"""kuangliu's networks for CIFAR-10 that most people train: residual networks, VGG, DenseNet,
MobileNet, LeNet. kuangliu_more.py has the others.
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
    projection,
    stages,
)
from vizlib.architectures.elsewhere.small import (
    lenet5_features,
    numbered,
    vgg_features,
    with_linear_layers,
)

KUANGLIU = Source(
    "kuangliu",
    "kuangliu's pytorch-cifar",
    "https://github.com/kuangliu/pytorch-cifar",
    (0.4914, 0.4822, 0.4465),
    (0.2023, 0.1994, 0.2010),
    "cifar10",
)
WIDTHS = (64, 128, 256, 512)
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
DEPTHS[152] = (3, 8, 36, 3)
DENSENETS = {
    "DenseNet121": (32, (6, 12, 24, 16)),
    "DenseNet161": (48, (6, 12, 36, 24)),
    "DenseNet169": (32, (6, 12, 32, 32)),
    "DenseNet201": (32, (6, 12, 48, 32)),
    "densenet_cifar": (12, (6, 12, 24, 16)),
}
MOBILENET = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5)
# (expansion, channels, blocks, stride)
MOBILENET_V2 = (
    *((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
)


def stem(in_channels: int, channels: int = 64, size: int = 3) -> Layers:
    """conv1, bn1, relu1, at the picture's size."""
    return norms_behind([conv(in_channels, channels, size)], last_relu=True)


def vgg(depth: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """For 32 pixels: one position is left behind the last pool."""
    features = vgg_features(depth, in_channels, batch_norm=True)
    return named(
        {
            "features": nn.Sequential(*features, nn.AvgPool2d(1)),
            "flatten": nn.Flatten(),
            "classifier": nn.Linear(512, num_classes),
        }
    )


def resnet(depth: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Basic blocks up to 34 layers, bottlenecks beyond."""
    block, expansion = (basic_block, 1) if depth < 50 else (bottleneck, 4)
    return named(
        {
            **stem(in_channels),
            **stages(block, 64, WIDTHS, DEPTHS[depth], expansion=expansion),
            **head(512 * expansion, num_classes),
        }
    )


def preact_block(in_channels: int, width: int, stride: int) -> Residual:
    """Norm and ReLU before both convolutions; a shortcut with weights takes the first ReLU's
    output, one without the maps before it.
    """
    return _preact([conv(in_channels, width, 3, stride), conv(width, width)], stride)


def preact_bottleneck(in_channels: int, width: int, stride: int) -> Residual:
    """The same of three convolutions."""
    convolutions = [
        conv(in_channels, width, 1),
        conv(width, width, 3, stride),
        conv(width, 4 * width, 1),
    ]
    return _preact(convolutions, stride)


def _preact(convolutions: list[nn.Conv2d], stride: int, gate: Layers | None = None) -> Residual:
    branch = norms_before(convolutions)
    shared = {name: branch.pop(name) for name in ("bn1", "relu1")}
    inputs, outputs = convolutions[0].in_channels, convolutions[-1].out_channels
    changes = inputs != outputs or stride != 1
    shortcut = nn.Sequential(conv(inputs, outputs, 1, stride)) if changes else None
    return Residual(branch, shortcut, shared=shared, gate=gate)


def preact_resnet(depth: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """No norm and ReLU behind the last sum."""
    block, expansion = (preact_block, 1) if depth < 50 else (preact_bottleneck, 4)
    return named(
        {
            "conv1": conv(in_channels, 64),
            **stages(block, 64, WIDTHS, DEPTHS[depth], expansion=expansion),
            **head(512 * expansion, num_classes),
        }
    )


def squeeze(channels: int, inner: int, names: tuple[str, str]) -> Layers:
    """One number a channel, between 0 and 1, from the means of all."""
    return {
        "squeeze": nn.AdaptiveAvgPool2d(1),
        names[0]: nn.Conv2d(channels, inner, 1),
        "squeeze_relu": nn.ReLU(),
        names[1]: nn.Conv2d(inner, channels, 1),
        "sigmoid": nn.Sigmoid(),
    }


def se_block(in_channels: int, width: int, stride: int) -> Residual:
    """A preactivation block whose channels are weighed before the sum."""
    convolutions = [conv(in_channels, width, 3, stride), conv(width, width)]
    return _preact(convolutions, stride, squeeze(width, width // 16, ("fc1", "fc2")))


def senet18(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Squeeze and excitation in every block."""
    layers = stages(se_block, 64, WIDTHS, DEPTHS[18])
    return named({**stem(in_channels), **layers, **head(512, num_classes)})


def resnext29(groups: int, width: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Three stages of three bottlenecks; the stem is a 1x1 convolution."""
    widths = [groups * width * scale for scale in (1, 2, 4)]
    block = partial(bottleneck, expansion=2, groups=groups)
    return named(
        {
            **stem(in_channels, size=1),
            **stages(block, 64, widths, (3, 3, 3), expansion=2),
            **head(2 * widths[-1], num_classes),
        }
    )


def _dense_layer(channels: int, growth: int) -> Concatenated:
    """1x1 to 4 * growth, 3x3 to growth."""
    layers = norms_before([conv(channels, 4 * growth, 1), conv(4 * growth, growth)])
    return Concatenated(layers, [list(layers), []])


def _transition(channels: int) -> nn.Sequential:
    return named(
        {
            "bn": nn.BatchNorm2d(channels),
            "relu": nn.ReLU(),
            "conv": conv(channels, channels // 2, 1),
            "pool": nn.AvgPool2d(2),
        }
    )


def densenet(
    growth: int, depths: tuple[int, ...], num_classes: int = 10, in_channels: int = 3
) -> nn.Module:
    """A layer puts its new maps before those that it was given."""
    channels = 2 * growth
    layers: Layers = {"conv1": conv(in_channels, channels)}
    for number, depth in enumerate(depths, 1):
        dense = [_dense_layer(channels + layer * growth, growth) for layer in range(depth)]
        layers[f"dense{number}"] = nn.Sequential(*dense)
        channels += depth * growth
        if number < len(depths):
            layers[f"trans{number}"] = _transition(channels)
            channels //= 2
    last = {"bn": nn.BatchNorm2d(channels), "relu": nn.ReLU()}
    return named({**layers, **last, **head(channels, num_classes)})


def _separable(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    convolutions = [
        conv(in_channels, in_channels, 3, stride, groups=in_channels),
        conv(in_channels, out_channels, 1),
    ]
    return named(norms_behind(convolutions, last_relu=True))


def mobilenet(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Thirteen depthwise separable convolutions, at the picture's size to begin with."""
    channels = 32
    blocks = []
    for width, stride in (*MOBILENET, (1024, 2), (1024, 1)):
        blocks.append(_separable(channels, width, stride))
        channels = width
    layers = {"layers": nn.Sequential(*blocks)}
    return named({**stem(in_channels, 32), **layers, **head(channels, num_classes)})


def inverted_convolutions(
    in_channels: int, out_channels: int, expansion: int, stride: int, size: int = 3
) -> list[nn.Conv2d]:
    """1x1 to more channels, depthwise, 1x1 to fewer."""
    inner = expansion * in_channels
    return [
        conv(in_channels, inner, 1),
        conv(inner, inner, size, stride, groups=inner),
        conv(inner, out_channels, 1),
    ]


def _inverted(in_channels: int, out_channels: int, expansion: int, stride: int) -> nn.Module:
    layers = norms_behind(inverted_convolutions(in_channels, out_channels, expansion, stride))
    if stride != 1:
        return named(layers)
    return Residual(layers, projection(in_channels, out_channels, 1))


def mobilenet_v2(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """A shortcut around every block that keeps the size, with weights where the channels change."""
    channels = 32
    blocks = []
    for expansion, width, depth, stride in MOBILENET_V2:
        for number in range(depth):
            blocks.append(_inverted(channels, width, expansion, 1 if number else stride))
            channels = width
    last = {"conv2": conv(channels, 1280, 1), "bn2": nn.BatchNorm2d(1280), "relu2": nn.ReLU()}
    layers = {"layers": nn.Sequential(*blocks), **last}
    return named({**stem(in_channels, 32), **layers, **head(1280, num_classes)})


def lenet(num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> nn.Module:
    """The network of PyTorch's CIFAR-10 tutorial."""
    layers = lenet5_features(in_channels)
    return numbered(with_linear_layers(layers, (120, 84), num_classes, image_size))


for depth in (11, 13, 16, 19):
    add(
        KUANGLIU,
        f"VGG{depth}",
        partial(vgg, depth),
        summary=f"VGG-{depth} with batch norm and one linear layer, for 32x32 pixels.",
    )
for depth in DEPTHS:
    add(
        KUANGLIU,
        f"ResNet{depth}",
        partial(resnet, depth),
        summary=f"ResNet-{depth} with a 3x3 stem, for 32x32 pixels.",
    )
    add(
        KUANGLIU,
        f"PreActResNet{depth}",
        partial(preact_resnet, depth),
        summary=f"ResNet-{depth} with norm and ReLU before each convolution.",
    )
for groups, width in ((2, 64), (4, 64), (8, 64), (32, 4)):
    add(
        KUANGLIU,
        f"ResNeXt29_{groups}x{width}d",
        partial(resnext29, groups, width),
        summary=f"ResNeXt of 29 layers, its 3x3 convolutions in {groups} groups.",
    )
for name, (growth, layer_counts) in DENSENETS.items():
    add(
        KUANGLIU,
        name,
        partial(densenet, growth, layer_counts),
        summary=f"DenseNet of {2 * sum(layer_counts) + 5} layers, each adding {growth} maps.",
    )
add(
    KUANGLIU,
    "SENet18",
    senet18,
    summary="A preactivation ResNet-18 whose blocks weigh their channels.",
)
add(
    KUANGLIU,
    "MobileNet",
    mobilenet,
    summary="MobileNet for 32x32 pixels: depthwise and pointwise convolutions.",
)
add(
    KUANGLIU,
    "MobileNetV2",
    mobilenet_v2,
    summary="MobileNetV2 for 32x32 pixels: wide in the middle of each block.",
)
add(
    KUANGLIU,
    "LeNet",
    lenet,
    summary="LeNet for 32x32 pixels: two 5x5 convolutions, three linear layers.",
)
