"""What the network is made of: every layer with its output, its cost and how far it sees."""

import streamlit as st

from vizlib import architectures
from vizlib.displays.architecture import ArchitectureDisplay
from vizlib.inside.layers import folded
from vizlib.inside.receptive_fields import WHY_NOT_KNOWN
from vizlib.ui import page
from vizlib.ui.data import caches, not_yet
from vizlib.ui.frame import status
from vizlib.ui.frame.address import chosen
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import weight_views
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import charts

DEPTHS = ("blocks folded", "every layer")


def show(run, picture):
    status.title(f"Architecture of {run.run_id}", run, of_weights=True)
    if run.is_bare:
        weights_alone(run)
        return
    layers = caches.layers(run)
    st.markdown(plain(architectures.get(run.config.architecture).summary))
    figures(run, layers)
    depth = chosen(
        "Show",
        DEPTHS,
        key="depth",
        word="view",
        help="Folded: a block of layers is one row. A plus marks where a block adds its input to "
        "its result.",
    )
    is_folded = depth == DEPTHS[0]
    shown = folded(layers) if is_folded else layers
    slabs([layer for layer in shown if is_folded or not layer.is_block])
    table(shown, is_folded)
    files(run, layers)


def weights_alone(run):
    """All there is of a network of which only the weights are known."""
    st.info(
        f"Only the weights of {plain(repr(run.run_id))} are here, not how its network computes "
        "with them: which layer follows which, how large maps are and how far each layer sees is "
        "not known.",
        icon=not_yet.NotHere.icon,
    )
    weight_views.all_tensors(run)


def slabs(layers):
    """The layers as bodies beside one another."""
    display = ArchitectureDisplay(layers)
    st.plotly_chart(
        charts.drawn(display.plot).figure,
        width="stretch",
        key="slabs",
        config={"displayModeBar": False},
    )
    st.caption(
        "Height: the size of the maps; width: how many; both logarithmic. Blue: convolution, "
        "green: block, orange: pool, violet: linear, +: residual sum."
    )


def files(run, layers):
    """What the table is of, and its file."""
    size = " × ".join(map(str, run.input_size))
    text = (
        f"{run.run_id}, {run.provenance}, for one image of {size}. The "
        "receptive field is what one value can depend on, in input pixels, not cut at the "
        "border."
    )
    if any(layer.receptive_field is None for layer in layers):
        text += f" Not known: {WHY_NOT_KNOWN}."
    caption(text, f"{run.run_id}-architecture", csv=ArchitectureDisplay(layers).csv)


def figures(run, layers):
    """What the whole network is made of, in four numbers."""
    innermost = [layer for layer in layers if not layer.is_block]
    top = [layer for layer in layers if layer.depth == 0]
    columns = st.columns(4)
    columns[0].metric(
        "Convolutions and linear layers",
        sum(layer.multiply_adds > 0 for layer in innermost),
        help="Convolutions in shortcuts included.",
    )
    # also those of no layer, as a vision transformer's token of the class
    parameters = sum(each.numel() for each in caches.network(run).parameters())
    columns[1].metric("Parameters", f"{parameters:,}")
    columns[2].metric("Multiply-adds an image", f"{sum(layer.multiply_adds for layer in top):,}")
    columns[3].metric("Residual sums", sum(layer.is_sum for layer in layers))


def table(layers, is_folded):
    """A row a layer."""
    numbers = {
        name: st.column_config.NumberColumn(format="localized")
        for name in ("parameters", "multiply-adds")
    }
    st.dataframe(
        [row_of(layer, 0 if is_folded else layer.depth) for layer in layers],
        width="stretch",
        height=min(900, 40 + 35 * len(layers)),
        hide_index=True,
        column_config=numbers | {"details": st.column_config.TextColumn(width="medium")},
    )


def row_of(layer, indent):
    return {
        "layer": "\u2003" * indent + layer.name,
        "kind": layer.kind,
        "sum": "+" if layer.is_sum else "",
        "output": " × ".join(map(str, layer.output_shape)),
        "details": layer.geometry,
        "parameters": layer.parameters,
        "multiply-adds": layer.multiply_adds,
        "receptive field": in_words(layer.receptive_field),
        "stride": " × ".join(map(str, layer.stride or ())),
    }


def in_words(receptive_field):
    if receptive_field is None:
        return "not known"
    return " × ".join(map(str, receptive_field))


page.run(show, "Architecture", keeps=("depth",))
