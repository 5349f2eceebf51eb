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
    """Draw one unit of a Layer. is_stored: the maps were kept along the training, so there is
    nothing to take a gradient of. Gives the position in view, (row, column); None without a map.
    """
    values = display.maps[unit]
    if values.size == 1:
        _whole_image(run, layer, unit, values.item())
        return None
    with st.container(key="stacks_unit"):
        large, facts = st.columns([3, 1], gap="large")
    with facts:
        position = _position(display, unit)
        _numbers(layer, values)
        _link_to_unit(run, layer, unit)
        if layer.is_convolution:
            links.link("Filters", "Its filter →", layer=layer.name, unit=unit)
    spans_seen = spans(layer, run.input_size, values.shape)
    influence = {}
    with large:
        if not is_stored:
            influence = _influence(run, picture, layer, unit, position, spans_seen)
        _map_over_input(run, picture, display, unit, scale, position, spans_seen, influence)
        _explain(is_stored)
    return position


def _whole_image(run, layer, unit, value):
    """A unit that answers for the whole image: there is no position to show."""
    is_class = list(layer.output_shape) == [len(run.class_names)]
    name = f" ({plain(run.class_names[unit])})" if is_class else ""
    st.markdown(f"Unit {unit}{name} answers **{value:.4g}** to the whole image.")
    _link_to_unit(run, layer, unit)


def _map_over_input(run, picture, display, unit, scale, position, spans_seen, influence):
    """The map beside the input. influence: what _influence gives of the position, or nothing."""
    place_view.show(
        key="unit",
        name=f"Unit {unit}",
        values=display.maps[unit],
        colours=display.unit_atlas(unit, scale),
        picture=png_bytes(picture.received),
        over=png_bytes(display.overlay(unit, picture.received)),
        size=run.input_size[1:],
        spans=spans_seen,
        position=position,
        on_pick=lambda picked: st.session_state.update(place=f"{picked[0]},{picked[1]}"),
        **influence,
    )
    if spans_seen is None:
        st.info(
            f"What a place sees is not known: {WHY_NOT_KNOWN}. So no pixels are framed as "
            "those that it can depend on.",
            icon=":material/info:",
        )


def _position(display, unit):
    """The position (row, column) that is written in its box and in the address; where none is, or
    none of this map, the unit's strongest.
    """
    shape = display.maps[unit].shape
    _forget_outside(shape)
    text = _position_field()
    position = _written(text)
    if _outside(position, shape):
        st.rerun()
    if text and position is None:
        sentence = (
            f"{text[:40]!r} is no place on a map: it takes two whole numbers, such as 3,5. The "
            "strongest place is shown."
        )
        st.warning(plain(sentence))
    return position or display.strongest(unit)


def _position_field():
    return st.text_input(
        "Place: row, column",
        key="place",
        placeholder="the strongest",
        help="The place that stays framed when nothing is pointed at. Left empty it is that of the "
        "unit's greatest value.",
        bind="query-params",
        persist_state="session",
    )


def _forget_outside(shape):
    """Empty the box, before it is drawn, of a position that this map does not have."""
    as_addressed("place", "", lambda text: text)
    if "place" in st.session_state:
        if _outside(_written(st.session_state.place), shape):
            st.session_state.place = ""
    elif _outside(_written(st.query_params.get("place")), shape):
        # of an address just opened: the box takes it all the same, and can be emptied only when the
        # page is drawn again
        del st.query_params["place"]


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
    if run.is_weightless:
        return
    layer_name = unit_layer(caches.layers(run), layer.name, caches.unit_layers(run))
    if layer_name:
        name = "it" if layer_name == layer.name else f"unit {unit} of {plain(layer_name)}"
        links.link("Unit", f"What {name} looks for →", layer=layer_name, unit=unit)


def _influence(run, picture, layer, unit, position, spans_seen):
    """What the position's effective field adds to the view: colours, the box that holds most of it,
    and what that box is, in words.
    """
    influence, tight = caches.effective_field(run, picture, layer.name, unit, position)
    if tight is None:
        more = "No pixel moves this value: it is silent for this image, and its gradient is zero."
        return dict(heat=heat_png(influence), more=more)
    top, left, bottom, right = tight
    more = (
        f"95 % of the influence on it comes from rows {top} to {bottom - 1}, columns {left} to "
        f"{right - 1}{_share_of_seen(tight, position, spans_seen)}."
    )
    return dict(heat=heat_png(influence), tight=tight, more=more)


def _share_of_seen(tight, position, spans_seen):
    """How much a box is of what the position sees, where that is known."""
    if spans_seen is None:
        return ""
    first, end = spans_seen[0][position[0]]
    left, right = spans_seen[1][position[1]]
    share = (tight[2] - tight[0]) * (tight[3] - tight[1]) / ((end - first) * (right - left))
    return f": {share:.0%} of the pixels that it sees"


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
