"""An Atlas on a page: one picture, any tile picked by click or by arrow keys, its values shown when
pointed at.
"""

import streamlit as st

from vizlib.ui.widgets import component

_component = component("atlas_view")
WIDEST_TILE = 150  # CSS pixels


def show(atlas, *, alt, key, selected=-1, on_pick=None, tallest=None):
    """Show an Atlas; on_pick(tile) is called before the rerun when another tile is picked.
    selected: the framed tile, or -1.

    tallest: CSS pixels that it may be high; without, it takes the width there is.
    """
    state = f"{key}_component"

    def picked():
        tile = st.session_state[state].get("tile", -1)
        if on_pick and isinstance(tile, (int, float)) and 0 <= tile < len(atlas.tiles):
            on_pick(int(tile))

    _component(
        key=state,
        data=dict(
            src=atlas.data_url,
            columns=atlas.columns,
            rows=atlas.rows,
            count=len(atlas.tiles),
            filled=[
                side * atlas.factor / (side * atlas.factor + 1)
                for side in (atlas.tiles.shape[2], atlas.tiles.shape[1])
            ],  # the rest is gap
            widest=min(
                1400,
                atlas.columns * WIDEST_TILE,
                tallest * _width_for_height(atlas) if tallest else 1400,
            ),
            crosses=[list(line) for line in atlas.cross_lines()],
            bar=atlas.bar_colours(),
            ends=atlas.bar_ends(),
            labels=list(atlas.labels[:4096]),
            selected=selected,
            alt=alt,
        ),
        default={"tile": -1},
        on_tile_change=picked,
    )


def _width_for_height(atlas):
    height, width = atlas.tiles.shape[1:3]
    return atlas.columns * (width * atlas.factor + 1) / (atlas.rows * (height * atlas.factor + 1))
