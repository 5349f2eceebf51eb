"""What one unit looks for: the images that excite it most, what in them does, and the picture that
excites it more than any.
"""

import streamlit as st

from vizlib.inside.layers import at_depth
from vizlib.ui import page
from vizlib.ui.data import caches, not_yet
from vizlib.ui.frame import status
from vizlib.ui.frame.plain import plain
from vizlib.ui.frame.unit_picker import pick_layer, pick_unit
from vizlib.ui.parts import (
    made_pictures,
    random_weights,
    strongest_images,
    unit_portrait,
    unit_sheet,
)


def show(run, picture):
    status.title(f"Units of {run.run_id}", run, of_weights=True)
    if run.is_active:
        raise not_yet.NotYet(
            f"{run.run_id!r} is training: its units change with every step. They show here "
            "once its training has ended; Stop in the sidebar keeps what it has learned."
        )
    caches.model(run)  # says what to do where there are no weights
    layer, unit, control = controls(run, picture)
    name = f"unit {unit} of {plain(layer.name)}"
    if layer.name == caches.unit_layers(run)[-1]:
        name = f"the class {plain(run.class_names[unit])}"
    st.markdown(f"#### What excites {name}")
    st.caption(caches.words_of(run, layer.name))
    index = strongest_images.look_up(run)
    unit_portrait.show(run, layer, unit, index, control)
    if index is not None:
        strongest_images.show(run, layer, unit, index, control)
    unit_sheet.show(run, layer, unit, index)


def controls(run, picture):
    """Draw what is chosen: (Layer, unit, whether random weights stand beside)."""
    layers = {layer.name: layer for layer in caches.layers(run)}
    names = caches.unit_layers(run)
    notes = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        layer_name = pick_layer(
            run,
            names,
            default=default(layers, names),
            notes=notes,
            lacks="no images are looked up",
            help="Every convolution, and the classes.",
        )
        layer = layers[layer_name]
        best = worth_seeing(run, picture, layer)
        unit = pick_unit("Unit", layer.output_shape[0], st.container(width=140), best)
        return layer, unit, random_weights.switch()


def worth_seeing(run, picture, layer):
    """The unit of a layer that the page opens on: whose strongest images are most of one class, as
    one is that looks for wheels; where they are not known, the one that answers the picture in view
    most. None where there is none, or no such map.
    """
    if not layer.layout.shape:
        return None
    shown = strongest_images.SHOWN
    known = caches.unit_of_one_class(run, layer.name, shown) if caches.has_pictures(run) else None
    if known is not None or picture is None:
        return known
    return int(caches.feature_maps(run, picture, layer.name)[0].greatest.argmax())


def default(layers, names):
    """The convolution halfway through the network: its units have learned shapes, and still see a
    part of the image only.
    """
    middle = at_depth(list(layers.values()), 0.5)[0].name
    return middle if middle in names else names[0]


page.run(show, "Unit", keeps=("random", "sheet", *made_pictures.SWITCHES))
