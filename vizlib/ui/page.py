"""The frame of every page: title, menu, sidebar, and what is said when something is wrong.

A page is a file in pages/ that ends with `page.run(show, "Title")`. It stands alone: opened by its
own address on a fresh server it does all that the others do. The menu is read from the folder, so a
new file is a new page.
"""

from contextlib import suppress
from pathlib import Path

import streamlit as st
from streamlit.errors import StreamlitPageNotFoundError

from vizlib import moments
from vizlib.errors import UserError
from vizlib.ui import caches, charts, film, jobs, panel, pickers, standing, widgets
from vizlib.ui.scope import of_all_pages
from vizlib.ui.sentences import sentences

ROOT = Path(__file__).resolve().parent.parent.parent
FOLLOW_SECONDS = 1.0
IN_PAGE = ("this page", "Try another model, layer or image.")  # what sentences() say of a page
ICON = Path(__file__).with_name("icon.png")  # an icon by name would be fetched from another host
_STYLE = widgets.WIDGETS / "page.css"
# Streamlit adds a step to the browser's history whenever it writes an address anew, and writes the
# next page's choices into the address of the page that is left. Back then leads through the same
# page again and again, and never to what was there. With this each page is one step, as it was
# left.
_ONE_STEP_A_PAGE = f"<script>{widgets.text('history.js')}</script>"


def run(show, title, keeps=(), beside=None, follows=True, has_film=False):
    """Draw a page: show(run, picture) fills it, with the run and the Picture chosen in the sidebar,
    None where none is chosen.

    keeps: the keys of this page's own widgets that are in its address, so that links lead back to
    the page as it was left. beside: the key of the widget that names further runs in view. follows:
    whether the whole page follows a training, see follow(). has_film: whether it shows the film's
    slider.
    """
    st.session_state.setdefault("kept_by_page", {})[title] = keeps
    before, st.session_state.page_in_view = st.session_state.get("page_in_view", title), title
    st.session_state.just_opened = before != title
    if before != title:
        charts.forget()
    if not has_film:
        film.stop()
    st.set_page_config(page_title=f"{title} · Convscope", page_icon=str(ICON), layout="wide")
    st.html(_STYLE)
    menu = st.sidebar.container()
    with menu:
        _menu()
        st.html(_ONE_STEP_A_PAGE, unsafe_allow_javascript=True)
    with sentences(*IN_PAGE), jobs.asked_for():
        with st.sidebar, of_all_pages():
            chosen_run = _run_in_view()
            picture = pickers.pick_image(chosen_run)
        if follows:
            follow(lambda: show(chosen_run, picture), lambda: [chosen_run, *_beside(beside)])
        else:
            show(chosen_run, picture)
    caches.freeze()
    caches.warm_up()


def _run_in_view():
    """The run chosen, below which the panel of trainings stands, also where there is no run yet."""
    try:
        chosen_run = pickers.pick_run()
    except UserError:
        panel.show(None)
        raise
    panel.show(chosen_run)
    return chosen_run


def follow(draw, runs):
    """Call draw() now, and again once a second as long as one of the runs() is active or the film
    plays; the rest of the page stays as it is.

    When that is over the whole page is drawn once more, without a timer.
    """

    def wanted():
        if film.plays():
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
        with sentences(*IN_PAGE):
            draw()
        caches.freeze()
        if wanted() != interval:
            st.rerun()

    followed()


def _beside(key):
    """The runs that the widget of this key names, beside the run in view."""
    names = st.session_state.get(key) if key else None
    names = names if isinstance(names, list) else [names]
    return [one for one in caches.run_list()[0] if one.run_id in names]


def title(text, chosen_run=None, *, of_weights=False):
    """The head of a page, with a line on how the run stands if its training is not finished; also
    on its weights, if the page is of them.
    """
    st.title(pickers.plain(text))
    line = standing.sentence(chosen_run) if chosen_run is not None else ""
    if line:
        st.markdown(f"{line} {standing.weights_in_view(chosen_run)}" if of_weights else line)


def took(runs, verb, seconds):
    """How long a figure of these runs took, for its caption; empty where one of them is followed:
    it would change with every look at it.
    """
    return "" if any(one.is_active for one in runs) else f"; {verb} in {seconds * 1000:.0f} ms"


def link(title, label, /, **parameters):
    """A link to another page, by its title, as it was left, with these parameters changed.

    The model, the image and the step in view come along by themselves. The page's own state is in
    the link: what Streamlit restores without that it adds to the address afterwards, as one more
    step of history, which would break the back button.
    """
    target = (
        "app.py"
        if title == "Home"
        else next(f"pages/{file.name}" for file in _pages() if _title(file) == title)
    )
    keys = st.session_state.kept_by_page.get(title, ())
    # a widget takes its value from the address when it is drawn
    now = {key: st.session_state.get(key, st.query_params.get_all(key)) for key in keys}
    kept = {key: value for key, value in now.items() if value not in (None, [])} | parameters
    # else it would stand there twice
    kept = {
        key: value
        for key, value in kept.items()
        if key not in pickers.OF_ALL_PAGES or str(value) != str(st.session_state.get(key))
    }
    texts = {
        key: [str(one) for one in value] if isinstance(value, list) else str(value)
        for key, value in kept.items()
    }
    # `streamlit run pages/...`: a page that runs by itself has no others beside it
    with suppress(StreamlitPageNotFoundError):
        st.page_link(target, label=label, query_params=texts)


def _pages():
    """The files of all pages, in the order of their numbers."""
    return sorted(
        (ROOT / "pages").glob("[0-9]*_*.py"), key=lambda file: int(file.name.partition("_")[0])
    )


def _title(file):
    return file.stem.partition("_")[2].replace("_", " ")


def _menu():
    st.logo(str(ICON), size="large")
    st.markdown("### Convscope")
    link("Home", "Home")
    for file in _pages():
        link(_title(file), _title(file))
    st.divider()
