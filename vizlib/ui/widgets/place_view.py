"""One map beside the picture it was made from: point at a position, and the pixels that it sees are
framed in the picture, at once, in the browser.
"""

import base64

import numpy as np
import streamlit as st

from vizlib.ui.widgets import address_of, component

_component = component("place_view", "framed.css", "choice.css", "arrows.js")


def show(
    *,
    key,
    name,
    values,
    colours,
    picture,
    over,
    size,
    spans,
    position,
    on_pick,
    heat=None,
    tight=None,
    more="",
):
    """Show a map beside its picture; on_pick(position) is called before the rerun when another
    position is fixed, by a click or an arrow key.

    name: what the map is called. values: its float array (h, w); colours: the same as an Atlas of
    one tile. picture, over, heat: PNG bytes, the picture, the map laid over it, and the influence
    on the fixed `position` (row, column), to be laid over it. size: the picture's (height, width)
    in input pixels. spans: as receptive_fields.spans gives them, None where they are not known.
    tight: the box that holds most of the influence, or None; more: what else to say of the fixed
    position.
    """
    state = f"{key}_component"

    def picked():
        wanted = position_of(st.session_state[state].get("place"), values.shape)
        if wanted is not None:
            on_pick(wanted)

    words = dict(name=name, size=list(size), place=list(position), more=more)
    data = words | _map(values, colours) | _pictures(picture, over, heat) | _seen(spans, tight)
    _component(key=state, data=data, on_place_change=picked)


def position_of(wanted, shape):
    """What a browser asks for as (row, column); None where that is no position on the map."""
    is_pair = isinstance(wanted, (list, tuple)) and len(wanted) == 2
    if not is_pair or not all(isinstance(index, (int, float)) for index in wanted):
        return None
    if not all(0 <= index < length for index, length in zip(wanted, shape, strict=True)):
        return None
    return tuple(map(int, wanted))


def _map(values, colours):
    """The map as the browser takes it: its values, their colours and the bar of these."""
    return dict(
        values=base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode(),
        shape=list(values.shape),
        map=address_of(colours.tile_png(0)),
        bar=colours.bar_colours(),
        ends=colours.bar_ends(),
    )


def _pictures(picture, over, heat):
    return dict(
        picture=address_of(picture),
        over=address_of(over),
        heat=address_of(heat) if heat else "",
    )


def _seen(spans, tight):
    """What each position sees, and the box of what moves the fixed one."""
    return dict(
        rows=[list(span) for span in spans[0]] if spans else None,
        columns=[list(span) for span in spans[1]] if spans else None,
        tight=list(tight) if tight else None,
    )
