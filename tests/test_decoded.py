"""Pictures are decoded once: kept beside the data, true to the files, and never in the way."""

import os
import time

import numpy as np
import pytest
from PIL import Image

from vizlib.datasets import Split, at_once, decoded
from vizlib.datasets.picture_files import PictureFiles
from vizlib.errors import UserError

COUNT = 7


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Seven pictures, few but worth keeping, in a data root."""
    monkeypatch.setattr(decoded, "FEWEST", 5)
    monkeypatch.setattr(at_once, "TOGETHER", 3)
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path))
    (tmp_path / "set").mkdir()
    paths = []
    for number in range(COUNT):
        paths.append(tmp_path / "set" / f"{number}.png")
        Image.new("RGB", (20, 10 + number), (30 * number, 5, 200)).save(paths[-1])
    return paths


def images(paths, size=(3, 8, 8)):
    count = len(paths)
    ids = np.array([path.name for path in paths])
    return Split(PictureFiles(map(str, paths)), np.zeros(count, np.int64), ids).images(size)


def no_decoding(monkeypatch):
    monkeypatch.setattr("vizlib.images.open_image", lambda *given: pytest.fail("decoded again"))


def test_the_second_time_nothing_is_decoded(files, monkeypatch):
    first = images(files)
    assert first.shape == (COUNT, 3, 8, 8)
    assert (first[:, 0, 4, 4] == 30 * np.arange(COUNT)).all()
    no_decoding(monkeypatch)
    again = images(files)
    assert np.array_equal(again, first)
    again[:] = 0  # one's own, to be changed at will
    assert np.array_equal(images(files), first)


@pytest.mark.parametrize("change", ["pixels", "order", "size", "fewer"])
def test_what_has_changed_is_decoded_anew(files, change):
    images(files)
    size, paths = (3, 8, 8), list(files)
    if change == "pixels":
        Image.new("RGB", (20, 13), (1, 2, 3)).save(files[3])
        os.utime(files[3], ns=(5, 5))
    elif change == "order":
        paths.reverse()
    elif change == "size":
        size = (1, 6, 4)
    else:
        paths = paths[1:]
    found = images(paths, size)
    expected = [
        np.asarray(Image.open(path).convert("RGB"))[5, 10] for path in paths
    ]  # of one colour each
    assert found.shape == (len(paths), *size)
    if size[0] == 3:
        assert np.array_equal(found[:, :, 4, 4], expected)


def test_a_damaged_file_of_it_is_made_anew(files, tmp_path):
    first = images(files)
    [kept] = (tmp_path / ".convscope" / "set").iterdir()
    kept.write_bytes(kept.read_bytes()[:200])
    assert np.array_equal(images(files), first)
    assert kept.stat().st_size > 1000


def test_a_picture_that_cannot_be_read_is_said_and_nothing_kept(files, tmp_path):
    files[4].write_bytes(b"no picture")
    with pytest.raises(UserError, match="set/4.png"):
        images(files)
    files[4].unlink()
    with pytest.raises(UserError, match="cannot be read any more"):
        images(files)
    assert not (tmp_path / ".convscope").exists()


def test_few_pictures_are_not_kept(files, tmp_path, monkeypatch):
    monkeypatch.setattr(decoded, "FEWEST", COUNT + 1)
    images(files)
    assert not (tmp_path / ".convscope").exists()


@pytest.mark.parametrize("reason", ["a full disk", "no folder"])
def test_where_nothing_can_be_kept_it_goes_on(files, tmp_path, monkeypatch, reason):
    if reason == "no folder":
        (tmp_path / ".convscope").write_bytes(b"in the way")
    else:
        monkeypatch.setattr(decoded, "SHARE_OF_FREE", 0)
    assert images(files).shape == (COUNT, 3, 8, 8)
    assert not list(tmp_path.glob(".convscope/*/*"))


def test_the_oldest_goes_first(files, tmp_path, monkeypatch):
    each = COUNT * 3 * 8 * 8 + 128  # and the head of the file
    monkeypatch.setattr(decoded, "MOST_BYTES", 2 * each + 100)
    folder = tmp_path / ".convscope" / "set"
    for number, size in enumerate([(3, 8, 8), (3, 7, 8), (3, 8, 7), (3, 6, 6)]):
        before = set(folder.glob("*.npy"))
        images(files, size)
        [new] = set(folder.glob("*.npy")) - before
        os.utime(new, (100 * number, 100 * number))
        if number == 0:
            oldest = new
    assert not oldest.exists()
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 2 * each + 100


@pytest.mark.parametrize("size", [10, 10 * at_once.LARGE])
def test_files_come_in_their_order_however_many_threads_read_them(size, monkeypatch):
    monkeypatch.setattr(at_once, "TOGETHER", 4)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    waits = np.random.default_rng(0).permutation(23) / 10_000

    def work(number):
        time.sleep(waits[number])
        return number**2

    assert list(at_once.with_each(work, range(23), [size])) == [n**2 for n in range(23)]
    with pytest.raises(ZeroDivisionError):
        list(at_once.with_each(lambda number: 1 / (number - 9), range(23), [size]))
    assert list(at_once.with_each(work, [], [])) == []
