"""What each value of a tensor has seen of the image, and what it cost: followed through the tensor
operations themselves.

A dispatch mode sees every operation of its thread, so it works for any network, also one that calls
torch.nn.functional. Receptive fields follow Araujo, Norris and Sim, Computing Receptive Fields of
Convolutional Neural Networks, Distill 2019.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


@dataclass(frozen=True)
class Seen:
    """What the values of a tensor depend on, each a pair (vertical, horizontal) in input pixels.

    start, end: where the field of the first place, (0, 0), begins and ends, both None where it is
    the whole image. jump: how far the field moves from one place to the next, None without maps.
    Fractions where maps are enlarged.
    """

    start: tuple | None
    end: tuple | None
    jump: tuple | None

    def through(self, kernel, stride=(1, 1), dilation=(1, 1), padding=(0, 0)):
        """Seen through a window: equations 1 to 3 of the paper, whose u is the start, v the last
        pixel and r the size.
        """
        if self.jump is None:
            return self
        jump = tuple(j * s for j, s in zip(self.jump, stride, strict=True))
        if self.start is None:
            return Seen(None, None, jump)
        start = tuple(u - p * j for u, p, j in zip(self.start, padding, self.jump, strict=True))
        end = tuple(
            v + ((k - 1) * d - p) * j
            for v, k, d, p, j in zip(self.end, kernel, dilation, padding, self.jump, strict=True)
        )
        return Seen(start, end, jump)

    def enlarged(self, factor):
        """As if zeros stood between its places: a jump of so many parts."""
        return (
            self
            if self.jump is None
            else Seen(
                self.start,
                self.end,
                tuple(Fraction(j, f) for j, f in zip(self.jump, factor, strict=True)),
            )
        )


WHOLE = Seen(None, None, None)


def _together(all_seen):
    """Of values made from several tensors: the smallest field that holds the fields of all, on the
    coarsest grid. Branches need not have one centre.
    """
    starts, ends, jumps = zip(
        *((seen.start, seen.end, seen.jump) for seen in all_seen), strict=True
    )
    jumps = [jump for jump in jumps if jump]
    jump = tuple(map(max, zip(*jumps, strict=True))) if jumps else None
    return (
        Seen(None, None, jump)
        if None in starts
        else Seen(
            tuple(map(min, zip(*starts, strict=True))),
            tuple(map(max, zip(*ends, strict=True))),
            jump,
        )
    )


@dataclass
class _Done:
    """What was computed since the last module ended."""

    multiply_adds: int = 0
    geometry: str = ""
    is_convolution: bool = False
    sums: tuple = ()


class Operations(TorchDispatchMode):
    """Sees each operation of this thread; keeps what was done since the last `take`, and puts a
    `seen` on every tensor made of the image.
    """

    def __init__(self, image_size):
        super().__init__()
        self.image_size = image_size
        self._done = _Done()

    @classmethod
    def _should_skip_dynamo(cls):
        """No guard against torch.compile: nothing here is compiled, and the guard would import all
        of its compiler, over a second.
        """
        return False

    def take(self):
        done, self._done = self._done, _Done()
        return done

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        packet = operation.overloadpacket
        # in inference mode compound operations arrive whole: take them apart
        if packet not in _RULES:
            with self:
                result = operation.decompose(*args, **kwargs)
            if result is not NotImplemented:
                self._mark(_pass_on, args, kwargs, result, only_new=True)
                return result
        result = operation(*args, **kwargs)
        self._mark(_RULES.get(packet, _pass_on), args, kwargs, result)
        return result

    def _mark(self, rule, args, kwargs, result, only_new=False):
        inputs = [
            tensor for tensor in _tensors((args, tuple(kwargs.values()))) if hasattr(tensor, "seen")
        ]
        outputs = [
            tensor for tensor in _tensors(result) if not (only_new and hasattr(tensor, "seen"))
        ]
        if inputs and outputs:
            seen = rule(self._done, inputs, args, kwargs, outputs[0])
            for tensor in outputs:
                tensor.seen = seen


def _tensors(values):
    if isinstance(values, torch.Tensor):
        return [values]
    return (
        [tensor for value in values for tensor in _tensors(value)]
        if isinstance(values, (tuple, list))
        else []
    )


# One rule a kind of operation: what its output has seen; and what it adds to the work done.


def _pass_on(done, inputs, args, kwargs, output):
    """Elementwise operations, views, concatenation. Maps laid out as one vector are no maps any
    more.
    """
    if max(tensor.dim() for tensor in inputs) > 2 >= output.dim():
        return WHOLE
    return _together([tensor.seen for tensor in inputs])


def _sum(done, inputs, args, kwargs, output):
    if len(inputs) == 2 and inputs[0].shape == inputs[1].shape:
        done.sums += (output,)
    return _together([tensor.seen for tensor in inputs])


def _convolution(done, inputs, args, kwargs, output):
    _, weight, _, stride, padding, dilation, transposed, _, groups = args
    kernel, stride, padding, dilation = (
        tuple(weight.shape[2:]),
        _pair(stride),
        _pair(padding),
        _pair(dilation),
    )
    done.multiply_adds += (inputs[0] if transposed else output).numel() * weight[0].numel()
    done.is_convolution = True
    done.geometry = _geometry(kernel, stride, padding, dilation, groups)
    if transposed:  # a convolution of its input with zeros between the places
        return (
            inputs[0]
            .seen.enlarged(stride)
            .through(
                kernel,
                dilation=dilation,
                padding=[
                    (k - 1) * d - p for k, d, p in zip(kernel, dilation, padding, strict=True)
                ],
            )
        )
    return inputs[0].seen.through(kernel, stride, dilation, padding)


def _pool(done, inputs, args, kwargs, output):
    kernel = _pair(args[1])
    stride = _pair(args[2]) if len(args) > 2 and args[2] else kernel
    padding = _pair(args[3]) if len(args) > 3 else (0, 0)
    # an average pool has none
    dilation = _pair(args[4]) if len(args) > 4 and isinstance(args[4], (tuple, list)) else (1, 1)
    done.geometry = _geometry(kernel, stride, padding, dilation)
    return inputs[0].seen.through(kernel, stride, dilation, padding)


def _adaptive_pool(done, inputs, args, kwargs, output):
    sizes, cells = inputs[0].shape[-2:], output.shape[-2:]
    if tuple(cells) == (1, 1):
        return WHOLE
    stride = [Fraction(size, count) for size, count in zip(sizes, cells, strict=True)]
    # what rounding adds to a cell that ends between two places
    slack = [
        1 - Fraction(math.gcd(size, count), count) for size, count in zip(sizes, cells, strict=True)
    ]
    return inputs[0].seen.through(
        [s + 2 * more for s, more in zip(stride, slack, strict=True)], stride, padding=slack
    )


def _slice(done, inputs, args, kwargs, output):
    """Every second place, as of a shortcut without weights, or a part of them."""
    axis, first, last, step = (*args[1:], *(0, None, None, 1)[len(args) - 1 :])
    axis %= output.dim()
    if output.dim() != 4 or axis < 2:
        return _pass_on(done, inputs, args, kwargs, output)
    first, _, step = slice(first, last, step).indices(inputs[0].shape[axis])
    stride, padding = [1, 1], [0, 0]
    stride[axis - 2], padding[axis - 2] = step, -first
    return inputs[0].seen.through((1, 1), stride, padding=padding)


def _pad(done, inputs, args, kwargs, output):
    """Padding as an operation of its own, which may differ by side: left, right, top, bottom."""
    left, _, top, _ = (*args[1], 0, 0, 0)[:4]
    return (
        inputs[0].seen.through((1, 1), padding=(top, left))
        if output.dim() == 4
        else _pass_on(done, inputs, args, kwargs, output)
    )


def _reduction(done, inputs, args, kwargs, output):
    over = kwargs.get("dim", args[1] if len(args) > 1 else None)
    over = over if isinstance(over, (tuple, list)) else [over]
    rank = inputs[0].dim()
    if over in ([], [None]) or (rank == 4 and any(axis % rank >= 2 for axis in over)):
        return WHOLE
    return inputs[0].seen


def _matrix_product(done, inputs, args, kwargs, output):
    """Linear layers, on vectors (N, features) or on each place of a map (N, height, width,
    channels).
    """
    done.multiply_adds += output.numel() * inputs[0].shape[-1]
    return WHOLE if output.dim() == 2 else _together([tensor.seen for tensor in inputs])


_RULES = {
    aten.add: _sum,
    aten.add_: _sum,
    aten.convolution: _convolution,
    aten.max_pool2d_with_indices: _pool,
    aten.avg_pool2d: _pool,
    aten._adaptive_avg_pool2d: _adaptive_pool,
    aten.adaptive_max_pool2d: _adaptive_pool,
    aten.slice: _slice,
    aten.constant_pad_nd: _pad,
    aten.reflection_pad2d: _pad,
    aten.replication_pad2d: _pad,
    aten.linear: _matrix_product,
    aten.addmm: _matrix_product,
    aten.mm: _matrix_product,
}
for _packet in (aten.mean, aten.sum, aten.amax, aten.amin):
    _RULES[_packet] = _reduction


def _pair(value):
    value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return value * 2 if len(value) == 1 else value


def _geometry(kernel, stride, padding, dilation, groups=1):
    text = f"{_by(kernel)}, stride {_short(stride)}, padding {_short(padding)}"
    if set(dilation) != {1}:
        text += f", dilation {_short(dilation)}"
    return text + (f", {groups} groups" if groups > 1 else "")


def _by(pair):
    return "x".join(map(str, _pair(pair)))


def _short(pair):
    return str(pair[0]) if len(set(pair)) == 1 else _by(pair)
