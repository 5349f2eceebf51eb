"""The film of learning as it is stored: what is drawn of it is what would be drawn of the floats,
and films of earlier versions are read, thinned and gone on with.
"""

import shutil

import numpy as np
import pytest
import safetensors.numpy
import torch
from torch import nn

from vizlib.displays.film import FilmDisplay
from vizlib.displays.filters import FiltersDisplay
from vizlib.run import folders, moments
from vizlib.run.integers import SCALE
from vizlib.training.probe import Probe
from vizlib.training.snapshots import Snapshots, thin


def filters(step, channels=3):
    """Filters of very different size, float16 (12, channels, 5, 5), the largest in the middle of
    the film; one of zeros, and one that float16 hardly holds.
    """
    values = np.random.default_rng(step).normal(size=(12, channels, 5, 5))
    values *= np.logspace(-3, 0, 12).reshape(-1, 1, 1, 1) * (30 if step == 2 else 1)
    values[7], values[4] = 0, values[4] * 1e-5
    return values.astype(np.float16)


@pytest.fixture
def film(tmp_path):
    """A run with a film as earlier versions stored it, of four moments."""
    shutil.copytree(folders.SHIPPED / "lenet", tmp_path / "run")
    stored = {f"conv1/{step:08d}": filters(step) for step in (0, 1, 2, 3)}
    stored["probe/picture"] = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    stored["probe/00000002/conv1"] = np.full((1, 2, 2), 7, np.uint8)
    stored["range/00000002/conv1"] = np.array([-1, 2], np.float32)
    path = tmp_path / "run" / "snapshots.safetensors"
    path.write_bytes(safetensors.numpy.save(stored))
    return folders.read_run(tmp_path / "run")


def pictures(run):
    """All that is drawn of the filters at any step, grey levels."""
    display = FilmDisplay.from_run(run)
    for step, weight in display.filters.items():
        one = FiltersDisplay.from_weight(weight)
        yield display.filters_at(step)[1].tiles
        yield FiltersDisplay.from_weight(weight[5:6]).picture().tiles
        yield one.colour_atlas().tiles
        yield one.channel_atlas(1).tiles
        yield one.filter_atlas(9).tiles


def levels(run):
    return np.concatenate([tiles.ravel().astype(int) for tiles in pictures(run)])


def test_of_a_thinned_film_the_eye_sees_the_same(film):
    path = film.path("snapshots.safetensors")
    before, drawn, size = moments.filters(film), levels(film), path.stat().st_size
    others = {n: a for n, a in safetensors.numpy.load_file(path).items() if "conv1/0" not in n}
    thin(path)
    after = moments.filters(film)
    assert list(after) == list(before) == [0, 1, 2, 3]
    for step, weight in after.items():
        assert weight.dtype == np.float32
        greatest = np.abs(before[step]).reshape(12, -1).max(axis=1)
        lost = np.abs(weight - before[step]).reshape(12, -1).max(axis=1)
        assert (lost <= greatest / 254 * 1.0001).all()
    assert np.abs(levels(film) - drawn).max() == 1  # and something was rounded
    assert path.stat().st_size < 0.7 * size
    now = safetensors.numpy.load_file(path)
    assert all(np.array_equal(now[name], array) for name, array in others.items())
    content = path.read_bytes()
    thin(path)  # of what is thin already nothing is lost again
    assert path.read_bytes() == content


def test_one_that_cannot_be_read_is_left_as_it_is(tmp_path):
    for content in (b"", b"nonsense"):
        (tmp_path / "x").write_bytes(content)
        thin(tmp_path / "x")
        assert (tmp_path / "x").read_bytes() == content
    thin(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_filters_without_their_scales_are_passed_over(film):
    path = film.path("snapshots.safetensors")
    thin(path)
    stored = safetensors.numpy.load_file(path)
    del stored["conv1/00000001" + SCALE]
    stored["conv1/00000003" + SCALE] = np.ones(11, np.float32)
    path.write_bytes(safetensors.numpy.save(stored))
    assert list(moments.filters(film)) == [0, 2]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 12, 5)

    def forward(self, images):
        return self.conv1(images)


def probe_of(picture):
    """picture: uint8 (H, W, C); its values reach the network as they are."""
    return Probe(picture, [0.0] * 3, [1 / 255] * 3, torch.device("cpu"))


def test_a_film_goes_on_with_the_picture_that_it_began_with(film):
    """Also where another one would be chosen today."""
    path = film.path("snapshots.safetensors")
    began_with = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    content = safetensors.numpy.load_file(path)
    content["probe/picture"] = began_with
    path.write_bytes(safetensors.numpy.save(content))
    model = Net()
    snapshots = Snapshots(film.folder, model, probe_of(np.full((8, 8, 3), 9, np.uint8)))
    snapshots.take_up(2)
    snapshots.take(4)
    now = safetensors.numpy.load_file(path)
    assert np.array_equal(now["probe/picture"], began_with)
    with torch.no_grad():
        maps = model(torch.tensor(began_with.transpose(2, 0, 1)[None], dtype=torch.float32))
    np.testing.assert_allclose(
        now["range/00000004/conv1"], [maps.min(), maps.max()], rtol=1e-4, atol=1e-3
    )


def test_an_earlier_film_is_gone_on_with(film, tmp_path):
    """Up to the step that is resumed from, as it lies there; then with snapshots of today."""
    path = film.path("snapshots.safetensors")
    model = Net().to(memory_format=torch.channels_last)
    content = safetensors.numpy.load_file(path)
    content["conv1/x"] = content["conv1/00000000"]
    path.write_bytes(safetensors.numpy.save(content))
    chosen = np.full((8, 8, 3), 9, np.uint8)
    snapshots = Snapshots(film.folder, model, probe_of(chosen))
    snapshots.take_up(2)
    snapshots.take(3)
    now = safetensors.numpy.load_file(path)
    assert now["conv1/00000002"].dtype == np.float16
    assert now["conv1/00000003"].dtype == np.int8
    assert "conv1/x" not in now
    assert np.array_equal(now["probe/picture"], content["probe/picture"])  # its maps are there
    found = moments.filters(film)
    assert np.array_equal(found[2], filters(2).astype(np.float32))
    weight = model.conv1.weight.detach().numpy()
    np.testing.assert_allclose(found[3], weight, atol=np.abs(weight).max() / 254)


@pytest.mark.parametrize("run", folders.list_runs()[0], ids=lambda run: run.run_id)
def test_the_shape_of_the_filters_is_that_of_the_filters(run):
    """Also of a film that was thinned; nothing is read for it."""
    stored = moments.filters(run)
    assert moments.filters_shape(run) == (stored[max(stored)].shape if stored else ())
