"""Every channel of any layer for one image, in one picture; and one unit large, over the input."""

import numpy as np
import streamlit as st

from vizlib.displays.feature_maps import SCALES
from vizlib.images import png_bytes
from vizlib.layers import default_layer
from vizlib.ui import atlas_view, caches, page
from vizlib.ui.downloads import caption
from vizlib.ui.pickers import chosen, plain, whole_number


def show(run, picture):
    st.title(f"Feature maps of {plain(run.run_id)}")
    if picture is None:
        st.info("Choose an image in the sidebar: a photograph, one of the data set, or one of yours.")
        return
    say_answer(run, picture)
    rows = {row.name: row for row in caches.layers(run)}
    notes = st.container()
    pick, previous, following, scales, units = st.columns([2.6, 0.5, 0.5, 2.2, 1.2], vertical_alignment="bottom")
    names = list(rows)
    for column, label, key, step in ((previous, "◀", "k", -1), (following, "▶", "j", 1)):
        column.button(label, shortcut=key, on_click=move, args=(names, default_layer(list(rows.values())), step), help="the layer before" if step < 0 else "the next layer")
    with pick:
        layer = chosen("Layer", names, key="layer", default=default_layer(list(rows.values())), notes=notes)
    with scales:
        scale = st.segmented_control(
            "Scale",
            SCALES,
            default="layer",
            required=True,
            key="scale",
            bind="query-params",
            persist_state="session",
            help="What the colours span: each map by itself, all maps of the layer, or all layers of the network. Only the last two can be compared.",
        )
    display, seconds = caches.feature_maps(run, picture, layer)
    atlas = caches.maps_atlas(run, picture, layer, scale)
    count, shape = len(display.maps), " × ".join(map(str, rows[layer].output_shape))
    unit = whole_number(f"Unit, of {count}", count - 1, key="unit", place=units)
    is_map = len(rows[layer].output_shape) == 3
    mark = " (crossed)" if is_map else " (zero)"
    dead = f"**{len(display.dead)} of {count} dead for this image**{mark}" if len(display.dead) else "none dead for this image"
    word = "maps" if is_map else "values, one a unit"
    st.markdown(f"**{count} {word}**, {shape}; {dead}. Click one, or move with the arrow keys; J and K change the layer.")
    atlas_view.show(atlas, alt=f"{count} feature maps of {layer}", key="maps", selected=unit, on_pick=lambda tile: st.session_state.update(unit=tile))
    values = display.maps
    text = (
        f"{run.run_id}, {layer} ({rows[layer].kind}, {shape}): mean {values.mean():.3g}, standard deviation {values.std():.3g}, zero in {np.mean(values == 0):.0%} "
        f"of places; image: {picture.title}; scale: {scale}; trained on {run.config['dataset']}; computed in {seconds * 1000:.0f} ms."
    )
    caption(text, f"{run.run_id}-{layer}-maps", png=lambda: atlas.figure_png(text), svg=lambda: atlas.figure_svg(text), csv=display.csv)
    one_unit(run, picture, layer, rows[layer], display, unit, scale)


def move(names, default, step):
    """Go to the next or the previous layer."""
    now = st.session_state.get("layer") or default
    position = names.index(now) if now in names else 0
    st.session_state.layer = names[(position + step) % len(names)]


def say_answer(run, picture):
    probabilities, _ = caches.answer(run, picture)
    best = np.argsort(-probabilities)[:3]
    answers = ", ".join(f"**{plain(run.class_names[label])}** {probabilities[label]:.0%}" for label in best)
    truth = "" if picture.label is None else f" The truth is **{plain(run.class_names[picture.label])}**: {'right' if picture.label == best[0] else 'wrong'}."
    st.markdown(f"It answers {answers}.{truth}")


def one_unit(run, picture, layer, row, display, unit, scale):
    values = display.maps[unit]
    if values.size == 1:  # it answers for the whole image: there is no place to show
        name = f" ({plain(run.class_names[unit])})" if list(row.output_shape) == [len(run.class_names)] else ""
        st.markdown(f"Unit {unit}{name} answers **{values.item():.4g}** to the whole image.")
        return
    over, map_large, facts = st.columns([1, 1.25, 0.9], gap="large")
    with over:
        st.markdown(f"Unit {unit} over the input")
        overlay = display.overlay(unit, picture.received)
        st.caption("The image in grey; in colour, the brighter the larger the value, of either sign.")
        st.image(png_bytes(overlay, max(1, 400 // max(overlay.shape[:2]))), alt=f"where unit {unit} answers", output_format="PNG", width="stretch")
    with map_large:
        st.markdown(f"Its map, {values.shape[0]} × {values.shape[1]}: point at it for values")
        st.plotly_chart(display.plot_unit(unit, scale), width="stretch", key="unit_map", config={"displayModeBar": False})
    with facts:
        st.markdown("In numbers")
        st.markdown(
            f"least {values.min():.4g}  \nmean {values.mean():.4g}  \ngreatest {values.max():.4g}  \nzero in {np.mean(values == 0):.0%} of places  \n"
            f"one value sees {' × '.join(map(str, row.receptive_field))} input pixels"
        )
        if row.is_convolution:
            page.link("2_Filters", "Its filter →", filter_layer=layer, filter=unit)


page.run(show, "Feature maps", keeps=("layer", "scale", "unit"))
