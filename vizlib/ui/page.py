"""The frame of every page: title, menu, sidebar, and what is said when something is wrong.

A page is a file in pages/ that ends with `page.run(show, "Title")`. It stands alone: opened by its own address on a fresh server it
does all that the others do. The menu is read from the folder, so a new file is a new page.
"""

import logging
import re
from pathlib import Path

import streamlit as st

from vizlib.errors import UserError
from vizlib.ui import caches, pickers

ROOT = Path(__file__).resolve().parent.parent.parent
_STYLE = """<style>
[data-testid="stImage"] img {image-rendering: pixelated}
[data-testid="stMainBlockContainer"] {padding-top: 2.2rem; padding-bottom: 3rem}
[data-testid="stSidebarUserContent"] {padding-top: 0}
h1 {letter-spacing: -.02em}
</style>"""


def run(show, title):
    """Draw a page: show(run, picture) fills it. Home is shown before the sidebar's image, every other page after it."""
    st.set_page_config(page_title=f"{title} · Convscope", page_icon="🔬", layout="wide")
    st.html(_STYLE)
    with st.sidebar:
        menu = st.container()
        try:
            chosen_run = pickers.pick_run()
            picture = pickers.pick_image(chosen_run)
            problem = None
        except UserError as error:
            chosen_run, picture, problem = None, None, error
    with menu:
        _menu()
    try:
        if problem:
            raise problem
        show(chosen_run, picture)
    except UserError as error:
        st.error(pickers.plain(error))
    except Exception:  # whatever it was, a reader gets a sentence and the log the trace; Streamlit's own signals are no Exceptions
        logging.getLogger("convscope").exception("page %s", title)
        st.error("This page met something it was not made for; the server's log has the details. Try another model, layer or image.")
    caches.freeze()
    caches.warm_up()


def link(page, label, **parameters):
    """A link to another page (its file name in pages/ without ".py"), with the model and image in view and more parameters."""
    target = "app.py" if page == "app" else f"pages/{page}.py"
    kept = {key: str(st.session_state[key]) for key in pickers.SHARED if st.session_state.get(key) is not None}
    st.page_link(target, label=label, query_params=kept | {key: str(value) for key, value in parameters.items()})


def _menu():
    st.markdown("### 🔬 Convscope")
    link("app", "Home")
    for file in sorted((ROOT / "pages").glob("[0-9]*.py")):
        link(file.stem, re.sub(r"^\d+_", "", file.stem).replace("_", " "))
    st.divider()
