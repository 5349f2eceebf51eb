"""The feature maps of one fixed picture at an earlier step of the training, as they were stored
then: the film on the Feature maps page.
"""

import time
from dataclasses import dataclass

import numpy as np
import streamlit as st

from vizlib.images import sharp_png
from vizlib.run import moments
from vizlib.run.folders import Run
from vizlib.ui.data import caches, not_yet
from vizlib.ui.frame.image_picker import Picture
from vizlib.ui.frame.plain import plain


def moment(run, step):
    """The Moment at a step, None for the end; or None, with a line that says so, where no maps are
    stored along the training.

    NotYet where there are no weights in view either.
    """
    picture, layers = caches.probe_picture(run), caches.probe_layers(run)
    if picture is None or not layers:
        if run.is_weightless:
            raise not_yet.without(run, "weights")
        st.caption(
            "Along this training no feature maps are stored: these are those of the weights "
            "in view, whatever the step."
        )
        return None
    stored = moments.last_up_to(layers, step)
    return Moment(run, picture, min(layers) if stored is None else stored)


@dataclass(frozen=True)
class Moment:
    """What is stored of the probe picture at one step. picture: uint8 (H, W, C)."""

    run: Run
    picture: np.ndarray
    step: int

    def show(self):
        """Draw the picture, say what it is, and give it back as the Picture in view."""
        left, right = st.columns([1, 11], vertical_alignment="center")
        left.image(
            sharp_png(self.picture, 64),
            alt="the probe picture",
            output_format="PNG",
            width="stretch",
        )
        right.markdown(
            f"**As it was at step {self.step:,}.** The film shows one fixed picture, the "
            "first held-out validation image, and not yours: "
            f"its maps were kept while the network trained. {plain(self.run.missing_weights)}"
        )
        return Picture(self.picture, self.picture, f"the probe picture at step {self.step}")

    def maps(self, layer_name, layers, scale):
        """The stored layer nearest to the one chosen: (its name, FeatureMapsDisplay, Atlas,
        seconds). layers: all Layers by name, in order.

        Where another layer than the chosen one is shown, a line says so.
        """
        start, names = time.perf_counter(), list(layers)
        stored = [name for name in names if name in caches.probe_layers(self.run)[self.step]]
        if not stored:
            raise not_yet.NotYet(
                f"At step {self.step} the maps of no layer of this network were stored: move "
                "the slider to its end."
            )
        before = [name for name in stored if names.index(name) <= names.index(layer_name)]
        shown = before[-1] if before else stored[0]
        display = caches.probe_maps(self.run, self.step, shown)
        _say_stored(stored, layer_name, layers[shown], len(display.maps))
        return shown, display, display.picture(scale), time.perf_counter() - start


def _say_stored(stored, wanted, shown, count):
    """Which layers are stored, and what is shown of the one wanted. stored: their names; wanted:
    its name; shown: a Layer; count: how many of its maps are stored.
    """
    listed = ", ".join(
        f"**{plain(name)}**" if name == shown.name else plain(name) for name in stored
    )
    text = f"Stored along the training: {listed}."
    if shown.name != wanted:
        text += f" Of {plain(wanted)} nothing is stored, so {plain(shown.name)} is shown."
    if count < shown.output_shape[0]:
        text += f" Of its maps the first {count} of {shown.output_shape[0]} are stored."
    st.caption(text)
