"""What several commands print and write."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vizlib.errors import UserError

if TYPE_CHECKING:
    from vizlib.datasets import Dataset
    from vizlib.run.folders import Run


def progress_of(words: str) -> Callable[[float], None]:
    """A function that shows a progress in [0, 1] on a line of the terminal, where there is one."""
    if not sys.stdout.isatty():
        return lambda share: None
    return lambda share: print(
        f"\r{100 * share:3.0f} % of {words}", end="\n" if share >= 1 else "", flush=True
    )


def is_wanted(question: str, options: argparse.Namespace) -> bool:
    """Whether what deletes something is to be done: asked, unless options.yes says so already."""
    if options.yes or input(f"{question} [y/N] ").strip().lower() == "y":
        return True
    print("Nothing was removed.")
    return False


def write_file(path: Path, content: bytes) -> None:
    """Write a file and say so. UserError where that is not possible."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
    print(f"{path}: {len(content) / 1e6:.2g} MB")


def print_what_to_know(dataset: Dataset) -> None:
    """What a data set left out, and what else a reader should know of it."""
    for left_out in dataset.left_out:
        print(f"  ! {left_out.sentence}")
    for remark in dataset.remarks:
        print(f"  {remark}")


def print_result(run: Run) -> None:
    """How a training ended: the verdict, or how to go on."""
    from vizlib.run.verdict import judge_run

    print(f"written to {run.folder}")
    if run.status == "finished":
        print(judge_run(run).sentence)
    else:
        print(f"{run.status}: python -m vizlib resume {run.run_id}")
