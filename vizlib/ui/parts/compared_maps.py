"""One image through two networks: what each answers, and the maps of both at the same relative
depth, on one colour scale.
"""

from dataclasses import replace

import streamlit as st

from vizlib.displays.feature_maps import greatest_difference, on_one_scale
from vizlib.images import fit, sharp_png
from vizlib.ui.data import caches
from vizlib.ui.frame import guard, image_picker
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import one_answer
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import atlas_view

ANSWERS = 5


def show(first, second, picture):
    st.markdown("#### The same image through both")
    if picture is None:
        image_picker.ask_for_one()
        return
    kept = dict(bind="query-params", persist_state="session")
    help = (
        "Each half shows the convolution nearest to this share of the way from its first one to "
        "its last one, before normalisation and ReLU."
    )
    share = st.slider("Relative depth", 0, 100, 0, format="%d %%", key="at", help=help, **kept)
    second_name = second.run_id
    if (
        first.config.architecture != second.config.architecture
        and caches.weight_shapes(first)
        and caches.weight_shapes(first) == caches.weight_shapes(second)
    ):
        help = (
            "Both are built of weights of the same names and shapes. With the same in both, what "
            "difference is left comes from how they are written."
        )
        if st.toggle(
            f"The weights of {plain(first.run_id)} in both", key="same_weights", help=help, **kept
        ):
            second, second_name = (
                first.in_form_of(second),
                f"{second.run_id} with the other's weights",
            )
    label = picture.label if first.class_names == second.class_names else None
    sides = (
        (first, first.run_id, picture),
        (
            second,
            second_name,
            replace(picture, received=fit(picture.original, second.input_size), label=label),
        ),
    )
    halves = {}
    for place, (column, (run, name, seen)) in enumerate(
        zip(st.columns(2, gap="medium"), sides, strict=True)
    ):
        with column, sentences(*guard.IN_PAGE):
            halves[place] = name, *half(run, name, seen, share / 100)
    # new ones, so that the maps begin at one height
    displays, columns = ([display for *_, display in halves.values()], st.columns(2, gap="medium"))
    for (place, (name, row, number, display)), atlas in zip(
        halves.items(), on_one_scale(displays), strict=True
    ):
        with columns[place]:
            dead = (
                f", {len(display.dead)} dead (crossed)"
                if len(display.dead) and display.maps[0].size > 1
                else ""
            )
            st.markdown(
                f"**{plain(row.name)}**, {number}: {' × '.join(map(str, row.output_shape))}{dead}"
            )
            atlas_view.show(
                atlas,
                alt=f"{len(display.maps)} maps of {row.name} of {name}",
                key=f"compared_maps_{place}",
            )
            draw_files(
                f"{name}, {row.name}; image: {picture.title}; colours from "
                f"{' to '.join(atlas.bar_ends())}.",
                f"{name}-{row.name}-compared",
                atlas,
                display,
            )
    if len(displays) == 2:
        st.markdown(
            "**One colour scale for both halves**: the same colour is the same value, from "
            f"{' to '.join(atlas.bar_ends())}. {said(*displays)}"
        )


def draw_files(text, name, atlas, display):
    """The caption of a half and its files: in a function of its own, as they are made when asked
    for, after the loop has gone on.
    """
    caption(
        text,
        name,
        png=lambda: atlas.figure_png(text),
        svg=lambda: atlas.figure_svg(text),
        csv=display.csv,
    )


def half(run, name, picture, share):
    """Draw what a network receives and answers; returns the Layer at this share of its depth, which
    one it is, in words, and its FeatureMapsDisplay.
    """
    # here, so that what needs no torch is drawn before it is imported
    from vizlib.inside.layers import at_depth

    answer = one_answer.sentence(run, picture, ANSWERS)
    row, number, count = at_depth(caches.layers(run), share)
    display, _ = caches.feature_maps(run, picture, row.name)
    small, text = st.columns([1, 5], vertical_alignment="center")
    size = " × ".join(map(str, picture.received.shape[:2]))
    small.image(
        sharp_png(picture.received, 96),
        alt=f"what {name} receives: {size}",
        output_format="PNG",
        width="stretch",
    )
    text.markdown(f"**{plain(name)}** gets {size}. {answer}")
    return row, f"{'convolution' if row.is_convolution else 'layer'} {number} of {count}", display


def said(first, second):
    """Whether the values of both layers are the same, in a sentence."""
    found = greatest_difference(first, second)
    if found is None:
        return (
            "The two layers have different shapes, so their values cannot be compared one by one."
        )
    difference, is_rounding = found
    if not difference:
        return "**Both compute the same**: every value is equal to the last bit."
    if is_rounding:
        return (
            f"**Both compute the same**: no value differs by more than {difference:.2g}, which is "
            "rounding."
        )
    return f"The shapes are the same, the values are not: they differ by up to {difference:.3g}."
