"""The four panels of the page Film: first filters, maps of one layer, confusion matrix and curves,
each at one step of the training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.displays.film import FilmDisplay
from vizlib.errors import UserError
from vizlib.images import sharp_png
from vizlib.run.verdict import COLLAPSED, HEALTHY, NOT_NUMBERS, UNJUDGED
from vizlib.ui.data import not_yet
from vizlib.ui.frame import guard
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.widgets import atlas_view, charts

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from vizlib.displays.confusion import ConfusionDisplay

HEIGHT = 282  # CSS pixels of what a panel shows: four of them fill a screen of 1400 by 1000
COLOURS = {COLLAPSED: "red", NOT_NUMBERS: "red", HEALTHY: "green", UNJUDGED: "gray"}
# Panels have a height of their own, whatever they show: while the film plays nothing may move.
_STYLE = f"""<style>
[data-testid="stMainBlockContainer"] {{padding-left: 2.5rem; padding-right: 2.5rem}}
[class*="st-key-panel_"] {{min-height: {HEIGHT + 44}px}}
[class*="st-key-panel_"] h4 {{padding: 0 0 1.1rem}}
</style>"""


def style() -> None:
    """Make room for them, at the head of the page."""
    st.html(_STYLE)


def show(display: FilmDisplay, step: int) -> None:
    """Draw all four, two by two."""
    for panels in ((filters, maps), (matrix, curves)):
        # below one another in a narrow window
        with st.container(key=f"stacks_{panels[0].__name__}"):
            columns = st.columns(2, gap="medium")
        # From the right: styles are numbered as they come, and that of the matrix, which is not
        # there before its first evaluation, must not move the curves'.
        for column, panel in reversed(list(zip(columns, panels, strict=True))):
            with (
                column,
                st.container(key=f"panel_{panel.__name__}", gap="xsmall"),
                sentences(*guard.IN_PAGE),
            ):
                panel(display, step)


def filters(display: FilmDisplay, step: int) -> None:
    shown_step, atlas = _shown("First filters", display.filters_at, step)
    _heading("First filters", shown_step)
    atlas_view.show(atlas, alt="first filters", key="film_filters", tallest=HEIGHT - 30)


def maps(display: FilmDisplay, step: int) -> None:
    shown_step, atlas = _shown("Feature maps", display.maps_at, step)
    _heading(f"Maps of {plain(display.layer)}", shown_step)
    left, right = st.columns([1, 6])
    left.image(
        sharp_png(display.probe_picture, 64),
        alt="the probe picture",
        output_format="PNG",
        width="stretch",
    )
    with right:
        atlas_view.show(atlas, alt=f"maps of {display.layer}", key="film_maps", tallest=HEIGHT - 30)


def matrix(display: FilmDisplay, step: int) -> None:
    shown_step, (confusion, verdict) = _shown("Validation images", display.matrix_at, step)
    colour = COLOURS.get(verdict.level, "orange")
    _heading(f"{verdict.accuracy:.0%} right, :{colour}[{verdict.level}]", shown_step)
    chart = charts.drawn(_plot_matrix, confusion, charts.is_dark())
    charts.steady(chart, key="film_matrix", config={"displayModeBar": False})


def _plot_matrix(confusion: ConfusionDisplay, dark: bool) -> go.Figure:
    """To be read from the back of a classroom."""
    figure = confusion.plot(dark=dark, narrow=True)
    figure.update_layout(height=HEIGHT, margin=dict(t=0, b=0, r=0))
    figure.update_xaxes(title=None).update_yaxes(title=None)
    figure.update_traces(textfont_size=13, selector=dict(mode="text"))
    return figure


def curves(display: FilmDisplay, step: int) -> None:
    without_maps = replace(display, filters={}, maps={})  # which would tell curves apart

    def both(step: int) -> dict[str, charts.Drawn]:
        return {
            quantity: charts.drawn(without_maps.plot, quantity, step, HEIGHT // 2)
            for quantity in ("loss", "accuracy")
        }

    both_drawn = _shown("Loss and accuracy", both, step)
    _heading("Loss and accuracy", step)
    for quantity, chart in both_drawn.items():
        charts.steady(chart, key=f"film_{quantity}", config={"displayModeBar": False})


def _heading(words: str, step: int | None = None) -> None:
    moment = f" :small[:gray[step {step:,}]]" if step is not None else ""
    st.markdown(f"#### {words}{moment}")


def _shown(words: str, shown_at: Callable[[int], Any], step: int) -> Any:
    """What a panel shows; where it has nothing, its heading stands over the sentence that says
    why.
    """
    try:
        return shown_at(step)
    except UserError as error:
        _heading(words)
        raise not_yet.NotYet(str(error)) from error
