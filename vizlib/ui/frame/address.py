"""What is chosen, kept across pages and written in the address: boxes that a link fills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from vizlib.errors import UserError, unknown
from vizlib.ui.frame.plain import plain
from vizlib.ui.streamlit_internals import (
    StreamlitAPIException,
    address_as_sent,
    came_by_history,
    page_now,
)

if TYPE_CHECKING:
    from vizlib.datasets import Split
    from vizlib.run.folders import Run
    from vizlib.ui.streamlit_internals import Container

# in the sidebar, and in the address of each page
OF_ALL_PAGES = ("model", "source", "photo", "label", "index")
# in the address of each page that shows layers: what a link does not name of it stays in view
IN_VIEW = ("layer", "unit")
# what they were called when each page had names of its own
_EARLIER_NAMES = {
    "filter_layer": "layer",
    "unit_layer": "layer",
    "film_layer": "layer",
    "filter": "unit",
    "unit_number": "unit",
}
_ASKED = "asked_of_page"
_KEPT: dict[str, Any] = dict(bind="query-params", persist_state="session")


def ask(parameters: dict[str, Any]) -> None:
    """Let the page that is opened next show this, as if its address named it: Streamlit lets nobody
    write a name into the address that a box is bound to.
    """
    st.session_state[_ASKED] = {
        # of several values no box asks for the address by itself
        key: str(value)
        for key, value in parameters.items()
        if not isinstance(value, list)
    }


def opened(is_another_page: bool) -> None:
    """Read the address of a page, before any box is drawn."""
    if not is_another_page:
        st.session_state.pop(_ASKED, None)  # it has been shown
    # Streamlit fills no box from a name that has just been translated: it is read like a new page's
    st.session_state.just_opened = _translate() or is_another_page
    st.session_state.address_as_sent = address_as_sent()


def says_nothing() -> bool:
    """Whether a session has just begun, with an address that names a page and nothing else."""
    return "model" not in st.session_state and not st.query_params


def _translate() -> bool:
    """Turn the names of an earlier address into those of today; whether there were any. Only the
    first page of a session is opened by such a link.
    """
    earlier_names = [name for name in _EARLIER_NAMES if name in st.query_params]
    for earlier in earlier_names:
        name, value = _EARLIER_NAMES[earlier], st.query_params[earlier]
        del st.query_params[earlier]
        if name not in st.session_state and name not in st.query_params:
            st.query_params[name] = value
    return bool(earlier_names)


def chosen(
    label: str,
    options: Sequence[str],
    *,
    key: str,
    default: str | None = None,
    notes: Container | None = None,
    help: str | None = None,
    word: str | None = None,
) -> str:
    """A selectbox whose value is kept and in the address.

    A value in the address that does not exist is named in a sentence, in the container `notes` or
    just above the box, until another one is chosen; `word` is what a value is called there (the
    label, if left out). A value kept from before that is not possible any more, as a layer of
    another model is, gives way to the default.
    """
    if default is None or default not in options:
        default = options[0]
    as_addressed(key, default, lambda text: text if text in options else None)
    wanted = st.query_params.get(key) if key not in st.session_state else None
    if wanted and wanted not in options:
        sentence = plain(unknown(word or label.lower(), wanted, _near(wanted, options)))
        _refuse(key, default, sentence)
    _say_refused(key, default, notes)
    if key in st.session_state and st.session_state[key] not in options:
        # which also corrects the address; the widget's own reset would leave it as it was
        st.session_state[key] = default
    return st.selectbox(
        label, options, index=list(options).index(default), key=key, help=help, **_KEPT
    )


def _refuse(key: str, default: str, sentence: str) -> None:
    """Keep why a value in the address of this page was refused."""
    st.session_state.setdefault("refused", {})[key] = (page_now(), default, sentence)


def _say_refused(key: str, default: str, notes: Container | None) -> None:
    """Say what was refused as long as the box shows its default on that page: a page that follows
    a training is drawn again each second.
    """
    refused = st.session_state.setdefault("refused", {})
    if key not in refused:
        return
    page, instead, sentence = refused[key]
    if (page, instead) == (page_now(), st.session_state.get(key, default)):
        (notes or st).warning(sentence)
    else:
        del refused[key]


def chosen_beside(
    run: Run, label: str, options: Sequence[str], *, key: str, default: str, **words: Any
) -> str:
    """chosen(), for what stands beside the run in view: another run brings its own default with it,
    unless a hand has put something else there.
    """
    run_before, default_before = st.session_state.get(f"{key}_of", (None, None))
    st.session_state[f"{key}_of"] = run.run_id, default
    if run_before != run.run_id and st.session_state.get(key) == default_before is not None:
        st.session_state[key] = default
    return chosen(label, options, key=key, default=default, **words)


def _near(wanted: str, options: Sequence[str]) -> Sequence[str]:
    """The options most like a wrong name, or the first ones."""
    near = get_close_matches(wanted, options, n=8, cutoff=0.3) or list(options)[:8]
    return [*near, "..."] if len(near) < len(options) else options


def whole_number(
    label: str, highest: int, *, key: str, container: Any = st, default: int = 0
) -> int:
    """A number from 0 to `highest`, kept and in the address; the default if the one kept is too
    high. UserError for an address that is none.
    """
    as_addressed(
        key, default, lambda text: int(text) if text.isdecimal() and len(text) < 16 else None
    )
    if key in st.session_state and st.session_state[key] > highest:
        st.session_state[key] = default
    try:
        return int(container.number_input(label, 0, highest, default, key=key, **_KEPT))
    except (OverflowError, ValueError) as error:  # what Streamlit makes of ?unit=1e400
        raise UserError(
            f"{key!r} in the address is no whole number from 0 to {highest}: remove it, or "
            "open the page from the menu."
        ) from error


def as_addressed(key: str, default: Any, possible: Callable[[str], Any]) -> None:
    """On a page just opened, by a link or by Back, the address says what is chosen; what it does
    not name has its default, or after a link stays as it was on the page before, if it is one of
    IN_VIEW.

    Streamlit would keep what was chosen on the page before, or on this one when it was left.
    possible(text): the value that a text of the address stands for, None if there is none such.
    """
    if not st.session_state.get("just_opened"):
        return
    wanted = as_wanted(key)
    value = default if wanted is None else possible(wanted)
    if value is None:
        return
    st.session_state[key] = value
    if key in IN_VIEW and key not in st.query_params and value != default:
        with suppress(StreamlitAPIException):  # it is still bound to its box, which writes it then
            st.query_params[key] = str(value)


def as_wanted(key: str) -> str | None:
    """What a box that is not drawn yet is asked to show, by the address of a page just opened, or
    by what was chosen before; None where that is its default.
    """
    if key in st.session_state.get(_ASKED, {}):
        return st.session_state[_ASKED][key]
    kept = str(st.session_state[key]) if key in st.session_state else None
    if kept is not None and not st.session_state.get("just_opened"):
        return kept
    if key not in IN_VIEW:
        return st.query_params.get(key)
    addressed = st.session_state.address_as_sent.get(key)
    return kept if addressed is None and not came_by_history() else addressed


def held_out(split: Split, class_names: list[str], image_number: int) -> dict[str, Any]:
    """What a link says to put a held-out image in view: the parameters of its address. split: the
    images held out from a run, of which image_number is one.
    """
    labels = split.labels
    return dict(
        source="data set",
        label=class_names[labels[image_number]],
        index=int(np.sum(labels[:image_number] == labels[image_number])),
    )
