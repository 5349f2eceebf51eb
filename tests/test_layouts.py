"""Folders of classes as people have them: what is read of each layout, and that nothing is left out
without a word. Every picture is written by the test, in the colour of its class.
"""

import os
import unicodedata

import numpy as np
import pytest
from PIL import Image

from vizlib import datasets
from vizlib.datasets.walking import holds_pictures
from vizlib.errors import UserError

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30)]


def write(folder, classes, count=5, ending="png"):
    """Pictures 000, 001, ... of each class, in the colour of its place in `classes`."""
    for place, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture = Image.new("RGB", (8, 8), COLOURS[place % 4])
            kind = {"jpg": "JPEG", "jfif": "JPEG", "tif": "TIFF"}.get(ending.lower(), ending)
            picture.save(folder / name / f"{number:03d}.{ending}", kind.upper())


def counts(dataset):
    return {part: len(split) for part, split in dataset.splits.items()}


def left_out(dataset):
    return {item.reason: item.names for item in dataset.left_out}


def colours_by_class(dataset):
    """The colours met in each class, each rounded to tens."""
    met = {}
    for split in dataset.splits.values():
        for image_number, label in enumerate(split.labels):
            pixel = np.round(split.pictures[image_number][4, 4] / 50).astype(int) * 50
            met.setdefault(dataset.class_names[label], set()).add(tuple(map(int, pixel)))
    return met


# Splits


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "val", "test"),
        ("Training", "Valid", "Testing"),
        ("TRAIN", "validation", "TEST"),
    ],
)
def test_splits_in_any_usual_spelling(data_folder, train, val, test):
    for part, count in ((train, 4), (val, 1), (test, 2)):
        write(data_folder / "fruit" / part, ["apple", "pear"], count)
    dataset = datasets.load("folder:fruit")
    assert counts(dataset) == {"train": 8, "val": 2, "test": 4}
    assert dataset.splits["val"].image_ids[0] == f"{val}/apple/000.png"
    assert dataset.left_out == []
    assert dataset.remarks == []


def test_a_missing_test_split_is_held_out_by_class_and_said(data_folder):
    for part, count in (("train", 10), ("val", 3)):
        write(data_folder / "insects" / part, ["ants", "bees"], count)
    assert "folder:insects" in datasets.names()
    dataset = datasets.load("folder:insects")
    assert counts(dataset) == {"train": 16, "val": 6, "test": 4}
    assert list(np.bincount(dataset.splits["test"].labels)) == [2, 2]
    assert all(image_id.startswith("train/") for image_id in dataset.splits["test"].image_ids)
    assert "a fifth held out by class" in dataset.note
    assert [remark for remark in dataset.remarks if "no test pictures of its own" in remark]


@pytest.mark.parametrize("part", ["test", "Valid"])
def test_a_missing_training_split_is_one_sentence(data_folder, part):
    write(data_folder / "half" / part, ["a", "b"])
    assert "folder:half" not in datasets.names()
    [problem] = datasets.problems()
    assert problem == (
        f"The data set 'half' is left out: it has a folder {part!r} and no pictures to train on: a "
        "folder 'train' with the same class folders is missing."
    )
    with pytest.raises(UserError, match="cannot be used: it has a folder"):
        datasets.load("folder:half")


def test_a_class_may_be_called_like_a_split(data_folder):
    """Folders with pictures directly in them are classes, whatever their names."""
    write(data_folder / "checks", ["invalid", "valid"])
    assert datasets.load("folder:checks").class_names == ["invalid", "valid"]


def test_test_pictures_of_no_class_are_left_out_and_said(data_folder):
    write(data_folder / "dogs" / "train", ["boxer", "pug"], 10)
    write(data_folder / "dogs" / "test", ["unknown"], 3)
    dataset = datasets.load("folder:dogs")
    assert dataset.class_names == ["boxer", "pug"]
    assert counts(dataset) == {"train": 16, "test": 4}
    assert left_out(dataset) == {
        "in class folders of which training has none": [
            f"test/unknown/{number:03d}.png" for number in range(3)
        ]
    }


def test_a_class_that_training_lacks_is_said(data_folder):
    write(data_folder / "birds" / "train", ["a", "b"], 3)
    write(data_folder / "birds" / "test", ["a", "c"], 2)
    dataset = datasets.load("folder:birds")
    assert dataset.class_names == ["a", "b", "c"]
    assert list(dataset.splits["test"].labels) == [0, 0, 2, 2]
    assert dataset.remarks == [
        "There is no picture for training of the class 'c'.",
        "There is no picture for testing of the class 'b'.",
    ]


def test_what_lies_beside_the_splits_is_named(data_folder):
    write(data_folder / "fruit" / "train", ["apple", "pear"])
    write(data_folder / "fruit" / "test", ["apple", "pear"])
    write(data_folder / "fruit" / "extra", ["apple"])
    Image.new("RGB", (8, 8)).save(data_folder / "fruit" / "train" / "stray.png")
    (data_folder / "fruit" / "README.md").write_text("about fruit")
    dataset = datasets.load("folder:fruit")
    assert counts(dataset) == {"train": 10, "test": 10}
    assert left_out(dataset) == {
        "in no class folder": ["train/stray.png"],
        "a folder beside those of the splits": ["extra"],
        "no picture by its ending": ["README.md"],
    }


# Class folders


def test_pictures_in_folders_below_a_class_folder(data_folder):
    write(data_folder / "deep" / "cat", ["left/young", "right"], 5)
    write(data_folder / "deep" / "dog", ["."], 10)
    dataset = datasets.load("folder:deep")
    assert dataset.class_names == ["cat", "dog"]
    assert counts(dataset) == {"train": 16, "test": 4}
    ids = set(dataset.splits["train"].image_ids) | set(dataset.splits["test"].image_ids)
    assert "cat/left/young/003.png" in ids
    assert "dog/003.png" in ids
    assert dataset.left_out == []


def test_numbers_are_ordered_as_numbers(data_folder):
    names = [str(number) for number in (1, 2, 10, 11, 3)]
    write(data_folder / "plants", names, 2)
    assert datasets.load("folder:plants").class_names == ["1", "2", "3", "10", "11"]


def test_endings_in_any_case(data_folder):
    for ending in ("JPG", "Png", "jpeg", "bmp", "gif", "TIFF", "webp"):
        kind = "JPEG" if ending == "JPG" else ending.upper()
        for place, name in enumerate(("a", "b")):
            (data_folder / "mixed" / name).mkdir(parents=True, exist_ok=True)
            picture = Image.new("RGB", (8, 8), COLOURS[place])
            picture.save(data_folder / "mixed" / name / f"of_{ending}.{ending}", kind)
    dataset = datasets.load("folder:mixed")
    assert sum(counts(dataset).values()) == 14
    assert {name: len(met) for name, met in colours_by_class(dataset).items()} == {"a": 1, "b": 1}


def test_an_empty_class_folder_is_said_and_is_no_class(data_folder):
    for part in ("train", "test"):
        write(data_folder / "open" / part, ["a", "c"])
        (data_folder / "open" / part / "b").mkdir()
    dataset = datasets.load("folder:open")
    assert dataset.class_names == ["a", "c"]
    assert left_out(dataset) == {"a folder without pictures": ["test/b", "train/b"]}


def test_names_that_read_the_same_are_one_class(data_folder):
    """An accent is one character or two, by the system that wrote the name."""
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != apart
    write(data_folder / "shops" / "train", [apart, "kiosk"], 4)
    write(data_folder / "shops" / "test", [composed, "kiosk"], 2)
    dataset = datasets.load("folder:shops")
    assert dataset.class_names == [composed, "kiosk"]
    assert counts(dataset) == {"train": 8, "test": 4}
    assert dataset.splits["train"].image_ids[0] == f"train/{composed}/000.png"
    assert colours_by_class(dataset)[composed] == {(200, 50, 50)}


@pytest.mark.parametrize("wrappers", [["pets"], ["pets-main", "data"]])
def test_folders_around_all_others_are_looked_through(data_folder, wrappers):
    write(data_folder.joinpath("pets", *wrappers, "train"), ["cat", "dog"], 4)
    write(data_folder.joinpath("pets", *wrappers, "test"), ["cat", "dog"], 2)
    (data_folder / "pets" / "__MACOSX").mkdir()
    dataset = datasets.load("folder:pets")
    assert counts(dataset) == {"train": 8, "test": 4}
    assert dataset.splits["test"].image_ids[0] == "test/cat/000.png"


def test_what_systems_leave_behind_is_no_picture(data_folder):
    write(data_folder / "stick", ["bee", "wasp"], 5, "jpg")
    for path in sorted((data_folder / "stick").rglob("*.jpg")):
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    write(data_folder / "stick", [".ipynb_checkpoints", "__MACOSX"], 2)
    (data_folder / "stick" / "bee" / "Thumbs.db").write_bytes(b"thumbs")
    (data_folder / "stick" / "bee" / "notes.txt").write_text("seen on Monday")
    dataset = datasets.load("folder:stick")
    assert dataset.class_names == ["bee", "wasp"]
    assert counts(dataset) == {"train": 8, "test": 2}
    said = left_out(dataset)
    assert set(said) == {"hidden, or left behind by a system", "no picture by its ending"}
    hidden = said["hidden, or left behind by a system"]
    assert len(hidden) == 13
    assert {"bee/._000.jpg", "bee/Thumbs.db", ".ipynb_checkpoints", "__MACOSX"} <= set(hidden)
    assert said["no picture by its ending"] == ["bee/notes.txt"]


def test_a_folder_without_pictures_says_what_is_in_it(data_folder):
    (data_folder / "films" / "a").mkdir(parents=True)
    (data_folder / "films" / "a" / "one.mp4").write_bytes(b"film")
    (data_folder / "nothing").mkdir()
    write(data_folder / "lonely", ["only"])
    (data_folder / ".convscope" / "x").mkdir(parents=True)
    assert datasets.problems() == [
        "The data set 'films' is left out: there are no pictures in it: its files end in .mp4.",
        "The data set 'lonely' is left out: it has one class folder, 'only': two are needed.",
        "The data set 'nothing' is left out: there are no pictures in it.",
    ]


def test_more_classes_than_can_be_looked_at(data_folder, monkeypatch):
    monkeypatch.setattr("vizlib.datasets.taking.MOST_CLASSES", 3)
    write(data_folder / "many", ["a", "b", "c", "d"])
    with pytest.raises(UserError, match="There are 4 classes: up to 3 are possible"):
        datasets.load("folder:many")


# What is no ordinary file


@pytest.fixture
def pets(data_folder):
    write(data_folder / "pets", ["cat", "dog"])
    return data_folder / "pets"


def test_a_named_pipe_is_not_waited_for(pets):
    os.mkfifo(pets / "cat" / "pipe.png")
    dataset = datasets.load("folder:pets")
    assert counts(dataset) == {"train": 8, "test": 2}
    assert left_out(dataset) == {"not a regular file": ["cat/pipe.png"]}


def test_links_inside_the_data_are_followed_and_others_named(pets, tmp_path):
    write(pets.parent / "more", ["x"], 5)
    write(tmp_path / "elsewhere", ["y"], 5)
    os.symlink(pets.parent / "more" / "x", pets / "bird")
    os.symlink("../dog/001.png", pets / "cat" / "linked.png")
    os.symlink(tmp_path / "elsewhere" / "y", pets / "fish")
    os.symlink(tmp_path / "elsewhere" / "y" / "000.png", pets / "cat" / "outside.png")
    os.symlink("gone.png", pets / "cat" / "broken.png")
    dataset = datasets.load("folder:pets")
    assert dataset.class_names == ["bird", "cat", "dog"]
    assert sum(counts(dataset).values()) == 16
    assert left_out(dataset) == {
        "a link that leads out of the folder of data sets, or nowhere": [
            "cat/broken.png",
            "cat/outside.png",
            "fish",
        ]
    }


def test_a_data_set_that_is_a_link_itself_is_read(data_folder, tmp_path):
    write(tmp_path / "disk" / "pets", ["cat", "dog"])
    os.symlink(tmp_path / "disk" / "pets", data_folder / "pets")
    assert counts(datasets.load("folder:pets")) == {"train": 8, "test": 2}


def test_links_that_lead_in_circles_end(pets):
    for number in range(6):  # each folder by six ways into all
        os.symlink("..", pets / "cat" / f"up{number}")
        os.symlink(".", pets / "dog" / f"self{number}")
    dataset = datasets.load("folder:pets")
    assert dataset.class_names == ["cat", "dog"]
    said = left_out(dataset)
    assert "dog/self3" in said["a link to a folder that is read already"]
    (pets / "empty").mkdir()
    for number in range(6):
        os.symlink(".", pets / "empty" / f"self{number}")
    assert not holds_pictures(pets / "empty")


def test_a_name_that_is_not_utf8_is_left_out_legibly(pets):
    Image.new("RGB", (8, 8)).save(pets / "cat" / "x.png")
    os.rename(os.fsencode(pets) + b"/cat/x.png", os.fsencode(pets) + b"/cat/caf\xe9.png")
    dataset = datasets.load("folder:pets")
    assert left_out(dataset) == {"its name is not UTF-8": ["cat/caf\ufffd.png"]}


def test_a_folder_that_may_not_be_read_is_left_out(pets, monkeypatch):
    write(pets, ["locked"])
    scandir = os.scandir

    def refused(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refused)
    dataset = datasets.load("folder:pets")
    assert dataset.class_names == ["cat", "dog"]
    assert left_out(dataset) == {"a folder that cannot be read": ["locked"]}


def test_folders_that_go_on_for_ever_are_left_out(pets):
    deep = pets / "cat"
    for _ in range(20):
        deep = deep / "d"
    deep.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(deep / "lost.png")
    said = left_out(datasets.load("folder:pets"))
    [(reason, [name])] = said.items()
    assert reason == "more than 12 folders deep"
    assert name.startswith("cat/d/d/")


# A fifth by class


def test_each_class_with_two_pictures_is_learned_from_and_tested(data_folder):
    """By a permutation over all, both pictures of the rare class came to be held out."""
    write(data_folder / "rare", ["common", "usual"], 45)
    write(data_folder / "rare", ["zrare"], 2)
    write(data_folder / "rare", ["zsingle"], 1)
    dataset = datasets.load("folder:rare")
    assert list(np.bincount(dataset.splits["train"].labels)) == [36, 36, 1, 1]
    assert list(np.bincount(dataset.splits["test"].labels, minlength=4)) == [9, 9, 1, 0]
    assert "There is no picture for testing of the class 'zsingle'." in dataset.remarks


def test_pictures_that_come_later_move_few_others(data_folder):
    write(data_folder / "grows", ["a", "b"], 40)
    before = set(datasets.load("folder:grows").splits["test"].image_ids)
    write(data_folder / "grows", ["a", "b"], 50)
    after = set(datasets.load("folder:grows").splits["test"].image_ids)
    assert (len(before), len(after)) == (16, 20)
    assert len(before & after) >= 12


def test_validation_leaves_each_class_a_picture_to_learn_from():
    """Seed by seed: of two pictures of a class never both are held out."""
    labels = np.array([0] * 30 + [1] * 2 + [2] * 30)
    split = datasets.Split(
        np.zeros((62, 2, 2, 1), np.uint8), labels, np.array([str(n) for n in range(62)])
    )
    met = set()
    for seed in range(60):
        rest, held = datasets.hold_out(split, 20, seed)
        assert (len(rest), len(held)) == (42, 20)
        assert sorted([*rest.image_ids, *held.image_ids], key=int) == list(split.image_ids)
        assert 1 in rest.labels
        met.add(int((held.labels == 1).sum()))
    assert met == {0, 1}


# A run that was trained by an earlier rule


def test_the_classes_keep_the_order_of_the_run(data_folder):
    from types import SimpleNamespace

    write(data_folder / "plants", ["1", "2", "10"], 5)
    names = ["1", "10", "2"]
    config = SimpleNamespace(dataset="folder:plants", class_names=names, whole=False, levels=None)
    config.origin = None
    dataset = datasets.load_for(config)
    assert dataset.class_names == ["1", "10", "2"]
    assert colours_by_class(dataset) == {
        "1": {(200, 50, 50)},
        "2": {(50, 200, 50)},
        "10": {(50, 50, 200)},
    }
    config.class_names = ["2", "1", "10"]
    with pytest.raises(UserError, match="in another order"):
        datasets.load_for(config)
