"""The way to be rid of a run, and of what ended trainings keep only to go on with."""

import streamlit as st

from vizlib.errors import UserError
from vizlib.run import removal
from vizlib.ui.frame import run_picker, who
from vizlib.ui.frame.plain import plain
from vizlib.ui.train_panel import trainings

WORTH_SAYING = 20e6  # bytes that could be freed
_SAID = "removal_said"


def offer(run):
    """Below the model: remove it, which is asked first. Nothing for one that ships, or that another
    browser began.
    """
    if problem := st.session_state.pop(_SAID, None):
        st.warning(plain(problem))
    if run.ships or not who.may_steer(run):
        return
    with st.popover("Remove", icon=":material/delete:", type="tertiary"):
        if reason := removal.why_it_stays(run):
            st.caption(plain(reason))
            return
        st.markdown(
            f"Delete **{plain(run.run_id)}** from this computer: weights, curves and answers?"
        )
        st.button("Delete it", key="remove_run", on_click=_remove, args=(run,))


def _remove(run):
    try:
        removal.remove(run)
    except UserError as error:
        st.session_state[_SAID] = str(error)
        return
    trainings.view(run_picker.OPENS_ON)


def offer_to_free(runs):
    """What ended trainings keep to go on with, and a way to free it. runs: those that can go on."""
    own = [run for run in runs if who.may_steer(run)]
    size = removal.resumable_bytes(own)
    if size < WORTH_SAYING:
        return
    with st.popover(f"Free {size / 1e6:,.0f} MB", icon=":material/mop:", type="tertiary"):
        st.markdown(
            "Trainings that ended early keep their state, so that they can go on from there. "
            "Without it they begin anew; their best weights so far stay."
        )
        st.button("Free it", key="free_states", on_click=removal.forget_states, args=(own,))
