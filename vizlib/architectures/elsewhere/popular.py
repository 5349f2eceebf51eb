"""Networks of single notebooks and repositories that many have copied."""

from __future__ import annotations

from functools import partial

from torch import nn

from vizlib.architectures.elsewhere import Source, add
from vizlib.architectures.elsewhere.blocks import Residual, conv, named, normed
from vizlib.architectures.elsewhere.small import (
    features_and_classifier,
    vgg_features,
    with_linear_layers,
)

CHENGYANGFU = Source(
    "chengyangfu",
    "chengyangfu's pytorch-vgg-cifar10",
    "https://github.com/chengyangfu/pytorch-vgg-cifar10",
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
    "cifar10",
)
JOVIAN = Source(
    "jovian",
    "Jovian's course Deep Learning with PyTorch",
    "https://jovian.com/aakashns/05b-cifar10-resnet",
    (0.4914, 0.4822, 0.4465),
    (0.2023, 0.1994, 0.2010),
    "cifar10",
)
JOVIAN_CNN = Source(
    "jovian_cnn",
    "Jovian's first CNN",
    "https://jovian.com/aakashns/05-cifar10-cnn",
    (0.0, 0.0, 0.0),
    (1.0, 1.0, 1.0),
    "cifar10",
)


def chengyangfu_vgg(
    depth: int, batch_norm: bool, num_classes: int = 10, in_channels: int = 3
) -> nn.Module:
    """features.N, classifier.1, .4 and .6; for 32 pixels."""
    classifier = [
        *(nn.Dropout(), nn.Linear(512, 512), nn.ReLU()),
        *(nn.Dropout(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, num_classes)),
    ]
    return features_and_classifier(
        vgg_features(depth, in_channels, batch_norm=batch_norm), classifier
    )


def _convolved(in_channels: int, out_channels: int, pool: bool = False) -> nn.Sequential:
    layers = normed(conv(in_channels, out_channels, bias=True))
    return nn.Sequential(*layers, *([nn.MaxPool2d(2)] if pool else []))


def resnet9(dropout: bool, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """Four convolutions, and a residual pair behind the second and the fourth; for 32 pixels."""
    last = [nn.MaxPool2d(4), nn.Flatten(), *([nn.Dropout(0.2)] if dropout else [])]
    return named(
        {
            "conv1": _convolved(in_channels, 64),
            "conv2": _convolved(64, 128, pool=True),
            "res1": Residual({"0": _convolved(128, 128), "1": _convolved(128, 128)}),
            "conv3": _convolved(128, 256, pool=True),
            "conv4": _convolved(256, 512, pool=True),
            "res2": Residual({"0": _convolved(512, 512), "1": _convolved(512, 512)}),
            "classifier": nn.Sequential(*last, nn.Linear(512, num_classes)),
        }
    )


def jovian_cnn(num_classes: int = 10, in_channels: int = 3, image_size: int = 32) -> nn.Module:
    """network.0 to network.20: three pairs of convolutions with a pool, three linear layers."""
    layers: list[nn.Module] = []
    for inputs, middle, outputs in ((in_channels, 32, 64), (64, 128, 128), (128, 256, 256)):
        layers += [conv(inputs, middle, bias=True), nn.ReLU()]
        layers += [conv(middle, outputs, bias=True), nn.ReLU(), nn.MaxPool2d(2)]
    network = with_linear_layers(layers, (1024, 512), num_classes, image_size)
    return named({"network": nn.Sequential(*network)})


for depth in (11, 13, 16, 19):
    for batch_norm in (False, True):
        add(
            CHENGYANGFU,
            f"vgg{depth}{'_bn' if batch_norm else ''}",
            partial(chengyangfu_vgg, depth, batch_norm),
            summary=f"VGG-{depth} with{'' if batch_norm else 'out'} batch norm, linear layers of "
            "512 behind dropout.",
        )
for name, dropout in (("ResNet9", False), ("ResNet9_dropout", True)):
    add(
        JOVIAN,
        name,
        partial(resnet9, dropout),
        summary=f"ResNet-9 with{'' if dropout else 'out'} dropout: nine layers, two residual "
        "pairs.",
    )
add(
    JOVIAN_CNN,
    "Cifar10CnnModel",
    jovian_cnn,
    summary="Six 3x3 convolutions, three pools, three linear layers.",
)
