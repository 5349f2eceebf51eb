"""What a network is made of, layer by layer, in order of execution: shapes, parameters,
multiply-adds, receptive fields, sums.

One forward pass of a black image finds it all. Hooks say which module has just ended
(activations.py), and tracing.py what was computed in it.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vizlib.errors import UserError
from vizlib.inside.activations import CallNames, forward, prepare
from vizlib.inside.layouts import FIRST, LAST, UNKNOWN, Layout, Layouts
from vizlib.inside.tracing import NOT_KNOWN, WHOLE, Operations, Seen

# a dispatch mode belongs to its thread, yet entering one also sets flags of the whole process
_one_at_a_time = threading.Lock()


@dataclass
class Layer:
    """One call of one module. A block, a module with others inside, stands before them; `depth`
    counts the blocks around a layer.
    """

    name: str  # "stage1.block1.conv1"; "relu#2" is the second call of a module
    kind: str  # the module's class, such as "Conv2d", or what it says of itself
    depth: int
    is_block: bool
    output_shape: tuple  # without the batch
    parameters: (
        int  # its own and its children's; 0 in a repeated call, whose weights are counted already
    )
    multiply_adds: int  # of convolutions and matrix products, for one image; in a block the sum
    # (height, width) in input pixels, not cut at the border; the whole image after flatten, linear,
    # global pool; None where it is not known, as an operation has no rule in tracing.py
    receptive_field: tuple | None
    # (top, left) where the field of the first position, (0, 0), begins, negative through padding;
    # None when it is the whole image, or not known
    start: tuple | None
    end: tuple | None  # (bottom, right) where that field ends, the first pixels after it
    # input pixels between neighbours, (vertical, horizontal); None when there is no map left
    stride: tuple | None
    is_sum: bool  # it adds two activations itself: the sum of a residual block
    geometry: str  # "5x5, stride 1, padding 2"; empty if it has none
    is_convolution: bool
    # a convolution of the picture itself, whose input channels are the picture's
    reads_picture: bool = False
    layout: Layout = UNKNOWN

    @property
    def has_maps(self) -> bool:
        """Whether its units answer place by place of the picture."""
        return len(self.layout.shape) == 3


def layer_table(model: nn.Module, input_size: Sequence[int]) -> list[Layer]:
    """The Layers of a model in order of execution, for one image of `input_size` (channels, height,
    width).

    A model not yet prepared is copied first, so a model in training is left as it is. UserError if
    it cannot take such an image.
    """
    if not getattr(model, "_convscope_prepared", False):
        model = prepare(copy.deepcopy(model))
    like = next(model.parameters(), torch.zeros(()))
    image: Any = torch.zeros(1, *input_size, device=like.device, dtype=like.dtype)
    image.seen = Seen((0, 0), (1, 1), (1, 1), is_picture=True)
    operations = Operations(tuple(input_size[1:]))
    table = _Table(operations)
    with _one_at_a_time:
        try:
            with operations:
                forward(model, image, table.module_ended)
        except (RuntimeError, ValueError, IndexError, AssertionError) as error:
            size = " x ".join(map(str, input_size))
            raise UserError(
                f"This network cannot take images of {size} (channels x height x width): "
                f"{str(error).partition(chr(10))[0][:200]}"
            ) from error
    return table.layers


def convolutions(
    model: nn.Module, layers: Sequence[Layer] | None = None
) -> list[tuple[str, Tensor]]:
    """Pairs (layer name, weight (out, in, height, width)) of every module that holds a
    four-dimensional weight.

    In order of execution with the `layers` of `layer_table`, else in order of definition. Weights
    that functional code uses count as well.
    """
    modules = dict(model.named_modules())
    names = modules if layers is None else [layer.name for layer in layers if layer.name in modules]
    weights = ((name, getattr(modules[name], "weight", None)) for name in names)
    return [
        (name, weight.detach())
        for name, weight in weights
        if isinstance(weight, torch.Tensor) and weight.dim() == 4
    ]


def folded(layers: Sequence[Layer]) -> list[Layer]:
    """The Layers that a reader sees first: what lies at the top, with stages, blocks that hold
    nothing but blocks, opened.
    """
    children = {
        layer.name: [child for child in layers if child.name.rpartition(".")[0] == layer.name]
        for layer in layers
        if layer.is_block
    }
    stages = {
        name for name, below in children.items() if below and all(child.is_block for child in below)
    }
    return [
        layer
        for layer in layers
        if layer.name not in stages
        and (layer.depth == 0 or layer.name.rpartition(".")[0] in stages)
    ]


def default_layer(layers: Sequence[Layer]) -> str:
    """The layer to open on: the first convolution. Its filters can be read as small pictures, and
    its maps still look like the image.

    In a network without one, the first layer that has maps, or else the first layer.
    """
    leaves = [layer for layer in layers if not layer.is_block]
    for choice in (
        [layer for layer in leaves if layer.is_convolution],
        [layer for layer in leaves if layer.has_maps],
        layers,
    ):
        if choice:
            return choice[0].name
    raise UserError("This network has no layers to look at.")


def at_depth(layers: Sequence[Layer], share: float) -> tuple[Layer, int, int]:
    """The convolution at a share in [0, 1] of the way from a network's first to its last one, the
    later of two as near: (Layer, its number from 1, of how many).

    In a network without any, the same of all layers that hold no others.
    """
    listed = [layer for layer in layers if layer.is_convolution] or [
        layer for layer in layers if not layer.is_block
    ]
    number = int(share * (len(listed) - 1) + 0.5)
    return listed[number], number + 1, len(listed)


class _Table:
    def __init__(self, operations: Operations) -> None:
        self.layers: list[Layer] = []
        self._operations = operations
        self._called = CallNames()
        self._layouts = Layouts()
        self._counted: set[int] = set()  # ids of the parameters in the table
        # (output, how many layers there were) of sums that no layer has claimed
        self._sums: list[tuple[Tensor, int]] = []

    def module_ended(self, name: str, module: nn.Module, output: Tensor) -> None:
        """The observer of the pass."""
        done = self._operations.take()
        self._sums += [(total, len(self.layers)) for total in done.sums]
        start = self._first_child(name)
        children = self.layers[start:]
        direct = [child for child in children if child.depth == 0]
        layer = Layer(
            name=self._called(name),
            kind=getattr(module, "kind", type(module).__name__),
            depth=0,
            is_block=bool(children),
            output_shape=tuple(output.shape[1:]),
            parameters=self._count(module.parameters()) + sum(child.parameters for child in direct),
            multiply_adds=done.multiply_adds + sum(child.multiply_adds for child in direct),
            **self._field(output),
            is_sum=self._claim_sum(start, output, is_block=bool(children)),
            geometry="" if children else done.geometry,
            is_convolution=done.is_convolution and not children,
            reads_picture=done.reads_picture and not children,
            layout=self._layouts.of(tuple(output.shape[1:]), self._operations.seen(output)),
        )
        for child in children:
            child.depth += 1
        self.layers.insert(start, layer)

    def _count(self, parameters: Iterable[nn.Parameter]) -> int:
        """How many numbers there are in those that no layer has counted yet: of a block its own,
        and those of modules inside whose weights it uses without calling them, as attention does.
        """
        own = [parameter for parameter in parameters if id(parameter) not in self._counted]
        self._counted.update(map(id, own))
        return sum(parameter.numel() for parameter in own)

    def _field(self, output: Tensor) -> dict[str, Any]:
        """What of a Layer says which pixels its positions see."""
        seen = self._seen(output)
        return dict(
            receptive_field=self._receptive_field(seen),
            start=seen.start,
            end=seen.end,
            stride=seen.jump,
        )

    def _seen(self, output: Tensor) -> Seen:
        """What a layer's output has seen; not known where it is not known which of its axes are
        those of its maps, or their edges show what lies elsewhere.
        """
        seen = self._operations.seen(output) or NOT_KNOWN
        is_map = output.dim() == 4 and seen.axes in (FIRST, LAST) and not any(seen.mirrored)
        if is_map or seen.axes is None or not seen.is_known:
            return seen
        return WHOLE if seen.start is None else NOT_KNOWN

    def _receptive_field(self, seen: Seen) -> tuple[int, ...] | None:
        if not seen.is_known:
            return None
        if seen.start is None or seen.end is None:
            return self._operations.image_size
        return tuple(math.floor(v - u) for u, v in zip(seen.start, seen.end, strict=True))

    def _first_child(self, name: str) -> int:
        """Where the layers of this call begin: at its first child, which ended before it and is
        inside no ended block yet.
        """
        open_children = (
            number
            for number, layer in enumerate(self.layers)
            if layer.depth == 0 and layer.name.startswith(name + ".")
        )
        return next(open_children, len(self.layers))

    def _claim_sum(self, start: int, output: Tensor, is_block: bool) -> bool:
        """A block's sum comes after its first child. A layer without children sums itself only if
        the sum is what it returns.
        """
        left = [
            (total, before)
            for total, before in self._sums
            if not (before > start if is_block else total is output)
        ]
        claimed = len(left) < len(self._sums)
        self._sums = left
        return claimed
