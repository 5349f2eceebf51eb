"""The filters of any convolution: the first layer in colour, and one filter large with its numbers."""

import time

import streamlit as st

from vizlib.displays.filters import FiltersDisplay
from vizlib.layers import convolutions
from vizlib.ui import atlas_view, caches, page
from vizlib.ui.downloads import caption
from vizlib.ui.pickers import chosen, plain, whole_number

BEST = "best"


def show(run, picture):
    st.title(f"Filters of {plain(run.run_id)}")
    weights = dict(convolutions(caches.model(run), caches.layers(run)))
    notes = st.container()
    pick, number, beside = st.columns([2, 1, 2], gap="medium", vertical_alignment="bottom")
    with pick:
        layer = chosen("Layer", list(weights), key="filter_layer", help="Every convolution of the network, in order.", notes=notes)
    weight = weights[layer].float().numpy()
    steps = caches.snapshots(run) if layer == next(iter(weights)) else {}
    with beside:
        formed_weight, step = formed(weight, steps)
    display = FiltersDisplay.from_weight(formed_weight)
    units, channels = display.weight.shape[:2]
    unit = whole_number(f"Filter, of {units}", units - 1, key="filter", place=number)

    start = time.perf_counter()
    kernel = " × ".join(map(str, display.weight.shape[2:]))
    if display.is_colour:
        st.markdown(f"**{units} filters of {kernel}**, red, green and blue together on one scale: grey is zero. Click one, or move with the arrow keys.")
        atlas = display.colour_atlas()
    else:
        channel = 0
        if channels > 1:
            channel = whole_number(f"Input channel, of {channels}", channels - 1, key="channel", place=beside)
        st.markdown(f"**{units} filters of {kernel}**, what each does with input channel {channel}: blue below zero, red above. Click one, or move with the arrow keys.")
        atlas = display.channel_atlas(channel)
    seen = "" if display.is_colour else f", input channel {channel}"
    name = f"{run.run_id}-{layer}{seen}-step-{step}-filters"
    atlas_view.show(atlas, alt=f"{units} filters of {layer}", key="filters", selected=unit, on_pick=lambda tile: st.session_state.update(filter=tile))
    text = f"{run.run_id}, {layer}{seen}, training step {step}: {units} filters, {channels} input channels, {kernel}; greatest absolute weight {display.limit:.3g}; "
    text += f"trained on {run.config['dataset']}; drawn in {1000 * (time.perf_counter() - start):.0f} ms."
    caption(text, name, png=lambda: atlas.figure_png(text), svg=lambda: atlas.figure_svg(text), csv=display.csv)

    one_filter(run, layer, display, unit)


def formed(weight, steps):
    """The layer's weight at the training step chosen, where there are snapshots of it, and that step's name."""
    if len(steps) < 2:
        return weight, BEST
    marks = {str(step): steps[step] for step in sorted(steps) if steps[step].shape == weight.shape} | {BEST: weight}
    if st.session_state.get("step", BEST) not in marks:
        st.session_state.step = BEST
    help = "How the filters formed, from the first random weights to the best checkpoint."
    step = st.select_slider("Training step", list(marks), value=BEST, key="step", bind="query-params", persist_state="session", help=help)
    return marks[step], step


def one_filter(run, layer, display, unit):
    channels = display.weight.shape[1]
    left, right = st.columns([1, 1], gap="large")
    with left:
        if channels > 1:
            st.markdown(f"Filter {unit}, its {channels} input channels")
            atlas_view.show(display.filter_atlas(unit), alt=f"filter {unit} of {layer}", key="one_filter", on_pick=lambda tile: st.session_state.update(kernel=tile))
        kernel = display.weight[unit]
        st.caption(f"mean {kernel.mean():.4f}, standard deviation {kernel.std():.4f}, least {kernel.min():.4f}, greatest {kernel.max():.4f}")
        page.link("3_Feature_maps", "What this filter answers to the image →", layer=layer, unit=unit)
    with right:
        channel = min(st.session_state.get("kernel", 0), channels - 1)
        st.markdown(f"Filter {unit}, input channel {channel}" + (f" ({('red', 'green', 'blue')[channel]})" if display.is_colour else "") + ", with its numbers")
        st.plotly_chart(display.plot_kernel(unit, channel), width="stretch", key="kernel_numbers", config={"displayModeBar": False})


page.run(show, "Filters", keeps=("filter_layer", "filter", "channel", "step"))
