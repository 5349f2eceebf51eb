"""What faults planted one at a time (docs/mutation.md) got past all other tests, said as what must
hold.
"""

import math
from types import SimpleNamespace

import numpy as np

from vizlib.displays.confusion import ConfusionDifference, ConfusionDisplay
from vizlib.displays.gradients import Gradients, GradientsDisplay
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
    assert ConfusionDisplay(MATRIX, NAMES).plot() == ConfusionDisplay(MATRIX, NAMES).plot(dark=False)
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
    assert not (across.showgrid or down.showgrid or across.zeroline or down.zeroline)
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
    assert first.line.color and second.line.color and first.line.color != second.line.color
    for trace, name in ((first, "first"), (second, "second")):
        assert trace.name == f"{name}, step 1"
        assert "%{text}" in trace.hovertemplate and "%{y" in trace.hovertemplate
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
        stride=(3, 3),
    )  # fmt: skip
    expected = [(0, 0), (0, 2), (3, 4), (4, 4)]
    assert spans(layer, (3, 4, 4)) == (expected, expected)
    seen = [
        {pixel for pixel in range(4) if math.ceil(-3 + 3 * k) <= pixel < -1 + 3 * k}
        for k in range(4)
    ]
    assert [set(range(first, last)) for first, last in expected] == seen
