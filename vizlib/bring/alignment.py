"""Which tensor of a file is which of a network, where the names are others: by their order, by the
tree that the names make, or by shapes alone.

Each function takes (the network's shapes, the file's shapes), both by name and in order, and
returns {the network's name: the file's name} of all tensors, or None where it cannot tell. Of a
file that has no order of its own, the names are sorted before, by `natural`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]
Names = dict[str, str]
# a module's tensors by their last names: {"weight": shape, "bias": shape}
Module = tuple[tuple[str, tuple[int, ...]], ...]
USUAL = {"weight", "bias", "running_mean", "running_var"}  # last names that say what a tensor is


def head(shapes: Shapes) -> str | None:
    """The name of the tensor whose first axis is most likely the classes: the last matrix, or in a
    network without any the last filter bank.
    """
    matrices = [name for name, shape in shapes.items() if len(shape) == 2]
    banks = [name for name, shape in shapes.items() if len(shape) == 4]
    return max(matrices or banks, key=_position(shapes), default=None)


def first_convolution(shapes: Shapes) -> str | None:
    """The name of the first filter bank, or None."""
    banks = [name for name, shape in shapes.items() if len(shape) == 4]
    usual = [name for name in banks if shapes[name][1] in (1, 3)]
    return min(usual or banks, key=_position(shapes), default=None)


def _position(shapes: Shapes) -> Any:
    order = {name: number for number, name in enumerate(shapes)}
    return order.__getitem__


def natural(name: str) -> tuple[Any, ...]:
    """A key that sorts "layer2" before "layer10"."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.findall(r"[0-9]+|[^0-9]+", name)
    )


def modules(shapes: Shapes) -> dict[str, dict[str, tuple[int, ...]]]:
    """The tensors of each module, {its name: {last name: shape}}, in order."""
    by_module: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        module, _, last = name.rpartition(".")
        by_module.setdefault(module, {})[last] = shape
    return by_module


def _form(tensors: Mapping[str, tuple[int, ...]]) -> Module:
    return tuple(sorted(tensors.items()))


def by_order(own: Shapes, shapes: Shapes) -> Names | None:
    """Module by module as they come; where the file's last names are not PyTorch's, tensor by
    tensor.
    """
    if any(name.rpartition(".")[2] not in USUAL for name in shapes):
        same = list(own.values()) == list(shapes.values())
        return dict(zip(own, shapes, strict=True)) if same else None
    mine, theirs = modules(own), modules(shapes)
    if [_form(tensors) for tensors in mine.values()] != [
        _form(tensors) for tensors in theirs.values()
    ]:
        return None
    return _joined(zip(mine, theirs, strict=True), mine)


def _joined(pairs: Iterable[tuple[str, str]], mine: Mapping[str, Mapping[str, Any]]) -> Names:
    """The tensors of paired modules."""
    return {
        _name(module, last): _name(other, last) for module, other in pairs for last in mine[module]
    }


def _name(module: str, last: str) -> str:
    return f"{module}.{last}" if module else last


def by_shape(own: Shapes, shapes: Shapes) -> Names | None:
    """Modules of one form in their order, whatever stands between."""
    mine, theirs = _by_form(modules(own)), _by_form(modules(shapes))
    if {form: len(names) for form, names in mine.items()} != {
        form: len(names) for form, names in theirs.items()
    }:
        return None
    pairs = [pair for form, names in mine.items() for pair in zip(names, theirs[form], strict=True)]
    return _joined(pairs, modules(own))


def _by_form(by_module: Mapping[str, Mapping[str, Any]]) -> dict[Module, list[str]]:
    groups: dict[Module, list[str]] = defaultdict(list)
    for name, tensors in by_module.items():
        groups[_form(tensors)].append(name)
    return groups


# By the tree


class _Node:
    """What lies below one part of the names: further parts, or a module's tensors."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.children: dict[str, _Node] = {}
        self.tensors: dict[str, tuple[int, ...]] = {}
        self.inside: Counter[Module] = Counter()

    @property
    def is_module(self) -> bool:
        """Whether it has tensors and nothing else inside."""
        return not self.children

    @property
    def form(self) -> tuple[Any, ...]:
        """What is inside, whatever its names: equal forms may be one another's."""
        return tuple(sorted(self.inside.items()))


def _tree(shapes: Shapes) -> _Node:
    root = _Node("")
    for module, tensors in modules(shapes).items():
        node, way = root, [root]
        for part in module.split(".") if module else []:
            node = node.children.setdefault(part, _Node(_name(node.name, part)))
            way.append(node)
        node.tensors = tensors
        for above in way:
            above.inside[_form(tensors)] += 1
    return root


def by_tree(own: Shapes, shapes: Shapes) -> Names | None:
    """Block by block: parts of the names that hold the same are one another's, in their order where
    several do. So a block may name its shortcut before its convolutions, or all its norms after
    them, and a list may stand around blocks.
    """
    pairs = _paired([_tree(own)], [_tree(shapes)])
    return None if pairs is None else _joined(pairs, modules(own))


def _paired(mine: list[_Node], theirs: list[_Node]) -> list[tuple[str, str]] | None:
    """The modules below some parts of both trees, pair by pair; None where they do not fit."""
    while True:
        groups = _groups(mine), _groups(theirs)
        counts = [Counter({form: len(nodes) for form, nodes in each.items()}) for each in groups]
        odd = (counts[0] - counts[1]) + (counts[1] - counts[0])
        if not odd:
            break
        if not _open_largest((mine, theirs), odd):
            return None
    pairs: list[tuple[str, str]] = []
    for form, nodes in groups[0].items():
        for node, other in zip(nodes, groups[1][form], strict=True):
            inner = _pair(node, other)
            if inner is None:
                return None
            pairs += inner
    return pairs


def _pair(node: _Node, other: _Node) -> list[tuple[str, str]] | None:
    """The same of two parts that hold the same."""
    if node.is_module and other.is_module:
        return [(node.name, other.name)]
    if node.tensors or other.tensors:
        return None  # a module with tensors of its own and others inside: nothing tells them apart
    return _paired(list(node.children.values()) or [node], list(other.children.values()) or [other])


def _open_largest(sides: tuple[list[_Node], list[_Node]], odd: Counter[tuple[Any, ...]]) -> bool:
    """Put the parts inside the largest of those that have no partner, on either side, in its place;
    whether there was one.
    """
    possible = [
        (node.inside.total(), side, number)
        for side, nodes in enumerate(sides)
        for number, node in enumerate(nodes)
        if odd[node.form] and not node.is_module and not node.tensors
    ]
    if not possible:
        return False
    _, side, number = max(possible)
    nodes = sides[side]
    nodes[number : number + 1] = nodes[number].children.values()
    return True


def _groups(nodes: Iterable[_Node]) -> dict[tuple[Any, ...], list[_Node]]:
    groups: dict[tuple[Any, ...], list[_Node]] = defaultdict(list)
    for node in nodes:
        groups[node.form].append(node)
    return groups
