"""The step of a lesson on top of a page: what to do, what to look at, a question; and the ways on.

Which step it is stands in the address, as in lesson=filters.2, and goes along from page to page.
"""

from __future__ import annotations

import re

import streamlit as st

from vizlib import lessons
from vizlib.errors import unknown
from vizlib.lessons import Lesson, Training
from vizlib.training import launcher
from vizlib.training.order import Order
from vizlib.training.recipes import recipe
from vizlib.ui.data import caches
from vizlib.ui.frame import carried, links
from vizlib.ui.frame.carried import LESSON
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import share
from vizlib.ui.train_panel import trainings

_PROBLEM = "lesson_problem"
_OPENED = "lesson_opened"
_GOES_ON = "lesson_goes_on"
_FRAME = """<style>
.st-key-{key} {{outline: 3px solid #f97316; outline-offset: 6px; border-radius: 4px;
  scroll-margin: 14rem 0 3rem}}
</style>"""
# once a step: what is framed may lie below what a window shows
_SEEN = """<script>(() => {{
const until = Date.now() + 8000, seek = () => {{
  const looked = document.querySelector('.st-key-{key}');
  if (window.convscopeStep === '{step}') return;
  if (!looked || !looked.offsetHeight) return Date.now() < until && setTimeout(seek, 200);
  window.convscopeStep = '{step}';
  setTimeout(() => looked.scrollIntoView({{block: 'nearest', behavior: 'smooth'}}), 600);
}};
seek();
}})()</script>"""


def name_of(lesson: Lesson, number: int = 1) -> str:
    """What the address calls a step, counted from 1."""
    return lesson.id if number == 1 else f"{lesson.id}.{number}"


def in_view() -> tuple[Lesson, int] | None:
    """The lesson in the address and which of its steps, None without one."""
    named = carried.all_now().get(LESSON, "")
    lesson_id, _, number = named.partition(".")
    lesson = lessons.find(lesson_id)
    if lesson is None:
        return None
    count = len(lesson.steps)
    return lesson, int(number) if re.fullmatch(f"[1-{min(count, 9)}]", number) else 1


def looked_at() -> str:
    """The key of what the step frames; empty without one."""
    now = in_view()
    return now[0].steps[now[1] - 1].look if now else ""


def open_step(label: str, lesson: Lesson, number: int = 1, **words) -> None:
    """A link to a step of a lesson, which shows what the step says and nothing of before."""
    step = lesson.steps[number - 1]
    shown = {LESSON: name_of(lesson, number), **step.show}
    links.link(step.page, label, anew=True, **words, **shown)


def show() -> None:
    """Draw the step that the address names, if it names one."""
    now = in_view()
    if now is None:
        _refuse()
        return
    lesson, number = now
    step = lesson.steps[number - 1]
    if begun := st.session_state.pop(_GOES_ON, None):
        carried.put(LESSON, name_of(lesson, number + 1))
        following = lesson.steps[number]
        links.go(following.page, **{"model": begun, **following.show})
    with st.container(key="lesson", border=True, gap="xsmall"):
        _head(lesson, number)
        if step.qr:
            text, picture = st.columns([3, 1])
            with picture:
                _code(lesson, number)
        else:
            text = st.container()
        with text:
            st.markdown(lessons.filled(step.text, caches.run_list()[0]))
            if step.train:
                _train_button(step.train)
            with st.expander(step.question, type="compact"):
                st.markdown(lessons.filled(step.answer, caches.run_list()[0]))
        st.html(_FRAME.format(key=step.look))
        seen = _SEEN.format(key=step.look, step=name_of(lesson, number))
        st.html(seen, unsafe_allow_javascript=True)


def _refuse() -> None:
    """Name a lesson that there is not."""
    named = carried.all_now().get(LESSON)
    if named is None:
        return
    st.warning(plain(unknown("lesson", named[:40], [each.id for each in lessons.lessons()[0]])))
    st.button("Close", key="lesson_end", on_click=carried.put, args=(LESSON, None))


def _head(lesson: Lesson, number: int) -> None:
    """The title, and the ways on."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**Lesson {lesson.number} · {lesson.title}** :small[:gray[step {number} of "
            f"{len(lesson.steps)}]]"
        )
        with st.container(key="lesson_back", width="content"):
            if number > 1:
                open_step("Back", lesson, number - 1, icon=":material/arrow_back:")
        with st.container(key="lesson_next", width="content"):
            _next(lesson, number)
        st.button(
            "End", key="lesson_end", on_click=carried.put, args=(LESSON, None), type="tertiary"
        )
    _other_lessons(lesson)


def _next(lesson: Lesson, number: int) -> None:
    """The way to the next step, or from the last one to the next lesson."""
    if number < len(lesson.steps):
        open_step("Next", lesson, number + 1, icon=":material/arrow_forward:")
        return
    after = _at(lesson.number + 1)
    if after is None:
        links.link("Lessons", "All lessons", icon=":material/school:")
    else:
        open_step(f"Lesson {after.number}", after, icon=":material/arrow_forward:")


def _other_lessons(lesson: Lesson) -> None:
    """The links that keys press, out of sight."""
    for key, number in (("before", lesson.number - 1), ("after", lesson.number + 1)):
        other = _at(number)
        with st.container(key=f"lesson_{key}"):
            if other is not None:
                open_step(f"Lesson {number}", other)


def _at(number: int) -> Lesson | None:
    return next((each for each in lessons.lessons()[0] if each.number == number), None)


def unfold() -> None:
    """Open what is folded on the page and the step speaks of, before it is drawn. Once, when the
    step is opened: whoever closes it has it closed.
    """
    now = in_view()
    if now is None:
        return
    lesson, number = now
    step = lesson.steps[number - 1]
    if st.session_state.get(_OPENED) == (name_of(lesson, number), step.page):
        return
    st.session_state[_OPENED] = name_of(lesson, number), step.page
    if step.open:
        st.session_state[step.open] = True


def _code(lesson: Lesson, number: int) -> None:
    """The QR code of this step, as the class reaches it."""
    base, sentence = share.home()
    step = lesson.steps[number - 1]
    view = links.address_of(step.page, {LESSON: name_of(lesson, number), **step.show})
    share.draw(share.address(base, view))
    st.caption(sentence)


def _train_button(training: Training) -> None:
    st.button(
        training.label,
        key="lesson_train",
        type="primary",
        icon=":material/play_arrow:",
        on_click=_train,
        args=(training,),
    )
    if problem := st.session_state.pop(_PROBLEM, None):
        st.error(plain(problem))


def _train(training: Training) -> None:
    """Start it and put it in view. What is wrong with it is kept to be said."""
    state = st.session_state
    dataset = training.dataset or state.get("set") or "digits"

    def order():
        wanted = recipe(training.recipe, **training.changes)
        return Order(training.architecture, dataset, wanted, device=launcher.devices()[0])

    run_id = trainings.started(order, _PROBLEM)
    if run_id is None:
        return
    trainings.view(run_id)
    if training.opens_next:
        state[_GOES_ON] = run_id
