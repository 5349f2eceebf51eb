"""The tensors of a file as a chain of layers: which there are, in which order, and what their names
tell of what is between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

Shapes = Mapping[str, Sequence[int]]

MOST_CONVOLUTIONS = 40  # a longer chain has shortcuts that no tensor tells of
_SHORTCUTS = re.compile(r"shortcut|downsample|skip|residual|proj", re.IGNORECASE)
_NORM = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


@dataclass(frozen=True)
class Item:
    """A layer with weights. kind: "conv", "norm" or "linear". shape: of its weight; of a norm
    (channels,).
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    has_bias: bool  # of a norm, whether it has weight and bias


@dataclass(frozen=True)
class Gap:
    """What lies between two layers with weights. slots: the names that numbered layers leave out,
    None where nothing tells. is_exact: whether these are all that can be between them.
    """

    slots: tuple[str, ...] | None
    is_exact: bool


@dataclass(frozen=True)
class Stage:
    """A convolution or a linear layer with the norms after it. first, last: numbers of items."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class Room:
    """Where a pool of a stage stands. after: the number of an item, None at the end of all.
    is_left: whether the names leave room for it, None where nothing tells. is_single: whether for
    it alone.
    """

    after: int | None
    is_left: bool | None
    is_single: bool


@dataclass(frozen=True)
class Chain:
    items: tuple[Item, ...]
    groups: tuple[int, ...]  # of each item, 1 for those that are no convolutions
    pixels: int  # height x width that the first linear layer takes of each channel; 1 without one

    @cached_property
    def gaps(self) -> list[Gap]:
        """Of each item and the next."""
        return [
            _gap(item, after, _would_be_idle(self, number))
            for number, (item, after) in enumerate(pairwise(self.items))
        ]

    @cached_property
    def stages(self) -> list[Stage]:
        """Those of convolutions."""
        starts = [n for n, item in enumerate(self.items) if item.kind != "norm"]
        ends = [*starts[1:], len(self.items)]
        return [
            Stage(self.items[start].name, start, end - 1)
            for start, end in zip(starts, ends, strict=True)
            if self.items[start].kind == "conv"
        ]

    @property
    def in_channels(self) -> int:
        """Of the pictures; 0 where the size of the pictures says how many."""
        first = self.items[0]
        if first.kind == "norm":
            return first.shape[0]
        return first.shape[1] if first.kind == "conv" else 0

    @property
    def num_classes(self) -> int:
        return self.items[-1].shape[0]

    def is_depthwise(self, number: int) -> bool:
        """Whether an item is a convolution of each channel by itself."""
        return self.groups[number] > 1 and self.items[number].shape[1] == 1

    def ends_maps(self, number: int) -> bool:
        """Whether the layer after an item is the first linear one."""
        after = self.items[number + 1 : number + 2]
        is_before = all(item.kind != "linear" for item in self.items[: number + 1])
        return is_before and any(item.kind == "linear" for item in after)

    def with_relu(self, *, before_norms: bool = False, after_depthwise: bool = False) -> set[int]:
        """The items after which a nonlinearity stands: one after each convolution or linear layer
        but the last, where the names leave room for it. The rest says where it is if no name tells.
        """
        wanted: set[int] = set()
        has_one = self.items[0].kind == "norm"  # of the pictures themselves
        for number, after in enumerate(self.items[1:]):
            has_one = has_one and self.items[number].kind == "norm"
            if self.gaps[number].is_exact:
                is_here = bool(self.free(number))
            elif after.kind == "norm":
                is_here = before_norms
            else:
                is_direct = self.is_depthwise(number) and after.kind == "conv"
                is_here = after_depthwise or not is_direct
            if is_here and not has_one:
                wanted.add(number)
            has_one = has_one or is_here
        return wanted

    @property
    def has_open_norm(self) -> bool:
        """Whether no name tells if a nonlinearity stands between a layer and its norm."""
        return self.with_relu() != self.with_relu(before_norms=True)

    @property
    def has_open_depthwise(self) -> bool:
        """The same of a depthwise convolution and the one after it."""
        return self.with_relu() != self.with_relu(after_depthwise=True)

    @cached_property
    def rooms(self) -> dict[str, Room]:
        """Where each stage, by name, can have a pool."""
        relus = self.with_relu()
        return {stage.name: self._room(stage, relus) for stage in self.stages}

    def _room(self, stage: Stage, relus: set[int]) -> Room:
        inner = range(stage.first, min(stage.last + 1, len(self.items) - 1))
        for number in inner:
            spare = (self.free(number) or 0) - (self.gaps[number].is_exact and number in relus)
            if spare > 0:
                return Room(number, True, spare == 1)
        is_end = stage.last + 1 == len(self.items)
        if is_end or self.gaps[stage.last].is_exact:
            return Room(None if is_end else stage.last, False, False)
        return Room(stage.last, None, False)

    def free(self, number: int) -> int | None:
        """How many layers that are no flattening stand after an item; None where nothing tells."""
        gap = self.gaps[number]
        if gap.slots is None:
            return None
        return max(0, len(gap.slots) - self.ends_maps(number))


def chain_of(shapes: Shapes) -> Chain | None:
    """The tensors as a chain, in whichever order they are one."""
    items = _items(shapes)
    if not items or any(_SHORTCUTS.search(item.name) for item in items):
        return None
    chains = (_followed(order) for order in _orders(items))
    return next((chain for chain in chains if chain is not None), None)


def _items(shapes: Shapes) -> list[Item]:
    """The layers that tensors belong to; none where some belong to no layer of a chain."""
    parts: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        layer_name, _, part = name.rpartition(".")
        parts.setdefault(layer_name, {})[part] = tuple(shape)
    items = [_item(name, tensors) for name, tensors in parts.items()]
    return [item for item in items if item] if all(items) else []


def _item(name: str, tensors: dict[str, tuple[int, ...]]) -> Item | None:
    """The layer of a name with these tensors; None for one of another kind."""
    if not name:
        return None
    if {"running_mean", "running_var"} <= tensors.keys() <= _NORM:
        shapes = {shape for part, shape in tensors.items() if part != "num_batches_tracked"}
        is_norm = len(shapes) == 1 and len(tensors["running_mean"]) == 1
        has_both = "weight" in tensors and "bias" in tensors
        has_one = "weight" in tensors or "bias" in tensors
        is_known = is_norm and has_both == has_one
        return Item(name, "norm", tensors["running_mean"], has_both) if is_known else None
    kind = {4: "conv", 2: "linear"}.get(len(tensors.get("weight", ())))
    if kind is None or not tensors.keys() <= {"weight", "bias"} or 0 in tensors["weight"]:
        return None
    if tensors.get("bias", tensors["weight"][:1]) != tensors["weight"][:1]:
        return None
    return Item(name, kind, tensors["weight"], "bias" in tensors)


def _orders(items: list[Item]) -> Iterator[list[Item]]:
    """The orders in which layers may be called: as in the file; by name, linear ones last; the
    same, each norm after the layer of its number.
    """
    yield items
    by_name = sorted(items, key=lambda item: (item.kind == "linear", _natural(item.name)))
    yield by_name
    yield _norms_beside(by_name)


def _natural(name: str) -> list[tuple[int, str]]:
    """What names are sorted by so that conv10 comes after conv2."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _norms_beside(items: list[Item]) -> list[Item]:
    """The layers with each norm after the layer of its number, or the next of as many channels."""
    layers = [item for item in items if item.kind != "norm"]
    beside: dict[str, list[Item]] = {layer.name: [] for layer in layers}
    for norm in (item for item in items if item.kind == "norm"):
        alike = [layer for layer in layers if layer.shape[0] == norm.shape[0]]
        numbered = [layer for layer in alike if _numbers(layer.name) == _numbers(norm.name)]
        without = [layer for layer in alike if not beside[layer.name]]
        for layer in (numbered or without)[:1]:
            beside[layer.name].append(norm)
    return [item for layer in layers for item in (layer, *beside[layer.name])]


def _numbers(name: str) -> list[str]:
    return re.findall(r"\d+", name)


def _followed(items: list[Item]) -> Chain | None:
    """The chain of layers in this order; None where channels do not follow one another."""
    channels, pixels, groups = 0, 1, []
    is_flat = False
    for item in items:
        takes = item.shape[1] if item.kind != "norm" else item.shape[0]
        if item.kind == "linear" and not is_flat:
            pixels, rest = divmod(takes, channels or takes)
            takes, is_flat = (channels or takes), True
            if rest:
                return None
        elif item.kind == "conv" and is_flat:
            return None
        count = channels // takes if item.kind == "conv" and channels else 1
        if channels and (count < 1 or takes * count != channels or item.shape[0] % count):
            return None
        groups.append(count)
        channels = item.shape[0]
    is_short = sum(item.kind == "conv" for item in items) <= MOST_CONVOLUTIONS
    is_whole = items[-1].kind != "norm" and channels > 1 and is_short
    return Chain(tuple(items), tuple(groups), pixels) if is_whole else None


def _gap(item: Item, after: Item, would_be_idle: bool) -> Gap:
    """What the names of two layers tell of what is between them. would_be_idle: whether there
    cannot be nothing.
    """
    first, second = item.name.split("."), after.name.split(".")
    depth = next(
        (n for n, parts in enumerate(zip(first, second, strict=False)) if parts[0] != parts[1]), 0
    )
    numbers = first[depth], second[depth]
    if not all(number.isdecimal() for number in numbers) or int(numbers[0]) > int(numbers[1]):
        return Gap(None, False)
    between = range(int(numbers[0]) + 1, int(numbers[1]))
    slots = tuple(".".join([*first[:depth], str(number)]) for number in between[:20])
    is_exact = len(first) == len(second) == depth + 1
    if not slots and (not is_exact or would_be_idle):
        return Gap(None, False)
    return Gap(slots, is_exact)


def _would_be_idle(chain: Chain, number: int) -> bool:
    """Whether an item and the next, with nothing between them, would be as good as one: then they
    are no neighbours in a Sequential, but numbers of a ModuleList.
    """
    kinds = {item.kind for item in chain.items[number : number + 2]}
    return "norm" not in kinds and not chain.is_depthwise(number)
