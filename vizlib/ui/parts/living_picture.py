"""What Home opens on: a photograph, what a network answers to it, three of its layers at three
depths, and the film of its filters forming. All of it is read from the run's folder.
"""

import math
from dataclasses import replace

import streamlit as st

from vizlib.displays.feature_maps import FeatureMapsDisplay
from vizlib.displays.filters import FiltersDisplay
from vizlib.images import fit, photograph, png_bytes
from vizlib.run import moments
from vizlib.ui.data import caches
from vizlib.ui.frame import links
from vizlib.ui.frame.plain import plain
from vizlib.ui.widgets import address_of, living_picture

KEY = "living_picture"
LEAST_SHARE = 0.005  # of an answer, to be shown
MOST_ANSWERS = 3
NOTE = (
    "Stored with the model, so that it is here at once: the answers and maps of this photograph, "
    "and the filters as they were along the training. Every other page computes live, for any "
    "picture."
)


def of(runs):
    """The run that Home opens on: the first one that ships with what is shown here; None where
    there is none.
    """
    return next((run for run in runs if run.ships and caches.first_look(run)), None)


def show(run):
    """Draw it of a run that `of` has found."""
    look = caches.first_look(run)
    parts = _parts(run.run_id, run.changed("first_look.safetensors"), run, look)
    living_picture.show(
        key=KEY,
        on_pick=lambda sheet, unit: st.session_state.update(picked_on_home=(sheet, unit)),
        **parts,
    )
    st.caption(f"**{plain(run.run_id)}**. {NOTE}")
    sheet, unit = st.session_state.pop("picked_on_home", (-1, 0))
    if 0 <= sheet < len(look.depths):
        layer = look.depths[sheet].layer_name
        links.go(
            "Feature maps",
            model=run.run_id,
            source="photograph",
            photo=look.photograph,
            layer=layer,
            unit=unit,
        )


@st.cache_resource(max_entries=4, show_spinner=False)
def _parts(run_id, state, _run, _look):
    """What the browser gets, drawn once for all sessions."""
    received = fit(photograph(_look.photograph), _run.input_size, whole=_run.config.whole)
    best = (-_look.probabilities).argsort()[:MOST_ANSWERS]
    return dict(
        picture=address_of(png_bytes(received)),
        size=_run.input_size[1:],
        answers=[
            (_run.class_names[label], float(_look.probabilities[label]))
            for label in best
            if _look.probabilities[label] >= LEAST_SHARE
        ],
        sheets=[_sheet(depth) for depth in _look.depths],
        film=_film(moments.filters(_run)),
        seconds=moments.FRAME_SECONDS,
    )


def _sheet(depth):
    """One layer's maps, each on its own scale, in a square."""
    atlas = FeatureMapsDisplay.from_activation(depth.maps, (0.0, 1.0)).picture("map")
    title, _, words = depth.words.partition(" · ")
    return dict(
        title=title.capitalize(),
        words=words,
        atlas=replace(atlas, across=_square(len(depth.maps))),
        rows=depth.rows,
        columns=depth.columns,
    )


def _film(filters):
    """The filters at some steps, on one scale, a frame each: [(words, address)]."""
    limit = max((float(abs(weight).max()) for weight in filters.values()), default=0.0)
    frames = []
    for step in moments.frames(sorted(filters)):
        atlas = FiltersDisplay.from_weight(filters[step], limit).picture()
        across = _square(len(filters[step]))
        frames.append((f"step {step:,}", replace(atlas, across=across).data_url))
    return frames


def _square(count):
    return math.ceil(math.sqrt(count))
