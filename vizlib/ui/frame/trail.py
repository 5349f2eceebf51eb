"""The trail: what is in view on every page, as *model › layer › unit › picture*. Each part opens
what it names.
"""

import streamlit as st

from vizlib.images import sharp_png
from vizlib.ui.data import caches
from vizlib.ui.frame import links
from vizlib.ui.frame.address import as_wanted
from vizlib.ui.frame.plain import plain

THUMBNAIL = 34  # CSS pixels


def parts(run):
    """What is in view, as far as it is known before the page has drawn its boxes: (name of the
    layer, the unit), each as a text or None.
    """
    return as_wanted("layer"), as_wanted("unit")


def show(place, run, picture):
    """Draw it in a place, which st.empty() made and which takes the last of several drawings."""
    layer_name, unit = parts(run)
    layer, where = _layer(run, layer_name)
    # without a key: it is drawn twice
    with place.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        links.link("Architecture", f"**{plain(run.run_id)}**", model=run.run_id)
        if layer_name and not run.is_bare:
            _separate()
            links.link("Feature maps", where, layer=layer_name)
            _separate()
            is_unit = layer is None or layer.layout.shape or len(layer.output_shape) == 1
            named = {} if unit is None else {"unit": unit}
            words = "units" if unit is None else f"unit {plain(unit)}"
            links.link("Unit" if is_unit else "Feature maps", words, **named)
        if picture is not None:
            _separate()
            st.image(
                _thumbnail(picture.key, picture.received),
                width=THUMBNAIL,
                output_format="PNG",
                alt=f"the picture in view: {picture.title}",
            )
            links.link("Class evidence", plain(picture.title))


def _separate():
    st.markdown(":gray[›]", width="content")


def _layer(run, layer_name):
    """(The Layer of that name if it is known already, what it is called here): nothing is computed
    for it.
    """
    known = caches.layers_if_known(run)
    for layer in known:
        if layer.name == layer_name:
            words = caches.layer_words(run)[layer_name].rpartition(" · ")[0]
            return layer, f"{words or layer.kind} :small[:gray[{plain(layer_name)}]]"
    return None, plain(layer_name or "")


@st.cache_data(max_entries=256, show_spinner=False)
def _thumbnail(key, _picture):
    return sharp_png(_picture, 2 * THUMBNAIL)
