"""What a run answers to the image in view, in a sentence."""

import numpy as np
import streamlit as st

from vizlib.ui.data import caches
from vizlib.ui.frame import links
from vizlib.ui.frame.plain import plain

LEAST_SHARE = 0.005  # of an answer, to be said: less would be "0%"


def sentence(run, picture, most=3):
    """The `most` likeliest classes with their probabilities, as far as these are any, and whether
    the first is the truth where that is known, as Markdown.
    """
    probabilities, _ = caches.answer(run, picture)
    best = np.argsort(-probabilities)[:most]
    answers = ", ".join(
        f"**{plain(run.class_names[label])}** {probabilities[label]:.0%}"
        for label in best
        if label == best[0] or probabilities[label] >= LEAST_SHARE
    )
    if picture.label is None:
        return f"It answers {answers}."
    truth = plain(run.class_names[picture.label])
    judged = "right" if picture.label == best[0] else "wrong"
    return f"It answers {answers}. The truth is **{truth}**: {judged}."


def ways_on(run, picture):
    """The ways on from the image in view: to what in it speaks for a class, and where its truth is
    known to its cell of the matrix.
    """
    with st.container(horizontal=True):
        links.link("Class evidence", "What in it speaks for that →")
        if picture.label is not None:
            links.link("Confusion matrix", "Its cell of the matrix →", **cell(run, picture))


def cell(run, picture):
    """The cell of the matrix that the image in view, whose truth is known, falls into: the
    parameters of its address.
    """
    answer = int(caches.answer(run, picture)[0].argmax())
    return dict(true_first=run.class_names[picture.label], predicted_first=run.class_names[answer])
