"""How runs learned: loss, accuracy and rate, runs overlaid, both splits, the best checkpoint
starred.
"""

import statistics
import time

import streamlit as st

from vizlib.displays.curves import AXES, QUANTITIES, CurvesDisplay
from vizlib.run import findings
from vizlib.ui import page
from vizlib.ui.data import caches, not_yet
from vizlib.ui.frame import film_slider, status
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import logs_brought
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import charts


def show(run, picture):
    status.title(f"Training curves of {run.run_id}")
    runs = [run, *pick_others(run)]
    logs, alone = logs_brought.pick()
    # on a narrow screen they go on in a second line
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        quantity, axis = pick_axes(logs)
        other = logs_brought.pick_other(logs)
        smoothing = pick_smoothing()
        log_scale = st.toggle(
            "Log scale", key="log", bind="query-params", disabled=quantity == "accuracy"
        )
    if alone:
        runs = []
        film_slider.stop()
    until = None if alone else film_slider.pick(run)
    status.say_problems(runs)
    logs = logs_brought.beside(logs, runs)
    log_scale = log_scale and (bool(other) or quantity != "accuracy")
    draw(runs, logs, (other or quantity, axis, smoothing, log_scale, until), other)


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


def pick_axes(logs):
    """(What is drawn, over what): with logs over what one of them has."""
    kept = dict(bind="query-params", persist_state="session", required=True)
    quantity = st.segmented_control(
        "Quantity", list(QUANTITIES), default="accuracy", key="quantity", **kept
    )
    axes = [axis for axis, key in AXES.items() if not logs or any(key in log.axes for log in logs)]
    if st.session_state.get("axis", axes[0]) not in axes:
        st.session_state["axis"] = axes[0]
    axis = st.segmented_control("Over", axes, default=axes[0], key="axis", **kept)
    return quantity, axis


def pick_smoothing():
    help = "Of the thin step-by-step line; the evaluations are drawn as they are."
    return st.slider(
        "Smoothing", 0.0, 0.99, 0.8, key="smoothing", bind="query-params", help=help, width=200
    )


def draw(runs, logs, shown, other):
    """shown: quantity, axis, smoothing, log_scale and until, as CurvesDisplay.plot takes them.
    other: the metric of the logs that is drawn instead of a quantity, or "".
    """
    quantity, axis, *_ = shown
    if not logs and not any(run.events_of("step") or run.events_of("epoch") for run in runs):
        raise without_curves(runs[0])
    start = time.perf_counter()
    display = CurvesDisplay.from_runs(runs) | CurvesDisplay.from_logs(logs, other)
    chart = charts.drawn(display.plot, *shown)
    seconds = time.perf_counter() - start
    charts.steady(chart, key="curves", config=charts.CAMERA)
    for log in display.without(quantity, axis):
        st.caption(plain(f"{log} has no {quantity} over {axis}."))
    for run in runs:
        st.markdown(conclusion(run))
    for log in logs:
        logs_brought.show(log)
    names = [
        f"{run.run_id} on {run.config.dataset}" if run.config.dataset else run.run_id
        for run in runs
    ]
    names += [f"{log.name} ({log.kind})" for log in logs]
    text = (
        f"{', '.join(names)}: {quantity} over {axis}. "
        "Dotted: training images, full: held-out validation images, star: the best checkpoint, "
    )
    text += "chosen on them. "
    if logs:
        text += "Of a log: dashed what it calls test, star the best epoch that it tells of. "
    text += "The camera above the chart saves it as PNG."
    file_name = "-".join([*(run.run_id for run in runs), *(log.name for log in logs)][:4])
    more = " ".join([*map(facts, runs), status.took(runs, "drawn", seconds)])
    caption(text, f"{file_name}-curves", more=more.strip(), csv=display.csv)


def without_curves(run):
    """The NotYet that says why a run has none, and what to do."""
    if run.is_imported and not run.is_bare:
        return not_yet.NotHere(
            f"{run.run_id!r} was trained elsewhere, and its weights hold no curves: drop the log "
            "of its training under 'A log from elsewhere', above."
        )
    return not_yet.without(run, "step")


def conclusion(run):
    """What the curves of a run say, or how it stands as long as it is not finished."""
    finished, best = run.events_of("finished"), run.best
    words = [f"**{plain(run.run_id)}**"]
    if not finished:
        words.append(status.sentence(run))
    words.append(plain(overfits(run)))
    if finished and best:
        words.append(best_epoch(best))
    if finished:
        words.append(f"**{finished[-1]['test_accuracy']:.1%}** of the test images are right.")
    if run.events_of("pictures"):
        words.append(
            "The training images grew to their size at the dashed lines; the validation images "
            "have it throughout."
        )
    return "  ".join(filter(None, words))


def best_epoch(best):
    """Which was the best, of a "checkpoint" event, and by what."""
    text = (
        f"Best epoch: **{best['epoch']:.3g}**, with {best['val_accuracy']:.1%} of the validation "
        "images right; its weights were kept."
    )
    if "balanced_accuracy" in best:
        text += (
            f" It was chosen by the mean over the classes, {best['balanced_accuracy']:.1%}: they "
            "are not equally common, and the accuracy favours the common one."
        )
    return text


def overfits(run):
    """Whether it does, in a sentence; empty as long as that cannot be said."""
    started, grown = run.events_of("started"), run.events_of("pictures")
    return findings.overfitting(
        run.events_of("epoch"),
        images=started[-1].get("val_images") if started else None,
        is_over=not run.is_active,
        whole_from=grown[-1]["step"] if grown else 0,
    )


def facts(run):
    """How fast a run was, on what, and how its weights are stored, for those who ask."""
    words = [f"{run.run_id}:"]
    if finished := run.events_of("finished"):
        words.append(f"{finished[-1]['seconds']:,.0f} s of training on {run.device}.")
    speeds = [event.get("images_per_second") for event in run.events_of("step")]
    if any(speeds):
        speed = statistics.median(filter(None, speeds))
        computed = f", in {run.computed}" if run.computed else ""
        words.append(f"{speed:,.0f} training images a second{computed}.")
    return " ".join(filter(None, [*words, run.packed])) if len(words) > 1 else ""


page.run(
    show,
    "Training curves",
    keeps=("with", "quantity", "axis", "smoothing", "log"),
    beside="with",
    has_film=True,
)
