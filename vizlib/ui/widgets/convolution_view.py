"""A convolution at work, in the browser: point at a position of the map or of the input, and the
window, the kernel, their products and the sum follow at once.
"""

import base64

import numpy as np
import streamlit as st

from vizlib.ui.widgets import component
from vizlib.ui.widgets.place_view import position_of

_component = component("convolution_view", "framed.css", "buttons.css", "arrows.js")


def show(display, stages, *, key, name, input_name, on_pick, pixels=None, mean=(), std=()):
    """Show a ConvolutionDisplay; on_pick(position) is called before the rerun when another position
    is fixed, by a click or an arrow key.

    stages: what becomes of the sum, inside.convolving.Stages. name: what the map is called;
    input_name: what it is made of. pixels: uint8 (H, W, C), where the input is the picture, less
    `mean` and over `std` of each channel: they are sent in its place, a quarter of the bytes.
    """
    state = f"{key}_component"

    def picked():
        wanted = position_of(st.session_state[state].get("place"), display.output.shape)
        if wanted is not None:
            on_pick(wanted)

    given = _maps(display.given) if pixels is None else _pixels(pixels, mean, std)
    data = dict(name=name, input_name=input_name, given=given) | _convolution(display, stages)
    _component(key=state, data=data, on_place_change=picked)


def _convolution(display, stages):
    """The kernel, how it moves, and what comes of it, as the browser takes it."""
    channels, height, width = display.given.shape
    return dict(
        names=list(display.names),
        size=[channels, height, width],
        outside=list(display.outside),
        kernel=_floats(display.kernel),
        sides=list(display.kernel.shape[1:]),
        stride=list(display.stride),
        dilation=list(display.dilation),
        shape=list(display.output.shape),
        output=_floats(display.output),
        rest=_floats(display.rest) if display.others else "",
        others=display.others,
        bias=display.bias,
        stages=[
            dict(word=one.word, values=_floats(one.values), scale=one.scale, shift=one.shift)
            for one in stages
        ],
        place=list(display.position),
    )


def _maps(given):
    return dict(values=_floats(given), limit=float(np.abs(given).max()) or 1.0)


def _pixels(pixels, mean, std):
    text = base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode()
    return dict(pixels=text, mean=[*map(float, mean)], std=[*map(float, std)])


def _floats(array):
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()
