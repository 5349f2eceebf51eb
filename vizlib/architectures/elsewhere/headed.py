"""A known network whose last layer somebody has exchanged for layers of their own, as for transfer
learning: what bring/heads.py makes of a file's tensors.

The arguments, as a configuration holds them:

    {"base": "torchvision/resnet18", "at": "fc",
     "layers": [{"kind": "linear", "name": "0", "in": 512, "out": 256},
                {"kind": "relu", "name": "relu1"},
                {"kind": "linear", "name": "3", "in": 256, "out": 2}]}

`layers` are those of chain.py, by their names below `at`. A configuration may come from anybody:
both are checked before anything is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from vizlib import architectures
from vizlib.architectures.elsewhere import Source, add, chain
from vizlib.errors import UserError

NAME = "headed/net"


def net(base: str = "", at: str = "", layers: Sequence[dict[str, Any]] = ()) -> nn.Module:
    """The network `base` with a chain of layers in place of its module `at`. UserError for a name
    of none, a module that it does not have, and what is no list of layers.
    """
    if not isinstance(base, str) or "num_classes" not in architectures.get(base).arguments:
        raise UserError(f"{str(base)[:60]!r} is no network whose last layer can be exchanged.")
    head = chain.net(layers)
    model = architectures.create(base)
    if not isinstance(at, str) or at not in dict(model.named_modules()) or not at:
        raise UserError(f"{base} has no module {str(at)[:60]!r}.")
    model.set_submodule(at, head)
    return model


add(
    Source("headed", "a known network with a last part of its own", "", mean=(), std=()),
    "net",
    net,
    summary="A known network whose last layer somebody has exchanged for layers of their own; "
    "between those a ReLU is assumed.",
)
