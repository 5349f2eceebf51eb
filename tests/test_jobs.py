"""Computations beside the pages: once for all who ask, with progress, ended when nobody wants them,
and what goes wrong is a sentence.
"""

import threading
import time

import pytest
import torch  # noqa: F401 before anything is timed
from streamlit.testing.v1 import AppTest

from vizlib.ui.data import jobs


@pytest.fixture(autouse=True)
def nothing_kept():
    jobs._jobs.clear()
    yield
    jobs._jobs.clear()


class Work:
    """A computation that goes on, step by step, until the test lets it end."""

    def __init__(self, error=None):
        self.calls, self.may_end, self.left, self.error = (
            0,
            threading.Event(),
            threading.Event(),
            error,
        )

    def __call__(self, say):
        self.calls += 1
        try:
            for step in range(2000):
                say(step / 4000)
                if self.may_end.wait(0.005):
                    break
            if self.error:
                raise self.error
            return "the value"
        finally:
            self.left.set()


def page():
    import streamlit as st

    from vizlib.ui.data import jobs
    from vizlib.ui.frame.guard import sentences

    st.title("before")
    with sentences("the page"):
        done = jobs.result(("a", 1), st.session_state["work"], "Counting")
        st.write("nothing yet" if done is None else f"{done[0]} after {done[1]:.1f} s")


def opened(work):
    app = AppTest.from_function(page, default_timeout=20)
    app.session_state["work"] = work
    return app.run()


def said(app):
    assert not app.exception
    return " ".join(
        element.value for kind in ("markdown", "error") for element in app.get(kind)
    ).replace("\\", "")


def ended(app, until):
    for _ in range(100):
        if until in said(app.run()):
            return app
        time.sleep(0.02)
    raise AssertionError(said(app))


def test_a_quick_one_is_there_at_once():
    work = Work()
    work.may_end.set()
    assert "the value after 0.0 s" in said(opened(work))


def test_two_sessions_wait_for_one_computation_and_the_page_goes_on_meanwhile():
    work = Work()
    first, second = opened(work), opened(work)
    assert "nothing yet" in said(first)
    assert "nothing yet" in said(second)
    assert first.title[0].value == "before"
    assert "Counting: " in first.get("progress")[0].proto.text
    work.may_end.set()
    ended(first, "the value")
    ended(second, "the value")
    assert work.calls == 1
    assert jobs.ready(("a", 1)) == "the value"
    assert jobs.ready(("b", 1)) is None


def test_it_ends_when_the_last_one_cancels_and_can_be_begun_again():
    work = Work()
    first, second = opened(work), opened(work)
    cancel(first)
    assert not work.left.wait(0.2), "the other one still waits for it"
    cancel(second)
    assert work.left.wait(5)
    assert first.run().button[0].label == "Counting"
    assert work.calls == 1
    work.may_end.set()
    ended(first.button[0].click().run(), "the value")
    assert work.calls == 2


def cancel(app):
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert "nothing yet" in said(app)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ValueError("no such thing\nin detail"), "The computation failed: no such thing"),
        (None, "the value"),
    ],
)
def test_what_goes_wrong_is_said_and_asked_again_it_begins_anew(error, sentence):
    work = Work(error)
    app = opened(work)
    work.may_end.set()
    ended(app, sentence)
    work.error = None
    ended(app, "the value")
    assert work.calls == 1 + bool(error)


def test_it_ends_when_its_page_asks_for_something_else_unless_it_is_to_go_on():
    def page():
        import streamlit as st

        from vizlib.ui.data import jobs

        with jobs.asked_for():
            if st.session_state["wanted"]:
                jobs.result("left", st.session_state["work"], "Counting")
                jobs.result("kept", st.session_state["other"], "Counting for long", to_the_end=True)

    app, work, other = AppTest.from_function(page, default_timeout=20), Work(), Work()
    app.session_state["wanted"], app.session_state["work"], app.session_state["other"] = (
        True,
        work,
        other,
    )
    app.run().run()
    assert work.calls == 1
    assert not work.left.wait(0.1)
    app.session_state["wanted"] = False
    assert not app.run().exception
    assert work.left.wait(5)
    assert not other.left.wait(0.2)
    app.session_state["wanted"] = True
    app.run()
    assert (work.calls, other.calls) == (2, 1)
    work.may_end.set()
    other.may_end.set()
    assert work.left.wait(5)
    assert other.left.wait(5)


def test_a_page_waits_once_for_all_that_it_asks_for(monkeypatch):
    """And again with each run of its script; a fragment, which asks for one thing, as long."""
    waited, join = [], threading.Thread.join

    def noted(thread, timeout=None):
        if thread.name == "convscope-job":
            waited.append(timeout)
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", noted)
    monkeypatch.setattr(jobs, "PATIENCE_SECONDS", 0.07)

    def page():
        import streamlit as st

        from vizlib.ui.data import jobs

        with jobs.asked_for():
            for number in range(3):
                jobs.result(number, st.session_state["work"], "Counting")
        st.fragment(jobs.result)("apart", st.session_state["work"], "Counting")

    app, work = AppTest.from_function(page, default_timeout=20), Work()
    app.session_state["work"] = work
    for _ in range(2):
        waited.clear()
        assert not app.run().exception
        assert waited == [0.07, 0, 0, 0]
    waited.clear()
    monkeypatch.setattr(jobs, "draws_fragments", lambda: True)
    app.run()
    assert waited == [0.07] * 4
    work.may_end.set()


class Steps:
    """A computation that notes its name at each of its steps."""

    def __init__(self, name, count, told):
        self.name, self.count, self.told = name, count, told

    def __call__(self, say):
        for step in range(self.count):
            self.told.append(self.name)
            time.sleep(0.005)
            say(step / self.count)
        return self.name


@pytest.fixture
def turns(monkeypatch):
    """turns(cores) lets computations go on as a machine of so many cores would."""
    monkeypatch.setattr(jobs, "LEAST_TURN", 0.0)

    def made(cores):
        monkeypatch.setattr(jobs, "_turns", jobs._Turns(cores))
        return jobs._turns

    return made


def go_on(told, count):
    """Whether so many computations take steps, as soon as those that give way have done so."""
    for _ in range(20):
        told.clear()
        time.sleep(0.2)
        if len(set(told)) == count:
            return True
    return False


def test_few_go_on_at_a_time_and_half_as_many_while_a_page_is_drawn(turns):
    turned, told = turns(4), []
    begun = [jobs._Job(Steps(number, 10_000, told), "a session") for number in range(7)]
    for number, job in enumerate(begun):  # so far apart that the same ones stay the first
        job.had = 1000.0 * number
    assert go_on(told, 4)
    with turned.beside_a_page():
        assert go_on(told, 2)
        with turned.beside_a_page():
            assert go_on(told, 2)
    assert go_on(told, 4)
    for job in begun:
        job.waiting.clear()
    for job in begun:
        job.thread.join(5)
        assert isinstance(job.error, jobs._Cancelled)
    assert turned._running == 0


def test_a_short_one_is_done_in_the_middle_of_a_long_one(turns):
    turns(1)
    told = []
    long = jobs._Job(Steps("long", 60, told), "a session")
    while told.count("long") < 20:
        time.sleep(0.001)
    short = jobs._Job(Steps("short", 10, told), "another")
    for job in (short, long):
        job.thread.join(20)
    assert (short.value, long.value) == ("short", "long")
    last = len(told) - told[::-1].index("short")
    assert 10 <= told[last:].count("long") <= 40
    # the seconds are those that it went on for, not those that it waited
    assert 60 * 0.005 <= long.had < 60 * 0.05
    assert (short.seconds, long.seconds) == (short.had, long.had)


def test_of_long_ones_the_first_is_ended_first(turns, monkeypatch):
    """Instead of both at the same late time."""
    turns(1)
    monkeypatch.setattr(jobs, "SHORT", 0.05)
    told = []
    begun = [jobs._Job(Steps(name, 60, told), "a session") for name in ("first", "second")]
    for job in begun:
        job.thread.join(20)
    last = len(told) - told[::-1].index("first")
    assert 1 <= told[:last].count("second") <= 20
    assert told[last:] == ["second"] * (60 - told[:last].count("second"))


def test_those_to_the_end_begin_one_after_another_and_short_ones_between(turns):
    """Each holds a network for as long as it waits."""
    turned, told = turns(2), []
    long = [
        jobs._Job(Steps(name, 40, told), "a session", to_the_end=True)
        for name in ("first", "second", "third")
    ]
    while "first" not in told:
        time.sleep(0.001)
    cancelled = jobs._Job(Steps("cancelled", 40, told), "another", to_the_end=True)
    short = jobs._Job(Steps("short", 5, told), "another")
    short.thread.join(20)
    assert "second" not in told
    cancelled.waiting.clear()
    for job in (*long, cancelled):
        job.thread.join(20)
    last = [name for name in told if name != "short"]
    assert last == ["first"] * 40 + ["second"] * 40 + ["third"] * 40
    assert isinstance(cancelled.error, jobs._Cancelled)
    assert (turned._running, turned._lasting) == (0, set())


def test_a_bar_says_that_its_computation_waits(turns):
    turns(1)
    other, work = jobs._Job(Steps("other", 10_000, []), "another session"), Work()
    other.had = -1e6  # so that it goes on
    app = opened(work)
    assert [bar.proto.text for bar in app.get("progress")] == ["Counting: waits for its turn"]
    assert work.calls == 0
    other.waiting.clear()
    other.thread.join(5)
    work.may_end.set()
    ended(app, "the value")


def test_one_that_nobody_wants_any_more_while_it_waits_takes_nobodys_turn(turns):
    turned, told = turns(1), []
    first = jobs._Job(Steps("first", 40, told), "a session")
    while not told:
        time.sleep(0.001)
    second = jobs._Job(Steps("second", 40, told), "another")
    second.had = 1e6  # it would wait to the end
    second.waiting.clear()
    for job in (second, first):
        job.thread.join(20)
    assert isinstance(second.error, jobs._Cancelled)
    assert first.value == "first"
    assert turned._running == 0


def test_results_are_not_kept_without_end(monkeypatch):
    monkeypatch.setattr(jobs, "MOST_KEPT", 3)

    def many():
        from vizlib.ui.data import jobs

        for number in range(9):
            assert jobs.result(number, lambda say, number=number: number, "Counting")[0] == number

    assert not AppTest.from_function(many, default_timeout=20).run().exception
    assert 3 <= len(jobs._jobs) <= 4
    assert jobs.ready(8) == 8
