"""An Atlas on a page: one picture, any tile picked by click or by arrow keys, its values shown when
pointed at.
"""

import streamlit as st

from vizlib.ui.widgets import component

_component = component("atlas_view")
# CSS pixels
WIDEST = 1400
WIDEST_TILE = 150


def show(atlas, *, alt, key, selected=-1, on_pick=None, on_press=None, tallest=None):
    """Show an Atlas; on_pick(tile) is called before the rerun when another tile is picked.
    selected: the framed tile, or -1. on_press(tile), in its place: called each time that a tile is
    clicked, or Enter or space pressed on it, also again; the arrow keys then only move the frame.

    tallest: CSS pixels that it may be high; without, it takes the width there is.
    """
    state = f"{key}_component"

    def told(name, act):
        tile = st.session_state[state].get(name, -1)
        if act and isinstance(tile, (int, float)) and 0 <= tile < len(atlas.tiles):
            act(int(tile))

    data = _data(atlas) | dict(selected=selected, alt=alt, widest=_widest(atlas, tallest))
    _component(
        key=state,
        data=data | dict(presses=on_press is not None),
        default={"tile": -1},
        on_tile_change=lambda: told("tile", on_pick),
        on_press_change=lambda: told("press", on_press),
    )


def _data(atlas):
    """An Atlas as the browser takes it."""
    sides = (atlas.tiles.shape[2] * atlas.factor, atlas.tiles.shape[1] * atlas.factor)
    return dict(
        src=atlas.data_url,
        columns=atlas.columns,
        rows=atlas.rows,
        count=len(atlas.tiles),
        filled=[side / (side + 1) for side in sides],  # the rest is gap
        crosses=[list(line) for line in atlas.cross_lines()],
        bar=atlas.bar_colours(),
        ends=atlas.bar_ends(),
        labels=list(atlas.labels[:4096]),
    )


def _widest(atlas, tallest):
    """CSS pixels that an Atlas may be wide."""
    widest = min(WIDEST, atlas.columns * WIDEST_TILE)
    return min(widest, tallest * _width_for_height(atlas)) if tallest else widest


def _width_for_height(atlas):
    height, width = atlas.tiles.shape[1:3]
    return atlas.columns * (width * atlas.factor + 1) / (atlas.rows * (height * atlas.factor + 1))
