"""The held-out images that excite a unit most, each with the part that it sees marked, and below it
what in that part does.
"""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from vizlib.displays.attribution import gradient_picture
from vizlib.displays.units import marked
from vizlib.images import sharp_png, to_network_input
from vizlib.inside.evidence import unit_methods
from vizlib.inside.patterns import cut, field, sees_part
from vizlib.ui.data import caches, jobs
from vizlib.ui.frame import address, links
from vizlib.ui.frame.image_picker import offer_download
from vizlib.ui.frame.plain import plain

SHOWN = 9
TILE = 120  # CSS pixels


def look_up(run):
    """The Index of the run's strongest images; None as long as there is none, with what is missing
    or how far it is.
    """
    if not run.config.dataset:
        st.info(
            plain(
                f"{run.run_id!r} comes without a data set, so there are no images to look its "
                "units' strongest up in. The pictures made to excite them need none."
            ),
            icon=":material/info:",
        )
        return None
    if not caches.has_pictures(run):
        st.info(
            "The images that excite its units most are looked up among the held-out ones, so "
            "the pictures of the data set are needed.",
            icon=":material/info:",
        )
        offer_download(run.config.dataset, "strongest")
        return None
    index = caches.strongest(run)
    return _look_beside(run) if index is None else index


def _look_beside(run):
    """The Index, looked for beside the page; None as long as it is."""
    from vizlib.inside.strongest import of_run

    data, split = caches.dataset(run), caches.held_out(run)
    done = jobs.result(
        ("strongest", *caches.state(run), caches.are_shipped(run)),
        lambda say: of_run(run, data, say, split),
        "Looking for the strongest images of all units, once",
        to_the_end=True,
    )
    # not read anew: where its file cannot be written it is kept all the same
    return done and done[0]


@dataclass(frozen=True)
class Seen:
    """One of a unit's strongest images. image_number: in the test images. received: uint8
    (H, W, C). position: (row, column) on the map. box: what that position sees.
    """

    image_number: int
    received: np.ndarray
    value: float
    position: tuple
    box: tuple


def nine(run, layer, unit, index):
    """The unit's strongest images, a list of Seen, the strongest first."""
    strongest = index[layer.name]
    split = caches.held_out(run)
    best = []
    for image_number, value, map_position in zip(
        strongest.image_numbers[unit][:SHOWN],
        strongest.values[unit],
        strongest.positions[unit],
        strict=False,
    ):
        received = split.received(int(image_number), run.input_size)
        position = tuple(map(int, map_position))
        box = field(layer, position, run.input_size)
        best.append(Seen(int(image_number), received, float(value), position, box))
    return best


def show(run, layer, unit, index, control):
    """Draw a table of them: the images, the part that the unit sees, and what in it excites the
    unit. control: also with random weights.
    """
    best = nine(run, layer, unit, index)
    images, below = st.container(key="strongest"), st.container(key="excited_by")
    with below:
        excited = jobs.result(
            ("excited by", *caches.state(run), caches.are_shipped(run), layer.name, unit, control),
            finder(run, layer, unit, best, control),
            "Looking for what in them excites it",
        )
    with images:
        draw_images(run, layer, unit, best, excited and excited[0].fields)
    with below:
        if excited:
            gradients(run, best, excited[0].gradients)
    say_where_from(run, layer, unit, index)


def draw_images(run, layer, unit, best, fields):
    """The images with the ways on from each, and where the unit sees a part only, these parts.
    fields: as in ExcitedBy, or None as long as they are not known.
    """
    is_part = sees_part(layer, run.input_size)
    pictures, note = marked_pictures(layer, best, fields, is_part)
    which = f", {caches.from_which(run)}" if caches.are_shipped(run) else ""
    line(
        f"**The strongest held-out images**{which}{note}. The link below one opens its maps",
        pictures,
        "held-out image",
    )
    ways_on(run, layer, unit, best)
    if is_part:
        parts = [cut(seen.received, seen.box) for seen in best]
        line("**What it sees of them**", parts, "the part that the unit sees")


def marked_pictures(layer, best, fields, is_part):
    """(The images with a part marked where there is one to mark, what that part is in words)."""
    if is_part:
        return [marked(seen.received, seen.box) for seen in best], "; marked: what it sees"
    if fields and layer.has_maps:
        pictures = [
            marked(seen.received, box or seen.box) for seen, box in zip(best, fields, strict=True)
        ]
        return pictures, "; marked: where 95 % of its gradient lies"
    return [seen.received for seen in best], ""


def say_where_from(run, layer, unit, index):
    st.caption(
        plain(
            f"{run.run_id}, {layer.name}, unit {unit}: the strongest of {index.images:,} images "
            f"({caches.dataset(run).note}), looked up once for all units, in "
            f"{index.seconds:.1f} s."
        )
    )


def line(words, pictures, alt):
    """Pictures, uint8 (h, w, 1 or 3) each, beside one another below some words."""
    st.markdown(words)
    for number, (column, picture) in enumerate(
        zip(st.columns(SHOWN, gap="small"), pictures, strict=False), 1
    ):
        column.image(
            sharp_png(picture, TILE),
            alt=f"{alt} {number}",
            output_format="PNG",
            width="stretch",
        )


def ways_on(run, layer, unit, best):
    """Under each image the true class and the unit's value, as a link to the image's maps."""
    split = caches.held_out(run)
    has_map = layer.has_maps
    for column, seen in zip(st.columns(SHOWN, gap="small"), best, strict=False):
        place = {"place": ",".join(map(str, seen.position))} if has_map else {}
        with column:
            st.caption(plain(run.class_names[split.labels[seen.image_number]]))
            links.link(
                "Feature maps",
                f"{seen.value:.3g} →",
                layer=layer.name,
                unit=unit,
                **place,
                **address.held_out(split, run.class_names, seen.image_number),
            )


def gradients(run, best, by_method):
    for (method, is_control), attributions in by_method.items():
        parts = [
            part_of(gradient, seen.box) for gradient, seen in zip(attributions, best, strict=True)
        ]
        line(
            ":gray[the same with random weights]" if is_control else f"**{method.capitalize()}**",
            parts,
            method,
        )
    for method in unit_methods().values():
        st.caption(method.words)
    words = in_words(caches.rectifiers(run))
    if words:
        st.caption(words)


def in_words(rectifiers):
    """What of a network's rectifiers the two methods were not made for, in a sentence or two; empty
    where there are ReLUs alone.
    """
    smooth, others = " and ".join(rectifiers.without_rule), set(rectifiers.with_rule) - {"ReLU"}
    sentences = []
    if others:
        sentences.append(
            f"Both methods are defined for ReLUs: of {' and '.join(sorted(others))} only the part "
            "that is one counts, what leaks below zero or is cut off above hands nothing back."
        )
    if smooth:
        sentences.append(
            f"For {smooth} neither method is defined: there its gradient is the plain one."
        )
    if not rectifiers.with_rule:
        sentences.append(
            "This network has no ReLU, at which the two methods differ: both are the plain "
            "gradient here."
        )
    return " ".join(sentences)


def part_of(gradient, box):
    """A gradient (C, H, W) inside a box, as a picture that is scaled by what is there."""
    top, left, bottom, right = box
    inside = (
        max(0, top),
        max(0, left),
        min(gradient.shape[1], bottom),
        min(gradient.shape[2], right),
    )
    return cut(
        gradient_picture(gradient, inside)[0],
        (top - inside[0], left - inside[1], bottom - inside[0], right - inside[1]),
    )


@dataclass(frozen=True)
class ExcitedBy:
    """What in a unit's strongest images excites it. fields: a box each, where most of the unit's
    gradient lies, or None.

    gradients: {(method, whether of random weights): float32 (images, C, H, W)}.
    """

    fields: list
    gradients: dict


def finder(run, layer, unit, best, control):
    """The computation of ExcitedBy."""
    has_map = layer.has_maps
    positions = [seen.position if has_map else () for seen in best]

    def work(say):
        networks = [
            (is_control, caches.network_or_control(run, is_control))
            for is_control in (False, True)[: 1 + control]
        ]
        images = network_inputs(run, best)
        asked = (images, layer.name, unit, positions)
        fields = fields_of(networks[0][1], *asked, lambda share: say(0.3 * share))
        return ExcitedBy(
            fields, gradients_of(networks, *asked, lambda share: say(0.3 + 0.7 * share))
        )

    return work


def network_inputs(run, best):
    """What the network gets of these images, (N, C, H, W)."""
    import torch

    mean, std = run.config.mean, run.config.std
    return torch.cat(
        [to_network_input(seen.received, run.input_size, mean, std)[1] for seen in best]
    )


def fields_of(network, images, layer_name, unit, positions, say):
    """The box of each image in which most of the unit's gradient lies, or None."""
    from vizlib.inside.receptive_fields import effective, tight_box

    boxes = []
    for number, position in enumerate(positions):
        image = images[number : number + 1]
        boxes.append(tight_box(effective(network, image, layer_name, unit, position)))
        say((number + 1) / len(positions))
    return boxes


def gradients_of(networks, images, layer_name, unit, positions, say):
    """The gradients of ExcitedBy. networks: (whether its weights are random, network) of each."""
    from vizlib.inside.attribution import of_units

    units = [unit] * len(positions)
    asked = [(method, *network) for method in unit_methods() for network in networks]
    gradients = {}
    for number, (method, is_control, network) in enumerate(asked):
        gradients[method, is_control] = of_units(
            network, images, layer_name, units, positions, method
        )
        say((number + 1) / len(asked))
    return gradients
