"""One image through two networks: what each answers, and the maps of both at the same relative
depth, on one colour scale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.displays.feature_maps import FeatureMapsDisplay, greatest_difference, on_one_scale
from vizlib.images import sharp_png
from vizlib.ui.data import caches
from vizlib.ui.frame import guard, image_picker
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import one_answer
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import atlas_view

if TYPE_CHECKING:
    from vizlib.inside.layers import Layer

ANSWERS = 5
_KEPT: dict[str, Any] = dict(bind="query-params", persist_state="session")


@dataclass(frozen=True)
class Half:
    """What one half shows. name: the run's; which: "convolution 3 of 7"."""

    name: str
    layer: Layer
    which: str
    display: FeatureMapsDisplay


def show(first, second, picture):
    st.markdown("#### The same image through both")
    if picture is None:
        image_picker.ask_for_one()
        return
    share = pick_depth()
    halves = {}
    sides = sides_of(first, second, picture)
    for number, (column, side) in enumerate(zip(st.columns(2, gap="medium"), sides, strict=True)):
        with column, sentences(*guard.IN_PAGE):
            halves[number] = half(*side, share / 100)
    maps_of(halves, picture)


def pick_depth():
    return st.slider(
        "Relative depth",
        0,
        100,
        0,
        format="%d %%",
        key="at",
        help="Each half shows the convolution nearest to this share of the way from its first one "
        "to its last one, before normalisation and ReLU.",
        **_KEPT,
    )


def maps_of(halves, picture):
    """The maps of the halves, {number: Half}, of which one may have come to nothing, on one
    scale.
    """
    atlases = on_one_scale([drawn.display for drawn in halves.values()])
    columns = st.columns(2, gap="medium")  # new ones, so that the maps begin at one height
    for (number, drawn), atlas in zip(halves.items(), atlases, strict=True):
        with columns[number]:
            draw_maps(drawn, atlas, f"compared_maps_{number}", picture)
    if len(halves) == 2:
        st.markdown(
            "**One colour scale for both halves**: the same colour is the same value, from "
            f"{' to '.join(atlases[0].bar_ends())}. "
            f"{likeness(halves[0].display, halves[1].display)}"
        )


def sides_of(first, second, picture):
    """(run, what it is called, the Picture that it gets) of both halves."""
    second_name = second.run_id
    if _can_share_weights(first, second) and st.toggle(
        f"The weights of {plain(first.run_id)} in both",
        key="same_weights",
        help="Both are built of weights of the same names and shapes. With the same in both, what "
        "difference is left comes from how they are written.",
        **_KEPT,
    ):
        second_name = f"{second.run_id} with the other's weights"
        second = first.in_form_of(second)
    label = picture.label if first.class_names == second.class_names else None
    received = image_picker.received(picture.original, second)
    return (
        (first, first.run_id, picture),
        (second, second_name, replace(picture, received=received, label=label)),
    )


def _can_share_weights(first, second):
    """Whether two networks written in two ways are built of the same weights."""
    shapes = caches.weight_shapes(first)
    is_other_form = first.config.architecture != second.config.architecture
    return bool(is_other_form and shapes and shapes == caches.weight_shapes(second))


def draw_maps(drawn, atlas, key, picture):
    """The maps of a Half, their name above and their files below."""
    layer, display = drawn.layer, drawn.display
    dead = ""
    if len(display.dead) and display.maps[0].size > 1:
        dead = f", {len(display.dead)} dead (crossed)"
    shape = " × ".join(map(str, layer.layout.shape))
    st.markdown(f"**{plain(layer.name)}**, {drawn.which}: {shape}{dead}")
    atlas_view.show(atlas, alt=f"{len(display.maps)} maps of {layer.name} of {drawn.name}", key=key)
    ends = " to ".join(atlas.bar_ends())
    text = f"{drawn.name}, {layer.name}; image: {picture.title}; colours from {ends}."
    caption(
        text,
        f"{drawn.name}-{layer.name}-compared",
        png=lambda: atlas.figure_png(text),
        svg=lambda: atlas.figure_svg(text),
        csv=display.csv,
    )


def half(run, name, picture, share):
    """Draw what a network receives and answers; returns the Half of its layer at this share of its
    depth.
    """
    # here, so that what needs no torch is drawn before it is imported
    from vizlib.inside.layers import at_depth

    answer = one_answer.sentence(run, picture, ANSWERS)
    layer, number, count = at_depth(caches.layers(run), share)
    display, _ = caches.feature_maps(run, picture, layer.name)
    draw_received(name, picture, answer)
    kind = "convolution" if layer.is_convolution else "layer"
    return Half(name, layer, f"{kind} {number} of {count}", display)


def draw_received(name, picture, answer):
    small, text = st.columns([1, 5], vertical_alignment="center")
    size = " × ".join(map(str, picture.received.shape[:2]))
    small.image(
        sharp_png(picture.received, 96),
        alt=f"what {name} receives: {size}",
        output_format="PNG",
        width="stretch",
    )
    text.markdown(f"**{plain(name)}** gets {size}. {answer}")


def likeness(first, second):
    """Whether the values of both layers are the same, in a sentence."""
    compared = greatest_difference(first, second)
    if compared is None:
        return (
            "The two layers have different shapes, so their values cannot be compared one by one."
        )
    difference, is_rounding = compared
    if not difference:
        return "**Both compute the same**: every value is equal to the last bit."
    if is_rounding:
        return (
            f"**Both compute the same**: no value differs by more than {difference:.2g}, which is "
            "rounding."
        )
    return f"The shapes are the same, the values are not: they differ by up to {difference:.3g}."
