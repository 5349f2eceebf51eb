"""All units of a layer in one picture: what each was most excited by, or the picture made to excite
it.
"""

import streamlit as st

from vizlib.displays.units import sheet
from vizlib.inside import patterns
from vizlib.ui.data import caches, jobs
from vizlib.ui.parts import made_pictures
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import atlas_view

PATCHES, MADE = "strongest patch", "made picture"


def show(run, layer, unit, index):
    """index: the Index of strongest images, or None."""
    st.markdown(f"#### All {layer.output_shape[0]} units of the layer")
    kind = pick_kind()
    if kind == PATCHES and not run.config.dataset:
        st.caption(f"There are no patches without a data set: choose the {MADE}.")
    drawn = made(run, layer) if kind == MADE else index and patches(run, layer, index)
    if not drawn:
        return
    atlas, words = drawn
    atlas_view.show(
        atlas,
        alt=f"{layer.output_shape[0]} units of {layer.name}, each by its {kind}",
        key="unit_sheet",
        selected=unit,
        on_pick=lambda tile: st.session_state.update(unit=tile),
    )
    text = f"{run.run_id}, {layer.name}: {words}; {run.provenance}."
    files(atlas, text, f"{run.run_id}-{layer.name}-{kind}")


def pick_kind():
    return st.segmented_control(
        "Each by its",
        (PATCHES, MADE),
        default=PATCHES,
        required=True,
        key="sheet",
        bind="query-params",
        persist_state="session",
    )


def files(atlas, text, name):
    caption(text, name, png=lambda: atlas.figure_png(text), svg=lambda: atlas.figure_svg(text))


def made(run, layer):
    """(Atlas of the pictures made for all units, what it is), or None as long as they are being
    made.
    """
    done = made_pictures.of_layer(run, layer, made_pictures.chosen())
    if done is None:
        return None
    maximised, seconds = done
    labels = [f"unit {unit}: {value:.3g}" for unit, value in enumerate(maximised.values)]
    return sheet(
        patterns.fitting(maximised.pictures), labels
    ), f"for each unit the picture made to excite it most, made in {seconds:.1f} s"


def patches(run, layer, index):
    """(Atlas of the part of an image that excites each unit most, what it is), or None as long as
    they are being cut out.
    """
    split, best = caches.held_out(run), index[layer.name]
    done = jobs.result(
        ("patches", *caches.state(run), caches.are_shipped(run), layer.name),
        lambda say: patterns.patches(split, layer, best, run.input_size, say),
        "Cutting out the strongest patches",
    )
    if done is None:
        return None
    labels = [f"unit {unit}: {values[0]:.3g}" for unit, values in enumerate(best.values)]
    part = (
        "the part that excites it most of"
        if patterns.sees_part(layer, run.input_size)
        else "the strongest of"
    )
    which = f", {caches.from_which(run)}" if caches.are_shipped(run) else ""
    return sheet(done[0], labels), f"for each unit {part} {index.images:,} held-out images{which}"
