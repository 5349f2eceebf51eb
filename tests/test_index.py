"""What is known of picture files: looked into once, kept beside the data, never an error."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vizlib import datasets, images
from vizlib.datasets import index
from vizlib.datasets.index import examined


@pytest.fixture
def opened(monkeypatch):
    """How many pictures are decoded."""
    calls = []
    real = images.look
    monkeypatch.setattr(
        images, "look", lambda *given, **how: calls.append(1) or real(*given, **how)
    )
    return calls


def write(path, size=(9, 7), colour=(5, 90, 7)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def test_each_file_is_opened_once_and_again_where_it_changed(data_folder, opened):
    paths = [str(write(data_folder / "set" / "a" / f"{number}.png")) for number in range(4)]
    first = examined(data_folder / "set", paths)
    assert [(known.height, known.width, known.problem) for known in first] == [(7, 9, "")] * 4
    assert len({known.digest for known in first}) == 1
    assert len(first[0].digest) == 16
    for _ in range(2):
        assert examined(data_folder / "set", paths[::-1]) == first
        index._in_memory.clear()
    assert len(opened) == 4
    write(Path(paths[2]), size=(4, 3))
    again = examined(data_folder / "set", paths)
    assert len(opened) == 5
    assert (again[2].height, again[2].width) == (3, 4)
    assert again[2].digest != first[2].digest
    assert [*again[:2], again[3]] == [*first[:2], first[3]]


def test_bad_files_are_a_few_words(data_folder, monkeypatch):
    folder = data_folder / "set"
    good = write(folder / "good.png")
    cut = folder / "cut.png"
    cut.write_bytes(good.read_bytes()[:50])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("hello")
    os.mkfifo(folder / "pipe.png")
    with open(folder / "sparse.png", "wb") as file:
        file.truncate(6 << 30)
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    write(folder / "large.png", size=(20, 20))
    names = ["good", "cut", "empty", "text", "pipe", "sparse", "large", "gone"]
    known = examined(folder, [f"{folder}/{name}.png" for name in names])
    assert [of_file.problem for of_file in known] == [
        "",
        "damaged or incomplete",
        "empty",
        "not a picture that can be read here",
        "not a regular file",
        "6,442 MB, more than can be opened",
        "more pixels than can be opened",
        "cannot be read (No such file or directory)",
    ]


def test_greys_of_sixteen_bits_have_one_scale_for_the_set(data_folder):
    """The classes differ by exposure alone."""
    for name, top in (("bright", 40000), ("dark", 4000)):
        for number in range(10):
            ramp = np.linspace(100 + number, top - number, 64).reshape(8, 8)
            path = data_folder / "counts" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(ramp.astype(np.uint16)).save(path)
    split = datasets.load("folder:counts").splits["train"]
    means = [
        np.mean([split.pictures[number].mean() for number in np.flatnonzero(split.labels == label)])
        for label in (0, 1)
    ]
    assert means[0] == pytest.approx(127, abs=3)
    assert means[1] == pytest.approx(12.5, abs=3)
    assert split.take(np.arange(3)).pictures.levels == split.pictures.levels


def test_all_damaged_pictures_are_named_at_once(data_folder):
    for name in ("a", "b"):
        for number in range(10):
            write(data_folder / "set" / name / f"{number}.png", colour=(number, 0, 0))
    for name in ("a/3", "b/5", "b/8"):
        path = data_folder / "set" / f"{name}.png"
        path.write_bytes(path.read_bytes()[:50])
    dataset = datasets.load("folder:set")
    assert sum(map(len, dataset.splits.values())) == 17
    [left_out] = dataset.left_out
    assert left_out.sentence == (
        "3 left out, damaged or incomplete: 'a/3.png', 'b/5.png', 'b/8.png'."
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:30],
        lambda text: text.replace('"version":1', '"version":9'),
        lambda text: "[]",
        lambda text: json.dumps({"version": 1, "files": {"a.png": [[1], ["x"]]}}),
        lambda text: json.dumps({"version": 1, "files": [1]}),
    ],
)
def test_what_is_kept_and_damaged_is_looked_at_anew(data_folder, opened, change):
    path = write(data_folder / "set" / "a.png")
    first = examined(data_folder / "set", [str(path)])
    [kept] = (data_folder / ".convscope").rglob("*.json")
    kept.write_text(change(kept.read_text()))
    index._in_memory.clear()
    assert examined(data_folder / "set", [str(path)]) == first
    assert len(opened) == 2
    assert datasets.names() == ["digits", "digits-imbalanced"]


def test_nothing_is_kept_where_that_cannot_be_written(data_folder, monkeypatch, opened):
    path = write(data_folder / "set" / "a.png")

    def refused(*paths):
        raise PermissionError("read-only")

    monkeypatch.setattr(index.os, "replace", refused)
    assert examined(data_folder / "set", [str(path)])[0].height == 7
    assert not [found for found in data_folder.rglob("*") if found.is_file() and found != path]


def test_old_picture_formats_are_read_of_folders(data_folder):
    for place, (name, ending) in enumerate((("a", "ppm"), ("b", "PGM"), ("c", "jfif"))):
        for number in range(5):
            path = data_folder / "old" / name / f"{number}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            kind = "JPEG" if ending == "jfif" else "PPM"
            Image.new("L" if ending == "PGM" else "RGB", (8, 8), 60 * place).save(path, kind)
    dataset = datasets.load("folder:old")
    assert {part: len(split) for part, split in dataset.splits.items()} == {"train": 12, "test": 3}
    assert dataset.left_out == []
