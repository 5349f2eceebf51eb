"""The page Play: what the browser says was done changes the picture, what the network answers to it
is the network's own answer, and sessions share nothing.
"""

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from tests.test_browser import no_error, settled
from tests.test_pages import ROOT, fine, fresh_caches, opened, texts  # noqa: F401
from vizlib import architectures
from vizlib.edits import MOST_STROKES, Moves
from vizlib.images import fit, photograph, to_network_input
from vizlib.run import folders
from vizlib.run.weights import load_into, load_weights
from vizlib.ui.parts.playground import Ground

RUN = folders.open_run("lenet")


def plain_network():
    """The network without anything of what looks into it."""
    network = architectures.create(RUN.config.architecture, **RUN.config.arguments).eval()
    return load_into(network, load_weights(RUN.path("model.safetensors")))


def answered(pixels, silent=()):
    """Percent by class name for what the network gets, with some of relu1's channels zero."""
    network = plain_network()

    def silence(module, given, output):
        output = output.clone()
        output[:, list(silent)] = 0
        return output

    network.relu1.register_forward_hook(silence)
    config = RUN.config
    _, image = to_network_input(pixels, RUN.input_size, config.mean, config.std)
    with torch.no_grad():
        shares = network(image).softmax(1)[0]
    return {
        name: round(100 * float(share)) for name, share in zip(RUN.class_names, shares, strict=True)
    }


def stroke(number, **changes):
    usual = dict(kind="stroke", id=f"s{number}", tool="draw", size=3, colour=[9, 8, 7])
    return usual | dict(number=number, points=[[4, 5]]) | changes


def test_deeds():
    ground = Ground(("picture",))
    ground.do(stroke(1))
    ground.do(stroke(2))
    ground.do(stroke(3, id="s2", points=[[4, 5], [9, 9]]))
    assert [len(one.points) for one in ground.edits.strokes] == [1, 2], "a stroke grows in place"
    ground.do(dict(kind="moves", number=4, moves=dict(right=3, turn=-20)))
    assert ground.edits.moves == Moves(right=3, turn=-20)
    ground.do(dict(kind="undo", number=5))
    assert [one.points for one in ground.edits.strokes] == [((4, 5),)]
    assert ground.edits.moves.right == 3
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (10, 200, 90)).save(file, "PNG")
    sent = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    ground.do(dict(kind="frame", number=6, image=sent))
    assert ground.frame.shape == (30, 40, 3)
    assert len(ground.edits.strokes) == 1, "what is painted stays over the camera's pictures"
    ground.do(dict(kind="frame", number=7, image="data:,nonsense"))
    assert "camera" in ground.problem
    assert ground.number == 7
    ground.do(dict(kind="anew", number=8))
    assert not ground.edits
    assert ground.frame is None
    assert ground.problem == ""


@pytest.mark.parametrize(
    "deed",
    [
        {},
        {"kind": "stroke"},
        {"kind": ["stroke"], "number": 1},
        {"kind": "moves", "moves": "x"},
        {"kind": "frame", "image": None},
        {"kind": "erase", "number": "7"},
        {"kind": "undo", "number": float("nan")},
    ],
)
def test_nonsense_changes_nothing(deed):
    ground = Ground(("picture",), number=3)
    ground.do(deed)
    assert not ground.edits
    assert ground.frame is None
    assert ground.number in (1, 3)


def test_strokes_are_bounded():
    ground = Ground(("picture",))
    for number in range(MOST_STROKES + 3):
        ground.do(stroke(number))
    assert len(ground.edits.strokes) == MOST_STROKES
    assert str(MOST_STROKES) in ground.problem


def test_units_are_switched_by_the_buttons():
    app = fine(opened(ROOT / "pages/14_Play.py", model="lenet", layer="relu1"))
    assert "All units are on" in texts(app)
    fine(app.button(key="whole_layer").click().run())
    assert "6 of relu1" in texts(app)
    fine(app.selectbox(key="layer").set_value("conv2").run())
    fine(app.button(key="whole_layer").click().run())
    assert "6 of relu1, 16 of conv2" in texts(app)
    fine(app.button(key="whole_layer").click().run())
    assert "6 of relu1." in texts(app)
    fine(app.segmented_control(key="shown").set_value("what changed").run())
    fine(app.button(key="all_on").click().run())
    assert "All units are on" in texts(app)


def test_another_session_starts_with_all_on():
    first = opened(ROOT / "pages/14_Play.py", model="lenet", layer="relu1")
    first.button(key="whole_layer").click().run()
    second = fine(opened(ROOT / "pages/14_Play.py", model="lenet", layer="relu1"))
    assert "6 of relu1" in texts(first)
    assert "All units are on" in texts(second)


def shown(page):
    """Percent by class name, as they are on the page now."""
    # not their texts as laid out: those have no line breaks for a moment while the page moves
    heads = page.locator(".bars .head").evaluate_all(
        "heads => heads.map(head => [...head.children].map(part => part.textContent))"
    )
    return {name: int(re.search(r"(\d+) %$", percent)[1]) for name, percent in heads}


def seen(page):
    """The pixels on the board."""
    source = page.locator(".board img").get_attribute("src")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))


def played(page, address):
    page.goto(f"{address}/Play?model=lenet&layer=relu1&photo=coffee")
    page.locator(".bars .head").first.wait_for()
    settled(page)
    return page


def matches(page, silent=()):
    """Whether the page comes to show what the plain network answers to the pixels on the board."""
    for _ in range(40):
        now, expected = shown(page), answered(seen(page), silent)
        if now and all(abs(expected[name] - share) <= 1 for name, share in now.items()):
            return True
        page.wait_for_timeout(100)
    return False


@pytest.mark.browser
def test_painting_and_switching_off_change_the_answers_of_one_session_alone(new_page, address):
    page, other = (played(new_page(), address) for _ in range(2))
    begun = shown(page)
    assert np.array_equal(seen(page), fit(photograph("coffee"), RUN.input_size))
    assert matches(page)
    box = page.locator(".board").bounding_box()
    page.locator(".choice input[value=erase]").check(force=True)
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    for share in (0.4, 0.5, 0.6, 0.7):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] * share)
    page.mouse.up()
    page.locator(".undo:enabled").wait_for()
    page.wait_for_timeout(300)
    erased = (seen(page) == np.round(255 * np.array(RUN.config.mean))).all(axis=2)
    assert erased[[10, 16, 21], [10, 16, 21]].all()
    assert 30 < erased.sum() < 120
    assert matches(page)
    assert shown(page) != begun
    sheet = page.locator(".frame img")
    for off, (across, down) in enumerate(((1, 0), (1, 1)), 1):  # six maps in three columns
        size = sheet.bounding_box()
        middle = dict(x=size["width"] * (across + 0.5) / 3, y=size["height"] * (down + 0.5) / 2)
        sheet.click(position=middle)
        page.get_by_text(f"{off} of relu1").wait_for()
    assert matches(page, silent=(1, 4))
    page.locator(".frame").focus()
    page.keyboard.press(" ")
    page.get_by_text("1 of relu1").wait_for()
    assert matches(page, silent=(1,))
    assert shown(other) == begun
    other.locator(".move[name=turn]").fill("90")
    other.locator(".move[name=turn]").blur()
    assert matches(other)
    assert not np.array_equal(seen(other), seen(page))
    no_error(page)
    no_error(other)
