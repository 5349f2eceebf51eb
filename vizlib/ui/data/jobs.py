"""Long computations beside the pages: each once, however many ask for it, with its progress in
sight, until nobody wants it any more.

A page never waits for one: it asks, draws what it has, and is drawn again when the result is there.

Few go on at a time, so that pages have cores of their own, and of those that wait the one that has
had least: a picture is made in the middle of an index of minutes, which goes on afterwards. Of
those that have had much the first one is ended first, instead of all at the same late time. Few
indexes have begun at a time: each holds a network of its own for as long as it waits.
"""

from __future__ import annotations

import atexit
import logging
import os
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
LEAST_TURN = 0.1  # seconds that one goes on before another may take its place
SHORT = 2  # seconds: what has had more is ended in the order in which it was asked for
LAST_SECONDS = 10  # that a computation has to end in when the server ends
Say = Callable[[float], None]  # told the share done, in [0, 1]


class _Cancelled(Exception):
    """Nobody waits for it any more."""


class _Turns:
    """Lets few computations go on at a time: as many as there are cores, and half as many while a
    page is drawn. Of those that wait the one goes first that has had least; one that goes to the
    end does not begin before an earlier one has ended, or with more than two cores half as many.
    """

    def __init__(self, cores: int) -> None:
        self._cores, self._pages, self._running = cores, 0, 0
        self._half = max(1, cores // 2)
        self._waiting: list[_Job] = []
        self._lasting: set[_Job] = set()  # begun, to go to the end
        self._changed = threading.Condition()

    @contextmanager
    def beside_a_page(self) -> Iterator[None]:
        """Around a page that is drawn."""
        self._count_pages(1)
        try:
            yield
        finally:
            self._count_pages(-1)

    def take(self, job: _Job) -> None:
        """Wait until it is this one's turn. _Cancelled once nobody wants it."""
        with self._changed:
            self._waiting.append(job)
            try:
                while not (self._running < self._most and self._first() is job):
                    self._changed.wait(TICK_SECONDS)
                    job.check()
                self._running += 1
                job.since = time.monotonic()
                if job.to_the_end:
                    self._lasting.add(job)
            finally:
                self._waiting.remove(job)
                self._changed.notify_all()

    def end(self, job: _Job) -> None:
        """Give the turn back, where it has one."""
        with self._changed:
            if job.since is not None:
                job.had += time.monotonic() - job.since
                job.since = None
                self._running -= 1
                self._changed.notify_all()

    def leave(self, job: _Job) -> None:
        """It has ended."""
        with self._changed:
            self.end(job)
            self._lasting.discard(job)
            self._changed.notify_all()

    def pass_on(self, job: _Job) -> None:
        """Wait for another turn, if it is a page's, or one's that has had less."""
        assert job.since is not None
        now = time.monotonic() - job.since
        with self._changed:
            first = self._first()
            is_over = self._running > self._most
            is_over |= first is not None and first.place() < job.place(now)
        if is_over and now >= LEAST_TURN:
            self.end(job)
            self.take(job)

    @property
    def _most(self) -> int:
        return self._half if self._pages else self._cores

    def _first(self) -> _Job | None:
        """The one to go next of those that may; of equals the one that has waited longest."""
        has_room = len(self._lasting) < self._half
        may = [job for job in self._waiting if has_room or not job.to_the_end or job.has_begun]
        return min(may, key=_Job.place, default=None)

    def _count_pages(self, more: int) -> None:
        with self._changed:
            self._pages += more
            self._changed.notify_all()


_turns = _Turns(os.cpu_count() or 1)


class _Job:
    """One computation in a thread of its own. share: how much is done, in [0, 1]; waiting: the
    sessions that want it; to_the_end: as `result` takes it. had: the seconds that it went on for,
    without those since when it has its turn now, where it has one.
    """

    def __init__(
        self, work: Callable[[Say], Any], session: object, *, to_the_end: bool = False
    ) -> None:
        self.waiting, self.to_the_end = {session}, to_the_end
        self.asked = time.monotonic()
        self.share = self.had = 0.0
        self.since: float | None = None
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
        try:
            _turns.take(self)
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
        _turns.leave(self)
        self.seconds = self.had

    def check(self) -> None:
        """_Cancelled if nobody wants it any more."""
        if not self.waiting:
            raise _Cancelled

    def _say(self, share: float) -> None:
        self.check()
        self.share = min(1.0, max(0.0, share))
        _turns.pass_on(self)

    def place(self, more: float = 0.0) -> tuple[bool, float]:
        """Where it stands among those that wait. more: seconds that it has had in this turn."""
        had = self.had + more
        return had > SHORT, self.asked if had > SHORT else had

    @property
    def has_begun(self) -> bool:
        return bool(self.had) or self.since is not None

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
    job = _joined(key, work, session, to_the_end)
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


def _joined(key: Hashable, work: Callable[[Say], Any], session: object, to_the_end: bool) -> _Job:
    """The computation of that key, begun where there is none, with this session among those that
    wait for it.
    """
    with _lock:
        job = _jobs.get(key)
        if job is None or isinstance(job.error, _Cancelled):
            job = _jobs[key] = _Job(work, session, to_the_end=to_the_end)
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
    with _turns.beside_a_page():
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
        far = f"{job.share:.0%}" if job.has_begun else "waits for its turn"
        st.progress(job.share, f"{words}: {far}", width=360)
        is_cancelled = st.button("Cancel", key=f"{name}_cancel")
    if is_cancelled:
        cancel()
        st.rerun()
    if job.has_ended:
        st.rerun()
