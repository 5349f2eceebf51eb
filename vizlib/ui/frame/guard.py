"""What a reader is told when something is wrong."""

import logging
from contextlib import contextmanager

import streamlit as st

from vizlib.errors import NothingToShow, UserError
from vizlib.ui.data import not_yet
from vizlib.ui.frame.plain import plain

IN_PAGE = ("this page", "Try another model, layer or image.")  # what sentences() say of a page


@contextmanager
def sentences(what="the panel", advice=""):
    """Whatever goes wrong inside, a reader gets a sentence, and the log the trace of what should
    not have happened.

    what: "the panel", "the page", as in a sentence; advice: what to try, as one.
    """
    try:
        yield
    except not_yet.NotYet as error:
        st.info(plain(error), icon=error.icon)
    except NothingToShow as error:
        st.info(plain(error), icon=":material/info:")
    except UserError as error:
        st.error(plain(error))
    except Exception:  # Streamlit's own signals to stop or begin anew are no Exceptions
        logging.getLogger("convscope").exception("in %s", what)
        st.error(
            (
                f"{what[0].upper()}{what[1:]} met something it was not made for; the server's log "
                f"has the details. {advice}"
            ).strip()
        )
