"""One unit of a layer large: its map beside the input, what each of its positions sees there, its
numbers, and the way to its filter.
"""

import re

import numpy as np
import streamlit as st

from vizlib.displays.influence import heat_png
from vizlib.images import png_bytes
from vizlib.inside.patterns import unit_layer
from vizlib.inside.receptive_fields import WHY_NOT_KNOWN, spans
from vizlib.ui.data import caches
from vizlib.ui.frame import links
from vizlib.ui.frame.address import as_addressed
from vizlib.ui.frame.plain import plain
from vizlib.ui.widgets import place_view


def show(run, picture, layer, display, unit, scale, *, is_stored):
    """Draw one unit of a Layer. is_stored: the maps were kept along the training, so there
    is nothing to take a gradient of.
    """
    values = display.maps[unit]
    if values.size == 1:  # it answers for the whole image: there is no position to show
        name = (
            f" ({plain(run.class_names[unit])})"
            if list(layer.output_shape) == [len(run.class_names)]
            else ""
        )
        st.markdown(f"Unit {unit}{name} answers **{values.item():.4g}** to the whole image.")
        _link_to_unit(run, layer, unit)
        return
    with st.container(key="stacks_unit"):
        large, facts = st.columns([3, 1], gap="large")
    with facts:
        position = _position(display, unit)
        _numbers(layer, values)
        _link_to_unit(run, layer, unit)
        if layer.is_convolution:
            links.link("Filters", "Its filter →", layer=layer.name, unit=unit)
    spans_seen = spans(layer, run.input_size, values.shape)
    with large:
        place_view.show(
            key="unit",
            name=f"Unit {unit}",
            values=values,
            colours=display.unit_atlas(unit, scale),
            picture=png_bytes(picture.received),
            over=png_bytes(display.overlay(unit, picture.received)),
            size=run.input_size[1:],
            spans=spans_seen,
            position=position,
            on_pick=lambda picked: st.session_state.update(place=f"{picked[0]},{picked[1]}"),
            **({} if is_stored else _influence(run, picture, layer, unit, position, spans_seen)),
        )
        if spans_seen is None:
            st.info(
                f"What a place sees is not known: {WHY_NOT_KNOWN}. So no pixels are framed as "
                "those that it can depend on.",
                icon=":material/info:",
            )
        _explain(is_stored)


def _position(display, unit):
    """The position (row, column) that is written in its box and in the address; where none is, or
    none of this map, the unit's strongest.
    """
    shape = display.maps[unit].shape
    as_addressed("place", "", lambda text: text)
    if _outside(_written(st.session_state.get("place")), shape):
        st.session_state.place = ""
    elif "place" not in st.session_state and _outside(
        _written(st.query_params.get("place")), shape
    ):
        # of an address just opened: the box takes it all the same, and can be emptied only when the
        # page is drawn again
        del st.query_params["place"]
    text = st.text_input(
        "Place: row, column",
        key="place",
        placeholder="the strongest",
        help="The place that stays framed when nothing is pointed at. Left empty it is that of the "
        "unit's greatest value.",
        bind="query-params",
        persist_state="session",
    )
    position = _written(text)
    if _outside(position, shape):
        st.rerun()
    if text and position is None:
        st.warning(
            plain(
                f"{text[:40]!r} is no place on a map: it takes two whole numbers, such as "
                "3,5. The strongest place is shown."
            )
        )
    return position or display.strongest(unit)


def _written(text):
    numbers = re.fullmatch(r"\s*([0-9]{1,5})\s*,\s*([0-9]{1,5})\s*", text or "")
    return (int(numbers[1]), int(numbers[2])) if numbers else None


def _outside(position, shape):
    return position is not None and not (position[0] < shape[0] and position[1] < shape[1])


def _numbers(layer, values):
    field = layer.receptive_field
    sees = (
        "what one value sees is not known"
        if field is None
        else f"one value sees {' × '.join(map(str, field))} input pixels"
    )
    st.markdown(
        f"least {values.min():.4g}  \nmean {values.mean():.4g}  \ngreatest {values.max():.4g}  "
        f"\nzero in {np.mean(values == 0):.0%} of places  \n{sees}"
    )


def _link_to_unit(run, layer, unit):
    """The way to what the unit looks for: of a layer after a convolution, as a ReLU, that of the
    convolution.
    """
    layer_name = (
        None
        if run.is_weightless
        else unit_layer(caches.layers(run), layer.name, caches.unit_layers(run))
    )
    if layer_name:
        name = "it" if layer_name == layer.name else f"unit {unit} of {plain(layer_name)}"
        links.link("Unit", f"What {name} looks for →", layer=layer_name, unit=unit)


def _influence(run, picture, layer, unit, position, spans_seen):
    """What the position's effective field adds to the view: colours, the box that holds most of it,
    and what that box is, in words.
    """
    influence, tight = caches.effective_field(run, picture, layer.name, unit, position)
    if tight is None:
        return dict(
            heat=heat_png(influence),
            more="No pixel moves this value: it is silent for this image, and its gradient is "
            "zero.",
        )
    more = (
        f"95 % of the influence on it comes from rows {tight[0]} to {tight[2] - 1}, columns "
        f"{tight[1]} to {tight[3] - 1}"
    )
    if spans_seen is None:
        more += "."
    else:
        (first, end), (left, right) = spans_seen[0][position[0]], spans_seen[1][position[1]]
        share = (tight[2] - tight[0]) * (tight[3] - tight[1]) / ((end - first) * (right - left))
        more += f": {share:.0%} of the pixels that it sees."
    return dict(heat=heat_png(influence), tight=tight, more=more)


def _explain(is_stored):
    dashed = (
        " Dashed: the smallest box with 95 % of the influence they do have, for this image "
        "(the effective field, by the gradient: "
        "[Luo et al. 2016](https://arxiv.org/abs/1701.04128))."
    )
    st.caption(
        "Point at the map; a click or the arrow keys fix a place. Solid: the pixels that can "
        "have an influence on its value at all (the theoretical receptive "
        f"field).{'' if is_stored else dashed} In the map over the input, brighter is larger, "
        "of either sign."
    )
