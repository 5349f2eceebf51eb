"""How each lesson is done: what somebody clicks, counted, and what is then in sight. The tests walk
it in a browser, and docs/lessons.py takes pictures on the way.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.test_browser import settled
from vizlib import lessons

# what a lesson needs that its reader brings
CHECKPOINT, PICTURES = "network.pt", "shapes.zip"


class Hand:
    """Whoever does a lesson: every click is counted, that on its card too. What is dropped is no
    click.

    page: of Playwright. shown(): called whenever what a lesson promises is in sight.
    """

    def __init__(self, page, address, files, shown=lambda: None):
        self.page = page
        self.files = Path(files)
        self.clicks = 0
        self._address = address
        self._shown = shown

    def begins(self, lesson):
        """Open the page of lessons, and the lesson by its card."""
        self.page.goto(f"{self._address}/Lessons")
        self.click(f".st-key-lesson_card_{lesson.id} a")
        self.page.locator(".st-key-lesson").wait_for()

    def click(self, selector, at=None):
        """at: the share of the width and height of what is clicked; its middle if left out."""
        target = self.page.locator(selector).first
        target.wait_for()
        settled(self.page)
        if at is None:
            target.click()
        else:
            target.scroll_into_view_if_needed()
            box = target.bounding_box()
            place = box["x"] + box["width"] * at[0], box["y"] + box["height"] * at[1]
            self.page.mouse.move(*place)
            self.page.wait_for_timeout(300)
            self.page.mouse.click(*place)
        self.clicks += 1

    def press(self, name):
        self.click(f"button:has-text('{name}')")

    def next(self):
        self.click(".st-key-lesson_next a")

    def drop(self, file):
        self.page.locator("input[type=file]").first.set_input_files(self.files / file)

    def sees(self, selector, **wanted):
        """Wait until it is in sight. wanted: as Playwright takes it."""
        target = self.page.locator(selector, **wanted).first
        target.wait_for()
        settled(self.page)
        target.scroll_into_view_if_needed()
        self._shown()


def filters(hand):
    hand.sees(".st-key-filters_component .frame img[alt*='64 filters']")


def maps(hand):
    row, column = 8, 18  # of 16 rows of 32: unit 274, red over the cat's nose and brow
    hand.click(".st-key-maps_component .frame img", at=((column + 0.5) / 32, (row + 0.5) / 16))
    hand.page.wait_for_url("**unit=274*")
    row, column = 2, 3  # nearly as strong as its strongest place, where the page stands already
    hand.click(".st-key-unit_component .map", at=((column + 0.5) / 7, (row + 0.5) / 7))
    hand.page.wait_for_url("**place=2%2C3*")
    hand.sees(".st-key-unit_component rect.line")


def training(hand):
    hand.press("Train one now")
    hand.page.wait_for_url("**model=three_layer_module-digits*")
    picture = hand.page.locator(".st-key-filters_component .frame img")
    before = picture.get_attribute("src")
    hand.page.wait_for_function(
        "before => [...document.querySelectorAll('[data-testid=\"stBidiComponentIsolated\"]')]"
        ".some(each => { const img = each.shadowRoot?.querySelector('.frame img');"
        " return img && img.src && img.src !== before })",
        arg=before,
    )
    hand.sees(".st-key-filters_component .frame img")


def shortcuts(hand):
    hand.sees(".st-key-curves_places .main-svg")
    hand.next()
    hand.sees(".st-key-course_places .main-svg")
    hand.next()
    hand.sees(".st-key-curves_accuracy_places .main-svg")


def mistakes(hand):
    row, column = 5, 3  # dogs taken for cats: what the other way round shows is open already
    hand.click(".st-key-matrix_first_places .nsewdrag", at=((column + 0.5) / 10, (row + 0.5) / 10))
    hand.page.wait_for_url("**true_first=dog*")
    hand.sees(".st-key-images_of_first img")


def collapse(hand):
    hand.sees(".st-key-verdict_first")
    hand.next()
    hand.sees(".st-key-matrix_first_places .main-svg")


def mend(hand):
    hand.press("Weigh rare classes more")
    hand.page.wait_for_selector("h1:has-text('Compare')", timeout=180_000)  # when it is trained
    hand.sees("text=is better: in the mean over the classes")
    hand.next()
    hand.sees(".st-key-curves_accuracy_places .main-svg")
    hand.next()
    hand.sees(".st-key-matrix_first_places .main-svg")


def unit(hand):
    hand.sees(".st-key-made_picture img")
    hand.next()
    hand.sees(".st-key-strongest img")
    hand.next()
    hand.sees(".st-key-strongest img")


def checkpoint(hand):
    hand.drop(CHECKPOINT)
    hand.sees("text=Its first filters")
    hand.press("Open it")
    hand.sees("text=is open")


def pictures(hand):
    hand.drop(PICTURES)
    hand.press("Make it a data set")
    hand.page.locator("text=120 files").wait_for()
    hand.press("Train on it")
    hand.page.wait_for_selector("h1:has-text('Confusion matrix of three_layer_module-folder-')")
    hand.sees(".st-key-matrix_first_places .main-svg")


def hand_in(hand):
    with hand.page.expect_download() as download:
        hand.press("Report")
    assert download.value.suggested_filename.endswith(".html")
    hand.sees(".st-key-hand_in")


def link(hand):
    hand.sees(".st-key-lesson img")


WALKS = {
    "filters": filters,
    "maps": maps,
    "training": training,
    "shortcuts": shortcuts,
    "mistakes": mistakes,
    "collapse": collapse,
    "mend": mend,
    "unit": unit,
    "checkpoint": checkpoint,
    "pictures": pictures,
    "hand_in": hand_in,
    "link": link,
}


def walk(page, address, lesson_id, files, shown=lambda: None):
    """Do a lesson; how many clicks it took."""
    hand = Hand(page, address, files, shown)
    hand.begins(lessons.find(lesson_id))
    WALKS[lesson_id](hand)
    return hand.clicks


def write_files(folder):
    """What the readers of two lessons bring: a network trained elsewhere, and pictures."""
    import torch

    from vizlib.run.folders import open_run
    from vizlib.run.weights import load_weights

    weights = load_weights(open_run("lenet").path("model.safetensors"))
    torch.save({name: tensor.float() for name, tensor in weights.items()}, folder / CHECKPOINT)
    (folder / PICTURES).write_bytes(_shapes())


def _shapes(count=60, side=16):
    """A zip of bars that stand and bars that lie, `count` of each, on noise."""
    random = np.random.default_rng(0)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for class_name in ("lying", "standing"):
            for number in range(count):
                pixels = random.integers(0, 90, (side, side), dtype=np.uint8)
                start = random.integers(2, side - 5)
                pixels[start : start + 3] = random.integers(150, 255)
                pixels = pixels if class_name == "lying" else pixels.T
                picture = io.BytesIO()
                Image.fromarray(np.ascontiguousarray(pixels)).save(picture, "PNG")
                archive.writestr(f"shapes/{class_name}/{number:03}.png", picture.getvalue())
    return file.getvalue()
