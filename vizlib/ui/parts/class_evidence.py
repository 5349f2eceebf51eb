"""The pictures of one method on the page Class evidence: each class shown, on one scale, and the
network with random weights beside them.
"""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from vizlib.displays.attribution import EvidenceDisplay, figure_png, rank_correlation
from vizlib.images import png_bytes, sharp_png
from vizlib.ui.data import caches, jobs
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts.downloads import caption

# multiply-adds, about a tenth of a second; what takes more is computed beside the page
AT_ONCE = 1_500_000_000
FEW_PASSES = 10  # are made at once in any network


@dataclass(frozen=True)
class Side:
    """A column of the page: the evidence for a class, in the trained network or in its control.
    role: why it is shown, in words.
    """

    target: int
    role: str
    is_control: bool = False


def show(run, picture, method, sides):
    """Draw one ClassMethod: its pictures as far as they are there, and how far the others are."""
    st.markdown(method.words)
    with st.container():
        asked = {side: evidence(run, picture, side, method) for side in sides}
    evidences = {side: there for side, there in asked.items() if there is not None}
    displays = displays_of(run, picture, method, evidences)
    with st.container(key=f"stacks_{method.name}"):
        left, right = st.columns([len(sides), 1.1], gap="medium")
    for column, side in zip(left.columns(len(sides)), sides, strict=True):
        if side in displays:
            draw(column, run, method, side, *displays[side], evidences[side].facts)
    trained, controls = parted(evidences)
    if not trained:
        return
    if controls:
        right.markdown(likeness(evidences[trained[0]], evidences[controls[0]]))
    with right:
        files(run, picture, method, trained, displays, evidences[trained[0]].facts)


def parted(sides):
    """(Those of the trained network, those of its control)."""
    return (
        [side for side in sides if not side.is_control],
        [side for side in sides if side.is_control],
    )


def displays_of(run, picture, method, evidences):
    """Of each Side (the EvidenceDisplay that it is in, its number there): the trained network's are
    on one scale, the control's on another.
    """
    displays = {}
    for group in filter(None, parted(evidences)):
        display = EvidenceDisplay(
            np.stack([evidences[side].values for side in group]),
            picture.received,
            method.style,
            tuple(run.class_names[side.target] for side in group),
        )
        displays |= {side: (display, number) for number, side in enumerate(group)}
    return displays


def likeness(trained, control):
    """How alike the Evidence of the trained network and of its control are, in words."""
    correlation = rank_correlation(trained.values, control.values)
    if correlation is None:
        return "Random weights: nothing to compare."
    return (
        f"Random weights: rank correlation **{correlation:.2f}** with the trained network's "
        "picture."
    )


def evidence(run, picture, side, method):
    """The Evidence of a Side; None as long as it is computed beside the page: then its progress
    stands in this place.
    """
    if is_quick(run, method):
        return caches.evidence(run, picture, side.target, method.name, side.is_control)
    image = caches.tensor(run, picture)
    done = jobs.result(
        ("evidence", caches.state(run), picture.key, side.target, method.name, side.is_control),
        lambda say: compute(run, image, side, method.name, say),
        in_words(run, side, method),
    )
    return done and done[0]


def in_words(run, side, method):
    """What is computed beside the page."""
    name = f"{method.name[0].upper()}{method.name[1:]}"
    weights = ", random weights" if side.is_control else ""
    return f"{name} for {plain(run.class_names[side.target])}{weights}"


def is_quick(run, method):
    """Whether a method is computed while the page waits."""
    forward = sum(layer.multiply_adds for layer in caches.layers(run) if layer.depth == 0)
    return method.passes <= FEW_PASSES or method.passes * forward <= AT_ONCE


def compute(run, image, side, method_name, say):
    # in the thread that computes: Captum takes a second to import; and a network is large, for as
    # long as others have their turn
    from vizlib.inside import attribution

    network = caches.network_or_control(run, side.is_control)
    return attribution.evidence(network, image, side.target, method_name, say)


def draw(column, run, method, side, display, number, facts):
    """One picture, with what can be read from it in numbers."""
    values, name = display.values[number], run.class_names[side.target]
    shown = sharp_png(display.pictures[number], 300)
    weights = " with random weights" if side.is_control else ""
    column.image(
        shown,
        caption=method.reading(values, facts),
        alt=f"{method.name} for {name}{weights}",
        output_format="PNG",
        width="stretch",
    )


def files(run, picture, method, trained, displays, facts):
    """The colour bar, how it was computed, and the files."""
    display, _ = displays[trained[0]]
    low, high = colour_bar(display)
    cut_off = ", larger ones are cut off" if display.style == "map" else ""
    how = f"{method.name} {method.making(facts)}".rstrip()
    text = (
        f"Colours from {low} to {high}{cut_off}: {how}; "
        f"of the logits of {', '.join(display.class_names)}; {run.run_id}, image: {picture.title}."
    )
    others = [other for side, (other, _) in displays.items() if side.is_control]
    if others:
        text += " Last, on a scale of its own: random weights."
    caption(
        text,
        f"{run.run_id}-{method.name}",
        png=lambda: figure_png([display, *others], text),
        csv=display.csv,
    )


def colour_bar(display):
    """Draw the bar of an EvidenceDisplay; returns what its two ends are."""
    colours, low, high = display.bar()
    st.image(
        png_bytes(colours.repeat(12, axis=0)),
        alt=f"colours from {low} to {high}",
        output_format="PNG",
        width="stretch",
    )
    return low, high
