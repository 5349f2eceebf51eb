"""Data sets: the contract of every reader, the layouts of folders, and what is said where something
is missing.
"""

import csv
import dataclasses
import io
import os
import tarfile
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vizlib import datasets
from vizlib.datasets import Split, channel_statistics, cifar10, csv_lists, hold_out, imbalanced
from vizlib.errors import UserError


def write_picture(path, colour=None, size=(8, 8), seed=0):
    """A picture of one colour, or of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    if colour is not None:
        pixels[:] = colour
    Image.fromarray(pixels).save(path)


def check(dataset):
    """What holds for every data set."""
    channels, height, width = dataset.image_size
    assert {"train", "test"} <= set(dataset.splits) <= {"train", "val", "test"}
    assert channels in (1, 3)
    assert len(dataset.mean) == len(dataset.std) == channels
    assert all(0 < std <= 0.5 for std in dataset.std)
    assert len(set(dataset.class_names)) == len(dataset.class_names) >= 2
    assert dataset.note
    ids = np.concatenate([split.image_ids for split in dataset.splits.values()])
    assert len(set(ids)) == len(ids)
    for split in dataset.splits.values():
        assert len(split) == len(split.pictures) == len(split.image_ids) > 0
        assert split.labels.dtype == np.int64
        assert split.labels.min() >= 0
        assert split.labels.max() < len(dataset.class_names)
        rows = np.unique(np.linspace(0, len(split) - 1, 5).astype(int))
        images = split.take(rows).images(dataset.image_size)
        assert images.shape == (len(rows), channels, height, width)
        assert images.dtype == np.uint8
        assert np.array_equal(split.take(rows).labels, split.labels[rows])
        assert np.array_equal(
            dataset.picture(split.image_ids[rows[-1]]), split.pictures[int(rows[-1])]
        )
    with pytest.raises(KeyError):
        dataset.picture("no/such/picture")


# Every reader


def test_every_data_set_here_keeps_the_contract():
    assert "digits" in datasets.names()
    for name in datasets.names():
        dataset = datasets.load(name)
        assert dataset.name == name
        check(dataset)


def test_a_reader_name_taken_twice():
    assert {"digits", "cifar10", "cifar10-imbalanced", "folder", "csv"} <= set(datasets.readers())
    with pytest.raises(ValueError, match="'digits' is registered already"):
        datasets.register("digits", find=lambda root: [], missing="")(lambda name, root: None)


def test_unknown_and_missing_data_sets(data_folder):
    with pytest.raises(UserError, match="no data set named 'mnist'. Possible: .*digits"):
        datasets.load("mnist")
    for name, advice in (
        ("cifar10", "vizlib download cifar10"),
        ("folder:trash", "DATA/NAME/CLASS/"),
        ("csv:knee", "train_img.csv"),
        ("folder:../data", "DATA/NAME"),
    ):
        with pytest.raises(UserError, match=f"{name}.* is not on this machine. .*{advice}"):
            datasets.load(name)


def test_a_data_root_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "nowhere"))
    assert datasets.names() == ["digits", "digits-imbalanced"]


def test_digits():
    from sklearn.datasets import load_digits

    dataset, source = datasets.load("digits"), load_digits()
    train, test = dataset.splits["train"], dataset.splits["test"]
    assert (len(train), len(test)) == (1437, 360)
    for split in (train, test):
        rows = [int(image_id.removeprefix("digits/")) for image_id in split.image_ids]
        assert np.array_equal(split.labels, source.target[rows])
        assert (
            np.abs(split.images((1, 8, 8))[:, 0] / 255 - source.images[rows] / 16).max()
            <= 0.5 / 255
        )
    assert dataset.mean == pytest.approx([train.pictures.mean() / 255], abs=1e-4)


# Folders


def test_folders_with_train_and_test(data_folder):
    for part, count in (("train", 4), ("val", 1), ("test", 2)):
        for label, name in enumerate(("apple", "pear")):
            for number in range(count):
                write_picture(
                    data_folder / "fruit" / part / name / f"{number}.png",
                    (10 * number, 100 * label, 7),
                    size=(12, 10),
                )
    (data_folder / "fruit" / "train" / "apple" / "notes.txt").write_text("not a picture")
    dataset = datasets.load("folder:fruit")
    check(dataset)
    assert dataset.class_names == ["apple", "pear"]
    assert dataset.image_size == (3, 10, 12)
    assert not dataset.ordered
    assert {part: len(split) for part, split in dataset.splits.items()} == {
        "train": 8,
        "val": 2,
        "test": 4,
    }
    assert list(dataset.splits["test"].image_ids) == [
        "test/apple/0.png",
        "test/apple/1.png",
        "test/pear/0.png",
        "test/pear/1.png",
    ]
    assert list(dataset.picture("test/pear/1.png")[0, 0]) == [10, 100, 7]


def test_folders_without_parts_hold_out_a_fifth(data_folder):
    for name in ("0", "1"):
        for number in range(10):
            write_picture(data_folder / "grades" / name / f"{number}.jpg", (9, number, 9))
    dataset = datasets.load("folder:grades")
    check(dataset)
    assert (len(dataset.splits["train"]), len(dataset.splits["test"])) == (16, 4)
    assert not dataset.ordered
    assert "a fifth held out" in dataset.note
    assert list(datasets.load("folder:grades").splits["test"].image_ids) == list(
        dataset.splits["test"].image_ids
    )


def test_a_damaged_picture_is_one_sentence(data_folder):
    for name in ("a", "b"):
        for number in range(10):
            write_picture(data_folder / "broken" / name / f"{number}.png")
    for path in (data_folder / "broken" / "a").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(UserError, match="^a/.*png: This picture is damaged or incomplete"):
        datasets.load("folder:broken")


def test_pictures_deleted_since_are_one_sentence(data_folder):
    for name in ("a", "b"):
        for number in range(5):
            write_picture(data_folder / "gone" / name / f"{number}.png")
    split = datasets.load("folder:gone").splits["train"]
    os.remove(split.pictures.paths[0])
    with pytest.raises(UserError, match="cannot be read any more"):
        split.pictures[0]


# Lists


def write_lists(folder, lists, missing=(), encoding="utf-8"):
    folder.mkdir()
    for part, rows in lists.items():
        for number, column in enumerate(("img", "label")):
            with open(folder / f"{part}_{column}.csv", "w", newline="", encoding=encoding) as file:
                csv.writer(file).writerows([row[number]] for row in rows)
        for name, _ in rows:
            if name not in missing:
                write_picture(folder / "all_images" / f"{name}.jpeg", (5, 6, 7))


LISTS = {
    "train": [("10_left", 0), ("10_right", 1), ("11_left", 4)],
    "test": [("12_left", 0), ("12_right", 3)],
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])  # spreadsheets write a byte order mark
def test_headerless_lists_keep_the_first_row(data_folder, encoding):
    write_lists(data_folder / "retina", LISTS, encoding=encoding)
    dataset = datasets.load("csv:retina")
    check(dataset)
    assert list(dataset.splits["train"].image_ids) == [
        "train/10_left",
        "train/10_right",
        "train/11_left",
    ]
    assert list(dataset.splits["test"].labels) == [0, 3]
    assert dataset.class_names == list("01234")
    assert dataset.ordered
    assert dataset.note == "retina, headerless lists"
    assert datasets.names().count("csv:retina") == 1
    assert "folder:retina" not in datasets.names()


def test_listed_pictures_that_are_missing_are_counted(data_folder):
    write_lists(data_folder / "retina", LISTS, missing=("10_right", "12_left"))
    dataset = datasets.load("csv:retina")
    assert "; 2 listed pictures are not on this machine" in dataset.note
    assert list(dataset.splits["train"].labels) == [0, 4]
    assert list(dataset.splits["test"].labels) == [3]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("train_label.csv", "level\n0\n1\n", "'level': only whole numbers .*no header"),
        ("train_label.csv", "0\n-1\n2\n", "'-1': only whole numbers"),
        ("train_label.csv", "0\n²\n2\n", "only whole numbers"),
        ("train_label.csv", "0\n1\n99999999999999999999\n", "only whole numbers"),
        ("test_label.csv", "0\n", "test_img.csv has 2 rows and test_label.csv 1"),
        ("test_img.csv", "98_left\n99_left\n", "None of the pictures"),
    ],
)
def test_lists_that_do_not_fit(data_folder, name, content, words):
    write_lists(data_folder / "retina", LISTS)
    (data_folder / "retina" / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=words):
        datasets.load("csv:retina")


def test_lists_that_are_no_text(data_folder):
    write_lists(data_folder / "retina", LISTS)
    (data_folder / "retina" / "train_img.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UserError, match="train_img.csv"):
        datasets.load("csv:retina")


# Splits and statistics


def numbered(count):
    return Split(
        np.zeros((count, 2, 2, 1), np.uint8),
        np.arange(count),
        np.array([str(row) for row in range(count)]),
    )


def test_hold_out_is_by_seed_and_disjoint():
    rest, held = hold_out(numbered(50), 20, seed=3)
    assert (len(rest), len(held)) == (30, 20)
    assert sorted([*rest.labels, *held.labels]) == list(range(50))
    assert (
        list(held.labels)
        == list(hold_out(numbered(50), 20, seed=3)[1].labels)
        != list(hold_out(numbered(50), 20, seed=4)[1].labels)
    )
    assert len(hold_out(numbered(50), 25, seed=0)[0]) == 25
    for count in (0, -1, 26, 50):
        with pytest.raises(
            UserError, match=f"Cannot hold out {count} of 50 images .* between 1 and 25"
        ):
            hold_out(numbered(50), count, seed=0)


def test_channel_statistics_are_numpys():
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 9, 7), dtype=np.uint8)
    images[:, 1] //= 3
    mean, std = channel_statistics(images)
    assert np.allclose(mean, (images / 255).mean(axis=(0, 2, 3)), atol=5.1e-5)
    assert np.allclose(std, (images / 255).std(axis=(0, 2, 3)), atol=5.1e-5)
    # never a division by zero
    assert channel_statistics(np.full((2, 1, 3, 3), 51, np.uint8)) == ([0.2], [0.001])


# CIFAR-10


def write_cifar(root, names):
    for part, rows in names.items():
        for number, row in enumerate(rows):
            write_picture(
                root / "cifar10" / part / cifar10.CLASS_NAMES[number % 10] / f"{row}.png",
                (number, 0, 0),
                size=(32, 32),
            )


def test_cifar_folders_of_one_numbering_are_all_training_rows(data_folder):
    write_cifar(
        data_folder, {"train": [f"{row:05d}" for row in range(20)], "test": range(45000, 45013)}
    )
    dataset = datasets.load("cifar10")
    check(dataset)
    assert list(dataset.splits["train"].image_ids) == [f"train/{row}" for row in range(20)]
    assert list(dataset.splits["test"].image_ids) == [f"train/{row}" for row in range(45000, 45013)]
    assert dataset.picture("train/45012")[0, 0, 0] == 12
    assert dataset.splits["test"].labels[12] == 2
    assert "rows 45,000 to 45,012" in dataset.note
    assert "folder:cifar10" not in datasets.names()


def test_cifar_folders_of_two_numberings(data_folder):
    write_cifar(data_folder, {"train": range(10), "test": range(10)})
    assert list(datasets.load("cifar10").splits["test"].image_ids) == [
        f"test/{row}" for row in range(10)
    ]


def test_cifar_official_files_that_are_incomplete(data_folder):
    (data_folder / "cifar-10-batches-py").mkdir()
    with pytest.raises(UserError, match="cifar-10-batches-py"):
        datasets.load("cifar10")


@pytest.mark.real_data
def test_cifar_as_it_is_here():
    dataset = datasets.load("cifar10")
    train, test = dataset.splits["train"], dataset.splits["test"]
    if len(train) == 50_000:
        assert len(test) == 10_000
    else:
        assert (len(train), len(test)) == (45_000, 5_000)
    assert not set(train.image_ids) & set(test.image_ids)
    assert len(np.unique(train.labels)) == len(np.unique(test.labels)) == 10
    rows = np.linspace(0, len(train) - 1, 1500).astype(int)
    mean, std = channel_statistics(train.take(rows).images((3, 32, 32)))
    assert mean == pytest.approx(dataset.mean, abs=0.01)
    assert std == pytest.approx(dataset.std, abs=0.01)


@pytest.mark.real_data
def test_imbalanced_has_the_shares_of_the_homework():
    dataset = datasets.load("cifar10-imbalanced")
    shares = np.array([20655, 1954, 4209, 698, 581]) / 28097
    for split in dataset.splits.values():
        assert np.bincount(split.labels) / len(split) == pytest.approx(shares, abs=0.005)
        assert np.mean(split.labels == 0) == pytest.approx(0.735, abs=0.005)
    assert dataset.class_names == cifar10.CLASS_NAMES[:5]


def test_graded_lists_are_thinned_where_there_are_enough(data_folder):
    """Class 0 stays whole; of the others the first ones, as many as keep the homework's shares."""
    from vizlib.datasets.imbalanced import RETINOPATHY_COUNTS

    def write(name, counts):
        folder = data_folder / name
        folder.mkdir()
        for part in ("train", "test"):
            labels = np.repeat(np.arange(len(counts)), counts)
            names = [f"{part}{row}" for row in range(len(labels))]
            for row, image in enumerate(names):
                Image.new("L", (8, 8), row % 256).save(folder / f"{image}.jpeg")
            (folder / f"{part}_img.csv").write_text("\n".join(names))
            (folder / f"{part}_label.csv").write_text("\n".join(map(str, labels)))

    write("enough", [60, 20, 20, 10, 10])
    write("rare", [60, 20, 20, 1, 10])  # of grade 3 two are needed
    write("four", [60, 20, 20, 10])
    (data_folder / "words").mkdir()
    for name in ("train_img", "train_label", "test_img", "test_label"):
        (data_folder / "words" / f"{name}.csv").write_text("label\n")
    assert [name for name in datasets.names() if "-imbalanced:" in name] == [
        "csv-imbalanced:enough"
    ]
    dataset = datasets.load("csv-imbalanced:enough")
    for split in dataset.splits.values():
        assert (
            np.bincount(split.labels).tolist()
            == np.round(RETINOPATHY_COUNTS * 60 / RETINOPATHY_COUNTS[0]).astype(int).tolist()
            == [60, 6, 12, 2, 2]
        )
    assert dataset.ordered
    assert dataset.splits["train"].image_ids[60] == "train/train60"
    assert "label shares of the retinopathy homework" in dataset.note
    with pytest.raises(UserError, match="not on this machine"):
        datasets.load("csv-imbalanced:rare")


def test_label_lists_are_read_again_only_where_they_changed(data_folder, monkeypatch):
    """Listing the data sets looks at the folders, however long the lists are."""
    read = []
    monkeypatch.setattr(
        imbalanced, "labels_of", lambda path: read.append(path.name) or csv_lists.labels_of(path)
    )
    (data_folder / "grades").mkdir()
    for name in csv_lists.LISTS:
        (data_folder / "grades" / name).write_text(
            "\n".join("0" * 60 + "1" * 20 + "2" * 20 + "3" * 10 + "4" * 10)
        )
    for _ in range(3):
        assert "csv-imbalanced:grades" in datasets.names()
    assert sorted(read) == ["test_label.csv", "train_label.csv"]
    (data_folder / "grades" / "test_label.csv").write_text("0\n1")
    assert "csv-imbalanced:grades" not in datasets.names()
    assert read[2:] == ["test_label.csv"]


def archive(path, content=b"pixels"):
    with tarfile.open(path, "w:gz") as file:
        entry = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        entry.size = len(content)
        file.addfile(entry, io.BytesIO(content))
    return path


def test_a_damaged_download_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "ADDRESS", archive(tmp_path / "x.tar.gz").as_uri())
    said = []
    with pytest.raises(UserError, match="damaged on its way"):
        cifar10.download(tmp_path / "data", said.append)
    assert list((tmp_path / "data").iterdir()) == []
    assert said
    assert 0 <= said[-1] <= 1


def test_a_host_that_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "ADDRESS", (tmp_path / "nothing.tar.gz").as_uri())
    with pytest.raises(UserError, match="could not be downloaded.*cifar10/train/CLASS"):
        cifar10.download(tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_whole_download_is_unpacked(tmp_path, monkeypatch):
    import hashlib

    path = archive(tmp_path / "x.tar.gz")
    monkeypatch.setattr(cifar10, "ADDRESS", path.as_uri())
    monkeypatch.setattr(cifar10, "ARCHIVE_MD5", hashlib.md5(path.read_bytes()).hexdigest())
    cifar10.download(tmp_path / "data")
    assert (tmp_path / "data/cifar-10-batches-py/data_batch_1").read_bytes() == b"pixels"
    assert len(list((tmp_path / "data").iterdir())) == 1


def test_splits_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        numbered(3).labels = None


def test_numbers_that_begin_anew_in_each_class_are_no_rows(data_folder):
    for part in ("train", "test"):
        for name in cifar10.CLASS_NAMES:
            write_picture(data_folder / "cifar10" / part / name / "0001.png", size=(32, 32))
    dataset = datasets.load("cifar10")
    ids = [*dataset.splits["train"].image_ids, *dataset.splits["test"].image_ids]
    assert len(set(ids)) == 20
    assert "train/cat/0001" in ids
    assert "test/cat/0001" in ids


def test_classes_that_are_not_the_run_s_are_refused():
    names = [str(digit) for digit in range(10)]
    rest: dict[str, Any] = dict(dataset="digits", whole=False, levels=None, origin=None)
    assert datasets.load_for(SimpleNamespace(class_names=names, **rest)).name == "digits"
    for other in (names[:9], names[::-1], [*names, "10"]):
        with pytest.raises(UserError, match="10 classes"):
            datasets.load_for(SimpleNamespace(class_names=other, **rest))


@pytest.mark.real_data
def test_pictures_of_the_imbalanced_set_are_found_wherever_they_are():
    source, imbalanced = datasets.load("cifar10"), datasets.load("cifar10-imbalanced")
    for split in source.splits.values():
        assert np.array_equal(
            imbalanced.picture(split.image_ids[-1]), split.pictures[len(split) - 1]
        )
