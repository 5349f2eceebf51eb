"""Below a verdict that names a cause: buttons that start a training against it, its curve while it
learns, and the way to Compare when it is over.
"""

from dataclasses import replace

import streamlit as st

from vizlib.displays.curves import CurvesDisplay
from vizlib.training import again, launcher, remedies
from vizlib.ui.data import caches
from vizlib.ui.frame import links, status
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.train_panel import readout, trainings
from vizlib.ui.widgets import charts

MENDING = "mending"  # in the session: {id of the run that has collapsed: that of the training}
PROBLEM = "mend_problem"
TICK_SECONDS = 1


def offer(run, verdict):
    """Offer what can be done against the cause of a run's verdict, if it names one."""
    possible = [
        remedy
        for remedy in remedies.offered(verdict.remedies)
        if remedy.is_possible(run, caches.run_list()[0])
    ]
    if not possible:
        return
    st.markdown("**Mend it.** Train it again, with one thing changed:")
    reason = again.why_not(run)
    with st.container(horizontal=True, key=f"mend_{run.run_id}"):
        for remedy in possible:
            st.button(
                remedy.name,
                key=f"mend {run.run_id} {remedy.name}",
                icon=":material/healing:",
                help=reason or remedy.words,
                disabled=bool(reason) or run.run_id in st.session_state.get(MENDING, {}),
                on_click=_start,
                args=(run, remedy),
            )
    if reason:
        st.caption(plain(reason))
    if problem := st.session_state.pop(PROBLEM, None):
        st.error(plain(problem))
    _follow(run)


def _start(run, remedy):
    """Start the training. What is wrong with it is kept to be said."""
    mending = st.session_state.setdefault(MENDING, {})
    if run.run_id in mending:  # the second press of a double click
        return

    def order():
        return replace(remedy.order(run, caches.run_list()[0]), device=launcher.devices()[0])

    run_id = trainings.started(order, PROBLEM)
    if run_id is not None:
        trainings.look_anew()
        mending[run.run_id] = run_id


def _follow(run):
    """Show how the training that was begun here goes, and open Compare once it has ended well."""
    if run.run_id not in st.session_state.get(MENDING, {}):
        return

    @st.fragment(run_every=TICK_SECONDS)
    def followed():
        with sentences():
            _show(run)

    followed()


def _show(run):
    new_id = st.session_state[MENDING].get(run.run_id)
    new = next((each for each in caches.run_list()[0] if each.run_id == new_id), None)
    if new is None:
        st.session_state[MENDING].pop(run.run_id, None)
        st.rerun()
    if new.status == "finished":
        st.session_state[MENDING].pop(run.run_id)
        links.go("Compare", model=new.run_id, other=run.run_id)
        return
    with st.container(border=True):
        if not new.is_active:
            st.markdown(f"**{plain(new.run_id)}** {status.sentence(new)}")
            return
        share, far, _ = readout.progress(new)
        st.markdown(f"**{plain(new.config.title)}**: Compare opens when it is done.")
        st.progress(share, far)
        if new.events_of("step"):
            display = CurvesDisplay.from_runs([new])
            chart = charts.drawn(display.plot, "accuracy", "steps", narrow=True)
            charts.steady(chart, key="mending_curve", config=charts.CAMERA)
