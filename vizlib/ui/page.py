"""The frame of every page: title, menu, sidebar, and what is said when something is wrong.

A page is a file in pages/ that ends with `page.run(show, "Title")`. It stands alone: opened by its own address on a fresh server it
does all that the others do. The menu is read from the folder, so a new file is a new page.
"""

import logging
import re
from contextlib import contextmanager
from pathlib import Path

import streamlit as st
from streamlit.errors import StreamlitPageNotFoundError
from streamlit.runtime.scriptrunner import get_script_run_ctx

from vizlib.errors import UserError
from vizlib.ui import caches, pickers

ROOT = Path(__file__).resolve().parent.parent.parent
ICON = Path(__file__).with_name("icon.png")  # an icon by name would be fetched from another host
_STYLE = """<style>
[data-testid="stImage"] img {image-rendering: pixelated}
[data-testid="stMainBlockContainer"] {padding-top: 2.2rem; padding-bottom: 3rem}
[data-testid="stSidebarUserContent"] {padding-top: 0}
h1 {letter-spacing: -.02em}
</style>"""


def run(show, title, keeps=()):
    """Draw a page: show(run, picture) fills it, with the run and the Picture chosen in the sidebar, None where none is chosen.

    keeps: the keys of this page's own widgets that are in its address, so that links lead back to the page as it was left.
    """
    st.session_state.setdefault("kept_by_page", {})[title] = keeps
    st.set_page_config(page_title=f"{title} · Convscope", page_icon=str(ICON), layout="wide")
    st.html(_STYLE)
    menu = st.sidebar.container()
    with menu:
        _menu()
    with _sentences(title):
        with st.sidebar, _of_all_pages():
            chosen_run = pickers.pick_run()
            picture = pickers.pick_image(chosen_run)
        show(chosen_run, picture)
    caches.freeze()
    caches.warm_up()


@contextmanager
def _sentences(title):
    """Whatever goes wrong inside, a reader gets a sentence, and the log the trace of what should not have happened."""
    try:
        yield
    except UserError as error:
        st.error(pickers.plain(error))
    except Exception:  # Streamlit's own signals to stop or begin anew are no Exceptions
        logging.getLogger("convscope").exception("page %s", title)
        st.error("This page met something it was not made for; the server's log has the details. Try another model, layer or image.")


def _of_all_pages():
    """Widgets made inside belong to the whole app, as those of an entry script with st.navigation do, and not to one page.

    Else each change of page would drop the model and image from the address and put them back, one step of history each. Streamlit has
    no public call for it without st.navigation, whose first deep link after a start fails where there is a pages/ folder.
    """
    context = get_script_run_ctx()
    return context.run_with_active_hash(context.pages_manager.main_script_hash)


def link(page, label, **parameters):
    """A link to another page (its file name in pages/ without ".py"), as it was left, with these parameters changed.

    The model and image in view come along by themselves. The page's own state is in the link: what Streamlit restores without that it
    adds to the address afterwards, as one more step of history, which would break the back button.
    """
    target = "app.py" if page == "app" else f"pages/{page}.py"
    keys = st.session_state.kept_by_page.get(_title(page), ())
    kept = {key: st.session_state[key] for key in keys if st.session_state.get(key) not in (None, [])} | parameters
    texts = {key: [str(one) for one in value] if isinstance(value, list) else str(value) for key, value in kept.items()}
    try:
        st.page_link(target, label=label, query_params=texts)
    except StreamlitPageNotFoundError:
        pass  # `streamlit run pages/...`: a page that runs by itself has no others beside it


def _title(page):
    return re.sub(r"^\d+_", "", page).replace("_", " ")


def _menu():
    st.logo(str(ICON), size="large")
    st.markdown("### Convscope")
    link("app", "Home")
    for file in sorted((ROOT / "pages").glob("[0-9]*.py")):
        link(file.stem, _title(file.stem))
    st.divider()
