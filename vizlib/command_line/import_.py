"""python -m vizlib import FILE"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vizlib.command_line.arguments import device_named
from vizlib.command_line.output import progress_of
from vizlib.errors import UserError, unknown

if TYPE_CHECKING:
    from vizlib.bring.models import Settings
    from vizlib.bring.recognition import Candidate
    from vizlib.bring.sources import Brought
    from vizlib.bring.trying import Tried
    from vizlib.command_line.arguments import Commands
    from vizlib.datasets import Dataset
    from vizlib.run.folders import Run

MOST_LISTED = 8
TORCHVISION = "torchvision/"


def add_to(commands: Commands) -> None:
    parser = commands.add_parser(
        "import",
        help="a checkpoint from elsewhere becomes a run that every page opens on",
        description="Nothing in a checkpoint is run. --module runs the code that it names, once, "
        "here: give it your own only.",
    )
    parser.add_argument(
        "file", metavar="FILE|torchvision/NAME", help="weights, or torchvision's by name"
    )
    parser.add_argument("--name", help="what the run is called; else like its file")
    parser.add_argument("--data", help="a data set with its classes, from `list`, to try it on")
    parser.add_argument("--architecture", help="which of several networks it is")
    parser.add_argument("--part", help="which of several dictionaries of weights in the file")
    parser.add_argument("--classes", help="names, separated by commas, or a file with one a line")
    parser.add_argument("--normalisation", help="by name, as the table says that --data prints")
    parser.add_argument("--mean", help="by channel, of pixels in [0, 1]: 0.5,0.5,0.5")
    parser.add_argument("--std", help="deviation by channel")
    parser.add_argument("--bgr", action="store_true", help="it takes blue first")
    parser.add_argument("--size", type=int, help="the side of the pictures it takes")
    parser.add_argument(
        "--module", metavar="FILE.py:CLASS", help="your own class, whose code is run here"
    )
    parser.add_argument(
        "--arguments", default="{}", help="of that class, as JSON: '{\"num_classes\": 10}'"
    )
    parser.add_argument("--no-test", action="store_true", help="do not answer the test images")
    parser.add_argument("--device", default="cpu", help='to answer on: "cpu", "cuda", "cuda:1"')
    parser.set_defaults(command=import_model)


def import_model(options: argparse.Namespace) -> None:
    from vizlib import datasets
    from vizlib.bring import models

    brought = _brought(options)
    for sentence in brought.remarks:
        print(sentence)
    dataset = datasets.load(options.data) if options.data else None
    candidates = _chosen(brought.candidates, options.architecture)
    candidate, settings = _settled(options, brought, candidates, dataset)
    _print_table(candidate)
    print(f"Recognised: {candidate.sentence}")
    print(
        f"Pictures {' x '.join(map(str, settings.input_size))}, mean {_numbers(settings.mean)}, "
        f"deviation {_numbers(settings.std)}, {settings.order}, {len(settings.class_names):,} "
        "classes."
    )
    name = options.name or models.run_name(brought.name)
    run = models.add(candidate, brought.tensors, settings, name, brought.origin, dataset)
    print(f"written to {run.folder}")
    if dataset is not None and not options.no_test:
        _test(run, dataset, options.device)


def _brought(options: argparse.Namespace) -> Brought:
    from vizlib.bring import sources

    if options.module:
        return sources.from_code(
            Path(options.file), options.module, _arguments(options.arguments), options.size
        )
    if options.file.startswith(TORCHVISION):
        return sources.from_torchvision(
            options.file.removeprefix(TORCHVISION), progress_of("the download")
        )
    return sources.from_file(Path(options.file), options.part, progress_of("the file"))


def _arguments(text: str) -> dict:
    try:
        arguments = json.loads(text)
        if isinstance(arguments, dict):
            return arguments
    except ValueError:
        pass
    raise UserError("--arguments is an object in JSON, as '{\"num_classes\": 10}'.")


def _chosen(candidates: list[Candidate], wanted: str | None) -> list[Candidate]:
    """The candidates that can be used, or that of a name."""
    usable = [candidate for candidate in candidates if candidate.is_usable]
    for candidate in candidates:
        if not candidate.is_usable:
            from vizlib.bring.models import faults

            print(f"Not {candidate.architecture}: of its tensors {faults(candidate)}")
    if wanted is None:
        return usable
    named = [c for c in usable if wanted in (c.architecture, *c.aliases)]
    if not named:
        raise unknown("architecture of this file", wanted, [c.architecture for c in usable])
    return named


def _settled(
    options: argparse.Namespace,
    brought: Brought,
    candidates: list[Candidate],
    dataset: Dataset | None,
) -> tuple[Candidate, Settings]:
    """The network, and what its file does not say: as was asked for, else as data show, else as is
    usual.
    """
    from vizlib.bring import models

    asked = _class_names(options.classes)
    names = asked or brought.class_names
    if options.size:
        candidates = [_of_size(candidate, options.size) for candidate in candidates]
    candidate = candidates[0]
    settings = models.guesses(candidate, class_names=names, dataset=dataset, given=brought.settings)
    if asked is not None:
        settings = replace(settings, class_names=asked)
        models.check(settings, candidate)
    if dataset is not None and candidate.num_classes:
        result = _try_out(candidates, brought, settings, dataset)
        candidate = candidates[result.candidate]
        settings = result.settled(replace(settings, input_size=candidate.input_size))
    elif len(candidates) > 1:
        print("It may be one of several; --data tries which, --architecture says it:")
        for other in candidates:
            print(f"  {other.sentence}")
    return candidate, _as_asked(options, settings)


def _of_size(candidate: Candidate, side: int) -> Candidate:
    """A candidate that takes pictures of another side."""
    return replace(candidate, input_size=(candidate.input_size[0], side, side))


def _try_out(
    candidates: list[Candidate], brought: Brought, settings: Settings, dataset: Dataset
) -> Tried:
    """The best way to read pictures, after a table of all."""
    from vizlib.bring import trying

    split, which = trying.sample(dataset, settings.class_names)
    results = trying.tried(
        candidates, brought.tensors, split, dataset, progress_of("the ways to read a picture")
    )
    print(f"Right answers to {which} of {dataset.name}, which choose how its pictures are read:")
    for result in results[:MOST_LISTED]:
        network = candidates[result.candidate].architecture
        print(
            f"  {result.accuracy:6.1%} of {result.images:4}  {result.normalisation}, "
            f"{result.order}  ({network})"
        )
    return results[0]


def _as_asked(options: argparse.Namespace, settings: Settings) -> Settings:
    from vizlib.bring.models import BGR
    from vizlib.datasets.usual import usual

    if options.normalisation:
        possible = usual(settings.input_size[0])
        if options.normalisation not in possible:
            raise unknown("normalisation", options.normalisation, list(possible))
        mean, std = possible[options.normalisation]
        settings = replace(settings, mean=mean, std=std)
    if options.mean:
        settings = replace(settings, mean=_parsed(options.mean, "--mean"))
    if options.std:
        settings = replace(settings, std=_parsed(options.std, "--std"))
    return replace(settings, order=BGR) if options.bgr else settings


def _parsed(text: str, option: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{option} takes numbers, separated by commas.") from None


def _class_names(text: str | None) -> list[str] | None:
    if not text:
        return None
    if not Path(text).is_file():
        return [name.strip() for name in text.split(",")]
    try:
        lines = Path(text).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UserError(f"The class names in {text!r} cannot be read.") from None
    return [line.strip() for line in lines if line.strip()]


def _print_table(candidate: Candidate) -> None:
    """How many tensors matched; those that did not, by name."""
    table = candidate.table()
    matched = sum(what == "matched" for _, _, what in table)
    print(f"{matched:,} of {len(table):,} tensors matched by name.")
    others = [entry for entry in table if entry[2] != "matched"]
    for name, own, what in others[:MOST_LISTED]:
        print(f"  {what}: {name or own}" + (f" -> {own}" if what == "renamed" else ""))
    if len(others) > MOST_LISTED:
        print(f"  and {len(others) - MOST_LISTED:,} more")


def _numbers(values: list[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _test(run: Run, dataset: Dataset, device: str) -> None:
    from vizlib.training.evaluation import answer

    count = len(dataset.splits["test"])
    predictions = answer(run, dataset, device_named(device), progress_of(f"{count:,} test images"))
    print(
        f"accuracy {predictions.accuracy:.4f} on {len(predictions.labels):,} test images of "
        f"{dataset.name}"
    )
