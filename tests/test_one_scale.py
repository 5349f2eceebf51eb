"""What is drawn together is on one scale: whichever part has the extreme, at whichever step. In
each fixture it lies in the middle, where neither the first nor the last part would show it.
"""

import json

import numpy as np
import pytest

from tests.test_film import display, shown
from tests.test_live_pages import GROWING, ROOT, fabricate, fine, gradient_row, opened
from vizlib.displays.atlas import palette
from vizlib.displays.attribution import EvidenceDisplay
from vizlib.displays.feature_maps import FeatureMapsDisplay, on_one_scale
from vizlib.displays.film_frames import frame
from vizlib.displays.filters import FiltersDisplay
from vizlib.displays.gradients import SIZES, Gradients, GradientsDisplay

STEPS = (0, 8, 40)


def gradients(greatest=0.3, least=0.02):
    """Of three layers at three steps: the greatest of the middle layer at the middle step."""
    norms = np.array([[0.05, 0.2, 0.06], [least, greatest, 0.07], [0.04, 0.1, 0.05]])
    weights = np.array([[2.0, 4.0, 2.0], [3.0, 5.0, 2.5], [2.0, 4.0, 2.0]])
    return Gradients(["conv1", "conv2", "fc"], [1, 3, 9], norms, weights)


def parts(order):
    """Runs of which one has the greatest, another the least gradient of all, and one neither."""
    runs = {
        "greatest": gradients(greatest=70.0),
        "least": gradients(least=4e-5),
        "neither": gradients(),
    }
    return {name: runs[name] for name in order}


@pytest.mark.parametrize(
    "order",
    [
        ("greatest", "least"),
        ("least", "greatest"),
        ("neither", "greatest"),
        ("neither", "least"),
        ("neither", "greatest", "least"),
        ("least", "greatest", "neither"),
    ],
)
@pytest.mark.parametrize("size", SIZES)
def test_gradients_of_several_runs(order, size):
    drawn = GradientsDisplay(parts(order))
    every = [
        one.norms / (one.weights if size == SIZES[1] else 1) for one in drawn.histories.values()
    ]
    ends = np.log10([min(part.min() for part in every), max(part.max() for part in every)])
    course, depth = drawn.plot(size, 3), drawn.plot_depth(size, 3)
    assert {heatmap.coloraxis for heatmap in course.data} == {"coloraxis"}
    assert [course.layout.coloraxis.cmin, course.layout.coloraxis.cmax] == pytest.approx(ends)
    assert list(depth.layout.yaxis.range) == pytest.approx([ends[0] - 0.1, ends[1] + 0.1])
    assert depth.layout.yaxis.range == drawn.plot_depth(size, 9).layout.yaxis.range, "of all steps"
    for heatmap, values in zip(course.data, every, strict=True):
        assert heatmap.zmin is heatmap.zmax is None
        assert np.array(heatmap.z, float) == pytest.approx(np.log10(values.T), abs=1e-3)


@pytest.mark.parametrize("in_view", ["plain", "mine"])
def test_gradients_of_two_runs_on_their_page(root, in_view):
    def run(name, norms):
        others = [event for event in GROWING if event["event"] != "gradients"]
        rows = [gradient_row(1), gradient_row(8, norms), gradient_row(32)]
        fabricate(root, name, [*others, *rows])

    run("plain", (1e-3, 1e-2, 500.0, 0.1, 1.0))
    run("mine", (1e-3, 1e-2, 6e-5, 0.1, 1.0))
    other = {"plain": "mine", "mine": "plain"}[in_view]
    app = fine(opened(ROOT / "pages/9_Gradients.py", model=in_view, against=other))
    course = json.loads(app.get("plotly_chart")[0].proto.spec)
    colours = course["layout"]["coloraxis"]
    assert len(course["data"]) == 2
    assert [colours["cmin"], colours["cmax"]] == pytest.approx(np.log10([6e-5, 500.0]))


def middle(shape, least, greatest, seed=0):
    """Small numbers, with the two ends in their middle."""
    values = np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)
    flat = values.reshape(-1)
    flat[flat.size // 2], flat[flat.size // 2 + 1] = least, greatest
    return values


@pytest.mark.parametrize("ends", [(-0.6, 3.0), (-3.0, 0.6)])
def test_filters_over_a_whole_film(ends):
    """Of the middle step is the greatest weight, above zero or below it."""
    filters = {step: middle((5, 3, 2, 2), *(ends if step == 8 else (-1, 1))) for step in STEPS}
    film = display(filters=filters)
    for step in STEPS:
        expected = np.round(127.5 + 127.5 * filters[step] / 3).transpose(0, 2, 3, 1)
        at, atlas = film.filters_at(step)
        assert at == step
        assert np.array_equal(atlas.tiles, expected)
        assert np.abs(shown(frame(film, step), atlas, "filters") - expected).max() <= 1


def test_grey_filters_over_a_whole_film():
    filters = {step: middle((5, 1, 3, 3), -5.0 if step == 8 else -0.8, 0.9) for step in STEPS}
    film = display(filters=filters)
    for step in STEPS:
        _, atlas = film.filters_at(step)
        assert (atlas.low, atlas.high) == (-5, 5)
        expected = np.round((filters[step][:, 0] / 5 + 1) / 2 * 254)
        assert np.abs(atlas.tiles - expected).max() <= 1


def test_maps_of_a_film_are_each_on_the_scale_of_its_step():
    """All units of a step on one, which the middle unit sets."""
    maps = {step: middle((5, 4, 4), -2.0 - step, 1.0) for step in STEPS}
    film = display(
        maps={step: FeatureMapsDisplay.from_activation(maps[step], (-90, 90)) for step in STEPS}
    )
    for step in STEPS:
        _, atlas = film.maps_at(step)
        assert (atlas.low, atlas.high) == (-2 - step, 2 + step)
        levels = np.round((maps[step] / (2 + step) + 1) / 2 * 254).astype(int)
        assert np.abs(atlas.tiles - levels).max() <= 1
        colours = palette("RdBu_r")[levels]
        assert np.abs(shown(frame(film, step), atlas, "maps") - colours).max() <= 4


def test_filters_of_one_layer():
    weight = middle((5, 4, 3, 3), -4.0, 2.0)
    filters = FiltersDisplay.from_weight(weight)
    sheets = [*map(filters.channel_atlas, range(4)), *map(filters.filter_atlas, range(5))]
    assert {(sheet.low, sheet.high) for sheet in sheets} == {(-4, 4)}
    kernel = filters.plot_kernel(0, 3).data[0]
    assert (kernel.zmin, kernel.zmax) == (-4, 4)
    levels = np.round((weight[:, 2] / 4 + 1) / 2 * 254)
    assert np.abs(filters.channel_atlas(2).tiles - levels).max() <= 1


@pytest.mark.parametrize(
    ("ends", "limits"), [((-7.0, 2.0), (-7, 7)), ((-1.0, 6.0), (-6, 6)), ((0.1, 6.0), (0, 6))]
)
def test_maps_of_one_layer(ends, limits):
    maps = np.abs(middle((5, 3, 3), 0, 0)) if ends[0] > 0 else middle((5, 3, 3), 0, 0)
    maps[2, 1, 1], maps[2, 1, 2] = ends
    layer = FeatureMapsDisplay.from_activation(maps, (-20, 20))
    atlas = layer.picture("layer")
    assert (atlas.low, atlas.high) == limits
    levels = np.round((maps - limits[0]) / (limits[1] - limits[0]) * 254)
    assert np.abs(atlas.tiles - levels).max() <= 1
    for unit in range(5):
        alone = layer.unit_atlas(unit, "layer")
        assert (alone.low, alone.high) == limits
        assert np.array_equal(alone.tiles[0], atlas.tiles[unit])
    assert (layer.picture("network").low, layer.picture("network").high) == (-20, 20)


@pytest.mark.parametrize("ends", [(-9.0, 2.0), (-1.0, 8.0)])
def test_three_layers_on_one_scale(ends):
    maps = [middle((4, 3, 3), -1, 1, 0), middle((2, 5, 5), *ends, 1), middle((3, 3, 3), -1, 1, 2)]
    limit = max(-ends[0], ends[1])
    atlases = on_one_scale([FeatureMapsDisplay.from_activation(one, (-1, 1)) for one in maps])
    assert {(atlas.low, atlas.high) for atlas in atlases} == {(-limit, limit)}
    for atlas, values in zip(atlases, maps, strict=True):
        levels = np.round((values / limit + 1) / 2 * 254)
        assert np.abs(atlas.tiles - levels).max() <= 1


@pytest.mark.parametrize("style", ["signed", "heat", "map"])
def test_evidence_for_three_classes(style):
    """The same value has the same colour for each class, though only the second has the extreme."""
    values = np.zeros((3, 4, 4), np.float32)
    values[:, 1, 2] = 1.0
    values[1, 2, 1] = 5.0
    display = EvidenceDisplay(values, np.full((4, 4, 1), 90, np.uint8), style)
    assert display.limit == pytest.approx(5, rel=0.2)
    ones = display.pictures[:, 1, 2]
    assert (ones == ones[0]).all()
    assert (display.pictures[1, 2, 1] != ones[1]).any()
    alone = EvidenceDisplay(values[:1], display.received, style)
    assert (alone.pictures[0, 1, 2] != ones[0]).any(), "alone it would be at the end of the scale"
