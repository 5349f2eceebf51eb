"""What goes along from page to page and into each address without a box of its own: the step of the
lesson, and whether a projector shows the page.
"""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from vizlib.ui.frame.address import IN_VIEW, OF_ALL_PAGES
from vizlib.ui.streamlit_internals import came_by_history

LESSON, PROJECTOR = "lesson", "projector"
NAMES = (LESSON, PROJECTOR)
_KEPT = "carried"


def opened(keeps: Iterable[str]) -> None:
    """Take them from the address of a page, and put back into it what it lacks. keeps: the keys of
    the page's own widgets.
    """
    kept = st.session_state.setdefault(_KEPT, {})
    before = kept.get(LESSON)
    for name in NAMES:
        if name in st.query_params:
            kept[name] = st.query_params[name]
        elif came_by_history():
            kept.pop(name, None)
        elif name in kept:
            st.query_params[name] = kept[name]
    if kept.get(LESSON) not in (None, before):
        _show_as_addressed(keeps)


def all_now() -> dict[str, str]:
    """Those that there are, by their names in the address."""
    return dict(st.session_state.get(_KEPT, {}))


def put(name: str, value: str | None) -> None:
    """Set one of them, or end it. Called by buttons."""
    kept = st.session_state.setdefault(_KEPT, {})
    if value is None:
        kept.pop(name, None)
        st.query_params.pop(name, None)
    else:
        kept[name] = st.query_params[name] = value


def _show_as_addressed(keeps: Iterable[str]) -> None:
    """Another step of a lesson shows what its address says, whatever was chosen before, also where
    it is a step on the same page.
    """
    addressed = [key for key in (*OF_ALL_PAGES, *IN_VIEW) if key in st.query_params]
    for key in (*keeps, "step", *addressed):
        st.session_state.pop(key, None)
    st.session_state.just_opened = True
