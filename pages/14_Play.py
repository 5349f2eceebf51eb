"""Paint on the picture, move it, switch units off, and see what the network answers then."""

from dataclasses import replace

import numpy as np
import streamlit as st

from vizlib.displays.feature_maps import FeatureMapsDisplay
from vizlib.edits import mean_colour
from vizlib.images import png_bytes
from vizlib.inside.layers import default_layer
from vizlib.ui import page
from vizlib.ui.data import caches, not_yet
from vizlib.ui.frame import guard, image_picker, status
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.frame.unit_picker import pick_layer
from vizlib.ui.parts import playground
from vizlib.ui.widgets import atlas_view, play_view

MOST_ANSWERS = 5
LEAST = 0.005  # of a share that is shown: less would be written 0 %
SHOWN = ("maps", "what changed")


def show(run, picture):
    status.title(f"Play with {run.run_id}", run, of_weights=True)
    caches.model(run)  # a run without weights says so first
    if picture is None:
        image_picker.ask_for_one()
        return

    @st.fragment
    def played():
        with sentences(*guard.IN_PAGE):
            play(run, picture)

    played()


def play(run, picture):
    size = " × ".join(map(str, run.input_size[1:]))
    st.markdown(
        f"Paint on what the network gets, {size} pixels, or move it; switch off what looks at it. "
        "Its answer follows. *Erase* paints the mean colour of the training pictures, which the "
        "network takes for nothing."
    )
    ground, board = playground.of_session(run, picture), st.container()
    layer = controls(run)
    pixels = playground.base(run, picture, ground)
    painted = ground.edits.of(pixels, mean_colour(run.config.mean))
    before = playground.before(run, picture, ground, layer)
    after = playground.now(run, painted, layer, playground.off(run))
    with board:
        draw_board(run, ground, painted, before, after)
    all_maps(run, layer, before, after)
    st.caption(
        "Pictures of yours and of the camera stay on the machine that runs Convscope. What is "
        "painted and switched off is of this session alone: nobody else sees it, and it is not in "
        "the link.",
        help=f"Answered in {after.seconds * 1000:.0f} ms.",
    )


def draw_board(run, ground, painted, before, after):
    nothing = mean_colour(run.config.mean)
    play_view.show(
        key="play",
        picture=png_bytes(painted),
        size=painted.shape[:2],
        nothing=nothing * (3 // len(nothing)),
        ground=dict(
            number=ground.number,
            strokes=len(ground.edits.strokes),
            moves=vars(ground.edits.moves),
        ),
        answers=answers(run, before.probabilities, after.probabilities),
        sentence=sentence(run, before.probabilities, after.probabilities),
        on_deed=ground.do,
    )
    if ground.problem:
        st.warning(ground.problem)


def answers(run, before, after):
    """(name, share before, share now) of the likeliest classes now, and of the likeliest before."""
    best = list(np.argsort(-after)[:MOST_ANSWERS])
    first = before.argmax()
    if first not in best:
        best[-1] = first
    return [
        (run.class_names[label], float(before[label]), float(after[label]))
        for label in best
        if max(before[label], after[label]) >= LEAST
    ]


def sentence(run, before, after):
    was, now = run.class_names[before.argmax()], run.class_names[after.argmax()]
    if was == now:
        return f"It answers {now}. The mark is what it answered before you changed anything."
    return f"It answered {was}; now it answers {now}. The marks are the shares of before."


def controls(run):
    """Draw what is chosen of the layers: the Layer whose units are switched."""
    layers = {layer.name: layer for layer in caches.layers(run) if layer.layout.shape}
    if not layers:
        raise not_yet.NotHere(f"{run.run_id!r} has no layer whose units can be looked at.")
    notes = st.container()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        layer_name = pick_layer(
            run,
            list(layers),
            default=default_layer(list(layers.values())),
            notes=notes,
            lacks="there is nothing to switch off",
            help="A map that is switched off is zero everywhere; what follows goes on with that.",
        )
        units = range(layers[layer_name].layout.shape[0])
        are_off = len(playground.off(run).get(layer_name, ())) == len(units)
        st.button(
            "Switch all of it on" if are_off else "Switch all of it off",
            key="whole_layer",
            on_click=playground.switch,
            args=(run, layer_name, units),
        )
        st.button(
            "All layers on",
            key="all_on",
            on_click=playground.off(run).clear,
            disabled=not playground.off(run),
        )
    return layers[layer_name]


def all_maps(run, layer, before, after):
    """Every map of the layer as it is now; a click switches one off, or on again."""
    shown = st.segmented_control(
        "Show",
        SHOWN,
        default=SHOWN[0],
        required=True,
        key="shown",
        bind="query-params",
        persist_state="session",
        label_visibility="collapsed",
    )
    silent = sorted(playground.off(run).get(layer.name, ()))
    st.markdown(
        f"{off_in_words(run)} **Click a map of {plain(layer.name)} to switch it off or on.**"
    )
    atlas = atlas_of(before.maps, after.maps, only_change=shown != SHOWN[0])
    labels = [
        f"{label}, off" if unit in silent else label for unit, label in enumerate(atlas.labels)
    ]
    atlas_view.show(
        replace(atlas, crossed=tuple(silent), labels=tuple(labels)),
        alt=f"the units of {layer.name} as they answer now",
        key="play_maps",
        on_press=lambda unit: playground.switch(run, layer.name, [unit]),
    )


def atlas_of(before, after, only_change):
    """The maps (C, h, w) as they are now, or what has changed of them, blue for less and red for
    more.
    """
    if not only_change:
        ends = float(after.min()), float(after.max())
        return FeatureMapsDisplay.from_activation(after, ends).picture("layer")
    change = after - before
    most = float(np.abs(change).max()) or 1.0
    return FeatureMapsDisplay.from_activation(change, (-most, most)).picture("network")


def off_in_words(run):
    """What is switched off, layer by layer, as Markdown."""
    parts = [
        f"{len(units)} of {plain(name)}" for name, units in playground.off(run).items() if units
    ]
    return f"Off (crossed): {', '.join(parts)}." if parts else "All units are on."


page.run(show, "Play", keeps=("shown",))
