"""The control shows what a network of random weights gives, and not the trained one's picture: the
pixels on the pages against those computed here.
"""

import io

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from tests import test_evidence_page as evidence_page
from tests import test_unit_page as unit_page

# fixtures for each test
from tests.test_evidence_page import no_jobs  # noqa: F401
from tests.test_unit_page import own_runs  # noqa: F401
from vizlib import datasets, images
from vizlib.displays.attribution import EvidenceDisplay, gradient_picture
from vizlib.inside import attribution
from vizlib.inside.maximisation import maximise
from vizlib.inside.model import load_model, randomised
from vizlib.run import folders
from vizlib.ui.parts import class_evidence

STYLES = {"Grad-CAM": "heat", "integrated gradients": "map", "occlusion": "signed"}
CLASS, INDEX = 3, 2  # of the digit in view
UNIT = 7


@pytest.fixture
def drawn(monkeypatch):
    """The pictures that pages draw, as they come: pairs (alternative text, pixels)."""
    noted, column_image, page_image = [], DeltaGenerator.image, st.image

    def note(picture, alt):
        if isinstance(picture, bytes):
            noted.append((alt, np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))))

    def in_column(self, picture, *others, alt=None, **given):
        note(picture, alt)
        return column_image(self, picture, *others, alt=alt, **given)

    def in_page(picture, *others, alt=None, **given):
        note(picture, alt)
        return page_image(picture, *others, alt=alt, **given)

    monkeypatch.setattr(DeltaGenerator, "image", in_column)
    monkeypatch.setattr(st, "image", in_page)
    return noted


def shrunk(pixels, side):
    """A picture of `side` pixels as it was before it was enlarged to sharp pixels."""
    factor = len(pixels) // side
    small = pixels[::factor, ::factor]
    assert np.array_equal(small.repeat(factor, axis=0).repeat(factor, axis=1), pixels)
    return small.astype(int)


def network_input(run, picture):
    return images.to_network_input(picture, run.input_size, run.config.mean, run.config.std)[1]


@pytest.mark.parametrize("at_once", [True, False])
def test_class_evidence(drawn, monkeypatch, at_once):
    """Computed with the page, and in a job beside it."""
    if not at_once:
        monkeypatch.setattr(class_evidence, "AT_ONCE", 0)
    run = folders.open_run("mine")
    split = datasets.load("digits").splits["test"]
    at = int(np.flatnonzero(split.labels == CLASS)[INDEX])
    received = np.asarray(split.pictures[at])
    app = evidence_page.opened(
        evidence_page.PAGE,
        model="mine",
        source="data set",
        label=str(CLASS),
        index=str(INDEX),
        random="true",
    )
    evidence_page.ended(app)
    drawn.clear()
    evidence_page.fine(app.run())
    shown = dict(drawn)
    networks = {"": load_model(run), " with random weights": randomised(run)}
    model_input = network_input(run, received)
    logits = networks[""](model_input)[0].detach().numpy()
    answer, second = np.argsort(-logits)[:2]
    for method, style in STYLES.items():
        sides = {"": [answer, second], " with random weights": [answer]}
        pictures = {}
        for suffix, network in networks.items():
            values = np.stack(
                [
                    attribution.evidence(network, model_input, int(target), method).values
                    for target in sides[suffix]
                ]
            )
            pictures[suffix] = EvidenceDisplay(values, received, style).pictures[0].astype(int)
            found = shrunk(shown[f"{method} for {run.class_names[answer]}{suffix}"], 8)
            assert np.abs(found - pictures[suffix]).max() <= 2, (method, suffix)
        different = np.abs(pictures[""] - pictures[" with random weights"])
        assert different.max() > 50, "the two cannot be taken for one another"


def test_the_strongest_images_of_a_unit_and_what_in_them_excites_it(drawn):
    """Of a class, which sees the whole image: nothing of its gradient is cut away."""
    run, methods = folders.open_run("mine"), ("deconvnet", "guided backpropagation")
    app = unit_page.opened(until="looked up once", unit_layer="fc", unit_number=str(UNIT))
    app.toggle(key="random").set_value(True)
    unit_page.drawn(app, "the same with random weights")
    unit_page.drawn(app, "random weights: the unit answers")
    drawn.clear()
    unit_page.drawn(app, "random weights: the unit answers")
    values, split = unit_page.brute_force(run, "fc", UNIT)
    order = np.argsort(-values, kind="stable")[:9]
    strongest = np.concatenate([network_input(run, np.asarray(split.pictures[at])) for at in order])
    networks = (load_model(run), randomised(run))
    for method in methods:
        shown = [pixels for alt, pixels in drawn if (alt or "").startswith(method)]
        assert len(shown) == 2 * 9, "the trained network's, then the control's"
        rows = []
        for network, pictures in zip(networks, (shown[:9], shown[9:]), strict=True):
            expected = attribution.of_units(
                network, _tensor(strongest), "fc", [UNIT] * 9, [()] * 9, method
            )
            rows.append([gradient_picture(one)[0].astype(int) for one in expected])
            for picture, one in zip(pictures, rows[-1], strict=True):
                assert np.abs(shrunk(picture, 8) - one).max() <= 2, method
        assert all(np.abs(one - two).max() > 50 for one, two in zip(*rows, strict=True))
    made = [
        shrunk(pixels, 8) for alt, pixels in drawn if alt == "the picture made to excite the unit"
    ]
    assert len(made) == 2
    expected = [
        maximise(
            network,
            "fc",
            [UNIT],
            input_size=run.input_size,
            mean=run.config.mean,
            std=run.config.std,
        ).pictures[0]
        for network in networks
    ]
    for picture, one in zip(made, expected, strict=True):
        assert np.abs(picture - one).mean() < 2
    assert np.abs(made[0] - made[1]).mean() > 10


def _tensor(values):
    import torch

    return torch.from_numpy(np.asarray(values))
