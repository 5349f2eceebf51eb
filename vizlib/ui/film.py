"""The film of learning: one slider over the steps of a training, shared by all pages that can show an earlier moment.

The step chosen is kept across pages and in the address. Each page shows what it has of the nearest stored moment before it.
"""

import math
import time
from bisect import bisect_right

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from vizlib.ui import caches
from vizlib.ui.pickers import plain
from vizlib.ui.scope import of_all_pages

END = "end"
FRAMES, FRAME_SECONDS = 20, 0.5
ECHOES, ECHO_SECONDS = 8, 3  # so many frames late, and so long after the end, a slow browser still sends back what the film showed
_WORDS_FOR_END = (END, "now", "best")  # what the end is called on the slider


def moments(run):
    """The steps of a run of which anything is stored, in order."""
    rows = [row["step"] for event in ("epoch", "gradients") for row in run.rows(event) if isinstance(row.get("step"), int)]
    return sorted({*rows, *caches.snapshots(run), *caches.probe_layers(run)})


def at(stored, step):
    """Of the steps `stored`, the last one up to `step`; None if all come later. step None is the end."""
    stored = sorted(stored)
    before = len(stored) if step is None else bisect_right(stored, step)
    return stored[before - 1] if before else None


def pick(run):
    """Draw the slider with its play button, and return the step chosen, None for the end. A run of which nothing is stored has no slider."""
    steps = moments(run)
    if not steps:
        return None
    options = [*map(str, steps), END]
    notes = st.container()
    _settle(steps, notes)
    if plays():
        _advance(options)
    slider, button = st.columns([12, 1], vertical_alignment="bottom")
    growing = run.is_active
    with slider, of_all_pages():
        chosen = st.select_slider(
            "Training step",
            options,
            value=END,
            format_func=lambda option: option if option != END or run.is_weightless else "now" if growing else "best",
            key="step",
            bind="query-params",
            persist_state="session",
            on_change=_moved,
            help="The film of learning: how it came to be, from the first random weights. The same step holds on all pages that have this slider.",
        )
    with button:
        playing = plays()
        st.button("■" if playing else "▶", key="play", on_click=stop if playing else play, help="stop" if playing else "play the film", width="stretch")
    return None if chosen == END else int(chosen)


def _settle(steps, notes):
    """Turn a step that is not on the slider into one that is: the nearest before it, or the end, with a sentence, for what is no step."""
    state, here = st.session_state, get_script_run_ctx().page_script_hash
    wanted = state.get("step", st.query_params.get("step"))
    is_known = wanted is None or wanted == END or wanted in map(str, steps)
    if is_known and "step" in state and state.get("step_page") != here:
        state.step = wanted  # said anew, once, for the address of a page just opened; each time, it would pull the slider out of a hand
    elif not is_known and str(wanted).isdecimal() and str(wanted).isascii() and len(wanted) < 16:
        nearest = at(steps, int(wanted))
        state.step = str(steps[0] if nearest is None else nearest)
    elif not is_known:
        state.step = END
        if wanted not in _WORDS_FOR_END:
            state.refused_step = here, plain(f"There is no training step {str(wanted)[:40]!r}: it is a number from {steps[0]} to {steps[-1]}.")
    state.step_page = here
    if state.get("refused_step", ("",))[0] == here:  # kept until the slider is moved: on a page that follows a training it would be gone in a second
        notes.warning(state.refused_step[1])


def play():
    """Begin the film; each time the slider is drawn it moves on by one frame."""
    state = st.session_state
    state.frame, state.shown_frames, state.film_over = 0, [state.get("step", END)], math.inf


def _moved():
    """The slider was moved: by a hand, or by the film itself, whose frames a slow browser sends back late, some after its end."""
    state = st.session_state
    shown = state.get("shown_frames", [])[-ECHOES:]
    if state.step in shown and time.monotonic() < state.film_over + ECHO_SECONDS:
        state.step = shown[-1]
    else:
        stop()
    state.pop("refused_step", None)


def stop():
    """End the film where it is."""
    for name in ("frame", "shown_frames"):
        st.session_state.pop(name, None)


def plays():
    return "frame" in st.session_state


def _advance(options):
    frames = [options[round(place * (len(options) - 1) / (FRAMES - 1))] for place in range(FRAMES)] if len(options) > FRAMES else options
    state, last = st.session_state, len(frames) - 1
    state.step = frames[min(state.frame, last)]
    state.shown_frames.append(state.step)
    state.frame += 1
    if state.frame > last:
        del state.frame
        state.film_over = time.monotonic()
