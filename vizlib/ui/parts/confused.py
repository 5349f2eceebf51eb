"""Beside a confusion matrix: each class's figures, the pairs most often confused, one class found
by its name; and how good the probabilities are.
"""

import numpy as np
import streamlit as st

from vizlib.displays.calibration import CalibrationDisplay
from vizlib.run import certainty
from vizlib.run.predictions import class_scores
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import charts

MANY = 20  # classes, from which on one is looked for by its name
MOST_NAMED = 5


def tables(display, unanswered, key, on_pick=None):
    """The classes, and the pairs most confused, of a ConfusionDisplay. on_pick(true, predicted):
    called when a pair is chosen; None where nothing is to be opened.
    """
    classes, pairs = st.tabs(["Classes", "Most confused"])
    with classes:
        if len(display.class_names) > MANY:
            one_class(display, unanswered, f"{key}_found")
        scores_table(display, unanswered)
    with pairs:
        pairs_table(display, f"{key}_pairs", on_pick)


def scores_table(display, unanswered):
    precision, recall, counts = class_scores(display.counts, unanswered)
    st.dataframe(
        {"class": display.class_names, "precision": precision, "recall": recall, "images": counts},
        width="stretch",
        height=min(420, 40 + 35 * len(display.class_names)),
        hide_index=True,
        column_config={
            name: st.column_config.ProgressColumn(
                format="%.2f", min_value=0, max_value=1, width="small"
            )
            for name in ("precision", "recall")
        },
    )


def pairs_table(display, key, on_pick):
    """The fullest cells of wrong answers as a table, of which a row can be chosen."""
    cells = display.most_confused()
    if not cells:
        st.caption("No answer is wrong.")
        return
    names = display.class_names
    picked = st.dataframe(
        {
            "true": [names[true] for true, _ in cells],
            "answered": [names[predicted] for _, predicted in cells],
            "images": [int(display.counts[cell]) for cell in cells],
            "of the row": [float(display.shares[cell]) for cell in cells],
        },
        width="stretch",
        height=min(420, 40 + 35 * len(cells)),
        hide_index=True,
        key=key,
        on_select="ignore" if on_pick is None else lambda: take_pick(key, cells, on_pick),
        selection_mode="single-row",
        column_config={"of the row": st.column_config.NumberColumn(format="percent")},
    )
    if on_pick is not None and picked is not None:
        st.caption("Choose a row to see its images below.")


def take_pick(key, cells, on_pick):
    rows = st.session_state[key].selection.rows
    if rows:
        on_pick(*cells[rows[0]])


def one_class(display, unanswered, key):
    """A class found by typing its name: its figures, and what it is confused with."""
    names = display.class_names
    name = st.selectbox(
        "Find a class",
        names,
        index=None,
        key=key,
        placeholder="type a part of its name",
    )
    if name is None:
        return
    label = names.index(name)
    precision, recall, counts = class_scores(display.counts, unanswered)
    st.markdown(
        f"**{plain(name)}**: {counts[label]:,} images, {recall[label]:.1%} of them recognised; "
        f"{precision[label]:.1%} of the answers *{plain(name)}* are right.  \n"
        f"Taken for {others(display.counts[label], label, names)}.  \n"
        f"Taken for it: {others(display.counts[:, label], label, names)}."
    )


def others(counts, label, names):
    """The commonest classes of a row or column but its own, with their counts, in words."""
    counts = counts.copy()
    counts[label] = 0
    order = [number for number in np.argsort(-counts, kind="stable")[:MOST_NAMED] if counts[number]]
    return ", ".join(f"{plain(names[number])} ({counts[number]:,})" for number in order) or "none"


def figures(confusion, unanswered, predictions, ordered):
    """What answers are worth, in one line, and if there are any their probabilities. predictions:
    the same answers with these; None where there are none.
    """
    words = [f"macro F1 {certainty.macro_f1(confusion, unanswered):.3f}"]
    if ordered:
        words.append(f"within one grade {certainty.within_one(confusion, unanswered):.1%}")
    if has_probabilities(predictions):
        words += [
            f"log loss {certainty.log_loss(predictions):.3f}",
            f"expected calibration error {certainty.calibration(predictions).error:.1%}",
        ]
    return ", ".join(words)


def has_probabilities(predictions):
    """Whether there is any answer with them: all others are no numbers."""
    return predictions is not None and bool(predictions.is_answered.any())


def how_sure(predictions, name):
    """The reliability diagram of the answers."""
    calibration = certainty.calibration(predictions)
    display = CalibrationDisplay(calibration)
    st.plotly_chart(
        charts.drawn(display.plot).figure,
        width="stretch",
        key=f"calibration_{name}",
        config=charts.CAMERA_ONLY,
    )
    sure = float(np.dot(calibration.counts, calibration.confidence) / calibration.counts.sum())
    caption(
        f"{name}: on average {sure:.1%} sure and {predictions.accuracy:.1%} right; on the dotted "
        f"line they would be the same in each of {certainty.BINS} bins (Guo et al. 2017). Pale "
        "bars hold few answers.",
        f"{name}-calibration",
        csv=display.csv,
    )
