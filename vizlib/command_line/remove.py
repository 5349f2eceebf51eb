"""python -m vizlib remove RUN"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vizlib.command_line.arguments import add_run, run_named
from vizlib.command_line.output import is_wanted
from vizlib.errors import UserError

if TYPE_CHECKING:
    from vizlib.command_line.arguments import Commands


def add_to(commands: Commands) -> None:
    parser = commands.add_parser("remove", help="delete a run's folder, after a question")
    add_run(parser)
    parser.add_argument("--yes", action="store_true", help="remove without asking")
    parser.set_defaults(command=remove)


def remove(options: argparse.Namespace) -> int:
    from vizlib.run import removal

    run = run_named(options.run)
    if reason := removal.why_it_stays(run):
        raise UserError(reason)
    if not is_wanted(f"Delete {run.folder}?", options):
        return 1
    removal.remove(run)
    print(f"{run.run_id} is removed.")
    return 0
