"""What several commands take, and how it is understood."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizlib.run.folders import Run

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN")


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", help='"cpu", "cuda", "cuda:1" or "mps" (default: a GPU if there is one)'
    )


def run_named(name: str) -> Run:
    """A run by its id, or by the path of its folder."""
    from vizlib.run import folders

    is_path = Path(name).is_dir() and "/" in name.replace("\\", "/")
    return folders.read_run(Path(name)) if is_path else folders.open_run(name)


def device_named(name: str | None) -> str:
    """A device that can be used, a GPU if none is named and there is one. UserError naming the ones
    there are.
    """
    from vizlib.training import devices

    return devices.device_named(name)
