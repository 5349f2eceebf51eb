"""How runs learned: loss, accuracy and rate, runs overlaid, both splits, the best checkpoint
starred.
"""

import statistics
import time

import streamlit as st

from vizlib.displays.curves import AXES, QUANTITIES, CurvesDisplay
from vizlib.ui import page
from vizlib.ui.data import caches, not_yet
from vizlib.ui.frame import film_slider, status
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import charts


def show(run, picture):
    status.title("Training curves")
    runs = [run, *pick_others(run)]
    # on a narrow screen they go on in a second line
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        quantity, axis = pick_axes()
        smoothing = pick_smoothing()
        log_scale = st.toggle(
            "Log scale", key="log", bind="query-params", disabled=quantity == "accuracy"
        )
    status.say_problems(runs)
    draw(
        runs, quantity, axis, smoothing, log_scale and quantity != "accuracy", film_slider.pick(run)
    )


def pick_others(run):
    """The runs chosen to stand beside the one in view."""
    by_id = {other.run_id: other for other in caches.run_list()[0]}
    others = [name for name in by_id if name != run.run_id]
    # a run that is gone, or now in view itself, is beside it no more
    if not set(st.session_state.get("with", ())) <= set(others):
        st.session_state["with"] = [name for name in st.session_state["with"] if name in others]
    compared = st.multiselect(
        "Beside it",
        others,
        key="with",
        bind="query-params",
        persist_state="session",
        help="Other runs on the same axes.",
    )
    return [by_id[name] for name in compared]


def pick_axes():
    """(What is drawn, over what)."""
    kept = dict(bind="query-params", persist_state="session", required=True)
    quantity = st.segmented_control(
        "Quantity", list(QUANTITIES), default="accuracy", key="quantity", **kept
    )
    axis = st.segmented_control("Over", list(AXES), default="epochs", key="axis", **kept)
    return quantity, axis


def pick_smoothing():
    help = "Of the thin step-by-step line; the evaluations are drawn as they are."
    return st.slider(
        "Smoothing", 0.0, 0.99, 0.8, key="smoothing", bind="query-params", help=help, width=200
    )


def draw(runs, quantity, axis, smoothing, log_scale, until):
    if not any(run.events_of("step") or run.events_of("epoch") for run in runs):
        raise not_yet.without(runs[0], "step")
    start = time.perf_counter()
    display = CurvesDisplay.from_runs(runs)
    figure = display.plot(quantity, axis, smoothing, log_scale, until)
    seconds = time.perf_counter() - start
    charts.steady(figure, key="curves", config=charts.CAMERA)
    for run in runs:
        st.markdown(summary(run))
    names = ", ".join(f"{run.run_id} on {run.config.dataset}" for run in runs)
    text = (
        f"{names}: {quantity} over {axis}{status.took(runs, 'drawn', seconds)}. Dotted: training "
        "images, full: held-out validation images, star: the best checkpoint, "
    )
    text += "chosen on them. The camera above the chart saves it as PNG."
    caption(text, "-".join([run.run_id for run in runs][:4]) + "-curves", csv=display.csv)


def summary(run):
    """One line on how a run stands, where its best checkpoint is, and how fast it was."""
    finished = run.events_of("finished")
    text = f"**{plain(run.run_id)}**: "
    text += in_the_end(run.best, finished[-1]) if finished else status.sentence(run)
    text += f" {run.packed}" if run.packed else ""
    steps = run.events_of("step")
    speeds = [step["images_per_second"] for step in steps if step.get("images_per_second")]
    if speeds:
        text += f" {statistics.median(speeds):,.0f} training images a second."
    if run.events_of("pictures"):
        text += (
            " The training images grew to their size at the dashed lines; the validation images "
            "have it throughout."
        )
    return text


def in_the_end(best, finished):
    """What came of a finished run. best: its best "epoch" event, or None; finished: its last
    event.
    """
    text = "finished"
    if best:
        text += (
            f", best checkpoint after epoch {best['epoch']:.3g} with a validation accuracy of "
            f"{best['val_accuracy']:.1%}"
        )
    return (
        f"{text}, {finished['test_accuracy']:.1%} on the test images, "
        f"{finished['seconds']:,.0f} s of training."
    )


page.run(
    show,
    "Training curves",
    keeps=("with", "quantity", "axis", "smoothing", "log"),
    beside="with",
    has_film=True,
)
