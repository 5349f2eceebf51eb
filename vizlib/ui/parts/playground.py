"""The picture under the brush and the units that are off: what of it is kept in a session, and what
the network answers to it as it is now.
"""

import base64
import binascii
import time
from dataclasses import dataclass, field, replace

import numpy as np
import streamlit as st

from vizlib.edits import MOST_STROKES, Edits, Moves, Stroke
from vizlib.errors import UserError
from vizlib.images import open_image, to_network_input
from vizlib.ui.data import caches
from vizlib.ui.frame import image_picker

MOST_IDS = 64  # letters of a stroke's name


@dataclass
class Ground:
    """What is done to one picture. of: tells the picture and the network's size from others.
    frame: of the camera, uint8 as it came, in the place of the picture; None without. ids: of the
    strokes, so that one that grows takes its own place. number: of the last deed seen to.
    """

    of: tuple
    edits: Edits = field(default_factory=Edits)
    ids: tuple[str, ...] = ()
    frame: np.ndarray | None = None
    number: int = 0
    problem: str = ""

    def do(self, deed):
        """See to what the browser says was done; what is none of these changes nothing."""
        kinds = dict(
            stroke=self._stroke, moves=self._move, undo=self._undo, anew=self._anew, frame=self._see
        )
        number = deed.get("number")
        if isinstance(number, (int, float)) and 0 <= number < 2**53:
            self.number = int(number)
        self.problem = ""
        kinds.get(str(deed.get("kind")), lambda deed: None)(deed)

    def _stroke(self, deed):
        stroke, name = Stroke.read(deed), str(deed.get("id"))[:MOST_IDS]
        if stroke is None:
            return
        strokes, ids = self.edits.strokes, self.ids
        if ids and ids[-1] == name:
            strokes, ids = strokes[:-1], ids[:-1]
        if len(strokes) >= MOST_STROKES:
            self.problem = f"That was the last of {MOST_STROKES} strokes: undo some, or start anew."
            return
        self.edits, self.ids = replace(self.edits, strokes=(*strokes, stroke)), (*ids, name)

    def _move(self, deed):
        moves = deed.get("moves")
        if isinstance(moves, dict):
            self.edits = replace(self.edits, moves=Moves.read(moves))

    def _undo(self, deed):
        self.edits, self.ids = replace(self.edits, strokes=self.edits.strokes[:-1]), self.ids[:-1]

    def _anew(self, deed):
        self.edits, self.ids, self.frame = Edits(), (), None

    def _see(self, deed):
        try:
            _, _, text = str(deed.get("image"))[:2_000_000].partition(",")
            frame = open_image(base64.b64decode(text, validate=True))
        except (UserError, binascii.Error):
            self.problem = "A picture of the camera came broken; the next one may be whole."
        else:
            self.frame = frame


def of_session(run, picture):
    """The Ground of this session for the picture in view, begun anew with another one."""
    of = picture.key, run.input_size
    ground = st.session_state.get("playground")
    if ground is None or ground.of != of:
        # the browser's count of deeds goes on
        number = ground.number if ground else 0
        ground = st.session_state.playground = Ground(of, number=number)
    return ground


def off(run):
    """The units that are switched off in this session, {layer name: set of units}, of this run."""
    by_run = st.session_state.setdefault("switched_off", {})
    return by_run.setdefault(run.run_id, {})


def switch(run, layer_name, units):
    """Switch these units of a layer off, or those of them that are off on again where all are."""
    now = off(run).setdefault(layer_name, set())
    if now >= set(units):
        now -= set(units)
    else:
        now |= set(units)
    if not now:
        del off(run)[layer_name]


@dataclass(frozen=True)
class Now:
    """What the network gives to a picture: probabilities (K,), the layer's maps (C, h, w), of one
    pixel where they are plain values, and how long it took.
    """

    probabilities: np.ndarray
    maps: np.ndarray
    seconds: float


def now(run, pixels, layer, silent):
    """The Now of a picture, uint8 of the network's own size, for a Layer; silent: the units that
    are off, as off() gives them. Nothing of it is kept: the next one is another picture.
    """
    from vizlib.inside.switched_off import capture_without

    layouts = {one.name: one.layout for one in caches.layers(run)}
    silent = {name: units for name, units in silent.items() if name in layouts}
    config, start = run.config, time.perf_counter()
    _, image = to_network_input(pixels, run.input_size, config.mean, config.std)
    logits, found = capture_without(caches.model(run), image, [layer.name], silent, layouts)
    maps = layer.layout.units_first(found[layer.name])[0].numpy()
    maps = maps if maps.ndim == 3 else maps[:, None, None]
    return Now(logits.softmax(1)[0].numpy(), maps, time.perf_counter() - start)


def before(run, picture, ground, layer):
    """The Now of the picture as it came, with all units on."""
    if ground.frame is not None:
        return now(run, base(run, picture, ground), layer, {})
    display, seconds = caches.feature_maps(run, picture, layer.name)
    return Now(caches.answer(run, picture)[0], display.maps, seconds)


def base(run, picture, ground):
    """The pixels that the edits begin with, of the network's own size: the picture's, or the
    camera's.
    """
    if ground.frame is None:
        return picture.received
    return image_picker.received(ground.frame, run)
