"""What was trained on what, and how: the configuration of a run, which is its config.json."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from vizlib.errors import UserError
from vizlib.files import legible, open_regular, write_whole

LONGEST = 20_000_000  # bytes of a config.json: a hundred thousand classes with long names
MOST_CLASSES, LARGEST_SIDE = 100_000, 1024
LARGEST_WHOLE = 2**63 - 1
# of what names mean in a config.json; 0 where it says none. Since 1 "vgg16_slim" and "mobilenet",
# and the systems E1 and F5, are the reports' own forms: what had these names before is a variant.
EDITION = 1
_CALLED_BEFORE = {"vgg16_slim": "vgg16_slim_bn", "mobilenet": "mobilenet_two_norms"}
_SYSTEMS_BEFORE = {"E1": "E1N", "F5": "F5N"}
WEIGHTS_ALONE = "bare/weights"  # the architecture of a network that no other fits


@dataclass(frozen=True)
class RunConfig:
    """All that is needed to build, train and evaluate a run again.

    arguments: of the architecture. input_size: [channels, height, width] of what the network gets.
    mean, std: by channel, of pixels in [0, 1]. validation: how many training images are held out.
    recipe: the settings of a Recipe by name. start: None for a random network, {"run": id} or
    {"pretrained": "torchvision"}. frozen: how many of the first convolutions are not trained.
    system: the id of the reports' system that it is a training of. whole: whether the network gets
    pictures whole, within a black border, or their middle. levels: the values that are black and
    white in greys of more than 8 bits, None where the data have none. origin: where a network that
    was trained elsewhere comes from, "file", "sha256" and more by name; None for one trained here.
    A network without data has an empty `dataset`. by: which browser asked for it, a digest that is
    no secret; empty where none did. edition: the EDITION that its file was written
    in; names are those of today. unknown: what else its file holds, kept as it is.
    """

    title: str
    architecture: str
    arguments: dict[str, Any]
    dataset: str
    dataset_note: str | None
    ordered: bool
    class_names: list[str]
    input_size: list[int]
    mean: list[float]
    std: list[float]
    validation: int
    recipe: dict[str, Any]
    start: dict[str, str] | None
    frozen: int
    system: str | None
    seed: int
    versions: dict[str, str]
    whole: bool = False
    levels: list[float] | None = None
    origin: dict[str, str] | None = None
    by: str = ""
    edition: int = EDITION
    unknown: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As config.json holds it."""
        content = asdict(self)
        return content | content.pop("unknown")


def config_of(content: Any) -> tuple[RunConfig, list[str]]:
    """The configuration that a config.json holds, and the names of fields that were left out, as
    they do not fit and can be done without. ValueError, in a few words, for one that is none.
    """
    if not isinstance(content, dict):
        raise ValueError("there is no object")
    for name, kind in _NEEDED.items():
        if not _is(content.get(name), kind):
            raise ValueError(f"{name!r} is missing or not a {kind.__name__}")
    _check(content)
    optional, left_out = {}, []
    for name, (default, fits) in _OPTIONAL.items():
        value = content.get(name, default)
        if not fits(value):
            left_out.append(name)
        optional[name] = value if fits(value) else default
    needed = {name: content[name] for name in _NEEDED}
    if not optional["edition"]:
        _rename(needed, optional)
    known = {known_field.name for known_field in fields(RunConfig)} - {"unknown"}
    unknown = {name: value for name, value in content.items() if name not in known}
    return RunConfig(**needed, **optional, unknown=unknown), left_out


def _rename(needed: dict[str, Any], optional: dict[str, Any]) -> None:
    """Give what a configuration of the first edition names the names of today."""
    arguments = needed["arguments"]
    if "batch_norm" not in arguments:  # which says it
        needed["architecture"] = _today(_CALLED_BEFORE, needed["architecture"])
    if "base" in arguments:  # the network that a head was put on
        needed["arguments"] = arguments | {"base": _today(_CALLED_BEFORE, arguments["base"])}
    optional["system"] = _today(_SYSTEMS_BEFORE, optional["system"])


def _today(names: dict[str, str], name: Any) -> Any:
    return names.get(name, name) if isinstance(name, str) else name


def read_config(folder: Path) -> tuple[RunConfig, list[str]]:
    """The configuration in a run folder, and the fields left out. UserError if there is none."""
    content = _content(folder)
    try:
        return config_of(content)
    except ValueError as error:
        raise UserError(f"{folder.name!r} cannot be read: {error} in its config.json.") from None


def _content(folder: Path) -> Any:
    """What a folder's config.json holds. UserError if there is none, or it is no JSON."""
    try:
        with open_regular(folder / "config.json") as file:
            text = file.read(LONGEST + 1)
        if len(text) > LONGEST:
            raise ValueError
        return legible(json.loads(text.decode()))
    except FileNotFoundError:
        raise UserError(f"{folder.name!r} is not a run: it has no config.json.") from None
    except OSError as error:
        raise UserError(
            f"{folder.name!r} cannot be read: its config.json cannot be opened ({error.strerror})."
        ) from None
    except (ValueError, RecursionError):
        raise UserError(
            f"{folder.name!r} cannot be read: its config.json is cut short or damaged."
        ) from None


def write_config(folder: Path, config: RunConfig) -> None:
    """Write config.json so that a reader finds either the old file or the whole new one."""
    write_whole(folder / "config.json", json.dumps(config.as_dict(), indent=1).encode())


_NEEDED = {
    "architecture": str,
    "arguments": dict,
    "dataset": str,
    "class_names": list,
    "input_size": list,
    "mean": list,
    "std": list,
    "recipe": dict,
    "seed": int,
}


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _count(value: Any) -> bool:
    return _is(value, int) and 0 <= value <= LARGEST_WHOLE


def _texts_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _are_levels(value: Any) -> bool:
    """Whether a value is [least, greatest] of greys."""
    is_pair = isinstance(value, list) and len(value) == 2
    if not is_pair or not all(_is(end, int) or _is(end, float) for end in value):
        return False
    return -LARGEST_WHOLE <= value[0] <= value[1] <= LARGEST_WHOLE


# name -> (what it is where the file has none, whether a value fits)
_OPTIONAL: dict[str, tuple[Any, Callable[[Any], bool]]] = {
    "title": ("", lambda value: isinstance(value, str)),
    "dataset_note": (None, _text_or_none),
    "ordered": (False, lambda value: isinstance(value, bool)),
    "validation": (0, _count),
    "start": (None, lambda value: value is None or _texts_by_name(value)),
    "frozen": (0, _count),
    "system": (None, _text_or_none),
    "versions": ({}, _texts_by_name),
    "whole": (False, lambda value: isinstance(value, bool)),
    "levels": (None, lambda value: value is None or _are_levels(value)),
    "origin": (None, lambda value: value is None or _texts_by_name(value)),
    "by": ("", lambda value: isinstance(value, str)),
    "edition": (0, _count),
}


def _check(content: dict[str, Any]) -> None:
    """ValueError, in a few words, for a needed field whose values do not fit."""
    size, names = content["input_size"], content["class_names"]
    if len(size) != 3 or not all(_is(side, int) and 0 < side <= LARGEST_SIDE for side in size):
        raise ValueError("'input_size' is not [channels, height, width]")
    for name in ("mean", "std"):
        fits = len(content[name]) == size[0]
        if not fits or not all(_is(value, int) or _is(value, float) for value in content[name]):
            raise ValueError("'mean' or 'std' does not fit the channels")
    if not all(-1000 < value < 1000 for value in content["mean"]) or not all(
        0 < value < 1000 for value in content["std"]
    ):
        raise ValueError("'mean' or 'std' is out of range")
    if not 0 < len(names) <= MOST_CLASSES or not all(isinstance(name, str) for name in names):
        raise ValueError("'class_names' is not a list of names")
    if not -LARGEST_WHOLE <= content["seed"] <= LARGEST_WHOLE:
        raise ValueError("'seed' is out of range")
