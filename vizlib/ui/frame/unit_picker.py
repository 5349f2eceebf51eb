"""The layer and the unit in view: one for all pages, kept from page to page and in the address."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import streamlit as st

from vizlib.errors import UserError
from vizlib.inside import patterns
from vizlib.ui.data import caches
from vizlib.ui.frame.address import as_wanted, chosen, whole_number
from vizlib.ui.frame.plain import plain
from vizlib.ui.streamlit_internals import of_all_pages

if TYPE_CHECKING:
    from vizlib.inside.layers import Layer
    from vizlib.run.folders import Run
    from vizlib.ui.streamlit_internals import Container


def pick_layer(
    run: Run,
    names: list[str],
    *,
    default: str,
    notes: Container,
    lacks: str,
    label: str = "Layer",
    help: str | None = None,
) -> str:
    """Draw the box of layers, and return the name of the one that this page shows, one of `names`.

    The layer in view may be none of them, as a ReLU has no filters. It stays in view, in the box
    and in the address, so that other pages show it still; this one shows the nearest of its own,
    and says so in the container `notes`. lacks: what there is not of the layer, as in "Of relu1
    there are no filters, so conv1 is shown."
    """
    layers = _layers(run) if as_wanted("layer") not in (None, *names) else []
    with of_all_pages():
        in_view = chosen(
            label,
            _options(layers, names),
            key="layer",
            default=default,
            notes=notes,
            help=help,
            word="layer",
        )
    if in_view in names:
        return in_view
    shown = nearest(layers, in_view, names)
    notes.caption(f"Of **{plain(in_view)}** {lacks}, so **{plain(shown)}** is shown.")
    return shown


def pick_unit(label: str, count: int, container: Container, strongest: int | None = None) -> int:
    """Draw the box of units, from 0 to count - 1, and return the one in view. strongest: the one
    that this page opens on, and that a change of layer or picture brings with it unless a hand has
    put another one there.
    """
    state = st.session_state
    if strongest is not None:
        if state.get("unit") == state.get("strongest_unit", -1):
            state["unit"] = strongest
        state["strongest_unit"] = strongest
    with of_all_pages():
        return whole_number(
            f"{label}, of {count}",
            count - 1,
            key="unit",
            container=container,
            default=strongest or 0,
        )


def nearest(layers: list[Layer], name: str, names: list[str]) -> str:
    """The one of `names` that stands for the layer `name`: with the same units, as a ReLU's are
    those of the convolution before it; else the last one up to it, or the first of all.
    """
    alike = patterns.unit_layer(layers, name, names)
    if alike:
        return alike
    in_order = [layer.name for layer in layers]
    before = [other for other in in_order[: in_order.index(name)] if other in names]
    return before[-1] if before else names[0]


def _options(layers: list[Layer], names: list[str]) -> list[str]:
    """This page's layers and, in its place among them, the layer in view, if the run has it."""
    wanted = as_wanted("layer")
    in_order = [layer.name for layer in layers]
    if wanted not in in_order:
        return names
    return [name for name in in_order if name in names or name == wanted]


def _layers(run: Run) -> list[Layer]:
    """All Layers of the run; none as long as it has no weights, of which some pages need none."""
    with suppress(UserError):
        return caches.layers(run)
    return []
