"""What each value of a tensor has seen of the image, and what it cost: followed through the tensor
operations themselves.

A dispatch mode sees every operation of its thread, so it works for any network, also one that calls
torch.nn.functional. Receptive fields follow Araujo, Norris and Sim, Computing Receptive Fields of
Convolutional Neural Networks, Distill 2019.

Whoever is not known is not trusted: each operation has a rule here, or is in the list of those that
work value by value; what comes out of any other has seen NOT_KNOWN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
Pair = tuple[Any, Any]  # (vertical, horizontal)
MAP_AXES = (-2, -1)  # of maps as (N, C, H, W)


@dataclass(frozen=True)
class Seen:
    """What the values of a tensor depend on, each a pair (vertical, horizontal) in input pixels.

    start, end: where the field of the first position, (0, 0), begins and ends, both None where it
    is the whole image. jump: how far the field moves from one position to the next, None without
    maps. Fractions where maps are enlarged. axes: which axes of the tensor, counted from its end,
    are the map's, None without maps or where they are not known; they may be known of values whose
    fields are not. is_known: False where an operation has no rule. mirrored: how
    many positions a window must reach over for this to hold of what it gives: at an edge that was
    mirrored or repeated a position sees another one's pixels. is_picture: whether the values are
    the picture's own pixels, each by itself, however scaled.
    """

    start: Pair | None
    end: Pair | None
    jump: Pair | None
    axes: tuple[int, int] | None = MAP_AXES
    is_known: bool = True
    mirrored: Pair = (0, 0)
    is_picture: bool = False

    def through(
        self,
        kernel: Sequence,
        stride: Sequence = (1, 1),
        dilation: Sequence = (1, 1),
        padding: Sequence = (0, 0),
    ) -> Seen:
        """Seen through a window: equations 1 to 3 of the paper, whose u is the start, v the last
        pixel and r the size.
        """
        if self.jump is None:
            return self
        reach = tuple((k - 1) * d for k, d in zip(kernel, dilation, strict=True))
        if any(most > far for most, far in zip(self.mirrored, reach, strict=True)):
            return _lost([self])
        jump = tuple(j * s for j, s in zip(self.jump, stride, strict=True))
        if self.start is None or self.end is None:
            return replace(self, jump=jump, is_picture=False)
        start = tuple(u - p * j for u, p, j in zip(self.start, padding, self.jump, strict=True))
        end = tuple(
            v + (far - p) * j
            for v, far, p, j in zip(self.end, reach, padding, self.jump, strict=True)
        )
        return replace(self, start=start, end=end, jump=jump, mirrored=(0, 0), is_picture=False)

    def enlarged(self, factor: Sequence[int]) -> Seen:
        """As if zeros stood between its positions: a jump of so many parts."""
        if self.jump is None:
            return self
        if any(self.mirrored):
            return _lost([self])
        jump = tuple(Fraction(j, f) for j, f in zip(self.jump, factor, strict=True))
        return replace(self, jump=jump, is_picture=False)

    def everywhere(self) -> Seen:
        """Each position sees the whole image, on the same grid."""
        if not self.is_known:
            return WHOLE
        return replace(self, start=None, end=None, mirrored=(0, 0), is_picture=False)

    def relaid(self, axes: tuple[int, int] | None) -> Seen:
        """The same with the map's axes elsewhere in the tensor; None where they are lost."""
        if self.axes is None:
            return self
        return replace(self, axes=axes) if axes else _lost([self])


WHOLE = Seen(None, None, None, None)
NOT_KNOWN = Seen(None, None, None, None, is_known=False)


def _lost(all_seen: Iterable[Seen]) -> Seen:
    """Of values made from others nobody knows how: what has seen the whole image cannot see more,
    all else is not known.
    """
    return WHOLE if any(seen.is_known and seen.start is None for seen in all_seen) else NOT_KNOWN


def _together(inputs: Sequence[Any], output: Tensor) -> Seen:
    """Of values made from several tensors position by position: the smallest field that holds the
    fields of all. Branches need not have one centre.
    """
    all_seen = [tensor.seen for tensor in inputs]
    all_axes = {seen.axes for seen in all_seen if seen.axes}
    if len(all_axes) != 1:
        return _lost(all_seen)
    axes = all_axes.pop()
    if not all(seen.is_known for seen in all_seen):
        return replace(_lost(all_seen), axes=axes)
    jumps = {seen.jump for seen in all_seen if seen.jump}
    jump = _each(max, jumps) if jumps else None
    if _is_stretched(inputs, output, axes) or any(seen.start is None for seen in all_seen):
        return Seen(None, None, jump, axes)
    if len(jumps) > 1 and any(output.shape[axis] > 1 for axis in axes):
        return NOT_KNOWN  # fields that move apart
    start = _each(min, (seen.start for seen in all_seen))
    end = _each(max, (seen.end for seen in all_seen))
    return Seen(
        start,
        end,
        jump,
        axes,
        mirrored=_each(max, (seen.mirrored for seen in all_seen)),
        is_picture=all(seen.is_picture for seen in all_seen),
    )


def _each(choose: Callable[[Iterable[Any]], Any], pairs: Iterable[Pair]) -> Pair:
    """The least or the greatest of pairs, vertically and horizontally."""
    vertical, horizontal = zip(*pairs, strict=True)
    return choose(vertical), choose(horizontal)


def _is_stretched(inputs: Sequence[Any], output: Tensor, axes: tuple[int, int]) -> bool:
    """Whether a position of one stands for all positions of the other."""
    return any(
        tensor.shape[axis] != output.shape[axis]
        for tensor in inputs
        if tensor.seen.axes
        for axis in axes
    )


@dataclass
class _Done:
    """What was computed since the last module ended."""

    multiply_adds: int = 0
    geometry: str = ""
    is_convolution: bool = False
    reads_picture: bool = False
    sums: tuple[Tensor, ...] = ()


class Operations(TorchDispatchMode):
    """Sees each operation of this thread; keeps what was done since the last `take`, and puts a
    `seen` on every tensor made of the image. image_size: (height, width).
    """

    def __init__(self, image_size: tuple[int, ...]) -> None:
        super().__init__()
        self.image_size = image_size
        self._done = _Done()
        self._time = 0
        # by the address of a storage: when it was last written to, and the storage, so that the
        # address is not given to another one
        self._rewritten: dict[int, tuple[int, Any]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No guard against torch.compile: nothing here is compiled, and the guard would import all
        of its compiler, over a second.
        """
        return False

    def take(self) -> _Done:
        """What was done since it was last asked."""
        done, self._done = self._done, _Done()
        return done

    def seen(self, tensor: Any) -> Seen | None:
        """What a tensor has seen; None where it is not made of the image."""
        when, _ = self._rewritten.get(tensor.untyped_storage()._cdata, (0, None))
        # another view of it has been written to since
        if when > getattr(tensor, "seen_at", 0):
            return NOT_KNOWN
        return getattr(tensor, "seen", None)

    def __torch_dispatch__(
        self,
        operation: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        rule = _RULES.get(operation) or _RULES.get(operation.overloadpacket)
        # in inference mode compound operations arrive whole: take them apart
        if rule is None:
            with self:
                result = operation.decompose(*args, **kwargs)
            if result is not NotImplemented:
                self._mark(operation, _not_known, args, kwargs, result, only_new=True)
                return result
        result = operation(*args, **kwargs)
        self._mark(operation, rule or _not_known, args, kwargs, result)
        return result

    def _mark(
        self,
        operation: Any,
        rule: Rule,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        result: Any,
        only_new: bool = False,
    ) -> None:
        """Put on what an operation gave what that has seen; only_new: where it has nothing yet."""
        given, outputs = _tensors((args, tuple(kwargs.values()))), _tensors(result)
        inputs = self._of_image(given)
        if only_new:
            outputs = [tensor for tensor in outputs if self.seen(tensor) is None]
        elif operation._schema.is_mutable and not outputs:
            outputs = given
        if inputs and outputs:
            names = [argument.name for argument in operation._schema.arguments]
            named = dict(zip(names, args, strict=False)) | kwargs
            seen = rule(_Call(self._done, inputs, args, named, outputs[0]))
            self._put(seen, outputs, given)

    def _of_image(self, tensors: list[Any]) -> list[Any]:
        """Those that are made of the image, each with what it has seen as of now."""
        inputs = []
        for tensor in tensors:
            seen = self.seen(tensor)
            if seen is not None:
                tensor.seen = seen
                inputs.append(tensor)
        return inputs

    def _put(self, seen: Seen | None, outputs: list[Any], given: list[Any]) -> None:
        self._time += 1
        for tensor in outputs:
            is_rewritten = any(tensor is argument for argument in given)
            if is_rewritten and getattr(tensor, "seen", None) != seen:
                storage = tensor.untyped_storage()
                self._rewritten[storage._cdata] = (self._time, storage)
            tensor.seen, tensor.seen_at = seen, self._time


def _tensors(values: Any) -> list[Any]:
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, (tuple, list)):
        return [tensor for value in values for tensor in _tensors(value)]
    return []


# One rule a kind of operation: what its output has seen; and what it adds to the work done.


@dataclass(frozen=True)
class _Call:
    """One operation that was called. done: what was computed since the last module ended. inputs:
    those of its tensors that are made of the image. args: as they were given; named: all of them,
    by the names of PyTorch's schema. output: its first one.
    """

    done: _Done
    inputs: list[Any]
    args: Sequence[Any]
    named: dict[str, Any]
    output: Tensor

    @property
    def seen(self) -> Seen:
        """What the first of the inputs has seen."""
        return self.inputs[0].seen


Rule = Callable[[_Call], Seen | None]


def _not_known(call: _Call) -> Seen:
    """Where what comes out has the shape of what went in, its map lies as it did."""
    shape = call.output.shape
    all_axes = {tensor.seen.axes for tensor in call.inputs if tensor.shape == shape}
    axes = all_axes.pop() if len(all_axes) == 1 else None
    return replace(_lost([tensor.seen for tensor in call.inputs]), axes=axes)


def _by_value(call: _Call) -> Seen:
    """Operations value by value, of tensors that are stretched to one shape."""
    return _together(call.inputs, call.output)


def _nothing(call: _Call) -> None:
    """Made in a tensor's shape, and of none of its values."""


def _sum(call: _Call) -> Seen:
    if len(call.inputs) == 2 and call.inputs[0].shape == call.inputs[1].shape:
        call.done.sums += (call.output,)
    return _together(call.inputs, call.output)


def _of_maps(rule: Rule) -> Rule:
    """The rule where the first argument, and nothing else, is made of the image, as maps (N, C, H,
    W) or as what has no map any more; else not known.
    """

    def checked(call: _Call) -> Seen | None:
        is_alone = len(call.inputs) == 1 and call.inputs[0] is call.args[0]
        if is_alone and call.seen.axes in (MAP_AXES, None):
            seen = rule(call)
        else:
            seen = _lost([tensor.seen for tensor in call.inputs])
        if seen is not None and seen.axes is None and call.output.dim() == 4:
            return replace(seen, axes=MAP_AXES)  # whatever went in, maps come out
        return seen

    return checked


# Windows


def _convolution(call: _Call) -> Seen | None:
    _, weight, _, stride, padding, dilation, transposed, _, groups = call.args
    positions = call.args[0] if transposed else call.output
    call.done.multiply_adds += positions.numel() * weight[0].numel()
    call.done.is_convolution = True
    call.done.reads_picture = call.args[0] is call.inputs[0] and call.seen.is_picture
    if weight.dim() != 4:
        return _not_known(call)
    kernel = tuple(weight.shape[2:])
    stride, padding, dilation = (_pair(value) for value in (stride, padding, dilation))
    call.done.geometry = _geometry(kernel, stride, padding, dilation, groups)
    return _of_maps(_transposed if transposed else _convolved)(call)


def _convolved(call: _Call) -> Seen:
    _, weight, _, stride, padding, dilation, *_ = call.args
    kernel = tuple(weight.shape[2:])
    return call.seen.through(kernel, _pair(stride), _pair(dilation), _pair(padding))


def _transposed(call: _Call) -> Seen:
    """A convolution of its input with zeros between the positions."""
    _, weight, _, stride, padding, dilation, *_ = call.args
    kernel, dilation = tuple(weight.shape[2:]), _pair(dilation)
    around = [(k - 1) * d - p for k, d, p in zip(kernel, dilation, _pair(padding), strict=True)]
    enlarged = call.seen.enlarged(_pair(stride))
    return enlarged.through(kernel, dilation=dilation, padding=around)


def _pool(call: _Call) -> Seen:
    kernel = _pair(call.named["kernel_size"])
    stride = _pair(call.named.get("stride") or kernel)
    padding = _pair(call.named.get("padding", 0))
    dilation = _pair(call.named.get("dilation", 1))  # an average pool has none
    call.done.geometry = _geometry(kernel, stride, padding, dilation)
    return call.seen.through(kernel, stride, dilation, padding)


def _adaptive_pool(call: _Call) -> Seen:
    sizes, cells = call.inputs[0].shape[-2:], call.output.shape[-2:]
    if tuple(cells) == (1, 1):
        return WHOLE
    stride = [Fraction(size, count) for size, count in zip(sizes, cells, strict=True)]
    # what rounding adds to a cell that ends between two positions
    slack = [
        1 - Fraction(math.gcd(size, count), count) for size, count in zip(sizes, cells, strict=True)
    ]
    kernel = [s + 2 * more for s, more in zip(stride, slack, strict=True)]
    return call.seen.through(kernel, stride, padding=slack)


# Enlarging: from the position p of the output to the position step * p + shift of the input, a
# fraction, and from there to the positions around it


def _resized(call: _Call, *, neighbours: tuple[int, int]) -> Seen:
    """neighbours: how many positions before and after the one that it falls on it looks at."""
    seen = call.seen
    if seen.start is None or seen.end is None or seen.jump is None:
        return seen
    if any(seen.mirrored):
        return _lost([seen])
    before, after = neighbours
    start, end = [], []
    jump = []
    for axis, scale in zip(MAP_AXES, _scales(call.named), strict=True):
        size, count = call.inputs[0].shape[axis], call.output.shape[axis]
        step, shift, part = _step(size, count, scale, call.named.get("align_corners"), neighbours)
        slack = 1 - part  # as far as it can be behind the fraction
        j = seen.jump[axis]
        start.append(seen.start[axis] + (shift - slack - before) * j)
        end.append(seen.end[axis] + (shift + after - (1 - slack if after else 0)) * j)
        jump.append(step * j)
    return replace(seen, start=tuple(start), end=tuple(end), jump=tuple(jump))


def _scales(named: dict[str, Any]) -> tuple[Any, Any]:
    """The factors that were asked for, (vertical, horizontal), None each where a size was."""
    if "scale_factors" in named:
        return named["scale_factors"] or (None, None)
    return named.get("scales_h"), named.get("scales_w")


def _step(
    size: int,
    count: int,
    scale: float | None,
    align_corners: bool | None,
    neighbours: tuple[int, int],
) -> tuple[Fraction, Fraction, Fraction]:
    """(step, shift, the smallest part of a position by which the fraction can differ from a whole
    one), as torch.nn.functional.interpolate has them.
    """
    if align_corners:
        step = Fraction(size - 1, count - 1) if count > 1 else Fraction(0)
        return step, Fraction(0), Fraction(1, step.denominator)
    step = 1 / Fraction(scale).limit_denominator(1000) if scale else Fraction(size, count)
    part = Fraction(1, 2 * step.denominator)
    if neighbours == (0, 0):
        # computed in float, a whole position may come out as the one before it
        is_exact = step.denominator & (step.denominator - 1) == 0
        return step, Fraction(0), Fraction(1, step.denominator) if is_exact else Fraction(0)
    return step, step / 2 - Fraction(1, 2), part


def _nearest(call: _Call) -> Seen:
    return _resized(call, neighbours=(0, 0))


def _bilinear(call: _Call) -> Seen:
    return _resized(call, neighbours=(0, 1))


def _bicubic(call: _Call) -> Seen:
    return _resized(call, neighbours=(1, 2))


# What moves a map about in its tensor


def _slice(call: _Call) -> Seen:
    """Every second position, as of a shortcut without weights, or a part of them."""
    seen, rank = call.seen, call.output.dim()
    axis = call.named.get("dim", 0) % rank - rank
    if seen.axes is None or axis not in seen.axes:
        return seen
    whole = slice(call.named.get("start"), call.named.get("end"), call.named.get("step", 1))
    first, _, step = whole.indices(call.inputs[0].shape[axis])
    stride, padding = [1, 1], [0, 0]
    stride[seen.axes.index(axis)], padding[seen.axes.index(axis)] = step, -first
    return seen.through((1, 1), stride, padding=padding)


def _pad(call: _Call) -> Seen:
    """Padding as an operation of its own, which may differ by side: left, right, top, bottom, and
    so on from the last axis to the first.
    """
    seen = call.seen
    if seen.axes is None:
        return seen
    before = [*call.args[1][::2], *[0] * call.output.dim()]
    return seen.through((1, 1), padding=[before[-axis - 1] for axis in seen.axes])


def _mirrored_pad(call: _Call) -> Seen:
    """The position -2 shows what the position 2 does: so does a window that reaches over both."""
    return _edged(_pad(call), call.args[1], 2)


def _repeated_pad(call: _Call) -> Seen:
    """Each position outside shows what the outermost one does."""
    return _edged(_pad(call), call.args[1], 1)


def _edged(seen: Seen, sides: Sequence[int], times: int) -> Seen:
    left, right, top, bottom = sides
    if seen.start is None:
        return seen
    return replace(seen, mirrored=(times * max(top, bottom), times * max(left, right)))


def _reshape(call: _Call) -> Seen:
    """Maps laid out as one vector are no maps any more. Otherwise an axis stays one if as many
    values as before stand before it and in it.
    """
    if call.output.dim() <= 2:
        return WHOLE
    seen = call.seen
    old, new = call.inputs[0].shape, call.output.shape
    axes: list[int] = []
    for axis in seen.axes or ():
        fitting = [
            new_axis - len(new)
            for new_axis in range(len(new))
            if new[new_axis] == old[axis] and new[:new_axis].numel() == old[:axis].numel()
        ]
        axes += [new_axis for new_axis in fitting if new_axis not in axes][:1]
    return seen.relaid((axes[0], axes[1]) if len(axes) == 2 else None)


def _permute(call: _Call) -> Seen:
    rank = call.output.dim()
    order = [axis % rank - rank for axis in call.args[1]]
    return _reordered(call.seen, order)


def _transpose(call: _Call) -> Seen:
    rank = call.output.dim()
    order = list(range(-rank, 0))
    first, second = call.args[1] % rank, call.args[2] % rank
    order[first], order[second] = order[second], order[first]
    return _reordered(call.seen, order)


def _reordered(seen: Seen, order: Sequence[int]) -> Seen:
    if seen.axes is None:
        return seen
    vertical, horizontal = (order.index(axis) - len(order) for axis in seen.axes)
    return seen.relaid((vertical, horizontal))


def _without(seen: Seen, removed: set[int], rank: int) -> Seen:
    """Where some axes, counted from 0, of a tensor of a rank are no more."""
    if seen.axes is None:
        return seen
    if removed & {axis % rank for axis in seen.axes}:
        return _lost([seen])
    vertical, horizontal = (
        axis + sum(gone > axis % rank for gone in removed) for axis in seen.axes
    )
    return seen.relaid((vertical, horizontal))


def _select(call: _Call) -> Seen:
    rank = call.inputs[0].dim()
    return _without(call.seen, {call.named.get("dim", 0) % rank}, rank)


def _stack(call: _Call) -> Seen:
    seen = _together(call.inputs, call.inputs[0])
    if seen.axes is None:
        return seen
    rank, added = call.output.dim(), call.named.get("dim", 0) % call.output.dim()
    vertical, horizontal = (axis - (axis + rank <= added) for axis in seen.axes)
    return seen.relaid((vertical, horizontal))


def _split(call: _Call) -> Seen:
    seen, rank = call.seen, call.output.dim()
    axis = call.named.get("dim", 0) % rank - rank
    return _lost([seen]) if seen.axes and axis in seen.axes else seen


def _concatenation(call: _Call) -> Seen:
    rank = call.output.dim()
    axis = call.named.get("dim", 0) % rank - rank
    if any(tensor.seen.axes and axis in tensor.seen.axes for tensor in call.inputs):
        return _lost([tensor.seen for tensor in call.inputs])
    return _together(call.inputs, call.output)


# What looks along axes


def _reduction(call: _Call) -> Seen:
    over = call.named.get("dim")
    over = over if isinstance(over, (tuple, list)) else [over]
    seen, rank = call.seen, call.inputs[0].dim()
    if over in ([], [None]) or call.output.dim() <= 2:
        return WHOLE
    over = {axis % rank for axis in over}
    if seen.axes is None:
        return seen
    if over & {axis % rank for axis in seen.axes}:
        return WHOLE
    return seen if call.output.dim() == rank else _without(seen, over, rank)


def _along(call: _Call) -> Seen:
    """Softmax: each value sees all along an axis."""
    seen, rank = call.seen, call.output.dim()
    axis = call.named["dim"] % rank - rank
    return seen.everywhere() if seen.axes and axis in seen.axes else seen


def _layer_norm(call: _Call) -> Seen:
    """Over the last axes: of maps as (N, H, W, C) over the channels alone, at each position."""
    seen = call.seen
    over = range(-len(call.named["normalized_shape"]), 0)
    is_of_map = any(axis in over for axis in seen.axes or ())
    return seen.everywhere() if is_of_map else seen


def _batch_norm(call: _Call) -> Seen:
    """Value by value with the statistics of the training, else over the whole map."""
    is_of_map = call.named.get("training", True)
    return call.seen.everywhere() if is_of_map else _together(call.inputs, call.output)


def _group_norm(call: _Call) -> Seen:
    return call.seen.everywhere()


def _matrix_product(call: _Call) -> Seen:
    """Linear layers, on vectors (N, features) or on each position of a map (N, height, width,
    channels).
    """
    call.done.multiply_adds += call.output.numel() * call.inputs[0].shape[-1]
    if call.output.dim() == 2:
        return WHOLE
    seen = call.seen
    is_other = len(call.inputs) > 1 or call.inputs[0] is not call.args[0]
    is_of_map = is_other or (seen.axes is not None and -1 in seen.axes)
    return _lost([tensor.seen for tensor in call.inputs]) if is_of_map else seen


def _product_of_two(call: _Call) -> Seen:
    """Of matrices made of the image both, as in attention."""
    call.done.multiply_adds += call.output.numel() * call.args[0].shape[-1]
    return _lost([tensor.seen for tensor in call.inputs])


def _attention(call: _Call) -> Seen:
    """All of it in one operation: its products with weights, and those of queries with keys and of
    that with values.
    """
    queries, keys = call.args[0], call.args[1]
    width = call.named["embed_dim"]
    of_weights = 2 * (queries.numel() + keys.numel()) * width
    call.done.multiply_adds += of_weights + 2 * queries.numel() * keys.shape[-2]
    return _lost([tensor.seen for tensor in call.inputs])


_RULES: dict[Any, Rule] = {
    aten.add: _sum,
    aten.add_: _sum,
    aten.convolution: _convolution,
    aten.max_pool2d_with_indices: _of_maps(_pool),
    aten.avg_pool2d: _of_maps(_pool),
    aten._adaptive_avg_pool2d: _of_maps(_adaptive_pool),
    aten.adaptive_max_pool2d: _of_maps(_adaptive_pool),
    aten.upsample_nearest2d: _of_maps(_nearest),
    aten.upsample_bilinear2d: _of_maps(_bilinear),
    aten.upsample_bicubic2d: _of_maps(_bicubic),
    aten.slice: _slice,
    aten.constant_pad_nd: _pad,
    aten.reflection_pad2d: _of_maps(_mirrored_pad),
    aten.replication_pad2d: _of_maps(_repeated_pad),
    aten.permute: _permute,
    aten.transpose: _transpose,
    aten.select: _select,
    aten.unbind: _select,
    aten.stack: _stack,
    aten.split: _split,
    aten.split_with_sizes: _split,
    aten.cat: _concatenation,
    aten._softmax: _along,
    aten._log_softmax: _along,
    aten.native_layer_norm: _layer_norm,
    aten.native_batch_norm: _batch_norm,
    aten._native_batch_norm_legit: _batch_norm,
    aten.native_group_norm: _group_norm,
    aten.linear: _matrix_product,
    aten.addmm: _matrix_product,
    aten.mm: _matrix_product,
    aten.bmm: _product_of_two,
    aten._native_multi_head_attention: _attention,
}
_RULES |= dict.fromkeys(
    (aten.view, aten._unsafe_view, aten.squeeze, aten.unsqueeze, aten.t), _reshape
)
_RULES |= dict.fromkeys(
    (aten.mean, aten.sum, aten.amax, aten.amin, aten.max.dim, aten.min.dim, aten.var), _reduction
)
_RULES |= dict.fromkeys(
    (aten.zeros_like, aten.ones_like, aten.empty_like, aten.full_like, aten.rand_like,
     aten.randn_like, aten.new_zeros, aten.new_ones, aten.new_empty, aten.new_full),
    _nothing,
)  # fmt: skip
# Known to work value by value, each also in place, as "relu_"
BY_VALUE = """
    abs addcdiv addcmul atan atan2 ceil celu clamp clamp_max clamp_min clone copy cos detach div elu
    eq erf exp expand expm1 floor fmod frac ge gelu gt hardshrink hardsigmoid hardswish hardtanh
    isfinite isnan le leaky_relu lerp lift_fresh log log10 log1p log2 logical_and logical_not
    logical_or logit lt masked_fill maximum minimum mish mul nan_to_num ne neg pow prelu reciprocal
    relu relu6 remainder round rsqrt rsub sigmoid sign silu sin sinh softplus softshrink sqrt square
    sub tan tanh threshold trunc xlogy
    _prelu_kernel _to_copy alias contiguous log_sigmoid_forward where.self
    _native_batch_norm_legit_no_training
"""
for _name in BY_VALUE.split():
    for _operation in (_name, _name + "_"):
        _packet: Any = aten
        for _part in _operation.split("."):
            _packet = getattr(_packet, _part, None)
        if _packet is not None:
            _RULES.setdefault(_packet, _by_value)


def _pair(value: Any) -> tuple:
    value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return value * 2 if len(value) == 1 else value


def _geometry(
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
) -> str:
    text = f"{_by(kernel)}, stride {_short(stride)}, padding {_short(padding)}"
    if set(dilation) != {1}:
        text += f", dilation {_short(dilation)}"
    return text + (f", {groups} groups" if groups > 1 else "")


def _by(pair: Sequence[int]) -> str:
    return "x".join(map(str, _pair(pair)))


def _short(pair: Sequence[int]) -> str:
    return str(pair[0]) if len(set(pair)) == 1 else _by(pair)
