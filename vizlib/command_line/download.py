"""python -m vizlib download DATASET"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vizlib.errors import UserError

if TYPE_CHECKING:
    from vizlib.command_line.arguments import Commands


def add_to(commands: Commands) -> None:
    parser = commands.add_parser("download", help="fetch a public data set")
    parser.add_argument("dataset", help='"cifar10"')
    parser.set_defaults(command=download)


def download(options: argparse.Namespace) -> None:
    from vizlib import datasets

    reader = datasets.reader_of(options.dataset)
    if reader.download is None:
        raise UserError(f"{options.dataset!r} cannot be downloaded. {reader.missing}")
    reader.download(
        datasets.data_root(), say=lambda share: print(f"\r{100 * share:3.0f} %", end="", flush=True)
    )
    print(f"\n{options.dataset} is in {datasets.data_root()}.")
