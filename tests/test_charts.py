"""A figure is made once for all who look at the same, and never for those who look at another."""

import inspect

import pytest

from tests.test_every_display import DISPLAYS
from vizlib.ui.data import kept
from vizlib.ui.widgets import charts

PLOTTED = [kind for kind in DISPLAYS if hasattr(kind, "plot")]
NAMES, OTHERS = ("early", "late"), ("cat", "dog")


@pytest.fixture(autouse=True)
def nothing_is_kept():
    kept.clear()


@pytest.mark.parametrize("kind", PLOTTED)
def test_what_is_drawn_is_told_by_its_content(kind):
    display = kind.example(NAMES)
    first = charts.drawn(display.plot)
    assert first.spec == display.plot().to_json() == first.figure.to_json()
    # another object of the same content, as each redraw of a page makes one
    assert charts.drawn(kind.example(NAMES).plot) is first
    other = kind.example(OTHERS)
    assert charts.drawn(other.plot).spec == other.plot().to_json()


@pytest.mark.parametrize("kind", PLOTTED)
def test_how_it_is_drawn_tells_too(kind):
    display = kind.example(NAMES)
    switches = [
        name
        for name, parameter in inspect.signature(display.plot).parameters.items()
        if parameter.default is False
    ]
    for name in switches:
        usual, switched = charts.drawn(display.plot), charts.drawn(display.plot, **{name: True})
        assert switched.spec == display.plot(**{name: True}).to_json() != usual.spec
    assert charts.drawn(display.plot) is charts.drawn(display.plot)
