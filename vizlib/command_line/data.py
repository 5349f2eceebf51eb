"""python -m vizlib data NAME, data add FILE, data remove NAME"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vizlib.command_line.output import is_wanted
from vizlib.errors import UserError

if TYPE_CHECKING:
    from vizlib.command_line.arguments import Commands
    from vizlib.datasets import Dataset
    from vizlib.displays.class_counts import ClassCountsDisplay

ACTIONS = ("add", "remove")


def add_to(commands: Commands) -> None:
    parser = commands.add_parser(
        "data",
        help="what is in a data set; add one from a zip, remove one that was added",
        usage="python -m vizlib data NAME | data add FILE [--name N] | data remove NAME [--yes]",
    )
    parser.add_argument("what", nargs="+", metavar="WHAT", help="NAME, add FILE, or remove NAME")
    parser.add_argument("--name", help="what the added data set is called; else like its file")
    parser.add_argument("--yes", action="store_true", help="remove without asking")
    parser.set_defaults(command=data)


def data(options: argparse.Namespace) -> int | None:
    action, *rest = options.what
    if action in ACTIONS and len(rest) == 1:
        return {"add": _add, "remove": _remove}[action](rest[0], options)
    if rest or action in ACTIONS:
        raise UserError("Say one of: data NAME; data add FILE; data remove NAME.")
    _describe(action)
    return 0


def _add(file: str, options: argparse.Namespace) -> None:
    from vizlib.bring import data_sets

    brought = data_sets.add_zip(
        Path(file),
        options.name or Path(file).stem,
        _progress if sys.stdout.isatty() else None,
    )
    print(f"{brought.name}: {brought.files:,} files, {brought.unpacked_bytes / 1e6:,.1f} MB.")
    for left_out in brought.left_out:
        print(f"  {left_out.sentence}")
    _describe(brought.name)


def _progress(share: float) -> None:
    print(f"\r{100 * share:3.0f} %", end="\n" if share == 1 else "", flush=True)


def _remove(name: str, options: argparse.Namespace) -> int:
    from vizlib.bring import data_sets

    if not data_sets.is_removable(name):
        data_sets.remove(name)  # says why not
    if not is_wanted(f"Delete the files of {name!r}?", options):
        return 1
    data_sets.remove(name)
    print(f"{name!r} is removed.")
    return 0


def _describe(name: str) -> None:
    from vizlib import datasets
    from vizlib.bring import data_sets
    from vizlib.displays.class_counts import ClassCountsDisplay
    from vizlib.displays.picture_sizes import PictureSizesDisplay

    dataset = datasets.load(name)
    counts = ClassCountsDisplay.from_dataset(dataset)
    print(f"{name}: {dataset.note}.")
    print(f"{counts.imbalance}")
    _table(dataset, counts)
    print(PictureSizesDisplay.from_dataset(dataset).sentence)
    for sentence in dataset.remarks:
        print(f"! {sentence}")
    for left_out in (*dataset.left_out, *data_sets.left_out_when_brought(name)):
        print(f"! {left_out.sentence}")


def _table(dataset: Dataset, counts: ClassCountsDisplay) -> None:
    """A row a class: how many pictures each split has of it."""
    width = max(map(len, dataset.class_names))
    print(f"  {'':{width}}  " + "  ".join(f"{part:>8}" for part in counts.counts))
    for label, class_name in enumerate(dataset.class_names):
        figures = "  ".join(f"{each[label]:>8,}" for each in counts.counts.values())
        print(f"  {class_name:{width}}  {figures}")
