"""What a process that trains does once, before it begins. It changes the whole process: a server
calls nothing of it but tell_glibc().
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizlib.training.requests import Requests

# to save and end, once the parent is gone; a process that hangs in the middle is ended then
GRACE_SECONDS = 20


def give_way(niceness: int) -> None:
    """Let everything else be computed first, the app's pages for one.

    niceness: in [0, 19], of which a process takes as much as it lacks. Linux with automatic groups
    (the default on most desktops) shares a processor between sessions first, whatever the niceness
    of a process in one of them: a training in a session of its own would take half of it from the
    pages (sched(7), "the autogroup feature"). Windows has no such number: there it does nothing.
    """
    if not hasattr(os, "nice"):
        return
    os.nice(max(0, niceness - os.nice(0)))
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # without such groups the number above is all there is
            Path("/proc/self/autogroup").write_text(str(niceness))


def keep_freed_memory() -> None:
    """Let glibc keep what is freed: it otherwise gives every large activation back and faults it in
    again at each step.

    Measured at 1.65 to 1.9 times for a three-layer net in bfloat16, nothing for deeper ones. Linux
    only; elsewhere it does nothing.
    """
    m_trim_threshold, m_mmap_max = -1, -4
    tell_glibc({m_mmap_max: 0, m_trim_threshold: 2**31 - 1})


def tell_glibc(options: Mapping[int, int]) -> None:
    """Set options of how this process takes memory, by their numbers, see mallopt(3). Nothing but
    glibc has them: elsewhere it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(OSError):  # another C library, musl for one
        libc = ctypes.CDLL("libc.so.6")
        for option, value in options.items():
            libc.mallopt(option, value)


def end_after(wait: Callable[[], object], requests: Requests, reason: str) -> None:
    """End in order, for this reason, once wait() returns. requests: the training's Requests. A
    process that hangs is ended a little later.
    """

    def watch():
        wait()
        requests.reason = reason
        time.sleep(GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def wait_for_parent() -> None:
    """Return when the process that started this one is gone."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(1)


def end_in_order(requests: Requests) -> None:
    """Let SIGTERM and Ctrl-C end a training so that it can be resumed; a second Ctrl-C ends it at
    once. requests: its Requests.
    """

    def end(number, frame):
        if requests.reason and number == signal.SIGINT:
            raise KeyboardInterrupt
        requests.reason = (
            "Stopped by hand." if number == signal.SIGINT else "The process was asked to end."
        )

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
