"""The held-out images that excite a unit most, each with the part that it sees marked, and below it
what in that part does.
"""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from vizlib.displays.attribution import gradient_picture
from vizlib.displays.units import marked
from vizlib.images import fit, sharp_png, to_network_input
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
    if run.config.dataset not in caches.dataset_names():
        st.info(
            "The images that excite its units most are looked up among the held-out ones, so "
            "the pictures of the data set are needed.",
            icon=":material/info:",
        )
        offer_download(run.config.dataset, "strongest")
        return None
    index = caches.strongest(run)
    if index is None:
        from vizlib.inside.strongest import of_run

        data = caches.dataset(run)
        done = jobs.result(
            ("strongest", *caches.state(run)),
            lambda say: of_run(run, data, say),
            "Looking for the strongest images of all units, once",
            to_the_end=True,
        )
        # not read anew: where its file cannot be written it is kept all the same
        index = done and done[0]
    return index


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
    best, pictures = index[layer.name], caches.dataset(run).splits["test"].pictures
    positions = [tuple(map(int, position)) for position in best.positions[unit][:SHOWN]]
    return [
        Seen(
            int(image_number),
            fit(pictures[int(image_number)], run.input_size),
            float(value),
            position,
            field(layer, position, run.input_size),
        )
        for image_number, value, position in zip(
            best.image_numbers[unit], best.values[unit], positions, strict=False
        )
    ]


def show(run, layer, unit, index, control):
    """Draw a table of them: the images, the part that the unit sees, and what in it excites the
    unit. control: also with random weights.
    """
    data, best = caches.dataset(run), nine(run, layer, unit, index)
    is_part, has_map = sees_part(layer, run.input_size), len(layer.output_shape) == 3
    images, below = st.container(key="strongest"), st.container(key="excited_by")
    with below:
        excited = jobs.result(
            ("excited by", *caches.state(run), layer.name, unit, control),
            finder(run, layer, unit, best, control),
            "Looking for what in them excites it",
        )
    with images:
        boxes, note = [seen.box for seen in best], "; marked: what it sees"
        if not is_part:
            boxes, note = (
                has_map and excited and excited[0].fields,
                "; marked: where 95 % of its gradient lies",
            )
        pictures = (
            [marked(seen.received, box or seen.box) for seen, box in zip(best, boxes, strict=True)]
            if boxes
            else [seen.received for seen in best]
        )
        line(
            f"**The strongest held-out images**{note if boxes else ''}. The link below one "
            "opens its maps",
            pictures,
            "held-out image",
        )
        ways_on(data, layer, unit, best)
        if is_part:
            line(
                "**What it sees of them**",
                [cut(seen.received, seen.box) for seen in best],
                "the part that the unit sees",
            )
    with below:
        if excited:
            gradients(run, best, excited[0].gradients)
    st.caption(
        plain(
            f"{run.run_id}, {layer.name}, unit {unit}: the strongest of {index.images:,} images "
            f"({data.note}), looked up once for all units, in {index.seconds:.1f} s."
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


def ways_on(data, layer, unit, best):
    """Under each image the true class and the unit's value, as a link to the image's maps."""
    for column, seen in zip(st.columns(SHOWN, gap="small"), best, strict=False):
        with column:
            place = (
                {"place": ",".join(map(str, seen.position))} if len(layer.output_shape) == 3 else {}
            )
            st.caption(plain(data.class_names[data.splits["test"].labels[seen.image_number]]))
            links.link(
                "Feature maps",
                f"{seen.value:.3g} →",
                layer=layer.name,
                unit=unit,
                **place,
                **address.held_out(data, seen.image_number),
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
    if not caches.has_relu(run):
        st.caption(
            "This network has no ReLU, at which the two methods differ: both are the plain "
            "gradient here."
        )


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
    networks = [(False, caches.model(run)), (True, caches.control(run))][: 1 + control]
    asked = [
        (method, is_control, network)
        for method in unit_methods()
        for is_control, network in networks
    ]

    def work(say):
        import torch

        from vizlib.inside.attribution import of_units
        from vizlib.inside.receptive_fields import effective, tight_box

        images = torch.cat(
            [
                to_network_input(seen.received, run.input_size, run.config.mean, run.config.std)[1]
                for seen in best
            ]
        )
        units, positions, fields, gradients = (
            [unit] * len(best),
            [seen.position if len(layer.output_shape) == 3 else () for seen in best],
            [],
            {},
        )
        for number, position in enumerate(positions):
            fields.append(
                tight_box(
                    effective(
                        networks[0][1], images[number : number + 1], layer.name, unit, position
                    )
                )
            )
            say(0.3 * (number + 1) / len(best))
        for number, (method, is_control, network) in enumerate(asked):
            gradients[method, is_control] = of_units(
                network, images, layer.name, units, positions, method
            )
            say(0.3 + 0.7 * (number + 1) / len(asked))
        return ExcitedBy(fields, gradients)

    return work
