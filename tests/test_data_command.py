"""python -m vizlib data, and the figures that it and the Data page show."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from vizlib import datasets
from vizlib.command_line import main
from vizlib.displays.class_counts import ClassCountsDisplay
from vizlib.displays.class_samples import SIDE, ClassSamplesDisplay
from vizlib.displays.picture_sizes import PictureSizesDisplay


def picture(height, width, shade):
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), shade, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def joints(tmp_path):
    """A zip: 6 training pictures of knee, 18 of hip, 2 of each for testing, of two sizes."""
    file = tmp_path / "joints.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for part, class_name, count in (
            ("train", "knee", 6),
            ("train", "hip", 18),
            ("test", "knee", 2),
            ("test", "hip", 2),
        ):
            for number in range(count):
                size = (10, 30) if number % 3 == 0 else (20, 10)
                name = f"{part}/{class_name}/{number}.png"
                archive.writestr(name, picture(*size, 10 * number + 5 * (class_name == "hip")))
        archive.writestr("readme.txt", "what it is")
    return file


def test_add_describe_remove(data_folder, joints, capsys, monkeypatch):
    assert main(["data", "add", str(joints), "--name", "mine"]) == 0
    said = capsys.readouterr().out
    assert "folder:mine: 28 files" in said
    assert "'readme.txt'" in said
    assert "3 times as many 'hip' (18) as 'knee' (6) in training." in said
    assert main(["data", "folder:mine"]) == 0
    assert capsys.readouterr().out in said  # the same facts
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert main(["data", "remove", "folder:mine"]) == 1
    assert "folder:mine" in datasets.names()
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert main(["data", "remove", "folder:mine"]) == 0
    assert datasets.names() == ["digits", "digits-imbalanced"]


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], ["add"], ["add", "no_file.zip"], ["remove", "digits"], ["digits", "more"]],
)
def test_what_cannot_be_is_one_sentence(data_folder, arguments, capsys):
    assert main(["data", *arguments]) == 2
    ended = capsys.readouterr()
    assert ended.err.startswith("convscope: ")
    assert ended.err.count("\n") == 1


def test_imbalance_names_both_ends_and_what_is_missing():
    display = ClassCountsDisplay(
        ("b", "common", "zrare", "none"), {"train": np.array([30, 84, 7, 0])}
    )
    assert display.imbalance.startswith("12 times as many 'common' (84) as 'zrare' (7)")
    assert "'none' is without any training picture." in display.imbalance
    assert display.is_imbalanced
    even = ClassCountsDisplay(("a", "b"), {"train": np.array([5, 5])})
    assert even.imbalance == "All classes are equally common in training, 5 each."
    assert not even.is_imbalanced


def test_sizes_are_counted(data_folder, joints, capsys):
    main(["data", "add", str(joints)])
    display = PictureSizesDisplay.from_dataset(datasets.load("folder:joints"))
    sizes = zip(display.heights, display.widths, display.counts, strict=True)
    assert sorted(sizes) == [(10, 30, 10), (20, 10, 18)]
    assert "18 of 28 pictures are 20 x 10" in display.sentence


def test_samples_are_whole_and_of_their_class(data_folder, joints, capsys):
    main(["data", "add", str(joints)])
    dataset = datasets.load("folder:joints")
    display = ClassSamplesDisplay.from_dataset(dataset, "test", [1, 0], across=3)
    assert display.class_names == ("knee",) * 3 + ("hip",) * 3
    assert [bool(image_id) for image_id in display.image_ids] == [True, True, False] * 2
    first = display.pictures[0]  # 10 x 30 of shade 0: a band over the whole width
    assert first[SIDE // 2].max() == 0
    assert (first[0] == 128).all()
    assert (display.pictures[2] == 128).all()
