"""Which network a file of weights is of, told by the names and shapes of its tensors alone.

Each known architecture is asked for its own names and shapes, without numbers; what a file does not
share with its default form, class count, input channels, widths, is read off the file. Where the
names agree, that is the answer. Where only shapes and their order do, the names are mapped, and
how sure that is is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vizlib import architectures
from vizlib.architectures import Architecture
from vizlib.bring import alignment, known
from vizlib.bring.alignment import Shapes
from vizlib.bring.heads import headed

BY_NAME, BY_ORDER, BY_SHAPE, PARTLY = "by name", "by order", "by shape", "partly"
HEADED, REBUILT = "with a head of its own", "rebuilt"
ALONE, BY_CODE = "weights alone", "by its code"
HOW_SURE = {
    BY_NAME: "certain: all names and shapes are its own",
    BY_ORDER: "likely: the names differ, and all shapes agree in their order",
    BY_SHAPE: "perhaps: the names differ, and shapes alone say which tensor is which",
    HEADED: "likely: all but its last part have the network's names and shapes; between the linear "
    "layers of that a ReLU is assumed",
    REBUILT: "perhaps: a plain chain of layers, of which the tensors do not say all",
    BY_CODE: "certain: traced from its own code",
    ALONE: "not known: only the weights can be shown, not how they compute",
    PARTLY: "no: some tensors are missing, or have other shapes",
}
USUAL_SIDES = (32, 28, 224)
OTHER_SIDES = (64, 96, 128, 299, 16, 8, 48, 160, 192, 256, 24, 40, 56, 80, 100, 112, 150, 200)
SIDES = (*USUAL_SIDES, *OTHER_SIDES)  # of square pictures, the usual ones first
FEWEST_IN_COMMON = 0.6  # of the names, for a network to be worth naming although it does not fit
MOST_CANDIDATES = 12


@dataclass(frozen=True)
class Candidate:
    """A network that a file may be of.

    num_classes: 0 where it is not known. names: {the network's name of a tensor: the file's}, of
    all that fit. missing: names of the network's tensors that the file lacks; unexpected: the
    file's that the network has no place for; misshapen: (network's name, its shape, the file's
    shape). aliases: other architectures that compute the same. assumed: what the tensors do not say
    of it, in words.
    """

    architecture: str
    arguments: dict[str, Any]
    input_size: tuple[int, int, int]
    num_classes: int
    how: str
    names: dict[str, str]
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misshapen: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    aliases: tuple[str, ...] = ()
    assumed: str = ""
    base: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether every tensor of the network has its weights."""
        return not self.missing and not self.misshapen

    @property
    def title(self) -> str:
        """What it is called."""
        return f"{self.base} with a head of its own" if self.base else self.architecture

    @property
    def sentence(self) -> str:
        """What was recognised, and how sure that is."""
        known_as = f" (as {', '.join(self.aliases)})" if self.aliases else ""
        assumed = f" Assumed: {self.assumed}." if self.assumed else ""
        return f"{self.title}{known_as}; {HOW_SURE[self.how]}.{assumed}"

    def table(self) -> list[tuple[str, str, str]]:
        """(file's name, network's name, what about it) of every tensor of both."""
        rows = [
            (name, own, "matched" if own == name else "renamed") for own, name in self.names.items()
        ]
        rows += [("", own, "missing") for own in self.missing]
        rows += [(name, "", "unexpected") for name in self.unexpected]
        rows += [
            (own, own, f"wrong shape: {_size(given)} in the file, {_size(wanted)} in the network")
            for own, wanted, given in self.misshapen
        ]
        return rows


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "one number"


def recognise(
    shapes: Shapes, *, ordered: bool = True, say: Callable[[float], None] | None = None
) -> list[Candidate]:
    """The networks that tensors of these names and shapes may be of, the most likely first; where
    none takes them all, those that have most in common with them, which are not `is_usable`; an
    empty list where nothing is near.

    ordered: whether the shapes are in the order in which the network defines them, as torch.save
    has them and safetensors has not. say: told the share of the work done, in [0, 1].
    """
    shapes = known.without_counters(shapes)
    if not ordered:
        shapes = {name: shapes[name] for name in sorted(shapes, key=alignment.natural)}
    say = say or (lambda share: None)
    usable = [candidate for name in known.of_names(shapes) if (candidate := _by_name(name, shapes))]
    usable = [candidate for candidate in usable if candidate.is_usable]
    if usable:
        return _sorted(usable)
    say(0.1)
    usable = list(_each(known.of_kinds(shapes), lambda name: _renamed(name, shapes), say))
    if usable:
        return _sorted(usable)
    near = list(_each(known.of_size(shapes), lambda name: _by_name(name, shapes), say))
    near = [each for each in near if each.is_usable or _share(each, shapes)]
    return _sorted([*_with_heads(near, shapes), *near])


def _with_heads(near: Sequence[Candidate], shapes: Shapes) -> list[Candidate]:
    """Those of the networks that are near, with a last part of somebody's own that makes them
    fit.
    """
    found = []
    for candidate in near:
        arguments = None if candidate.is_usable else headed(candidate.architecture, shapes)
        if arguments is None:
            continue
        found.append(
            Candidate(
                "headed/net",
                arguments,
                architectures.get(candidate.architecture).input_size,
                arguments["layers"][-1]["out"],
                HEADED,
                {name: name for name in shapes},
                base=candidate.architecture,
            )
        )
    return found


def _each(
    names: Sequence[str],
    find: Callable[[str], Candidate | None],
    say: Callable[[float], None],
) -> Iterable[Candidate]:
    for number, name in enumerate(names, 1):
        candidate = find(name)
        say(number / len(names))
        if candidate is not None:
            yield candidate


def _share(candidate: Candidate, shapes: Shapes) -> bool:
    """Whether a network has enough in common with a file to be named."""
    return len(candidate.names) >= FEWEST_IN_COMMON * len(shapes)


def _sorted(candidates: Iterable[Candidate]) -> list[Candidate]:
    """The most certain first; of equals those of the usual size of pictures and number of classes,
    those that can be trained here, and then by name.
    """
    order = list(HOW_SURE)

    def rank(candidate: Candidate) -> tuple[Any, ...]:
        faults = len(candidate.missing) + len(candidate.misshapen)
        return (
            not candidate.is_usable,
            order.index(candidate.how),
            faults,
            len(candidate.unexpected),
            candidate.input_size[1] not in USUAL_SIDES,
            candidate.num_classes != _usual_classes(candidate.architecture),
            "/" in candidate.architecture,
            candidate.architecture,
        )

    return sorted(candidates, key=rank)[:MOST_CANDIDATES]


def _usual_classes(name: str) -> int:
    return architectures.get(name).arguments.get("num_classes", 0)


def _by_name(name: str, shapes: Shapes) -> Candidate | None:
    """A network whose tensors are told by their own names; None where it cannot be built."""
    architecture = architectures.get(name)
    first = None
    for arguments in _arguments(architecture, known.shapes_of(name), shapes):
        own = known.shapes_with(name, arguments)
        if own is None:
            continue
        candidate = _compared(architecture, arguments, own, shapes)
        if candidate.is_usable:
            return candidate
        first = first or candidate
    return first


def _compared(
    architecture: Architecture, arguments: dict[str, Any], own: Shapes, shapes: Shapes
) -> Candidate:
    candidate = Candidate(
        architecture.name,
        _worth_keeping(architecture, arguments),
        _input_size(architecture, arguments),
        arguments["num_classes"],
        BY_NAME,
        {name: name for name in own if shapes.get(name) == own[name]},
        [name for name in own if name not in shapes],
        [name for name in shapes if name not in own],
        [
            (name, own[name], shapes[name])
            for name in own
            if name in shapes and shapes[name] != own[name]
        ],
    )
    if candidate.is_usable:
        return candidate
    return Candidate(**{**vars(candidate), "how": PARTLY})


def _renamed(name: str, shapes: Shapes) -> Candidate | None:
    """A network of the same shapes, whose tensors have other names; None where they do not fit."""
    architecture = architectures.get(name)
    head, first = alignment.head(shapes), alignment.first_convolution(shapes)
    if head is None:
        return None
    fitting = {"num_classes": shapes[head][0], "in_channels": shapes[first][1] if first else 3}
    for arguments in _with_sides(architecture, _possible(architecture, fitting)):
        own = known.shapes_with(name, arguments)
        if own is None or Counter(own.values()) != Counter(shapes.values()):
            continue
        for how, align in (
            (BY_ORDER, alignment.by_order),
            (BY_ORDER, alignment.by_tree),
            (BY_SHAPE, alignment.by_shape),
        ):
            names = align(own, shapes)
            if names is not None:
                size = _input_size(architecture, arguments)
                kept = _worth_keeping(architecture, arguments)
                return Candidate(name, kept, size, arguments["num_classes"], how, names)
    return None


def _arguments(
    architecture: Architecture, template: Shapes, shapes: Shapes
) -> Iterable[dict[str, Any]]:
    """The arguments with which a network may have a file's shapes, read off the tensors that differ
    from those of its default form.
    """
    values = {name: value for name, value in architecture.arguments.items() if value is not None}
    differing = [
        (template[name], shape)
        for name, shape in shapes.items()
        if name in template and template[name] != shape and len(template[name]) == len(shape)
    ]
    if "num_classes" in values:
        values["num_classes"] = _read_off(values["num_classes"], differing, axis=0)
    if "in_channels" in values:
        banks = [pair for pair in differing if len(pair[0]) == 4]
        values["in_channels"] = _read_off(values["in_channels"], banks, axis=1)
    if _are_widths(values.get("widths")):
        values["widths"] = tuple(_read_off(width, differing, axis=0) for width in values["widths"])
    return _with_sides(architecture, values)


def _are_widths(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(width, int) for width in value)


def _read_off(default: int, differing: Sequence[tuple[Any, Any]], axis: int) -> int:
    """What stands in a file where a network's default form has `default`; that where nothing
    differs.
    """
    given = [
        shape[axis]
        for wanted, shape in differing
        if len(wanted) > axis and wanted[axis] == default and shape[axis] != default
    ]
    return given[0] if given else default


def _worth_keeping(architecture: Architecture, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments that a run's configuration should hold: what is as ever goes without saying,
    but for the classes.
    """
    usual = architecture.arguments
    return {
        name: value
        for name, value in arguments.items()
        if name == "num_classes" or value != usual[name]
    }


def _possible(architecture: Architecture, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in architecture.arguments}


def _with_sides(architecture: Architecture, values: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """The arguments once for each side of pictures that they may have, if that is one of them."""
    if "image_size" not in architecture.arguments:
        yield values
        return
    usual = architecture.arguments["image_size"]
    for side in (usual, *(side for side in SIDES if side != usual)):
        yield values | {"image_size": side}


def _input_size(architecture: Architecture, arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    channels, height, width = architecture.input_size
    side = arguments.get("image_size")
    height, width = (side, side) if side else (height, width)
    return arguments.get("in_channels", channels), height, width
