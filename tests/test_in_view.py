"""The layer and the unit in view go along from page to page, where a page does not have the layer
too; and addresses of before, when each page had names of its own, still open.
"""

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from vizlib.run import folders
from vizlib.run.weights import load_weights
from vizlib.ui.data import caches
from vizlib.ui.frame.unit_picker import nearest

APP = Path(__file__).parent.parent / "app.py"


@pytest.fixture(autouse=True)
def nothing_of_this_machine(root, data_folder):
    """No runs and no data sets but those that ship."""


def opened(page, **query):
    """A page opened first, by its own address."""
    app = AppTest.from_file(str(APP), default_timeout=60).switch_page(f"pages/{page}.py")
    for key, value in {"model": "lenet", **query}.items():
        app.query_params[key] = value
    return fine(app.run())


def fine(app):
    assert not app.exception
    assert not app.error, [box.value for box in app.error]
    return app


def gone_to(app, page):
    """Another page, by a link that names neither layer nor unit. (A browser's address follows what
    is chosen by itself; here it would stay as the first page was opened.)
    """
    for key in ("layer", "unit"):
        app.query_params.pop(key, None)
    return fine(app.switch_page(f"pages/{page}.py").run())


def in_view(app):
    return app.selectbox(key="layer").value, app.number_input(key="unit").value


def said(app):
    return " ".join(
        element.value for kind in ("caption", "markdown", "warning") for element in app.get(kind)
    ).replace("\\", "")


def test_the_layer_and_the_unit_go_along_from_page_to_page():
    app = opened("2_Filters", layer="conv2", unit="3")
    for page in ("3_Feature_maps", "8_Confusion_matrix", "4_Unit", "7_Film", "2_Filters"):
        gone_to(app, page)
        if page == "8_Confusion_matrix":
            continue
        assert app.selectbox(key="layer").value == "conv2", page
        if page != "7_Film":
            assert app.number_input(key="unit").value == 3, page


def test_what_a_page_opens_on_by_itself_goes_along_too():
    app = gone_to(opened("4_Unit", model="resnet32"), "3_Feature_maps")
    middle, unit = in_view(app)
    assert middle != "conv1"
    assert unit, "the one that answers the photograph most"
    assert in_view(gone_to(app, "2_Filters")) == (middle, unit)


@pytest.mark.parametrize(
    ("layer", "page", "sentence"),
    [
        ("relu2", "2_Filters", "Of **relu2** there are no filters, so **conv2** is shown."),
        ("pool1", "4_Unit", "Of **pool1** no images are looked up, so **conv1** is shown."),
        ("fc1", "2_Filters", "Of **fc1** there are no filters, so **conv2** is shown."),
        ("relu2", "7_Film", "Of **relu2** no maps are stored, so **conv2** is shown."),
    ],
)
def test_a_layer_that_a_page_lacks_is_stood_in_for_and_not_forgotten(layer, page, sentence):
    app = opened("3_Feature_maps", layer=layer, unit="5")
    assert sentence in said(gone_to(app, page))
    assert sentence in said(fine(app.run())), "as long as it is so"
    assert not app.warning
    assert in_view(gone_to(app, "3_Feature_maps")) == (layer, 5)
    gone_to(app, page)
    app.selectbox(key="layer").set_value("conv1").run()
    assert "is shown." not in said(fine(app))
    assert layer not in app.selectbox(key="layer").options
    assert in_view(gone_to(app, "3_Feature_maps")) == ("conv1", 5)


def test_a_page_shows_the_filters_of_the_layer_that_stands_in():
    """By the size of what is drawn: relu2's maps are those of conv2, which has 16 filters of 6
    channels; conv1 has 6 of one or three.
    """
    app = opened("2_Filters", layer="relu2")
    assert "**16 filters of 5 × 5**, what each does with input channel 0" in said(app)
    assert "lenet, conv2, input channel 0" in said(app)


def opened_bare(page, **query):
    app = AppTest.from_file(str(APP), default_timeout=60).switch_page(f"pages/{page}.py")
    for key, value in query.items():
        app.query_params[key] = value
    return fine(app.run())


def test_filters_open_on_the_largest_where_nothing_else_is_chosen():
    """By the files of weights: of the first filters in colour the largest, and most of them."""

    def first_filters(run):
        if not run.has("model.safetensors"):
            return (0, 0)
        weights = load_weights(run.path("model.safetensors")).values()
        shape = next(tuple(one.shape) for one in weights if one.ndim == 4)
        return (shape[2], shape[0]) if shape[1] == 3 else (0, 0)

    runs = {run.run_id: first_filters(run) for run in folders.list_runs()[0]}
    app = opened_bare("2_Filters")
    for _ in range(2):
        assert runs[app.selectbox(key="model").value] == max(runs.values())
        [addressed] = np.atleast_1d(app.query_params["model"])  # a text, after that a list
        assert addressed == app.selectbox(key="model").value
        fine(app.run())
    app.selectbox(key="model").set_value("lenet").run()
    assert app.selectbox(key="model").value == "lenet"
    # what an address of before leaves out is what it was then
    assert opened_bare("2_Filters", unit="3").selectbox(key="model").value == "resnet32"
    assert opened_bare("3_Feature_maps").selectbox(key="model").value == "resnet32"


def test_a_layer_that_the_next_model_lacks_gives_way_on_each_page():
    app = opened("2_Filters", model="resnet32", layer="stage3.block5.conv2", unit="63")
    app.selectbox(key="model").set_value("lenet").run()
    assert in_view(fine(app)) == ("conv1", 0)
    assert in_view(gone_to(app, "3_Feature_maps")) == ("conv1", 0)


@pytest.mark.parametrize("page", ["2_Filters", "4_Unit", "7_Film"])
def test_a_layer_that_does_not_exist_is_named(page):
    app = opened(page, layer="conv99")
    assert "no layer named 'conv99'" in app.warning[0].value.replace("\\", "")
    assert app.selectbox(key="layer").value in ("conv1", "conv2")


@pytest.mark.parametrize(
    ("page", "query", "expected"),
    [
        ("2_Filters", {"filter_layer": "conv2", "filter": "3"}, ("conv2", 3)),
        ("4_Unit", {"unit_layer": "conv2", "unit_number": "4"}, ("conv2", 4)),
        ("4_Unit", {"unit_number": "4"}, (None, 4)),
        ("4_Unit", {"unit_layer": "fc3", "unit_number": "9"}, ("fc3", 9)),
        ("7_Film", {"film_layer": "conv2"}, ("conv2", None)),
        ("3_Feature_maps", {"layer": "relu1", "unit": "2"}, ("relu1", 2)),
    ],
)
def test_addresses_of_before_open_what_they_opened(page, query, expected):
    layer, unit = expected
    opens_on = opened(page).selectbox(key="layer").value
    app = opened(page, **query)
    for _ in range(2):
        assert app.selectbox(key="layer").value == (layer or opens_on)
        assert unit is None or app.number_input(key="unit").value == unit
        assert not app.warning
        assert not set(query) & set(app.query_params) - {"layer", "unit"}
        fine(app.run())


def test_an_address_of_before_with_a_wrong_name_says_so():
    app = opened("2_Filters", filter_layer="conv99", filter="x")
    assert "no layer named 'conv99'" in app.warning[0].value.replace("\\", "")
    assert in_view(app) == ("conv1", 0)


def test_every_layer_of_a_network_has_one_that_stands_for_it():
    """A block's is the last of its convolutions with as many units, whatever comes after it."""
    layers = caches.layers(folders.open_run("resnet32"))
    filters = [layer.name for layer in layers if layer.is_convolution]
    assert nearest(layers, "stage2.block2", filters) == "stage2.block2.conv2"
    assert nearest(layers, layers[-1].name, filters) == filters[-1]
    for layer in layers:
        assert nearest(layers, layer.name, filters) in filters
