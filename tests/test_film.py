"""The film of learning as a picture and as a page: each frame shows what was stored at its step."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.test_live_pages import (
    GROWING,
    ROOT,
    STARTED,
    alive,
    epoch_row,
    fabricate,
    fine,
    opened,
    step_row,
    texts,
)
from vizlib.displays import film_frames
from vizlib.displays.atlas import factor_within, palette
from vizlib.displays.curves import History
from vizlib.displays.feature_maps import FeatureMapsDisplay
from vizlib.displays.film import SHEETS, FilmDisplay
from vizlib.displays.film_frames import HEAD, PANELS, SIZE, animation, frame
from vizlib.errors import UserError
from vizlib.run import folders, moments

STEPS = (0, 8, 40)
COUNTS = {8: [[30, 0], [20, 0]], 40: [[27, 3], [4, 16]]}


def display(**changes):
    """A FilmDisplay of random filters and maps at steps 0, 8 and 40, evaluated at 8 and 40."""
    random = np.random.default_rng(0)
    parts = dict(
        name="mine",
        dataset="digits",
        class_names=["no", "yes"],
        filters={
            step: random.normal(size=(4, 3, 2, 2)).astype(np.float32) * (1 + step) for step in STEPS
        },
        layer="conv2",
        maps={
            step: FeatureMapsDisplay.from_activation(
                random.normal(size=(3, 5, 6)).astype(np.float32), (-9, 9)
            )
            for step in STEPS
        },
        probe_picture=random.integers(0, 256, (8, 8, 3), dtype=np.uint8),
        evaluations=[(epoch_row(step), np.array(counts)) for step, counts in COUNTS.items()],
        history=History(
            [epoch_row(step) for step in COUNTS], [step_row(step) for step in range(1, 41)], None
        ),
        steps=list(STEPS),
    )
    return FilmDisplay(**parts | changes)


def shown(picture, atlas, panel):
    """The colours that a panel shows for each value of its tiles, (N, h, w, 3): those in the middle
    of its square.
    """
    count, height, width = atlas.tiles.shape[:3]
    left, top = PANELS[panel][2] - SHEETS[panel][0], PANELS[panel][3] - SHEETS[panel][1]
    factor = factor_within(atlas.tiles.shape, atlas.columns, *SHEETS[panel])
    tile, row, column = np.indices((count, height, width))
    x = left + tile % atlas.columns * (width * factor + 1) + column * factor + factor // 2
    y = top + tile // atlas.columns * (height * factor + 1) + row * factor + factor // 2
    return np.asarray(picture.convert("RGB"))[y, x].astype(int)


@pytest.mark.parametrize(("step", "at"), [(0, 0), (8, 8), (39, 8), (40, 40)])
def test_a_frame_shows_the_arrays_of_its_step(step, at):
    one = display()
    picture, greatest = (
        frame(one, step),
        max(np.abs(weight).max() for weight in one.filters.values()),
    )
    # one scale over the film
    expected = np.round(127.5 + 127.5 * one.filters[at] / greatest).transpose(0, 2, 3, 1)
    assert picture.size == SIZE
    assert np.abs(shown(picture, one.filters_at(step)[1], "filters") - expected).max() <= 1
    values = one.maps[at].maps
    # a scale of its own
    levels = np.round((values / np.abs(values).max() + 1) / 2 * 254).astype(int)
    assert (
        np.abs(shown(picture, one.maps_at(step)[1], "maps") - palette("RdBu_r")[levels]).max() <= 4
    )


def test_the_matrix_has_the_counts_of_its_evaluation(monkeypatch):
    written, write = [], film_frames._write
    monkeypatch.setattr(
        film_frames,
        "_write",
        lambda draw, place, text, *others, **more: (
            written.append(text) or write(draw, place, text, *others, **more)
        ),
    )
    one = display()
    picture = frame(one, 40)
    head = written.index("86% right, not collapsed")
    assert [text for text in written[head:] if text.isdigit()][:4] == ["27", "3", "4", "16"]
    written.clear()
    assert frame(one, 39) != picture
    head = written.index("60% right, collapsed")
    # a zero is not written
    assert [text for text in written[head:] if text.isdigit()][:2] == ["30", "20"]
    # nobody answered yes
    assert frame(one, 39).getpixel((PANELS["matrix"][2] - 10, PANELS["matrix"][3] - 10)) == (
        0xFF,
        0xFF,
        0xFF,
    )


def test_curves_go_up_to_the_step():
    pictures = {step: np.asarray(frame(display(), step)).astype(int) for step in STEPS}
    left, top, right, bottom = PANELS["curves"]
    # of the validation's line
    ink = [
        (np.abs(pictures[step][top:bottom, left:right] - (8, 145, 178)).sum(axis=2) < 20).sum()
        for step in STEPS
    ]
    assert ink[0] == 0 < ink[1] < ink[2]
    figure = display().plot("loss", 8, 100)
    assert figure.layout.shapes[0].x0 == 8
    assert figure.layout.xaxis.type == "log"
    assert figure.layout.xaxis.range == display().plot("loss", 40, 100).layout.xaxis.range


def test_the_animation_has_a_frame_for_each_step_and_holds_the_last():
    one, shares = display(), []
    with Image.open(io.BytesIO(animation(one, shares.append))) as picture:
        assert (picture.n_frames, picture.size, picture.info["loop"]) == (3, SIZE, 0)
        for number, (step, milliseconds) in enumerate(zip(STEPS, (500, 500, 3000), strict=True)):
            picture.seek(number)
            assert picture.info["duration"] == milliseconds
            there = np.abs(
                np.asarray(picture.convert("RGB")).astype(int) - np.asarray(frame(one, step))
            )
            assert there.mean() < 1
            assert picture.convert("RGB").getpixel((2, 2)) == (255, 255, 255)
            expected = shown(frame(one, step), one.filters_at(step)[1], "filters")
            assert np.abs(shown(picture, one.filters_at(step)[1], "filters") - expected).max() <= 8
    assert shares == sorted(shares)
    assert shares[0] > 0
    assert shares[-1] <= 1
    with pytest.raises(KeyboardInterrupt):
        animation(one, lambda share: (_ for _ in ()).throw(KeyboardInterrupt))


def test_a_picture_of_256_colours_keeps_them():
    colours = np.vstack([palette("viridis")[:-1], [[255, 255, 255]]]).astype(np.uint8)
    picture = Image.fromarray(colours.reshape(16, 16, 3).repeat(6, axis=0).repeat(6, axis=1))
    assert np.array_equal(
        np.asarray(film_frames._quantised(picture).convert("RGB")), np.asarray(picture)
    )


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 40, 500])
def test_frames_are_spread_from_the_first_to_the_last(count):
    found = moments.frames(list(range(count)))
    assert len(found) == len(set(found)) == min(count, 20)
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, count - 1)
    assert np.ptp(np.diff(found)) <= 1 if count > 1 else found == [0]


@pytest.mark.parametrize(
    ("count", "height", "width"),
    [
        (1, 1, 1),
        (6, 5, 5),
        (24, 2, 2),
        (64, 7, 7),
        (512, 4, 4),
        (2048, 2, 2),
        (192, 11, 11),
        (8, 32, 32),
        (3, 400, 9),
    ],
)
def test_any_sheet_fits_its_panel(count, height, width):
    one = display(filters={0: np.ones((count, 3, height, width), np.float32)})
    sheet, (left, top) = film_frames._sheet(one.filters_at(0)[1], "filters")
    assert (left, top) == (PANELS["filters"][0], PANELS["filters"][1] + HEAD)
    assert left + sheet.width <= PANELS["filters"][2]
    assert top + sheet.height <= PANELS["filters"][3]


LACKING = {
    "filters": (dict(filters={}), "No filters are stored along this training."),
    "maps": (
        dict(probe_picture=None),
        "No maps of a probe picture are stored along this training.",
    ),
    "matrix": (dict(evaluations=[]), "No evaluation is stored along this training."),
    "curves": (dict(history=History([], [], None)), "No step is noted along this training."),
}


@pytest.mark.parametrize("panel", LACKING)
def test_what_is_missing_is_said_in_its_panel_and_the_others_go_on(panel, monkeypatch):
    written, write = [], film_frames._write
    monkeypatch.setattr(
        film_frames,
        "_write",
        lambda draw, place, text, *others, **more: (
            written.append(text) or write(draw, place, text, *others, **more)
        ),
    )
    changes, sentence = LACKING[panel]
    whole, without = frame(display(), 40), frame(display(**changes), 40)
    assert sentence in written
    for name, box in PANELS.items():
        assert (whole.crop(box).tobytes() == without.crop(box).tobytes()) == (name != panel)


@pytest.mark.parametrize("classes", [1, 2, 20, 21, 100])
def test_names_from_files_and_any_number_of_classes_are_drawn(classes):
    names = ["two\nlines", "x" * 300, "", "\u0000\u4e2d"][:classes] + [
        f"class {number}" for number in range(classes - 4)
    ]
    counts = np.random.default_rng(0).integers(0, 2000, (classes, classes))
    one = display(
        name="a\nb" * 99,
        dataset="<b>" * 99,
        class_names=names,
        evaluations=[(epoch_row(0), counts)],
    )
    picture = frame(one, 0)
    assert len(picture.crop(PANELS["matrix"]).getcolors(1 << 20)) > classes
    # nothing is written beyond the panels
    assert picture.crop((0, 80, 20, 724)).getcolors() == [(20 * 644, (255, 255, 255))]


def test_before_the_first_evaluation_that_is_said():
    with pytest.raises(UserError, match="Not yet: the first evaluation is of step 8."):
        display().matrix_at(7)
    with pytest.raises(UserError, match="No evaluation is stored yet."):
        display(evaluations=[], growing=True).matrix_at(7)


def test_a_film_is_read_from_its_folder(root):
    run = folders.read_run(fabricate(root, "mine", GROWING))
    one = FilmDisplay.from_run(run)
    assert one.layer == "conv1"
    assert list(one.filters) == list(one.maps) == [0, 8, 32]
    assert one.steps == [0, 1, 2, 4, 8, 16, 32, 40]
    assert FilmDisplay.from_run(run, "conv2").maps[8].maps.shape == (10, 10, 10)
    with pytest.raises(UserError, match="no stored layer named 'fc1'. Possible: conv1, conv2"):
        FilmDisplay.from_run(run, "fc1")
    with pytest.raises(UserError, match="nothing is stored along its training"):
        FilmDisplay.from_run(folders.read_run(fabricate(root, "empty", [STARTED], snapshots=False)))


def test_layers_are_in_the_order_of_the_network(root):
    run = folders.read_run(
        fabricate(root, "mine", [STARTED | {"layers": ["stem", "b", "a"]}], snapshots=False)
    )
    assert moments.in_order(run, ["a", "b", "fixed", "a"]) == ["fixed", "b", "a"]
    assert moments.in_order(
        folders.read_run(fabricate(root, "old", [STARTED | {"layers": None}], snapshots=False)),
        ["b", "a"],
    ) == ["a", "b"]


# The page

PAGE = ROOT / "pages/7_Film.py"


def headings(app):
    """The step that each panel says it shows, None where it has nothing to show: filters, maps,
    matrix, curves.
    """
    found = {}
    for element in app.markdown:
        if element.value.startswith("#### "):
            words, _, step = element.value.removeprefix("#### ").partition(" :small[:gray[step ")
            name = next(
                (
                    name
                    for name, word in (
                        ("filters", "First filters"),
                        ("maps", "Maps of"),
                        ("maps", "Feature maps"),
                        ("curves", "Loss"),
                    )
                    if words.startswith(word)
                ),
                "matrix",
            )
            found[name] = int(step.rstrip("]").replace(",", "")) if step else None
    return tuple(found[name] for name in ("filters", "maps", "matrix", "curves"))


def test_the_slider_moves_all_four(root):
    collapsed = np.zeros((10, 10), int)
    collapsed[:, 3] = 100
    fabricate(root, "mine", [*GROWING, epoch_row(80, confusion=collapsed.tolist())])
    app = fine(opened(PAGE, model="mine", step="0"))
    assert headings(app) == (
        0,
        0,
        None,
        0,
    )
    assert "Not yet: the first evaluation is of step 40" in texts(app)
    assert headings(fine(app.select_slider(key="step").set_value("16").run())) == (8, 8, None, 16)
    assert headings(fine(app.select_slider(key="step").set_value("40").run())) == (
        32,
        32,
        40,
        40,
    )
    assert "not collapsed" in texts(app)
    assert headings(fine(app.select_slider(key="step").set_value("end").run())) == (
        32,
        32,
        80,
        80,
    )
    assert "10% right, :red[collapsed]" in texts(app)
    assert "Maps of conv2" in texts(fine(app.selectbox(key="layer").set_value("conv2").run()))


def test_runs_that_lack_parts(root):
    fabricate(root, "bare", GROWING, weights=False, snapshots=False)
    young = fabricate(root, "young", [STARTED, *(step_row(step) for step in (1, 2, 3))])
    new = fabricate(root, "new", [STARTED], weights=False, snapshots=False)
    app = fine(opened(PAGE, model="bare"))
    assert headings(app) == (None, None, 40, 40)
    assert "No filters are stored along this training." in texts(app)
    assert not app.get("download_button")
    with alive(young):
        app = fine(opened(PAGE, model="young"))
        assert headings(app) == (32, 32, None, 32)
        assert "No evaluation is stored yet." in texts(app)
        assert "Once it has ended" in texts(app)
    with alive(new):
        assert "has just begun" in texts(fine(opened(PAGE, model="new")))


def test_the_animated_picture_is_made_when_asked_for(root, monkeypatch):
    import time

    monkeypatch.setattr(moments, "FRAMES", 2)
    fabricate(root, "mine", GROWING)
    app = fine(opened(PAGE, model="mine"))
    fine(app.button(key="make_film").click().run())
    while not app.get("download_button"):
        time.sleep(0.05)
        fine(app.run())
    assert app.get("download_button")[0].proto.label == "GIF"
    assert "2 steps, 0.5 s each" in texts(app)
