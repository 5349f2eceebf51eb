"""The Data page: what is dropped becomes a data set, is looked at, trained on, and goes again."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from tests.test_pages import fine, fresh_caches, texts  # noqa: F401
from vizlib import datasets

PAGE = str(Path(__file__).parent.parent / "pages/11_Data.py")


def picture(seed):
    """The bytes of a picture with a shape of its own."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((24, 18)).save(file, "PNG")
    return file.getvalue()


def zipped(**counts):
    """A zip with so many pictures of each class, and one picture under both of the first two."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for start, (class_name, count) in enumerate(counts.items()):
            for number in range(count):
                seed = 100 * start + number if number else 7
                archive.writestr(f"{class_name}/{number}.png", picture(seed))
        archive.writestr("[x](http://evil).txt", "no picture")
    return file.getvalue()


def opened(**query):
    app = AppTest.from_file(PAGE, default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    return fine(app.run())


def dropped(data, name="joints.zip"):
    app = opened()
    app.file_uploader(key="data_zip").set_value((name, data, "application/zip")).run()
    return app.button(key="data_zip_make").click().run()


@pytest.fixture
def page(data_folder):
    """The page with a data set that has just been dropped on it: 12 times as many common as
    rare.
    """
    return fine(dropped(zipped(common=60, zrare=5)))


def test_a_dropped_zip_is_shown(page):
    said = texts(page).replace("\\", "")
    assert page.selectbox(key="set").value == "folder:joints"
    assert "12 times as many 'common' (48) as 'zrare' (4) in training." in said
    assert "All pictures are 18 x 24" in said
    assert "](http" not in texts(page), "names are shown letter by letter"
    assert "[x](http://evil).txt" in said


def test_it_is_trained_on_by_one_click(page):
    page.button(key="data_balanced").click().run()
    assert fine(page).selectbox(key="train_dataset").value == "folder:joints"
    chosen = [box.value for box in page.selectbox if "imbalance" in (box.key or "")]
    assert chosen == ["balanced"]


def test_pictures_of_one_class_by_address(page):
    app = opened(set="folder:joints", of="zrare", split="train")
    assert "**zrare**" in texts(app)
    assert "**common**" not in texts(app)


def test_what_occurs_twice_is_found(page):
    page.button(key="data_twins").click().run()
    assert "1 pair** of pictures with two labels, to the byte" in texts(fine(page))


def test_it_is_removed_again(page):
    page.button(key="data_remove").click().run()
    assert "removed" in texts(fine(page))
    assert datasets.names() == ["digits", "digits-imbalanced"]


def test_what_is_no_data_set_is_said(data_folder):
    app = dropped(b"not a zip")
    assert not app.exception
    assert [box.value for box in app.error] == [
        "This is not a zip file that can be read here, or it is damaged\\. Make the zip anew\\."
    ]
    assert app.selectbox(key="set").value


def test_what_lies_there_and_cannot_be_used_is_said_beside_the_rest(data_folder):
    for part in ("train", "test"):
        (data_folder / "twice").mkdir(exist_ok=True)
        (data_folder / "twice" / f"{part}_img.csv").write_text("a\nb\n")
        (data_folder / "twice" / f"{part}_label.csv").write_text("1,0\n2,1\n")
    (data_folder / "twice" / "a.png").write_bytes(picture(1))
    app = opened(set="digits")
    said = " ".join(box.value for box in app.warning).replace("\\", "")
    assert "csv:twice" in said
    assert "second column" in said
    assert app.selectbox(key="set").value == "digits"


def test_how_much_of_a_picture_is_not_seen_is_said(data_folder):
    """Wide ones among squares, which say how large a network's pictures are: half is cut off."""
    for label, size in (("square", (20, 20)), ("wide", (40, 20))):
        (data_folder / "mixed" / "train" / label).mkdir(parents=True)
        (data_folder / "mixed" / "test" / label).mkdir(parents=True)
        for number in range(30 if label == "square" else 2):
            Image.new("RGB", size, (9 * number, 80, 90)).save(
                data_folder / "mixed" / "train" / label / f"{number}.png"
            )
        Image.new("RGB", size).save(data_folder / "mixed" / "test" / label / "0.png")
    assert "is not seen" not in main_of(opened(set="folder:mixed", picture="0"))
    assert "50% of it is not seen" in main_of(opened(set="folder:mixed", picture="31"))


def main_of(app):
    """The captions of the page itself, without the sidebar's."""
    return " ".join(element.value for element in app.main.get("caption"))


def test_pictures_class_by_class(data_folder):
    app = opened()
    for start, class_name in enumerate(("cat", "dog")):
        files = [(f"{n}.png", picture(50 * start + n), "image/png") for n in range(5)]
        app.text_input(key="data_class_name").set_value(class_name)
        app.file_uploader(key="data_class_files").set_value(files)
        next(button for button in app.button if button.label == "Add the class").click().run()
    app.button(key="data_by_class_make").click().run()
    assert fine(app).selectbox(key="set").value == "folder:my-pictures"
    assert datasets.load("folder:my-pictures").class_names == ["cat", "dog"]


@pytest.mark.parametrize("name", datasets.names())
def test_every_data_set_of_this_machine(name):
    app = opened(set=name)
    assert app.selectbox(key="set").value == name
