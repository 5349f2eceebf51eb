"""The ImageNet residual networks, torchvision's own: their keys fit its pretrained weights and
every checkpoint made from them.

He et al., Deep Residual Learning for Image Recognition, https://arxiv.org/abs/1512.03385. From
resnet50 on torchvision puts the stride on the 3x3 convolution, not on the first 1x1 ("v1.5"), which
costs more multiply-adds than the paper's table: 4.1e9 for resnet50.
"""

from __future__ import annotations

from torch import nn

from vizlib.architectures import register

PHOTOGRAPH = (3, 224, 224)


@register(input_size=PHOTOGRAPH, pretrained="torchvision")
def resnet18(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """ResNet-18 in its ImageNet form: eight blocks of two 3x3 convolutions.

    torchvision.models.resnet18; He et al. 2015, https://arxiv.org/abs/1512.03385
    """
    return _torchvision_model("resnet18", num_classes, in_channels)


@register(input_size=PHOTOGRAPH, pretrained="torchvision")
def resnet34(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """ResNet-34 in its ImageNet form: sixteen blocks of two 3x3 convolutions.

    torchvision.models.resnet34; He et al. 2015, https://arxiv.org/abs/1512.03385
    """
    return _torchvision_model("resnet34", num_classes, in_channels)


@register(input_size=PHOTOGRAPH, pretrained="torchvision")
def resnet50(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """ResNet-50 in its ImageNet form: sixteen bottleneck blocks, up to 2048 channels.

    torchvision.models.resnet50; He et al. 2015, https://arxiv.org/abs/1512.03385
    """
    return _torchvision_model("resnet50", num_classes, in_channels)


@register(input_size=PHOTOGRAPH, pretrained="torchvision")
def resnet101(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """ResNet-101 in its ImageNet form: thirty-three bottleneck blocks, twenty-three of them in the
    fourth stage.

    torchvision.models.resnet101; He et al. 2015, https://arxiv.org/abs/1512.03385
    """
    return _torchvision_model("resnet101", num_classes, in_channels)


@register(input_size=PHOTOGRAPH, pretrained="torchvision")
def resnet152(num_classes: int = 10, in_channels: int = 3) -> nn.Module:
    """ResNet-152 in its ImageNet form: fifty bottleneck blocks, the deepest of its paper's table.

    torchvision.models.resnet152; He et al. 2015, https://arxiv.org/abs/1512.03385
    """
    return _torchvision_model("resnet152", num_classes, in_channels)


def _torchvision_model(name: str, num_classes: int, in_channels: int) -> nn.Module:
    from torchvision import models  # a slow import, and needed for this family only

    model = getattr(models, name)(weights=None, num_classes=num_classes)
    if in_channels != 3:
        model.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False  # in place, it would rewrite the layer before it is looked at
    return model
