"""A caption under every figure, with its files: made only when asked for."""

import re

import streamlit as st

from vizlib.ui.frame.plain import plain

_MIME = {"png": "image/png", "svg": "image/svg+xml", "csv": "text/csv", "gif": "image/gif"}


def caption(text, name, more="", **makers):
    """Write the provenance of a figure and a button for each file: caption("...", "conv1", png=f,
    svg=g, csv=h), each f() -> bytes or text. more: what only those look for who ask, shown when the
    mark behind the text is pointed at.
    """
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:80]
    # data sets and runs are named by somebody
    st.caption(plain(text), help=plain(more) if more else None)
    with st.container(horizontal=True):
        for ending, make in makers.items():
            file_name = f"{stem}.{ending}"
            st.download_button(
                ending.upper(),
                data=make,
                file_name=file_name,
                mime=_MIME[ending],
                key=file_name,
                on_click="ignore",
                width="content",
            )
