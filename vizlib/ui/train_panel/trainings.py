"""The trainings of this machine, in the sidebar: what runs, what waits, what just ended and what
can go on, with what one can do about each.

All of it is read from the run folders, so every browser sees the same, and a training goes on
without anybody looking.
"""

import logging
import math
import time
from dataclasses import dataclass, replace

import streamlit as st

from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.training import launcher
from vizlib.training.recipes import LIMITS
from vizlib.ui.data import caches
from vizlib.ui.frame import who
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.frame.status import COLOURS, why_ended
from vizlib.ui.streamlit_internals import draws_fragments
from vizlib.ui.train_panel import readout

# of each kind, as many as are shown
CARDS = 3
QUEUED = 3
RESUMABLE = 3
NOT_YOURS = "It was begun in another browser."
STANDING_SECONDS = 0.5
WAKING_SECONDS = 5


@dataclass(frozen=True)
class _Standing:
    """How the trainings of this machine stand, each with its status at that moment, since it may
    have another one now: the active ones in the order in which they came, and those that can go on,
    newest first.
    """

    active: list
    ended: list


def standing():
    """The _Standing now, at most STANDING_SECONDS old."""
    return standing_at(int(time.monotonic() / STANDING_SECONDS))


@st.cache_resource(max_entries=1, show_spinner=False)
def standing_at(moment: int):
    """standing() at a moment: thirty browsers look once between them."""
    own = [(run, run.status) for run in caches.run_list()[0] if not run.ships]
    ended = sorted(
        (training for training in own if training[1] in folders.RESUMABLE),
        key=lambda training: -training[0].changed("events.jsonl"),
    )
    return _Standing(launcher.in_turn(own), ended)


def show(in_view, ticking):
    """What runs, what waits, what just ended and what can go on. in_view: a run's id. ticking:
    whether this is redrawn by itself.
    """
    begin_anew_if_asked()
    with st.container(key="trainings"), sentences():
        now = standing()
        if ticking != bool(now.active):
            # the ticks begin, or end, with the page; and the page sees the run as it is now
            st.rerun()
        if "steer_problem" in st.session_state:
            st.error(plain(st.session_state.pop("steer_problem")))
        _ended_in_view(next((run for run in caches.run_list()[0] if run.run_id == in_view), None))
        _active(now, in_view)
        first = sorted(now.ended, key=lambda training: training[0].run_id != in_view)
        for run, status in first[:RESUMABLE]:
            _resumable(run, status, run.run_id == in_view)


def _active(now, in_view):
    """What runs and what waits, the one in view first."""
    first = sorted(now.active, key=lambda training: training[0].run_id != in_view)
    running = [(run, status) for run, status in first if status != "queued"]
    waiting = [run for run, status in first if status == "queued"]
    for run, status in running[:CARDS]:
        _card(run, status, run.run_id == in_view)
    for run in waiting[:QUEUED]:
        _queued(run, launcher.place_in_queue(run, now.active), run.run_id == in_view)
    if len(running) > CARDS or len(waiting) > QUEUED:
        st.caption(f"and {len(running[CARDS:]) + len(waiting[QUEUED:])} more")


def _name(run, in_view, badge=""):
    """The run's name; where it is not in view, it is the button that puts it there."""
    if in_view:
        st.markdown(f"**{plain(run.run_id)}** {badge}")
        return
    st.button(
        f"{plain(run.run_id)}\u00a0→ {badge}",
        key=f"view {run.run_id}",
        type="tertiary",
        on_click=view,
        args=(run.run_id,),
        help="Put this model in view, on every page.",
    )


def _card(run, status, in_view):
    """A training that goes on: how far it is, how it does, and what one can do about it."""
    steps = run.events_of("step")
    ending = _ending(run)
    word = ending or _pause_in_words(run, status)
    with st.container(border=True, gap="xsmall"):
        _name(run, in_view, f":{COLOURS[status]}-badge[{word.capitalize()}]")
        share, far, left = readout.progress(run)
        st.progress(share, far)
        if steps:
            st.html(readout.html(steps, run.events_of("epoch")))
        st.caption(
            " · ".join(readout.pace(steps, left, status)) or "The first steps are on their way."
        )
        if who.may_steer(run):
            _steering(run, ending)
        else:
            st.caption(NOT_YOURS)


def _ending(run):
    """How a training has been asked to end, in a word; None where it has not."""
    words = (("stop", "stopping"), ("keep", "ending"))
    return next((word for file, word in words if run.has(file)), None)


def _pause_in_words(run, status):
    """The status of a training, or what it has been asked for and is about to be."""
    if run.has("pause"):
        return "pausing" if status == "training" else status
    return "training" if status == "paused" else status


def _steering(run, ending):
    """The buttons of a training; none can be pressed of one that is ending already."""
    first, second = st.columns([2, 3], gap="xsmall")
    if run.has("pause"):
        _ask(first, "Go on", "continue", run, "Continue where it paused.", ending)
    else:
        help = "Waits, without computing, until somebody lets it continue."
        _ask(first, "Pause", "pause", run, help, ending)
    with second.popover(
        f"Rate {readout.rate_of(run):g}",
        width="stretch",
        disabled=bool(ending),
        help="Change the learning rate while it trains.",
    ):
        _change_rate(run)
    first, second = st.columns([2, 3], gap="xsmall")
    _ask(first, "Stop", "stop", run, "Ends; can be resumed later.", ending)
    help = "Ends now; its best weights are tested and it is a model like any other."
    _ask(second, "Stop and keep", "keep", run, help, ending)


def _ask(container, label, request, run, help, ending=None):
    """A button that makes a request of a run; none can be made of one that is ending already."""
    container.button(
        label,
        key=f"{request} {run.run_id}",
        help=help,
        disabled=bool(ending),
        width="stretch",
        on_click=_steer,
        args=(launcher.request, run, request),
    )


def _steer(act, *arguments, **named):
    """Do what a button asks for; what is wrong with it is kept for the panel to say."""
    try:
        return act(*arguments, **named)
    except (UserError, OSError) as error:
        st.session_state["steer_problem"] = str(error)
    finally:
        standing_at.clear()


def _change_rate(run):
    peak = readout.rate_of(run)
    key = f"rate {run.run_id} {peak:g}"  # a rate changed by somebody else is seen here too
    rate_field(peak, key=key)
    help = "From the next step on: the whole schedule is scaled to the new highest rate."
    st.button(
        "Apply",
        key=f"apply {run.run_id}",
        type="primary",
        help=help,
        on_click=_apply_rate,
        args=(run, key),
    )


def _apply_rate(run, key):
    _steer(launcher.change_rate, run, st.session_state[key])


def _queued(run, position, in_view):
    """A run that waits for its device."""
    with st.container(gap="xxsmall"):
        _name(run, in_view)
        st.caption(_turn(run, position))
        if not who.may_steer(run):
            return
        st.button(
            "Cancel",
            key=f"stop {run.run_id}",
            type="tertiary",
            icon=":material/close:",
            help="Leaves the queue; can be resumed later.",
            on_click=_steer,
            args=(launcher.request, run, "stop"),
        )


def _turn(run, position):
    """When a run that waits begins. position: in the queue, from 1; 0 when it is due."""
    if not position:
        return "about to start"
    device = readout.device_name(launcher.device_of(run))
    return f"{readout.ordinal(position)} in the queue for the {device}"


def _ended_in_view(run):
    """One line on how well a network trained here does, as long as it is in view."""
    if run is None or run.ships or run.status != "finished":
        return
    end = run.events_of("finished")[-1]
    early = " It was ended early and kept." if end.get("kept") else ""
    text = (
        f"**{end['test_accuracy']:.1%}** of the test images right, after "
        f"{readout.duration(end['seconds'])} of training.{early}"
    )
    st.success(text, icon=":material/check_circle:")


def _resumable(run, status, in_view):
    """A run that ended before its end: why, and a way to go on."""
    with st.container(gap="xxsmall"):
        _name(run, in_view, f":{COLOURS[status]}-badge[{status.capitalize()}]")
        steps = run.events_of("step")
        far = f" It was at epoch {readout.number(steps[-1], 'epoch'):.1f}." if steps else ""
        st.caption(plain(why_ended(run) + far))
        if who.may_steer(run):
            with st.container(horizontal=True, gap="medium"):
                _resume_button(run)


def _resume_button(run):
    """The button, and beside it the rate to go on with."""
    key = f"resume rate {run.run_id}"
    st.button(
        "Resume",
        key=f"resume {run.run_id}",
        type="tertiary",
        icon=":material/play_arrow:",
        help="Goes on where it ended, at the rate beside.",
        on_click=_resume,
        args=(run, key),
    )
    shown = st.session_state.get(key, readout.rate_of(run))
    help = "The highest learning rate to go on with."
    with st.popover(f"Rate {shown:g}", type="tertiary", help=help):
        rate_field(readout.rate_of(run), key=key)


def _resume(run, key):
    """Let a run go on, and put it in view."""
    rate = st.session_state.get(key)
    _steer(launcher.resume, run, learning_rate=None if rate == readout.rate_of(run) else rate)
    deadline = time.monotonic() + WAKING_SECONDS
    while (
        "steer_problem" not in st.session_state
        and not run.is_active
        and time.monotonic() < deadline
    ):
        # until its process has said that it is there, the run would still be drawn as one that
        # ended
        time.sleep(0.05)
    if "steer_problem" not in st.session_state:
        view(run.run_id)


def started(order, problem):
    """Start the training that order() describes: the id of its run, or None where something is
    wrong, of which a sentence is then kept in the session under the key `problem`. Called by
    buttons.
    """
    try:
        return launcher.start_new(replace(order(), by=who.browser()))
    except UserError as error:
        st.session_state[problem] = str(error)
    except Exception:
        logging.getLogger("convscope").exception("starting a training")
        st.session_state[problem] = (
            "The training could not be started; the server's log has the details."
        )
    return None


def look_anew():
    """See a run that was made this second: what is known of all runs has not got it yet."""
    caches.look_anew()
    standing_at.clear()


def view(run_id, **besides):
    """Put a run in view, and what is given besides into other boxes, by their keys. Called by
    buttons before anything is drawn: afterwards the boxes could not be changed any more.
    """
    look_anew()
    asked = {"model": run_id, **besides}
    st.session_state["asked_view"] = {
        key: (st.session_state.get(key), value) for key, value in asked.items()
    }
    st.session_state.update(asked)


def begin_anew_if_asked():
    """Redraw the whole page where a button of this fragment has put another run in view, and as
    long as that has not come to its end: the second press of a double click may have cut it off.
    """
    if "asked_view" in st.session_state and draws_fragments():
        st.rerun()


def keep_in_view():
    """Fill the boxes again as view() was asked to, before they are drawn: what the browser sends
    with the second press of a double click still names what was there before.
    """
    for key, (before, wanted) in st.session_state.get("asked_view", {}).items():
        if st.session_state.get(key) == before:
            st.session_state[key] = wanted


def page_is_drawn():
    """The whole page stands, with the run in view that was asked for."""
    st.session_state.pop("asked_view", None)


def rate_field(rate, **given):
    """A field for a highest learning rate; its buttons move it by a fifth of where it began."""
    help = (
        "The highest of the schedule. Too high and the loss grows; too low and hardly anything is "
        "learned."
    )
    step = 10 ** math.floor(math.log10(rate)) if rate > 0 else 0.001
    return st.number_input(
        "Learning rate",
        0.0,
        LIMITS["learning_rate"][1],
        float(rate),
        step,
        format="%g",
        help=help,
        **given,
    )
