"""Two runs' answers to held-out images: both confusion matrices, their difference, and which images
only one gets right.
"""

import numpy as np
import streamlit as st

from vizlib.displays.confusion import ConfusionDifference, ConfusionDisplay
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
            answered = answers.at(run)
            display = ConfusionDisplay(answered.counts, list(run.class_names))
            st.markdown(
                f"**{plain(run.run_id)}**: {answered.verdict.accuracy:.1%} of "
                f"{answered.counts.sum():,} images right"
            )
            st.plotly_chart(
                display.plot(dark=charts.is_dark(), narrow=True),
                width="stretch",
                key=f"compared_matrix_{number}",
                config=charts.CAMERA_ONLY,
            )
            caption(
                f"Whole percents of the row; {run.run_id}: {answered.of}.",
                f"{run.run_id}-confusion",
                csv=display.csv,
            )
            drawn.append((answered, display))
    if len(drawn) < 2:
        return
    (answers_of_first, display_of_first), (answers_of_second, display_of_second) = drawn
    left, right = st.columns(2, gap="medium")
    if display_of_first.class_names == display_of_second.class_names:
        display = ConfusionDifference(display_of_first, display_of_second)
        with left:
            difference(first, second, display)
        right.markdown("**Class by class**")
        right.markdown(gains((first.run_id, second.run_id), display))
    else:
        of = " and ".join(
            (
                f"**{plain(run.run_id)}** {len(run.class_names)} "
                f"({plain(', '.join(run.class_names[:3]))} …)"
            )
            for run in (first, second)
        )
        left.info(
            f"There is no difference of the two matrices, as their classes are not the same: {of}."
        )
    with right:
        image_by_image(
            (first, answers_of_first.predictions), (second, answers_of_second.predictions)
        )


def difference(first, second, display):
    st.markdown(
        f"**{plain(first.run_id)} minus {plain(second.run_id)}**, in percentage points of the row"
    )
    names = first.run_id, second.run_id
    st.plotly_chart(
        display.plot(names, charts.is_dark()),
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
    gained, gains_of_each = np.nan_to_num(display.shares.diagonal()), []
    for name, sign in zip(names, (1, -1), strict=True):
        best = [
            label
            for label in np.argsort(-sign * gained, kind="stable")[:most]
            if sign * gained[label] > 0
        ]
        listed = ", ".join(
            f"**{plain(display.first.class_names[label])}** (+{100 * abs(gained[label]):.1f})"
            for label in best
        )
        gains_of_each.append(
            f"{plain(name)} gains the most in {listed}."
            if best
            else f"{plain(name)} is better in no class."
        )
    return " ".join(gains_of_each)


def image_by_image(first, second):
    """How many images both, one or none of two runs gets right; first, second: (run, its
    Predictions or None).
    """
    st.markdown("**Image by image**")
    both_have_answers = (
        first[1] is not None
        and second[1] is not None
        and first[0].config.dataset == second[0].config.dataset
    )
    counts = agreement(first[1], second[1]) if both_have_answers else None
    if counts is None:
        st.info(
            "Nothing can be counted image by image: that takes the stored answers of both to "
            "the very same test images."
        )
        return
    names = plain(first[0].run_id), plain(second[0].run_id)
    (both, only_first), (only_second, none) = counts.tolist()
    rows = {
        "both": both,
        f"only **{names[0]}**": only_first,
        f"only **{names[1]}**": only_second,
        "none of the two": none,
    }
    st.markdown(
        "\n".join(
            [
                f"| right | of {counts.sum():,} test images |",
                "|---|--:|",
                *(f"| {who} | {count:,} |" for who, count in rows.items()),
            ]
        )
    )
    probability = mcnemar(only_first, only_second)
    shown = f"{probability:.2g}" if probability >= 1e-4 else "below 0.0001"
    st.markdown(
        f"If both were equally good, a split of {only_first + only_second:,} images at least "
        f"as uneven as {only_first:,} to {only_second:,} would come about by chance with a "
        f"probability of **{shown}** (exact McNemar test). It speaks of these two trainings; "
        "another seed may fall out otherwise."
    )
