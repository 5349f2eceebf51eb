"""One unit at a glance: the picture made to excite it, its filter where that can be seen, and the
classes of its strongest images.
"""

import numpy as np
import streamlit as st

from vizlib.displays.filters import FiltersDisplay
from vizlib.displays.units import plot_spread, spread
from vizlib.images import sharp_png
from vizlib.inside.layers import convolutions
from vizlib.inside.patterns import sees_part
from vizlib.inside.receptive_fields import WHY_NOT_KNOWN
from vizlib.ui.data import caches
from vizlib.ui.frame import links
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import made_pictures
from vizlib.ui.widgets import charts

SIZE = 240  # CSS pixels


def show(run, layer, unit, index, control):
    """index: the Index of strongest images, or None. control: whether the picture of random weights
    stands beside the made one.
    """
    with st.container(key="stacks_portrait"):
        made, facts, classes = st.columns([1.2 + control, 0.8, 1.2 + control / 3], gap="medium")
    strongest = index and float(index[layer.name].values[unit][0])
    with made, st.container(key="made_picture"):
        made_picture(run, layer, unit, strongest, control)
    with facts:
        describe(run, layer, unit)
    with classes:
        if index is not None:
            class_spread(run, layer, unit, index)


def made_picture(run, layer, unit, strongest, control):
    """The picture made to excite the unit, and what it is. strongest: the unit's answer to its
    strongest image, or None.
    """
    st.markdown("**The picture made to excite it most**")
    chosen = made_pictures.switches()
    for column, is_control in zip(st.columns(1 + control), (False, True), strict=False):
        with column:
            made = made_pictures.of_unit(run, layer, unit, chosen, is_control)
            draw_made(made, strongest, is_control)
    st.caption(
        "It shows what drives the unit to its extreme, and not how often that is in "
        "images: none of them looks like it."
    )


def draw_made(made, strongest, is_control):
    if made is None:
        return
    picture, value = made
    st.image(
        sharp_png(picture, SIZE),
        alt="the picture made to excite the unit",
        output_format="PNG",
        width=SIZE,
    )
    if is_control:
        st.caption(f"random weights: the unit answers {value:.3g}")
        return
    beside = "" if strongest is None else f", and {strongest:.3g} to the strongest held-out image"
    st.caption(f"the unit answers **{value:.3g}**{beside}")


def describe(run, layer, unit):
    """The unit's filter as colours where it looks at them, what it sees, and the ways on."""
    weight = dict(convolutions(caches.model(run))).get(layer.name)
    if weight is not None and layer.reads_picture and weight.shape[1] == 3:
        st.markdown("**Its filter**")
        kernel = FiltersDisplay.from_weight(weight.float().numpy()).colour_atlas().tiles[unit]
        st.image(
            sharp_png(kernel, 120),
            alt=f"filter {unit}",
            output_format="PNG",
            width=120,
        )
    st.markdown(f"**It sees**  \n{what_it_sees(run, layer)}")
    links.link(
        "Feature maps", "Its map for the image in view →", layer=layer.name, unit=unit, place=""
    )
    if layer.is_convolution:
        links.link("Filters", "Its filter's weights →", layer=layer.name, unit=unit)


def what_it_sees(run, layer):
    """How much of an image a unit of a Layer sees, in words."""
    if layer.receptive_field is None:
        return f"how much is not known: {WHY_NOT_KNOWN}. The whole image is shown"
    field = " × ".join(map(str, layer.receptive_field))
    if sees_part(layer, run.input_size):
        return f"{field} pixels"
    could = f", and could see {field} pixels" if layer.has_maps else ""
    return f"the whole image{could}"


def class_spread(run, layer, unit, index):
    """How the unit's strongest images spread over the classes, each with the way to the images of
    that class in the matrix.
    """
    image_numbers = index[layer.name].image_numbers[unit]
    classes = spread(caches.held_out(run).labels[np.asarray(image_numbers)], run.class_names)
    st.markdown(f"**The classes of its {len(image_numbers)} strongest images**")
    charts.steady(charts.drawn(plot_spread, classes), key="spread", config={"staticPlot": True})
    links.link(
        "Confusion matrix",
        f"{plain(classes[0][0])} in the matrix →",
        true_first=classes[0][0],
        predicted_first=classes[0][0],
    )
