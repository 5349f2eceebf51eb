"""A network of a chain of tensors, with what is assumed of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any

from vizlib.bring.chains.tensors import Chain, Item
from vizlib.errors import UserError

MOST_CHANNELS = 4  # of a picture, where only the first linear layer says how many it has
# what makes maps smaller, as a layer of elsewhere/chain.py; None for the convolution itself
REDUCTIONS: dict[str, dict[str, Any] | None] = {
    "2 x 2 max pool": {"of": "max", "size": 2, "stride": 2},
    "3 x 3 max pool of stride 2": {"of": "max", "size": 3, "stride": 2},
    "padded 3 x 3 max pool of stride 2": {"of": "max", "size": 3, "stride": 2, "padding": 1},
    "2 x 2 average pool": {"of": "average", "size": 2, "stride": 2},
    "stride 2": None,
}
PADDINGS = {
    "same": "padding that keeps the size",
    "none": "no padding",
    "first only": "padding at the first convolution only",
}
NONLINEARITIES_IN_WORDS = {"relu": "ReLU", "silu": "SiLU", "gelu": "GELU", "elu": "ELU"}
MOST_NAMED = 6


@dataclass(frozen=True)
class Assumed:
    """What the tensors do not say, each to be answered otherwise.

    size: (height, width) of the pictures. reduced: the convolutions after which, or in which, maps
    become smaller. by: one of REDUCTIONS. padding: one of PADDINGS. first_stride: of the first
    convolution. nonlinearity: a name of elsewhere/chain.py's. relu_before_norm: whether it stands
    between a convolution and its norm, where the names do not tell. relu_after_depthwise: whether
    one stands between a depthwise convolution and the next, likewise.
    """

    size: tuple[int, int]
    reduced: tuple[str, ...] = ()
    by: str = "2 x 2 max pool"
    padding: str = "same"
    first_stride: int = 1
    nonlinearity: str = "relu"
    relu_before_norm: bool = False
    relu_after_depthwise: bool = False

    @property
    def pool(self) -> dict[str, Any] | None:
        """What makes maps smaller, as a layer; None where convolutions stride."""
        return REDUCTIONS[self.by]


@dataclass(frozen=True)
class Proposal:
    """A network that fits the tensors. layers: what "chain/net" is built with. input_size:
    (channels, height, width). sentence: what was assumed, in words.
    """

    layers: list[dict[str, Any]]
    input_size: tuple[int, int, int]
    num_classes: int
    assumed: Assumed
    sentence: str

    def fits(self) -> bool:
        """Whether a picture goes through it, to as many logits as there are classes: tried with
        shapes alone.
        """
        import torch

        from vizlib.architectures.elsewhere.chain import net
        from vizlib.architectures.shapes import without_numbers

        picture = torch.zeros(1, *self.input_size, device="meta")
        try:
            with without_numbers():
                chain = net(self.layers).to("meta").eval()
            logits = chain(picture)
        except (ValueError, RuntimeError):
            return False
        return tuple(logits.shape) == (1, self.num_classes)


def network(chain: Chain, assumed: Assumed) -> Proposal:
    """The network of a chain under assumptions. UserError where they do not fit."""
    _check(chain, assumed)
    built = _Builder(chain, assumed)
    built.build()
    height, width = assumed.size
    channels = chain.in_channels or chain.items[0].shape[1] // (height * width)
    return Proposal(
        built.layers,
        (channels, height, width),
        chain.num_classes,
        assumed,
        _sentence(chain, assumed, built.is_averaged),
    )


class _Builder:
    """Makes the layers one after the other, and knows how large the maps are."""

    def __init__(self, chain: Chain, assumed: Assumed) -> None:
        self.chain = chain
        self.assumed = assumed
        self.layers: list[dict[str, Any]] = []
        self.size = assumed.size
        self.is_averaged = False  # an average pool at the end makes the maps as small as needed
        self._names = _Names({item.name for item in chain.items})
        self._relus = chain.with_relu(
            before_norms=assumed.relu_before_norm, after_depthwise=assumed.relu_after_depthwise
        )
        rooms = chain.rooms.items()
        self._pools = {room.after for name, room in rooms if name in assumed.reduced}

    def build(self) -> None:
        items = self.chain.items
        if items[0].kind == "linear":
            self._add("flatten", self._names.new("flatten"))
        for number, item in enumerate(items):
            {"conv": self._add_conv, "norm": self._add_norm, "linear": self._add_linear}[item.kind](
                number, item
            )
            if number + 1 < len(items):
                self._add_between(number)
        if items[-1].kind == "conv":
            self._add_head(len(items) - 1, [])

    def _add(self, kind: str, name: str, **sizes: Any) -> None:
        self.layers.append({"kind": kind, "name": name, **sizes})

    def _add_norm(self, number: int, item: Item) -> None:
        self._add("norm", item.name, channels=item.shape[0], affine=item.has_bias)

    def _add_linear(self, number: int, item: Item) -> None:
        sizes = {"in": item.shape[1], "out": item.shape[0]}
        self._add("linear", item.name, **sizes, bias=item.has_bias)

    def _add_conv(self, number: int, item: Item) -> None:
        is_first = number == self.chain.stages[0].first
        sides, stride = item.shape[2:], stride_of(item.name, is_first, self.assumed)
        padding = [padding_of(self.assumed.padding, side, is_first) for side in sides]
        groups = self.chain.groups[number]
        sizes = {"in": item.shape[1] * groups, "out": item.shape[0], "size": _short(sides)}
        rest = {"stride": stride, "padding": _short(padding), "groups": groups}
        self._add("conv", item.name, **sizes, **rest, bias=item.has_bias)
        self._shrink(sides, stride, padding)

    def _shrink(self, sides: Sequence[int], stride: int, padding: Sequence[int]) -> None:
        """Keep the size of the maps after a window. UserError where nothing is left."""
        self.size = shrunk(self.size, sides, stride, padding)
        if min(self.size) < 1:
            raise UserError(f"The maps become too small at {self.layers[-1]['name']!r}.")

    def _add_between(self, number: int) -> None:
        """What has no weights between an item and the next: nonlinearity, pool, flattening."""
        slots, name = list(self.chain.gaps[number].slots or ()), self.chain.items[number].name
        if number in self._relus:
            kind = self.assumed.nonlinearity
            self._add("relu", self._names.new(kind, name, slots), of=kind)
        pool = self.assumed.pool
        if pool and number in self._pools:
            self._add("pool", self._names.new("pool", name, slots), **pool)
            self._shrink([pool["size"]] * 2, pool["stride"], [pool.get("padding", 0)] * 2)
        if self.chain.ends_maps(number):
            self._add_head(number, slots)

    def _add_head(self, number: int, slots: list[str]) -> None:
        """Flattening; before it an average pool where maps are larger than the first linear layer
        takes.
        """
        pixels, name = self.chain.pixels, self.chain.items[number].name
        if self.size[0] * self.size[1] != pixels:
            side = isqrt(pixels)
            if side**2 != pixels or side > min(self.size):
                raise UserError(
                    f"The first linear layer takes {pixels:,} values of each channel; "
                    f"{' x '.join(map(str, self.size))} are left of the pictures."
                )
            self.is_averaged = True
            self._add("adaptive_pool", self._names.new("pool", name, slots), size=side)
        self._add("flatten", self._names.new("flatten", slots=slots[-1:]))


class _Names:
    """Names for layers without weights: those that numbered layers leave out, or new ones."""

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken

    def new(self, word: str, after: str = "", slots: Sequence[str] = ()) -> str:
        """One that is free: of the slots, the next number after a layer's, or the word itself."""
        *outer, last = after.split(".")
        numbers = range(int(last) + 1, int(last) + 4) if last.isdecimal() else ()
        numbered = [".".join([*outer, str(number)]) for number in numbers]
        worded = [word, *(f"{word}{number}" for number in range(1, 2000))]
        possible = [*slots, *numbered, *worded[word != "flatten" :]]
        name = next(name for name in possible if self._is_free(name))
        self._taken.add(name)
        return name

    def _is_free(self, name: str) -> bool:
        return not any(
            taken == name or taken.startswith(name + ".") or name.startswith(taken + ".")
            for taken in self._taken
        )


def stride_of(name: str, is_first: bool, assumed: Assumed) -> int:
    """Of a convolution."""
    if is_first and assumed.first_stride > 1:
        return assumed.first_stride
    return 2 if assumed.pool is None and name in assumed.reduced else 1


def padding_of(scheme: str, side: int, is_first: bool) -> int:
    """Pixels around the maps of a convolution of this side."""
    return 0 if scheme == "none" or (scheme == "first only" and not is_first) else (side - 1) // 2


def shrunk(
    size: tuple[int, int], sides: Sequence[int], stride: int, padding: Sequence[int]
) -> tuple[int, int]:
    """(height, width) of maps after a window of these sides; zeros where nothing is left."""
    height, width = (
        max(0, length + 2 * pad - side) // stride + (length + 2 * pad >= side)
        for length, side, pad in zip(size, sides, padding, strict=True)
    )
    return height, width


def _short(sides: Sequence[int]) -> int | list[int]:
    """[vertical, horizontal] as one number where both are the same."""
    return sides[0] if sides[0] == sides[1] else list(sides)


def _check(chain: Chain, assumed: Assumed) -> None:
    """UserError for an assumption that can be none of this chain."""
    for name in assumed.reduced:
        if name not in chain.rooms:
            raise UserError(
                f"There is no convolution {name!r}. Possible: {_listed([*chain.rooms])}."
            )
    if assumed.by not in REDUCTIONS or assumed.padding not in PADDINGS:
        raise UserError(
            f"Maps become smaller by one of: {', '.join(REDUCTIONS)}; padding is one of: "
            f"{', '.join(PADDINGS)}."
        )
    height, width = assumed.size
    takes = chain.items[0].shape[-1]
    channels, rest = divmod(takes, height * width) if min(height, width) > 0 else (0, 1)
    if not chain.in_channels and (rest or not 0 < channels <= MOST_CHANNELS):
        raise UserError(
            f"The first layer takes {takes:,} values, which are no picture of {height} x {width}."
        )


def _sentence(chain: Chain, assumed: Assumed, is_averaged: bool) -> str:
    """What is assumed, in words."""
    parts = [f"{' x '.join(map(str, assumed.size))} pictures"]
    if chain.stages:
        where = _listed(assumed.reduced)
        if len(assumed.reduced) == len(chain.stages) > 2:
            where = "each convolution"
        verb = "in" if assumed.pool is None else "after"
        parts.append(f"{assumed.by} {verb} {where}" if assumed.reduced else "no pool")
        parts.append(PADDINGS[assumed.padding])
    if assumed.first_stride > 1:
        parts.append(f"stride {assumed.first_stride} in {chain.stages[0].name}")
    if is_averaged:
        parts.append("an average pool at the end of the maps")
    name = NONLINEARITIES_IN_WORDS.get(assumed.nonlinearity, assumed.nonlinearity)
    parts.append(f"{name} after each layer but the last{_exceptions(chain, assumed)}")
    return ", ".join(parts)


def _exceptions(chain: Chain, assumed: Assumed) -> str:
    """Where else nonlinearities are or are not, in words."""
    words = ", before its norm" if assumed.relu_before_norm else ""
    if chain.has_open_depthwise:
        words += f", {'also' if assumed.relu_after_depthwise else 'not'} after depthwise ones"
    return words


def _listed(names: Sequence[str]) -> str:
    """As "conv1, conv2 and conv3"; of many the first ones."""
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[: MOST_NAMED - 1])} and {len(names) - MOST_NAMED + 1} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
