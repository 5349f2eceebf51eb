"""What in an image speaks for a class, by several methods, and what the same methods show of a
network that has learned nothing.
"""

import numpy as np
import streamlit as st

from vizlib.images import sharp_png
from vizlib.inside.evidence import class_methods
from vizlib.ui import page
from vizlib.ui.data import caches
from vizlib.ui.frame import guard, image_picker, links, status
from vizlib.ui.frame.address import chosen
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import class_evidence, one_answer, random_weights
from vizlib.ui.parts.class_evidence import Side

NONE = "none"
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}

ON_THE_CONTROL = (
    "**The control** has the same architecture and the random weights that a training "
    "begins with, and its batch normalisation, if any, has seen nothing. "
    "Where its picture looks like the trained network's, that picture comes from the "
    "image and the architecture, and not from what was learned."
)


def show(run, picture):
    status.title(f"Class evidence of {run.run_id}", run, of_weights=True)
    methods = class_methods().values()
    count = NUMBERS.get(len(methods), "several")
    st.markdown(
        f"What in this image speaks for a class? {count.capitalize()} methods ask the network in "
        f"{count} ways. Where they disagree, none of them is the truth."
    )
    caches.model(run)  # a run without weights says so first
    if picture is None:
        image_picker.ask_for_one()
        return
    draw_received(run, picture)
    asked, control = controls(run)
    sides = sides_of(run, picture, asked, control)
    if control:
        st.markdown(ON_THE_CONTROL)
    heads(run, picture, sides)
    for method in methods:
        with sentences(*guard.IN_PAGE):
            class_evidence.show(run, picture, method, sides)


def draw_received(run, picture):
    """What the network gets, and what it answers to that."""
    small, text = st.columns([1, 6], vertical_alignment="center")
    size = " × ".join(map(str, picture.received.shape[:2]))
    small.image(
        sharp_png(picture.received, 128),
        alt=f"what the network gets: {size}",
        output_format="PNG",
        width="stretch",
    )
    with text:
        st.markdown(f"The network gets {size}. {one_answer.sentence(run, picture)}")
        ways_on(run, picture)


def controls(run):
    """Draw what is chosen: (one more class, or NONE; whether random weights stand beside)."""
    pick, switch = st.columns([2, 3], vertical_alignment="bottom")
    with pick:
        asked = chosen("And one more class", [NONE, *run.class_names], key="class", word="class")
    with switch:
        return asked, random_weights.switch()


def sides_of(run, picture, asked, control):
    """The Sides: the answer; the truth where it is known and another, else the runner-up; the class
    asked for; the control.
    """
    order = np.argsort(-caches.logits(run, picture, False)).tolist()
    is_wrong = picture.label not in (None, order[0])
    sides = [Side(order[0], "its answer, and wrong" if is_wrong else "its answer")]
    if is_wrong:
        sides.append(Side(picture.label, "the truth"))
    elif len(order) > 1:
        sides.append(Side(order[1], "the runner-up"))
    wanted = run.class_names.index(asked) if asked != NONE else None
    if wanted is not None and wanted not in [side.target for side in sides]:
        sides.append(Side(wanted, "asked for"))
    if control:
        sides.append(Side(order[0], "random weights", is_control=True))
    return sides


def heads(run, picture, sides):
    """Above each column its class, with what the network answers to it."""
    with st.container(key="stacks_heads"):
        left, _ = st.columns([len(sides), 1.1], gap="medium")
    for column, side in zip(left.columns(len(sides)), sides, strict=True):
        logits = caches.logits(run, picture, side.is_control).astype(np.float64)
        shares = np.exp(logits - logits.max())
        share = shares[side.target] / shares.sum()
        column.markdown(
            f"**{plain(run.class_names[side.target])}**, {side.role}  "
            f"\n:small[:gray[{share:.1%}, logit {logits[side.target]:.3g}]]"
        )


def ways_on(run, picture):
    with st.container(horizontal=True):
        links.link("Feature maps", "Feature maps of this image →")
        if picture.label is not None:
            cell = one_answer.cell(run, picture)
            links.link(
                "Confusion matrix",
                f"All images of {plain(cell['true_first'])} answered "
                f"{plain(cell['predicted_first'])} →",
                **cell,
            )


page.run(show, "Class evidence", keeps=("class", "random"))
