"""What is chosen, kept across pages and written in the address: boxes that a link fills."""

from difflib import get_close_matches

import numpy as np
import streamlit as st

from vizlib.errors import UserError, unknown
from vizlib.ui.frame.plain import plain
from vizlib.ui.streamlit_internals import page_now

# in the sidebar, and in the address of each page
OF_ALL_PAGES = ("model", "source", "photo", "label", "index")


_KEPT = dict(bind="query-params", persist_state="session")


def chosen(label, options, *, key, default=None, notes=None, help=None, word=None):
    """A selectbox whose value is kept and in the address.

    A value in the address that does not exist is named in a sentence, in the container `notes` or
    just above the box, until another one is chosen; `word` is what a value is called there (the
    label, if left out). A value kept from before that is not possible any more, as a layer of
    another model is, gives way to the default.
    """
    default = default if default in options else options[0]
    as_addressed(key, default, lambda text: text if text in options else None)
    wanted = st.query_params.get(key) if key not in st.session_state else None
    refused, here = (
        st.session_state.setdefault("refused", {}),
        page_now(),
    )
    if wanted and wanted not in options:
        refused[key] = (
            here,
            default,
            plain(unknown(word or label.lower(), wanted, _near(wanted, options))),
        )
    # a page that follows a training is drawn again each second
    if key in refused and refused[key][:2] == (here, st.session_state.get(key, default)):
        (notes or st).warning(refused[key][2])
    else:
        refused.pop(key, None)
    if key in st.session_state and st.session_state[key] not in options:
        st.session_state[key] = (
            # which also corrects the address; the widget's own reset would leave it as it was
            default
        )
    return st.selectbox(
        label, options, index=list(options).index(default), key=key, help=help, **_KEPT
    )


def chosen_beside(run, label, options, *, key, default, **words):
    """chosen(), for what stands beside the run in view: another run brings its own default with it,
    unless a hand has put something else there.
    """
    before, st.session_state[f"{key}_of"] = (
        st.session_state.get(f"{key}_of", (None, None)),
        (run.run_id, default),
    )
    if before[0] != run.run_id and st.session_state.get(key) == before[1] is not None:
        st.session_state[key] = default
    return chosen(label, options, key=key, default=default, **words)


def _near(wanted, options):
    """The options most like a wrong name, or the first ones."""
    near = get_close_matches(wanted, options, n=8, cutoff=0.3) or list(options)[:8]
    return [*near, "..."] if len(near) < len(options) else options


def whole_number(label, highest, *, key, place=st):
    """A number from 0 to `highest`, kept and in the address; 0 if the one kept is too high.
    UserError for an address that is none.
    """
    as_addressed(key, 0, lambda text: int(text) if text.isdecimal() and len(text) < 16 else None)
    if key in st.session_state and st.session_state[key] > highest:
        st.session_state[key] = 0
    try:
        return int(place.number_input(label, 0, highest, key=key, **_KEPT))
    except (OverflowError, ValueError) as error:  # what Streamlit makes of ?unit=1e400
        raise UserError(
            f"{key!r} in the address is no whole number from 0 to {highest}: remove it, or "
            "open the page from the menu."
        ) from error


def as_addressed(key, default, possible):
    """On a page just opened, by a link or by Back, the address says what is chosen; what it does
    not name has its default.

    Streamlit would keep what was chosen on the page before, or on this one when it was left.
    possible(text): the value that a text of the address stands for, None if there is none such.
    """
    if st.session_state.get("just_opened"):
        wanted = st.query_params.get(key)
        value = default if wanted is None else possible(wanted)
        if value is not None:
            st.session_state[key] = value


def held_out(data, row):
    """What a link says to put a held-out image in view: the parameters of its address. row: in the
    data set's test images.
    """
    labels = data.splits["test"].labels
    return dict(
        source="data set",
        label=data.class_names[labels[row]],
        index=int(np.sum(labels[:row] == labels[row])),
    )
