"""The run in view: chosen in the sidebar, kept across pages, written in the address."""

import streamlit as st

from vizlib.errors import UserError
from vizlib.ui.data import caches
from vizlib.ui.frame.address import chosen
from vizlib.ui.frame.plain import plain

OPENS_ON = "resnet32"


def pick_run():
    """The run in view. UserError if there is none at all."""
    runs, _ = caches.run_list()
    if not runs:
        raise UserError(
            "There is no model yet: train one with python -m vizlib train --architecture "
            "lenet --data digits."
        )
    by_id = {run.run_id: run for run in runs}
    before = st.session_state.get("model")
    if before is not None and before not in by_id:
        st.warning(plain(f"The model {before!r} is not there any more."))
    help = "A shipped model, or one of yours from runs/."
    return by_id[chosen("Model", list(by_id), key="model", default=OPENS_ON, help=help)]
