"""What the weights say by themselves, of any run that has some: which filters do nothing or the
same, how weights are distributed, how many different things a layer does, where the weights are.
"""

import streamlit as st

from vizlib.displays import filter_check, kernel_frequencies
from vizlib.displays.filter_check import FilterCheckDisplay
from vizlib.displays.filter_spectrum import FilterSpectrumDisplay
from vizlib.displays.kernel_frequencies import KernelFrequenciesDisplay
from vizlib.displays.tensor_sizes import TensorSizesDisplay
from vizlib.displays.weight_histogram import WeightHistogramDisplay
from vizlib.ui.data import caches
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import charts

KEEPS = ("weights", "weights_view")  # what of it is in the address
MOST_FLAGGED = 60  # filters that have a button


def show(run, layer_name, weight, moment):
    """A box, closed at first, with the views of a layer's weight (out, ...) at a moment."""
    box = st.expander(
        "What the weights say by themselves: idle filters, copies, distribution, spectrum, sizes",
        icon=":material/monitoring:",
        key="weights",
        bind="query-params",
    )
    if not box.open:  # what is in it takes time: it is computed when somebody looks
        return
    with box:
        view = st.segmented_control(
            "View",
            list(_VIEWS),
            default=next(iter(_VIEWS)),
            required=True,
            key="weights_view",
            bind="query-params",
            persist_state="session",
            label_visibility="collapsed",
        )
        _VIEWS[view](run, layer_name, weight, moment)


def _idle(run, layer_name, weight, moment):
    """Which filters are nearly zero, copies of others, or not finite."""
    display = FilterCheckDisplay.from_weight(weight)
    st.markdown(f"**{display.sentence}** Click a mark to see its filter.")
    if display.flagged:
        st.pills(
            "Filters to look at",
            display.flagged[:MOST_FLAGGED],
            key="flagged",
            on_change=_take_flagged,
            label_visibility="collapsed",
        )
    charts.steady(
        charts.drawn(display.plot),
        key="filter_lengths",
        on_select=_take_click,
        config=charts.CAMERA_ONLY,
    )
    st.caption(filter_check.RULE)
    _file(run, display, f"{layer_name}, {moment}: length of each filter", f"{layer_name}-lengths")


def _take_flagged():
    if st.session_state.flagged is not None:
        st.session_state.unit = int(st.session_state.flagged)


def _take_click(chart):
    """Put the filter that was clicked in view."""
    points = st.session_state[chart].selection.points
    if points:
        data = points[0]["customdata"]
        st.session_state.unit = int(data["0"] if isinstance(data, dict) else data[0])


def _distribution(run, layer_name, weight, moment):
    display = WeightHistogramDisplay.from_weight(weight)
    st.markdown(
        f"**{display.sentence}** Dotted: the normal distribution of the same mean and deviation."
    )
    charts.steady(charts.drawn(display.plot), key="weight_histogram", config=charts.CAMERA_ONLY)
    _file(run, display, f"{layer_name}, {moment}: its weights", f"{layer_name}-weights")


def _spectrum(run, layer_name, weight, moment):
    """The singular values of the bank; of large kernels also their frequencies."""
    has_frequencies = min(weight.shape[2:]) >= kernel_frequencies.SMALLEST
    left, right = st.columns(2, gap="large") if has_frequencies else (st.container(), None)
    with left:
        display = FilterSpectrumDisplay.from_weight(weight)
        st.markdown(f"**{display.sentence}**")
        charts.steady(charts.drawn(display.plot), key="filter_spectrum", config=charts.CAMERA_ONLY)
        st.caption(
            "Singular values of the layer's weight, a filter in each row. Where they fall fast, "
            "filters are mixtures of a few; where they stay level, each does something else."
        )
        name = f"{layer_name}, {moment}: singular values"
        _file(run, display, name, f"{layer_name}-spectrum")
    if right is not None:
        with right:
            _frequencies(run, layer_name, weight, moment)


def _frequencies(run, layer_name, weight, moment):
    display = KernelFrequenciesDisplay.from_weight(weight)
    st.markdown("**Which frequencies its kernels answer to**, on average")
    charts.steady(charts.drawn(display.plot), key="kernel_frequencies", config=charts.CAMERA_ONLY)
    st.caption(
        "The mean power of the kernels' Fourier transforms. In the middle is what is even; far out "
        "are fine stripes: upright ones to the left and right, lying ones above and below."
    )
    name = f"{layer_name}, {moment}: mean power"
    _file(run, display, name, f"{layer_name}-frequencies")


def all_tensors(run, *_):
    """Every tensor of the run with its shape and size."""
    shapes = {name: tuple(tensor.shape) for name, tensor in caches.tensors(run).items()}
    display = TensorSizesDisplay.from_shapes(shapes)
    st.markdown(f"**{plain(display.sentence)}**")
    charts.steady(charts.drawn(display.plot), key="tensor_sizes", config=charts.CAMERA_ONLY)
    rows = display.rows()
    st.dataframe(
        rows,
        width="stretch",
        height=min(700, 40 + 35 * len(rows)),
        hide_index=True,
        column_config={"values": st.column_config.NumberColumn(format="localized")},
    )
    _file(run, display, "every tensor, as 32-bit numbers", "tensors")


def _file(run, display, text, name):
    caption(f"{run.run_id}, {text}; {run.provenance}.", f"{run.run_id}-{name}", csv=display.csv)


_VIEWS = {
    "Idle filters and copies": _idle,
    "Distribution": _distribution,
    "Spectrum": _spectrum,
    "All tensors": all_tensors,
}
