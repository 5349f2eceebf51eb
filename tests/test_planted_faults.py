"""What faults planted one at a time (docs/mutation.md) got past all other tests, said as what must
hold.
"""

import io
import math
import re
from base64 import b64decode
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from vizlib.displays.atlas import (
    GAP,
    MOST_PIXELS,
    SMALLEST_TILE,
    Atlas,
    columns_for,
    columns_within,
    palette,
)
from vizlib.displays.attribution import (
    EvidenceDisplay,
    gradient_picture,
    rank_correlation,
    scale_of,
)
from vizlib.displays.confusion import ConfusionDifference, ConfusionDisplay
from vizlib.displays.curves import CurvesDisplay, History
from vizlib.displays.film import NOW, SHEETS, FilmDisplay
from vizlib.displays.gradients import Gradients, GradientsDisplay
from vizlib.displays.large_map import plot_large_map
from vizlib.displays.sparkline import HEIGHT, POINTS, WIDTH, sparkline
from vizlib.inside.receptive_fields import spans, tight_box

MATRIX = np.array([[3, 5, 0], [0, 1, 0], [1, 2, 77]])  # one image of the second class
NAMES = ["ant", "bee", "cat"]


def brightness(colour):
    return sum(int(colour[start : start + 2], 16) for start in (1, 3, 5)) / 3


def test_a_class_with_one_image_has_shares():
    display = ConfusionDisplay(MATRIX, NAMES)
    assert np.allclose(display.shares, [[0.375, 0.625, 0], [0, 1, 0], [1 / 80, 2 / 80, 77 / 80]])
    other = ConfusionDisplay(np.array([[8, 0, 0], [1, 0, 0], [0, 0, 1]]), NAMES)
    difference = ConfusionDifference(display, other)
    assert np.allclose(difference.shares[1:], [[-1, 1, 0], [1 / 80, 2 / 80, -3 / 80]])
    assert np.allclose(ConfusionDifference(other, display).shares, -difference.shares)


def test_a_cell_says_its_count_and_percent_when_pointed_at():
    heat, numbers, markers = ConfusionDisplay(MATRIX, NAMES).plot().data
    assert list(markers.text) == [
        "true ant, predicted ant: 3 (38 % of the row)",
        "true ant, predicted bee: 5 (62 % of the row)",
        "true ant, predicted cat: 0 (0 % of the row)",
        "true bee, predicted ant: 0 (0 % of the row)",
        "true bee, predicted bee: 1 (100 % of the row)",
        "true bee, predicted cat: 0 (0 % of the row)",
        "true cat, predicted ant: 1 (1.2 % of the row)",
        "true cat, predicted bee: 2 (2.5 % of the row)",
        "true cat, predicted cat: 77 (96 % of the row)",
    ]
    # nothing but this: no coordinates, and no other trace that takes the pointer
    assert markers.hovertemplate == "%{text}<extra></extra>"
    assert heat.hoverinfo == numbers.hoverinfo == "skip"


def test_the_marker_of_a_cell_is_not_seen_and_always_reached():
    figure = ConfusionDisplay(MATRIX, NAMES).plot(selected=(1, 2))
    markers = figure.data[2]
    assert markers.marker.opacity == 0
    assert markers.selected.marker.opacity == markers.unselected.marker.opacity == 0
    assert (figure.layout.hovermode, figure.layout.hoverdistance) == ("closest", -1)


def test_each_number_stands_out_from_its_cell():
    for dark in (False, True):
        numbers = ConfusionDisplay(MATRIX, NAMES).plot(dark=dark).data[1]
        bright = [brightness(colour) > 127 for colour in numbers.textfont.color]
        full = (MATRIX / MATRIX.sum(axis=1, keepdims=True) > 0.62).ravel().tolist()
        assert bright == ([True] * 9 if dark else full)
    assert ConfusionDisplay(MATRIX, NAMES).plot() == ConfusionDisplay(MATRIX, NAMES).plot(
        dark=False
    )
    difference = ConfusionDifference(
        ConfusionDisplay(MATRIX, NAMES), ConfusionDisplay(MATRIX[::-1], NAMES)
    )
    assert difference.plot() == difference.plot(dark=False) != difference.plot(dark=True)
    for dark in (False, True):
        figure = difference.plot(dark=dark)
        of_zero = next(colour for share, colour in figure.data[0].colorscale if share == 0.5)
        of_text = figure.data[1].textfont.color
        assert (brightness(of_zero) < 127, brightness(of_text) > 127) == (dark, dark)


def test_the_matrix_is_shown_whole_first_class_on_top():
    figure = ConfusionDisplay(MATRIX, NAMES).plot(selected=(1, 2))
    across, down = figure.layout.xaxis, figure.layout.yaxis
    assert (across.range, down.range) == ((-0.5, 2.5), (2.5, -0.5))
    # no line of the grid shows through between the cells
    assert across.showgrid is False
    assert down.showgrid is False
    assert across.zeroline is False
    assert down.zeroline is False
    (frame,) = figure.layout.shapes
    assert (frame.type, frame.x0, frame.x1, frame.y0, frame.y1) == ("rect", 1.5, 2.5, 0.5, 1.5)


def gradients(scale):
    norms = scale * np.array([[1.0, 30.0, 0.02], [0.5, 7.0, 0.4]])
    return Gradients(["conv1", "conv2", "fc"], [1, 40], norms, np.full((2, 3), 4.0))


def test_each_run_has_its_colour_and_is_named_when_pointed_at():
    figure = GradientsDisplay({"first": gradients(1), "second": gradients(3)}).plot_depth(
        "gradient / weight", 17
    )
    first, second = figure.data
    assert first.line.color
    assert second.line.color
    assert first.line.color != second.line.color
    for trace, name in ((first, "first"), (second, "second")):
        assert trace.name == f"{name}, step 1"
        assert "%{text}" in trace.hovertemplate
        assert "%{y" in trace.hovertemplate
        assert "%{fullData.name}" in trace.hovertemplate
        assert list(trace.text) == ["conv1", "conv2", "fc"]
    assert figure.layout.yaxis.title.text == "gradient / weight"
    # one run too is named: at which step, is in the legend only
    assert GradientsDisplay({"only": gradients(1)}).plot_depth("gradient").layout.showlegend


def smallest_boxes(influence, share):
    """All boxes that could be the answer: (pixels, minus what they hold), and (t, l, b, r)."""
    height, width = influence.shape
    held = {
        (t, left, b, right): influence[t:b, left:right].sum()
        for t in range(height)
        for b in range(t + 1, height + 1)
        for left in range(width)
        for right in range(left + 1, width + 1)
    }
    enough = {box: mass for box, mass in held.items() if mass >= share * influence.sum()}
    return min(((b - t) * (r - le), -mass) for (t, le, b, r), mass in enough.items())


def test_tight_box_of_whole_numbers_of_which_many_tie():
    random = np.random.default_rng(3)
    for share in (0.25, 0.5, 0.75):  # exact in binary, as the numbers are
        for _ in range(25):
            influence = random.integers(0, 4, (4, 5))
            top, left, bottom, right = tight_box(influence, share)
            held = influence[top:bottom, left:right].sum()
            found = (bottom - top) * (right - left), -held
            assert found == smallest_boxes(influence, share)
    # the last column alone holds just enough; of two single pixels, the one that holds more
    assert tight_box(np.array([[1, 1, 2]]), 0.5) == (0, 2, 1, 3)
    assert tight_box(np.array([[3, 1, 2]]), 0.25) == (0, 0, 1, 1)


def test_a_position_that_sees_only_padding_has_an_empty_span():
    """Positions at -3, 0, 3 and 6 pixels, two pixels each, of an image of four."""
    layer = SimpleNamespace(
        name="padded", receptive_field=2, output_shape=(7, 4, 4), start=(-3, -3), end=(-1, -1),
        stride=(3, 3), has_maps=True, layout=SimpleNamespace(shape=(7, 4, 4)),
    )  # fmt: skip
    expected = [(0, 0), (0, 2), (3, 4), (4, 4)]
    assert spans(layer, (3, 4, 4)) == (expected, expected)
    seen = [
        {pixel for pixel in range(4) if math.ceil(-3 + 3 * k) <= pixel < -1 + 3 * k}
        for k in range(4)
    ]
    assert [set(range(first, last)) for first, last in expected] == seen


@pytest.mark.parametrize("count", [1, 2, 16, 17, 18, 19, 33, 34, 35, 36, 50, 52, 53])
def test_names_of_layers_stand_at_one_distance_and_the_last_among_them(count):
    layers = [f"layer{number}" for number in range(count)]
    norms = np.full((2, count), 0.5)
    figure = GradientsDisplay({"run": Gradients(layers, [1, 7], norms, norms)}).plot()
    numbers, names = list(figure.layout.yaxis.tickvals), list(figure.layout.yaxis.ticktext)
    assert names == [layers[number] for number in numbers]
    assert len(numbers) <= 17 + 1
    assert numbers[0] == 0
    assert numbers[-1] == count - 1
    stride = math.ceil(count / 17)
    gaps = np.diff(numbers)
    assert set(gaps[:-1]) <= {stride}
    assert not len(gaps) or gaps[-1] in range(stride, 2 * stride)


def test_a_cell_of_gradients_says_its_layer_step_and_size():
    figure = GradientsDisplay({"first": gradients(1), "second": gradients(3)}).plot()
    for heat in figure.data:
        for part in ("%{hovertext}", "%{customdata}", "%{text}"):
            assert part in heat.hovertemplate
        assert list(heat.hovertext[1]) == ["conv2", "conv2"]
        assert list(heat.customdata[2]) == ["1", "40"]
    # the names of the layers stand outside, left of the first and right of the second
    assert (figure.layout.yaxis.side, figure.layout.yaxis2.side) == ("left", "right")


def test_gradients_of_nearly_one_size_have_a_scale_of_one_decade():
    for sizes, ends in (([[100.0, 100.0]], (1.5, 2.5)), ([[10.0, 40.0]], (0.801, 1.801))):
        same = Gradients(["conv1", "fc"], [3], np.array(sizes), np.ones((1, 2)))
        assert GradientsDisplay({"run": same}).decades("gradient") == pytest.approx(ends, abs=1e-3)


def film(**changes):
    """Twelve noted steps of a falling loss with a bump in the middle, three evaluations, and a
    training that was resumed at step 6.
    """
    losses = [2.0, 1.75, 1.5, 1.25, 1.0, 3.0, 1.0, 0.75, 0.75, 0.5, 0.5, 0.25]
    steps = [
        dict(step=number, epoch=number / 4, train_loss=loss, train_accuracy=0.5, seconds=number)
        for number, loss in enumerate(losses, 1)
    ]
    epochs = [
        dict(step=4 * epoch, epoch=epoch, train_loss=1.0, train_accuracy=0.5, val_loss=4 / epoch,
             val_accuracy=epoch / 4, seconds=4 * epoch)
        for epoch in (1, 2, 3)
    ]  # fmt: skip
    marks = [dict(event="resumed", step=6, epoch=1.5, seconds=6)]
    weight = np.random.default_rng(5).normal(size=(24, 3, 4, 4)).astype(np.float32)
    parts = dict(
        name="mine",
        dataset="digits",
        class_names=["no", "yes"],
        filters={2: weight},
        layer=None,
        maps={},
        probe_picture=None,
        evaluations=[],
        history=History(epochs, steps, None, marks),
        steps=[2, 12],
    )
    return FilmDisplay(**parts | changes)


def average(values, weight):
    """By its definition: each value's share falls off with its age, and the shares are one."""
    result = []
    for count in range(1, len(values) + 1):
        shares = [weight**age for age in range(count)]
        newest_first = values[:count][::-1]
        result.append(np.dot(shares, newest_first) / sum(shares))
    return result


def test_curves_of_the_film_are_full_up_to_its_step_and_pale_after():
    display = film()
    figure = display.plot("loss", 7)
    course = [trace for trace in figure.data if trace.name == "mine, step by step"]
    pale, full = sorted(course, key=lambda trace: trace.opacity)
    assert list(full.x) == [1, 2, 3, 4, 5, 6, 7]
    assert list(pale.x) == [7, 8, 9, 10, 11, 12]
    validation = [trace for trace in figure.data if trace.name == "mine, validation"]
    pale_points, points = sorted(validation, key=lambda trace: len(trace.x))[::-1]
    assert (list(points.x), list(pale_points.x)) == ([4], [4, 8, 12])
    # smoothed as the same course is on its page, which reaches over a share of the training
    noted = [event["train_loss"] for event in display.history.steps]
    expected = average(noted, 0.8 ** (600 / 12))
    assert [*full.y, *pale.y[1:]] == pytest.approx(expected)
    assert [value for _, value in display.lines("loss")["training"]] == pytest.approx(expected)
    (line,) = figure.layout.shapes  # of the step in view: no mark, whose words have no room
    assert (line.x0, line.x1, line.line.color) == (7, 7, NOW)
    assert figure.layout.xaxis.title.text is None


def test_accuracy_of_the_film_is_drawn_from_nothing_to_all():
    low, high = film().plot("accuracy", 3).layout.yaxis.range
    assert low == 0
    assert 1 < high < 1.1


def test_filters_of_the_film_fill_their_panel():
    """24 tiles of 4 x 4 in 470 x 278 pixels: of all numbers of columns, those with the largest
    tiles that leave no place empty."""
    _, atlas = film().filters_at(12)
    width, height = SHEETS["filters"]
    sizes = {
        columns: min((width // columns - 1) // 4, (height // (24 // columns) - 1) // 4)
        for columns in (1, 2, 3, 4, 6, 8, 12, 24)
    }
    assert sizes[atlas.columns] == max(sizes.values())
    assert atlas.columns * atlas.rows == 24


def test_tiles_stand_in_the_divisor_nearest_to_a_good_width():
    """About 2.4 times as many across as down: 10.7 for 48 tiles, 15.2 for 96, 8.8 for 32."""
    assert [columns_for(count) for count in (48, 96, 32)] == [12, 16, 8]


def test_of_tiles_as_large_those_that_leave_no_place_empty():
    """Ten tiles of 8 x 8 have room for twice their size in four columns and in five."""
    assert columns_within((10, 8, 8), 90, 54) == 5


def test_a_gap_is_white_in_a_picture_to_keep():
    tiles = np.full((2, 4, 4), 77, np.uint8)
    tiles[1, 1:3, 1:3] = GAP  # as where a value is no number
    atlas = Atlas(tiles, "Viridis", 0.5, 2.5)
    figure = Image.open(io.BytesIO(atlas.figure_png("")))
    # two tiles beside one another, each enlarged, with a line of gap at its right
    scale = (figure.width - 20) / (2 * (4 * atlas.factor + 1))

    def colour(x, y):
        """In pixels of the enlarged tiles, past the margin of ten."""
        return figure.getpixel((10 + int(scale * (x + 0.5)), 10 + int(scale * (y + 0.5))))

    side = 4 * atlas.factor
    assert colour(side + 1 + side // 2, side // 2) == (255, 255, 255)
    assert colour(side, side // 2) == (255, 255, 255)
    expected = tuple(palette("Viridis")[77].tolist())
    assert colour(side // 2, side // 2) == colour(side + 2, 1) == expected


def test_a_card_is_twice_as_wide_as_tall_and_holds_the_sheet():
    for shape in ((6, 5, 3, 3), (1, 40, 9, 3), (3, 4, 50, 3)):
        atlas = Atlas(np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8))
        sheet = np.array(atlas.image().convert("RGBA"))
        card = np.array(Image.open(io.BytesIO(atlas.card())))
        height, width = sheet.shape[:2]
        assert card.shape[1] == max(width, 2 * height)
        assert card.shape[0] == math.ceil(card.shape[1] / 2)
        assert (card[:height, :width] == sheet).all()
        assert not card[height:, :, 3].any()
        assert not card[:, width:, 3].any()


def test_one_tile_alone_is_see_through_where_there_is_no_value():
    tiles = np.full((2, 3, 4), 200, np.uint8)
    tiles[1, 2, 1] = GAP
    alone = np.array(Image.open(io.BytesIO(Atlas(tiles, "Viridis").tile_png(1))).convert("RGBA"))
    assert ((alone[..., 3] == 0) == (tiles[1] == GAP)).all()
    assert (alone[0, 0, :3] == palette("Viridis")[200]).all()


def test_a_picture_to_keep_has_a_white_ground_a_bar_its_ends_and_all_of_its_caption():
    tiles = np.full((3, 20, 30), 77, np.uint8)
    atlas = Atlas(tiles, "Viridis", -1.5, 2.5, across=3)
    bare = Image.open(io.BytesIO(atlas.figure_png("")))
    long = Image.open(io.BytesIO(atlas.figure_png("Wq " * 200)))  # of several lines
    picture = np.array(long).astype(int)
    height, _width = picture.shape[:2]
    for edge in (picture[:10], picture[:, :10], picture[:, -10:], picture[-4:]):
        assert (edge == 255).all()
    assert tuple(picture[10, 10]) == tuple(palette("Viridis")[77])  # the sheet begins here
    sheet = np.array(bare).shape[0] - 60  # high
    top = sheet + 18
    # sixteen colours at one distance, below the sheet and from its left edge on
    bar = [tuple(picture[top + 5, 10 + 12 * number + 6]) for number in range(16)]
    assert [f"#{bytes(colour).hex()}" for colour in bar] == atlas.bar_colours()
    assert (picture[top + 5, 10 + 16 * 12 + 2 :] == 255).all()
    dark = (picture[top + 11 :].max(axis=2) < 90).any(axis=1)  # rows of letters
    assert dark[1:14].any()  # the ends of the bar
    blocks = np.flatnonzero(np.diff(np.concatenate([[False], dark, [False]]).astype(int)) == 1)
    assert len(blocks) - 1 == (height - bare.height) // 16 >= 2


def test_a_picture_to_keep_shows_nothing_where_tiles_are_not():
    """Seven colour tiles in three columns leave two places empty: white, not black."""
    tiles = np.full((7, 8, 8, 3), (9, 120, 60), np.uint8)
    atlas = Atlas(tiles, across=3)
    picture = np.array(Image.open(io.BytesIO(atlas.figure_png("a word"))))[10:, 10:-10]
    side = picture.shape[1] / 3  # tiles are square
    colours = [
        tuple(picture[int((row + 0.5) * side), int((column + 0.5) * side)].tolist())
        for row in range(3)
        for column in range(3)
    ]
    assert colours == [(9, 120, 60)] * 7 + [(255, 255, 255)] * 2


def test_a_vector_picture_holds_all_of_its_parts():
    tiles = np.full((6, 10, 15), 77, np.uint8)
    atlas = Atlas(tiles, "Viridis", -1.5, 2.5, crossed=(1, 4), across=3)
    root = ElementTree.fromstring(atlas.figure_svg("Wq " * 200))
    name = "{http://www.w3.org/2000/svg}"
    (picture,) = root.findall(f"{name}image")
    across, down = float(picture.get("width")) / 3, float(picture.get("height")) / 2
    lines = [
        [float(line.get(key)) for key in ("x1", "y1", "x2", "y2")]
        for line in root.findall(f"{name}line")
    ]
    assert len(lines) == 4
    for number, (x1, y1, x2, y2) in enumerate(lines):
        row, column = divmod((1, 4)[number // 2], 3)
        assert all(column * across < x < (column + 1) * across for x in (x1, x2))
        assert all(row * down < y < (row + 1) * down for y in (y1, y2))
        assert abs(x2 - x1) > across / 2
        assert abs(y2 - y1) > down / 2
    bars = root.findall(f"{name}rect")
    assert [bar.get("fill") for bar in bars] == atlas.bar_colours()
    edges = [float(bar.get("x")) for bar in bars]
    assert np.diff(edges).tolist() == [float(bar.get("width")) for bar in bars[:-1]]
    heights = [float(text.get("y")) for text in root.findall(f"{name}text")]
    assert len(heights) > 3
    assert set(np.diff(heights)) == {16}
    assert 2 * down < heights[0]
    assert heights[-1] < float(root.get("height")) - 4


def test_a_gradient_is_bright_or_dark_around_grey_up_to_its_scale():
    gradient = np.zeros((3, 4, 5))
    gradient[0, 1, 2], gradient[1, 2, 3], gradient[2, 1, 1] = 0.5, -0.25, 0.125
    gradient[0, 0, 0] = 9.0  # outside of the box
    picture, scale = gradient_picture(gradient, (1, 1, 3, 4))
    assert (picture.shape, picture.dtype) == ((2, 3, 3), np.uint8)
    sizes = np.sort(np.abs(gradient[:, 1:3, 1:4]).ravel())  # eighteen: 99.5 % is between the last
    assert scale == pytest.approx(sizes[-2] + (sizes[-1] - sizes[-2]) * (0.995 * 17 - 16))
    expected = np.full((2, 3, 3), 128)
    expected[0, 1, 0] = 255
    expected[1, 2, 1] = round(127.5 - 127.5 * 0.25 / scale)
    expected[0, 0, 2] = round(127.5 + 127.5 * 0.125 / scale)
    assert (picture == expected).all()
    dark, _ = gradient_picture(-gradient)
    assert dark.shape == (4, 5, 3)
    assert dark[0, 0, 0] == 0
    nothing, scale = gradient_picture(np.zeros((1, 2, 6)))
    assert scale == 0
    assert nothing.shape == (2, 6, 1)
    assert (nothing == 128).all()


def test_one_pixel_alone_has_a_scale_and_leaves_others_theirs():
    values = np.zeros(1000)
    assert scale_of(values) == 0
    values[500] = -3
    assert scale_of(values) == 3
    values[:400], values[600:] = 0.25, -0.5
    assert scale_of(values) == 0.5


def test_evidence_is_in_the_colours_of_its_style_on_one_scale():
    grey = np.full((1, 3, 1), 120, np.uint8)
    values = np.array([[[0.0, 0.5, 0.25]], [[0.125, 2.0, 1.0]]], np.float32)
    heat = EvidenceDisplay(values, grey, "heat")
    signed = EvidenceDisplay(values * [[[1, -1, 1]]], grey, "signed")
    for display in (heat, signed):
        assert display.limit == 2
        (colours,), low, high = display.bar()
        assert (low, high) == ("0" if display is heat else "-2", "2")
        assert len(colours) == 255
        for pictures, evidence in zip(display.pictures, display.values, strict=True):
            for pixel, value in zip(pictures[0], evidence[0], strict=True):
                share = value / 2 if display is heat else (value + 2) / 4
                colour = colours[int(share * 254 + 0.5)].astype(float)
                most = 0.75 * abs(value) / 2
                assert np.abs(pixel - (120 * 0.75 * (1 - most) + colour * most)).max() <= 0.5
    assert (heat.bar()[0] != signed.bar()[0]).any()
    several = np.full((2, 20, 20), 0.5, np.float32)
    several[1, 7, 7] = -40
    alone = EvidenceDisplay(several, grey, "map")
    assert alone.limit == 0.5  # one pixel does not leave all others pale
    assert (alone.pictures[0] == alone.bar()[0][0, -1]).all()
    assert (alone.pictures[1, 7, 7] == alone.bar()[0][0, 0]).all()


def test_ranks_of_evidence_go_by_size():
    first = np.array([[1.0, -2, 3], [4, 5, -6]])
    assert rank_correlation(first, -(first**3)) == pytest.approx(1)
    assert rank_correlation(first, 1 / first) == pytest.approx(-1)
    swapped = np.array([[2.0, 1, 3], [4, 5, 6]])  # 1 - 6 sum(d^2) / (n (n^2 - 1))
    assert rank_correlation(first, swapped) == pytest.approx(1 - 6 * 2 / (6 * 35))
    assert rank_correlation(first, np.full((2, 3), -7.0)) is None
    assert rank_correlation(np.zeros((2, 3)), first) is None


def sparkline_of(points, highest):
    text = b64decode(sparkline(points, highest, "#0891b2").split("base64,")[1].split('"')[0])
    root = ElementTree.fromstring(text)
    paths = root.findall("{http://www.w3.org/2000/svg}path")
    return root, [
        [tuple(map(float, pair)) for pair in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.get("d"))]
        for path in paths
    ]


def test_a_sparkline_is_where_its_numbers_are_and_inside_its_drawing():
    points = [(0.0, 1.0), (0.25, 4.0), (0.5, 0.0), (0.75, -3.0), (1.0, 9.0)]
    root, (ground, area, line, end) = sparkline_of(points, 4.0)
    assert root.get("viewBox") == f"0 0 {WIDTH} {HEIGHT}"
    across, down = WIDTH - 4, HEIGHT - 4
    # two pixels are left on each side; a value beyond the range stays at its edge
    expected = [(0, 0.25), (0.25, 1), (0.5, 0), (0.75, 0), (1, 1)]
    assert line == [(2 + x * across, HEIGHT - 2 - y * down) for x, y in expected]
    assert end == [line[-1]]
    # what is below the line is filled down to the ground
    assert ground == [(2, HEIGHT - 1)]
    assert area == [*line, (line[-1][0], HEIGHT - 1), (line[0][0], HEIGHT - 1)]
    (low,) = sparkline_of([(0.5, 0.125)], 0.5)[1][2]
    assert low == (2 + 0.5 * across, HEIGHT - 2 - 0.25 * down)


@pytest.mark.parametrize("count", [POINTS - 1, POINTS, POINTS + 1, 1000])
def test_a_sparkline_of_many_numbers_has_the_first_the_last_and_even_steps(count):
    points = [(number / (count - 1), 0.5) for number in range(count)]
    line = [x for x, _ in sparkline_of(points, 2.0)[1][2]]
    assert len(line) == min(count, POINTS)
    assert (line[0], line[-1]) == (2, WIDTH - 2)
    even = np.linspace(2, WIDTH - 2, len(line))
    # each is the nearest of those that there are, written to a tenth
    assert np.abs(line - even).max() <= (WIDTH - 4) / (count - 1) / 2 + 0.06


@pytest.mark.parametrize(("shape", "written"), [((8, 8), True), ((5, 13), False), ((1, 1), False)])
def test_a_large_map_writes_its_numbers_where_there_is_room(shape, written):
    values = np.linspace(-1, 3, math.prod(shape)).reshape(shape)
    figure = plot_large_map(values, -2.5, 3.5, "Viridis")
    (heat,) = figure.data
    assert np.allclose(heat.z, values, atol=5e-5)
    assert heat.texttemplate == ("%{z:.3f}" if written else "")
    assert (heat.zmin, heat.zmax) == (-2.5, 3.5)
    # square pixels, first row on top, and nothing around them
    across, down = figure.layout.xaxis, figure.layout.yaxis
    assert (down.scaleanchor, down.autorange) == ("x", "reversed")
    assert across.constrain == down.constrain == "domain"
    assert across.visible is down.visible is False


def test_a_large_map_of_one_value_has_a_scale():
    (heat,) = plot_large_map(np.full((2, 3), 4.0), 4.0, 4.0, "Viridis").data
    assert heat.zmin < heat.zmax


def test_points_of_an_evaluation_are_joined_and_the_axis_says_what_it_shows():
    display = CurvesDisplay({"mine": film().history._replace(best=dict(step=8))})
    for quantity in ("loss", "accuracy"):
        figure = display.plot(quantity, "steps")
        assert figure.layout.yaxis.title.text == quantity
        assert figure.layout.hovermode == "x unified"
        modes = {trace.name: trace.mode for trace in figure.data}
        assert modes["mine, training"] == modes["mine, validation"] == "lines+markers"
        assert modes["mine, best checkpoint"] == "markers"


def test_maps_made_of_a_vector_see_the_whole_image_also_when_they_are_enlarged():
    """As in a decoder: each of its positions depends on each pixel, through the vector."""
    from torch import nn

    from vizlib.inside.layers import layer_table

    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(2 * 6 * 5, 4 * 3 * 2),
        nn.Unflatten(1, (4, 3, 2)),
        nn.ConvTranspose2d(4, 3, 3, stride=2),
        nn.Conv2d(3, 2, 2),
    )
    for layer in layer_table(model, (2, 6, 5))[1:]:
        height, width = layer.output_shape[1:] if len(layer.output_shape) == 3 else (1, 1)
        whole = [(0, 6)] * height, [(0, 5)] * width
        assert spans(layer, (2, 6, 5)) == whole, layer.name


def test_a_sheet_of_many_tiles_is_enlarged_no_more_than_has_room():
    for count, side in ((4096, 7), (40_000, 7), (2048, 20), (3, 7)):
        atlas = Atlas(np.zeros((count, side, side), np.uint8), "Viridis")
        area = count * side**2
        assert atlas.factor == 1 or area * atlas.factor**2 <= MOST_PIXELS
        is_large = side * atlas.factor >= SMALLEST_TILE
        assert is_large or area * (atlas.factor + 1) ** 2 > MOST_PIXELS
