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
# about, a backward pass counted as two
PASSES = {"Grad-CAM": 3, "integrated gradients": 3 * 64, "occlusion": 200}
STYLES = {"Grad-CAM": "heat", "integrated gradients": "map", "occlusion": "signed"}
WORDS = {
    "Grad-CAM": (
        "**Grad-CAM** shows at which places the last maps raise the class's score. It is no finer "
        "than those maps, and shows nothing of what speaks against the class."
    ),
    "integrated gradients": (
        "**Integrated gradients** show what each pixel adds to the score (red) or takes from it "
        "(blue) on the way from a picture of one colour, the data set's mean, to this one. They do "
        "not show which pixels count only together, and from another colour they would look "
        "otherwise."
    ),
    "occlusion": (
        "**Occlusion** shows how far the score falls (red) or rises (blue) when a patch of the "
        "data set's mean colour covers a place. It does not show what is there twice, as the other "
        "one still counts, and the patch is something that the network sees, too."
    ),
}


@dataclass(frozen=True)
class Side:
    """A column of the page: the evidence for a class, in the trained network or in its control.
    role: why it is shown, in words.
    """

    target: int
    role: str
    is_control: bool = False


def show(run, picture, method, sides):
    """Draw one method: its pictures as far as they are there, and the progress of the others."""
    st.markdown(WORDS[method])
    waiting = st.container()
    with waiting:
        found = {
            side: one for side in sides if (one := evidence(run, picture, side, method)) is not None
        }
    trained, controls = (
        [side for side in found if side.is_control == wanted] for wanted in (False, True)
    )
    displays = {}
    for group in filter(None, (trained, controls)):
        display = EvidenceDisplay(
            np.stack([found[side].values for side in group]),
            picture.received,
            STYLES[method],
            tuple(run.class_names[side.target] for side in group),
        )
        displays |= {side: (display, place) for place, side in enumerate(group)}
    with st.container(key=f"stacks_{method}"):
        left, right = st.columns([len(sides), 1.1], gap="medium")
    for column, side in zip(left.columns(len(sides)), sides, strict=True):
        if side in displays:
            draw(column, run, method, side, *displays[side], found[side].facts)
    if controls and trained:
        likeness = rank_correlation(found[trained[0]].values, found[controls[0]].values)
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
            files(run, picture, method, trained, displays, found[trained[0]].facts)


def evidence(run, picture, side, method):
    """The Evidence of a Side; None as long as it is computed beside the page: then its progress
    stands in this place.
    """
    cost = PASSES[method] * sum(row.multiply_adds for row in caches.layers(run) if row.depth == 0)
    if cost <= AT_ONCE or method == "Grad-CAM":
        return caches.evidence(run, picture, side.target, method, side.is_control)
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
        f"{method[0].upper()}{method[1:]} for "
        f"{plain(run.class_names[side.target])}{', random weights' if side.is_control else ''}"
    )
    done = jobs.result(
        ("evidence", state, picture.key, side.target, method, side.is_control),
        lambda say: compute(model, image, side.target, method, say),
        words,
    )
    return done and done[0]


def compute(*arguments):
    from vizlib.inside import (
        attribution,  # in the thread that computes: Captum takes a second to import
    )

    return attribution.evidence(*arguments)


def draw(column, run, method, side, display, place, facts):
    """One picture, with what can be read from it in numbers."""
    values, name = display.values[place], run.class_names[side.target]
    if method == "Grad-CAM":
        text = f"up to {values.max():.3g}" if values.max() > 0 else "nothing speaks for it"
    elif method == "occlusion":
        text = (
            f"falls by up to {max(values.max(), 0):.3g}, rises by up to {max(-values.min(), 0):.3g}"
        )
    else:
        off = abs(facts["total"] - facts["rise"]) / (abs(facts["rise"]) or 1)
        text = f"adds up to {facts['total']:.3g} of {facts['rise']:.3g} ({off:.1%} off)"
    shown = sharp_png(display.pictures[place], 300)
    weights = " with random weights" if side.is_control else ""
    column.image(
        shown,
        caption=text,
        alt=f"{method} for {name}{weights}",
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
    how = {
        "Grad-CAM": lambda: (
            f"of {facts['layer']}, whose maps are {' × '.join(map(str, facts['size']))}"
        ),
        "integrated gradients": lambda: (
            f"in {facts['steps']} steps, which should add up to what the logit has over that "
            "of the mean colour"
        ),
        "occlusion": lambda: (
            f"by a window of {' × '.join(map(str, facts['window']))} pixels, moved by "
            f"{facts['stride'][0]}"
        ),
    }[method]()
    text = (
        f"Colours from {low} to "
        f"{high}{', larger ones are cut off' if display.style == 'map' else ''}: {method} {how}; "
        f"of the logits of {', '.join(display.class_names)}; {run.run_id}, image: {picture.title}."
    )
    others = [one for side, (one, _) in displays.items() if side.is_control]
    shown = text + (" Last, on a scale of its own: random weights." if others else "")
    caption(
        shown,
        f"{run.run_id}-{method}",
        png=lambda: figure_png([display, *others], shown),
        csv=display.csv,
    )
