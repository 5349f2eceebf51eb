"""What a run's network sees of pictures: whole or their middle, and greys of more than 8 bits on
the scale that it was trained on. Told by what lies at the ends, which the middle lacks.
"""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.test_form import Entered, fields, fill, opened, press, started  # noqa: F401
from vizlib import datasets
from vizlib.errors import UserError
from vizlib.images import fit, open_image, to_network_input
from vizlib.inside.held_out import held_out
from vizlib.run.config import config_of
from vizlib.run.folders import read_run
from vizlib.training.batches import FittedPictures
from vizlib.training.config import make_config
from vizlib.training.loop import train
from vizlib.training.order import Order
from vizlib.training.recipes import recipe
from vizlib.ui.data import caches
from vizlib.ui.frame import image_picker

SIZE = (3, 12, 12)


def noise(height, width, low=100):
    shape = (height, width, 3)
    return np.random.default_rng(height * width).integers(low, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((6, 12), slice(3, 9), slice(0, 12)),
        ((12, 4), slice(0, 12), slice(4, 8)),
        ((12, 12), slice(0, 12), slice(0, 12)),
    ],
)
def test_a_whole_picture_lies_in_the_middle_of_black(size, rows, columns):
    """None of these needs another size: every bit stays, and all around it is zero."""
    picture = noise(*size)
    found = fit(picture, SIZE, whole=True)
    assert np.array_equal(found[rows, columns], picture)
    rest = found.copy()
    rest[rows, columns] = 0
    assert not rest.any()


@pytest.mark.parametrize("size", [(5, 7), (7, 5), (100, 33), (31, 200), (1, 9), (17, 1)])
@pytest.mark.parametrize("wanted", [(3, 12, 12), (3, 9, 20), (1, 21, 8)])
def test_every_end_of_a_whole_picture_is_seen(size, wanted):
    dark = np.zeros((*size, 3), np.uint8)
    for ends in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        lit = dark.copy()
        lit[ends] = 255
        assert fit(lit, wanted, whole=True).max() > 0
    grey = np.full((*size, 3), 80, np.uint8)
    assert fit(grey, wanted, whole=True).shape == (*wanted[1:], wanted[0])
    received, _ = to_network_input(grey, wanted, (0.5,) * wanted[0], (1.0,) * wanted[0], whole=True)
    assert np.array_equal(received, fit(grey, wanted, whole=True))


@pytest.fixture
def ends(tmp_path, monkeypatch):
    """folder:ends, pictures of 8 x 24 whose class is told by their left end alone."""
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "data"))
    generator = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 10)):
        for label, value in (("dark", 20), ("light", 230)):
            folder = tmp_path / "data" / "ends" / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(90, 160, (8, 24, 3), np.uint8)
                pixels[:, :6] = value
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return "folder:ends"


def order(dataset, **given):
    settings = recipe("small_set", epochs=6, batch_size=8, augment=False)
    return Order("three_layer_module", dataset, settings, side=8, **given)


@pytest.mark.parametrize("whole", [True, False])
def test_a_training_sees_what_was_ordered(ends, tmp_path, whole):
    dataset = datasets.load(ends)
    config = make_config(order(ends, whole=whole), dataset)
    run = train(tmp_path / "run", config, dataset, say=lambda text: None)
    [finished] = run.events_of("finished")
    assert (finished["test_accuracy"] == 1.0) == whole
    assert read_run(run.folder).config.whole == whole
    # and so do all that look into it later: by the very pixels
    split = held_out(run, datasets.load_for(run.config))
    picture = datasets.load(ends).splits["test"].pictures[3]
    wanted = fit(picture, config.input_size, whole=whole)
    assert np.array_equal(split.received(3, config.input_size), wanted)
    assert np.array_equal(split.images(config.input_size)[3].transpose(1, 2, 0), wanted)
    assert np.array_equal(FittedPictures(split, config.input_size)[3].permute(1, 2, 0), wanted)
    [chunk] = split.take(np.array([5, 3])).in_chunks(config.input_size)
    assert np.array_equal(chunk[1].transpose(1, 2, 0), wanted)
    picked = image_picker.received(picture, run)
    assert np.array_equal(picked, wanted)


def test_two_runs_on_one_data_set_each_see_it_their_way(ends, runs_root):
    """Also where the app keeps what it has opened."""
    dataset = datasets.load(ends)
    seen = {}
    for name, whole in (("cut", False), ("whole", True)):
        config = make_config(order(ends, whole=whole), dataset)
        run = train(runs_root / name, config, dataset, say=lambda text: None)
        seen[whole] = caches.dataset(run), caches.held_out(run)
    for whole, (data, held) in seen.items():
        assert data.splits["test"].whole == whole
        assert held.whole == whole


def test_what_is_kept_decoded_is_of_one_kind(ends, monkeypatch):
    monkeypatch.setattr("vizlib.datasets.decoded.FEWEST", 1)
    split = datasets.load(ends).splits["test"]
    middle = split.images(SIZE)
    assert not np.array_equal(replace(split, whole=True).images(SIZE), middle)
    assert np.array_equal(split.images(SIZE), middle)


def test_the_form_offers_it_where_something_is_cut_off(started, ends):  # noqa: F811
    app = opened()
    assert "whole" not in fields(app)
    fill(app, {"dataset": Entered(ends, (), None), "architecture": Entered("resnet18", (), None)})
    assert any("is not seen" in caption.value for caption in app.caption)
    entered = {"whole": Entered(True, ("whole",), True)}
    fill(app, entered)
    assert not any("is not seen" in caption.value for caption in app.caption)
    assert any("black border" in caption.value for caption in app.caption)
    config, _ = press(app, started)
    assert config["whole"] is True


# Greys of more than 8 bits


def deep(values):
    file = io.BytesIO()
    Image.fromarray(np.asarray(values, np.uint16)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def xrays(tmp_path, monkeypatch):
    """folder:xrays, from 1,000 to 5,000 in its training pictures, of which none has both ends."""
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path))
    for part in ("train", "test"):
        for label, low in (("a", 1000), ("b", 3000)):
            folder = tmp_path / "xrays" / part / label
            folder.mkdir(parents=True)
            for number in range(4):
                ramp = np.linspace(low, low + 2000, 64).reshape(8, 8)
                (folder / f"{number}.png").write_bytes(deep(ramp))
    return tmp_path / "xrays"


def test_pictures_added_later_do_not_shift_the_scale(xrays):
    dataset = datasets.load("folder:xrays")
    config = make_config(order("folder:xrays"), dataset)
    assert config.levels == [1000, 5000]
    assert config_of(json.loads(json.dumps(config.as_dict()))) == (config, [])
    before = dataset.splits["test"].pictures[0]
    (xrays / "train" / "b" / "later.png").write_bytes(deep(np.full((8, 8), 60_000)))
    today = datasets.load("folder:xrays")
    assert not np.array_equal(today.splits["test"].pictures[0], before)
    assert np.array_equal(datasets.load_for(config).splits["test"].pictures[0], before)


def test_a_picture_of_one_s_own_is_on_the_scale_of_the_training():
    data = deep(np.full((8, 8), 3000) + np.eye(8) * 500)
    picture, words = image_picker._opened(data, (1000.0, 5000.0))
    assert picture[0, 1, 0] == round(255 * 2000 / 4000)
    assert picture[0, 0, 0] == round(255 * 2500 / 4000)
    assert "1000" in words
    assert "training" in words
    alone, words = image_picker._opened(data, None)
    assert (alone.min(), alone.max()) == (0, 255)
    assert "3000 and white 3500" in words
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    assert image_picker._opened(file.getvalue(), (1000.0, 5000.0))[1] == ""


def test_values_that_are_no_numbers_are_refused_on_any_scale():
    file = io.BytesIO()
    Image.fromarray(np.array([[1, np.nan], [3, 4]], np.float32)).save(file, "TIFF")
    for levels in (None, (0.0, 4.0)):
        with pytest.raises(UserError, match="not numbers"):
            open_image(file.getvalue(), levels)


def test_an_order_of_the_command_line_is_whole(ends, tmp_path, capsys):
    from vizlib.command_line import main

    arguments = f"train -a three_layer_module -d {ends} --epochs 1 --side 8 --whole --name w"
    assert main([*arguments.split(), "--out", str(tmp_path / "runs")]) == 0
    assert read_run(tmp_path / "runs" / "w").config.whole
