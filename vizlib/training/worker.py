"""The process that trains: python -m vizlib.training.worker RUN_FOLDER. It waits for its device,
trains, and notes how it ended.

It imports torch only when its turn has come: one that waits is small.
"""

import argparse
import importlib
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.run.events import EventLog
from vizlib.run.folders import Run
from vizlib.training import launcher, process
from vizlib.training.requests import Requests

LOOK_SECONDS = 0.3
NICENESS = 5  # the app's pages come first


def main(arguments: Sequence[str] | None = None) -> int:
    """Train one run. Returns the exit status: 0 it ended by itself or as asked, 1 it failed."""
    options = _parser().parse_args(arguments)
    folder = options.folder.resolve()
    # its queue is made of the runs beside it
    os.environ["CONVSCOPE_RUNS"] = str(folder.parent)
    requests = Requests(folder)
    process.end_in_order(requests)
    if options.with_parent:
        pipe = _own_copy_of_standard_input()
        # which writes nothing into it: reading ends with the app
        process.end_after(lambda: os.read(pipe, 1), requests, "The app was closed.")
    if options.device == "cpu":
        process.give_way(NICENESS)
    try:
        with EventLog(folder) as log:
            run = folders.read_run(folder)
            log.write("queued", device=options.device, asked=options.asked)
            return _train_in_turn(run, log, requests, options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vizlib.training.worker", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--asked",
        type=float,
        default=time.time(),
        help="when it was asked for, in seconds since 1970: its place in the queue",
    )
    parser.add_argument(
        "--with-parent",
        action="store_true",
        help="end when standard input closes, which it does when the app ends",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        help="after so many it ends and is kept, pauses included: others wait",
    )
    return parser


def _train_in_turn(run: Run, log: EventLog, requests: Requests, options: argparse.Namespace) -> int:
    if not _wait_for_turn(run, log, requests):
        log.write("stopped", reason=f"{requests.stop} It was waiting in the queue.")
        return 0
    from vizlib.training.loop import carry_on

    log.write("starting")
    requests.deadline = time.monotonic() + 60 * options.minutes
    try:
        carry_on(
            run.folder,
            log,
            device=options.device,
            requests=requests,
            say=lambda line: print(line, flush=True),
        )
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _wait_for_turn(run: Run, log: EventLog, requests: Requests) -> bool:
    """Wait until the device is free, and everything is imported. False if it was asked to stop
    before.
    """
    is_ready = False
    while True:
        log.check_folder()
        is_next = launcher.is_next(run)
        # asked after the look: what ends the one before may be meant for this one as well
        if requests.stop:
            return False
        if is_next and is_ready:
            return True
        # and is it still after the import? Of two that came at one time both may have thought so
        if is_next:
            import_all()
            is_ready = True
        else:
            time.sleep(LOOK_SECONDS)


def import_all() -> None:
    """All that a training needs. The first optimiser imports PyTorch's compiler, which takes a
    second or two, whether it is used or not.
    """
    process.keep_freed_memory()
    importlib.import_module("vizlib.training.loop")
    from torch import nn, optim

    optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)


def _own_copy_of_standard_input() -> int:
    """The pipe from the app as a file of its own, with nothing left at its place: on Windows,
    importing PyTorch hangs beside a thread that reads there.
    """
    pipe, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return pipe


if __name__ == "__main__":
    sys.exit(main())
