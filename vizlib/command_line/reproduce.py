"""python -m vizlib reproduce"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vizlib.command_line.arguments import add_device, device_named

if TYPE_CHECKING:
    from vizlib.command_line.arguments import Commands


def add_to(commands: Commands) -> None:
    parser = commands.add_parser(
        "reproduce",
        help="train the networks of the reports, those that are missing, and print the table",
    )
    parser.add_argument(
        "systems",
        nargs="*",
        metavar="ID",
        help='such as "B2", or "B" for all of B (default: all that are missing); those that ship '
        "are trained again",
    )
    parser.add_argument("--table", action="store_true", help="only print the table")
    add_device(parser)
    parser.set_defaults(command=reproduce_systems)


def reproduce_systems(options: argparse.Namespace) -> int:
    from vizlib.reports import systems
    from vizlib.training import process

    chosen = systems.named(options.systems) if options.systems else list(systems.SYSTEMS.values())
    complete = True
    if not options.table:
        process.keep_freed_memory()
        from vizlib.reports.reproduce import reproduce

        device = device_named(options.device)
        complete = reproduce(chosen, again=bool(options.systems), device=device)
    print(systems.table())
    return 0 if complete else 1
