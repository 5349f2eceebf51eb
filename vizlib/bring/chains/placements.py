"""Which assumptions of a chain are tried, and how unusual they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, pairwise, product
from math import isqrt

from vizlib.bring.chains.network import Assumed, padding_of, shrunk, stride_of
from vizlib.bring.chains.tensors import Chain, Stage

# sides of pictures, with how unusual each is for grey and for colour pictures
SIDES = {28: (0, 2.5), 32: (1, 0), 64: (2, 1.5), 96: (3.5, 2), 128: (3.2, 1.8), 224: (3, 1.2)}
# how unusual it is to become smaller so; an average pool looks like a max pool: it is not searched
REDUCTIONS = {
    "2 x 2 max pool": 0.0,
    "stride 2": 1.5,
    "padded 3 x 3 max pool of stride 2": 1.8,
    "3 x 3 max pool of stride 2": 2.0,
}
PADDINGS = {"same": 0.0, "none": 0.3, "first only": 1.2}
FIRST_STRIDES = (1, 2, 4)
LARGE_FILTER = 7  # pixels: such first convolutions stride
MOST_SEARCHED = 8  # convolutions: of more only the usual placements are tried
MOST_PLACEMENTS = 100  # of one size, padding and kind
IRREGULAR = 4.0  # a placement that follows no pattern
AVERAGED, FORCED = 0.5, 6.0  # an average pool to one pixel, and to more, which is rare
ALIKE = 1.5  # not at all, where each convolution has a container of its own: these are alike
WHOLE_MAP = -1.2  # a last convolution that covers its whole map, as in LeNet-5
SMALLEST_WHOLE = 4  # pixels a side of such a convolution: smaller ones may cover it by chance
Ranked = tuple[float, Assumed]


def ranked(chain: Chain, size: tuple[int, int] | None) -> list[Assumed]:
    """All assumptions that fit, the most usual first. size: (height, width) of the pictures, where
    it is known.
    """
    if not chain.stages:
        return list(_without_maps(chain, size))
    is_colour = chain.in_channels != 1
    sizes = {(side, side): float(costs[is_colour]) for side, costs in SIDES.items()}
    given = {size: 0.0} if size else sizes
    schemes = [(given[scheme.size] + cost, scheme) for cost, scheme in _schemes(chain, given)]
    tried = [placed for scheme in schemes for placed in _exact(chain, *scheme)]
    if chain.pixels == 1 or not tried:
        tried += [placed for scheme in schemes for placed in _averaged(chain, *scheme)]
    return [assumed for _, assumed in sorted(tried, key=lambda pair: pair[0])]


def _without_maps(chain: Chain, size: tuple[int, int] | None) -> Iterator[Assumed]:
    """Those of linear layers alone: pictures, grey or in colour, of as many values."""
    takes = chain.items[0].shape[-1]
    sides = (isqrt(takes // channels) for channels in (1, 3))
    for height, width in [size] if size else [(side, side) for side in sides]:
        if height * width in (takes, takes / 3):
            yield Assumed((height, width))


def _schemes(chain: Chain, sizes: Iterable[tuple[int, int]]) -> Iterator[Ranked]:
    """(How unusual but for its size, all assumptions but where maps become smaller)."""
    side = max(chain.items[chain.stages[0].first].shape[2:])
    strides = [stride for stride in FIRST_STRIDES if stride == 1 or side > stride]
    for size, padding, stride, by in product(sizes, PADDINGS, strides, REDUCTIONS):
        of_stride = 0.0 if stride == 1 else stride / 4 if side >= LARGE_FILTER else stride
        cost = of_stride + PADDINGS[padding] + REDUCTIONS[by]
        if by == "stride 2" and not any(room.is_left is not False for room in chain.rooms.values()):
            cost -= REDUCTIONS[by] / 2  # the names leave no room for pools
        yield cost, Assumed(size, (), by, padding, stride)


def _exact(chain: Chain, cost: float, scheme: Assumed) -> Iterator[Ranked]:
    """The placements that leave exactly as many values as the first linear layer takes."""
    patterns = _patterns(chain, scheme)
    usual = (
        reduced
        for reduced in patterns
        if _left(chain, replace(scheme, reduced=reduced)) == chain.pixels
    )
    searched = _search(chain, scheme) if len(chain.stages) <= MOST_SEARCHED else iter(())
    for reduced in dict.fromkeys((*usual, *islice(searched, MOST_PLACEMENTS))):
        placed = replace(scheme, reduced=reduced)
        irregular = IRREGULAR + 0.1 * len(reduced) + _ignored(chain, scheme, reduced)
        is_whole = WHOLE_MAP if _covers_map(chain, placed) else 0
        yield cost + patterns.get(reduced, irregular) + is_whole, placed


def _averaged(chain: Chain, cost: float, scheme: Assumed) -> Iterator[Ranked]:
    """The usual placements with an average pool behind them, where they leave too much."""
    last = chain.stages[-1].name
    for reduced, unusual in _patterns(chain, scheme).items():
        placed = replace(scheme, reduced=reduced)
        if chain.rooms[last].is_single:  # there the average pool stands
            if last in reduced and scheme.pool:
                continue
            unusual -= 1
        if _left(chain, placed) > chain.pixels:
            yield cost + unusual + (AVERAGED if chain.pixels == 1 else FORCED), placed


def _covers_map(chain: Chain, assumed: Assumed) -> bool:
    """Whether the last convolution leaves one pixel, without padding."""
    *before, last = chain.stages
    sides = assumed.size
    for stage in before:
        sides = _after(chain, assumed, stage, sides)
    is_padded = padding_of(assumed.padding, 3, not before) > 0
    kernel = chain.items[last.first].shape[2:]
    return not is_padded and min(kernel) >= SMALLEST_WHOLE and tuple(kernel) == sides


def _left(chain: Chain, assumed: Assumed) -> int:
    """Pixels that are left of each map at the end; 0 where it is none."""
    sides = assumed.size
    for stage in chain.stages:
        sides = _after(chain, assumed, stage, sides)
    return sides[0] * sides[1]


def _after(chain: Chain, assumed: Assumed, stage: Stage, size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of maps after a stage; zeros where nothing is left."""
    kernel = chain.items[stage.first].shape[2:]
    is_first = stage.first == chain.stages[0].first
    padding = [padding_of(assumed.padding, side, is_first) for side in kernel]
    size = shrunk(size, kernel, stride_of(stage.name, is_first, assumed), padding)
    pool = assumed.pool
    if pool is None or stage.name not in assumed.reduced:
        return size
    return shrunk(size, [pool["size"]] * 2, pool["stride"], [pool.get("padding", 0)] * 2)


def _search(chain: Chain, scheme: Assumed) -> Iterator[tuple[str, ...]]:
    """Every placement that leaves exactly what the first linear layer takes."""
    allowed = _allowed(chain, scheme)

    def walk(number: int, size: tuple[int, int], reduced: tuple[str, ...]) -> Iterator:
        if size[0] * size[1] < chain.pixels:
            return
        if number == len(chain.stages):
            if size[0] * size[1] == chain.pixels:
                yield reduced
            return
        stage = chain.stages[number]
        yield from walk(number + 1, _after(chain, scheme, stage, size), reduced)
        if stage.name in allowed:
            smaller = replace(scheme, reduced=(stage.name,))
            yield from walk(number + 1, _after(chain, smaller, stage, size), (*reduced, stage.name))

    return walk(0, scheme.size, ())


def _allowed(chain: Chain, scheme: Assumed) -> tuple[str, ...]:
    """The stages at which maps can become smaller, as far as names tell."""
    if scheme.pool is not None:
        return tuple(name for name, room in chain.rooms.items() if room.is_left is not False)
    first = chain.stages[0].name if scheme.first_stride > 1 else None
    return tuple(
        stage.name
        for stage in chain.stages
        if max(chain.items[stage.first].shape[2:]) > 1 and stage.name != first
    )


def _patterns(chain: Chain, scheme: Assumed) -> dict[tuple[str, ...], float]:
    """The usual placements among those possible, and how unusual each is."""
    allowed = _allowed(chain, scheme)
    names = _usual_stages(chain, scheme)
    roomy = [name for name, room in chain.rooms.items() if room.is_left]
    widened, ends = _widened(chain), _ends(names)
    usual = [
        (names, 0.1),
        ([*widened, names[-1]] if widened else names, 0.3),
        (ends if len(ends) > 1 else names, 0.4),
        (names[1::2], 0.5),
        (widened or names, 0.6),
        (names[:-1], 0.7),
        (names[-1:], 0.8),
        (names[:1], 0.9),
        ([], 2.0),
    ]
    if roomy:
        usual = [([*roomy, names[-1]], 0.0), (roomy, 0.05), (roomy[:-1], 0.3), *usual]
    of_few = ALIKE if ends == names and "." in names[0] else 0
    patterns: dict[tuple[str, ...], float] = {}
    for chosen, unusual in usual:
        cost = unusual + (0 if len(chosen) >= len(names) else of_few)
        reduced = tuple(name for name in names if name in chosen and name in allowed)
        if reduced or not chosen:
            patterns.setdefault(reduced, cost + _ignored(chain, scheme, reduced))
    return patterns


def _usual_stages(chain: Chain, scheme: Assumed) -> list[str]:
    """The stages at which maps usually become smaller: a depthwise convolution and the one after it
    are as one, whose pool is at its end.
    """
    return [
        stage.name
        for stage in chain.stages
        if scheme.pool is None or not chain.is_depthwise(stage.first)
    ] or list(chain.rooms)


def _widened(chain: Chain) -> list[str]:
    """The last stages before there are more channels."""
    outs = [(stage.name, chain.items[stage.first].shape[0]) for stage in chain.stages]
    return [name for (name, out), (_, after) in pairwise(outs) if after > out]


def _ends(names: Sequence[str]) -> list[str]:
    """The last layers of each container."""
    containers = [name.rpartition(".")[0] for name in names]
    return [
        name
        for name, container, after in zip(names, containers, [*containers[1:], None], strict=True)
        if container != after
    ]


def _ignored(chain: Chain, scheme: Assumed, reduced: Sequence[str]) -> int:
    """How many of the places that have room for a pool get none: there it would be a dropout."""
    pools = reduced if scheme.pool else ()
    return sum(bool(room.is_left) for name, room in chain.rooms.items() if name not in pools)
