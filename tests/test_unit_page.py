"""The Unit page: what it shows is what the run's weights answer; every way on is one click; what is
missing is said.
"""

import shutil
import time
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.conftest import forget_all
from vizlib import datasets
from vizlib.datasets import shipped
from vizlib.errors import UserError
from vizlib.inside import activations, strongest
from vizlib.inside.model import load_model
from vizlib.run import folders
from vizlib.ui.data import caches, jobs
from vizlib.ui.parts import made_pictures, strongest_images

ROOT = Path(__file__).parent.parent
UNIT, MAPS = ROOT / "pages/4_Unit.py", ROOT / "pages/3_Feature_maps.py"


@pytest.fixture(autouse=True)
def own_runs(monkeypatch, tmp_path):
    """A copy of the digits network, whose folder may be written, and no other data set than those
    that come with packages.
    """

    monkeypatch.setenv("CONVSCOPE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "no data"))
    forget_all()
    jobs._jobs.clear()
    shutil.copytree(folders.SHIPPED / "digits_three_layer", tmp_path / "runs/mine")
    return tmp_path / "runs/mine"


def opened(file=UNIT, until="", **query):
    """A page of the app, drawn until it says `until`."""
    app = (
        AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        .run()
        .switch_page(f"pages/{file.name}")
    )
    for key, value in {"model": "mine", **query}.items():
        app.query_params[key] = value
    return drawn(app, until)


def drawn(app, until):
    for _ in range(200):
        app.run()
        assert not app.exception, [box.value for box in app.error]
        assert not app.error, [box.value for box in app.error]
        if until in texts(app) and not app.get("progress"):
            return app
        time.sleep(0.05)
    raise AssertionError(texts(app))


def texts(app):
    return " ".join(
        element.value
        for kind in ("markdown", "title", "caption", "info", "warning")
        for element in app.get(kind)
    ).replace("\\", "")


def links(app, page):
    """What the links to a page put in its address, in order."""
    found = [
        link.proto for link in app.get("page_link") if link.proto.page.rpartition("/")[2] == page
    ]
    return [
        {key: value[0] for key, value in parse_qs(link.query_string).items()}
        for link in found
        if link.query_string
    ]


def brute_force(run, layer, unit):
    """The unit's greatest value for each held-out image, and where."""
    split = datasets.load("digits").splits["test"]
    images = (
        split.images(run.input_size).astype(np.float32) / 255 - run.config.mean[0]
    ) / run.config.std[0]
    import torch

    maps = activations.capture(
        load_model(run), torch.from_numpy(images.astype(np.float32)), [layer]
    )[1][layer].numpy()[:, unit]
    return maps.reshape(len(maps), -1).max(1), split


def test_the_nine_strongest_are_those_of_all_held_out_images_and_lead_to_their_maps(own_runs):
    app = opened(until="looked up once", layer="conv2", unit="3")
    values, split = brute_force(folders.read_run(own_runs), "conv2", 3)
    order = np.argsort(-values, kind="stable")[:9]
    # what is in view already is in the address without the link
    in_view = {"label": app.selectbox(key="label").value, "index": "0", "source": "data set"}
    shown = [in_view | one for one in links(app, "Feature_maps") if one.get("place")]
    names = folders.read_run(own_runs).class_names
    assert [(one["label"], int(one["index"])) for one in shown] == [
        (names[split.labels[row]], int(np.sum(split.labels[:row] == split.labels[row])))
        for row in order
    ]
    assert all(
        (one["layer"], one["unit"], one["source"]) == ("conv2", "3", "data set") for one in shown
    )
    assert f"{values[order[0]]:.3g} →" in [link.proto.label for link in app.get("page_link")]
    assert "Deconvnet" in texts(app)
    assert "Guided backpropagation" in texts(app)
    assert "random weights" not in texts(app)


def test_the_control_stands_beside_each_gradient_picture_and_the_made_one():
    app = opened(until="looked up once", layer="conv1")
    before = len(app.get("image"))
    app.toggle(key="random").set_value(True)
    drawn(app, "the same with random weights")
    drawn(app, "random weights: the unit answers")
    assert len(app.get("image")) == before + 2 * 9 + 1


def test_the_index_is_kept_in_the_run_folder_and_used_again(own_runs, monkeypatch):
    opened(until="looked up once")
    assert strongest.load(folders.read_run(own_runs), datasets.load("digits")) is not None

    forget_all()
    jobs._jobs.clear()
    monkeypatch.setattr(strongest, "of_run", lambda *given: pytest.fail("looked up again"))
    opened(until="looked up once")


def test_a_class_is_a_unit(own_runs):
    app = opened(until="looked up once", layer="fc", unit="7")
    assert "What excites the class 7" in texts(app)
    assert "the whole image" in texts(app)
    assert links(app, "Confusion_matrix")[-1]["predicted_first"] == "7"
    assert {one["label"] for one in links(app, "Feature_maps") if "label" in one} == {"7"}


def test_every_unit_layer_and_both_sheets():
    app = opened(until="looked up once")
    for layer in app.selectbox(key="layer").options:
        app.selectbox(key="layer").set_value(layer)
        drawn(app, "for each unit")
        app.segmented_control(key="sheet").set_value("made picture")
        drawn(app, "for each unit the picture made to excite it most")
        app.segmented_control(key="sheet").set_value("strongest patch")
        drawn(app, "held-out images; trained on")


def test_feature_maps_lead_to_the_unit_of_the_convolution(own_runs):
    app = opened(MAPS, until="It answers", layer="relu2", unit="5", source="data set", label="3")
    assert links(app, "Unit")[-1] == {"layer": "conv2", "unit": "5"}
    answer = texts(app).partition("It answers **")[2][0]
    assert links(app, "Confusion_matrix")[-1] == {
        "beside": "none",
        "true_first": "3",
        "predicted_first": answer,
    } or links(app, "Confusion_matrix")[-1] == {"true_first": "3", "predicted_first": answer}


def test_without_the_pictures_it_says_so_and_makes_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    app = opened(until="the unit answers", model="resnet32")
    assert "the pictures of the data set are needed" in texts(app)
    assert not any("index" in one for one in links(app, "Feature_maps"))
    assert any(button.label.startswith("Download") for button in app.button)


def test_without_weights_it_says_what_brings_them(own_runs):
    (own_runs / "model.safetensors").unlink()
    assert "'mine' comes without its weights" in texts(opened())


def test_while_it_trains_there_is_a_sentence(own_runs):
    (own_runs / "events.jsonl").write_text("")
    (own_runs / "config.json").touch()  # just begun
    assert "is training: its units change with every step" in texts(opened())


def test_nonsense_in_the_address_is_named():
    app = opened(
        until="looked up once",
        layer="conv99",
        unit="-3",
        sheet="all",
        random="maybe",
        fourier="no",
    )
    assert "no layer named 'conv99'" in texts(app)
    assert app.selectbox(key="layer").value in (
        "conv1",
        "conv2",
    )


def test_a_network_is_read_by_the_computation_that_needs_it(monkeypatch):
    """Not by the page, for as long as others have their turn; and a control only where it is
    asked for.
    """
    read = []

    def network(run, is_control):
        read.append(is_control)
        raise UserError("enough")

    monkeypatch.setattr(caches, "network_or_control", network)
    run = folders.open_run("lenet")
    layer = next(layer for layer in caches.layers(run) if layer.name == "conv2")
    chosen = dict.fromkeys(made_pictures.SWITCHES, True)
    for is_control, work in (
        (False, strongest_images.finder(run, layer, 3, [], control=False)),
        (True, made_pictures._maker(run, layer, [3], chosen, random_weights=True)),
    ):
        assert read == []
        with pytest.raises(UserError, match="enough"):
            work(lambda share: None)
        assert read == [is_control]
        read.clear()
