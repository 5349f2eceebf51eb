"""The film of learning: one slider over the steps of a training, shared by all pages that can show
an earlier moment.

The step chosen is kept across pages and in the address. Each page shows what it has of the nearest
stored moment before it.
"""

from typing import Any

import streamlit as st

from vizlib.run import moments
from vizlib.ui.data import caches
from vizlib.ui.frame.plain import plain
from vizlib.ui.streamlit_internals import of_all_pages, page_now

END = "end"
_WORDS_FOR_END = (END, "now", "best")  # what the end is called on the slider


def steps_of(run):
    """The steps of a run of which anything is stored, in order."""
    return moments.steps(run, caches.snapshots(run), caches.probe_layers(run))


def pick(run, of_weights=True):
    """Draw the slider with its play button, and return the step chosen, None for the end. A run of
    which nothing is stored has no slider.

    of_weights: whether the page shows the weights in view at the end, those of the best step; else
    the end is the last step.
    """
    steps = steps_of(run)
    if not steps:
        return None
    options = [*map(str, steps), END]
    notes = st.container()
    _settle(steps, notes)
    end = "now" if run.is_active else "best" if of_weights and not run.is_weightless else END
    with st.container(key="film"):
        slider, button = st.columns([12, 1], vertical_alignment="bottom")
    playing = plays()
    button.button(
        "■" if playing else "▶",
        key="play",
        on_click=stop if playing else play,
        help="stop" if playing else "play the film",
        width="stretch",
    )
    if playing:  # no slider: each of its moves would be one more step of the browser's history
        chosen = _advance(options)
        slider.progress(
            options.index(chosen) / (len(options) - 1),
            f"Training step {end if chosen == END else chosen}",
        )
        return None if chosen == END else int(chosen)
    with slider, of_all_pages():
        chosen = st.select_slider(
            "Training step",
            options,
            value=END,
            format_func=lambda option: end if option == END else option,
            key="step",
            bind="query-params",
            persist_state="session",
            on_change=_forget_refusal,
            help="The film of learning: how it came to be, from the first random weights. The same "
            "step holds on all pages that have this slider.",
        )
    return None if chosen == END else int(chosen)


def _settle(steps, notes):
    """Turn a step that is not on the slider into one that is: the nearest before it, or the end,
    with a sentence, for what is no step.
    """
    state, here = st.session_state, page_now()
    wanted: Any = state.get("step", st.query_params.get("step"))
    is_known = wanted is None or wanted == END or wanted in map(str, steps)
    if is_known and "step" in state and state.get("step_page") != here:
        # said anew, once, for the address of a page just opened; each time, it would pull the
        # slider out of a hand
        state.step = wanted
    elif (
        not is_known and str(wanted).isdecimal() and str(wanted).isascii() and len(str(wanted)) < 16
    ):
        nearest = moments.last_up_to(steps, int(str(wanted)))
        state.step = str(steps[0] if nearest is None else nearest)
    elif not is_known:
        state.step = END
        if wanted not in _WORDS_FOR_END:
            state.refused_step = (
                here,
                plain(
                    f"There is no training step {str(wanted)[:40]!r}: it is a number from "
                    f"{steps[0]} to {steps[-1]}."
                ),
            )
    state.step_page = here
    # kept until the slider is moved: on a page that follows a training it would be gone in a second
    if state.get("refused_step", ("",))[0] == here:
        notes.warning(state.refused_step[1])


def play():
    """Begin the film: each time it is drawn it moves on by one frame."""
    st.session_state.frame = 0


def stop():
    """End the film where it is."""
    state = st.session_state
    if plays():
        del state.frame
        state.step = state.shown_frame


def plays():
    return "frame" in st.session_state


def _advance(options):
    """The step of the next frame. After the last one the slider comes back, where the film has
    ended.
    """
    frames = moments.frames(options)
    state, last = st.session_state, len(frames) - 1
    state.shown_frame = frames[min(state.frame, last)]
    state.frame += 1
    if state.frame > last:
        stop()
    return state.shown_frame


def _forget_refusal():
    st.session_state.pop("refused_step", None)
