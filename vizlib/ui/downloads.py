"""A caption under every figure, with its files: made only when asked for."""

import re

import streamlit as st


def caption(text, name, **makers):
    """Write the provenance of a figure and a button for each file: caption("...", "conv1", png=f, svg=g, csv=h), each f() -> bytes or text."""
    columns = st.columns([1, *([0.11] * len(makers))], vertical_alignment="center")
    columns[0].caption(text)
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:80]
    for column, (ending, make) in zip(columns[1:], makers.items()):
        column.download_button(
            ending.upper(), data=make, file_name=f"{stem}.{ending}", mime=_MIME[ending], key=f"{stem}.{ending}", on_click="ignore", width="stretch"
        )


_MIME = {"png": "image/png", "svg": "image/svg+xml", "csv": "text/csv"}
