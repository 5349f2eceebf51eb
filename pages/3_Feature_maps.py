"""Every channel of any layer for one image, in one picture; and one unit large, over the input."""

import numpy as np
import streamlit as st

from vizlib.displays.feature_maps import SCALES
from vizlib.inside.layers import default_layer
from vizlib.ui import page
from vizlib.ui.data import caches
from vizlib.ui.frame import film_slider, image_picker, status
from vizlib.ui.frame.unit_picker import pick_layer, pick_unit
from vizlib.ui.parts import one_answer, one_unit, probe
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import atlas_view


def show(run, picture):
    status.title(f"Feature maps of {run.run_id}", run, of_weights=True)
    rows = {row.name: row for row in caches.layers(run)}
    step, past = film_slider.pick(run), None
    if step is not None or run.is_weightless:
        past = probe.moment(run, step)
    if past is not None:
        picture = past.show()
    elif picture is None:
        image_picker.ask_for_one()
        return
    else:
        st.markdown(one_answer.sentence(run, picture))
        one_answer.ways_on(run, picture)
    notes = st.container()
    names, default = list(rows), default_layer(list(rows.values()))
    # on a narrow screen they go on in a second line
    controls = st.container(horizontal=True, vertical_alignment="bottom")
    with controls:
        layer = pick_layer(run, names, default=default, notes=notes, lacks="there are no maps")
        for label, key, way in (("◀", "k", -1), ("▶", "j", 1)):
            st.button(
                label,
                shortcut=key,
                on_click=move,
                args=(names, default, way),
                key=f"layer {way}",
                help="the layer before" if way < 0 else "the next layer",
            )
        help = (
            "What the colours span: each map by itself, all maps of the layer, or all layers of "
            "the network. Only the last two can be compared."
        )
        scale = st.segmented_control(
            "Scale",
            SCALES,
            default="layer",
            required=True,
            key="scale",
            bind="query-params",
            persist_state="session",
            help=help,
        )
        units = st.container(width=140)
    if past is not None:
        layer, display, atlas, seconds = past.maps(layer, rows, scale)
    else:
        display, seconds = caches.feature_maps(run, picture, layer)
        atlas = caches.maps_atlas(run, picture, layer, scale)
    row, values = rows[layer], display.maps
    count, shape = len(values), " × ".join(map(str, row.output_shape))
    unit = pick_unit("Unit", count, units)
    is_map = len(row.output_shape) == 3
    mark = " (crossed)" if is_map else " (zero)"
    dead = (
        f"**{len(display.dead)} of {count} dead for this image**{mark}"
        if len(display.dead)
        else "none dead for this image"
    )
    st.markdown(
        f"**{count} {'maps' if is_map else 'values, one a unit'}**, {shape}; {dead}. Click "
        "one, or move with the arrow keys; J and K change the layer."
    )
    atlas_view.show(
        atlas,
        alt=f"{count} feature maps of {layer}",
        key="maps",
        selected=unit,
        on_pick=lambda tile: st.session_state.update(unit=tile),
    )
    text = (
        f"{run.run_id}, {layer} ({row.kind}, {shape}): mean {values.mean():.3g}, standard "
        f"deviation {values.std():.3g}, zero in {np.mean(values == 0):.0%} "
        f"of places; image: {picture.title}; scale: {scale}; trained on "
        f"{run.config.dataset}{status.took([run], 'computed', seconds)}."
    )
    caption(
        text,
        f"{run.run_id}-{layer}-maps",
        png=lambda: atlas.figure_png(text),
        svg=lambda: atlas.figure_svg(text),
        csv=display.csv,
    )
    one_unit.show(run, picture, row, display, unit, scale, is_stored=past is not None)


def move(names, default, way):
    """Go to the next or the previous layer."""
    now = st.session_state.get("layer") or default
    position = names.index(now) if now in names else 0
    st.session_state.layer = names[(position + way) % len(names)]


page.run(show, "Feature maps", keeps=("scale", "place"), has_film=True)
