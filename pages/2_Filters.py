"""The filters of any convolution: the first layer in colour, and one filter large with its
numbers.
"""

import time

import numpy as np
import streamlit as st

from vizlib.displays.filters import FiltersDisplay
from vizlib.inside.layers import convolutions
from vizlib.run import moments
from vizlib.ui import page
from vizlib.ui.data import caches, not_yet
from vizlib.ui.frame import film_slider, links, status
from vizlib.ui.frame.address import whole_number
from vizlib.ui.frame.plain import plain
from vizlib.ui.frame.unit_picker import pick_layer, pick_unit
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import atlas_view


def show(run, picture):
    status.title(f"Filters of {run.run_id}", run, of_weights=True)
    weights = dict(convolutions(caches.network(run), caches.layers(run)))
    notes = st.container()
    pick, number, beside = st.columns([2, 1, 2], gap="medium", vertical_alignment="bottom")
    with pick:
        layer = pick_layer(
            run,
            list(weights),
            default=next(iter(weights)),
            notes=notes,
            lacks="there are no filters",
            help="Every convolution of the network, in order.",
        )
    weight, moment, note = at_step(run, layer, weights, film_slider.pick(run))
    display = FiltersDisplay.from_weight(weight)
    units, channels = display.weight.shape[:2]
    unit = pick_unit("Filter", units, number)

    st.caption(note)
    start = time.perf_counter()
    kernel = " × ".join(map(str, display.weight.shape[2:]))
    channel = 0
    if display.is_colour:
        st.markdown(
            f"**{units} filters of {kernel}**, red, green and blue together on one scale: "
            "grey is zero. Click one, or move with the arrow keys."
        )
    else:
        if channels > 1:
            channel = whole_number(
                f"Input channel, of {channels}", channels - 1, key="channel", container=beside
            )
        st.markdown(
            f"**{units} filters of {kernel}**, what each does with input channel {channel}: "
            "blue below zero, red above. Click one, or move with the arrow keys."
        )
    atlas = display.picture(channel)
    seen = "" if display.is_colour else f", input channel {channel}"
    name = f"{run.run_id}-{layer}{seen}-{moment}-filters"
    atlas_view.show(
        atlas,
        alt=f"{units} filters of {layer}",
        key="filters",
        selected=unit,
        on_pick=lambda tile: st.session_state.update(unit=tile),
    )
    text = (
        f"{run.run_id}, {layer}{seen}, {moment}: {units} filters, {channels} input channels, "
        f"{kernel}; greatest absolute weight {display.limit:.3g}; "
    )
    text += (
        "trained on "
        f"{run.config.dataset}{status.took([run], 'drawn', time.perf_counter() - start)}."
    )
    caption(
        text,
        name,
        png=lambda: atlas.figure_png(text),
        svg=lambda: atlas.figure_svg(text),
        csv=display.csv,
    )

    one_filter(run, layer, display, unit)


def at_step(run, layer, weights, step):
    """The layer's weight at the step chosen, or the nearest before it of which it is stored:
    (array, its moment in words, a note on it).
    """
    saved, is_over = run.best.get("step") if run.best else 0, run.status == "finished"
    end = (
        "best weights"
        if is_over
        else f"weights of step {saved:,}, the best so far"
        if saved is not None
        else "best weights so far"
    )
    now, first = weights[layer].float(), next(iter(weights))
    stored = {
        at: weight
        for at, weight in caches.snapshots(run).items()
        if weight.shape == weights[first].shape
    }
    if layer != first or not stored:
        if run.is_weightless:
            raise not_yet.without(run, "weights")
        kept = f"only {plain(first)} is stored" if stored else "no filters are stored"
        return (
            now.numpy(),
            end,
            f"The {end}." if step is None else f"Along the training {kept}; these are the {end}.",
        )
    unmoved = len(stored) > 1 and np.array_equal(stored[min(stored)], stored[max(stored)])
    fixed = " They are the same at every step: fixed before the training began." if unmoved else ""
    if step is None and run.is_weightless:
        last = max(stored)
        return (
            stored[last],
            f"step {last}",
            f"As they were at step {last:,}, the last stored.{fixed} {plain(run.missing_weights)}",
        )
    if step is None and (is_over or max(stored) <= (saved or 0)):
        return now.numpy(), end, f"The {end}.{fixed}"
    moment = moments.last_up_to(stored, step)
    if moment is None:
        moment = min(stored)
    so_far = (
        " so far"
        if step is None
        else ""
        if moment == step
        else f", the last stored before {step:,}"
    )
    return stored[moment], f"step {moment}", f"As they were at step {moment:,}{so_far}.{fixed}"


def one_filter(run, layer, display, unit):
    channels = display.weight.shape[1]
    left, right = st.columns([1, 1], gap="large")
    with left:
        if channels > 1:
            st.markdown(f"Filter {unit}, its {channels} input channels")
            atlas_view.show(
                display.filter_atlas(unit),
                alt=f"filter {unit} of {layer}",
                key="one_filter",
                on_pick=lambda tile: st.session_state.update(kernel=tile),
            )
        kernel = display.weight[unit]
        st.caption(
            f"mean {kernel.mean():.4f}, standard deviation {kernel.std():.4f}, least "
            f"{kernel.min():.4f}, greatest {kernel.max():.4f}"
        )
        links.link(
            "Feature maps", "What this filter answers to the image →", layer=layer, unit=unit
        )
        links.link("Unit", "What it looks for →", layer=layer, unit=unit)
    with right:
        channel = min(st.session_state.get("kernel", 0), channels - 1)
        st.markdown(
            f"Filter {unit}, input channel {channel}"
            + (f" ({('red', 'green', 'blue')[channel]})" if display.is_colour else "")
            + ", with its numbers"
        )
        st.plotly_chart(
            display.plot_kernel(unit, channel),
            width="stretch",
            key="kernel_numbers",
            config={"displayModeBar": False},
        )


page.run(show, "Filters", keeps=("channel",), has_film=True)
