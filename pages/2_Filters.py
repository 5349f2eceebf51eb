"""The filters of any convolution: the first layer in colour, and one filter large with its
numbers.
"""

import time

import numpy as np
import streamlit as st

from vizlib.displays.filters import FiltersDisplay
from vizlib.run import moments
from vizlib.ui import page
from vizlib.ui.data import caches, not_yet
from vizlib.ui.frame import film_slider, links, status
from vizlib.ui.frame.address import whole_number
from vizlib.ui.frame.plain import plain
from vizlib.ui.frame.unit_picker import pick_layer, pick_unit
from vizlib.ui.parts import first_models, weight_views
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import atlas_view


def show(run, picture):
    status.title(f"Filters of {run.run_id}", run, of_weights=True)
    banks = caches.filter_banks(run)
    if not banks:
        st.info(plain(no_filters(run)), icon=not_yet.NotHere.icon)
        weight_views.all_tensors(run)
        return
    notes = st.container()
    pick, number, beside = st.columns([2, 1, 2], gap="medium", vertical_alignment="bottom")
    with pick:
        layer_name = pick_layer(
            run,
            list(banks),
            default=next(iter(banks)),
            notes=notes,
            lacks="there are no filters",
            help="Every convolution of the network, in order.",
        )
    bank = banks[layer_name]
    weights = {name: bank.weight for name, bank in banks.items()}
    weight, moment, note = at_step(run, layer_name, weights, film_slider.pick(run))
    display = FiltersDisplay.from_weight(weight, reads_picture=bank.reads_picture)
    unit = pick_unit("Filter", len(display.weight), number)
    st.caption(f"{caches.words_of(run, layer_name)} {note} {what_is_known(run, bank)}")
    way_to_larger(run)
    all_filters(run, layer_name, display, unit, moment, beside)
    one_filter(run, layer_name, display, unit)
    weight_views.show(run, layer_name, display.weight, moment)


def way_to_larger(run):
    """The way to the model with the largest filters where those in view are smaller."""
    largest = first_models.with_the_largest_filters()
    side, _ = first_models.seen_filters(largest)
    if side > max((3, *caches.filters_shape(run)[2:])):
        links.link(
            "Filters",
            f"Larger ones, {side} × {side}: {plain(largest.run_id)} →",
            model=largest.run_id,
            layer="conv1",
            unit=0,
        )


def no_filters(run):
    """Why there is no picture of a filter, in a sentence."""
    kinds = "tensor of four dimensions" if run.is_bare else "convolution"
    return (
        f"{run.run_id!r} has no filters: no {kinds}, and no first linear layer whose weights are "
        "as many as the values of a picture. How large its tensors are is below."
    )


def what_is_known(run, bank):
    """What else is to be said of the filters in view, as sentences."""
    sentences = []
    if bank.is_linear:
        sentences.append("A linear layer: what each of its units weighs, laid out as the picture.")
    if run.is_bare:
        sentences.append("Only the weights are known, not how the network computes with them.")
    return " ".join(sentences)


def all_filters(run, layer_name, display, unit, moment, container):
    """Every filter of the layer in one picture. container: for the box of input channels."""
    start = time.perf_counter()
    atlas, seen, words = atlas_of(display, container)
    units, channels, *sides = display.weight.shape
    kernel = " × ".join(map(str, sides))
    st.markdown(f"**{units} filters of {kernel}**, {words} Click one, or move with the arrow keys.")
    atlas_view.show(
        atlas,
        alt=f"{units} filters of {layer_name}",
        key="filters",
        selected=unit,
        on_pick=lambda tile: st.session_state.update(unit=tile),
    )
    took = status.took([run], "drawn", time.perf_counter() - start)
    text = (
        f"{run.run_id}, {layer_name}{seen}, {moment}: {units} filters, {channels} input channels, "
        f"{kernel}; greatest absolute weight {display.limit:.3g}; {run.provenance}."
    )
    files(display, atlas, text, f"{run.run_id}-{layer_name}{seen}-{moment}-filters", took)


def files(display, atlas, text, name, more):
    caption(
        text,
        name,
        more,
        png=lambda: atlas.figure_png(text),
        svg=lambda: atlas.figure_svg(text),
        csv=display.csv,
    )


def atlas_of(display, container):
    """(Atlas of all filters, which part of them it shows, what its colours are): in colour, or one
    input channel of them, chosen in the container.
    """
    if display.is_colour:
        words = "red, green and blue together on one scale: grey is zero."
        return display.picture(), "", words
    channel, channels = 0, display.weight.shape[1]
    if channels > 1:
        channel = whole_number(
            f"Input channel, of {channels}", channels - 1, key="channel", container=container
        )
    words = f"what each does with input channel {channel}: blue below zero, red above."
    return display.picture(channel), f", input channel {channel}", words


def at_step(run, layer_name, weights, step):
    """The layer's weight at the step chosen, or the nearest before it of which it is stored:
    (array, its moment in words, a note on it).
    """
    saved = run.best.get("step") if run.best else 0
    first = next(iter(weights))
    stored = {
        stored_step: weight
        for stored_step, weight in caches.snapshots(run).items()
        if weight.shape == weights[first].shape
    }
    end, weight = end_in_words(run, saved), weights[layer_name].float()
    if layer_name != first or not stored:
        kept = f"only {plain(first)} is stored" if stored else "no filters are stored"
        return as_at_end(run, weight, end, kept, step)
    is_end = run.status == "finished" or max(stored) <= (saved or 0)
    if step is None and is_end and not run.is_weightless:
        return weight.numpy(), end, f"The {end}.{never_moved(stored)}"
    return as_stored(run, stored, step)


def as_at_end(run, weight, end, kept, step):
    """The weight in view at any step, as no other is stored: the same three as at_step. kept: what
    is stored instead, in words.
    """
    if run.is_weightless:
        raise not_yet.without(run, "weights")
    note = f"Along the training {kept}; these are the {end}."
    return weight.numpy(), end, f"The {end}." if step is None else note


def as_stored(run, stored, step):
    """What was stored at a step, or last before it: the same three as at_step."""
    fixed = never_moved(stored)
    if step is None and run.is_weightless:
        last = max(stored)
        note = f"As they were at step {last:,}, the last stored.{fixed}"
        return stored[last], f"step {last}", f"{note} {plain(run.missing_weights)}"
    moment = moments.last_up_to(stored, step)
    if moment is None:
        moment = min(stored)
    so_far = f", the last stored before {step:,}" if step is not None else " so far"
    if moment == step:
        so_far = ""
    return stored[moment], f"step {moment}", f"As they were at step {moment:,}{so_far}.{fixed}"


def end_in_words(run, saved):
    """What the weights in view are. saved: the step they are of, None where it is not known."""
    if run.is_imported:
        return "weights of the file"
    if run.status == "finished":
        return "best weights"
    return "best weights so far" if saved is None else f"weights of step {saved:,}, the best so far"


def never_moved(stored):
    if len(stored) > 1 and np.array_equal(stored[min(stored)], stored[max(stored)]):
        return " They are the same at every step: fixed before the training began."
    return ""


def one_filter(run, layer_name, display, unit):
    left, right = st.columns([1, 1], gap="large")
    with left:
        its_channels(layer_name, display, unit)
        if not run.is_bare:
            links_on(layer_name, unit)
    with right:
        its_numbers(display, unit)


def links_on(layer_name, unit):
    """To what a filter does, on other pages."""
    links.link(
        "Feature maps", "What this filter answers to the image →", layer=layer_name, unit=unit
    )
    links.link("Unit", "What it looks for →", layer=layer_name, unit=unit)


def its_channels(layer_name, display, unit):
    """All input channels of a filter, of which one can be picked; and the filter in figures."""
    channels = display.weight.shape[1]
    if channels > 1:
        st.markdown(f"Filter {unit}, its {channels} input channels")
        atlas_view.show(
            display.filter_atlas(unit),
            alt=f"filter {unit} of {layer_name}",
            key="one_filter",
            on_pick=lambda tile: st.session_state.update(kernel=tile),
        )
    kernel = display.weight[unit]
    st.caption(
        f"mean {kernel.mean():.4f}, standard deviation {kernel.std():.4f}, least "
        f"{kernel.min():.4f}, greatest {kernel.max():.4f}"
    )


def its_numbers(display, unit):
    """Each weight of the input channel picked."""
    channel = min(st.session_state.get("kernel", 0), display.weight.shape[1] - 1)
    colour = f" ({('red', 'green', 'blue')[channel]})" if display.is_colour else ""
    st.markdown(f"Filter {unit}, input channel {channel}{colour}, with its numbers")
    st.plotly_chart(
        display.plot_kernel(unit, channel),
        width="stretch",
        key="kernel_numbers",
        config={"displayModeBar": False},
    )


page.run(
    show,
    "Filters",
    keeps=("channel", *weight_views.KEEPS),
    has_film=True,
    opens_on=lambda: first_models.with_the_largest_filters().run_id,
)
