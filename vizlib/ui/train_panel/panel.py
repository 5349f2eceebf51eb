"""Train a model: the part of the sidebar that starts trainings, follows them and steers them.

The settings and the trainings are fragments of their own: only the trainings tick.
"""

import streamlit as st

from vizlib.ui import widgets
from vizlib.ui.frame import who
from vizlib.ui.frame.guard import sentences
from vizlib.ui.train_panel import removing, settings, trainings

# while something runs on this machine, and to notice that somebody else has begun something
TICK_SECONDS, IDLE_SECONDS = (1, 5)
_STYLE = widgets.WIDGETS / "panel.css"


def show(run):
    """Draw the panel, below whatever is there. run: the Run in view, or None."""
    st.html(_STYLE)
    settings.show(run)
    now = trainings.standing()
    active = bool(now.active)
    st.fragment(trainings.show, run_every=TICK_SECONDS if active else IDLE_SECONDS)(
        run.run_id if run else None, active
    )
    with sentences():
        removing.offer_to_free([run for run, _ in now.ended])
        who.ask_word()
