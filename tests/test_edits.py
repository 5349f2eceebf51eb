"""A picture changed by hand is what numpy makes of the same wish, and what a browser sends is
bounded.
"""

import math

import numpy as np
import pytest

from vizlib.edits import MOST_POINTS, Edits, Moves, Stroke, mean_colour, under_brush

NOTHING = (10, 120, 230)


def picture(channels=3):
    return np.random.default_rng(5).integers(0, 256, (20, 24, channels), np.uint8)


def covered_by_hand(points, size, height=20, width=24):
    """Pixel by pixel: is its middle within half the size of one of many places on the line?"""
    places = [
        (x + share * (end_x - x), y + share * (end_y - y))
        for (x, y), (end_x, end_y) in zip(points, [*points[1:], points[-1]], strict=True)
        for share in np.linspace(0, 1, 400)
    ]
    found = np.zeros((height, width), bool)
    for row in range(height):
        for column in range(width):
            found[row, column] = any(
                math.hypot(column + 0.5 - x, row + 0.5 - y) <= size / 2 for x, y in places
            )
    for x, y in points:
        if 0 <= y < height and 0 <= x < width:
            found[int(y), int(x)] = True
    return found


@pytest.mark.parametrize(
    ("points", "size"),
    [
        ([(12.3, 9.1)], 5.0),
        ([(4.0, 4.2), (15.1, 11.7), (15.3, 2.2)], 3.3),
        ([(21.7, 18.9)], 1.0),
        ([(-3.0, 5.4), (30.0, 6.1)], 4.1),  # in from the left, out on the right
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_erasing_and_drawing(points, size, channels):
    covered = covered_by_hand(points, size)
    assert 0 < covered.sum() < covered.size
    before, nothing = picture(channels), NOTHING[:channels]
    copy = before.copy()
    erased = Edits(strokes=(Stroke("erase", size, tuple(points)),)).of(before, nothing)
    assert np.array_equal(erased, np.where(covered[..., None], np.uint8(nothing), before))
    colour = (200, 30, 90)
    drawn = Edits(strokes=(Stroke("draw", size, tuple(points), colour),)).of(before, nothing)
    paint = colour if channels == 3 else round(0.299 * 200 + 0.587 * 30 + 0.114 * 90)
    assert np.array_equal(drawn, np.where(covered[..., None], np.uint8(paint), before))
    assert np.array_equal(before, copy), "the picture itself stays"


def test_blur_and_restore_stay_under_the_brush():
    before = picture()
    draw = Stroke("draw", 30, ((12.0, 10.0),), (255, 0, 0))
    blur, restore = (Stroke(tool, 7, ((8.0, 9.0),)) for tool in ("blur", "restore"))
    covered = under_brush(blur, 20, 24)
    blurred = Edits(strokes=(blur,)).of(before, NOTHING)
    assert np.array_equal(blurred[~covered], before[~covered])
    assert blurred[covered].std() < before[covered].std() / 2
    painted, restored = (
        Edits(strokes=strokes).of(before, NOTHING) for strokes in ((draw,), (draw, restore))
    )
    assert np.array_equal(restored[covered], before[covered])
    assert np.array_equal(restored[~covered], painted[~covered])


def test_moves():
    before = picture()
    shifted = Edits(Moves(right=5, down=-3)).of(before, NOTHING)
    assert np.array_equal(shifted[:-3, 5:], before[3:, :-5])
    assert (shifted[:, :5] == NOTHING).all()
    assert (shifted[-3:] == NOTHING).all()
    square = before[:, :20]
    turned = Edits(Moves(turn=90)).of(square, NOTHING)
    assert np.array_equal(turned, np.rot90(square))
    noisy = [Edits(Moves(noise=20)).of(before, NOTHING) for _ in range(2)]
    assert np.array_equal(*noisy), "the noise does not flicker"
    apart = noisy[0].astype(float) - before
    assert apart[(before > 80) & (before < 175)].std() == pytest.approx(20, rel=0.15)
    flat = np.full((20, 24, 1), 77, np.uint8)
    assert np.array_equal(Edits(Moves(blur=2)).of(flat, (0,)), flat)
    assert Edits(Moves(blur=2)).of(before, NOTHING).std() < before.std() / 2


def test_strokes_lie_on_the_moved_picture():
    stroke = Stroke("draw", 1, ((7.5, 6.5),), (1, 2, 3))
    edited = Edits(Moves(right=5), (stroke,)).of(picture(), NOTHING)
    assert edited[6, 7].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"tool": "burn", "points": [[1, 2]]},
        {"tool": "draw", "points": []},
        {"tool": "draw", "points": "ab"},
        {"tool": "draw", "points": [[1], "x", None, [1, 2, 3]]},
    ],
)
def test_what_is_no_stroke(given):
    assert Stroke.read(given) is None


def test_what_a_browser_sends_is_bounded():
    nan, most = float("nan"), float("inf")
    stroke = Stroke.read(
        {
            "tool": "draw",
            "size": 1e9,
            "colour": [300, -4, "x"],
            "points": [[3.5, nan], [most, 1], *[[1, 2]] * 5000],
        }
    )
    assert stroke.size == 256
    assert stroke.colour == (255, 0, 0)
    assert len(stroke.points) == MOST_POINTS
    assert stroke.points[:2] == ((3.5, 0.0), (0.0, 1.0))
    moves = Moves.read({"right": 1e300, "turn": "x", "blur": -3, "noise": 40, "down": True})
    assert moves == Moves(right=256, noise=40)
    assert mean_colour((0.5, 0.25, 1.0)) == (128, 64, 255)
