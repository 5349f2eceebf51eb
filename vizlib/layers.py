"""What a network is made of, layer by layer, in order of execution: shapes, parameters, multiply-adds, receptive fields, sums.

One forward pass of a black image finds it all. Hooks say which module has just ended (vizlib.activations); a dispatch mode sees the
tensor operations themselves, so it works for any network, also one that calls torch.nn.functional.
"""

import copy
import math
import threading
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vizlib.activations import call_names, forward, prepare
from vizlib.errors import UserError

aten = torch.ops.aten
_one_at_a_time = threading.Lock()  # a dispatch mode belongs to its thread, yet entering one also sets flags of the whole process


@dataclass
class Layer:
    """One call of one module. A block, a module with others inside, stands before them; `depth` counts the blocks around a layer."""

    name: str  # "stage1.block1.conv1"; "relu#2" is the second call of a module
    kind: str  # the module's class, such as "Conv2d"
    depth: int
    is_block: bool
    output_shape: tuple  # without the batch
    parameters: int  # its own and its children's; 0 in a repeated call, whose weights are counted already
    multiply_adds: int  # of convolutions and matrix products, for one image; in a block the sum
    receptive_field: tuple  # (height, width) in input pixels, not cut at the border; the whole image after flatten, linear, global pool
    stride: tuple | None  # input pixels between neighbours, (vertical, horizontal); None when there is no map left
    is_sum: bool  # it adds two activations itself: the sum of a residual block
    geometry: str  # "5x5, stride 1, padding 2"; empty if it has none
    is_convolution: bool


def layer_table(model, input_size):
    """The Layers of a model in order of execution, for one image of `input_size` (channels, height, width).

    A model not yet prepared is copied first, so a model in training is left as it is. UserError if it cannot take such an image.
    """
    if not getattr(model, "_convscope_prepared", False):
        model = prepare(copy.deepcopy(model))
    like = next(model.parameters(), torch.zeros(()))
    image = torch.zeros(1, *input_size, device=like.device, dtype=like.dtype)
    image.seen = _Seen((1, 1), (1, 1))
    operations = _Operations(tuple(input_size[1:]))
    table = _Table(operations)
    with _one_at_a_time:
        try:
            with operations:
                forward(model, image, table.module_ended)
        except (RuntimeError, ValueError, IndexError) as error:
            size = " x ".join(map(str, input_size))
            raise UserError(
                f"This network cannot take images of {size} (channels x height x width): {str(error).partition(chr(10))[0][:200]}"
            ) from error
    return table.rows


def convolutions(model, rows=None):
    """Pairs (layer name, weight (out, in, height, width)) of every module that holds a four-dimensional weight.

    In order of execution with the `rows` of `layer_table`, else in order of definition. Weights that functional code uses count as well.
    """
    modules = dict(model.named_modules())
    names = modules if rows is None else [row.name for row in rows if row.name in modules]
    weights = ((name, getattr(modules[name], "weight", None)) for name in names)
    return [(name, weight.detach()) for name, weight in weights if isinstance(weight, torch.Tensor) and weight.dim() == 4]


def default_layer(rows):
    """The layer to open on: the first convolution. Its filters can be read as small pictures, and its maps still look like the image.

    In a network without one, the first layer that has maps, or else the first layer.
    """
    leaves = [row for row in rows if not row.is_block]
    for choice in ([row for row in leaves if row.is_convolution], [row for row in leaves if len(row.output_shape) == 3], rows):
        if choice:
            return choice[0].name
    raise UserError("This network has no layers to look at.")


# The rows, from modules that end


class _Table:
    def __init__(self, operations):
        self.rows = []
        self._operations = operations
        self._called = call_names()
        self._counted = set()  # ids of the parameters in the table
        self._sums = []  # (output, how many rows there were) of sums that no layer has claimed

    def module_ended(self, name, module, output):
        done = self._operations.take()
        self._sums += [(total, len(self.rows)) for total in done.sums]
        start = self._first_child(name)
        children = self.rows[start:]
        own = [parameter for parameter in module.parameters(recurse=not children) if id(parameter) not in self._counted]
        self._counted.update(map(id, own))
        direct = [child for child in children if child.depth == 0]
        seen = getattr(output, "seen", _Seen(None, None))
        row = Layer(
            name=self._called(name),
            kind=type(module).__name__,
            depth=0,
            is_block=bool(children),
            output_shape=tuple(output.shape[1:]),
            parameters=sum(parameter.numel() for parameter in own) + sum(child.parameters for child in direct),
            multiply_adds=done.multiply_adds + sum(child.multiply_adds for child in direct),
            receptive_field=seen.field or self._operations.image_size,
            stride=seen.jump,
            is_sum=self._claim_sum(start, output, is_block=bool(children)),
            geometry="" if children else done.geometry,
            is_convolution=done.is_convolution and not children,
        )
        for child in children:
            child.depth += 1
        self.rows.insert(start, row)

    def _first_child(self, name):
        """Where the rows of this call begin: at its first child, which ended before it and is inside no ended block yet."""
        open_children = (at for at, row in enumerate(self.rows) if row.depth == 0 and row.name.startswith(name + "."))
        return next(open_children, len(self.rows))

    def _claim_sum(self, start, output, is_block):
        """A block's sum comes after its first child. A layer without children sums itself only if the sum is what it returns."""
        left = [(total, at) for total, at in self._sums if not (at > start if is_block else total is output)]
        claimed = len(left) < len(self._sums)
        self._sums = left
        return claimed


# The operations, from tensors that meet


@dataclass(frozen=True)
class _Seen:
    """What one value of a tensor depends on: a field (height, width) of input pixels, None for all; a jump between neighbours, None without maps."""

    field: tuple | None
    jump: tuple | None

    def through(self, kernel, stride, dilation):
        if self.jump is None:
            return self
        field = self.field and tuple(f + (k - 1) * d * j for f, k, d, j in zip(self.field, kernel, dilation, self.jump))
        return _Seen(field, tuple(j * s for j, s in zip(self.jump, stride)))


WHOLE = _Seen(None, None)


def _together(all_seen):
    """Of values made from several tensors: the largest field, on the coarsest grid."""
    fields, jumps = [seen.field for seen in all_seen], [seen.jump for seen in all_seen if seen.jump]
    return _Seen(None if None in fields else tuple(map(max, zip(*fields))), tuple(map(max, zip(*jumps))) if jumps else None)


@dataclass
class _Done:
    """What was computed since the last module ended."""

    multiply_adds: int = 0
    geometry: str = ""
    is_convolution: bool = False
    sums: tuple = ()


class _Operations(TorchDispatchMode):
    """Sees each operation of this thread; keeps what was done since the last `take`, and puts a `seen` on every tensor made of the image."""

    def __init__(self, image_size):
        super().__init__()
        self.image_size = image_size
        self._done = _Done()

    @classmethod
    def _should_skip_dynamo(cls):
        """No guard against torch.compile: nothing here is compiled, and the guard would import all of its compiler, over a second."""
        return False

    def take(self):
        done, self._done = self._done, _Done()
        return done

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        packet = operation.overloadpacket
        if packet not in _RULES:  # in inference mode compound operations arrive whole: take them apart
            with self:
                result = operation.decompose(*args, **kwargs)
            if result is not NotImplemented:
                self._mark(_pass_on, args, kwargs, result, only_new=True)
                return result
        result = operation(*args, **kwargs)
        self._mark(_RULES.get(packet, _pass_on), args, kwargs, result)
        return result

    def _mark(self, rule, args, kwargs, result, only_new=False):
        inputs = [tensor for tensor in _tensors((args, tuple(kwargs.values()))) if hasattr(tensor, "seen")]
        outputs = [tensor for tensor in _tensors(result) if not (only_new and hasattr(tensor, "seen"))]
        if inputs and outputs:
            seen = rule(self._done, inputs, args, kwargs, outputs[0])
            for tensor in outputs:
                tensor.seen = seen


def _tensors(values):
    if isinstance(values, torch.Tensor):
        return [values]
    return [tensor for value in values for tensor in _tensors(value)] if isinstance(values, (tuple, list)) else []


# One rule a kind of operation: what its output has seen; and what it adds to the work done.


def _pass_on(done, inputs, args, kwargs, output):
    """Elementwise operations, views, concatenation. Maps laid out as one vector are no maps any more."""
    if max(tensor.dim() for tensor in inputs) > 2 >= output.dim():
        return WHOLE
    return _together([tensor.seen for tensor in inputs])


def _sum(done, inputs, args, kwargs, output):
    if len(inputs) == 2 and inputs[0].shape == inputs[1].shape:
        done.sums += (output,)
    return _together([tensor.seen for tensor in inputs])


def _convolution(done, inputs, args, kwargs, output):
    _, weight, _, stride, padding, dilation, transposed, _, groups = args
    kernel = tuple(weight.shape[2:])
    done.multiply_adds += (inputs[0] if transposed else output).numel() * weight[0].numel()
    done.is_convolution = True
    done.geometry = _geometry(kernel, stride, padding, dilation, groups)
    if transposed:
        return inputs[0].seen
    return inputs[0].seen.through(kernel, _pair(stride), _pair(dilation))


def _pool(done, inputs, args, kwargs, output):
    kernel = _pair(args[1])
    stride = _pair(args[2]) if len(args) > 2 and args[2] else kernel
    padding = _pair(args[3]) if len(args) > 3 else (0, 0)
    dilation = _pair(args[4]) if len(args) > 4 and isinstance(args[4], (tuple, list)) else (1, 1)  # an average pool has none
    done.geometry = _geometry(kernel, stride, padding, dilation)
    return inputs[0].seen.through(kernel, stride, dilation)


def _adaptive_pool(done, inputs, args, kwargs, output):
    sizes, cells = inputs[0].shape[-2:], output.shape[-2:]
    if tuple(cells) == (1, 1):
        return WHOLE
    kernel = [max(math.ceil((i + 1) * size / count) - i * size // count for i in range(count)) for size, count in zip(sizes, cells)]
    return inputs[0].seen.through(kernel, [max(1, size // count) for size, count in zip(sizes, cells)], (1, 1))


def _reduction(done, inputs, args, kwargs, output):
    over = kwargs.get("dim", args[1] if len(args) > 1 else None)
    over = over if isinstance(over, (tuple, list)) else [over]
    rank = inputs[0].dim()
    if over in ([], [None]) or (rank == 4 and any(axis % rank >= 2 for axis in over)):
        return WHOLE
    return inputs[0].seen


def _matrix_product(done, inputs, args, kwargs, output):
    """Linear layers, on vectors (N, features) or on each place of a map (N, height, width, channels)."""
    done.multiply_adds += output.numel() * inputs[0].shape[-1]
    return WHOLE if output.dim() == 2 else _together([tensor.seen for tensor in inputs])


def _attention(done, inputs, args, kwargs, output):
    query, key = args[:2]
    done.multiply_adds += query.numel() * key.shape[-2] + output.numel() * key.shape[-2]
    return WHOLE


_RULES = {
    aten.add: _sum,
    aten.add_: _sum,
    aten.convolution: _convolution,
    aten.max_pool2d_with_indices: _pool,
    aten.avg_pool2d: _pool,
    aten._adaptive_avg_pool2d: _adaptive_pool,
    aten.adaptive_max_pool2d: _adaptive_pool,
    aten.linear: _matrix_product,
    aten.addmm: _matrix_product,
    aten.mm: _matrix_product,
    aten.bmm: _matrix_product,
    aten.baddbmm: _matrix_product,
    aten.scaled_dot_product_attention: _attention,
}
for _packet in (aten.mean, aten.sum, aten.amax, aten.amin, aten.var, aten.std, aten.logsumexp):
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
