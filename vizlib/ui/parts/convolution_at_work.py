"""How a value of a map is made: the kernel over what the layer is given, the products, the sum and
what becomes of it, in the network's own numbers.
"""

import math

import streamlit as st

from vizlib.displays.convolution import ConvolutionDisplay
from vizlib.inside.patterns import unit_layer
from vizlib.ui.data import caches
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import convolution_view

MOST_SENT = 600_000  # numbers of one channel


def show(run, picture, layer, unit, position):
    """Draw how a unit of a Layer, or the convolution before it, makes its value at a position,
    None for a layer without maps.
    """
    source = _convolution_of(run, layer, position)
    if source is None:
        st.caption(_without_kernel(layer))
        return
    st.markdown("#### A convolution at work")
    work = caches.convolved(run, picture, source.name, unit)
    display = ConvolutionDisplay.from_convolved(work, position)
    st.markdown(_how(work, layer, source, unit))
    st.caption(_what_numbers(work))
    if display.given[0].size > MOST_SENT:
        st.caption("Its input is too large to be sent along: its products are in the files below.")
    else:
        _view(run, picture, work, display, source, unit)
    text = (
        f"{run.run_id}, unit {unit} of {source.name} at row {position[0]}, column {position[1]}: "
        f"{_shown(display)}; image: {picture.title}; {run.provenance}."
    )
    name = f"{run.run_id}-{source.name}-{unit}-at-work"
    caption(text, name, csv=display.csv, png=lambda: display.picture().figure_png(text))


def _convolution_of(run, layer, position):
    """The Layer that is the convolution of this one's units, with a map of the same size; None
    where there is none.
    """
    if position is None:
        return None
    layers = {one.name: one for one in caches.layers(run)}
    name = unit_layer(list(layers.values()), layer.name, caches.unit_layers(run))
    source = layers.get(name)
    if source is None or not source.is_convolution:
        return None
    return source if source.layout.shape[1:] == layer.layout.shape[1:] else None


def _without_kernel(layer):
    if layer.kind == "Linear":
        return (
            f"{plain(layer.name)} is a linear layer: no kernel slides. Each of its units "
            "multiplies all that it gets by one weight each, and adds them and its bias up, once."
        )
    return (
        f"{plain(layer.name)} does not make its maps with a kernel, or not in their places. Choose "
        "a convolution to see its products and their sum."
    )


def _how(work, layer, source, unit):
    """What the kernel does, as Markdown."""
    count, height, width = work.kernel.shape
    given = "the picture" if work.is_picture else f"{count} input map{'s' * (count > 1)}"
    steps = (
        work.stride[0] if work.stride[0] == work.stride[1] else " and ".join(map(str, work.stride))
    )
    gaps = (
        f", {work.dilation[0] - 1} left out between its numbers" if max(work.dilation) > 1 else ""
    )
    moves = f"in steps of {steps}{gaps}" if height * width > 1 else "from place to place"
    instead = "" if source is layer else f", before {plain(layer.name)},"
    return (
        f"The **{height} × {width} kernel** of unit {unit} of {plain(source.name)}{instead} slides "
        f"over {given} {moves}. At each place {math.prod(work.kernel.shape):,} products are added "
        "up to one number. Point at the map, or at what it is made of; arrow keys move on the map."
    )


def _what_numbers(work):
    """Which numbers these are, and what stands at the border."""
    sentences = []
    if work.is_picture:
        sentences.append(
            "The numbers are what the network gets: a pixel over 255, less the mean of the "
            "training pictures, over their deviation."
        )
    if any(work.outside) and work.fill == "zeros":
        mean = ", which is the mean colour and not black" if work.is_picture else ""
        sentences.append(f"What lies outside is taken for zero{mean}.")
    elif any(work.outside):
        sentences.append(f"What lies outside is filled ({work.fill}).")
    if not work.is_picture:
        sentences.append("Blue is below zero, red above.")
    return " ".join(sentences)


def _view(run, picture, work, display, source, unit):
    is_sent_whole = work.is_picture and work.fill == "zeros" and len(work.kernel) == work.channels
    config = run.config
    given = dict(pixels=picture.received, mean=config.mean, std=config.std)
    convolution_view.show(
        display,
        work.stages,
        key="at_work",
        name=f"Unit {unit} of {source.name}",
        input_name="The picture" if work.is_picture else "Its input",
        on_pick=lambda picked: st.session_state.update(place=f"{picked[0]},{picked[1]}"),
        **(given if is_sent_whole else {}),
    )


def _shown(display):
    """The sum in words."""
    parts = [
        f"{name} {total:.4g}" for name, total in zip(display.names, display.sums(), strict=True)
    ]
    if display.others:
        parts.append(f"{display.others} others {display.rest[display.position]:.4g}")
    return f"{' + '.join(parts)} + bias {display.bias:.4g} = {display.output[display.position]:.4g}"
