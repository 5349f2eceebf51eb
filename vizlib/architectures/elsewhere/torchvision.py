"""torchvision's classifiers, all of them, built by torchvision itself: "torchvision/resnet18".

Which there are, for pictures of what size and after which paper, is read from torchvision. Nothing
is built before it is asked for.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from functools import partial
from types import MethodType
from typing import Any

from torch import nn
from torchvision import models

from vizlib.architectures.elsewhere import Source, add

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TORCHVISION = Source(
    "torchvision",
    "torchvision",
    "https://github.com/pytorch/vision",
    IMAGENET_MEAN,
    IMAGENET_STD,
)
# Its own pretrained weights of these take the normalisation of ImageNet back inside the network
# (`transform_input`) and go on with this one: the same answers, and a first layer that reads the
# picture itself.
WITH_OTHER_NORMALISATION = ("googlenet", "inception_v3")
HALVES = (0.5, 0.5, 0.5)
# Files of these come with and without the heads that only a training has: two names each
AUXILIARY = "_aux"
# What a picture's size is called where weights are made for one size
SIZED = {"vision_transformer": "image_size", "maxvit": "input_size"}
# From names that files of earlier versions have: of DenseNets' layers before 0.2, and of what
# follows the attention of vision transformers before 0.14
_OLD_KEYS = (
    (re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..+)"), r"\1\2"),
    (re.compile(r"(.*encoder_layer_\d+\.mlp)\.linear_1\.(.+)"), r"\1.0.\2"),
    (re.compile(r"(.*encoder_layer_\d+\.mlp)\.linear_2\.(.+)"), r"\1.3.\2"),
)


def names() -> list[str]:
    """torchvision's own names of its classifiers, without "torchvision/"."""
    return models.list_models(module=models)


def normalisation(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(mean, std) by channel that torchvision's weights of a network expect, of pixels in [0, 1].
    name: with or without "torchvision/".
    """
    plain = name.rpartition("/")[2].removesuffix(AUXILIARY)
    if plain in WITH_OTHER_NORMALISATION:
        return HALVES, HALVES
    return IMAGENET_MEAN, IMAGENET_STD


def renamed_old_keys(keys: Iterable[str]) -> dict[str, str]:
    """{key in a file: what torchvision calls it today}, of those keys of earlier versions that are
    called otherwise now.
    """
    renamed = {}
    for key in keys:
        for old, new in _OLD_KEYS:
            if old.fullmatch(key):
                renamed[key] = old.sub(new, key)
    return renamed


def crop_size(name: str) -> int:
    """The side of the pictures, in pixels, that torchvision's weights of a network are tested
    with.
    """
    possible: Any = models.get_model_weights(name)
    return possible.DEFAULT.transforms().crop_size[0]


def _build(
    name: str, options: dict[str, object], num_classes: int = 1000, in_channels: int = 3
) -> nn.Module:
    """A network of torchvision's, no module of which works in place."""
    model = models.get_model(name, weights=None, num_classes=num_classes, **options)
    if in_channels != 3:
        _take_channels(model, in_channels)
    for module in model.modules():
        _out_of_place(module)
    if isinstance(model, models.MNASNet):
        # its own refuses tensors that come without torchvision's mark of their version
        model._load_from_state_dict = MethodType(nn.Module._load_from_state_dict, model)
    return model


def _build_sized(
    name: str,
    argument: str,
    usual: int,
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: int | None = None,
) -> nn.Module:
    """A network whose weights are made for pictures of one size, `usual` where none is given."""
    side = image_size or usual
    size = (side, side) if argument == "input_size" else side
    return _build(name, {argument: size}, num_classes, in_channels)


def _out_of_place(module: Any) -> None:
    if getattr(module, "inplace", False):
        module.inplace = False


def _take_channels(model: nn.Module, channels: int) -> None:
    """Give a network a first convolution for pictures of so many channels."""
    name, first = next(
        (name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d)
    )
    parent, _, own = name.rpartition(".")
    other = nn.Conv2d(
        channels,
        first.out_channels,
        first.kernel_size,  # pyright: ignore[reportArgumentType]
        first.stride,  # pyright: ignore[reportArgumentType]
        first.padding,  # pyright: ignore[reportArgumentType]
        bias=first.bias is not None,
    )
    setattr(model.get_submodule(parent), own, other)


def _summary(name: str) -> str:
    """Where a network is from, in a sentence."""
    described = inspect.getdoc(models.get_model_builder(name)) or ""
    paper = re.search(r"`([^`]+?)\s*<https?:[^>]+>`", described)
    after = f", after {' '.join(paper[1].split())}" if paper else ""
    return f"torchvision.models.{name}{after}."


def _register(name: str) -> None:
    size = crop_size(name)
    family = models.get_model_builder(name).__module__.rpartition(".")[2]
    known = partial(add, TORCHVISION, input_size=(3, size, size))
    if family in SIZED:
        build = partial(_build_sized, name, SIZED[family], size)
        known(name, build, summary=_summary(name))
    elif name in ("googlenet", "inception_v3"):
        # drawing their first weights one by one takes seconds
        without: dict[str, object] = {"init_weights": False, "aux_logits": False}
        known(name, partial(_build, name, without), summary=_summary(name))
        known(
            name + AUXILIARY,
            partial(_build, name, without | {"aux_logits": True}),
            summary=f"{_summary(name)[:-1]}, with the auxiliary heads of its training.",
        )
    else:
        known(name, partial(_build, name, {}), summary=_summary(name))


for _name in names():
    _register(_name)
