"""Figures: every pixel where the click arithmetic looks for it, colours by closed form, files that
other programs read.
"""

import base64
import csv
import html
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageColor

from vizlib.displays.architecture import ArchitectureDisplay
from vizlib.displays.atlas import GAP, MOST_PIXELS, Atlas, columns_for, palette, quantise
from vizlib.displays.confusion import (
    DARK,
    LIGHT,
    MOST_MARKED,
    ConfusionDifference,
    ConfusionDisplay,
)
from vizlib.displays.curves import COLOURS, PALE, CurvesDisplay, smoothed
from vizlib.displays.feature_maps import (
    ROUNDING,
    SCALES,
    FeatureMapsDisplay,
    greatest_difference,
    on_one_scale,
)
from vizlib.displays.filters import FiltersDisplay
from vizlib.displays.gradients import SIZES, Gradients, GradientsDisplay, gradients_of, log_spaced
from vizlib.displays.influence import STRONGEST, heat_png

HOSTILE = '<script>alert("1")</script> & ![](http://x.example/a.png) \x1b[31m\x00'
MIDDLE = 127  # the palette entry of zero where colours run both ways


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def rows_of(text):
    return list(csv.reader(io.StringIO(text)))


# The sheet of tiles


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7, 10, 13, 16, 31, 64, 97, 512, 2048])
def test_every_tile_has_a_place(count):
    atlas = Atlas(np.zeros((count, 2, 2), np.uint8), "viridis")
    assert 1 <= atlas.columns <= count
    assert (atlas.rows - 1) * atlas.columns < count <= atlas.rows * atlas.columns
    assert atlas.columns == columns_for(count)
    assert count < 4 or atlas.columns >= atlas.rows


@pytest.mark.parametrize(
    ("count", "height", "width", "colour"),
    [
        (7, 5, 3, ()),
        (64, 8, 8, ()),
        (5, 20, 31, ()),
        (10, 1, 1, ()),
        (13, 5, 5, (3,)),
        (1, 40, 40, (3,)),
    ],
)
def test_each_pixel_is_where_a_click_looks_for_it(count, height, width, colour):
    """The page divides a click's place by the size of a tile with its gap: row * columns + column
    is the tile.
    """
    tiles = np.random.default_rng(0).integers(
        0, GAP, (count, height, width, *colour), dtype=np.uint8
    )
    atlas = Atlas(tiles, "" if colour else "viridis")
    sheet = Image.open(io.BytesIO(atlas.png()))
    assert sheet.mode == ("RGBA" if colour else "P")
    pixels, factor = np.asarray(sheet), atlas.factor
    assert pixels.shape[:2] == (
        atlas.rows * (height * factor + 1),
        atlas.columns * (width * factor + 1),
    )
    for y, x in np.ndindex(pixels.shape[:2]):
        row, column = (
            int(y / pixels.shape[0] * atlas.rows),
            int(x / pixels.shape[1] * atlas.columns),
        )
        tile, inside_y, inside_x = (
            row * atlas.columns + column,
            y - row * (height * factor + 1),
            x - column * (width * factor + 1),
        )
        is_gap = inside_y == height * factor or inside_x == width * factor or tile >= count
        if is_gap:
            assert pixels[y, x, 3] == 0 if colour else pixels[y, x] == GAP
        else:
            assert np.array_equal(
                pixels[y, x, :3] if colour else pixels[y, x],
                tiles[tile, inside_y // factor, inside_x // factor],
            )


def test_gaps_are_transparent_and_levels_are_not():
    tiles = np.arange(GAP, dtype=np.uint8).reshape(1, 15, 17)
    sheet = np.asarray(Image.open(io.BytesIO(Atlas(tiles, "viridis").png())).convert("RGBA"))
    assert (sheet[:15, :17, 3] == 255).all()
    assert (sheet[15:, :, 3] == 0).all()
    assert (sheet[:, 17:, 3] == 0).all()
    assert np.array_equal(sheet[:15, :17, :3].reshape(-1, 3), palette("viridis")[:GAP])


def test_palette_ends_are_those_of_the_scale():
    assert palette("viridis")[[0, 254]].tolist() == [[68, 1, 84], [253, 231, 37]]
    assert palette("RdBu_r")[MIDDLE].min() > 240  # zero is white


def test_huge_layers_stay_below_the_limit_of_pixels():
    atlas = Atlas(np.zeros((2048, 7, 7), np.uint8), "viridis")
    assert atlas.factor == 2
    assert np.prod(atlas.image().size) < 1.2 * MOST_PIXELS
    assert Atlas(np.zeros((64, 112, 112), np.uint8), "viridis").factor == 1


def test_quantise_by_hand():
    values = np.array([[[-9, 0, 1, 2, 3, 4, 99, np.nan, np.inf, -np.inf]]], np.float32)
    assert quantise(values, np.float32(0), np.float32(4)).tolist() == [
        [[0, 0, 64, 127, 191, 254, 254, GAP, GAP, GAP]]
    ]
    assert quantise(np.full((1, 1, 2), 3, np.float32), np.float32(3), np.float32(3)).max() < GAP


def test_quantise_takes_limits_by_tile():
    maps = noise(4, 6, 6)
    tiles = quantise(maps, maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True))
    assert (tiles.min((1, 2)) == 0).all()
    assert (tiles.max((1, 2)) == 254).all()
    for unit in range(4):
        assert np.array_equal(
            np.argsort(tiles[unit].ravel()[[maps[unit].argmin(), maps[unit].argmax()]]), [0, 1]
        )


@pytest.fixture(params=["maps", "own scale", "colours", "one"])
def atlas(request):
    if request.param == "colours":
        return FiltersDisplay.from_weight(noise(10, 3, 5, 5)).colour_atlas()
    if request.param == "one":
        return Atlas(np.zeros((1, 1, 1), np.uint8), "viridis", 0.0, 1.0)
    maps = noise(7, 4, 6)
    maps[2] = 0
    return FeatureMapsDisplay.from_activation(maps, (-9, 9)).picture(
        "map" if request.param == "own scale" else "layer"
    )


@pytest.mark.parametrize(
    "caption", ["", "three_layer · conv1 · café, 猫, \U0001f408", HOSTILE, "word " * 200]
)
def test_kept_figures_are_readable(atlas, caption):
    figure = Image.open(io.BytesIO(atlas.figure_png(caption)))
    figure.load()
    assert figure.format == "PNG"
    assert figure.width >= 600
    root = ElementTree.fromstring(atlas.figure_svg(caption))
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == space + "svg"
    assert {part.tag.removeprefix(space) for part in root.iter()} <= {
        "svg",
        "image",
        "line",
        "rect",
        "text",
    }
    embedded = root.find(space + "image").get("href").partition("data:image/png;base64,")[2]
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(base64.b64decode(embedded)))), np.asarray(atlas.image())
    )
    assert len(root.findall(space + "line")) == 2 * len(atlas.crossed)
    assert len(root.findall(space + "rect")) == len(atlas.bar_colours())


def test_a_hostile_caption_stays_text(atlas):
    text = atlas.figure_svg(HOSTILE)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    written = " ".join(
        part.text or ""
        for part in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")
    )
    assert '<script>alert("1")</script> & ![](http://x.example/a.png)' in written


# Feature maps


def test_zero_is_one_colour_on_every_scale():
    maps = noise(6, 5, 5)
    maps[0, 0, 0] = 0
    maps[1] = np.abs(maps[1]) + 3
    maps[1, 2, 2] = 0
    maps[2] = 0  # a dead unit in a layer that has negative values
    display = FeatureMapsDisplay.from_activation(maps, (-20.0, 12.0))
    for scale in SCALES:
        tiles = display.picture(scale).tiles
        assert (tiles[maps == 0] == MIDDLE).all()
        assert (tiles[maps > 0] >= MIDDLE).all()
        assert (tiles[maps < 0] <= MIDDLE).all()
        assert display.picture(scale).palette_name == "RdBu_r"
        alone = display.unit_atlas(2, scale)
        assert alone.low == -alone.high < 0


def test_limits_by_hand():
    signed = FeatureMapsDisplay.from_activation(np.array([[[-1.0, 3]], [[0.5, -4]]]), (-7, 5))
    assert [np.ravel(limit).tolist() for limit in signed.limits("map")] == [[-3, -4], [3, 4]]
    assert signed.limits("layer") == (-4, 4)
    assert signed.limits("network") == (-7, 7)
    positive = FeatureMapsDisplay.from_activation(np.array([[[1.0, 3]], [[0, 8]]]), (-7, 9))
    assert [np.ravel(limit).tolist() for limit in positive.limits("map")] == [
        [0, 0],
        [3, 8],
    ]
    assert positive.limits("layer") == (0, 8)
    assert positive.limits("network") == (-9, 9)
    assert positive.picture("layer").palette_name == "viridis"
    assert positive.picture("network").palette_name == "RdBu_r"
    assert positive.picture("map").bar_ends() == ["0", "each map's greatest"]
    assert positive.picture("layer").bar_ends() == ["0", "8"]
    assert positive.picture("map").tiles.tolist() == [[[85, 254]], [[0, 254]]]


def test_dead_maps_are_found_and_crossed():
    maps = np.maximum(noise(12, 4, 4), 0)
    maps[[3, 7]] = 0
    display = FeatureMapsDisplay.from_activation(maps, (0, 5))
    atlas = display.picture("map")
    assert display.dead.tolist() == [3, 7]
    assert atlas.crossed == (3, 7)
    assert (atlas.tiles[[3, 7]] == 0).all()
    for line, tile in zip(atlas.cross_lines(), (3, 3, 7, 7), strict=True):
        assert (
            (int(line[1]), int(line[0]))
            == (int(line[3]), int(line[2]))
            == divmod(tile, atlas.columns)
        )
    figure = np.asarray(Image.open(io.BytesIO(atlas.figure_png("x"))).convert("RGB")).astype(int)
    red = (figure == [0xDD, 0x33, 0x33]).all(axis=2)
    places = {
        (
            int((y - 10) * atlas.rows // (figure.shape[0] - 76)),
            int((x - 10) * atlas.columns // (figure.shape[1] - 20)),
        )
        for y, x in np.argwhere(red)
    }
    assert places == {divmod(tile, atlas.columns) for tile in (3, 7)}


def test_plain_features_are_maps_of_one_pixel():
    display = FeatureMapsDisplay.from_activation(np.array([0, 2.5, 0, 1], np.float32), (0, 3))
    assert display.maps.shape == (4, 1, 1)
    assert display.dead.tolist() == [0, 2]
    assert display.picture("layer").tiles.ravel().tolist() == [0, 254, 0, 102]
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        FeatureMapsDisplay.from_activation(np.zeros((2, 3)), (0, 1))


def test_one_unit_alone_has_the_colours_of_the_sheet():
    display = FeatureMapsDisplay.from_activation(noise(3, 4, 4), (-6, 4))
    for scale in SCALES:
        alone, sheet = display.unit_atlas(1, scale), display.picture(scale)
        assert (alone.tiles == sheet.tiles[1]).all()
        assert alone.bar_colours() == sheet.bar_colours()
        assert (
            alone.high
            == -alone.low
            == pytest.approx(np.ravel(display.limits(scale)[1])[1 if scale == "map" else 0])
        )
        picture = np.asarray(Image.open(io.BytesIO(alone.tile_png(0))).convert("RGB"))
        assert (picture == palette(sheet.palette_name)[sheet.tiles[1]]).all(), (
            "a pixel for each value, no gaps"
        )


def test_strongest_place():
    maps = np.zeros((2, 3, 4), np.float32)
    maps[0, 2, 1], maps[0, 0, 3] = 5, -9
    display = FeatureMapsDisplay.from_activation(maps - 1, (-10, 4))
    assert display.strongest(0) == (2, 1), (
        "the greatest, not the largest of either sign; the first of several"
    )
    assert display.strongest(1) == (0, 0), (
        "the greatest, not the largest of either sign; the first of several"
    )


def test_heat_of_influence():
    influence = np.array([[0, 1], [4, 16]], np.float32)
    heat = np.asarray(Image.open(io.BytesIO(heat_png(influence))))
    assert heat.shape == (2, 2, 4)
    assert heat[..., 3].tolist() == [
        [0, round(STRONGEST / 4)],
        [round(STRONGEST / 2), STRONGEST],
    ]
    assert (heat[..., :3] == palette("inferno")[[[0, 64], [127, 254]]]).all()
    assert not np.asarray(Image.open(io.BytesIO(heat_png(influence * 0))))[..., 3].any(), (
        "nothing is seen where nothing has influence"
    )


def test_overlay_is_the_grey_image_where_the_unit_is_silent():
    maps = np.zeros((2, 4, 4), np.float32)
    maps[1, :, 3] = 2
    received = np.random.default_rng(0).integers(0, 256, (16, 12, 3), dtype=np.uint8)
    display, grey = (
        FeatureMapsDisplay.from_activation(maps, (0, 2)),
        received.mean(axis=2, keepdims=True) * 0.75,
    )
    assert np.abs(display.overlay(0, received) - grey).max() <= 0.5
    laid = display.overlay(1, received)
    assert laid.shape == (16, 12, 3)
    assert laid.dtype == np.uint8
    assert np.abs(laid[:, :6] - grey[:, :6]).max() <= 0.5
    assert np.abs(laid[:, -1] - (grey[:, -1] * 0.25 + palette("inferno")[254] * 0.75)).max() <= 0.51
    assert display.overlay(1, received[..., :1]).shape == (16, 12, 3)


def test_layers_on_one_scale_have_one_colour_for_one_value():
    weak, strong = (
        FeatureMapsDisplay.from_activation(np.array(values, np.float32)[None], (-99, 99))
        for values in ([[0, 2, 4]], [[0, 4, 8]])
    )
    tiles = [atlas.tiles.ravel().tolist() for atlas in on_one_scale([weak, strong])]
    assert tiles == [[0, 64, 127], [0, 127, 254]]
    assert all(
        (atlas.low, atlas.high, atlas.palette_name) == (0, 8, "viridis")
        for atlas in on_one_scale([weak, strong])
    )
    signed = FeatureMapsDisplay.from_activation(
        np.array([[[-16.0, 0], [8, 4]], [[0, 0], [0, 0]]]), (0, 1)
    )
    first, second = on_one_scale([weak, signed])
    assert (
        (first.low, first.high, first.palette_name)
        == (second.low, second.high, second.palette_name)
        == (-16, 16, "RdBu_r")
    )
    assert first.tiles.ravel()[0] == second.tiles[0, 0, 1] == MIDDLE
    assert first.tiles.ravel()[2] == second.tiles[0, 1, 1]
    assert second.crossed == (1,)
    assert on_one_scale([]) == []
    assert len(on_one_scale([signed])) == 1


def test_greatest_difference_of_two_layers():
    one = FeatureMapsDisplay.from_activation(noise(3, 4, 4), (0, 1))
    top = np.abs(one.maps).max()
    for change, is_rounding in (
        (0, True),
        (0.5 * ROUNDING * top, True),
        (2 * ROUNDING * top, False),
        (3.0, False),
    ):
        maps = one.maps.copy()
        maps[1, 2, 3] -= change
        found = greatest_difference(one, FeatureMapsDisplay.from_activation(maps, (0, 1)))
        assert found == (pytest.approx(change, rel=1e-2), is_rounding)
    assert (
        greatest_difference(one, FeatureMapsDisplay.from_activation(noise(3, 4, 5), (0, 1))) is None
    )
    silent = FeatureMapsDisplay.from_activation(np.zeros((2, 2, 2)), (0, 0))
    assert greatest_difference(silent, silent) == (0, True)


def test_feature_maps_as_csv():
    maps = np.maximum(noise(4, 5, 5), 0)
    maps[2] = 0
    header, *rows = rows_of(FeatureMapsDisplay.from_activation(maps, (0, 3)).csv())
    assert header == [
        "unit",
        "least",
        "mean",
        "greatest",
        "standard_deviation",
        "zero_share",
        "dead",
    ]
    expected = [
        [unit, m.min(), m.mean(), m.max(), m.std(), np.mean(m == 0), unit == 2]
        for unit, m in enumerate(maps)
    ]
    assert np.allclose(np.array(rows, float), np.array(expected, float), rtol=1e-5)


# Filters


def test_filters_share_one_scale_around_grey():
    weight = noise(8, 3, 5, 5)
    weight[0, 0, 0, 0] = 9
    weight[1] = 0
    display = FiltersDisplay.from_weight(weight)
    tiles = display.colour_atlas().tiles
    assert display.limit == 9
    assert tiles[0, 0, 0, 0] == 255
    assert set(tiles[1].ravel()) <= {127, 128}
    assert np.array_equal(
        tiles.astype(int), np.round((weight / 9 + 1) * 127.5).transpose(0, 2, 3, 1)
    )
    assert (display.channel_atlas(2).tiles[1] == MIDDLE).all()
    assert display.channel_atlas(2).tiles.shape == (8, 5, 5)
    assert (display.channel_atlas(0).low, display.filter_atlas(3).high) == (
        -9,
        9,
    )
    assert display.filter_atlas(3).tiles.shape == (3, 5, 5)
    assert f"length {np.linalg.norm(weight[4]):.3g}" in display.colour_atlas().labels[4]
    assert display.is_colour
    assert not FiltersDisplay.from_weight(noise(4, 2, 3, 3)).is_colour
    assert not FiltersDisplay.from_weight(weight, reads_picture=False).is_colour
    with pytest.raises(ValueError, match="is .out, in, h, w."):
        FiltersDisplay.from_weight(noise(3, 3))


def test_filters_that_are_all_zero():
    display = FiltersDisplay.from_weight(np.zeros((4, 3, 3, 3), np.float32))
    assert set(display.colour_atlas().tiles.ravel()) <= {127, 128}
    assert (display.channel_atlas(0).tiles == MIDDLE).all()


def test_filters_as_csv():
    weight = noise(2, 3, 2, 2)
    header, *rows = rows_of(FiltersDisplay.from_weight(weight).csv())
    assert header == ["filter", "input_channel", "row", "column", "weight"]
    assert len(rows) == weight.size
    for *place, value in rows:
        assert float(value) == pytest.approx(weight[tuple(map(int, place))], rel=1e-5)


# The confusion matrix


def matrix(classes=4):
    counts = np.random.default_rng(0).integers(0, 2000, (classes, classes))
    counts[1] = 0
    return ConfusionDisplay(
        counts,
        [
            "cat, wild",
            'a "dog"',
            "=1+1",
            HOSTILE,
            *(f"class {number}" for number in range(4, classes)),
        ],
    )


@pytest.mark.parametrize("classes", [4, 30])
def test_each_marker_is_its_cell(classes):
    display = matrix(classes)
    heat, numbers, markers = display.plot(selected=(2, 0)).data
    for true, predicted in np.ndindex(classes, classes):
        count, total = display.counts[true, predicted], display.counts[true].sum()
        shown, sign = heat.z[true, predicted], 1 if true == predicted else -1
        assert shown == pytest.approx(sign * max(0.02, count / total)) if count else np.isnan(shown)
    assert len(markers.x) == classes**2
    for x, y, (true, predicted), text in zip(
        markers.x, markers.y, markers.customdata, markers.text, strict=True
    ):
        assert (x, y) == (predicted, true)
        assert f": {display.counts[true, predicted]:,} (" in text
        assert (
            f"true {display.class_names[true][:24]}, predicted "
            f"{display.class_names[predicted][:24]}"
        ) in html.unescape(text)
    assert len(numbers.text) == (classes**2 if classes == 4 else 0)
    frame = display.plot(selected=(2, 0)).layout.shapes[0]
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (
        -0.5,
        0.5,
        1.5,
        2.5,
    )
    assert not display.plot().layout.shapes


def brightness(colour):
    return np.dot(ImageColor.getrgb(colour)[:3], [0.3, 0.59, 0.11])


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_right_and_wrong_are_told_apart_and_nothing_is_the_page(colours):
    """A collapse, one column of wrong answers, does not look like success: wrong is orange, right
    is blue, and only no image at all is transparent.
    """
    (_, wrong), (_, hardly_wrong), (middle, nothing), (_, hardly_right), (_, right) = colours
    assert (middle, ImageColor.getrgb(nothing)[3]) == (0.5, 0)
    for colour, is_warm in ((wrong, 1), (hardly_wrong, 1), (hardly_right, 0), (right, 0)):
        red, _, blue = ImageColor.getrgb(colour)
        assert (red > blue + 10) == is_warm
    assert abs(brightness(wrong) - brightness(hardly_wrong)) > 60
    assert abs(brightness(right) - brightness(hardly_right)) > 60


def many(classes, mistakes):
    """Ten images of each class, right but for these: {(true, predicted): count}."""
    counts = np.diag(np.full(classes, 10))
    for cell, count in mistakes.items():
        counts[cell] += count
    return ConfusionDisplay(counts, [f"species {number:04d}" for number in range(classes)])


@pytest.mark.parametrize("classes", [100, 1000])
def test_many_classes_are_one_picture(classes):
    mistakes = {(7, 61): 9, (98, 0): 40, (3, 4): 8}
    display = many(classes, mistakes)
    figure = display.plot(selected=(98, 0))
    assert [trace.mode for trace in figure.data] == ["markers"]
    assert len(figure.data[0].x) <= MOST_MARKED
    marked = {tuple(cell) for cell in figure.data[0].customdata.tolist()}
    assert set(mistakes) < marked, "the fullest cells can be pointed at"
    assert len(figure.layout.xaxis.tickvals) <= 16
    assert len(figure.layout.yaxis.tickvals) <= 32
    assert figure.layout.yaxis.ticktext[1].startswith(
        f"species {figure.layout.yaxis.tickvals[1]:04d}"
    )
    [drawn] = figure.layout.images
    assert (drawn.x, drawn.y, drawn.sizex, drawn.sizey) == (-0.5, -0.5, classes, classes)
    data = base64.b64decode(drawn.source.partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    step = classes // len(pixels)
    assert step == (1 if classes == 100 else 2)
    assert pixels[98 // step, 0].tolist() == pytest.approx(
        [*_between("#c2410c", "#fde3d3", (1 - 0.8) / 0.98), 255], abs=2
    )
    blue = pixels[50 // step, 50 // step]
    assert blue.tolist() == [*ImageColor.getrgb("#0e7490"), 255]
    assert pixels[20 // step, 80 // step, 3] == 0
    assert len(figure.to_json()) < 2_000_000
    assert display.most_confused(2) == [(98, 0), (7, 61)]
    assert len(display.most_confused()) == 3


def _between(first, second, share):
    """The colour at a share of the way."""
    start, end = (np.array(ImageColor.getrgb(colour)) for colour in (first, second))
    return (start + share * (end - start)).tolist()


def test_shares_are_by_row():
    display = matrix()
    assert display.shares.sum(axis=1) == pytest.approx([1, 0, 1, 1])
    assert display.shares[2, 3] == display.counts[2, 3] / display.counts[2].sum()
    written = display.plot().data[1].text
    assert written[0].startswith(f"{display.counts[0, 0]:,}<br>{100 * display.shares[0, 0]:.0f} %")
    assert written[4] == ""


def test_confusion_as_csv():
    display = matrix()
    header, *rows = rows_of(display.csv())
    assert header[1:] == [row[0] for row in rows] == display.class_names
    assert np.array_equal(np.array([row[1:] for row in rows], int), display.counts)


def test_a_hostile_class_name_has_no_tags_in_the_figure():
    """Plotly draws some HTML (b, i, a, br) in its texts: none of a name's may be left."""
    figure = ConfusionDisplay(
        np.eye(2, dtype=int), ["<b>bold</b>", '<a href="http://x">y</a>']
    ).plot()
    texts = [*figure.data[2].text, *figure.layout.xaxis.ticktext, *figure.layout.yaxis.ticktext]
    assert len(texts) == 8
    assert all("&lt;b&gt;" in text or "&lt;a href" in text for text in texts)
    assert not any("<" in text for text in texts)


@pytest.mark.parametrize("dark", [False, True])
def test_difference_of_two_matrices(dark):
    names = ["cat", "<b>dog", "owl"]
    first, second = (
        ConfusionDisplay(np.array([[8, 2, 0], [0, 4, 0], [0, 0, 0]]), names),
        ConfusionDisplay(np.array([[30, 10, 0], [1, 3, 0], [5, 0, 0]]), names),
    )
    display = ConfusionDifference(first, second)
    expected = np.array([[0.05, -0.05, 0], [-0.25, 0.25, 0], [np.nan] * 3])
    assert np.allclose(display.shares, expected, equal_nan=True)
    assert display.limit == 0.25
    heat, numbers, markers = display.plot(("one", "two"), dark).data
    assert (heat.zmin, heat.zmax) == (-0.25, 0.25)
    assert heat.colorscale[1][0] == 0.5
    assert np.allclose(heat.z, expected, equal_nan=True)
    assert (heat.colorscale[0][1], heat.colorscale[2][1]) == (COLOURS[1], COLOURS[0]), (
        "where the first answers more often it is the first's colour in the curves"
    )
    assert list(numbers.text) == ["+5", "-5", "", "-25", "+25", "", "", "", ""]
    assert (
        markers.text[3]
        == "true &lt;b&gt;dog, predicted cat: one 0 %, two 25 % of the row: -25.0 points"
    )
    assert "nan" not in "".join(markers.text)
    assert np.allclose(ConfusionDifference(second, first).shares, -expected, equal_nan=True)
    header, *rows = rows_of(display.csv())
    assert header[1:] == names
    assert [float(value) for value in rows[1][1:]] == [-0.25, 0.25, 0]
    assert rows[2] == ["owl", "", "", ""]


def test_no_difference_has_a_scale_too():
    display = matrix()
    assert ConfusionDifference(display, display).limit == 1
    empty = ConfusionDisplay(np.zeros((2, 2), int), ["a", "b"])
    assert ConfusionDifference(empty, empty).limit == 1
    assert set(ConfusionDifference(empty, empty).plot(("a", "b")).data[1].text) == {""}


def test_half_a_page_has_whole_percents():
    display = ConfusionDisplay(np.array([[995, 4, 1], [0, 1, 2], [0, 0, 0]]), ["a", "b", "c"])
    assert list(display.plot(narrow=True).data[1].text) == [
        "100",
        "&lt;1",
        "&lt;1",
        "",
        "33",
        "67",
        "",
        "",
        "",
    ]


# Curves


def history(name="run", best=2):
    keys = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    scores = [{key: n + place / 8 for place, key in enumerate(keys)} for n in (1, 2, 3)]
    epochs = [
        {"epoch": n, "step": 10 * n, "seconds": 2.5 * n, "learning_rate": 0.1 / n, **values}
        for n, values in enumerate(scores, 1)
    ]
    steps = [
        {"step": n, "epoch": n / 10, "seconds": n / 4, "train_loss": 1 / n, "learning_rate": 0.1}
        for n in range(1, 31)
    ]
    return {name: (epochs, steps, {"epoch": best} if best else None)}


def test_smoothing_is_the_weighted_mean():
    values, weight = np.random.default_rng(0).normal(size=40), 0.83
    for last, found in enumerate(smoothed(values, weight)):
        weights = weight ** np.arange(last, -1, -1)
        assert found == pytest.approx((weights * values[: last + 1]).sum() / weights.sum())
    assert smoothed([3, 1, 4], 0.0) == [3, 1, 4]
    assert smoothed([2.5] * 9, 0.9) == pytest.approx([2.5] * 9)
    assert smoothed([], 0.5) == []


def test_curves_by_quantity_and_axis():
    display = CurvesDisplay(history())
    traces = {trace.name: trace for trace in display.plot("loss", "seconds", smoothing=0.5).data}
    assert list(traces) == [
        "run, step by step",
        "run, training",
        "run, validation",
        "run, best checkpoint",
    ]
    assert list(traces["run, validation"].x) == [2.5, 5, 7.5]
    assert list(traces["run, validation"].y) == [1.25, 2.25, 3.25]
    # thirty values stand for six hundred
    assert list(traces["run, step by step"].y) == smoothed([1 / n for n in range(1, 31)], 0.5**20)
    star = traces["run, best checkpoint"]
    assert (star.x[0], star.y[0]) == (5, 2.25)
    accuracy = display.plot("accuracy", "steps", log_scale=True)
    assert [trace.name for trace in accuracy.data] == [
        "run, training",
        "run, validation",
        "run, best checkpoint",
    ]
    assert accuracy.layout.yaxis.type == "log"
    rate = display.plot("learning rate", "epochs").data
    assert [trace.name for trace in rate] == ["run, step by step"]
    assert set(rate[0].y) == {0.1}
    assert len(CurvesDisplay({"new": ([], [], None)}).plot("loss", "epochs").data[0].x) == 0


def test_curves_on_half_a_page_have_one_legend_entry_a_run():
    figure = CurvesDisplay(history("one") | history("two")).plot("loss", "epochs", narrow=True)
    assert [trace.name for trace in figure.data if trace.showlegend] == [
        "one, validation",
        "two, validation",
    ]
    lines = {trace.name: trace.line for trace in figure.data}
    assert (
        lines["one, validation"].color
        == lines["one, training"].color
        != lines["two, validation"].color
    )
    assert lines["one, training"].dash == "dot"
    assert lines["one, validation"].dash is None


def test_curves_as_csv():
    header, *rows = rows_of(CurvesDisplay(history("one") | history("two", best=None)).csv())
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("one", "1", "0"),
        ("one", "2", "1"),
        ("one", "3", "0"),
        ("two", "1", "0"),
        ("two", "2", "0"),
        ("two", "3", "0"),
    ]
    assert header[4:8] == ["train_loss", "train_accuracy", "val_loss", "val_accuracy"]
    assert [float(value) for value in rows[1][4:8]] == [2, 2.125, 2.25, 2.375]


def test_curves_are_pale_after_the_moment_of_the_film():
    """The whole stays on the axes; what is drawn full ends at the step, and the pale rest begins
    where it ends.
    """
    display = CurvesDisplay(history())
    for until, shown in ((25, 2), (9, 0), (10, 1), (30, 3), (99, 3)):
        lines = [
            trace
            for trace in display.plot("loss", "steps", until=until).data
            if trace.name == "run, validation"
        ]
        assert list(lines[-1].x) == [10, 20, 30][:shown]
        assert lines[-1].opacity is None
        assert len(lines) == (1 if shown == 3 else 2)
        if shown < 3:
            assert list(lines[0].x) == [10, 20, 30][max(0, shown - 1) :]
            assert lines[0].opacity == PALE
            assert not lines[0].showlegend
    star = [
        trace
        for trace in display.plot("loss", "steps", until=15).data
        if trace.name == "run, best checkpoint"
    ]
    assert [len(trace.x) for trace in star] == [1, 0]


@pytest.mark.parametrize(
    ("axis", "places"),
    [("epochs", [1.5, 2.0, 2.5]), ("steps", [15, 20, 25]), ("seconds", [4.0, 5.0])],
)
def test_marks_where_the_rate_was_changed_where_pictures_grew_and_where_it_was_resumed(
    axis, places
):
    epochs, steps, best = history()["run"]
    rate = {"event": "rate", "step": 15, "epoch": 1.5, "seconds": 4.0, "learning_rate": 0.0025}
    grew = {
        "event": "pictures",
        "step": 20,
        "epoch": 2.0,
        "seconds": 5.0,
        "height": 112,
        "width": 96,
    }
    # the last without seconds: not drawn over them
    marks = [rate, grew, {"event": "resumed", "step": 25, "epoch": 2.5}]
    figure = CurvesDisplay({"<b>run": (epochs, steps, best, marks)}).plot(
        "accuracy", axis, log_scale=True
    )
    assert [line.x0 for line in figure.layout.shapes] == places
    assert all(line.line.dash == "dash" for line in figure.layout.shapes)
    assert [note.text for note in figure.layout.annotations] == [
        "rate 0.0025",
        "112 × 96 pixels",
        "resumed",
    ][: len(places)]
    two = CurvesDisplay(
        {"<b>run": (epochs, steps, best, marks), "other": (epochs, steps, best)}
    ).plot("loss", axis)
    assert two.layout.annotations[0].text == "&lt;b&gt;run: rate 0.0025"
    assert (
        not CurvesDisplay({"run": (epochs, steps, best, marks)})
        .plot("loss", axis, narrow=True)
        .layout.annotations
    )


def test_curves_with_parts_of_epochs_and_accuracy_by_step():
    epochs = [
        {
            "event": "epoch",
            "epoch": part,
            "step": step,
            "seconds": step / 9,
            "val_accuracy": part,
            "train_accuracy": part,
        }
        for part, step in ((0.1, 7), (0.2, 14))
    ]
    steps = [
        {"step": 1, "epoch": 0.01, "seconds": 0.1},
        {"step": 2, "epoch": 0.02, "seconds": 0.2, "train_accuracy": 0.5},
    ]
    best = {"epoch": 0.19999, "step": 14}  # rounded otherwise: the step tells
    traces = {
        trace.name: trace
        for trace in CurvesDisplay({"run": (epochs, steps, best)}).plot("accuracy", "epochs").data
    }
    assert list(traces["run, step by step"].x) == [0.02]
    assert list(traces["run, validation"].x) == [
        0.1,
        0.2,
    ]
    assert list(traces["run, best checkpoint"].x) == [0.2]
    assert [row[-1] for row in rows_of(CurvesDisplay({"run": (epochs, steps, best)}).csv())] == [
        "best",
        "0",
        "1",
    ]


def test_curves_of_a_real_run(tiny_run):
    display = CurvesDisplay.from_runs([tiny_run])
    for quantity in ("loss", "accuracy", "learning rate"):
        assert display.plot(quantity, "epochs", 0.6).data
    assert [float(row[6]) for row in rows_of(display.csv())[1:]] == [
        row["val_loss"] for row in tiny_run.events_of("epoch")
    ]


# Gradients


def gradients(steps=(1, 2, 4, 8), layers=("conv1", "a,b", "fc")):
    norms = np.array(
        [[10.0 ** -(place + 1) * step for place in range(len(layers))] for step in steps]
    )
    return Gradients(list(layers), list(steps), norms, np.full(norms.shape, 2.0))


def test_gradients_by_layer_and_step_are_their_logarithms():
    one, two = gradients(), gradients(steps=(1, 3))
    one.norms[1, 2] = 0
    display = GradientsDisplay({"run": one, "<i>two": two})
    left, right = display.plot(SIZES[0]).data
    assert np.array(left.z, float)[:2] == pytest.approx(np.log10(one.norms.T[:2]), abs=1e-3)
    assert left.z[2][1] is None
    assert left.text[2][1] == "zero"
    assert np.array(right.z).shape == (3, 2)
    assert left.coloraxis == right.coloraxis == "coloraxis"
    layout = display.plot(SIZES[0], step=3).layout
    assert layout.coloraxis.cmin == pytest.approx(-3)
    assert layout.coloraxis.cmax == pytest.approx(np.log10(0.8))
    assert list(layout.coloraxis.colorbar.ticktext) == [
        "10<sup>-3</sup>",
        "10<sup>-2</sup>",
        "10<sup>-1</sup>",
    ]
    assert [line.x0 for line in layout.shapes] == [1, 1], (
        "the columns of steps 2 and 3, the last up to 3"
    )
    assert layout.annotations[1].text == "&lt;i&gt;two"
    assert layout.yaxis.autorange == "reversed"
    relative = display.plot(SIZES[1]).data[0]
    assert np.array(relative.z, float)[0] == pytest.approx(np.log10(one.norms[:, 0] / 2), abs=1e-3)


@pytest.mark.parametrize(("step", "row"), [(None, 3), (0, 0), (1, 0), (3, 1), (8, 3), (99, 3)])
def test_gradients_by_depth_at_a_step(step, row):
    one = gradients()
    one.norms[:, 1] = 0
    line = GradientsDisplay({"run": one}).plot_depth(SIZES[0], step).data[0]
    assert list(line.x) == [1, 2, 3]
    assert line.y[1] is None
    assert [line.y[0], line.y[2]] == pytest.approx([one.norms[row, 0], one.norms[row, 2]])
    assert line.name == f"run, step {one.steps[row]}"


def test_gradients_that_are_all_zero_are_drawn_without_a_number():
    one = Gradients(["a"], [0, 1], np.zeros((2, 1)), np.zeros((2, 1)))
    for size in SIZES:
        display = GradientsDisplay({"run": one})
        assert "NaN" not in display.plot(size).to_json() + display.plot_depth(size).to_json()
        assert display.plot(size).data[0].z == ((None, None),) or np.array(
            display.plot(size).data[0].z
        ).tolist() == [[None, None]]


def test_scale_of_gradients_ends_after_eight_decades():
    one = Gradients(["a", "b"], [1], np.array([[1e-30, 10.0]]), np.ones((1, 2)))
    assert GradientsDisplay({"run": one}).decades(SIZES[0]) == (-7, 1)


def test_gradients_are_read_from_events():
    started = [{"layers": ["a", "b"]}]
    good = {"step": 4, "norms": [1, 0], "weights": [2, 3]}
    bad = [
        {"step": 1, "norms": [1], "weights": [2]},
        {"step": 2},
        {"step": 3, "norms": [float("nan"), 1], "weights": [1, 1]},
        {"step": 3, "norms": "ab", "weights": "cd"},
    ]
    found = gradients_of(started, [*bad, good, good, dict(good, step=2)])
    assert found.layers == ["a", "b"]
    assert found.steps == [2, 4]
    assert found.norms.tolist() == [[1, 0], [1, 0]]
    assert found.weights[0].tolist() == [2, 3]
    assert (
        gradients_of(started, bad) is gradients_of([], [good]) is gradients_of([{}], [good]) is None
    )


def test_columns_are_spread_in_the_logarithm():
    assert log_spaced(list(range(10)), 60) == list(range(10))
    assert log_spaced([5], 60) == [0]
    places = log_spaced(list(range(100_000)), 20)
    assert len(places) <= 20
    assert (places[0], places[-1]) == (0, 99_999)
    assert places[len(places) // 2] < 2000


def test_gradients_as_csv():
    one = gradients()
    header, *rows = rows_of(GradientsDisplay({"run": one}).csv())
    assert header == ["run", "step", "layer_number", "layer", "gradient", "weight"]
    assert len(rows) == 12
    assert rows[4][:4] == ["run", "2", "2", "a,b"]
    assert float(rows[4][4]) == pytest.approx(one.norms[1, 1])
    assert float(rows[4][5]) == 2


# The architecture


def test_architecture_draws_and_lists_every_layer():
    from vizlib import architectures
    from vizlib.inside.layers import layer_table

    layers = [
        layer
        for layer in layer_table(architectures.create("resnet32"), (3, 32, 32))
        if layer.depth <= 1
    ]
    display = ArchitectureDisplay(layers)
    figure = display.plot()
    assert len(figure.data) == len(layers)
    assert len(figure.layout.annotations) == sum(layer.is_sum for layer in layers) == 15
    header, *rows = rows_of(display.csv())
    assert len(header) == 8
    assert [row[0] for row in rows] == [layer.name for layer in layers]
    assert {len(row) for row in rows} == {8}
    assert [int(row[3]) for row in rows] == [layer.parameters for layer in layers]
