"""Which classes are taken for which; the images in each cell; and whether the model answers one
class only.
"""

import time
from functools import partial

import streamlit as st

from vizlib.displays.confusion import ConfusionDisplay
from vizlib.run import findings
from vizlib.ui import page
from vizlib.ui.data import answers as answers_of
from vizlib.ui.data import caches
from vizlib.ui.frame import film_slider, guard, status
from vizlib.ui.frame.address import chosen
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import cell_images, confused, import_test, verdict_box
from vizlib.ui.parts.downloads import caption
from vizlib.ui.train_panel import mend
from vizlib.ui.widgets import charts

NONE = "none"


def show(run, picture):
    status.title(f"Confusion matrix of {run.run_id}", run)
    others = [each.run_id for each in caches.run_list()[0] if each.run_id != run.run_id]
    other = chosen(
        "Beside it", [NONE, *others], key="beside", help="A second run, side by side.", word="run"
    )
    step = film_slider.pick(run)
    if other == NONE:
        one_run(run, "first", step, wide=True)
        return
    with st.container(key="stacks_runs"):
        left, right = st.columns(2, gap="large")
    second = next(each for each in caches.run_list()[0] if each.run_id == other)
    for column, shown, which in ((left, run, "first"), (right, second, "second")):
        with column, sentences(*guard.IN_PAGE):
            one_run(shown, which, step, wide=False)


def one_run(run, which, step, wide):
    """The verdict, matrix, table and images of one run. which: "first" or "second"."""
    if not import_test.answered(run):
        return
    answers = answers_of.at(run, step)
    with st.container(key=f"verdict_{which}"):
        say_verdict(run, answers)
    display = ConfusionDisplay(answers.counts, list(run.class_names))
    keys = {axis: f"{axis}_{which}" for axis in ("true", "predicted")}
    with st.container(key=f"stacks_{which}"):  # the table goes below the matrix in a narrow window
        matrix, table = (
            st.columns([1.5, 1], gap="medium") if wide else (st.container(), st.container())
        )
    with matrix:
        draw_matrix(run, answers, display, keys, f"matrix_{which}", wide)
    with table:
        scores(run, answers, display, keys, which)
    if answers.predictions is not None:
        with st.container(key=f"images_of_{which}"):
            cell_images.show(run, answers.predictions, display.counts, keys, 8 if wide else 4)
        if confused.has_probabilities(answers.predictions):
            with st.expander("How sure it is of its answers, and how often right"):
                confused.how_sure(answers.predictions, run.run_id)


def say_verdict(run, answers):
    verdict_box.show(run.run_id, answers.verdict)
    unanswered = answers.predictions.unanswered() if answers.predictions is not None else None
    names = [plain(name) for name in run.class_names]
    st.markdown(findings.most_mistaken(answers.counts, names, unanswered))
    if answers.predictions is not None:
        mend.offer(run, answers.verdict)
    else:
        st.caption(
            f"On the validation images, {answers.moment}. No single answers are stored of "
            "them, so there are no images of a cell."
        )


def draw_matrix(run, answers, display, keys, key, wide):
    """The matrix with the cell in view framed, and its file; a click puts another cell in view."""
    start = time.perf_counter()
    clicked, selected = None, None
    if answers.predictions is not None:
        selected = cell_in_view(run.class_names, keys)

        def clicked(chart):
            take_click(chart, keys, run.class_names)

    chart = charts.drawn(display.plot, selected, dark=charts.is_dark(), narrow=not wide)
    took = status.took([run], "drawn", time.perf_counter() - start)
    charts.steady(chart, key=key, on_select=clicked, config=charts.CAMERA_ONLY)
    text = f"{run.run_id} on {display.counts.sum():,} images: {answers.of}."
    if not wide:
        text += " Whole percents of the row."
    caption(text, f"{run.run_id}-confusion", more=took, csv=display.csv)


def cell_in_view(class_names, keys):
    """(true, predicted), as labels; None where one of the boxes has not been drawn yet."""
    names = [st.session_state.get(key) for key in keys.values()]
    if not set(names) <= set(class_names):
        return None
    return tuple(class_names.index(name) for name in names)


def take_click(chart, keys, class_names):
    """Copy a click on a cell into the pickers below: the chart forgets it when it is redrawn."""
    points = st.session_state[chart].selection.points
    if points:
        cell = points[0]["customdata"]
        true, predicted = (
            int(cell[str(axis)] if isinstance(cell, dict) else cell[axis]) for axis in (0, 1)
        )
        put_in_view(class_names, keys, true, predicted)


def put_in_view(class_names, keys, true, predicted):
    st.session_state[keys["true"]] = class_names[true]
    st.session_state[keys["predicted"]] = class_names[predicted]


def scores(run, answers, display, keys, which):
    """The tables beside the matrix; a pair chosen in them is put in view."""
    predictions = answers.predictions
    if predictions is None:
        confused.tables(display, None, which)
    else:
        pick = partial(put_in_view, run.class_names, keys)
        confused.tables(display, predictions.unanswered(), which, pick)
    say_figures(run, answers)


def say_figures(run, answers):
    words = [verdict_box.figures(answers.verdict, len(run.class_names), run.config.ordered)]
    if answers.predictions is not None:
        unanswered = answers.predictions.unanswered()
        words.append(
            confused.figures(answers.counts, unanswered, answers.predictions, run.config.ordered)
        )
    st.caption(", ".join(words))


page.run(
    show,
    "Confusion matrix",
    keeps=("beside", "true_first", "predicted_first", "true_second", "predicted_second"),
    beside="beside",
    has_film=True,
)
