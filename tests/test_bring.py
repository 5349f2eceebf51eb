"""Zips and pictures that somebody brings: a data set, or one sentence and nothing else."""

import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image

from vizlib import datasets
from vizlib.bring import archives, data_sets
from vizlib.datasets import decoded
from vizlib.errors import UserError


def picture(shade, kind="PNG"):
    """The bytes of a small picture."""
    file = io.BytesIO()
    Image.fromarray(np.full((9, 12, 3), shade, np.uint8)).save(file, kind)
    return file.getvalue()


def zipped(files):
    """A zip of {name or ZipInfo: bytes}, opened."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file


def class_folders(prefix="", count=6):
    return {
        f"{prefix}{class_name}/{number}.png": picture(20 * number + start)
        for class_name, start in (("knee", 3), ("hip", 9))
        for number in range(count)
    }


def files_below(folder):
    return sorted(
        os.path.relpath(os.path.join(way, name), folder)
        for way, _, names in os.walk(folder)
        for name in names
    )


def reasons(brought):
    return {each.reason: each.names for each in brought.left_out}


@pytest.fixture
def nothing_is_left(data_folder):
    """Whatever the test does, no file but the mark of what came lies outside the data sets."""
    yield data_folder
    assert files_below(data_folder.parent) == [f"data/{name}" for name in files_below(data_folder)]
    assert [path.name for path in data_folder.glob(f"{data_sets.HIDDEN}*")] == []


@pytest.mark.parametrize("prefix", ["", "mydata/"])
def test_a_zip_of_class_folders_becomes_a_data_set(nothing_is_left, prefix):
    shares = []
    brought = data_sets.add_zip(zipped(class_folders(prefix)), "joints", shares.append)
    assert (brought.name, brought.files, brought.left_out) == ("folder:joints", 12, [])
    assert brought.name in datasets.names()
    dataset = datasets.load(brought.name)
    assert dataset.class_names == ["hip", "knee"]
    assert sum(map(len, dataset.splits.values())) == 12
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_a_table_beside_a_folder_is_read_as_one(data_folder):
    files = {f"images/{number}.png": picture(9 * number) for number in range(12)}
    rows = "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(12))
    brought = data_sets.add_zip(zipped(files | {"train.csv": "image,label\n" + rows}), "table")
    assert brought.name == "csv:table"
    assert datasets.load("csv:table").class_names == ["a", "b"]


def test_the_four_lists_are_read_as_lists(data_folder):
    files = {f"homework/{number}.png": picture(9 * number) for number in range(12)}
    for part, numbers in (("train", range(8)), ("test", range(8, 12))):
        files[f"homework/{part}_img.csv"] = "".join(f"{number}\n" for number in numbers)
        files[f"homework/{part}_label.csv"] = "".join(f"{number % 2}\n" for number in numbers)
    brought = data_sets.add_zip(zipped(files), "retina")
    assert brought.name == "csv:retina"
    splits = datasets.load(brought.name).splits
    assert (len(splits["train"]), len(splits["test"])) == (8, 4)


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o120777 << 16
    return entry


BAD = {
    "../../out.png": archives.OUTSIDE,
    "knee/../../out.png": archives.OUTSIDE,
    "/etc/out.png": archives.OUTSIDE,
    "C:\\windows\\out.png": archives.OUTSIDE,
    "..\\..\\out.png": archives.OUTSIDE,
    "knee/a\x1b[31m.png": archives.NO_NAME,
    "knee/./a.png": archives.NO_NAME,
    f"knee/{'n' * 200}.png": archives.TOO_LONG,
    "a/" * 30 + "a.png": archives.TOO_DEEP,
    "__MACOSX/knee/._1.png": archives.HIDDEN,
    "knee/.hidden.png": archives.HIDDEN,
    "knee/more.zip": archives.INNER_ARCHIVE,
    "knee/run.exe": archives.NOT_WANTED,
    "KNEE/1.PNG": archives.TWICE,
    "knee/1.png/below.png": archives.TWICE,
}


@pytest.mark.parametrize(("name", "reason"), BAD.items(), ids=range(len(BAD)))
def test_a_bad_member_is_left_out_and_said(nothing_is_left, name, reason):
    brought = data_sets.add_zip(zipped(class_folders() | {name: picture(77)}), "joints")
    assert list(reasons(brought)) == [reason]
    assert brought.files == 12
    said = data_sets.left_out_when_brought("folder:joints")
    assert [each.sentence for each in said] == [each.sentence for each in brought.left_out]


def test_links_and_devices_are_left_out(nothing_is_left):
    brought = data_sets.add_zip(
        zipped(class_folders() | {link("knee/passwd.png"): "/etc/passwd"}), "joints"
    )
    assert reasons(brought) == {archives.NOT_A_FILE: ["knee/passwd.png"]}


def test_names_that_read_the_same_are_one(data_folder):
    files = {"hip/caf\u00e9.png": picture(5), "hip/cafe\u0301.png": picture(6)}
    brought = data_sets.add_zip(zipped(class_folders() | files), "joints")
    assert reasons(brought) == {archives.TWICE: ["hip/cafe\u0301.png"]}


def test_utf8_without_its_mark_is_read(data_folder):
    file = zipped(
        class_folders() | {f"m\u00e4nner/{number}.png": picture(3) for number in range(3)}
    )
    data = bytearray(file.getvalue())
    for head, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(head)
        while start >= 0:
            struct.pack_into("<H", data, start + at, 0)
            start = data.find(head, start + 4)
    brought = data_sets.add_zip(io.BytesIO(bytes(data)), "joints")
    assert datasets.load(brought.name).class_names == ["hip", "knee", "m\u00e4nner"]


def flagged(file, flag):
    """The same with a flag set in the heads of all members."""
    data = bytearray(file.getvalue())
    for head, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.find(head)
        while start >= 0:
            data[start + at] |= flag
            start = data.find(head, start + 4)
    return io.BytesIO(bytes(data))


def test_what_is_locked_is_said(nothing_is_left):
    with pytest.raises(UserError, match="no picture"):
        data_sets.add_zip(flagged(zipped(class_folders()), 1), "joints")
    assert datasets.names() == ["digits", "digits-imbalanced"]


def overlapping():
    """A zip whose members all point at the first one's bytes."""
    data = bytearray(zipped(class_folders()).getvalue())
    start = data.find(b"PK\x01\x02")
    while start >= 0:
        struct.pack_into("<L", data, start + 42, 0)
        start = data.find(b"PK\x01\x02", start + 4)
    return io.BytesIO(bytes(data))


def long_directory():
    data = bytearray(zipped(class_folders()).getvalue())
    struct.pack_into("<L", data, data.rfind(b"PK\x05\x06") + 12, archives.MOST_DIRECTORY + 1)
    return io.BytesIO(bytes(data))


def two_columns():
    files = {f"{number}.png": picture(9 * number) for number in range(4)}
    for part in ("train", "test"):
        files[f"{part}_img.csv"] = "0\n1\n"
        files[f"{part}_label.csv"] = "0,1\n1,0\n"
    return zipped(files)


REFUSED = {
    "empty": (lambda: io.BytesIO(), "not a zip"),
    "text": (lambda: io.BytesIO(b"GIF89a, or not"), "not a zip"),
    "cut": (lambda: io.BytesIO(zipped(class_folders()).getvalue()[:-30]), "not a zip"),
    "overlaps": (overlapping, "one over the other"),
    "directory": (long_directory, "more members"),
    "flat": (lambda: zipped({f"{number}.png": picture(number) for number in range(9)}), "class"),
    "one class": (lambda: zipped({"a/1.png": picture(1), "a/2.png": picture(2)}), "one class"),
    "lists": (two_columns, "second column"),
    "nothing": (lambda: zipped({"a.txt": "b"}), "no picture"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_data_set_is_refused_in_a_sentence(nothing_is_left, kind):
    make, words = REFUSED[kind]
    with pytest.raises(UserError, match=words):
        data_sets.add_zip(make(), "joints")
    assert files_below(nothing_is_left) == []


def test_it_is_bounded_by_what_it_unpacks_to(nothing_is_left, monkeypatch):
    """Not by what it says: these claim to be of ten bytes. Memory stays far below either."""
    monkeypatch.setattr(archives, "MAX_BYTES", 8_000_000)
    monkeypatch.setattr(data_sets, "MOST_UNPACKED", 20_000_000)
    bombs = {f"knee/bomb{number}.png": bytes(40_000_000) for number in range(2)}
    file = zipped(class_folders() | bombs)
    tracemalloc.start()
    brought = data_sets.add_zip(file, "joints")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reasons(brought) == {archives.TOO_LARGE: sorted(bombs)}
    assert most < 8_000_000
    monkeypatch.setattr(data_sets, "MOST_UNPACKED", 10_000_000)
    with pytest.raises(UserError, match=r"more than 0\.01 GB"):
        data_sets.add_zip(file, "joints")


def test_count_and_pixels_are_bounded(nothing_is_left, monkeypatch):
    monkeypatch.setattr(data_sets, "MOST_PIXELS", 9 * 12 * 11)
    with pytest.raises(UserError, match="too many pixels"):
        data_sets.add_zip(zipped(class_folders()), "joints")
    monkeypatch.setattr(data_sets, "MOST_FILES", 11)
    with pytest.raises(UserError, match="12 files"):
        data_sets.add_zip(zipped(class_folders()), "joints")
    assert files_below(nothing_is_left) == []


def test_a_damaged_member_is_named_and_the_rest_is_usable(nothing_is_left):
    file = zipped(class_folders())
    data = bytearray(file.getvalue())
    with zipfile.ZipFile(file) as archive:
        entry = archive.getinfo("knee/3.png")
    start = entry.header_offset + 30 + len(entry.filename)
    data[start : start + entry.compress_size] = os.urandom(entry.compress_size)
    brought = data_sets.add_zip(io.BytesIO(bytes(data)), "joints")
    assert reasons(brought) == {archives.DAMAGED: ["knee/3.png"]}
    assert brought.files == 11


class Cancelled(BaseException):
    pass


def test_what_is_cancelled_leaves_nothing(nothing_is_left):
    def cancel(share):
        if share > 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        data_sets.add_zip(zipped(class_folders()), "joints", cancel)
    assert files_below(nothing_is_left) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("joints", "joints-2"), ("Joints", "Joints-2"), ("../../x", "x"), ("digits", "digits-2")],
)
def test_a_name_that_is_taken_gets_a_number(nothing_is_left, name, expected):
    data_sets.add_zip(zipped(class_folders()), "joints")
    assert data_sets.add_zip(zipped(class_folders()), name).name == f"folder:{expected}"


def test_pictures_of_each_class_become_a_data_set(nothing_is_left):
    classes = {
        "a/../b": [("../../up.png", picture(4)), ("run.sh", b"rm"), ("x.JPG", picture(5, "JPEG"))],
        "cat": [("a.png", picture(shade)) for shade in (7, 8)],
    }
    brought = data_sets.add_pictures(classes, "mine")
    assert (brought.name, brought.files) == ("folder:mine", 4)
    assert list(reasons(brought)) == [archives.NOT_WANTED]
    assert datasets.load(brought.name).class_names == ["a-..-b", "cat"]
    with pytest.raises(UserError, match="cannot be a folder's name"):
        data_sets.add_pictures({"..": [("a.png", picture(1))]}, "mine")


def test_only_what_came_so_is_removed(nothing_is_left):
    for name, data in class_folders().items():
        path = nothing_is_left / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    brought = data_sets.add_zip(zipped(class_folders()), "joints")
    assert not data_sets.is_removable("folder:own")
    with pytest.raises(UserError, match="by hand"):
        data_sets.remove("folder:own")
    with pytest.raises(UserError, match="no data set"):
        data_sets.remove("folder:../own")
    data_sets.remove(brought.name)
    assert datasets.names() == ["digits", "digits-imbalanced", "folder:own"]
    assert not (nothing_is_left / "joints").exists()


def test_what_was_decoded_of_it_goes_too(data_folder, monkeypatch):
    monkeypatch.setattr(decoded, "FEWEST", 1)
    brought = data_sets.add_zip(zipped(class_folders()), "joints")
    datasets.load(brought.name).splits["train"].images((3, 8, 8))
    assert list(data_folder.rglob("*.npy"))
    data_sets.remove(brought.name)
    assert not [path for path in data_folder.rglob("*") if path.is_file()]


def test_a_folder_changed_by_hand_stays(data_folder):
    brought = data_sets.add_zip(zipped(class_folders()), "joints")
    (data_folder / "joints/elbow").mkdir()
    assert not data_sets.is_removable(brought.name)
