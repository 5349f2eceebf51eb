"""From the graph that was followed (forward.py) to the description that it is rebuilt from
(architectures/elsewhere/graph.py).

Functions that one wants to look at become modules with names of their own, "relu1", "pool2"; calls
of the author's own containers stay together as blocks. What works in place is told apart from it:
whoever reads the tensor afterwards reads the result.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from vizlib.architectures.elsewhere.graph import (
    ATTRIBUTE,
    BLOCK,
    FUNCTION,
    METHOD,
    MODULE,
    Parameter,
    Result,
)
from vizlib.architectures.elsewhere.kinds import KINDS, described, kind_of
from vizlib.architectures.elsewhere.operations import ATTRIBUTES, DTYPES, METHODS, name_of
from vizlib.bring.forward import PREFIX, VALUE
from vizlib.errors import UserError

_IMAGES = -1
_UNKNOWN = "unknown"
_IN_PLACE: dict[Callable, Callable] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}


@dataclass(frozen=True)
class _AsModule:
    """A function that becomes a module. arguments: its own, behind the tensor, in order; those that
    the module does not take must be off. defaults: where they are not the module's.
    """

    kind: str
    arguments: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)


# arguments of such functions that leave what is computed here as it is
_NO_MATTER = ("inplace", "training", "_stacklevel")
_POOL = ("kernel_size", "stride", "padding")
_MAX = _AsModule("MaxPool2d", (*_POOL, "dilation", "ceil_mode", "return_indices"))
_MAX_1D = _AsModule("MaxPool1d", _MAX.arguments)
_AVERAGE = _AsModule("AvgPool2d", (*_POOL, "ceil_mode", "count_include_pad", "divisor_override"))
_SOFTMAX = ("dim", "_stacklevel", "dtype")
_RELU = _AsModule("ReLU", ("inplace",))
_FLATTEN = _AsModule("Flatten", ("start_dim", "end_dim"), {"start_dim": 0})
_DROPOUT = ("p", "training", "inplace")
_RESIZED = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias")
_FUNCTIONS: dict[Any, _AsModule] = {
    **dict.fromkeys((F.relu, torch.relu, F.relu_, torch.relu_), _RELU),
    F.relu6: _AsModule("ReLU6", ("inplace",)),
    F.leaky_relu: _AsModule("LeakyReLU", ("negative_slope", "inplace")),
    F.elu: _AsModule("ELU", ("alpha", "inplace")),
    F.selu: _AsModule("SELU", ("inplace",)),
    F.celu: _AsModule("CELU", ("alpha", "inplace")),
    F.gelu: _AsModule("GELU", ("approximate",)),
    F.glu: _AsModule("GLU", ("dim",)),
    F.silu: _AsModule("SiLU", ("inplace",)),
    F.mish: _AsModule("Mish", ("inplace",)),
    F.hardswish: _AsModule("Hardswish", ("inplace",)),
    F.hardsigmoid: _AsModule("Hardsigmoid", ("inplace",)),
    F.hardtanh: _AsModule("Hardtanh", ("min_val", "max_val", "inplace")),
    F.softplus: _AsModule("Softplus", ("beta", "threshold")),
    F.softsign: _AsModule("Softsign"),
    F.logsigmoid: _AsModule("LogSigmoid"),
    **dict.fromkeys((torch.sigmoid, F.sigmoid), _AsModule("Sigmoid")),
    **dict.fromkeys((torch.tanh, F.tanh), _AsModule("Tanh")),
    **dict.fromkeys((F.softmax, torch.softmax), _AsModule("Softmax", _SOFTMAX)),
    **dict.fromkeys((F.log_softmax, torch.log_softmax), _AsModule("LogSoftmax", _SOFTMAX)),
    **dict.fromkeys((F.max_pool2d, torch.max_pool2d), _MAX),
    **dict.fromkeys((F.max_pool1d, torch.max_pool1d), _MAX_1D),
    F.avg_pool2d: _AVERAGE,
    F.adaptive_avg_pool2d: _AsModule("AdaptiveAvgPool2d", ("output_size",)),
    F.adaptive_avg_pool1d: _AsModule("AdaptiveAvgPool1d", ("output_size",)),
    F.adaptive_max_pool2d: _AsModule("AdaptiveMaxPool2d", ("output_size", "return_indices")),
    torch.flatten: _FLATTEN,
    F.interpolate: _AsModule("Upsample", _RESIZED),
    F.local_response_norm: _AsModule("LocalResponseNorm", ("size", "alpha", "beta", "k")),
    F.dropout: _AsModule("Dropout", _DROPOUT),
    F.dropout1d: _AsModule("Dropout1d", _DROPOUT),
    F.dropout2d: _AsModule("Dropout2d", _DROPOUT),
    F.alpha_dropout: _AsModule("AlphaDropout", _DROPOUT),
}
_METHODS = {
    **dict.fromkeys(("relu", "relu_"), _RELU),
    **dict.fromkeys(("sigmoid", "sigmoid_"), _AsModule("Sigmoid")),
    **dict.fromkeys(("tanh", "tanh_"), _AsModule("Tanh")),
    "softmax": _AsModule("Softmax", ("dim", "dtype")),
    "log_softmax": _AsModule("LogSoftmax", ("dim", "dtype")),
    "flatten": _FLATTEN,
}


# functions that are layers, and what those are called where their weights have no container
_LAYERS = {
    "torch.conv1d": "conv",
    "torch.conv2d": "conv",
    "torch.conv3d": "conv",
    "torch.conv_transpose2d": "conv",
    "F.linear": "linear",
    "F.batch_norm": "norm",
}


@dataclass
class _Scope:
    """A call of one of the author's containers: which one, and which call of it."""

    name: str
    call: str


@dataclass
class _Flat:
    """A step outside of all blocks. Results in its arguments are numbers of such steps."""

    op: str
    target: str
    args: list[Any]
    kwargs: dict[str, Any]
    scopes: list[_Scope]

    @property
    def results(self) -> Iterator[int]:
        return _results((self.args, self.kwargs))


def _results(value: Any) -> Iterator[int]:
    """The numbers of the results in arguments."""
    if isinstance(value, Result):
        yield value.number
    elif isinstance(value, slice):
        yield from _results((value.start, value.stop, value.step))
    elif isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _results(part)


def description(graph: fx.Graph, wrapped: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    """(`modules`, `blocks`, `parameters`, `buffers`, `steps` and `output` of a "graph/net", its
    tensors by name) of a followed graph. UserError for what has no counterpart.

    wrapped: what was followed, with the network under PREFIX. The tensors are the network's own.
    """
    network = wrapped.get_submodule(PREFIX[:-1])
    flat = _Flattened(network, wrapped)
    output = flat.walk(graph)
    flat.steps, output = _needed(flat.steps, output)
    _check_known(flat.steps, type(network).__name__)
    tree = _Tree(flat.steps, output)
    content = {
        "modules": flat.used_modules(),
        "blocks": _blocks(network, [*flat.modules, *flat.tensors], flat.steps) | flat.layers,
        "parameters": _shapes(flat.tensors, is_parameter=True),
        "buffers": _shapes(flat.tensors, is_parameter=False),
        "steps": tree.steps(),
    }
    return content | {"output": tree.numbers[output]}, flat.tensors


class _Flattened:
    """Turns nodes into flat steps, and keeps what they name."""

    def __init__(self, network: nn.Module, wrapped: nn.Module) -> None:
        self.steps: list[_Flat] = []
        self.modules: dict[str, dict[str, Any]] = {}
        self.tensors: dict[str, Tensor] = {}
        self._network, self._wrapped = network, wrapped
        self.layers: dict[str, str] = {}  # {name: function} of those that are blocks of their own
        self._made: dict[str, dict[str, Any]] = {}  # modules that were functions
        self._called: set[str] = set()
        self._count: dict[tuple[str, str], int] = {}
        self._step_of: dict[fx.Node, Any] = {}  # Result or Parameter
        self._collect()

    def _collect(self) -> None:
        """All modules and tensors of the network, also those that forward does not use."""
        inside = ""
        for name, module in self._network.named_modules():
            if inside and name.startswith(inside):
                continue
            if kind_of(module) is not None and name:
                self.modules[name], inside = described(module), f"{name}."
                continue
            state = {**module._parameters, **module._buffers}
            for own, tensor in state.items():
                if tensor is not None and own not in module._non_persistent_buffers_set:
                    self.tensors[f"{name}.{own}".lstrip(".")] = tensor

    def used_modules(self) -> dict[str, dict[str, Any]]:
        """The modules that are called or hold tensors."""
        holding = {
            name
            for name in self.modules
            if self._network.get_submodule(name).state_dict() or name in self._called
        }
        return {name: self.modules[name] for name in self.modules if name in holding} | self._made

    def walk(self, graph: fx.Graph) -> int:
        """Take all nodes; the number of the step that gives the logits."""
        output: Any = None
        for node in graph.nodes:
            if node.op == "placeholder":
                self._step_of[node] = Result(_IMAGES)
            elif node.op == "get_attr":
                self._step_of[node] = Parameter(self._tensor(str(node.target)))
            elif node.op == "output":
                output = node.args[0]
            elif not self._is_nothing(node):
                self._add(node)
        given = self._step_of.get(output) if isinstance(output, fx.Node) else None
        if not isinstance(given, Result):
            raise UserError("What forward returns is not made of the picture.")
        return given.number

    def _tensor(self, target: str) -> str:
        """The name of a tensor, kept from now on."""
        tensor = operator.attrgetter(target)(self._wrapped)
        name = target.removeprefix(PREFIX)
        if name == target:  # torch.fx put it there: a constant in the author's code
            name = f"constant{target.removeprefix('_tensor_constant')}"
        owner = name.rpartition(".")[0]
        if owner not in self.modules:
            self.tensors[name] = tensor
        return name

    def _is_nothing(self, node: fx.Node) -> bool:
        """Whether a node leaves its tensor as it is, here."""
        is_nothing = node.op == "call_method" and node.target in ("cpu", "cuda")
        if is_nothing:
            self._step_of[node] = self._step_of[node.args[0]]  # pyright: ignore[reportArgumentType]
        return is_nothing

    def _add(self, node: fx.Node) -> None:
        scopes = _scopes(node)
        made = self._module_of(node, scopes)
        op, target = (MODULE, made) if made else self._named(node)
        args, kwargs = node.args, node.kwargs
        if made and node.op != "call_module":
            args, kwargs = (node.args[:1] or (node.kwargs["input"],)), {}
        elif op == ATTRIBUTE:
            args = node.args[:1]
        kwargs = {name: self._argument(value) for name, value in kwargs.items()}
        given = [self._argument(value) for value in args]
        if op == FUNCTION and not given and "input" in kwargs:
            given = [kwargs.pop("input")]
        if op == FUNCTION and target in _LAYERS:
            scopes = self._as_layer(target, [*given[1:], kwargs.get("weight")], scopes)
        self.steps.append(_Flat(op, target, given, kwargs, scopes))
        self._step_of[node] = Result(len(self.steps) - 1)
        if _is_in_place(node, self._wrapped):
            self._rewrite(node)

    def _rewrite(self, node: fx.Node) -> None:
        """From now on whoever asks for the tensor that a node wrote into gets its result."""
        written = node.args[0] if node.args else node.kwargs.get("input")
        before = self._step_of.get(written) if isinstance(written, fx.Node) else None
        for other, step in self._step_of.items():
            if before is not None and step == before:
                self._step_of[other] = self._step_of[node]

    def _module_of(self, node: fx.Node, scopes: list[_Scope]) -> str | None:
        """The module that a node calls, or that a function becomes; None for neither."""
        if node.op == "call_module":
            name = str(node.target).removeprefix(PREFIX)
            self._called.add(name)
            if name not in self.modules:
                _refuse_module(name, self._network.get_submodule(name))
            return name
        table: dict[Any, _AsModule] = _METHODS if node.op == "call_method" else _FUNCTIONS
        rule = table.get(node.target)
        module = _constant_arguments(rule, node) if rule else None
        return self._name_for(module, scopes) if module else None

    def _name_for(self, module: dict[str, Any], scopes: list[_Scope]) -> str:
        """A name for a function that becomes a module: the next that is free in its block; the same
        as in the block's first call in a later one.
        """
        word = _word(str(module["kind"]))
        return self._free_name(
            word, scopes, lambda name: self._made.setdefault(name, module) == module
        )

    def _free_name(
        self, word: str, scopes: list[_Scope], is_free: Callable[[str], bool] = lambda name: True
    ) -> str:
        """A word and the next number, in the block around, that no part of the network has."""
        around, call = (scopes[-1].name, scopes[-1].call) if scopes else ("", "")
        taken = {name for name, _ in self._network.named_modules()} | set(self.tensors)
        while True:
            number = self._count[call, word] = self._count.get((call, word), 0) + 1
            name = f"{around}.{word}{number}".lstrip(".")
            if name not in taken and is_free(name):
                return name

    def _as_layer(self, target: str, given: list[Any], scopes: list[_Scope]) -> list[_Scope]:
        """The scopes of a convolution and the like that is a function: one more, so that it is a
        layer. It is called as the container of its weight; that one's own forward is its layer.
        """
        owners = [value.name.rpartition(".")[0] for value in given if isinstance(value, Parameter)]
        owner = owners[0] if owners else ""
        around = scopes[-1].name if scopes else ""
        if owner and owner == around:
            return scopes
        kind = target.partition(".")[2]
        if not owner or owner in self.modules or not owner.startswith(f"{around}.".lstrip(".")):
            owner = self._free_name(_LAYERS[target], scopes)
            self.layers[owner] = kind
        return [*scopes, _Scope(owner, f"{owner} as step {len(self.steps)}")]

    def _named(self, node: fx.Node) -> tuple[str, str]:
        """(op, target) of a node that is no module; (UNKNOWN, its name) for what is not known."""
        target: Any = node.target
        if node.op == "call_method":
            plain = target[:-1] if target.endswith("_") and target[:-1] in METHODS else target
            if plain in METHODS:
                return METHOD, plain
        elif target is getattr:
            if node.args[1] in ATTRIBUTES:
                return ATTRIBUTE, str(node.args[1])
            target = node.args[1]
        else:
            function: Any = _IN_PLACE.get(target, target)
            name = name_of(function)
            if name is not None:
                return FUNCTION, name
        return _UNKNOWN, target if isinstance(target, str) else _name(target)

    def _argument(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return self._step_of[value]
        if isinstance(value, slice):
            parts = (value.start, value.stop, value.step)
            return slice(*(self._argument(part) for part in parts))
        if isinstance(value, (list, tuple)):
            kind = list if isinstance(value, list) else tuple
            return kind(self._argument(part) for part in value)
        return value


def _scopes(node: fx.Node) -> list[_Scope]:
    """The calls of containers around a node, from the outermost; without the network's own."""
    stack = [
        _Scope(name.removeprefix(PREFIX), call)
        for call, (name, _) in node.meta.get("nn_module_stack", {}).items()
    ][1:]
    return stack[:-1] if node.op == "call_module" else stack


def _is_in_place(node: fx.Node, wrapped: nn.Module) -> bool:
    """Whether a node writes into its first argument."""
    if not isinstance(node.meta.get(VALUE), Tensor):
        return False
    if node.op == "call_module":
        return bool(getattr(wrapped.get_submodule(str(node.target)), "inplace", False))
    name = node.target if isinstance(node.target, str) else _name(node.target)
    ends_so = name.endswith("_") and not name.endswith("__")
    return ends_so or node.target in _IN_PLACE or bool(node.kwargs.get("inplace")) or _says_so(node)


def _says_so(node: fx.Node) -> bool:
    """Whether a function is told by position that it works in place."""
    rule = _FUNCTIONS.get(node.target)
    if rule is None or "inplace" not in rule.arguments:
        return False
    given = dict(zip(rule.arguments, node.args[1:], strict=False))
    return bool(given.get("inplace"))


def _constant_arguments(rule: _AsModule, node: fx.Node) -> dict[str, Any] | None:
    """The description of the module that a function becomes; None where its arguments are no
    constants, or ask for what the module does not do.
    """
    given = dict(zip(rule.arguments, node.args[1:], strict=False))
    named = rule.defaults | given | {k: v for k, v in node.kwargs.items() if k != "input"}
    own = KINDS[rule.kind]
    for name, value in named.items():
        is_constant = not list(_nodes(value))
        if not is_constant or (name not in own and name not in _NO_MATTER and value):
            return None
    arguments = {name: _plain(value) for name, value in named.items() if name in own}
    return {"kind": rule.kind} | arguments


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def _nodes(value: Any) -> Iterator[fx.Node]:
    if isinstance(value, fx.Node):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _nodes(part)


def _refuse_module(name: str, module: nn.Module) -> None:
    kind = type(module).__name__
    if isinstance(module, nn.RNNBase):
        raise UserError(
            f"{name!r} is a recurrent layer ({kind}), which cannot be looked into here."
        )
    raise UserError(f"{name!r} is a {kind}, for which there is no step here.")


def _word(kind: str) -> str:
    """What a module that was a function is called, before its number."""
    return "pool" if "Pool" in kind else kind.lower()


def _name(function: Any) -> str:
    return getattr(function, "__name__", str(function))


def _check_known(steps: list[_Flat], title: str) -> None:
    """UserError for a step that there is none for."""
    for step in steps:
        if step.op == _UNKNOWN:
            raise UserError(
                f"The forward of {title} calls {step.target[:60]!r}, for which there is no step "
                "here. Possible: torch's usual functions, and methods of tensors."
            )


def _needed(steps: list[_Flat], output: int) -> tuple[list[_Flat], int]:
    """The steps that the logits depend on, numbered anew, and the logits' number."""
    needed, waiting = set(), [output]
    while waiting:
        number = waiting.pop()
        if number not in needed and number != _IMAGES:
            needed.add(number)
            waiting += steps[number].results
    new = {number: place for place, number in enumerate(sorted(needed))} | {_IMAGES: _IMAGES}

    def renumbered(value: Any) -> Any:
        return _mapped(value, lambda result: Result(new[result.number]))

    kept = [steps[number] for number in sorted(needed)]
    for step in kept:
        step.args, step.kwargs = renumbered(step.args), renumbered(step.kwargs)
    return kept, new[output]


def _mapped(value: Any, change: Callable[[Result], Any]) -> Any:
    """Arguments with all results in them changed."""
    if isinstance(value, Result):
        return change(value)
    if isinstance(value, slice):
        return slice(*(_mapped(part, change) for part in (value.start, value.stop, value.step)))
    if isinstance(value, dict):
        return {name: _mapped(part, change) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(part, change) for part in value)
    return value


class _Tree:
    """Puts flat steps into the blocks around them, and numbers them as they end.

    A call of a container stays together if one result of it alone is asked for outside.
    """

    def __init__(self, flat: list[_Flat], output: int) -> None:
        self.numbers = {_IMAGES: 0}  # of a flat step: that of the outermost block that it ends
        self._flat, self._count = flat, 0
        self._outputs = _outputs_of_calls(flat, output)

    def steps(self) -> list[dict[str, Any]]:
        """The steps as JSON has them."""
        return self._within(range(len(self._flat)), 0)

    def _within(self, numbers: Iterable[int], depth: int) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = []
        for call, group in groupby(numbers, lambda number: self._call(number, depth)):
            inner = list(group)
            if call is None:
                steps += [self._step(number) for number in inner]
                continue
            inside = self._within(inner, depth + 1)
            outputs = self._outputs[call]
            steps += (
                [self._block(inner[0], depth, inside, *outputs)] if len(outputs) == 1 else inside
            )
        return steps

    def _call(self, number: int, depth: int) -> str | None:
        scopes = self._flat[number].scopes
        return scopes[depth].call if len(scopes) > depth else None

    def _step(self, number: int) -> dict[str, Any]:
        flat = self._flat[number]
        step: dict[str, Any] = {"op": flat.op, "target": flat.target, "args": self._json(flat.args)}
        if flat.kwargs:
            step["kwargs"] = {name: self._json(value) for name, value in flat.kwargs.items()}
        self._count += 1
        self.numbers[number] = self._count
        return step

    def _block(
        self, first: int, depth: int, inside: list[dict[str, Any]], output: int
    ) -> dict[str, Any]:
        name = self._flat[first].scopes[depth].name
        step = {"op": BLOCK, "target": name, "output": self.numbers[output], "steps": inside}
        self._count += 1
        self.numbers[output] = self._count
        return step

    def _json(self, value: Any) -> Any:
        """An argument as JSON has it."""
        if isinstance(value, Result):
            return {"result": self.numbers[value.number]}
        if isinstance(value, Parameter):
            return {"parameter": value.name}
        if isinstance(value, slice):
            return {"slice": [self._json(part) for part in (value.start, value.stop, value.step)]}
        if isinstance(value, tuple):
            return {"tuple": [self._json(part) for part in value]}
        if isinstance(value, list):
            return [self._json(part) for part in value]
        if value is ...:
            return {"ellipsis": True}
        if isinstance(value, torch.dtype):
            names = [name for name, dtype in DTYPES.items() if dtype == value]
            return {"dtype": names[0] if names else str(value)}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise UserError(f"A step of forward is given {str(value)[:60]!r}, which cannot be kept.")


def _outputs_of_calls(flat: list[_Flat], output: int) -> dict[str, set[int]]:
    """The results of each call of a container that are asked for outside of it."""
    outputs: dict[str, set[int]] = {}
    calls = [{scope.call for scope in step.scopes} for step in flat]
    for number, step in enumerate(flat):
        for given in step.results:
            if given != _IMAGES:
                for call in calls[given] - calls[number]:
                    outputs.setdefault(call, set()).add(given)
    for call in calls[output] if output != _IMAGES else ():
        outputs.setdefault(call, set()).add(output)
    return outputs


def _blocks(network: nn.Module, names: Iterable[str], steps: list[_Flat]) -> dict[str, str]:
    """{name: class} of the containers around modules and tensors, and of those that are called."""
    wanted = {scope.name for step in steps for scope in step.scopes}
    for name in names:
        parts = name.split(".")
        wanted |= {".".join(parts[:depth]) for depth in range(1, len(parts))}
    containers = {
        name: type(module).__name__
        for name, module in network.named_modules()
        if name in wanted and kind_of(module) is None
    }
    return {
        name: kind if kind.isidentifier() else "Module" for name, kind in containers.items() if name
    }


def _shapes(tensors: dict[str, Tensor], *, is_parameter: bool) -> dict[str, dict[str, Any]]:
    return {
        name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in tensors.items()
        if isinstance(tensor, nn.Parameter) == is_parameter
    }
