"""A picture to paint on, in the browser, beside what the network answers to it as it is now."""

import base64

import streamlit as st

from vizlib.ui.widgets import component

_component = component("play_view", "choice.css", "buttons.css")
COLOUR = "#f97316"  # that the brush begins with; in a grey picture white or black


def show(*, key, picture, size, nothing, ground, answers, sentence, on_deed):
    """Show the board; on_deed(deed) is called before the rerun with what was done, a dictionary as
    the browser sends it: its kind, "stroke", "moves", "undo", "anew" or "frame", and its number.

    picture: PNG bytes, as it is now, of `size` (height, width). nothing: (red, green, blue) of what
    is erased. ground: what the board is told of its own state, with the number of the last deed
    seen to. answers: (name, share before, share now) of some classes, in order. sentence: the same
    in words.
    """
    state = f"{key}_component"

    def done():
        deed = st.session_state[state].get("deed")
        if isinstance(deed, dict):
            on_deed(deed)

    data = dict(
        picture="data:image/png;base64," + base64.b64encode(picture).decode(),
        size=list(size),
        nothing=list(nothing),
        colour=COLOUR if len(set(nothing)) > 1 else "#000000" if nothing[0] > 127 else "#ffffff",
        ground=ground,
        answers=[list(answer) for answer in answers],
        sentence=sentence,
    )
    _component(key=state, data=data, on_deed_change=done)
