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
    _settle(steps, st.container())
    options = [*map(str, steps), END]
    end = _word_for_end(run, of_weights)
    with st.container(key="film"):
        slider, button = st.columns([12, 1], vertical_alignment="bottom")
    playing = plays()
    _play_button(button, playing)
    # no slider in a film: each of its moves would be one more step of the browser's history
    with slider:
        chosen = _frame(options, end) if playing else _slider(options, end)
    return None if chosen == END else int(chosen)


def _word_for_end(run, of_weights):
    if run.is_active:
        return "now"
    return "best" if of_weights and not run.is_weightless else END


def _play_button(container, playing):
    container.button(
        "■" if playing else "▶",
        key="play",
        on_click=stop if playing else play,
        shortcut="p",
        help="stop" if playing else "play the film",
        width="stretch",
    )


def _frame(options, end):
    """Move the film on by one frame, and draw how far it is: the step of the frame."""
    chosen = _advance(options)
    st.progress(
        options.index(chosen) / (len(options) - 1),
        f"Training step {end if chosen == END else chosen}",
    )
    return chosen


def _slider(options, end):
    with of_all_pages():
        return st.select_slider(
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


def _settle(steps, notes):
    """Turn a step that is not on the slider into one that is: the nearest before it, or the end,
    with a sentence, for what is no step.
    """
    state, here = st.session_state, page_now()
    wanted: Any = state.get("step", st.query_params.get("step"))
    if wanted is not None and wanted != END and wanted not in map(str, steps):
        state.step = _nearest(str(wanted), steps)
        if state.step == END and wanted not in _WORDS_FOR_END:
            state.refused_step = (here, _refusal(str(wanted), steps))
    elif "step" in state and state.get("step_page") != here:
        # said anew, once, for the address of a page just opened; each time, it would pull the
        # slider out of a hand
        state.step = wanted
    state.step_page = here
    # kept until the slider is moved: on a page that follows a training it would be gone in a second
    if state.get("refused_step", ("",))[0] == here:
        notes.warning(state.refused_step[1])


def _nearest(wanted, steps):
    """What the slider shows for a text that is none of its steps."""
    if not (wanted.isdecimal() and wanted.isascii() and len(wanted) < 16):
        return END
    nearest = moments.last_up_to(steps, int(wanted))
    return str(steps[0] if nearest is None else nearest)


def _refusal(wanted, steps):
    return plain(
        f"There is no training step {wanted[:40]!r}: it is a number from {steps[0]} to {steps[-1]}."
    )


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
