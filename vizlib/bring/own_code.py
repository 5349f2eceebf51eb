"""Somebody's own class, as data: its code runs here, once, for whoever has it and trusts it; what
it computes is followed, described (steps.py), built again from the description alone, and compared.
From then on nothing of the code is needed, or run.

Only the command line and notebooks come here. The app never does: a run folder may be anybody's.
"""

from __future__ import annotations

import copy
import importlib.util
import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from vizlib import architectures
from vizlib.architectures.elsewhere import graph
from vizlib.architectures.shapes import without_numbers
from vizlib.bring import models
from vizlib.bring.forward import DependsOnValuesError, followed, in_words, where
from vizlib.bring.recognition import BY_CODE, SIDES, Candidate
from vizlib.bring.steps import description
from vizlib.datasets import load
from vizlib.errors import UserError
from vizlib.run.folders import Run
from vizlib.run.weights import load_into

TOLERANCE = 1e-5  # of the largest logit, between the module and what is built from its description
_TRIES = (3, 1, 3)  # how many pictures at once they are compared on
_AROUND = ("_orig_mod", "module")  # what torch.compile and nn.DataParallel put around a network
_MODULE_NAME = "convscope_own_code"


@dataclass(frozen=True)
class Traced:
    """What somebody's network computes, as data.

    arguments: of the architecture "graph/net". tensors: its weights by name, on the CPU.
    input_size: (channels, height, width) of the pictures it was followed with. title: what its
    class is called. note: which part of what it returns are the logits, in a sentence; empty where
    it returns nothing else.
    """

    arguments: dict[str, Any]
    tensors: dict[str, Tensor]
    input_size: tuple[int, int, int]
    title: str
    note: str = ""

    @property
    def candidate(self) -> Candidate:
        """As what recognition gives for a file."""
        names = {name: name for name in self.tensors}
        classes = self.arguments["num_classes"]
        return Candidate(graph.NAME, self.arguments, self.input_size, classes, BY_CODE, names)


def of_class(
    spec: str,
    arguments: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    side: int | None = None,
) -> Traced:
    """The network of a class in a file, "my_net.py:Net", made with these arguments, with these
    tensors of a file of weights. UserError, in a sentence, for anything that does not fit.

    side: of the pictures; None for the first usual one that the network takes.
    """
    module = load_class(spec, arguments)
    if any(map(is_lazy, module.parameters())):
        raise UserError(
            f"{type(module).__name__} has lazy layers, of sizes that nobody knows before it is "
            "asked: say them in the code."
        )
    load_into(module, _as_named_in(module, tensors))
    return traced(module, None if side is None else (_channels(module), side, side))


def open_module(
    module: nn.Module,
    *,
    name: str,
    input_size: Sequence[int],
    class_names: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    dataset: str = "",
) -> Run:
    """See vizlib.open_model."""
    network = traced(module, input_size)
    data = load(dataset) if dataset else None
    names = class_names or (data.class_names if data else None)
    channels, classes = network.input_size[0], network.candidate.num_classes
    settings = models.Settings(
        list(names or (f"class {number}" for number in range(classes))),
        network.input_size,
        list(mean) if mean is not None else [0.0] * channels,
        list(std) if std is not None else [1.0] * channels,
    )
    origin = {"file": f"the class {network.title}", "class": network.title}
    return models.add(network.candidate, network.tensors, settings, name, origin, data)


# Somebody's file


def load_class(spec: str, arguments: Mapping[str, Any] | None = None) -> nn.Module:
    """The module that "path.py:Name" makes of these arguments, by running that file: a class, a
    function that returns a module, or a module. Without ":Name", its only class of modules.
    UserError, with the line, for what goes wrong in it.
    """
    file, name = _parts(spec)
    with _beside(file):
        code = _run(file)
        return _made(file, name, _named(code, file, name), dict(arguments or {}))


def _parts(spec: str) -> tuple[Path, str]:
    """(file, name) of "path.py:Name"; an empty name where there is none."""
    path, colon, name = spec.rpartition(":")
    if not colon or not path.endswith(".py"):
        path, name = spec, ""
    file = Path(path)
    if not file.is_file() or file.suffix != ".py":
        raise UserError(
            f"There is no Python file {path[:100]!r}. A class is named as my_net.py:Net."
        )
    return file.resolve(), name


@contextmanager
def _beside(file: Path) -> Iterator[None]:
    """Within it, what lies in a file's folder can be imported."""
    folder = str(file.parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _run(file: Path) -> ModuleType:
    code_spec = importlib.util.spec_from_file_location(_MODULE_NAME, file)
    if code_spec is None or code_spec.loader is None:
        raise UserError(f"{file.name!r} cannot be run as Python.")
    code = importlib.util.module_from_spec(code_spec)
    sys.modules[_MODULE_NAME] = code  # dataclasses look themselves up there
    try:
        code_spec.loader.exec_module(code)
    except (Exception, SystemExit) as error:
        raise UserError(f"{file.name!r} cannot be run: {in_words(error)}.") from error
    return code


def _named(code: ModuleType, file: Path, name: str) -> Any:
    """What a file calls so; its only class of modules where the name is empty."""
    classes = [
        own_name
        for own_name, value in vars(code).items()
        if isinstance(value, type) and issubclass(value, nn.Module)
        and value.__module__ == code.__name__
    ]  # fmt: skip
    possible = ", ".join(f"{file.name}:{own_name}" for own_name in classes) or "no class of modules"
    if not name and len(classes) == 1:
        name = classes[0]
    if not name:
        raise UserError(f"Say which class of {file.name!r} it is. Possible: {possible}.")
    if not hasattr(code, name):
        raise UserError(f"{file.name!r} has no {name[:60]!r}. Possible: {possible}.")
    return getattr(code, name)


def _made(file: Path, name: str, made_by: Any, arguments: dict[str, Any]) -> nn.Module:
    if isinstance(made_by, nn.Module):
        return made_by
    shown = name or getattr(made_by, "__name__", "it")
    if not callable(made_by):
        raise UserError(f"{shown!r} of {file.name!r} is no class and no function.")
    _check_arguments(shown, made_by, arguments)
    try:
        module = made_by(**arguments)
    except (Exception, SystemExit) as error:
        raise UserError(f"{shown!r} cannot be made: {in_words(error)}.") from error
    if not isinstance(module, nn.Module):
        raise UserError(f"{shown!r} gives a {type(module).__name__}, and no torch.nn.Module.")
    return module


def _check_arguments(name: str, made_by: Any, arguments: dict[str, Any]) -> None:
    """UserError, with what is possible, for arguments that do not fit a signature."""
    try:
        signature = inspect.signature(made_by)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise UserError(
            f"{name!r} takes other arguments: {error}. Possible: {name}{signature}, to be given as "
            "--arguments '{\"name\": value}'."
        ) from None


def _as_named_in(module: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A file's tensors under the names that the network has for most of them: as they are, or
    without what stands before them in the file ("module."), or behind what the network has there.
    """
    own = module.state_dict().keys()
    ways = [dict(tensors)]
    for prefix in _beginnings(tensors):
        inside = {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        ways.append({name.removeprefix(prefix): tensor for name, tensor in inside.items()})
    ways += [
        {prefix + name: tensor for name, tensor in tensors.items()} for prefix in _beginnings(own)
    ]
    return max(ways, key=lambda way: len(own & way.keys()))


def _beginnings(names: Iterable[str]) -> list[str]:
    """What names begin with, up to the first, second and third dot."""
    parts = [name.split(".") for name in names]
    return sorted(
        {".".join(part[:depth]) + "." for part in parts for depth in (1, 2, 3) if part[depth:]}
    )


# What it computes


def traced(module: nn.Module, input_size: Sequence[int] | None = None) -> Traced:
    """What a module computes for pictures of (channels, height, width), as data: compared with the
    module itself on random pictures, a few at a time and one alone. The module stays as it is.

    Without an input_size the first usual one that it takes. UserError where its forward cannot be
    described, or what was built from the description gives other logits.
    """
    with torch.random.fork_rng(devices=[]):
        return _traced(_alone(module), input_size)


def _traced(network: nn.Module, input_size: Sequence[int] | None) -> Traced:
    title = type(network).__name__
    _check_inputs(network, title)
    wrapped, size = _fitting(network, title, input_size)
    images = torch.rand(2, *size)
    logits = _logits(wrapped, images)
    _check_logits(logits, _logits(wrapped, images), title)
    for part in wrapped.modules():
        part._forward_hooks.clear()  # they are for the author's eyes, and must see no stand-ins
    content, tensors = _described(wrapped, images.clone(), title)
    more = {"num_classes": logits.shape[1], "input_size": list(size)}
    arguments = json.loads(json.dumps(content | more))
    tensors, built = _built(wrapped, arguments, tensors)
    _check_same(built, images, logits, title)
    for count in _TRIES:
        images = torch.randn(count, *size)
        _check_same(built, images, _logits(wrapped, images), title)
    return Traced(arguments, tensors, size, title, wrapped.note)


def _described(
    wrapped: _Logits, images: Tensor, title: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(description, tensors that containers hold) of a network."""
    try:
        return description(followed(wrapped, images), wrapped)
    except DependsOnValuesError as error:
        raise UserError(
            f"The forward of {title} asks for values that depend on the picture{where(error)}: "
            "what it computes differs from picture to picture, and cannot be written down in "
            "steps. Possible: conditions on sizes and on settings of the module, and torch.where."
        ) from None


@torch.no_grad()
def _logits(network: nn.Module, images: Tensor) -> Tensor:
    """Of images that the network may write into."""
    return network(images.clone())


def _alone(module: nn.Module) -> nn.Module:
    """A copy of a network, as it is asked: on the CPU, in float32, dropping nothing."""
    if not isinstance(module, nn.Module):
        raise UserError(f"This is a {type(module).__name__}, and no torch.nn.Module.")
    for name in _AROUND:
        if list(dict(module.named_children())) == [name]:
            module = module.get_submodule(name)
    if isinstance(module, torch.jit.ScriptModule):
        raise UserError("This is a TorchScript program: hand over the module it was made from.")
    try:
        return copy.deepcopy(module).cpu().float().eval()
    except Exception as error:
        raise UserError(f"The module cannot be copied: {in_words(error)}.") from error


def _check_inputs(network: nn.Module, title: str) -> None:
    """UserError for a forward that takes anything but one batch of pictures."""
    needed = [
        name
        for name, parameter in inspect.signature(network.forward).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if len(needed) > 1:
        raise UserError(
            f"The forward of {title} takes {len(needed)} inputs ({', '.join(needed)}): only "
            "networks of one, the pictures, can be opened. Give the others a default value."
        )


@dataclass
class _Way:
    """Where the logits are in what a network returns."""

    key: Any = None
    is_attribute: bool = False
    is_whole: bool = True


class _Logits(nn.Module):
    """A network as PREFIX, of whose answer the logits alone are returned."""

    def __init__(self, network: nn.Module, way: _Way, note: str) -> None:
        super().__init__()
        self.network, self.way, self.note = network, way, note

    def forward(self, images: Tensor) -> Any:
        answer = self.network(images)
        if self.way.is_whole:
            return answer
        return getattr(answer, self.way.key) if self.way.is_attribute else answer[self.way.key]


def _fitting(
    network: nn.Module, title: str, input_size: Sequence[int] | None
) -> tuple[_Logits, tuple[int, int, int]]:
    """The network as what is followed, and the size of pictures that it takes. UserError where it
    takes none, or does not answer with logits.
    """
    errors: list[UserError] = []
    for size in _possible_sizes(network, input_size):
        try:
            answer = _asked(network, title, size)
        except UserError as error:
            errors.append(error)
            continue
        way, note = _way_to_logits(answer, title)
        return _Logits(network, way, note).eval(), size
    if input_size is not None:
        raise errors[0]
    raise UserError(f"{title} takes no pictures of a usual size: say which it takes. {errors[0]}")


def _possible_sizes(
    network: nn.Module, input_size: Sequence[int] | None
) -> list[tuple[int, int, int]]:
    if input_size is not None:
        size = tuple(input_size)
        if len(size) != 3 or not all(isinstance(side, int) and 0 < side <= 1024 for side in size):
            raise UserError("input_size is (channels, height, width), each 1 to 1024.")
        return [(size[0], size[1], size[2])]
    return [(_channels(network), side, side) for side in SIDES]


def _channels(network: nn.Module) -> int:
    """Of the pictures that a network takes, as its first convolution says."""
    first = next((part for part in network.modules() if isinstance(part, nn.Conv2d)), None)
    return first.in_channels if first is not None else 3


def _asked(network: nn.Module, title: str, size: tuple[int, int, int]) -> Any:
    """A network's answer to two random pictures. UserError, with the line, where it has none."""
    try:
        with torch.no_grad():
            return network(torch.rand(2, *size))
    except Exception as error:
        raise UserError(
            f"{title} cannot be asked about pictures of {' x '.join(map(str, size))} (channels x "
            f"height x width): {in_words(error)}."
        ) from error


def _way_to_logits(answer: Any, title: str) -> tuple[_Way, str]:
    """Where the logits are, and a sentence that says so where there is more. UserError where that
    is not plain.
    """
    if isinstance(answer, Tensor):
        if _are_logits(answer):
            return _Way(), ""
        raise UserError(
            f"{title} returns {_sizes(answer)} for two pictures, and not a row of logits for each, "
            "as (2, classes)."
        )
    parts = dict(_parts_of(answer))
    logits = {key: value for key, value in parts.items() if _are_logits(value)}
    key = "logits" if "logits" in logits else next(iter(logits), None)
    if key is None or (key != "logits" and len(logits) > 1):
        shown = ", ".join(f"{key!r}: {_sizes(value)}" for key, value in parts.items())
        raise UserError(
            f"{title} returns no tensor but a {type(answer).__name__}"
            f"{f' ({shown[:200]})' if shown else ''}, of which it is not plain what the logits "
            "are. Return the logits alone in evaluation mode."
        )
    is_attribute = not isinstance(answer, (Mapping, tuple, list))
    note = f"Of the {type(answer).__name__} that {title} returns, {key!r} are taken as the logits."
    return _Way(key, is_attribute, is_whole=False), note


def _parts_of(answer: Any) -> list[tuple[Any, Any]]:
    if isinstance(answer, Mapping):
        return list(answer.items())
    if isinstance(answer, (tuple, list)):
        return list(enumerate(answer))
    return [("logits", answer.logits)] if hasattr(answer, "logits") else []


def _are_logits(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() == 2 and value.shape[0] == 2


def _sizes(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__


# Whether it is the same


def _built(
    wrapped: _Logits, arguments: dict[str, Any], held: dict[str, Tensor]
) -> tuple[dict[str, Tensor], nn.Module]:
    """(tensors, network) of a description, without drawing weights first."""
    with without_numbers():
        network = architectures.create(graph.NAME, **arguments).eval()
    tensors = {
        name: (held[name] if name in held else attrgetter(name)(wrapped.network)).detach().clone()
        for name in network.state_dict()
    }
    network.load_state_dict(tensors, assign=True)
    return tensors, network


def _check_logits(logits: Tensor, again: Tensor, title: str) -> None:
    """UserError for logits that are no numbers, or others when the network is asked again."""
    if not logits.isfinite().all():
        raise UserError(
            f"{title} answers with NaN or infinite values: that training failed. Take an earlier "
            "checkpoint."
        )
    if (logits - again).abs().max() > TOLERANCE * logits.abs().max():
        raise UserError(
            f"{title} gives other logits each time it is asked about the same pictures: what it "
            "draws at random also in evaluation mode cannot be kept. A dropout that is a function "
            "is written F.dropout(x, p, training=self.training)."
        )


def _check_same(built: nn.Module, images: Tensor, logits: Tensor, title: str) -> None:
    """UserError for a network that does not give these logits."""
    try:
        far = (_logits(built, images) - logits).abs().max()
        is_same = bool(far <= TOLERANCE * logits.abs().max())
    except Exception:  # noqa: BLE001 # one picture where there were two
        is_same = False
    if not is_same:
        raise UserError(
            f"What was followed of {title} does not give its logits again: its forward depends on "
            "more than the picture (on what it was asked before, on how many pictures there are, "
            "on a hook), or rewrites a tensor of which another is a view."
        )
