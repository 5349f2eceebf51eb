"""A photograph, what a network answers to it, maps of some of its layers, and the film of its
filters: point at a map, and the pixels that this place sees are framed in the photograph, in the
browser.
"""

import streamlit as st

from vizlib.ui.widgets import component

_component = component("living_picture", "framed.css")


def show(*, key, picture, size, answers, sheets, film, seconds, on_pick):
    """Show it; on_pick(sheet, unit) is called before the rerun when a map is clicked.

    picture: an address of the photograph as the network gets it; size: its (height, width).
    answers: [(class name, share in [0, 1])], the likeliest first. sheets: of each layer a
    dictionary of title, words, atlas and the spans rows and columns, empty where they are not
    known. film: [(words, address of a picture)], a frame each, which stands for `seconds`.
    """

    def picked():
        wanted = st.session_state[key].get("pick")
        is_pair = isinstance(wanted, (list, tuple)) and len(wanted) == 2
        if is_pair and all(isinstance(number, (int, float)) for number in wanted):
            on_pick(int(wanted[0]), int(wanted[1]))

    data = dict(
        picture=picture,
        size=list(size),
        answers=[list(answer) for answer in answers],
        sheets=[_sheet(**sheet) for sheet in sheets],
        film=[list(frame) for frame in film],
        seconds=seconds,
    )
    _component(key=key, data=data, on_pick_change=picked)


def _sheet(title, words, atlas, rows, columns):
    """A layer's maps as the browser takes them."""
    return dict(
        title=title,
        words=words,
        src=atlas.data_url,
        across=atlas.columns,
        count=len(atlas.tiles),
        shape=list(atlas.tiles.shape[1:3]),
        filled=[side * atlas.factor / (side * atlas.factor + 1) for side in atlas.tiles.shape[1:3]],
        down=atlas.rows,
        rows=[list(map(int, span)) for span in rows],
        columns=[list(map(int, span)) for span in columns],
    )
