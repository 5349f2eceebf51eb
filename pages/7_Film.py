"""The film of learning on one screen: filters, maps, confusion matrix and curves move together; and
as an animated picture for one's slides.
"""

import streamlit as st

from vizlib.displays import film_frames
from vizlib.displays.film import FilmDisplay
from vizlib.errors import UserError
from vizlib.images import sharp_png
from vizlib.run import moments
from vizlib.run.verdict import COLLAPSED, HEALTHY, UNJUDGED
from vizlib.ui import page
from vizlib.ui.data import caches, jobs, not_yet
from vizlib.ui.frame import film_slider, guard, status
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.frame.unit_picker import pick_layer
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import atlas_view, charts

HEIGHT = 282  # CSS pixels of what a panel shows: four of them fill a screen of 1400 by 1000
NOTE = (
    "Filters: one colour scale for all steps; maps: one each step. Matrix: rows true, columns "
    "predicted, percent. Curves: dotted and thin training, full validation."
)
COLOURS = {COLLAPSED: "red", HEALTHY: "green", UNJUDGED: "gray"}
# Panels have a height of their own, whatever they show: while the film plays nothing may move.
STYLE = f"""<style>
[data-testid="stMainBlockContainer"] {{padding-left: 2.5rem; padding-right: 2.5rem}}
[class*="st-key-panel_"] {{min-height: {HEIGHT + 44}px}}
[class*="st-key-panel_"] h4 {{padding: 0 0 1.1rem}}
</style>"""


def show(run, picture):
    st.html(STYLE)
    name, pick = st.columns([3, 1.4], vertical_alignment="bottom")
    with name:
        status.title(f"Film of {run.run_id}", run)
    stored = caches.probe_layers(run)
    layers = moments.in_order(run, [name for names in stored.values() for name in names])
    layer, notes = None, st.container()
    if layers:
        with pick:
            layer = pick_layer(
                run,
                layers,
                default=layers[0],
                notes=notes,
                lacks="no maps are stored",
                label="Maps of layer",
                help="The layers whose maps were kept while it trained.",
            )
    step = film_slider.pick(run, of_weights=False)
    display = read(run, layer, stored)
    step = display.steps[-1] if step is None else step
    for row in ((filters, maps), (matrix, curves)):
        with st.container(key=f"stacks_{row[0].__name__}"):  # below one another in a narrow window
            # From the right: styles are numbered as they come, and that of the matrix, which is not
            # there before its first evaluation, must not move the curves'.
            for column, draw in reversed(list(zip(st.columns(2, gap="medium"), row, strict=True))):
                with (
                    column,
                    st.container(key=f"panel_{draw.__name__}", gap="xsmall"),
                    sentences(*guard.IN_PAGE),
                ):
                    draw(display, step)
    export(run, display)


def read(run, layer, stored):
    """The FilmDisplay of what has been read already; NotYet where nothing is stored."""
    filters, steps = caches.snapshots(run), film_slider.steps_of(run)
    if not steps:
        raise not_yet.without(run, "step")
    maps = {
        step: caches.probe_maps(run, step, layer)
        for step, names in stored.items()
        if layer in names
    }
    return FilmDisplay.of(run, filters, layer, maps, caches.probe_picture(run), steps)


def heading(words, step=None):
    moment = f" :small[:gray[step {step:,}]]" if step is not None else ""
    st.markdown(f"#### {words}{moment}")


def filters(display, step):
    at, atlas = said("First filters", display.filters_at, step)
    heading("First filters", at)
    atlas_view.show(atlas, alt="first filters", key="film_filters", tallest=HEIGHT - 30)


def maps(display, step):
    at, atlas = said("Feature maps", display.maps_at, step)
    heading(f"Maps of {plain(display.layer)}", at)
    left, right = st.columns([1, 6])
    left.image(
        sharp_png(display.probe_picture, 64),
        alt="the probe picture",
        output_format="PNG",
        width="stretch",
    )
    with right:
        atlas_view.show(atlas, alt=f"maps of {display.layer}", key="film_maps", tallest=HEIGHT - 30)


def matrix(display, step):
    at, (confusion, verdict) = said("Validation images", display.matrix_at, step)
    heading(
        f"{verdict.accuracy:.0%} right, :{COLOURS.get(verdict.level, 'orange')}[{verdict.level}]",
        at,
    )
    figure = confusion.plot(dark=st.context.theme.type == "dark", narrow=True)
    figure.update_layout(height=HEIGHT, margin=dict(t=0, b=0, r=0)).update_xaxes(
        title=None
    ).update_yaxes(title=None)
    # to be read from the back of a classroom
    figure.update_traces(textfont_size=13, selector=dict(mode="text"))
    charts.steady(figure, key="film_matrix", config={"displayModeBar": False})


def curves(display, step):
    figures = said(
        "Loss and accuracy",
        lambda step: {
            quantity: display.plot(quantity, step, HEIGHT // 2) for quantity in ("loss", "accuracy")
        },
        step,
    )
    heading("Loss and accuracy", step)
    for quantity, figure in figures.items():
        charts.steady(figure, key=f"film_{quantity}", config={"displayModeBar": False})


def said(words, shown_at, step):
    """What a panel shows; where it has nothing, its heading stands over the sentence that says
    why.
    """
    try:
        return shown_at(step)
    except UserError as error:
        heading(words)
        raise not_yet.NotYet(str(error)) from error


def export(run, display):
    state = f"film of {run.run_id}, {display.layer}"
    note, button = st.columns([3, 1.4], vertical_alignment="center")
    note.caption(NOTE)
    if run.is_active:
        button.caption("Once it has ended, there is an animated picture of it here.")
    elif not st.session_state.get(state):
        words = dict(
            icon=":material/movie:", width="stretch", help="All this as a GIF, for slides."
        )
        button.button(
            "Animated picture",
            key="make_film",
            on_click=st.session_state.update,
            args=({state: True},),
            **words,
        )
    else:
        files = run.changed("snapshots.safetensors"), run.changed("events.jsonl")
        offer(
            run,
            display,
            jobs.result(
                ("film", run.run_id, *files, display.layer),
                lambda say: film_frames.animation(display, say),
                "The animated picture",
            ),
        )


def offer(run, display, made):
    """The download of what has been made: (bytes, seconds), or None as long as it is not there."""
    if made:
        frames = len(moments.frames(display.steps))
        text = (
            f"{run.run_id}, trained on {run.config.dataset}: {frames} steps, "
            f"{moments.FRAME_SECONDS} s each; {len(made[0]) / 1e6:.1f} MB, made in {made[1]:.1f} "
            "s."
        )
        caption(text, f"{run.run_id}-{display.layer or ''}-film", gif=made[0])


page.run(show, "Film", has_film=True)
