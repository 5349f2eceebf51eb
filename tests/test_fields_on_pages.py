"""What the pages say of a layer whose receptive field is not known."""

import dataclasses
import json

import pytest

# a fixture for each test
from tests.test_pages import ROOT, fine, fresh_caches, opened, texts  # noqa: F401
from vizlib.displays.architecture import ArchitectureDisplay
from vizlib.inside import layers, maximisation, patterns
from vizlib.inside.receptive_fields import WHY_NOT_KNOWN

RUN = "digits_three_layer"


@pytest.fixture
def from_conv2_on(monkeypatch, fresh_caches):  # noqa: F811
    """As if an operation without a rule came just before conv2."""
    table, unknown = layers.layer_table, dict(receptive_field=None, start=None, end=None)

    def layer_table(model, input_size):
        found = table(model, input_size)
        names = [layer.name for layer in found]
        return [
            dataclasses.replace(layer, **unknown, stride=None)
            if names.index("conv2") <= names.index(layer.name) and len(layer.output_shape) == 3
            else layer
            for layer in found
        ]

    for module in (layers, maximisation):  # the second has the name from its import
        monkeypatch.setattr(module, "layer_table", layer_table)
    return layer_table


def place_view(app):
    views = [
        json.loads(element.proto.json)
        for element in fine(app).get("bidi_component")
        if element.proto.component_name.endswith("place_view")
    ]
    return views[0]


def infos(app):
    return [box.value for box in app.info]


def test_the_layer_table_says_so(from_conv2_on):
    app = fine(opened(ROOT / "pages/1_Architecture.py", model=RUN, depth="every layer"))
    table = app.dataframe[0].value
    fields = dict(zip(table["layer"].str.strip(), table["receptive field"], strict=True))
    assert fields["conv1"] == "5 × 5"
    assert fields["conv2"] == "not known"
    assert fields["fc"] == "8 × 8"
    assert f"Not known: {WHY_NOT_KNOWN}." in texts(app).replace("\\", "")


def test_and_says_nothing_of_it_where_all_is_known(fresh_caches):  # noqa: F811
    app = fine(opened(ROOT / "pages/1_Architecture.py", model=RUN))
    assert "ot known" not in texts(app)


def test_the_csv_says_so(from_conv2_on):
    from vizlib import architectures

    model = architectures.create("three_layer_functional", image_size=12)
    lines = ArchitectureDisplay(from_conv2_on(model, (3, 12, 12))).csv().splitlines()
    by_name = {line.partition(",")[0]: line.split(",") for line in lines}
    assert by_name["conv1"][5:7] == ["5x5", "1x1"]
    assert by_name["conv2"][5:7] == ["not known", ""]
    assert by_name["fc"][5:7] == ["12x12", ""]


def test_nothing_is_framed_over_the_input(from_conv2_on):
    page = ROOT / "pages/3_Feature_maps.py"
    app = fine(opened(page, model=RUN, layer="conv2", unit="3"))
    view = place_view(app)
    assert (view["rows"], view["columns"], view["shape"]) == (None, None, [8, 8])
    assert view["tight"], "what it sees of this image is measured"
    assert "of the pixels that it sees" not in view["more"]
    assert any(WHY_NOT_KNOWN in text for text in infos(app))
    assert "what one value sees is not known" in texts(app)
    app = fine(opened(page, model=RUN, layer="conv1", unit="3"))
    assert len(place_view(app)["rows"]) == 8
    assert not any(WHY_NOT_KNOWN in text for text in infos(app))


def test_the_page_of_a_unit_shows_whole_images_and_says_why(from_conv2_on):
    app = fine(opened(ROOT / "pages/4_Unit.py", model=RUN, unit_layer="conv2", unit_number="3"))
    assert f"how much is not known: {WHY_NOT_KNOWN}. The whole image is shown" in texts(app)


def test_patterns_are_whole_images(from_conv2_on):
    from vizlib import architectures

    model = architectures.create("three_layer_functional", image_size=12)
    table = {layer.name: layer for layer in from_conv2_on(model, (3, 12, 12))}
    assert not patterns.sees_part(table["conv2"], (3, 12, 12))
    assert patterns.field(table["conv2"], (2, 5), (3, 12, 12)) == (0, 0, 12, 12)
    assert patterns.sees_part(table["conv1"], (3, 12, 12))
