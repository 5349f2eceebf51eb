"""What runs in the browser: each component a .py beside its .html, .css and .js; and the styles."""

import base64
from pathlib import Path

import streamlit as st

WIDGETS = Path(__file__).parent


def text(name):
    """What a file of this folder holds."""
    return (WIDGETS / name).read_text(encoding="utf-8")


def component(name, *shared):
    """The component of name.html, name.css and name.js, a function that mounts it on a page.
    shared: files that come before its own of the same kind.
    """
    parts = {
        kind: "".join(text(file) for file in (*shared, f"{name}.{kind}") if file.endswith(kind))
        for kind in ("html", "css", "js")
    }
    return st.components.v2.component(f"convscope_{name}", **parts)


def address_of(png):
    """The bytes of a PNG as an address that holds its own content."""
    return "data:image/png;base64," + base64.b64encode(png).decode()
