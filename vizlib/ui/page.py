"""The frame of every page: title, menu, sidebar, and what is said when something is wrong.

A page is a file in pages/ that ends with `page.run(show, "Title")`. It stands alone: opened by its
own address on a fresh server it does all that the others do. The menu is read from the folder, so a
new file is a new page.
"""

import json

import streamlit as st

from vizlib.errors import UserError
from vizlib.run import moments
from vizlib.ui import widgets
from vizlib.ui.data import caches, jobs, start_up
from vizlib.ui.frame import (
    address,
    carried,
    film_slider,
    guard,
    image_picker,
    links,
    projector,
    run_picker,
    trail,
)
from vizlib.ui.frame.guard import sentences
from vizlib.ui.lessons import strip
from vizlib.ui.parts import hand_in
from vizlib.ui.streamlit_internals import of_all_pages, programs
from vizlib.ui.train_panel import panel, removing, trainings
from vizlib.ui.widgets import charts

FOLLOW_SECONDS = 1.0
HOME = "Home"
OF_RUN = object()  # what a page hands in unless it says otherwise
_STYLE = widgets.WIDGETS / "page.css"
# Streamlit adds a step to the browser's history whenever it writes an address anew, and writes the
# next page's choices into the address of the page that is left. Back then leads through the same
# page again and again, and never to what was there. With this each page is one step, as it was
# left.
_ONE_STEP_A_PAGE = f"<script>{widgets.text('history.js')}</script>"
_PROGRAMS = json.dumps(programs("PlotlyChart", "DataFrame"))
_AHEAD = f"<script>{widgets.text('ahead.js').replace('PROGRAMS', _PROGRAMS)}</script>"


def run(
    show,
    title,
    keeps=(),
    beside=None,
    follows=True,
    has_film=False,
    hands_in=OF_RUN,
    opens_on=None,
):
    """Draw a page: show(run, picture) fills it, with the run and the Picture chosen in the sidebar,
    None where none is chosen.

    keeps: the keys of this page's own widgets that are in its address, so that links lead back to
    the page as it was left. beside: the key of the widget that names further runs in view. follows:
    whether the whole page follows a training, see follow(). has_film: whether it shows the film's
    slider. hands_in: hands_in(run) is the hand_in.Offer of what this page shows, or a sentence
    where there is none yet; the run in view if left out, None for a page that hands in nothing.
    opens_on: opens_on() is the id of the run that a reader sees who has chosen nothing at all yet.
    """
    st.session_state.setdefault("kept_by_page", {})[title] = keeps
    before, st.session_state.page_in_view = st.session_state.get("page_in_view", title), title
    has_default = opens_on is not None and address.says_nothing()
    if has_default:  # in the address too: a link to what is in view, and a reload, must lead there
        st.query_params["model"] = opens_on()
    address.opened(before != title or has_default)
    carried.opened(keeps)
    if before != title:
        charts.forget()
    if not has_film:
        film_slider.stop()
    st.set_page_config(page_title=f"{title} · Convscope", page_icon=str(links.ICON), layout="wide")
    st.html(_STYLE)
    projector.show(title, strip.looked_at())
    beginning = st.sidebar.container()
    with beginning:
        links.menu()
        st.html(_ONE_STEP_A_PAGE + _AHEAD, unsafe_allow_javascript=True)
    with sentences(*guard.IN_PAGE), jobs.asked_for():
        with st.sidebar, of_all_pages():
            chosen_run = _run_in_view()
            # through weights alone no picture goes
            picture = None if chosen_run.is_bare else image_picker.pick_image(chosen_run)
        strip.unfold()
        place = _bar(hands_in, chosen_run, picture, beside)
        trail.show(place, chosen_run, picture)
        strip.show()
        if title != HOME:  # which has no chart, and comes first
            start_up.whole_pandas()
        if follows:
            follow(lambda: show(chosen_run, picture), lambda: [chosen_run, *_beside(beside)])
        else:
            show(chosen_run, picture)
        # once more: only now is it known which layer the page opens on
        trail.show(place, chosen_run, picture)
    trainings.page_is_drawn()
    start_up.give_back_freed_memory()
    start_up.freeze()
    start_up.warm_up()


def _bar(hands_in, chosen_run, picture, beside):
    """What is on top of every page: the trail, for which the place is returned, the way to hand in
    what is in view, and its link.
    """

    def offer():
        if hands_in is not OF_RUN:
            return hands_in(chosen_run)
        runs = [chosen_run, *_beside(beside)][:2]
        return hand_in.of_runs(runs, picture, st.session_state.get("layer"))

    warning = hand_in.not_in_link(has_table=hands_in not in (OF_RUN, None))
    return hand_in.bar(None if hands_in is None else offer, warning)


def _run_in_view():
    """The run chosen, below which the panel of trainings stands, also where there is no run yet."""
    trainings.keep_in_view()
    try:
        chosen_run = run_picker.pick_run()
    except UserError:
        panel.show(None)
        raise
    removing.offer(chosen_run)
    panel.show(chosen_run)
    return chosen_run


def follow(draw, runs):
    """Call draw() now, and again once a second as long as one of the runs() is active or the film
    plays; the rest of the page stays as it is.

    When that is over the whole page is drawn once more, without a timer.
    """

    def wanted():
        if film_slider.plays():
            return moments.FRAME_SECONDS
        return FOLLOW_SECONDS if any(one.is_active for one in runs()) else None

    interval = wanted()
    if interval is None:
        with st.container():  # as a fragment is in one: so nothing moves when it becomes one
            draw()
        if wanted() is None:
            return
        st.rerun()  # what was drawn has made another run one of those in view

    @st.fragment(run_every=interval)
    def followed():
        with sentences(*guard.IN_PAGE):
            draw()
        start_up.freeze()
        if wanted() != interval:
            st.rerun()

    followed()


def _beside(key):
    """The runs that the widget of this key names, beside the run in view."""
    names = st.session_state.get(key) if key else None
    names = names if isinstance(names, list) else [names]
    return [one for one in caches.run_list()[0] if one.run_id in names]
