"""python -m vizlib list"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizlib.command_line.arguments import Commands
    from vizlib.run.folders import Run


def add_to(commands: Commands) -> None:
    parser = commands.add_parser("list", help="runs, architectures, data sets and recipes")
    parser.set_defaults(command=list_all)


def list_all(options: argparse.Namespace) -> None:
    from vizlib import architectures, datasets
    from vizlib.training.recipes import RECIPES

    print("Runs (shipped in checkpoints/, yours in runs/)")
    _list_runs()
    print("\nArchitectures")
    for name in architectures.names():
        print(f"  {name:24} {architectures.get(name).summary}")
    print("\nData sets on this machine")
    for name in datasets.names():
        print(f"  {name}")
    for problem in datasets.problems():
        print(f"  ! {problem}")
    print("\nRecipes")
    for recipe in RECIPES.values():
        print(f"  {recipe.name:24} {recipe.summary}")


def _list_runs() -> None:
    from vizlib.run import folders

    runs, problems = folders.list_runs()
    for run in runs:
        print(_line(run))
        if run.problem:
            print(f"  ! {run.problem}")
    for problem in problems:
        print(f"  ! {problem}")


def _line(run: Run) -> str:
    best = (
        f"validation accuracy {run.best['val_accuracy']:.3f}" if run.best else "no checkpoint yet"
    )
    return (
        f"  {run.run_id:32} {run.config.architecture:24} {run.config.dataset:20} "
        f"{run.status:12} {best}"
    )
