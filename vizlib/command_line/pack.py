"""python -m vizlib pack RUN"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vizlib.command_line.arguments import add_run, run_named

if TYPE_CHECKING:
    from vizlib.command_line.arguments import Commands


def add_to(commands: Commands) -> None:
    parser = commands.add_parser("pack", help="store a finished run's weights in few bits")
    add_run(parser)
    parser.set_defaults(command=pack_run)


def pack_run(options: argparse.Namespace) -> None:
    from vizlib import datasets
    from vizlib.training.packing import pack

    run = run_named(options.run)
    packed = pack(run, datasets.load_for(run.config), lambda text: print(text, flush=True))
    size = run.path("model.safetensors").stat().st_size
    print(
        f"{run.run_id}: {size / 1e6:.1f} MB, {packed.bits:g} bits a weight, {packed.stored:.2%} of "
        f"the test images right, {packed.trained:.2%} before; {packed.changed:.2%} of the answers "
        "are others."
    )
