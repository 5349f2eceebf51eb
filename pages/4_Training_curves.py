"""How runs learned: loss, accuracy and rate, runs overlaid, both splits, the best checkpoint starred."""

import time

import streamlit as st

from vizlib.displays.curves import AXES, QUANTITIES, CurvesDisplay
from vizlib.ui import caches, page
from vizlib.ui.downloads import caption
from vizlib.ui.pickers import plain

REFRESH_SECONDS = 2


def show(run, picture):
    st.title("Training curves")
    by_id = {one.run_id: one for one in caches.run_list()[0]}
    others = [name for name in by_id if name != run.run_id]
    if "with" in st.session_state:  # a run that is gone, or now in view itself, is beside it no more
        st.session_state["with"] = [name for name in st.session_state["with"] if name in others]
    compared = st.multiselect("Beside it", others, key="with", bind="query-params", persist_state="session", help="Other runs on the same axes.")
    controls = st.columns([2.4, 2, 1.6, 1], vertical_alignment="bottom")
    kept = dict(bind="query-params", persist_state="session", required=True)
    with controls[0]:
        quantity = st.segmented_control("Quantity", list(QUANTITIES), default="accuracy", key="quantity", **kept)
    with controls[1]:
        axis = st.segmented_control("Over", list(AXES), default="epochs", key="axis", **kept)
    smoothing = controls[2].slider("Smoothing", 0.0, 0.99, 0.8, key="smoothing", bind="query-params", help="Of the thin step-by-step line of a loss; the epochs are drawn as they are.")
    log_scale = controls[3].toggle("Log scale", key="log", bind="query-params", disabled=quantity == "accuracy")
    shown = [run.run_id, *compared]
    growing = any(by_id[name].status == "training" for name in shown)

    @st.fragment(run_every=REFRESH_SECONDS if growing else None)
    def curves():
        now = {one.run_id: one for one in caches.run_list()[0]}
        runs = [now[name] for name in shown if name in now]
        draw(runs, quantity, axis, smoothing, log_scale and quantity != "accuracy")
        if growing and not any(one.status == "training" for one in runs):
            st.rerun()

    curves()


def draw(runs, quantity, axis, smoothing, log_scale):
    start = time.perf_counter()
    display = CurvesDisplay.from_runs(runs)
    figure = display.plot(quantity, axis, smoothing, log_scale)
    seconds = time.perf_counter() - start
    st.plotly_chart(figure, width="stretch", key="curves", config={"displaylogo": False, "toImageButtonOptions": {"scale": 2}})
    for run in runs:
        st.markdown(summary(run))
    names = ", ".join(f"{run.run_id} on {run.config['dataset']}" for run in runs)
    text = f"{names}: {quantity} over {axis}, drawn in {seconds * 1000:.0f} ms. Dotted: training "
    text += "images, full: held-out validation images, star: the best checkpoint, chosen on them. The camera above the chart saves it as PNG."
    caption(text, "-".join([run.run_id for run in runs][:4]) + "-curves", csv=display.csv)


def summary(run):
    """One line on how a run stands and where its best checkpoint is."""
    name, best, finished, failed = plain(run.run_id), run.best, run.rows("finished"), run.rows("failed") + run.rows("stopped")
    text = f"**{name}**: {run.status}"
    if best:
        text += f", best checkpoint after epoch {best['epoch']} with a validation accuracy of {best['val_accuracy']:.1%}"
    if finished:
        text += f", {finished[-1]['test_accuracy']:.1%} on the test images, {finished[-1]['seconds']:,.0f} s of training"
    return text + (f". {plain(failed[-1].get('reason', ''))}" if run.status in ("failed", "stopped") and failed else ".")


page.run(show, "Training curves", keeps=("with", "quantity", "axis", "smoothing", "log"))
