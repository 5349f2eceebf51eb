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
    waiting = st.container()
    with waiting:
        evidences = {
            side: its_evidence
            for side in sides
            if (its_evidence := evidence(run, picture, side, method)) is not None
        }
    trained, controls = (
        [side for side in evidences if side.is_control == wanted] for wanted in (False, True)
    )
    displays = {}
    for group in filter(None, (trained, controls)):
        display = EvidenceDisplay(
            np.stack([evidences[side].values for side in group]),
            picture.received,
            method.style,
            tuple(run.class_names[side.target] for side in group),
        )
        displays |= {side: (display, number) for number, side in enumerate(group)}
    with st.container(key=f"stacks_{method.name}"):
        left, right = st.columns([len(sides), 1.1], gap="medium")
    for column, side in zip(left.columns(len(sides)), sides, strict=True):
        if side in displays:
            draw(column, run, method, side, *displays[side], evidences[side].facts)
    if controls and trained:
        likeness = rank_correlation(evidences[trained[0]].values, evidences[controls[0]].values)
        right.markdown(
            "Random weights: "
            + (
                "nothing to compare."
                if likeness is None
                else f"rank correlation **{likeness:.2f}** with the trained network's picture."
            )
        )
    if trained:
        with right:
            files(run, picture, method, trained, displays, evidences[trained[0]].facts)


def evidence(run, picture, side, method):
    """The Evidence of a Side; None as long as it is computed beside the page: then its progress
    stands in this place.
    """
    if is_quick(run, method):
        return caches.evidence(run, picture, side.target, method.name, side.is_control)
    model, image = (
        caches.control(run) if side.is_control else caches.model(run),
        caches.tensor(run, picture),
    )
    state = (
        str(run.folder),
        run.config.architecture,
        run.changed("config.json"),
        run.changed("model.safetensors"),
    )
    words = (
        f"{method.name[0].upper()}{method.name[1:]} for "
        f"{plain(run.class_names[side.target])}{', random weights' if side.is_control else ''}"
    )
    done = jobs.result(
        ("evidence", state, picture.key, side.target, method.name, side.is_control),
        lambda say: compute(model, image, side.target, method.name, say),
        words,
    )
    return done and done[0]


def is_quick(run, method):
    """Whether a method is computed while the page waits."""
    forward = sum(layer.multiply_adds for layer in caches.layers(run) if layer.depth == 0)
    return method.passes <= FEW_PASSES or method.passes * forward <= AT_ONCE


def compute(*arguments):
    # in the thread that computes: Captum takes a second to import
    from vizlib.inside import attribution

    return attribution.evidence(*arguments)


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
    colours, low, high = display.bar()
    st.image(
        png_bytes(colours.repeat(12, axis=0)),
        alt=f"colours from {low} to {high}",
        output_format="PNG",
        width="stretch",
    )
    cut_off = ", larger ones are cut off" if display.style == "map" else ""
    how = f"{method.name} {method.making(facts)}".rstrip()
    text = (
        f"Colours from {low} to {high}{cut_off}: {how}; "
        f"of the logits of {', '.join(display.class_names)}; {run.run_id}, image: {picture.title}."
    )
    others = [other for side, (other, _) in displays.items() if side.is_control]
    shown = text + (" Last, on a scale of its own: random weights." if others else "")
    caption(
        shown,
        f"{run.run_id}-{method.name}",
        png=lambda: figure_png([display, *others], shown),
        csv=display.csv,
    )
