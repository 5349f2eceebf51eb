"""timm's residual networks, built by timm itself where it is installed: "timm/resnet50d". It is no
requirement; where it is not there, neither are they, and `is_installed` says so.

Those of its networks that have torchvision's names, shapes and computation, as its resnet18 and
resnet50, are not repeated here: their files are opened as torchvision's.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import partial
from typing import TYPE_CHECKING

from vizlib.architectures.elsewhere import Source, add
from vizlib.architectures.elsewhere.torchvision import IMAGENET_MEAN, IMAGENET_STD

if TYPE_CHECKING:
    from torch import nn

TIMM = Source(
    "timm",
    "timm",
    "https://github.com/huggingface/pytorch-image-models",
    IMAGENET_MEAN,
    IMAGENET_STD,
)
# Typed in: to ask timm takes seconds. d: three 3x3 convolutions for the 7x7, and shortcuts that
# pool; t: the same, narrower at first; c: the three convolutions alone.
NAMES = (
    "resnet10t",
    "resnet14t",
    "resnet18d",
    "resnet26",
    "resnet26d",
    "resnet26t",
    "resnet34d",
    "resnet50c",
    "resnet50d",
    "resnet50t",
    "resnet101c",
    "resnet101d",
    "resnet152d",
    "resnet200d",
    "resnetv2_50",
    "resnetv2_50d",
    "resnetv2_101",
    "resnext50d_32x4d",
    "seresnet18",
    "seresnet34",
    "seresnet50",
    "seresnet101",
    "ecaresnet50d",
    "ecaresnet101d",
)


def is_installed() -> bool:
    """Whether timm is on this machine."""
    return importlib.util.find_spec("timm") is not None


def _build(name: str, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """A network of timm's, no module of which works in place."""
    create = importlib.import_module("timm").create_model
    model = create(name, pretrained=False, num_classes=num_classes, in_chans=in_channels)
    for module in model.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    return model


if is_installed():
    for _name in NAMES:
        add(
            TIMM,
            _name,
            partial(_build, _name),
            summary=f"timm's {_name}, a residual network.",
            input_size=(3, 224, 224),
        )
