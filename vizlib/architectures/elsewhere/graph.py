"""A network of anybody's own, described by data alone: what bring/own_code.py makes of somebody's
class. Nothing of that class is run here.

`modules` are torch.nn's, by their names in the network; `blocks` are the containers around them and
what their classes are called; `parameters` and `buffers` are the tensors that a container holds
itself. `steps` are what is computed, in order. Step n's result is number n, the images are number
0; a block's steps stand in it, and are numbered before it:

    modules: {"block.conv": {"kind": "Conv2d", ...}, "block.relu1": {"kind": "ReLU"}, ...}
    blocks: {"block": "Residual"}
    steps: [
        {"op": "block", "target": "block", "output": 3, "steps": [
            {"op": "module", "target": "block.conv", "args": [{"result": 0}]},
            {"op": "module", "target": "block.relu1", "args": [{"result": 1}]},
            {"op": "function", "target": "operator.add", "args": [{"result": 2}, {"result": 0}]},
        ]},
        {"op": "method", "target": "view", "args": [{"result": 4}, 1, -1]},
    ]
    output: 5

An argument is a number, a flag, a short text, None, a list, or one of {"result": n}, {"parameter":
name}, {"tuple": [...]}, {"slice": [...]}, {"dtype": "float32"}, {"ellipsis": true}.

A configuration may come from anybody, so nothing of it is believed before it is checked, and the
whole is tried on shapes alone before it gets memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from vizlib.architectures.elsewhere import Source, add
from vizlib.architectures.elsewhere.kinds import built, checked_module, is_number, is_whole
from vizlib.architectures.elsewhere.operations import (
    ATTRIBUTES,
    DTYPES,
    FORBIDDEN_KEYWORDS,
    FUNCTIONS,
    METHODS,
    check_attention,
)
from vizlib.architectures.shapes import without_numbers
from vizlib.errors import UserError, unknown

NAME = "graph/net"
MODULE, FUNCTION, METHOD, ATTRIBUTE, BLOCK = "module", "function", "method", "attribute", "block"
MOST_STEPS, MOST_TENSORS, DEEPEST = 20_000, 20_000, 32
MOST_WEIGHTS = 250_000_000  # a gigabyte, the most that a weights file may have
MOST_VALUES = 100_000_000  # of one result, for one image
MOST_KEPT = 400_000_000  # of all results that are asked for later, for one image
MOST_WORK = 2e12  # multiplications of all modules, for one image
TRIED = 16  # images at once, when it is tried on shapes alone
_PART = re.compile(r"[\w +:/()-]{1,80}")
_LONGEST_TEXT, _LONGEST_LIST = 100, 1024
_FIELDS = {
    MODULE: {"op", "target", "args", "kwargs"},
    FUNCTION: {"op", "target", "args", "kwargs"},
    METHOD: {"op", "target", "args", "kwargs"},
    ATTRIBUTE: {"op", "target", "args"},
    BLOCK: {"op", "target", "steps", "output"},
}


@dataclass(frozen=True)
class Result:
    """What a step gave, as an argument of a later one."""

    number: int


@dataclass(frozen=True)
class Parameter:
    """A tensor that a module or a container holds, as an argument."""

    name: str


@dataclass(frozen=True)
class Step:
    """One thing to compute. output and steps: a block's own."""

    number: int
    op: str
    target: str
    args: list[Any]
    kwargs: dict[str, Any]
    steps: tuple[Step, ...] = ()
    output: int = 0


@dataclass(frozen=True)
class Program:
    """All steps, the number of the result that is the logits, and {number of a step: results that
    nobody asks for after it}.
    """

    steps: tuple[Step, ...]
    output: int
    done_with: dict[int, list[int]]

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        """Itself: it never changes."""
        return self


class Block(nn.Module):
    """A container of modules and tensors, by the names that the network's author gave them. Of
    itself it computes what the steps in it do.
    """

    def forward(self, one_pass: _Pass, step: Step) -> Any:
        one_pass.take(step.steps)
        return one_pass.results[step.output]


class Net(Block):
    """A network that takes its steps, images (N, C, H, W) to logits (N, classes). UserError for
    images that are larger than it was tried with, (C, H, W).
    """

    def __init__(self, program: Program, largest: tuple[int, ...]) -> None:
        super().__init__()
        # names that no child can have
        self.__program, self.__largest = program, largest

    def forward(self, images: Tensor) -> Tensor:  # pyright: ignore
        for side, largest in zip(images.shape[1:], self.__largest, strict=True):
            if side > largest:
                raise UserError(
                    "This network was tried with pictures of "
                    f"{' x '.join(map(str, self.__largest))}, and takes no larger ones than that."
                )
        return self.results_of(images, {})

    def results_of(self, images: Tensor, results: dict[int, Any]) -> Tensor:
        """The logits; on the way the results are put into a dictionary, and taken out again as soon
        as no later step asks for them.
        """
        results[0] = images
        _Pass(self, self.__program, results).take(self.__program.steps)
        return results[self.__program.output]


@dataclass
class _Pass:
    """One pass through a network: the results so far."""

    net: Net
    program: Program
    results: dict[int, Any]

    def take(self, steps: Iterable[Step]) -> None:
        for step in steps:
            self.results[step.number] = self._result(step)
            for number in self.program.done_with.get(step.number, ()):
                del self.results[number]

    def _result(self, step: Step) -> Any:
        if step.op == BLOCK:
            return self.net.get_submodule(step.target)(self, step)
        args = [self._value(value) for value in step.args]
        kwargs = {name: self._value(value) for name, value in step.kwargs.items()}
        if step.op == MODULE:
            return self.net.get_submodule(step.target)(*args, **kwargs)
        if step.op == FUNCTION:
            return FUNCTIONS[step.target](*args, **kwargs)
        if not isinstance(args[0], Tensor):
            raise TypeError(f"{step.target} is asked of what is no tensor")
        if step.op == ATTRIBUTE:
            return getattr(args[0], step.target)
        return METHODS[step.target](*args, **kwargs)

    def _value(self, argument: Any) -> Any:
        """An argument with the results and tensors in it."""
        if isinstance(argument, Result):
            return self.results[argument.number]
        if isinstance(argument, Parameter):
            return self._tensor(argument.name)
        if isinstance(argument, (list, tuple)):
            return type(argument)(self._value(value) for value in argument)
        if isinstance(argument, slice):
            parts = (argument.start, argument.stop, argument.step)
            return slice(*(self._value(part) for part in parts))
        return argument

    def _tensor(self, name: str) -> Tensor:
        """A parameter or buffer of that name."""
        owner, _, own = name.rpartition(".")
        module = self.net.get_submodule(owner)
        tensor = module._parameters.get(own, module._buffers.get(own))
        if tensor is None:
            raise ValueError(f"there is no tensor named {name!r}")
        return tensor


def net(
    modules: Mapping[str, Any] | None = None,
    steps: Sequence[Any] = (),
    output: int = 0,
    num_classes: int = 0,
    input_size: Sequence[int] = (),
    blocks: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    buffers: Mapping[str, Any] | None = None,
) -> nn.Module:
    """The network of such a description. UserError for what is none.

    num_classes: how many logits it gives. input_size: (channels, height, width) of the largest
    pictures that it is to take. parameters, buffers: {name: {"shape": [...], "dtype": ...}}.
    """
    parts = _Parts(
        {name: checked_module(name, module) for name, module in _named(modules).items()},
        _named(blocks),
        {name: _checked_tensor(name, tensor) for name, tensor in _named(parameters).items()},
        {name: _checked_tensor(name, tensor) for name, tensor in _named(buffers).items()},
    )
    program = _Reader(parts).program(steps, output)
    _check_sizes(input_size, num_classes)
    with without_numbers():
        shapes_alone = _assembled(parts, program, tuple(input_size))
    _try(shapes_alone.to("meta"), input_size, num_classes)
    return _assembled(parts, program, tuple(input_size))


@dataclass(frozen=True)
class _Parts:
    """What a network is made of, by name, checked."""

    modules: dict[str, dict[str, Any]]
    blocks: dict[str, str]
    parameters: dict[str, tuple[tuple[int, ...], torch.dtype]]
    buffers: dict[str, tuple[tuple[int, ...], torch.dtype]]

    def has_tensor(self, name: str) -> bool:
        """Whether there is a tensor of that name, or a module that may hold it."""
        return (
            name in self.parameters
            or name in self.buffers
            or name.rpartition(".")[0] in self.modules
        )


# What is read of a description


def _named(values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Something by names that parts of a network can have."""
    values = {} if values is None else values
    if not isinstance(values, Mapping) or len(values) > MOST_TENSORS:
        raise UserError(f"A network has up to {MOST_TENSORS:,} parts of a kind, by name.")
    for name in values:
        parts = name.split(".") if isinstance(name, str) else []
        if not 0 < len(parts) <= DEEPEST or not all(map(_PART.fullmatch, parts)):
            raise UserError(f"No part of a network can be named {str(name)[:60]!r}.")
    return dict(values)


def _checked_tensor(name: str, tensor: Any) -> tuple[tuple[int, ...], torch.dtype]:
    """(shape, dtype) of a tensor that a container holds."""
    shape = tensor.get("shape") if isinstance(tensor, dict) else None
    dtype = tensor.get("dtype", "float32") if isinstance(tensor, dict) else None
    if not isinstance(shape, list) or len(shape) > 8 or not all(map(_is_side, shape)):
        raise UserError(f"The tensor {name!r} has no shape.")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise unknown(f"type of numbers, as {name!r} has it,", dtype, DTYPES)
    return tuple(shape), DTYPES[dtype]


def _is_side(value: Any) -> bool:
    return is_whole(value, 0, MOST_WEIGHTS)


def _check_sizes(input_size: Any, num_classes: Any) -> None:
    is_size = isinstance(input_size, (list, tuple)) and len(input_size) == 3
    if not is_size or not all(is_whole(side, 1, 1024) for side in input_size):
        raise UserError("The pictures of a network have [channels, height, width], up to 1024.")
    if not is_whole(num_classes, 1, 100_000):
        raise UserError("A network tells 1 to 100,000 classes apart.")


class _Reader:
    """Reads steps, in order: each may ask for results before it and for parts that are there."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        self._count = 0  # of steps that have ended
        self._last_use: dict[int, int] = {}
        self._targets = {
            MODULE: parts.modules,
            FUNCTION: FUNCTIONS,
            METHOD: METHODS,
            ATTRIBUTE: dict.fromkeys(ATTRIBUTES),
            BLOCK: parts.blocks,
        }

    def program(self, steps: Any, output: Any) -> Program:
        """The Program of a list of steps. UserError if it is none."""
        program = self._steps(steps, 0)
        self._check_result(output)
        done_with: dict[int, list[int]] = {}
        for number in range(self._count + 1):
            last = self._last_use.get(number, number)
            if number != output and last:
                done_with.setdefault(last, []).append(number)
        return Program(program, output, done_with)

    def _steps(self, steps: Any, depth: int) -> tuple[Step, ...]:
        if not isinstance(steps, (list, tuple)) or depth > DEEPEST:
            raise UserError(f"The steps of a network are a list, and up to {DEEPEST} blocks deep.")
        return tuple(self._step(step, depth) for step in steps)

    def _step(self, step: Any, depth: int) -> Step:
        op = step.get("op") if isinstance(step, dict) else None
        if not isinstance(op, str) or op not in _FIELDS:
            raise unknown("kind of step", op, _FIELDS)
        target, possible = step.get("target"), self._targets[op]
        if not isinstance(target, str) or target not in possible:
            raise UserError(f"No step can call the {op} {str(target)[:60]!r}: it is not known.")
        for name in step.keys() - _FIELDS[op]:
            raise unknown("part of a step", name, _FIELDS[op])
        inner = self._steps(step["steps"], depth + 1) if op == BLOCK and "steps" in step else ()
        args, kwargs = step.get("args", []), step.get("kwargs", {})
        if op in (METHOD, ATTRIBUTE) and not args:
            raise UserError(f"The {op} {target!r} is asked of nothing.")
        checked = self._argument(args, depth=0), self._keywords(kwargs)
        return self._numbered(op, target, *checked, inner, step.get("output", 0))

    def _numbered(
        self,
        op: str,
        target: str,
        args: Any,
        kwargs: dict[str, Any],
        inner: tuple[Step, ...],
        output: Any,
    ) -> Step:
        if not isinstance(args, list):
            raise UserError(f"The arguments of {target!r} are no list.")
        if op == BLOCK:
            self._use(output, self._count + 1)
        self._count += 1
        if self._count > MOST_STEPS:
            raise UserError(f"A network takes up to {MOST_STEPS:,} steps.")
        return Step(self._count, op, target, args, kwargs, inner, output)

    def _keywords(self, kwargs: Any) -> dict[str, Any]:
        if not isinstance(kwargs, dict) or len(kwargs) > _LONGEST_LIST:
            raise UserError("The named arguments of a step are by name.")
        for name in kwargs:
            if not isinstance(name, str) or name in FORBIDDEN_KEYWORDS or name.startswith("_"):
                raise UserError(f"No step can have an argument named {str(name)[:60]!r}.")
        return {name: self._argument(value, depth=0) for name, value in kwargs.items()}

    def _argument(self, value: Any, depth: int) -> Any:
        """An argument as it is used. UserError for what can be none."""
        if isinstance(value, list) and len(value) <= _LONGEST_LIST and depth < 5:
            return [self._argument(part, depth + 1) for part in value]
        if isinstance(value, dict) and len(value) == 1 and depth < 5:
            ((kind, content),) = value.items()
            return self._special(kind, content, depth)
        is_text = isinstance(value, str) and len(value) <= _LONGEST_TEXT
        if value is None or isinstance(value, bool) or is_number(value) or is_text:
            return value
        raise UserError(f"No step can have the argument {str(value)[:60]!r}.")

    def _special(self, kind: Any, content: Any, depth: int) -> Any:
        if kind == "result":
            return self._use(content, self._count + 1)
        if kind == "parameter" and isinstance(content, str) and self._parts.has_tensor(content):
            return Parameter(content)
        if kind == "dtype" and isinstance(content, str) and content in DTYPES:
            return DTYPES[content]
        if kind == "ellipsis":
            return ...
        if kind in ("tuple", "slice") and isinstance(content, list):
            parts = self._argument(content, depth + 1)
            if kind == "tuple":
                return tuple(parts)
            if len(parts) == 3:
                return slice(*parts)
        raise UserError(f"No step can have the argument {str({kind: content})[:60]!r}.")

    def _use(self, number: Any, step: int) -> Result:
        self._check_result(number)
        self._last_use[number] = step
        return Result(number)

    def _check_result(self, number: Any) -> None:
        if not is_whole(number, 0, self._count):
            raise UserError(
                f"Step {self._count + 1} asks for the result {str(number)[:20]!r}; there are 0 to "
                f"{self._count} before it."
            )


# What is made of it


def _assembled(parts: _Parts, program: Program, largest: tuple[int, ...]) -> Net:
    """The network, with random weights."""
    network = Net(program, largest)
    for name, description in parts.modules.items():
        _put(network, parts, name, built(description))
    for name, (shape, dtype) in parts.parameters.items():
        values = torch.empty(shape, dtype=dtype)
        _put(network, parts, name, nn.Parameter(_drawn(values), values.is_floating_point()))
    for name, (shape, dtype) in parts.buffers.items():
        fill = torch.ones if dtype.is_floating_point else torch.zeros
        _put(network, parts, name, fill(shape, dtype=dtype))
    for name in parts.blocks:
        _container(network, parts, name)
    return network


def _drawn(values: Tensor) -> Tensor:
    """Random weights where the tensor is a matrix or a filter bank, as PyTorch begins with, and
    ones where it scales.
    """
    if values.dim() < 2 or not values.numel() or not values.is_floating_point():
        return values.fill_(1)
    return nn.init.kaiming_uniform_(values, a=5**0.5)


def _put(network: Net, parts: _Parts, name: str, part: nn.Module | Tensor) -> None:
    """Register a module, a parameter or a buffer by its name. UserError where it is taken."""
    owner, _, own = name.rpartition(".")
    container = _container(network, parts, owner)
    try:
        if isinstance(part, nn.Module):
            container.add_module(own, part)
        elif isinstance(part, nn.Parameter):
            container.register_parameter(own, part)
        else:
            container.register_buffer(own, part)
    except (KeyError, TypeError):
        raise UserError(f"No part of a network can be named {name!r} beside its others.") from None


def _container(network: Net, parts: _Parts, name: str) -> Block:
    """The block of that name, made where it is not there, with those around it."""
    container: Any = network
    names = name.split(".") if name else []
    for depth, own in enumerate(names, 1):
        if own not in container._modules:
            kind = parts.blocks.get(".".join(names[:depth]), "Module")
            _put_block(container, own, kind)
        container = container._modules[own]
        if not isinstance(container, Block):
            raise UserError(f"No part of a network can be named {name!r}: it is in another.")
    return container


def _put_block(container: Block, name: str, kind: Any) -> None:
    if not isinstance(kind, str) or not kind.isidentifier() or len(kind) > _LONGEST_TEXT:
        raise UserError(f"No block can be a {str(kind)[:60]!r}.")
    try:
        container.add_module(name, _block_class(kind)())
    except KeyError:
        raise UserError(f"No block of a network can be named {name!r}.") from None


@lru_cache(maxsize=1024)
def _block_class(name: str) -> type[Block]:
    """A class of blocks that is called so, as the layers of a network are listed by class."""
    return type(name, (Block,), {})


# Tried on shapes alone


class _Watched(dict[int, Any]):
    """Results by number, none larger than there can be memory for."""

    def __setitem__(self, number: int, result: Any) -> None:
        for value in _values(result):
            if isinstance(value, Tensor) and value.numel() > MOST_VALUES * TRIED:
                raise ValueError(f"the result of step {number} would have {value.numel():,} values")
            if isinstance(value, int) and abs(value) > 2**63:
                raise ValueError(f"the result of step {number} is out of range")
        super().__setitem__(number, result)
        tensors = [value for value in _values(list(self.values())) if isinstance(value, Tensor)]
        if sum(tensor.numel() for tensor in tensors) > MOST_KEPT * TRIED:
            raise ValueError(f"at step {number} more would be kept than there is memory for")


def _values(result: Any) -> Iterator[Any]:
    if isinstance(result, (tuple, list)):
        for part in result:
            yield from _values(part)
    else:
        yield result


def _try(network: Net, input_size: Sequence[int], num_classes: int) -> None:
    """UserError unless a network without values takes such pictures, within bounds."""
    weights = sum(tensor.numel() for tensor in network.state_dict().values())
    if weights > MOST_WEIGHTS:
        raise UserError(f"This network has {weights:,} weights; at most {MOST_WEIGHTS:,} can be.")
    _count_work(network)
    images = torch.empty(TRIED, *input_size, device="meta")
    try:
        with torch.no_grad():
            logits = network.eval().results_of(images, _Watched())
    # a step may be given anything: whatever comes of it, it is no network
    except Exception as error:  # noqa: BLE001
        words = str(error).partition("\n")[0][:200]
        raise UserError(f"The steps of this network cannot be taken: {words}") from None
    if not isinstance(logits, Tensor) or logits.shape != (TRIED, num_classes):
        raise UserError(f"This network gives no {num_classes:,} logits for each picture.")


def _count_work(network: Net) -> None:
    """Have a network without values stop where its modules would multiply for minutes."""
    work = 0.0

    def count(module: Any, given: Any, output: Any) -> None:
        nonlocal work
        if isinstance(module, nn.MultiheadAttention):
            check_attention(
                module.num_heads * given[0].shape[0 if not module.batch_first else 1] ** 2
            )
        if isinstance(output, Tensor):
            work += output.numel() / TRIED * _window(module)
        if work > MOST_WORK:
            raise ValueError("its modules would take minutes for one picture")

    for module in network.modules():
        if not isinstance(module, Block):
            module.register_forward_hook(count)


def _window(module: Any) -> int:
    """How many values go into one of a module's output."""
    weight, sides = getattr(module, "weight", None), getattr(module, "kernel_size", 1)
    if isinstance(weight, Tensor) and weight.dim() > 1:
        return weight[0].numel()
    return torch.Size(sides).numel() if isinstance(sides, tuple) else sides**2


add(
    Source(
        "graph",
        "a class of one's own",
        "",
        mean=(),
        std=(),
    ),
    "net",
    net,
    summary="A network of somebody's own class: what it computes, step by step.",
)
