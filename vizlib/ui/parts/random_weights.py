"""The control: the same pictures of a network that has learned nothing."""

import streamlit as st


def switch() -> bool:
    """Draw the switch of all pages that have such a control, and return whether it is on."""
    return st.toggle(
        "Beside it, the same with random weights",
        key="random",
        help="The same pictures of a network of random weights. What looks alike in both shows the "
        "image and the shape of the network, not what was learned (Adebayo et al., Sanity Checks "
        "for Saliency Maps, 2018).",
        bind="query-params",
        persist_state="session",
    )
