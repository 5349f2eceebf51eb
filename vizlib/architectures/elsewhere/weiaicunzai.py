"""weiaicunzai's networks for CIFAR-100 that most people train."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from vizlib.architectures.elsewhere import Source, add
from vizlib.architectures.elsewhere.blocks import (
    Concatenated,
    Layers,
    Residual,
    conv,
    head,
    named,
    normed,
    projection,
    run,
    stages,
)
from vizlib.architectures.elsewhere.inception import googlenet as googlenet_behind
from vizlib.architectures.elsewhere.small import vgg_features

WEIAICUNZAI = Source(
    "weiaicunzai",
    "weiaicunzai's pytorch-cifar100",
    "https://github.com/weiaicunzai/pytorch-cifar100",
    (0.5071, 0.4865, 0.4409),
    (0.2673, 0.2564, 0.2762),
)
WIDTHS = (64, 128, 256, 512)
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
DEPTHS[152] = (3, 8, 36, 3)
DENSENETS = {
    121: (32, (6, 12, 24, 16)),
    161: (48, (6, 12, 36, 24)),
    169: (32, (6, 12, 32, 32)),
    201: (32, (6, 12, 48, 32)),
}
# (expansion, in, out, blocks, stride) of stages 1 to 7
MOBILENET_V2 = (
    *((1, 32, 16, 1, 1), (6, 16, 24, 2, 2), (6, 24, 32, 3, 2), (6, 32, 64, 4, 2)),
    *((6, 64, 96, 3, 1), (6, 96, 160, 3, 1), (6, 160, 320, 1, 1)),
)
XCEPTION = 728


def _stages_named(names: str, layers: Layers) -> Layers:
    """The stages by the names of the source, of which {} is the number."""
    return {names.format(number): part for number, part in enumerate(layers.values(), 1)}


def vgg(depth: int, batch_norm: bool, num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Three linear layers of 4,096; for 32 pixels."""
    classifier = [
        *(nn.Linear(512, 4096), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, num_classes)),
    ]
    return named(
        {
            "features": nn.Sequential(*vgg_features(depth, in_channels, batch_norm=batch_norm)),
            "flatten": nn.Flatten(),
            "classifier": nn.Sequential(*classifier),
        }
    )


def _behind(*convolutions: nn.Conv2d, last_relu: bool = False) -> nn.Sequential:
    """Each with its norm and a ReLU, the last one without ReLU unless last_relu; by number."""
    layers = [layer for convolution in convolutions for layer in normed(convolution)]
    return nn.Sequential(*(layers if last_relu else layers[:-1]))


def _before(*convolutions: nn.Conv2d) -> nn.Sequential:
    """Norm, ReLU and convolution, by number."""
    layers: list[nn.Module] = []
    for convolution in convolutions:
        layers += [nn.BatchNorm2d(convolution.in_channels), nn.ReLU(), convolution]
    return nn.Sequential(*layers)


def _basic(in_channels: int, width: int, stride: int, bias: bool = False) -> list[nn.Conv2d]:
    return [conv(in_channels, width, 3, stride, bias=bias), conv(width, width, bias=bias)]


def _bottleneck(in_channels: int, width: int, stride: int, bias: bool = False) -> list[nn.Conv2d]:
    return [
        conv(in_channels, width, 1, bias=bias),
        conv(width, width, 3, stride, bias=bias),
        conv(width, 4 * width, 1, bias=bias),
    ]


def _convolutions(depth: int) -> tuple[Callable[..., list[nn.Conv2d]], int]:
    """Those of a block of a residual network of that depth, and how many times as many channels as
    its width it gives.
    """
    return (_basic, 1) if depth < 50 else (_bottleneck, 4)


def resnet(depth: int, num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """conv1, conv2_x to conv5_x; residual_function and shortcut in a block."""
    convolutions, expansion = _convolutions(depth)

    def block(channels: int, width: int, stride: int) -> Residual:
        return Residual(
            {"residual_function": _behind(*convolutions(channels, width, stride))},
            projection(channels, width * expansion, stride),
            after={"relu": nn.ReLU()},
        )

    layers = stages(block, 64, WIDTHS, DEPTHS[depth], expansion=expansion)
    return named(
        {
            "conv1": normed(conv(in_channels, 64)),
            **{f"conv{number}_x": part for number, part in enumerate(layers.values(), 2)},
            **head(512 * expansion, num_classes, "fc"),
        }
    )


def preactresnet(depth: int, num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Biases everywhere; the shortcut takes the maps themselves, and has no norm."""
    expansion = 1 if depth < 50 else 4

    def block(channels: int, width: int, stride: int) -> Residual:
        outputs = width * expansion
        convolutions = _basic(channels, width, stride, bias=True)
        if expansion > 1:  # here the first one has the stride
            convolutions = [
                conv(channels, width, 1, stride, bias=True),
                conv(width, width, bias=True),
                conv(width, outputs, 1, bias=True),
            ]
        changes = channels != outputs or stride != 1
        shortcut = conv(channels, outputs, 1, stride, bias=True) if changes else None
        return Residual({"residual": _before(*convolutions)}, shortcut)

    layers = stages(block, 64, WIDTHS, DEPTHS[depth], expansion=expansion)
    return named(
        {
            "pre": normed(conv(in_channels, 64, bias=True)),
            **_stages_named("stage{}", layers),
            **head(512 * expansion, num_classes),
        }
    )


def seresnet(depth: int, num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Biases everywhere; a ReLU behind the branch's last norm too, before its channels are
    weighed.
    """
    convolutions, expansion = _convolutions(depth)

    def block(channels: int, width: int, stride: int) -> Residual:
        outputs = width * expansion
        return Residual(
            {"residual": _behind(*convolutions(channels, width, stride, True), last_relu=True)},
            _biased_projection(channels, outputs, stride),
            gate=_excitation(outputs),
            after={"relu": nn.ReLU()},
        )

    layers = stages(block, 64, WIDTHS, DEPTHS[depth], expansion=expansion)
    return named(
        {
            "pre": normed(conv(in_channels, 64, bias=True)),
            **_stages_named("stage{}", layers),
            **head(512 * expansion, num_classes),
        }
    )


def _biased_projection(channels: int, outputs: int, stride: int) -> nn.Sequential | None:
    if channels == outputs and stride == 1:
        return None
    return normed(conv(channels, outputs, 1, stride, bias=True), activation=None)


def _excitation(channels: int) -> Layers:
    return {
        "squeeze": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "excitation": nn.Sequential(
            *(nn.Linear(channels, channels // 16), nn.ReLU()),
            *(nn.Linear(channels // 16, channels), nn.Sigmoid()),
        ),
        "unflatten": nn.Unflatten(1, (channels, 1, 1)),
    }


def resnext(depth: int, num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """32 groups, in the first 1x1 convolution of a block too."""

    def block(channels: int, width: int, stride: int) -> Residual:
        inner = 32 * (4 * width // 64)
        return Residual(
            {
                "split_transforms": _behind(
                    conv(channels, inner, 1, groups=32),
                    conv(inner, inner, 3, stride, groups=32),
                    conv(inner, 4 * width, 1),
                )
            },
            projection(channels, 4 * width, stride),
            after={"relu": nn.ReLU()},
        )

    layers = stages(block, 64, WIDTHS, DEPTHS[depth], expansion=4)
    return named(
        {
            "conv1": normed(conv(in_channels, 64)),
            **{f"conv{number}": part for number, part in enumerate(layers.values(), 2)},
            **head(2048, num_classes, "fc"),
        }
    )


def wideresnet(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Forty layers, ten times as wide, with biases."""

    def block(channels: int, width: int, stride: int) -> Residual:
        layers = list(_before(*_basic(channels, width, stride, bias=True)))
        layers.insert(-1, nn.Dropout())
        changes = channels != width or stride != 1
        shortcut = nn.Sequential(conv(channels, width, 1, stride, bias=True)) if changes else None
        return Residual({"residual": nn.Sequential(*layers)}, shortcut)

    layers = stages(block, 16, (160, 320, 640), (6, 6, 6))
    return named(
        {
            "init_conv": conv(in_channels, 16, bias=True),
            **{f"conv{number}": part for number, part in enumerate(layers.values(), 2)},
            "bn": nn.BatchNorm2d(640),
            "relu": nn.ReLU(),
            **head(640, num_classes),
        }
    )


def googlenet(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Three 3x3 convolutions and a pool come first."""
    prelayer = _behind(conv(in_channels, 64), conv(64, 64), conv(64, 192), last_relu=True)
    before: Layers = {"prelayer": prelayer, "maxpool": nn.MaxPool2d(3, 2, padding=1)}
    return googlenet_behind(before, num_classes)


def _separable(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    depthwise = conv(in_channels, in_channels, 3, stride, groups=in_channels)
    pointwise = conv(in_channels, out_channels, 1, bias=True)
    return named({"depthwise": normed(depthwise), "pointwise": normed(pointwise)})


def mobilenet(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """stem, conv1 to conv4; the pointwise convolutions have biases."""
    first: Layers = {
        "conv": conv(in_channels, 32),
        "bn": nn.BatchNorm2d(32),
        "relu": nn.ReLU(),
    }
    layers: Layers = {"stem": nn.Sequential(named(first), _separable(32, 64))}
    channels = 64
    for number, (width, depth) in enumerate(((128, 2), (256, 2), (512, 6), (1024, 2)), 1):
        rest = (_separable(width, width) for _ in range(depth - 1))
        layers[f"conv{number}"] = nn.Sequential(_separable(channels, width, 2), *rest)
        channels = width
    return named({**layers, **head(channels, num_classes, "fc")})


def _inverted(in_channels: int, out_channels: int, expansion: int, stride: int) -> nn.Module:
    inner = in_channels * expansion
    layers = [
        *normed(conv(in_channels, inner, 1, bias=True), nn.ReLU6),
        *normed(conv(inner, inner, 3, stride, groups=inner, bias=True), nn.ReLU6),
        *normed(conv(inner, out_channels, 1, bias=True), activation=None),
    ]
    branch: Layers = {"residual": nn.Sequential(*layers)}
    keeps_shape = stride == 1 and in_channels == out_channels
    return Residual(branch) if keeps_shape else named(branch)


def mobilenetv2(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Biases everywhere; the stem is a 1x1 convolution that pads; the last layer is one too."""
    stem = nn.Conv2d(in_channels, 32, 1, padding=1)
    layers: Layers = {"pre": normed(stem, nn.ReLU6)}
    for number, (expansion, inputs, outputs, depth, stride) in enumerate(MOBILENET_V2, 1):
        blocks = [_inverted(inputs, outputs, expansion, stride)]
        blocks += [_inverted(outputs, outputs, expansion, 1) for _ in range(depth - 1)]
        layers[f"stage{number}"] = blocks[0] if depth == 1 else nn.Sequential(*blocks)
    last: Layers = {
        "conv1": normed(conv(320, 1280, 1, bias=True), nn.ReLU6),
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "conv2": nn.Conv2d(1280, num_classes, 1),
        "flatten": nn.Flatten(),
    }
    return named({**layers, **last})


class Fire(nn.Module):
    """A 1x1 convolution, then a 1x1 and a 3x3 side by side; with the maps added again if `skips`
    (arXiv 1602.07360).
    """

    def __init__(self, in_channels: int, out_channels: int, skips: bool) -> None:
        super().__init__()
        inner = out_channels // 8
        half = out_channels // 2
        self.skips = skips
        self.squeeze = normed(conv(in_channels, inner, 1, bias=True))
        self.expand_1x1 = normed(conv(inner, half, 1, bias=True))
        self.expand_3x3 = normed(conv(inner, half, bias=True))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        inner = self.squeeze(maps)
        result = torch.cat([self.expand_1x1(inner), self.expand_3x3(inner)], dim=1)
        return result + maps if self.skips else result


def squeezenet(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """A bypass around every second fire module; the last layer is a 1x1 convolution."""
    stem = [*normed(conv(in_channels, 96, bias=True)), nn.MaxPool2d(2)]
    layers: Layers = {"stem": nn.Sequential(*stem)}
    channels = 96
    widths = (128, 128, 256, 256, 384, 384, 512, 512)
    for number, width in enumerate(widths, 2):
        layers[f"fire{number}"] = Fire(channels, width, skips=number in (3, 5, 7))
        channels = width
        if number in (4, 8):
            layers[f"maxpool{number}"] = nn.MaxPool2d(2)
    last: Layers = {
        "conv10": nn.Conv2d(channels, num_classes, 1),
        "avg": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return named({**layers, **last})


def densenet(depth: int, num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """No ReLU in a transition; new maps stand last."""
    growth, depths = DENSENETS[depth]
    channels = 2 * growth
    first = conv(in_channels, channels)
    features: Layers = {}
    for number, count in enumerate(depths):
        dense = {}
        for layer in range(count):
            convolutions = conv(channels, 4 * growth, 1), conv(4 * growth, growth)
            dense[f"bottle_neck_layer_{layer}"] = Concatenated(
                {"bottle_neck": _before(*convolutions)}, [[], ["bottle_neck"]]
            )
            channels += growth
        if number < len(depths) - 1:
            features[f"dense_block_layer_{number}"] = named(dense)
            features[f"transition_layer_{number}"] = _transition(channels)
            channels //= 2
        else:
            features[f"dense_block{number}"] = named(dense)
    features |= {"bn": nn.BatchNorm2d(channels), "relu": nn.ReLU()}
    return named({"conv1": first, "features": named(features), **head(channels, num_classes)})


def _transition(channels: int) -> nn.Sequential:
    halved = conv(channels, channels // 2, 1)
    return named({"down_sample": nn.Sequential(nn.BatchNorm2d(channels), halved, nn.AvgPool2d(2))})


def _separable_norm(in_channels: int, out_channels: int) -> list[nn.Module]:
    layers: Layers = {
        "depthwise": conv(in_channels, in_channels, groups=in_channels),
        "pointwise": conv(in_channels, out_channels, 1),
    }
    return [named(layers), nn.BatchNorm2d(out_channels)]


class EntryFlow(nn.Module):
    """Two convolutions, then three pairs of separable ones beside a shortcut; the first two halve
    the size.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv1 = normed(conv(in_channels, 32))
        self.conv2 = normed(conv(32, 64))
        channels = 64
        for number, width, stride in ((3, 128, 2), (4, 256, 2), (5, XCEPTION, 1)):
            residual = [
                *([] if number == 3 else [nn.ReLU()]),
                *(*_separable_norm(channels, width), nn.ReLU()),
                *(*_separable_norm(width, width), nn.MaxPool2d(3, stride, padding=1)),
            ]
            self.add_module(f"conv{number}_residual", nn.Sequential(*residual))
            shortcut = normed(conv(channels, width, 1, stride, bias=True), activation=None)
            self.add_module(f"conv{number}_shortcut", shortcut)
            channels = width

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.conv2(self.conv1(images))
        for number in (3, 4, 5):
            residual = run(self, [f"conv{number}_residual"], maps)
            maps = residual + run(self, [f"conv{number}_shortcut"], maps)
        return maps


def _middle_block() -> Residual:
    branch: Layers = {
        f"conv{number}": nn.Sequential(nn.ReLU(), *_separable_norm(XCEPTION, XCEPTION))
        for number in (1, 2, 3)
    }
    return Residual(branch)


def _exit_flow() -> Residual:
    residual = [
        *(nn.ReLU(), *_separable_norm(XCEPTION, XCEPTION)),
        *(nn.ReLU(), *_separable_norm(XCEPTION, 1024), nn.MaxPool2d(3, 2, padding=1)),
    ]
    last = [
        *(*_separable_norm(1024, 1536), nn.ReLU()),
        *(*_separable_norm(1536, 2048), nn.ReLU()),
    ]
    shortcut = normed(conv(XCEPTION, 1024, 1, 2, bias=True), activation=None)
    after: Layers = {"conv": nn.Sequential(*last), "avgpool": nn.AdaptiveAvgPool2d(1)}
    return Residual({"residual": nn.Sequential(*residual)}, shortcut, after=after)


def xception(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Entry, middle (as the source spells it) and exit flow (arXiv 1610.02357)."""
    middle = nn.Sequential(*(_middle_block() for _ in range(8)))
    return named(
        {
            "entry_flow": EntryFlow(in_channels),
            "middel_flow": named({"middel_block": middle}),
            "exit_flow": _exit_flow(),
            "flatten": nn.Flatten(),
            "fc": nn.Linear(2048, num_classes),
        }
    )


for depth in (11, 13, 16, 19):
    for batch_norm in (False, True):
        add(
            WEIAICUNZAI,
            f"vgg{depth}{'_bn' if batch_norm else ''}",
            partial(vgg, depth, batch_norm),
            summary=f"VGG-{depth} with{'' if batch_norm else 'out'} batch norm, linear layers of "
            "4,096.",
        )
for depth in DEPTHS:
    add(
        WEIAICUNZAI,
        f"resnet{depth}",
        partial(resnet, depth),
        summary=f"ResNet-{depth} with a 3x3 stem, for 32x32 pixels.",
    )
    add(
        WEIAICUNZAI,
        f"preactresnet{depth}",
        partial(preactresnet, depth),
        summary=f"ResNet-{depth} with norm and ReLU before each convolution, and biases.",
    )
    add(
        WEIAICUNZAI,
        f"seresnet{depth}",
        partial(seresnet, depth),
        summary=f"ResNet-{depth} whose blocks weigh their channels, with biases.",
    )
for depth in (50, 101, 152):
    add(
        WEIAICUNZAI,
        f"resnext{depth}",
        partial(resnext, depth),
        summary=f"ResNeXt-{depth} of 32 groups, for 32x32 pixels.",
    )
for depth in DENSENETS:
    add(
        WEIAICUNZAI,
        f"densenet{depth}",
        partial(densenet, depth),
        summary=f"DenseNet-{depth} for 32x32 pixels.",
    )
for name, build, words in (
    ("wideresnet", wideresnet, "A wide residual network of 40 layers, ten times as wide"),
    ("googlenet", googlenet, "GoogLeNet with batch norm, and two 3x3 convolutions for a 5x5"),
    ("mobilenet", mobilenet, "MobileNet for 32x32 pixels"),
    ("mobilenetv2", mobilenetv2, "MobileNetV2 for 32x32 pixels, its stem a 1x1 convolution"),
    ("squeezenet", squeezenet, "SqueezeNet with batch norm and bypasses"),
    ("xception", xception, "Xception for 32x32 pixels"),
):
    add(WEIAICUNZAI, name, build, summary=f"{words}.")
