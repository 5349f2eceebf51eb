"""Lists and tables of pictures: which file a row means, which class, which split; every picture is
of the colour of its class, so that a label that slipped by a row is seen.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vizlib import datasets
from vizlib.datasets.csv_tables import Columns, choose_columns
from vizlib.errors import UserError

LEVELS = {"0": 0, "1": 60, "2": 120, "3": 180, "cat": 30, "dog": 200}


def write_picture(path, label):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
    Image.new("RGB", (8, 8), (LEVELS[str(label)],) * 3).save(path, kind)


def check_labels(dataset):
    """Each picture has the grey level of its class."""
    for split in dataset.splits.values():
        for image_number, label in enumerate(split.labels):
            level = float(split.pictures[image_number].mean())
            assert abs(level - LEVELS[dataset.class_names[label]]) < 5


def counts(dataset):
    return {part: len(split) for part, split in dataset.splits.items()}


def left_out(dataset):
    return {item.reason: item.names for item in dataset.left_out}


# Headerless lists

TRAIN = [("b_left", 0), ("a_right", 2), ("c_left", 1), ("d", 2)]
TEST = [("e_left", 1), ("f", 0)]


def write_lists(folder, train=TRAIN, test=TEST, name=str, end="\n", mark=""):
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in (("train", train), ("test", test)):
        names, labels = [name(row[0]) for row in rows], [str(row[1]) for row in rows]
        for column, cells in (("img", names), ("label", labels)):
            text = mark + end.join(cells) + end
            (folder / f"{part}_{column}.csv").write_text(text, encoding="utf-8", newline="")


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        (str, "jpeg"),
        (str, "jpg"),
        (str, "JPEG"),
        (str, "png"),
        (lambda name: f"{name}.jpeg", "jpeg"),
        (lambda name: f"{name}.jpg", "JPG"),
        (lambda name: f"pictures/{name}.png", "png"),
        (lambda name: f'"{name}"', "png"),
    ],
)
@pytest.mark.parametrize(("end", "mark"), [("\n", ""), ("\r\n", "\ufeff")])
def test_names_with_and_without_endings(data_folder, name, ending, end, mark):
    for row in TRAIN + TEST:
        write_picture(data_folder / "set" / "pictures" / f"{row[0]}.{ending}", row[1])
    write_lists(data_folder / "set", name=name, end=end, mark=mark)
    dataset = datasets.load("csv:set")
    assert counts(dataset) == {"train": 4, "test": 2}
    assert list(dataset.splits["train"].labels) == [0, 2, 1, 2]
    check_labels(dataset)
    assert dataset.left_out == []


def test_labels_that_are_words(data_folder):
    train = [("x", "dog"), ("y", "cat"), ("z", "dog")]
    test = [("v", "cat"), ("w", "dog")]
    for row in train + test:
        write_picture(data_folder / "pets" / f"{row[0]}.png", row[1])
    write_lists(data_folder / "pets", train, test)
    dataset = datasets.load("csv:pets")
    assert dataset.class_names == ["cat", "dog"]
    assert not dataset.ordered
    check_labels(dataset)


def test_numbers_from_one_make_no_class_of_zero(data_folder):
    train, test = [("a", 1), ("b", 3), ("c", 2)], [("d", 3), ("e", 1)]
    for row in train + test:
        write_picture(data_folder / "set" / f"{row[0]}.png", row[1])
    write_lists(data_folder / "set", train, test)
    dataset = datasets.load("csv:set")
    assert dataset.class_names == ["1", "2", "3"]
    assert dataset.ordered
    check_labels(dataset)
    from types import SimpleNamespace

    # a run of an earlier version had a class 0, of which it never saw a picture
    names = ["0", "1", "2", "3"]
    earlier = SimpleNamespace(dataset="csv:set", class_names=names, whole=False, levels=None)
    earlier.origin = None
    again = datasets.load_for(earlier)
    assert again.class_names == ["0", "1", "2", "3"]
    check_labels(again)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("train_label.csv", "0,b\n1,a\n2,c\n3,d", "train_label.csv has a second column, 'b' in"),
        ("train_label.csv", "0;b\n1;a\n2;c\n3;d", "train_label.csv has a second column, 'b' in"),
        ("test_img.csv", "e_left\nf,1", "test_img.csv has a second column, '1' in line 2"),
        ("train_label.csv", "0\n2\n9999\n1", "the label 9999 after 2, .* would make 10,000 cl"),
        ("test_label.csv", "0\n17", "test_label.csv holds the label 17 after 2, .* 18 classes"),
        ("train_label.csv", "0\n2\nhigh\n1", "train_label.csv holds 'high': only whole numbers"),
        ("train_label.csv", "0\n\n1\n2", "Line 2 is blank in one of train_img.csv and train_la"),
        ("train_label.csv", "0\n1.5\n1\n2", "train_label.csv holds '1.5': only whole numbers"),
    ],
)
def test_lists_that_would_make_wrong_labels_are_refused(data_folder, file, text, words):
    for row in TRAIN + TEST:
        write_picture(data_folder / "set" / f"{row[0]}.jpeg", row[1])
    write_lists(data_folder / "set")
    (data_folder / "set" / file).write_text(text)
    with pytest.raises(UserError, match=words):
        datasets.load("csv:set")
    assert "csv:set" not in datasets.names()
    [problem] = datasets.problems()
    assert problem.startswith("The data set 'csv:set' is left out: ")


def test_lists_of_words_with_a_header_are_refused(data_folder):
    rows = [("image", "label"), ("x", "dog"), ("y", "cat")]
    for row in rows[1:]:
        write_picture(data_folder / "pets" / f"{row[0]}.png", row[1])
    write_lists(data_folder / "pets", rows, [("x", "dog")])
    with pytest.raises(UserError, match="begin with 'image' and 'label': the lists have no header"):
        datasets.load("csv:pets")


def test_blank_lines_in_the_same_places_are_nothing(data_folder):
    train = [("b_left", 0), ("", ""), ("a_right", 2), ("c_left", 1)]
    for row in TRAIN + TEST:
        write_picture(data_folder / "set" / f"{row[0]}.jpeg", row[1])
    write_lists(data_folder / "set", train)
    dataset = datasets.load("csv:set")
    assert list(dataset.splits["train"].labels) == [0, 2, 1]
    check_labels(dataset)


def test_a_name_that_fits_two_files_is_refused_naming_both(data_folder):
    for folder in ("colour", "grey"):
        for row in TRAIN + TEST:
            write_picture(data_folder / "eyes" / folder / f"{row[0]}.png", row[1])
    write_lists(data_folder / "eyes")
    sentence = "'b_left' fits two files, 'colour/b_left.png' and 'grey/b_left.png'"
    with pytest.raises(UserError, match=sentence):
        datasets.load("csv:eyes")
    write_lists(data_folder / "eyes", name=lambda name: f"grey/{name}")
    dataset = datasets.load("csv:eyes")
    assert counts(dataset) == {"train": 4, "test": 2}
    assert {Path(path).parent.name for path in dataset.splits["train"].pictures.paths} == {"grey"}
    assert len(left_out(dataset)["a picture that no list names"]) == 6


def test_each_list_means_the_pictures_of_its_own_folder(data_folder):
    """001 is one picture in train/ and another in test/; where one is missing, the other's is not
    taken for it.
    """
    folder = data_folder / "set"
    train, test = [("001", 0), ("002", 1), ("003", 1)], [("001", 2), ("002", 2), ("003", 0)]
    for part, rows in (("train", train), ("test", test)):
        for row in rows:
            write_picture(folder / part / f"{row[0]}.png", row[1])
    write_lists(folder, train, test)
    check_labels(datasets.load("csv:set"))
    (folder / "test" / "002.png").unlink()
    (folder / "train" / "003.png").unlink()
    dataset = datasets.load("csv:set")
    assert counts(dataset) == {"train": 2, "test": 2}
    check_labels(dataset)
    assert left_out(dataset)["listed, but not on this machine"] == ["002", "003"]


def test_a_picture_listed_for_training_is_never_tested(data_folder):
    for row in TRAIN + TEST:
        write_picture(data_folder / "set" / f"{row[0]}.png", row[1])
    write_lists(data_folder / "set", TRAIN, [*TEST, ("c_left", 1)])
    dataset = datasets.load("csv:set")
    assert list(dataset.splits["test"].image_ids) == ["test/e_left", "test/f"]
    assert left_out(dataset) == {
        "listed for testing, and for training or validation too": ["c_left"]
    }


def test_a_picture_with_two_labels_is_left_out(data_folder):
    for row in TRAIN + TEST:
        write_picture(data_folder / "set" / f"{row[0]}.png", row[1])
    write_lists(data_folder / "set", [*TRAIN, ("d", 0), ("b_left", 0)])
    dataset = datasets.load("csv:set")
    assert list(dataset.splits["train"].labels) == [0, 2, 1]
    assert left_out(dataset) == {
        "listed with two labels": ["d.png"],
        "listed more than once": ["b_left"],
    }


# Tables


def write_table(path, rows, separator=",", end="\n", mark=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = mark + "".join(separator.join(map(str, row)) + end for row in rows)
    path.write_text(text, encoding="utf-8", newline="")


GRADED = [(f"{number:04x}", number % 3) for number in range(30)]


def write_kaggle(folder, header=("id_code", "diagnosis"), **how):
    """One table and a folder of pictures; beside them what a competition brings too."""
    for name, label in GRADED:
        write_picture(folder / "train_images" / f"{name}.png", label)
    write_table(folder / "train.csv", [header, *GRADED], **how)
    for name in ("f001", "f002"):
        write_picture(folder / "test_images" / f"{name}.png", 0)
    write_table(folder / "test.csv", [header[:1], ["f001"], ["f002"]])
    write_table(folder / "sample_submission.csv", [header, ("f001", 0), ("f002", 0)])


@pytest.mark.parametrize(
    "how", [{}, {"separator": ";", "end": "\r\n"}, {"separator": "\t", "mark": "\ufeff"}]
)
def test_one_table_and_a_folder_of_pictures(data_folder, how):
    write_kaggle(data_folder / "eyes", **how)
    assert [name for name in datasets.names() if "eyes" in name] == ["csv:eyes"]
    dataset = datasets.load("csv:eyes")
    assert dataset.class_names == ["0", "1", "2"]
    assert dataset.ordered
    assert counts(dataset) == {"train": 24, "test": 6}
    assert list(np.bincount(dataset.splits["test"].labels)) == [2, 2, 2]
    check_labels(dataset)
    said = left_out(dataset)
    assert said["a picture that no list names"] == [
        "test_images/f001.png",
        "test_images/f002.png",
    ]
    assert dataset.splits["train"].image_ids[0].startswith("train_images/")


def test_a_table_with_a_column_of_splits(data_folder):
    rows = [
        (f"images/{number:02d}.jpg", ("cat", "dog")[number % 2], split)
        for number, split in enumerate(["Training"] * 10 + ["valid"] * 4 + ["TEST"] * 6 + ["odd"])
    ]
    for name, label, _ in rows:
        write_picture(data_folder / "pets" / name, label)
    write_table(data_folder / "pets" / "all.csv", [("filepaths", "labels", "data set"), *rows])
    dataset = datasets.load("csv:pets")
    assert counts(dataset) == {"train": 10, "val": 4, "test": 6}
    assert dataset.class_names == ["cat", "dog"]
    check_labels(dataset)
    assert left_out(dataset) == {
        "its split is none of training, validation and test": ["images/20.jpg"],
        "a picture that no list names": ["images/20.jpg"],
    }


def test_tables_of_two_splits_are_one_set(data_folder):
    folder = data_folder / "pets"
    for part, count in (("train", 8), ("test", 4)):
        rows = [(f"{part}_{n}.png", ("cat", "dog")[n % 2]) for n in range(count)]
        for name, label in rows:
            write_picture(folder / "images" / name, label)
        write_table(folder / f"{part}_labels.csv", [("image", "class"), *rows])
    assert [name for name in datasets.names() if "pets" in name] == ["csv:pets"]
    dataset = datasets.load("csv:pets")
    assert counts(dataset) == {"train": 8, "test": 4}
    check_labels(dataset)


def test_a_table_of_pictures_without_labels_is_left_out(data_folder):
    """Its other column is no label, however few columns there are."""
    folder = data_folder / "pets"
    rows = [(f"{number}.png", ("cat", "dog")[number % 2]) for number in range(10)]
    for name, label in rows:
        write_picture(folder / name, label)
    write_picture(folder / "new.png", "cat")
    write_table(folder / "train.csv", [("image", "label"), *rows])
    write_table(folder / "test.csv", [("image", "width"), ("new.png", 8)])
    dataset = datasets.load("csv:pets")
    assert counts(dataset) == {"train": 8, "test": 2}
    assert dataset.class_names == ["cat", "dog"]
    assert "by 'label'" in dataset.note
    assert left_out(dataset) == {
        "a table without the columns of the training's": ["test.csv"],
        "a picture that no list names": ["new.png"],
    }


def test_each_other_table_is_a_set_of_its_own(data_folder):
    folder = data_folder / "pets"
    rows = [(f"{number}.png", ("cat", "dog")[number % 2]) for number in range(10)]
    for name, label in rows:
        write_picture(folder / name, label)
    write_table(folder / "a.csv", [("image", "label"), *rows])
    write_table(folder / "b.csv", [("image", "label"), *rows[2:]])
    names = [name for name in datasets.names() if "pets" in name]
    assert names == ["csv:pets", "csv:pets/b.csv"]
    assert sum(counts(datasets.load("csv:pets")).values()) == 10
    assert sum(counts(datasets.load("csv:pets/b.csv")).values()) == 8


def test_columns_that_cannot_be_told_are_listed_and_can_be_chosen(data_folder):
    folder = data_folder / "pets"
    rows = [(f"{n}.png", "x", ("cat", "dog")[n % 2], n) for n in range(10)]
    for name, _, label, _ in rows:
        write_picture(folder / name, label)
    write_table(folder / "pets.csv", [("file", "made by", "what it is", "weight"), *rows])
    with pytest.raises(
        UserError,
        match="label cannot be told .*'file', 'made by', 'what it is', 'weight': .*columns.json",
    ):
        datasets.load("csv:pets")
    choose_columns(folder, Columns("file", "what it is"))
    dataset = datasets.load("csv:pets")
    assert dataset.class_names == ["cat", "dog"]
    check_labels(dataset)
    choose_columns(folder, Columns("file", "nothing"))
    with pytest.raises(UserError, match="names a column 'nothing', which pets.csv lacks"):
        datasets.load("csv:pets")


def test_the_pictures_tell_their_column(data_folder):
    """Of two columns with usual names the one whose cells are there."""
    folder = data_folder / "pets"
    rows = [(n, f"p{n}", ("cat", "dog")[n % 2]) for n in range(10)]
    for _, name, label in rows:
        write_picture(folder / f"{name}.jpg", label)
    write_table(folder / "pets.csv", [("id", "img_name", "breed"), *rows])
    dataset = datasets.load("csv:pets")
    assert sum(counts(dataset).values()) == 10
    check_labels(dataset)


def test_a_table_without_a_header_is_refused(data_folder):
    rows = [(f"{n}.png", ("cat", "dog")[n % 2]) for n in range(10)]
    for name, label in rows:
        write_picture(data_folder / "pets" / name, label)
    write_table(data_folder / "pets" / "labels.csv", rows)
    with pytest.raises(UserError, match="no header: its first line names a picture.*image,label"):
        datasets.load("csv:pets")


def test_a_table_beside_the_folder(data_folder):
    rows = [(f"{n}.png", ("cat", "dog")[n % 2]) for n in range(10)]
    for name, label in rows:
        write_picture(data_folder / "pets" / name, label)
    write_table(data_folder / "pets.csv", [("image", "label"), *rows, ("none.png", "cat")])
    dataset = datasets.load("csv:pets")
    assert sum(counts(dataset).values()) == 10
    assert left_out(dataset) == {"listed, but not on this machine": ["none.png"]}


def test_rows_without_a_label_are_said(data_folder):
    rows = [(f"{n}.png", ("cat", "dog")[n % 2]) for n in range(10)]
    for name, label in rows:
        write_picture(data_folder / "pets" / name, label)
    rows[4] = ("4.png", "")
    write_table(data_folder / "pets" / "labels.csv", [("image", "label"), *rows, ("", "")])
    dataset = datasets.load("csv:pets")
    assert sum(counts(dataset).values()) == 9
    assert left_out(dataset)["without a label"] == ["4.png"]


def test_class_folders_beside_a_table_of_them_stay_class_folders(data_folder):
    folder = data_folder / "pets"
    rows = [(f"{label}/{n}.png", label) for label in ("cat", "dog") for n in range(5)]
    for name, label in rows:
        write_picture(folder / name, label)
    write_table(folder / "list.csv", [("image", "label"), *rows])
    names = [name for name in datasets.names() if "pets" in name]
    assert names == ["csv:pets", "folder:pets"]
    assert datasets.load("folder:pets").class_names == ["cat", "dog"]


def test_a_name_in_a_table_leads_to_no_file_outside(data_folder):
    write_picture(data_folder / "secret.png", 3)
    rows = [(f"{n}.png", ("cat", "dog")[n % 2]) for n in range(10)]
    for name, label in rows:
        write_picture(data_folder / "pets" / name, label)
    odd = [("../secret.png", "cat"), (str(data_folder / "secret.png"), "dog")]
    write_table(data_folder / "pets" / "labels.csv", [("image", "label"), *rows, *odd])
    dataset = datasets.load("csv:pets")
    assert sum(counts(dataset).values()) == 10
    assert left_out(dataset)["listed, but not on this machine"] == sorted(row[0] for row in odd)
