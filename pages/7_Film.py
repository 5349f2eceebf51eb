"""The film of learning on one screen: filters, maps, confusion matrix and curves move together; and
as an animated picture for one's slides.
"""

import streamlit as st

from vizlib.displays import film_frames
from vizlib.displays.film import FilmDisplay
from vizlib.run import moments
from vizlib.ui import page
from vizlib.ui.data import caches, jobs, not_yet
from vizlib.ui.frame import film_slider, status
from vizlib.ui.frame.unit_picker import pick_layer
from vizlib.ui.parts import film_panels, first_models
from vizlib.ui.parts.downloads import caption

NOTE = (
    "Filters: one colour scale for all steps; maps: one each step. Matrix: rows true, columns "
    "predicted, percent. Curves: dotted and thin training, full validation."
)


def show(run, picture):
    film_panels.style()
    name, pick = st.columns([3, 1.4], vertical_alignment="bottom")
    with name:
        status.title(f"Film of {run.run_id}", run)
    stored = caches.probe_layers(run)
    layer_name = pick_stored_layer(run, stored, pick)
    step = film_slider.pick(run, of_weights=False)
    display = read(run, layer_name, stored)
    film_panels.show(display, display.steps[-1] if step is None else step)
    export(run, display)


def pick_stored_layer(run, stored, container):
    """The name of the layer whose maps are shown, chosen in the container; None where none are
    stored. stored: the names of those that are, by step.
    """
    names = moments.in_order(run, [name for names in stored.values() for name in names])
    notes = st.container()
    if not names:
        return None
    with container:
        return pick_layer(
            run,
            names,
            default=names[0],
            notes=notes,
            lacks="no maps are stored",
            label="Maps of layer",
            help="The layers whose maps were kept while it trained.",
        )


def read(run, layer_name, stored):
    """The FilmDisplay of what has been read already; NotYet where nothing is stored."""
    filters, steps = caches.snapshots(run), film_slider.steps_of(run)
    if not steps:
        raise not_yet.without(run, "step")
    maps = {
        step: caches.probe_maps(run, step, layer_name)
        for step, names in stored.items()
        if layer_name in names
    }
    return FilmDisplay.of(run, filters, layer_name, maps, caches.probe_picture(run), steps)


def export(run, display):
    asked_for = f"film of {run.run_id}, {display.layer}"
    note, button = st.columns([3, 1.4], vertical_alignment="center")
    note.caption(NOTE)
    if run.is_active:
        button.caption("Once it has ended, there is an animated picture of it here.")
    elif st.session_state.get(asked_for):
        offer(run, display, animated(run, display))
    else:
        button.button(
            "Animated picture",
            key="make_film",
            on_click=st.session_state.update,
            args=({asked_for: True},),
            icon=":material/movie:",
            width="stretch",
            help="All this as a GIF, for slides.",
        )


def animated(run, display):
    """(Bytes of the GIF, seconds it took), or None as long as it is being made."""
    changed = run.changed("snapshots.safetensors"), run.changed("events.jsonl")
    return jobs.result(
        ("film", run.run_id, *changed, display.layer),
        lambda say: film_frames.animation(display, say),
        "The animated picture",
    )


def offer(run, display, made):
    """The download of what has been made: (bytes, seconds), or None as long as it is not there."""
    if made:
        frames = len(moments.frames(display.steps))
        text = (
            f"{run.run_id}, {run.provenance}: {frames} steps, "
            f"{moments.FRAME_SECONDS} s each; {len(made[0]) / 1e6:.1f} MB, made in {made[1]:.1f} "
            "s."
        )
        caption(text, f"{run.run_id}-{display.layer or ''}-film", gif=made[0])


page.run(
    show,
    "Film",
    has_film=True,
    opens_on=lambda: first_models.with_the_clearest_film().run_id,
)
