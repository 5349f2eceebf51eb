"""Twelve lessons for a class of beginners; and for the teacher the link to one, or to any view,
with its code for telephones.
"""

import streamlit as st

from vizlib import lessons
from vizlib.ui import page
from vizlib.ui.data import caches
from vizlib.ui.frame import carried, links
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.lessons import strip
from vizlib.ui.parts import share

COLUMNS = 3
VIEW = "another view"


def show(run, picture):
    st.title("Lessons")
    st.markdown(
        "Each opens on what there is to see, with three steps, a question in each, and its answer "
        "folded. They need no data and no network, unless a card says so."
    )
    found, problems = lessons.lessons()
    for problem in problems:
        st.warning(plain(problem))
    cards(found)
    with sentences("the link"):
        for_the_class(found)


def cards(found):
    runs = caches.run_list()[0]
    for start in range(0, len(found), COLUMNS):
        beside = found[start : start + COLUMNS]
        for column, lesson in zip(st.columns(COLUMNS), beside, strict=False):
            with column.container(border=True, height="stretch", key=f"lesson_card_{lesson.id}"):
                card(lesson, runs)


def card(lesson, runs):
    """A lesson: its way in, what one will have seen, how long it takes and what it needs."""
    strip.open_step(f"**{lesson.number} · {lesson.title}**", lesson)
    st.markdown(lessons.filled(lesson.sees, runs))
    clicks = "1 click" if lesson.clicks == 1 else f"{lesson.clicks} clicks"
    needs = f"  \nNeeds {lesson.needs}." if lesson.needs else ""
    st.caption(f"{lesson.minutes} minutes · {clicks}{needs}")


def for_the_class(found):
    """The teacher's part: an address as the class reaches it, and its code, large."""
    st.markdown("### A link for the class")
    left, right = st.columns([1, 1], gap="large")
    with left:
        view = chosen_view(found)
        st.text_input(
            "The class reaches this app at",
            share.home()[0],
            key="class_address",
            help="The address of this computer in its network. Change it if the class uses "
            "another one.",
        )
        st.caption(share.home()[1])
        st.markdown(
            "A class needs this computer's address in its network: *localhost* is each one's own "
            "computer."
        )
    with right.container(key="code"), sentences("the code"):
        share.draw(share.address(st.session_state.class_address or share.home()[0], view))


def chosen_view(found):
    """What follows the app's address in the link: a step of a lesson, or a view that is pasted."""
    names = {strip.name_of(lesson): f"{lesson.number} · {lesson.title}" for lesson in found}
    wanted = st.selectbox(
        "What it opens",
        [*names, VIEW],
        format_func=lambda name: names.get(name, "Another view: paste its link"),
        key="class_lesson",
    )
    if wanted == VIEW:
        return st.text_input(
            "The link of a view",
            key="class_view",
            placeholder="Copy link, on top of every page, gives it",
        )
    lesson = lessons.find(wanted)
    step = lesson.steps[0]
    shown = {carried.LESSON: strip.name_of(lesson), **step.show}
    if st.toggle("For a projector", key="class_projector"):
        shown[carried.PROJECTOR] = "1"
    return links.address_of(step.page, shown)


page.run(show, "Lessons", follows=False, hands_in=None)
