"""Every channel of any layer for one image, in one picture; and one unit large, over the input."""

import numpy as np
import streamlit as st

from vizlib.displays.feature_maps import SCALES
from vizlib.images import sharp_png
from vizlib.inside.layers import default_layer
from vizlib.ui import page
from vizlib.ui.data import caches
from vizlib.ui.frame import film_slider, image_picker, status
from vizlib.ui.frame.unit_picker import pick_layer, pick_unit
from vizlib.ui.parts import convolution_at_work, one_answer, one_unit, probe
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import atlas_view


def show(run, picture):
    status.title(f"Feature maps of {run.run_id}", run, of_weights=True)
    layers = {layer.name: layer for layer in caches.layers(run)}
    past = moment_of_film(run)
    shown = say_picture(run, picture) if past is None else past.show()
    if shown is None:
        return
    layer_name, scale, container = controls(run, layers)
    if past is not None:
        layer_name, display, atlas, seconds = past.maps(layer_name, layers, scale)
    else:
        display, seconds = caches.feature_maps(run, shown, layer_name)
        atlas = caches.maps_atlas(run, shown, layer_name, scale)
    layer = layers[layer_name]
    unit = pick_unit("Unit", len(display.maps), container, int(display.greatest.argmax()))
    say_maps(layer, display, caches.words_of(run, layer.name).rpartition(" · ")[0])
    beside, large = st.columns([1, 7], gap="small")
    with beside:
        draw_picture(shown)
    with large:
        all_maps(layer, display, atlas, unit)
    provenance = f"image: {shown.title}; scale: {scale}; {run.provenance}"
    took = status.took([run], "computed", seconds)
    files(run, layer, display, atlas, f"{provenance}.", took)
    position = one_unit.show(run, shown, layer, display, unit, scale, is_stored=past is not None)
    if past is None:
        convolution_at_work.show(run, shown, layer, unit, position)


def say_picture(run, picture):
    """What the network answers to the picture, with the ways on; it is given back."""
    if picture is None:
        image_picker.ask_for_one()
        return None
    st.markdown(one_answer.sentence(run, picture))
    one_answer.ways_on(run, picture)
    return picture


def moment_of_film(run):
    """The stored Moment that the film's slider points at; None for the weights in view."""
    step = film_slider.pick(run)
    return probe.moment(run, step) if step is not None or run.is_weightless else None


def controls(run, layers):
    """Draw what is chosen above the maps: (name of the layer, scale, where the unit's box goes)."""
    notes = st.container()
    names, default = list(layers), default_layer(list(layers.values()))
    # on a narrow screen they go on in a second line
    with st.container(horizontal=True, vertical_alignment="bottom"):
        layer_name = pick_layer(run, names, default=default, notes=notes, lacks="there are no maps")
        for label, key, way in (("◀", "k", -1), ("▶", "j", 1)):
            st.button(
                label,
                shortcut=key,
                on_click=move,
                args=(names, default, way),
                key=f"layer {way}",
                help="the layer before" if way < 0 else "the next layer",
            )
        return layer_name, pick_scale(), st.container(width=140)


def pick_scale():
    return st.segmented_control(
        "Scale",
        SCALES,
        default="layer",
        required=True,
        key="scale",
        bind="query-params",
        persist_state="session",
        help="What the colours span: each map by itself, all maps of the layer, or all layers of "
        "the network. Only the last two can be compared.",
    )


def draw_picture(picture):
    """What the network gets, beside the maps."""
    size = " × ".join(map(str, picture.received.shape[:2]))
    st.image(
        sharp_png(picture.received, 200),
        caption=f"the input, {size}",
        alt=f"what the network gets: {picture.title}",
        output_format="PNG",
        width="stretch",
    )


def say_maps(layer, display, words):
    """What is to be known of a layer's maps. words: the layer's number and kind."""
    count, shape = len(display.maps), " × ".join(map(str, layer.layout.shape))
    is_map = layer.has_maps
    dead = "none dead for this image"
    if len(display.dead):
        mark = "crossed" if is_map else "zero"
        dead = f"**{len(display.dead)} of {count} dead for this image** ({mark})"
    what = f"{count} {'maps' if is_map else 'values, one a unit'}"
    st.markdown(
        f"{words}: **{what}**, {shape}; {dead}. Click one, or move with the "
        "arrow keys; J and K change the layer."
    )
    if layer.layout.words:
        st.caption(layer.layout.words)


def all_maps(layer, display, atlas, unit):
    """Every map of the layer in one picture."""
    atlas_view.show(
        atlas,
        alt=f"{len(display.maps)} feature maps of {layer.name}",
        key="maps",
        selected=unit,
        on_pick=lambda tile: st.session_state.update(unit=tile),
    )


def files(run, layer, display, atlas, provenance, more):
    """The caption of the maps and their files."""
    values, shape = display.maps, " × ".join(map(str, layer.output_shape))
    text = (
        f"{run.run_id}, {layer.name} ({layer.kind}, {shape}): mean {values.mean():.3g}, standard "
        f"deviation {values.std():.3g}, zero in {np.mean(values == 0):.0%} of places; {provenance}"
    )
    caption(
        text,
        f"{run.run_id}-{layer.name}-maps",
        more,
        png=lambda: atlas.figure_png(text),
        svg=lambda: atlas.figure_svg(text),
        csv=display.csv,
    )


def move(names, default, way):
    """Go to the next or the previous layer."""
    now = st.session_state.get("layer") or default
    position = names.index(now) if now in names else 0
    st.session_state.layer = names[(position + way) % len(names)]


page.run(show, "Feature maps", keeps=("scale", "place"), has_film=True)
