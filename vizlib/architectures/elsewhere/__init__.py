"""Networks as others write them, by the names that their checkpoints go by: "kuangliu/ResNet18".

They are there to be recognised and opened (bring/), and are not offered for training. A file a
source; one dropped in here is found.

    AKAMASTER = Source("akamaster", "akamaster's pytorch_resnet_cifar10", ...)

    for depth in (20, 32, 44, 56):
        add(AKAMASTER, f"resnet{depth}", partial(Resnet, depth), summary="...")

Each is written anew, after its paper, so that names, shapes and what is computed are those of its
source; no code of theirs is here. Modules never work in place: that would rewrite a layer before
it is looked at.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from vizlib.architectures import Architecture
from vizlib.errors import unknown

if TYPE_CHECKING:
    from torch import nn

MOST_NAMED = 5  # in a sentence
_registry: dict[str, Architecture] = {}
_sources: dict[str, Source] = {}


@dataclass(frozen=True)
class Source:
    """Whose networks they are.

    name: what stands before the slash. title: what the app calls it. link: where it is. mean, std:
    by channel, of pixels in [0, 1], as its own scripts normalise; dataset: what its checkpoints
    are usually trained on, by our name, empty where nobody can say.
    """

    name: str
    title: str
    link: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dataset: str = ""


def add(
    source: Source,
    name: str,
    build: Callable[..., nn.Module],
    *,
    summary: str,
    input_size: tuple[int, int, int] = (3, 32, 32),
) -> None:
    """Make a network of a source known as "source/name". ValueError for a name taken twice.

    build: takes num_classes and, where the network can have others than three, in_channels, and
    image_size where its linear layers count on it, each with a default. summary: one sentence.
    """
    whole = f"{source.name}/{name}"
    if whole in _registry:
        raise ValueError(f"an architecture named {whole!r} is registered already")
    _sources[source.name] = source
    _registry[whole] = Architecture(whole, build, input_size, summary, {}, "")


def names() -> list[str]:
    """All names, in alphabetical order."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(_registry)


def get(name: str) -> Architecture:
    """The Architecture of that name; UserError lists those that are called most like it."""
    possible = names()
    if name not in possible:
        near = get_close_matches(name, possible, n=MOST_NAMED, cutoff=0)
        raise unknown("architecture", name, [*near, f"and {len(possible) - len(near)} more"])
    return _registry[name]


def source_of(name: str) -> Source:
    """Whose a network of that name is. UserError for a name of none."""
    get(name)
    return _sources[name.partition("/")[0]]
