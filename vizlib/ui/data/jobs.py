"""Long computations beside the pages: each once, however many ask for it, with its progress in
sight, until nobody wants it any more.

A page never waits for one: it asks, draws what it has, and is drawn again when the result is there.
"""

import atexit
import logging
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager

import streamlit as st

from vizlib.errors import UserError
from vizlib.ui.data import start_up

MOST_KEPT = 64  # results
TICK_SECONDS = 0.5
PATIENCE_SECONDS = 0.3  # a page waits so long before it shows a bar: what is quick is there at once
LAST_SECONDS = 10  # that a computation has to end in when the server ends
_jobs, _lock = OrderedDict(), threading.Lock()


class _Cancelled(Exception):
    """Nobody waits for it any more."""


class _Job:
    """One computation in a thread of its own. share: how much is done, in [0, 1]; waiting: the
    sessions that want it.
    """

    def __init__(self, work, session):
        self.waiting, self.share, self.value, self.error, self.seconds = (
            {session},
            0.0,
            None,
            None,
            None,
        )
        self.thread = threading.Thread(
            target=self._run, args=(work,), name="convscope-job", daemon=True
        )
        self.thread.start()

    def _run(self, work):
        start_up.one_thread_each()
        start = time.perf_counter()
        try:
            self.value = work(self._say)
        except (_Cancelled, UserError) as error:
            self.error = error
        except Exception as error:  # the server's log has the details, the reader gets a sentence
            logging.getLogger("convscope").exception("in a computation beside the pages")
            self.error = UserError(
                "The computation failed: "
                f"{str(error).partition(chr(10))[0][:200] or type(error).__name__}"
            )
        self.seconds = time.perf_counter() - start

    def _say(self, share):
        if not self.waiting:
            raise _Cancelled
        self.share = min(1.0, max(0.0, share))

    @property
    def has_ended(self):
        return self.seconds is not None


def result(key, work, words, *, to_the_end=False):
    """What work(say) returned and the seconds it took; None as long as it is not there: then its
    progress stands in this place, with a way to cancel it.

    key: hashable, tells this computation from all others. work: runs in a thread of its own and
    calls say(share) now and then with the share done, in [0, 1]; say does not return once nobody
    waits. words: what it is, for the bar. to_the_end: whether it goes on when its page is left, as
    what it finds is kept. UserError if it failed; asked again, it begins anew.
    """
    st.session_state.setdefault("asked_jobs", {})[key] = to_the_end
    session, declined = (
        st.session_state.setdefault("who_waits", object()),
        st.session_state.setdefault("declined_jobs", set()),
    )
    name = f"job_{hash(key):x}"
    if key in declined:
        st.button(
            words, key=name, icon=":material/play_arrow:", on_click=declined.discard, args=(key,)
        )
        return None
    with _lock:
        job = _jobs.get(key)
        if job is None or isinstance(job.error, _Cancelled):
            job = _jobs[key] = _Job(work, session)
        job.waiting.add(session)
        _jobs.move_to_end(key)
        for old in [old for old, one in _jobs.items() if one.has_ended][:-MOST_KEPT]:
            del _jobs[old]
    job.thread.join(PATIENCE_SECONDS)
    if not job.has_ended:
        _progress(job, words, name, lambda: _decline(job, session, declined, key))
        return None
    if job.error:
        with _lock:
            _jobs.pop(key, None)
        raise job.error
    return job.value, job.seconds


@contextmanager
def asked_for():
    """Around a page: what it asked for when it was last drawn, and does not ask for any more, need
    not go on for this reader.
    """
    before, st.session_state.asked_jobs = st.session_state.get("asked_jobs", {}), {}
    yield
    for key, to_the_end in before.items():
        job = _jobs.get(key)
        if job is not None and key not in st.session_state.asked_jobs and not to_the_end:
            job.waiting.discard(st.session_state.who_waits)


def ready(key):
    """What the computation of that key returned, or None where it has not been asked for, or is not
    there yet.
    """
    with _lock:
        job = _jobs.get(key)
    return job.value if job is not None and job.has_ended else None


@atexit.register
def _end():
    """Cancel all: a thread that is still inside PyTorch when the interpreter goes away aborts the
    whole process.
    """
    for job in _jobs.values():
        job.waiting.clear()
    for job in _jobs.values():
        job.thread.join(LAST_SECONDS)


def _decline(job, session, declined, key):
    job.waiting.discard(session)
    declined.add(key)


@st.fragment(run_every=TICK_SECONDS)
def _progress(job, words, name, cancel):
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
