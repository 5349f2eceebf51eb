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
    run = by_id[chosen("Model", list(by_id), key="model", default=OPENS_ON, help=help)]
    st.caption(plain(facts(run)))
    return run


def facts(run):
    """How well a run does, how large its weights are and what it lacks, in a few words: from the
    last line of its events and the state of its files alone.
    """
    last = run.last_phase or {}
    words = [f"{last['test_accuracy']:.1%} right"] if "test_accuracy" in last else []
    if run.status not in ("finished", "imported"):
        words.append(run.status)
    if run.has("model.safetensors"):
        words.append(f"{run.path('model.safetensors').stat().st_size / 1e6:.2g} MB")
    lacks = {"model.safetensors": "weights", "predictions.npz": "answers"}
    words += [f"no {lacking}" for file, lacking in lacks.items() if not run.has(file)]
    return " · ".join(words)
