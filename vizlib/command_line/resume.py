"""python -m vizlib resume RUN"""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from vizlib.command_line.arguments import add_device, add_run, device_named, run_named
from vizlib.command_line.output import print_result
from vizlib.errors import UserError

if TYPE_CHECKING:
    from vizlib.command_line.arguments import Commands


def add_to(commands: Commands) -> None:
    parser = commands.add_parser("resume", help="go on with a run that ended too early")
    add_run(parser)
    parser.add_argument(
        "--learning-rate", type=float, help="the highest from now on (default: as before)"
    )
    add_device(parser)
    parser.set_defaults(command=resume)


def resume(options: argparse.Namespace) -> None:
    from vizlib.run import folders
    from vizlib.run.events import EventLog
    from vizlib.training import process, requests

    if "RANK" in os.environ:
        raise UserError(
            "A training is resumed by one process: start it without torchrun, or train a new "
            "one from its weights with --start."
        )
    run = run_named(options.run)
    if not run.can_resume:
        raise UserError(f"{run.run_id} cannot be resumed: it is {run.status}.")
    process.keep_freed_memory()
    from vizlib.training.loop import carry_on

    requests.forget(run.folder)
    if options.learning_rate is not None:
        requests.ask_rate(run.folder, options.learning_rate)
    wishes = requests.Requests(run.folder)
    process.end_in_order(wishes)
    with EventLog(run.folder) as log:
        carry_on(run.folder, log, device=device_named(options.device), requests=wishes)
    print_result(folders.read_run(run.folder))
