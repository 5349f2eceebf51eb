"""Long computations beside the pages: each once, however many ask for it, with its progress in
sight, until nobody wants it any more.

A page never waits for one: it asks, draws what it has, and is drawn again when the result is there.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from vizlib.errors import UserError
from vizlib.ui.data import start_up
from vizlib.ui.data.kept import weight
from vizlib.ui.streamlit_internals import draws_fragments

MOST_KEPT, MOST_BYTES = 64, 150_000_000  # results, of which the newest stays in any case
TICK_SECONDS = 0.5
# a page waits so long, for all that it asks for together, before it shows bars: what is quick is
# there at once
PATIENCE_SECONDS = 0.3
LAST_SECONDS = 10  # that a computation has to end in when the server ends
Say = Callable[[float], None]  # told the share done, in [0, 1]


class _Cancelled(Exception):
    """Nobody waits for it any more."""


class _Job:
    """One computation in a thread of its own. share: how much is done, in [0, 1]; waiting: the
    sessions that want it.
    """

    def __init__(self, work: Callable[[Say], Any], session: object) -> None:
        self.waiting = {session}
        self.share = 0.0
        self.value: Any = None
        self.bytes = 0  # of the value
        self.error: Exception | None = None
        self.seconds: float | None = None  # that it took; None until it has ended
        self.thread = threading.Thread(
            target=self._run, args=(work,), name="convscope-job", daemon=True
        )
        self.thread.start()

    def _run(self, work: Callable[[Say], Any]) -> None:
        start_up.one_thread_each()
        start = time.perf_counter()
        try:
            self.value = work(self._say)
            self.bytes = weight(self.value)
        except (_Cancelled, UserError) as error:
            self.error = error
        except Exception as error:  # the server's log has the details, the reader gets a sentence
            logging.getLogger("convscope").exception("in a computation beside the pages")
            self.error = UserError(
                "The computation failed: "
                f"{str(error).partition(chr(10))[0][:200] or type(error).__name__}"
            )
        self.seconds = time.perf_counter() - start

    def _say(self, share: float) -> None:
        if not self.waiting:
            raise _Cancelled
        self.share = min(1.0, max(0.0, share))

    @property
    def has_ended(self) -> bool:
        return self.seconds is not None


_jobs: OrderedDict[Hashable, _Job] = OrderedDict()
_lock = threading.Lock()


def result(
    key: Hashable, work: Callable[[Say], Any], words: str, *, to_the_end: bool = False
) -> tuple[Any, float] | None:
    """What work(say) returned and the seconds it took; None as long as it is not there: then its
    progress stands in this place, with a way to cancel it.

    key: hashable, tells this computation from all others. work: runs in a thread of its own and
    calls say(share) now and then with the share done, in [0, 1]; say does not return once nobody
    waits. words: what it is, for the bar. to_the_end: whether it goes on when its page is left, as
    what it finds is kept. UserError if it failed; asked again, it begins anew.
    """
    st.session_state.setdefault("asked_jobs", {})[key] = to_the_end
    session = st.session_state.setdefault("who_waits", object())
    declined = st.session_state.setdefault("declined_jobs", set())
    name = f"job_{hash(key):x}"
    if key in declined:
        st.button(
            words, key=name, icon=":material/play_arrow:", on_click=declined.discard, args=(key,)
        )
        return None
    job = _joined(key, work, session)
    _wait(job)
    if not job.has_ended:
        _progress(job, words, name, lambda: _decline(job, session, declined, key))
        return None
    if job.error:
        with _lock:
            _jobs.pop(key, None)
        raise job.error
    assert job.seconds is not None
    return job.value, job.seconds


def _wait(job: _Job) -> None:
    """Wait until it has ended, or what the page has left of its patience is over."""
    state, start = st.session_state, time.monotonic()
    left = PATIENCE_SECONDS if draws_fragments() else state.get("patience", PATIENCE_SECONDS)
    job.thread.join(left)
    state["patience"] = max(0.0, left - (time.monotonic() - start))


def _joined(key: Hashable, work: Callable[[Say], Any], session: object) -> _Job:
    """The computation of that key, begun where there is none, with this session among those that
    wait for it.
    """
    with _lock:
        job = _jobs.get(key)
        if job is None or isinstance(job.error, _Cancelled):
            job = _jobs[key] = _Job(work, session)
        job.waiting.add(session)
        _jobs.move_to_end(key)
        _tidy()
    return job


def _tidy() -> None:
    """Give up what was asked for longest ago."""
    ended = [key for key, job in _jobs.items() if job.has_ended]
    room = MOST_BYTES
    for place, key in enumerate(reversed(ended)):
        room -= _jobs[key].bytes
        if place >= MOST_KEPT or (place and room < 0):
            del _jobs[key]


@contextmanager
def asked_for() -> Iterator[None]:
    """Around a page: what it asked for when it was last drawn, and does not ask for any more, need
    not go on for this reader.
    """
    before = st.session_state.get("asked_jobs", {})
    st.session_state.asked_jobs = {}
    st.session_state.patience = PATIENCE_SECONDS
    yield
    for key, to_the_end in before.items():
        job = _jobs.get(key)
        if job is not None and key not in st.session_state.asked_jobs and not to_the_end:
            job.waiting.discard(st.session_state.who_waits)


def forget(key: Hashable) -> None:
    """Do not keep what the computation of that key returned: it is large, and somebody has it."""
    with _lock:
        job = _jobs.get(key)
        if job is not None and job.has_ended:
            del _jobs[key]


def ready(key: Hashable) -> Any:
    """What the computation of that key returned, or None where it has not been asked for, or is not
    there yet.
    """
    with _lock:
        job = _jobs.get(key)
    return job.value if job is not None and job.has_ended else None


@atexit.register
def _end() -> None:
    """Cancel all: a thread that is still inside PyTorch when the interpreter goes away aborts the
    whole process.
    """
    for job in _jobs.values():
        job.waiting.clear()
    for job in _jobs.values():
        job.thread.join(LAST_SECONDS)


def _decline(job: _Job, session: object, declined: set[Hashable], key: Hashable) -> None:
    job.waiting.discard(session)
    declined.add(key)


@st.fragment(run_every=TICK_SECONDS)
def _progress(job: _Job, words: str, name: str, cancel: Callable[[], None]) -> None:
    """A bar that moves by itself; when the computation has ended the whole page is drawn once
    more.
    """
    # in a narrow place the button goes below
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.progress(job.share, f"{words}: {job.share:.0%}", width=360)
        is_cancelled = st.button("Cancel", key=f"{name}_cancel")
    if is_cancelled:
        cancel()
        st.rerun()
    if job.has_ended:
        st.rerun()
