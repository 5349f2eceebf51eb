"""What the project takes from inside Streamlit: all that is not called as st.something.

Made for the version below; an upgrade must open this file first, and no other. What it leans on:
- the context of a script run: which page is drawn, the address as it was sent, whether it came by
  Back, and whether only fragments are drawn (page_now, address_as_sent, came_by_history,
  draws_fragments);
- that boxes made under the main script's hash belong to all pages (of_all_pages);
- the cookie by which Streamlit tells a browser from a stranger's page (browser_token);
- the programs by which the browser draws charts and tables, under names that each version gives
  them anew (programs);
- two errors, and the name of the class of every container.
The styles in widgets/*.css and pages/7_Film.py go by the data-testid of Streamlit's own elements,
widgets/history.js by how it writes the browser's history, and widgets/ahead.js by where it has its
programs and by its script's state.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import parse_qs

import streamlit as st
from streamlit.delta_generator import DeltaGenerator as Container
from streamlit.errors import StreamlitAPIException, StreamlitPageNotFoundError
from streamlit.runtime.scriptrunner import get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext
from streamlit.web.server.starlette.starlette_app_utils import decode_xsrf_token_string
from streamlit.web.server.starlette.starlette_server_config import XSRF_COOKIE_NAME

__all__ = [
    "MADE_FOR",
    "Container",
    "StreamlitAPIException",
    "StreamlitPageNotFoundError",
    "address_as_sent",
    "browser_token",
    "came_by_history",
    "draws_fragments",
    "is_drawing",
    "of_all_pages",
    "page_now",
    "programs",
]

MADE_FOR = "1.67"


def _context() -> ScriptRunContext:
    context = get_script_run_ctx()
    assert context is not None, "nothing is drawn outside a run of a script"
    return context


def programs(*elements: str) -> list[str]:
    """The files in which the browser's part of these elements ("DataFrame") is, by their names
    beside Streamlit's own; none for what is not found.
    """
    folder = Path(st.__file__).parent / "static/static/js"
    return [path.name for element in elements for path in sorted(folder.glob(f"{element}.*.js"))]


def is_drawing() -> bool:
    """Whether this thread runs the script of a page."""
    return get_script_run_ctx(suppress_warning=True) is not None


def page_now() -> str:
    """What tells the page that is drawn now from the others."""
    return _context().page_script_hash


def came_by_history() -> bool:
    """Whether the browser's Back or Forward has brought the reader to this page."""
    return _context().is_history_navigation


def draws_fragments() -> bool:
    """Whether this run of the script draws some fragments of the page only, and not all of it."""
    return bool(_context().fragment_ids_this_run)


def address_as_sent() -> dict[str, str]:
    """What the browser's address said when this page was asked for, {name: its last value}.

    st.query_params lacks what is bound to a box inside a container of the page before: Streamlit
    takes that for gone, whether or not this page has the same box.
    """
    sent = parse_qs(_context().query_string, keep_blank_values=True)
    return {name: values[-1] for name, values in sent.items()}


def browser_token() -> bytes:
    """What tells this browser from all others until it is closed, known to it and the server alone;
    empty where there is none, as with server.enableXsrfProtection off. Streamlit masks it anew with
    every answer.
    """
    cookie = st.context.cookies.get(XSRF_COOKIE_NAME)
    token, _ = decode_xsrf_token_string(cookie) if cookie else (None, None)
    return token or b""


def of_all_pages() -> AbstractContextManager[None]:
    """Widgets made inside belong to the whole app, as those of an entry script with st.navigation
    do, and not to one page.

    Else each change of page would drop the model and image from the address and put them back, one
    step of history each. Streamlit has no public call for it without st.navigation, whose first
    deep link after a start fails where there is a pages/ folder.
    """
    context = _context()
    return context.run_with_active_hash(context.pages_manager.main_script_hash)
