"""A cell of the matrix is the one of its true and its predicted class, and never its mirror: with
counts that are not symmetric, in the arithmetic, on the page, and by a click in a browser.
"""

import os
import shutil

import numpy as np
import pytest

from tests.test_browser import no_error, settled
from tests.test_pages import ROOT, fine, opened, texts
from vizlib import datasets
from vizlib.displays.confusion import ConfusionDisplay
from vizlib.run import folders
from vizlib.run.predictions import Predictions, save_predictions
from vizlib.ui.parts.cell_images import worst_cell

PAGE = ROOT / "pages/8_Confusion_matrix.py"
WRONG = {(4, 1): 14, (1, 4): 9, (2, 7): 5, (7, 2): 3, (6, 0): 2}  # (true, predicted): images
COMMONEST, CLICKED = (4, 1), (2, 7)


def predictions():
    """Of the held-out digits, all right but those of WRONG, which are the last of their class."""
    split = datasets.load("digits").splits["test"]
    answers = split.labels.copy()
    for (true, predicted), count in WRONG.items():
        answers[np.flatnonzero(split.labels == true)[-count:]] = predicted
    logits = 3.0 * np.eye(10)[answers] + np.linspace(0, 1, len(answers))[:, None] * 0.1
    return Predictions(split.labels.astype(np.int64), logits, np.asarray(split.image_ids))


def fabricated(root):
    folder = root / "lopsided"
    shutil.copytree(folders.SHIPPED / "digits_three_layer", folder)
    save_predictions(folder / "predictions.npz", predictions())
    os.utime(folder / "config.json", (1, 1))
    return folder


def test_the_counts_have_the_truth_in_their_rows():
    counts = predictions().confusion()
    assert {cell: counts[cell] for cell in WRONG} == WRONG
    assert counts.sum() - counts.trace() == sum(WRONG.values())


@pytest.mark.parametrize("cell", [(0, 2), (2, 0), (1, 0), (3, 1)])
def test_the_commonest_mistake_by_hand(cell):
    counts = np.diag([50, 60, 70, 80])
    counts[cell], counts[cell[::-1]] = 7, 6
    before = counts.copy()
    assert worst_cell(counts) == cell
    assert np.array_equal(counts, before)


def test_the_page_opens_on_the_commonest_mistake(root):
    fabricated(root)
    app = fine(opened(PAGE, model="lopsided"))
    assert app.selectbox(key="true_first").value == str(COMMONEST[0])
    assert app.selectbox(key="predicted_first").value == str(COMMONEST[1])
    assert "**14** images of **4** answered **1**" in texts(app)


def test_a_cell_shows_the_images_that_are_in_it(root):
    fabricated(root)
    app = opened(ROOT / "app.py", model="lopsided", true_first="2", predicted_first="7")
    app = fine(app.switch_page("pages/8_Confusion_matrix.py").run())
    assert "**5** images of **2** answered **7**" in texts(app)
    alike = [image.alt for element in app.main.get("image") for image in element.proto.imgs]
    assert alike.count("2 answered 7") == 5
    links = [str(element.proto) for element in app.main.get("page_link")]
    of_cell = [link for link in links if "label=" in link]
    count = int((datasets.load("digits").splits["test"].labels == 2).sum())
    for number in range(count - 5, count):
        assert any(f"label=2&index={number}" in link for link in of_cell), of_cell


def test_a_cell_is_the_images_of_its_truth():
    found = predictions()
    for (true, predicted), count in WRONG.items():
        rows, confidence = found.cell(true, predicted)
        assert len(rows) == len(confidence) == count
        assert set(found.labels[rows]) == {true}
        assert set(found.predicted_labels[rows]) == {predicted}


def test_the_matrix_is_drawn_with_the_truth_from_the_top():
    counts = predictions().confusion()
    figure = ConfusionDisplay(counts, [str(name) for name in range(10)]).plot(CLICKED)
    cells = {
        (int(one[0]), int(one[1])): (x, y)
        for trace in figure.data
        if trace.customdata is not None and trace.x is not None
        for one, x, y in zip(trace.customdata, trace.x, trace.y, strict=True)
    }
    assert len(cells) == 100
    right = [cells[3, predicted][0] for predicted in range(10)]
    assert right == sorted(right)
    assert len({cells[3, predicted][1] for predicted in range(10)}) == 1
    assert (
        figure.layout.yaxis.autorange == "reversed"
        or figure.layout.yaxis.range[0] > (figure.layout.yaxis.range[1])
    )


@pytest.mark.browser
def test_a_click_opens_that_cell_and_not_its_mirror(page, served):
    address, runs = served
    folder = fabricated(runs)
    try:
        page.goto(f"{address}/Confusion_matrix?model=lopsided")
        page.get_by_text("images of 4 answered 1").wait_for()
        settled(page)
        area = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
        true, predicted = CLICKED
        x = area["x"] + area["width"] * (predicted + 0.5) / 10
        y = area["y"] + area["height"] * (true + 0.5) / 10
        page.mouse.move(x, y)
        page.wait_for_timeout(300)
        page.mouse.click(x, y)
        page.get_by_text("images of 2 answered 7").wait_for()
        page.wait_for_url("**true_first=2&predicted_first=7*")
        settled(page)
        assert page.locator("img[alt='2 answered 7']").count() == WRONG[CLICKED]
        no_error(page)
    finally:
        shutil.rmtree(folder)
