"""Who sits at this browser, as far as it matters: whether a run was begun in it, and whether the
teacher's word was said.
"""

import hashlib
import hmac
import time

import streamlit as st

from vizlib.limits import limits
from vizlib.ui.streamlit_internals import browser_token

WRONG_SECONDS = 1  # that a wrong word costs, so that nobody tries many
_IS_TEACHER = "is_teacher"


def browser():
    """A digest that tells this browser from others, also after a reload; empty where none can be
    had.
    """
    token = browser_token()
    return hashlib.sha256(token).hexdigest()[:16] if token else ""


def is_teacher():
    """Whether all that is here may be steered: where the server has no word, everybody may."""
    return not limits().word or st.session_state.get(_IS_TEACHER, False)


def may_steer(run):
    """Whether a run may be stopped, changed and removed from this browser."""
    began_it = bool(run.config.by) and run.config.by == browser()
    return began_it or is_teacher()


def ask_word():
    """The field for the teacher's word, where there is one."""
    word = limits().word
    if not word:
        return
    with st.popover("Teacher", icon=":material/school:", type="tertiary"):
        if is_teacher():
            st.caption("Every training and model here can be steered and removed from this page.")
            return
        st.text_input(
            "The teacher's word",
            type="password",
            key="word",
            on_change=_hear,
            help="It was given when the server was started.",
        )
        if st.session_state.pop("word_is_wrong", False):
            st.error("That is not the word.")


def _hear():
    said = st.session_state.word
    st.session_state[_IS_TEACHER] = hmac.compare_digest(said.encode(), limits().word.encode())
    if not st.session_state[_IS_TEACHER]:
        st.session_state.word_is_wrong = True
        time.sleep(WRONG_SECONDS)
