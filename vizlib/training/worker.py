"""The process that trains: python -m vizlib.training.worker RUN_FOLDER. It waits for its device,
trains, and notes how it ended.

It imports torch only when its turn has come: one that waits is small.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.run.events import EventLog
from vizlib.training import launcher, process
from vizlib.training.requests import Requests

LOOK_SECONDS = 0.3
NICENESS = 5  # the app's pages come first


def main(arguments=None):
    """Train one run. Returns the exit status: 0 it ended by itself or as asked, 1 it failed."""
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
    options = parser.parse_args(arguments)
    options.folder = options.folder.resolve()
    # its queue is made of the runs beside it
    os.environ["CONVSCOPE_RUNS"] = str(options.folder.parent)
    requests = Requests(options.folder)
    process.end_in_order(requests)
    if options.with_parent:
        pipe = _own_copy_of_standard_input()
        # which writes nothing into it: reading ends with the app
        process.end_after(lambda: os.read(pipe, 1), requests, "The app was closed.")
    if hasattr(os, "nice") and options.device == "cpu":
        os.nice(NICENESS)
    try:
        with EventLog(options.folder) as log:
            return _train_in_turn(options, log, requests)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1


def _train_in_turn(options, log, requests):
    run, carry_on = folders.read_run(options.folder), None
    log.write("queued", device=options.device, asked=options.asked)
    while True:
        log.check_folder()
        is_next = launcher.is_next(run)
        # asked after the look: what ends the one before may be meant for this one as well
        if requests.stop:
            log.write("stopped", reason=f"{requests.stop} It was waiting in the queue.")
            return 0
        if is_next and carry_on:
            break
        # and is it still after the import? Of two that came at one time both may have thought so
        if is_next:
            process.keep_freed_memory()
            from vizlib.training.loop import carry_on
        else:
            time.sleep(LOOK_SECONDS)
    log.write("starting")
    try:
        carry_on(
            options.folder,
            log,
            device=options.device,
            requests=requests,
            say=lambda line: print(line, flush=True),
        )
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _own_copy_of_standard_input():
    """The pipe from the app as a file of its own, with nothing left at its place: on Windows,
    importing PyTorch hangs beside a thread that reads there.
    """
    pipe, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return pipe


if __name__ == "__main__":
    sys.exit(main())
