"""One unit of a layer large: its map over the input, its values, and the way to its filter."""

import numpy as np
import streamlit as st

from vizlib.images import png_bytes
from vizlib.ui import page
from vizlib.ui.pickers import plain


def show(run, picture, layer, row, display, unit, scale):
    values = display.maps[unit]
    if values.size == 1:  # it answers for the whole image: there is no place to show
        name = f" ({plain(run.class_names[unit])})" if list(row.output_shape) == [len(run.class_names)] else ""
        st.markdown(f"Unit {unit}{name} answers **{values.item():.4g}** to the whole image.")
        return
    over, map_large, facts = st.columns([1, 1.25, 0.9], gap="large")
    with over:
        st.markdown(f"Unit {unit} over the input")
        overlay = display.overlay(unit, picture.received)
        st.caption("The image in grey; in colour, the brighter the larger the value, of either sign.")
        st.image(png_bytes(overlay, max(1, 400 // max(overlay.shape[:2]))), alt=f"where unit {unit} answers", output_format="PNG", width="stretch")
    with map_large:
        st.markdown(f"Its map, {values.shape[0]} × {values.shape[1]}: point at it for values")
        st.plotly_chart(display.plot_unit(unit, scale), width="stretch", key="unit_map", config={"displayModeBar": False})
    with facts:
        st.markdown("In numbers")
        st.markdown(
            f"least {values.min():.4g}  \nmean {values.mean():.4g}  \ngreatest {values.max():.4g}  \nzero in {np.mean(values == 0):.0%} of places  \n"
            f"one value sees {' × '.join(map(str, row.receptive_field))} input pixels"
        )
        if row.is_convolution:
            page.link("Filters", "Its filter →", filter_layer=layer, filter=unit)
