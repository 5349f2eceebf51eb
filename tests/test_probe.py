"""The picture whose maps are kept along a training."""

import numpy as np
import pytest

from vizlib.datasets import Split
from vizlib.training.probe import clearest

FIGURE = np.random.default_rng(1).integers(0, 60, (10, 8, 3))


def on(background, figure=FIGURE):
    """A picture uint8 (16, 20, 3) of a figure off its middle."""
    picture = np.array(np.broadcast_to(background, (16, 20, 3)))
    if figure is not None:
        picture[3:13, 9:17] = figure
    return picture.astype(np.uint8)


def held_out(*pictures):
    return Split(
        np.stack(pictures),
        np.zeros(len(pictures), int),
        np.array([str(number) for number in range(len(pictures))]),
    )


def noise(least=0, greatest=256):
    return np.random.default_rng(2).integers(least, greatest, (16, 20, 3))


def test_something_before_an_even_background_is_clearest():
    clear = on([240, 220, 200])
    others = [
        on(noise(), figure=None),
        on(noise()),
        on([90, 90, 90], figure=None),
        on([70, 60, 50]),  # it hardly stands out
        on(np.linspace(0, 255, 20).reshape(1, 20, 1)),
    ]
    for place in range(6):
        pictures = [*others[:place], clear, *others[place:]]
        found = clearest(held_out(*pictures), (3, 16, 20))
        assert np.array_equal(found, clear), place


def test_a_background_of_one_strong_colour_is_even():
    """Its channels differ, and each of them is even."""
    clear = on([255, 0, 0], figure=255 - FIGURE)
    found = clearest(held_out(on(noise(100, 160)), clear), (3, 16, 20))
    assert np.array_equal(found, clear)


@pytest.mark.parametrize("side", [1, 2])
def test_the_smallest_pictures_have_one_too(side):
    pictures = np.arange(side * side * 2, dtype=np.uint8).reshape(2, side, side, 1)
    assert clearest(held_out(*pictures), (1, side, side)).shape == (side, side, 1)
