"""The networks of the published reports by the names that the reports' own code gives their layers;
architectures/ has the same with names of ours.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from vizlib.architectures.elsewhere import Source, add
from vizlib.architectures.elsewhere.blocks import (
    Block,
    Layers,
    Residual,
    conv,
    head,
    named,
    normed,
    norms_behind,
    projection,
    stage,
    stages,
)
from vizlib.architectures.elsewhere.kuangliu import MOBILENET, densenet
from vizlib.architectures.elsewhere.small import features_and_classifier, numbered

NORMALISED = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
WIDTHS = (64, 128, 256, 512)
SLIM_GROUPS = ((64, 64), (128, 128), (256, 256, 256), (512, 512), (512, 512, 512))

MICHIGAN = Source(
    "michigan",
    "The networks of Michigan's EECS 498 assignment",
    "https://web.eecs.umich.edu/~justincj/teaching/eecs498/",
    *NORMALISED,
    "cifar10",
)
REPORTS = Source(
    "reports",
    "The reports' networks, as students name their layers",
    "https://arxiv.org/abs/1512.03385",
    *NORMALISED,
    "cifar10",
)
LATE_POOL = Source(
    "late_pool",
    "The report that pools late, at 224 pixels",
    "https://arxiv.org/abs/1512.03385",
    (0.5, 0.5, 0.5),
    (0.5, 0.5, 0.5),
    "cifar10",
)


def three_layers(
    names: dict[str, str],
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
    widths: tuple[int, ...] = (32, 16),
) -> nn.Module:
    """5x5 and 3x3, both padded, and one linear layer on all that they make."""
    layers = [
        *(conv(in_channels, widths[0], 5, bias=True), nn.ReLU()),
        *(conv(widths[0], widths[1], 3, bias=True), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(widths[1] * image_size**2, num_classes)),
    ]
    return numbered(layers, names)


def _before(convolutions: list[nn.Conv2d]) -> nn.Sequential:
    """Norm, ReLU and convolution, by number."""
    layers: list[nn.Module] = []
    for convolution in convolutions:
        layers += [nn.BatchNorm2d(convolution.in_channels), nn.ReLU(), convolution]
    return nn.Sequential(*layers)


def plain_block(in_channels: int, width: int, stride: int) -> nn.Sequential:
    """net.0 to net.5: norm, ReLU and 3x3 convolution, twice."""
    convolutions = [
        conv(in_channels, width, 3, stride, bias=True),
        conv(width, width, bias=True),
    ]
    return named({"net": _before(convolutions)})


def _with_shortcut(block: nn.Module, in_channels: int, width: int, stride: int) -> Residual:
    """A shortcut with weights has no norm."""
    changes = in_channels != width or stride != 1
    shortcut = conv(in_channels, width, 1, stride, bias=True) if changes else None
    return Residual({"block": block}, shortcut)


def residual_block(in_channels: int, width: int, stride: int) -> Residual:
    """A plain block beside a shortcut."""
    return _with_shortcut(plain_block(in_channels, width, stride), in_channels, width, stride)


def residual_bottleneck(in_channels: int, width: int, stride: int) -> Residual:
    """1x1 with the stride to a quarter of the width, 3x3, 1x1, beside a shortcut."""
    inner = width // 4
    convolutions = [
        conv(in_channels, inner, 1, stride, bias=True),
        conv(inner, inner, bias=True),
        conv(inner, width, 1, bias=True),
    ]
    return _with_shortcut(_before(convolutions), in_channels, width, stride)


def staged(
    block: Block,
    num_classes: int = 10,
    in_channels: int = 3,
    widths: tuple[int, ...] = (8, 16, 32),
) -> nn.Module:
    """cnn.0 is the stem, cnn.1 to cnn.3 are stages of five blocks, each within its `net`."""
    channels = widths[0]
    parts = [nn.Sequential(conv(in_channels, channels, bias=True), nn.ReLU())]
    for width in widths:
        parts.append(stage(block, channels, width, 5, 1 if len(parts) == 1 else 2))
        channels = width
    cnn = nn.Sequential(*(named({"net": part}) for part in parts))
    return named({"cnn": cnn, **head(channels, num_classes, "fc")})


def left_block(in_channels: int, width: int, stride: int) -> Residual:
    """left.0 to left.4 beside shortcut.0 and shortcut.1."""
    left = nn.Sequential(
        *normed(conv(in_channels, width, 3, stride)), *normed(conv(width, width), activation=None)
    )
    return Residual(
        {"left": left}, projection(in_channels, width, stride), after={"relu": nn.ReLU()}
    )


def left_resnet18(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """ResNet-18 with a 3x3 stem."""
    return named(
        {
            "conv1": normed(conv(in_channels, 64)),
            **stages(left_block, 64, WIDTHS, (2, 2, 2, 2)),
            **head(512, num_classes, "fc"),
        }
    )


def left_resnet18_late_pool(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """ResNet-18 with a 7x7 stem and the max pool behind its first stage."""
    layers = stages(left_block, 64, WIDTHS, (2, 2, 2, 2))
    first = layers.pop("layer1")
    return named(
        {
            "conv1": normed(conv(in_channels, 64, 7, 2)),
            "layer1": first,
            "maxpool": nn.MaxPool2d(3, 2, padding=1),
            **layers,
            **head(512, num_classes, "fc"),
        }
    )


def vgg16_slim(batch_norm: bool, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """features.N, and classifier.1, .2 (a batch norm) and .5; for 32 pixels."""
    features: list[nn.Module] = []
    channels = in_channels
    for group in SLIM_GROUPS:
        for width in group:
            norm = [nn.BatchNorm2d(width)] if batch_norm else []
            features += [conv(channels, width, bias=True), *norm, nn.ReLU()]
            channels = width
        features.append(nn.MaxPool2d(2))
    classifier = [
        *(nn.Dropout(), nn.Linear(channels, 512), nn.BatchNorm1d(512), nn.ReLU()),
        *(nn.Dropout(), nn.Linear(512, num_classes)),
    ]
    return features_and_classifier(features, classifier)


def _with_norm(in_channels: int, out_channels: int, size: int, stride: int = 1) -> nn.Sequential:
    return normed(conv(in_channels, out_channels, size, stride, bias=True))


def three_stage_block(in_channels: int, inner: int, halves: bool) -> Residual:
    """1x1, 3x3, 1x1 to four times as many channels, each with norm and ReLU; every shortcut is a
    1x1 convolution with both, whose name says whether it halves the size.
    """
    stride = 2 if halves else 1
    branch = nn.Sequential(
        _with_norm(in_channels, inner, 1, stride),
        _with_norm(inner, inner, 3),
        _with_norm(inner, 4 * inner, 1),
    )
    return Residual(
        {"layer": branch},
        _with_norm(in_channels, 4 * inner, 1, stride),
        shortcut_name="downsize" if halves else "make_equal_channel",
    )


def resnet50_layer4(padding: int, num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """layer1 is the stem; the last blocks of layer2 and layer3 halve the size; for 32 pixels.

    padding: of the stem's pool.
    """
    stem = normed(nn.Conv2d(in_channels, 64, 7, 2, padding=3))
    layers: Layers = {"layer1": nn.Sequential(*stem, nn.MaxPool2d(3, 2, padding=padding))}
    channels = 64
    for number, (inner, depth) in enumerate(((64, 3), (128, 4), (256, 6)), 2):
        blocks = []
        for block in range(depth):
            halves = number < 4 and block == depth - 1
            blocks.append(three_stage_block(channels, inner, halves))
            channels = 4 * inner
        layers[f"layer{number}"] = nn.Sequential(*blocks)
    last = {"flatten": nn.Flatten(), "fc": nn.Linear(channels, num_classes)}
    return named({**layers, "avgpool": nn.AvgPool2d(2, 1), **last})


def mobilenet(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """One norm and one ReLU a block, behind the pointwise convolution; the stem halves."""
    channels = 32
    blocks = []
    for width, stride in (*MOBILENET, (1024, 2), (1024, 1)):
        layers: Layers = {
            "conv1": conv(channels, channels, 3, stride, groups=channels),
            "conv2": conv(channels, width, 1),
            "bn": nn.BatchNorm2d(width),
            "relu": nn.ReLU(),
        }
        blocks.append(named(layers))
        channels = width
    first = norms_behind([conv(in_channels, 32, 3, 2)], last_relu=True)
    return named({**first, "layers": nn.Sequential(*blocks), **head(channels, num_classes)})


for name, names in (
    ("three_layers", {"conv1": "conv_1", "conv2": "conv_2", "fc1": "fc"}),
    ("three_layers_sequential", {"conv1": "0", "conv2": "2", "fc1": "5"}),
):
    add(
        MICHIGAN,
        name,
        partial(three_layers, names),
        summary="Two convolutions and a linear layer on all that they make.",
    )
add(
    MICHIGAN,
    "plain32",
    partial(staged, plain_block),
    summary="Three stages of five blocks without shortcuts, norm and ReLU before each convolution.",
)
add(
    MICHIGAN,
    "resnet32",
    partial(staged, residual_block),
    summary="Three stages of five residual blocks, norm and ReLU before each convolution.",
)
add(
    MICHIGAN,
    "resnet47",
    partial(staged, residual_bottleneck, widths=(32, 64, 128)),
    summary="Three stages of five residual bottlenecks, norm and ReLU before each convolution.",
)
add(
    REPORTS,
    "resnet18_left",
    left_resnet18,
    summary="ResNet-18 for 32x32 pixels, its blocks of a left branch and a shortcut.",
)
add(
    LATE_POOL,
    "resnet18_left",
    left_resnet18_late_pool,
    summary="ResNet-18 for 224x224 pixels, the max pool behind its first stage.",
    input_size=(3, 224, 224),
)
for name, batch_norm in (("vgg16_slim", False), ("vgg16_slim_bn", True)):
    add(
        REPORTS,
        name,
        partial(vgg16_slim, batch_norm),
        summary=f"A slim VGG of twelve convolutions with{'' if batch_norm else 'out'} batch norm.",
    )
for name, padding in (("resnet50_layer4", 0), ("resnet50_layer4_padded", 1)):
    add(
        REPORTS,
        name,
        partial(resnet50_layer4, padding),
        summary="ResNet-50 without its last stage, ReLU behind every convolution and none behind "
        f"a sum, {'no' if padding == 0 else 'one pixel of'} padding at its pool.",
    )
add(
    REPORTS,
    "densenet4",
    partial(densenet, 32, (1, 1, 1, 1)),
    summary="A DenseNet of four stages of one layer.",
)
add(
    REPORTS,
    "mobilenet",
    mobilenet,
    summary="MobileNet with one norm and one ReLU a block.",
)
