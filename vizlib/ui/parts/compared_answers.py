"""Two runs' answers to held-out images: both confusion matrices, their difference, and which images
only one gets right.
"""

import numpy as np
import streamlit as st

from vizlib.displays.confusion import ConfusionDifference, ConfusionDisplay
from vizlib.run import findings
from vizlib.run.predictions import agreement, mcnemar
from vizlib.ui.data import answers
from vizlib.ui.frame import guard
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import charts


def show(first, second):
    st.markdown("#### What they confuse")
    drawn = []
    for number, (column, run) in enumerate(
        zip(st.columns(2, gap="medium"), (first, second), strict=True)
    ):
        with column, sentences(*guard.IN_PAGE):
            drawn.append(matrix(run, f"compared_matrix_{number}"))
    if len(drawn) < 2:
        return
    (answers_of_first, display_of_first), (answers_of_second, display_of_second) = drawn
    left, right = st.columns(2, gap="medium")
    class_by_class(first, second, (display_of_first, display_of_second), left, right)
    with right:
        image_by_image(
            (first, answers_of_first.predictions), (second, answers_of_second.predictions)
        )


def conclusion(first, second):
    """Say which of two runs is better, where that can be said of the same images."""
    stored = [(run, answers.at(run).predictions) for run in (first, second)]
    counts = counted(*stored)
    if counts is not None:
        (_, only_first), (only_second, _) = counts.tolist()
        names = [plain(run.run_id) for run in (first, second)]
        balanced = [predictions.balanced_accuracy for _, predictions in stored]
        st.markdown(findings.better(names, only_first, only_second, balanced))


def matrix(run, key):
    """Draw the confusion matrix of a run: (its Answers, its ConfusionDisplay)."""
    answered = answers.at(run)
    display = ConfusionDisplay(answered.counts, list(run.class_names))
    st.markdown(
        f"**{plain(run.run_id)}**: {answered.verdict.accuracy:.1%} of "
        f"{answered.counts.sum():,} images right"
    )
    st.plotly_chart(
        charts.drawn(display.plot, dark=charts.is_dark(), narrow=True).figure,
        width="stretch",
        key=key,
        config=charts.CAMERA_ONLY,
    )
    text = f"Whole percents of the row; {run.run_id}: {answered.of}."
    caption(text, f"{run.run_id}-confusion", csv=display.csv)
    return answered, display


def class_by_class(first, second, displays, left, right):
    """In two containers the difference of the matrices, and the classes that each recognises
    better; a sentence where the classes of both are not the same.
    """
    if displays[0].class_names == displays[1].class_names:
        display = ConfusionDifference(*displays)
        with left:
            difference(first, second, display)
        right.markdown("**Class by class**")
        right.markdown(gains((first.run_id, second.run_id), display))
        return
    of = " and ".join(
        f"**{plain(run.run_id)}** {len(run.class_names)} "
        f"({plain(', '.join(run.class_names[:3]))} …)"
        for run in (first, second)
    )
    left.info(
        f"There is no difference of the two matrices, as their classes are not the same: {of}."
    )


def difference(first, second, display):
    st.markdown(
        f"**{plain(first.run_id)} minus {plain(second.run_id)}**, in percentage points of the row"
    )
    names = first.run_id, second.run_id
    st.plotly_chart(
        charts.drawn(display.plot, names, charts.is_dark()).figure,
        width="stretch",
        key="difference",
        config=charts.CAMERA_ONLY,
    )
    text = (
        f"Blue: {names[0]} answers so more often; orange: {names[1]} does. The colours end at "
        f"{100 * display.limit:.1f} points; less than half a point is not written."
    )
    caption(text, f"{names[0]}-minus-{names[1]}-confusion", csv=display.csv)


def gains(names, display, most=3):
    """The classes in which each of the two recognises the most more of the images than the other,
    as one line.
    """
    gained = np.nan_to_num(display.shares.diagonal())
    first, second = map(plain, names)
    class_names = display.first.class_names
    return f"{gain(first, gained, class_names, most)} {gain(second, -gained, class_names, most)}"


def gain(name, gained, class_names, most):
    """The classes in which one recognises the most more, in a sentence. gained: the share of each
    class's images that it has more than the other.
    """
    best = [label for label in np.argsort(-gained, kind="stable")[:most] if gained[label] > 0]
    if not best:
        return f"{name} is better in no class."
    listed = ", ".join(
        f"**{plain(class_names[label])}** (+{100 * gained[label]:.1f})" for label in best
    )
    return f"{name} gains the most in {listed}."


def image_by_image(first, second):
    """How many images both, one or none of two runs gets right; first, second: (run, its
    Predictions or None).
    """
    st.markdown("**Image by image**")
    counts = counted(first, second)
    if counts is None:
        st.info(
            "Nothing can be counted image by image: that takes the stored answers of both to "
            "the very same test images."
        )
        return
    st.markdown(counts_table(plain(first[0].run_id), plain(second[0].run_id), counts))
    st.markdown(chance(counts))


def counted(first, second):
    """The images that each gets right or not, as `agreement` counts them; None where that cannot be
    said. first, second: (run, its Predictions or None).
    """
    (run, predictions), (other_run, other_predictions) = first, second
    if predictions is None or other_predictions is None:
        return None
    if run.config.dataset != other_run.config.dataset:
        return None
    return agreement(predictions, other_predictions)


def counts_table(first_name, second_name, counts):
    (both, only_first), (only_second, none) = counts.tolist()
    rows = {
        "both": both,
        f"only **{first_name}**": only_first,
        f"only **{second_name}**": only_second,
        "none of the two": none,
    }
    return "\n".join(
        [
            f"| right | of {counts.sum():,} test images |",
            "|---|--:|",
            *(f"| {who} | {count:,} |" for who, count in rows.items()),
        ]
    )


def chance(counts):
    """How likely so uneven a split is among equals, in words."""
    (_, only_first), (only_second, _) = counts.tolist()
    probability = mcnemar(only_first, only_second)
    shown = f"{probability:.2g}" if probability >= 1e-4 else "below 0.0001"
    return (
        f"If both were equally good, a split of {only_first + only_second:,} images at least "
        f"as uneven as {only_first:,} to {only_second:,} would come about by chance with a "
        f"probability of **{shown}** (exact McNemar test). It speaks of these two trainings; "
        "another seed may fall out otherwise."
    )
