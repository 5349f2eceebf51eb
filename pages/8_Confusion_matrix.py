"""Which classes are taken for which; the images in each cell; and whether the model answers one
class only.
"""

import time

import streamlit as st

from vizlib.displays.confusion import ConfusionDisplay
from vizlib.run.predictions import class_scores
from vizlib.run.verdict import COLLAPSED, HEALTHY, UNJUDGED
from vizlib.ui import page
from vizlib.ui.data import answers as answers_of
from vizlib.ui.data import caches
from vizlib.ui.frame import film_slider, guard, status
from vizlib.ui.frame.address import chosen
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import cell_images
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import charts

NONE = "none"


def show(run, picture):
    status.title("Confusion matrix", run)
    others = [one.run_id for one in caches.run_list()[0] if one.run_id != run.run_id]
    other = chosen(
        "Beside it", [NONE, *others], key="beside", help="A second run, side by side.", word="run"
    )
    step = film_slider.pick(run)
    if other == NONE:
        one_run(run, "first", step, wide=True)
        return
    with st.container(key="stacks_runs"):
        left, right = st.columns(2, gap="large")
    second = next(one for one in caches.run_list()[0] if one.run_id == other)
    for column, one, place in ((left, run, "first"), (right, second, "second")):
        with column, sentences(*guard.IN_PAGE):
            one_run(one, place, step, wide=False)


def one_run(run, place, step, wide):
    answers = answers_of.at(run, step)
    verdict = answers.verdict
    say = {COLLAPSED: st.error, HEALTHY: st.success, UNJUDGED: st.info}.get(
        verdict.level, st.warning
    )
    say(
        f"**{plain(run.run_id)}.** {plain(verdict.sentence)}"
        + (
            f"  \n{plain(verdict.cause)} Try: {plain('; '.join(verdict.remedies))}."
            if verdict.cause
            else ""
        )
    )
    if answers.predictions is None:
        st.caption(
            f"On the validation images, {answers.moment}. No single answers are stored of "
            "them, so there are no images of a cell."
        )
    start = time.perf_counter()
    display = ConfusionDisplay(answers.counts, list(run.class_names))
    keys = {axis: f"{axis}_{place}" for axis in ("true", "predicted")}
    selected = tuple(
        run.class_names.index(name)
        if (name := st.session_state.get(key)) in run.class_names
        else None
        for key in keys.values()
    )
    selected = None if None in selected or answers.predictions is None else selected
    with st.container(key=f"stacks_{place}"):  # the table goes below the matrix in a narrow window
        matrix, table = (
            st.columns([1.5, 1], gap="medium") if wide else (st.container(), st.container())
        )
    with matrix:
        figure = display.plot(selected, dark=charts.is_dark(), narrow=not wide)
        seconds = time.perf_counter() - start
        clicked = (
            (lambda chart: take_click(chart, keys, run.class_names))
            if answers.predictions
            else None
        )
        charts.steady(figure, key=f"matrix_{place}", on_select=clicked, config=charts.CAMERA_ONLY)
        text = (
            f"{run.run_id} on {display.counts.sum():,} images: "
            f"{answers.of}{status.took([run], 'drawn', seconds)}."
        ) + ("" if wide else " Whole percents of the row.")
        caption(text, f"{run.run_id}-confusion", csv=display.csv)
    with table:
        scores_table(run, verdict, display)
    if answers.predictions is not None:
        cell_images.show(run, answers.predictions, display.counts, keys, across=8 if wide else 4)


def take_click(chart, keys, class_names):
    """Copy a click on a cell into the pickers below: the chart forgets it when it is redrawn."""
    points = st.session_state[chart].selection.points
    if points:
        place = points[0]["customdata"]
        true, predicted = (
            int(place[str(axis)] if isinstance(place, dict) else place[axis]) for axis in (0, 1)
        )
        st.session_state[keys["true"]], st.session_state[keys["predicted"]] = (
            class_names[true],
            class_names[predicted],
        )


def scores_table(run, verdict, display):
    precision, recall, counts = class_scores(display.counts)
    st.dataframe(
        {"class": run.class_names, "precision": precision, "recall": recall, "images": counts},
        width="stretch",
        height=min(420, 40 + 35 * len(run.class_names)),
        hide_index=True,
        column_config={
            name: st.column_config.ProgressColumn(
                format="%.2f", min_value=0, max_value=1, width="small"
            )
            for name in ("precision", "recall")
        },
    )
    kappa = "quadratic kappa" if run.config.ordered else "kappa"
    st.caption(
        f"{verdict.classes_predicted} of {len(run.class_names)} classes ever answered, "
        f"accuracy {verdict.accuracy:.3f}, always answering the commonest class "
        f"{verdict.majority_share:.3f}, "
        f"balanced accuracy {verdict.balanced_accuracy:.3f} (chance {verdict.chance:.3f}), "
        f"{kappa} {verdict.kappa:.3f}"
    )


page.run(
    show,
    "Confusion matrix",
    keeps=("beside", "true_first", "predicted_first", "true_second", "predicted_second"),
    beside="beside",
    has_film=True,
)
