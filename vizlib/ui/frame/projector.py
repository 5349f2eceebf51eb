"""The page for the back row: larger type, fewer words, no sidebar, one picture. And the keys of all
pages, which a teacher presses beside a projector.
"""

from __future__ import annotations

import streamlit as st

from vizlib.ui import widgets
from vizlib.ui.frame import carried

# of each page the key of the one picture that stays, and of what says what it means; on other
# pages all stay
PICTURES = {
    "Home": ("living_picture",),
    "Filters": ("filters_component",),
    "Feature maps": ("maps_component",),
    "Unit": ("made_picture",),
    "Film": ("panel_filters", "panel_maps", "panel_matrix", "panel_curves"),
    "Training curves": ("curves_places",),
    "Gradients": ("course_places",),
    "Confusion matrix": ("matrix_first_places",),
    "Play": ("play_component",),
}
_KEYS = f"<script>{widgets.text('keys.js')}</script>"
_STYLE = widgets.WIDGETS / "projector.css"
# what stays beside the picture: the trail, the lesson, the head of the page, what is said of it
_ONE_PICTURE = """<style>
[data-testid="stMainBlockContainer"] [data-testid="stElementContainer"]:not(
  .st-key-of_page *, .st-key-lesson *, {stays}, :has(h1), :has([data-testid="stAlert"])
) {{display: none}}
</style>"""


def is_on() -> bool:
    return carried.PROJECTOR in carried.all_now()


def show(title: str, looked_at: str) -> None:
    """Make the page one for a projector, if it is asked for. looked_at: the key of what a lesson
    frames; empty without one.
    """
    st.html(_KEYS, unsafe_allow_javascript=True)
    if not is_on():
        return
    st.html(_STYLE)
    pictures = (looked_at,) if looked_at else PICTURES.get(title, ())
    if pictures:
        stays = ", ".join(f".st-key-{key}, .st-key-{key} *" for key in pictures)
        st.html(_ONE_PICTURE.format(stays=stays))


def button() -> None:
    """The way into the mode, or out of it."""
    st.button(
        "Leave" if is_on() else "Projector",
        key="projector_button",
        icon=":material/close_fullscreen:" if is_on() else ":material/slideshow:",
        on_click=carried.put,
        args=(carried.PROJECTOR, None if is_on() else "1"),
        help="Back to the page as it is at a desk."
        if is_on()
        else "Larger type, fewer words, one picture. Keys: J K layer, I U unit, period and comma "
        "the training step, P the film, N B the lesson.",
    )
