"""Train a model: the part of the sidebar that starts trainings, follows them and steers them.

The settings and the trainings are fragments of their own: only the trainings tick.
"""

import streamlit as st

from vizlib.ui import train_settings, trainings

TICK_SECONDS, IDLE_SECONDS = (
    1,
    5,
)  # while something runs on this machine, and to notice that somebody else has begun something
_STYLE = """<style>
.st-key-trainings button[kind="tertiary"] {min-height: 1.6rem; padding-top: 0; padding-bottom: 0; justify-content: flex-start; text-align: left}
.st-key-trainings button[kind="tertiary"] * {text-align: left; justify-content: flex-start}
</style>"""


def show(run):
    """Draw the panel, below whatever is there. run: the Run in view, or None."""
    st.html(_STYLE)
    train_settings.show()
    active = bool(trainings.standing().active)
    st.fragment(trainings.show, run_every=TICK_SECONDS if active else IDLE_SECONDS)(
        run.run_id if run else None, active
    )
