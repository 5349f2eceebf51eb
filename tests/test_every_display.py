"""What is true of every figure: found by walking the folder, so that a new file is tested too."""

import csv
import dataclasses
import importlib
import inspect
import io
import pkgutil

import numpy as np
import pytest
from PIL import Image

from vizlib import displays
from vizlib.displays import Display

# two names as a file of somebody's may bring them; each says that it is one
NAMES = ['=1+1, "nasty" <b>one</b>\nof two lines', "-nasty; 'two', @猫 \x00\r<a href='x'>y</a>"]


def classes():
    """Every class that a file of the folder defines."""
    modules = [
        importlib.import_module(f"{displays.__name__}.{module.name}")
        for module in pkgutil.iter_modules(displays.__path__)
    ]
    return [
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__
    ]


DISPLAYS = [kind for kind in classes() if issubclass(kind, Display)]


def texts_in(part):
    """All texts in a figure's dictionary."""
    if isinstance(part, str):
        return [part]
    if isinstance(part, dict):
        return [text for value in part.values() for text in texts_in(value)]
    if isinstance(part, (list, tuple)) or (isinstance(part, np.ndarray) and part.dtype == object):
        return [text for value in part for text in texts_in(value)]
    return list(map(str, part.ravel())) if isinstance(part, np.ndarray) else []


def test_the_search_finds_them():
    assert {"ConfusionDisplay", "CurvesDisplay", "FilmDisplay"} <= {
        kind.__name__ for kind in DISPLAYS
    }
    assert [kind for kind in classes() if "Display" in kind.__name__ and kind not in DISPLAYS] == []


@pytest.mark.parametrize("kind", DISPLAYS)
def test_it_is_computed_once(kind):
    assert dataclasses.is_dataclass(kind)
    display = kind.example(NAMES)
    field = dataclasses.fields(kind)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(display, field, None)
    assert kind.__doc__


@pytest.mark.parametrize("kind", DISPLAYS)
def test_it_draws_any_number_of_times(kind):
    display = kind.example(NAMES)
    before = display.csv()
    plots, pictures = hasattr(display, "plot"), hasattr(display, "picture")
    assert plots or pictures
    if plots:
        figure = display.plot()
        assert figure.data
        assert "NaN" not in figure.to_json()
        assert display.plot() == figure
    if pictures:
        png = display.picture().png()
        Image.open(io.BytesIO(png)).load()
        assert display.picture().png() == png
    assert display.csv() == before


@pytest.mark.parametrize("kind", [kind for kind in DISPLAYS if hasattr(kind, "plot")])
def test_no_name_brings_tags_into_a_chart(kind):
    """Plotly draws some HTML (b, i, a, br) in its texts: none of a name's may be left."""
    texts = texts_in(kind.example(NAMES).plot().to_dict())
    assert [text for text in texts if "<b>" in text or "<a " in text] == []


@pytest.mark.parametrize("kind", DISPLAYS)
def test_its_table_is_read_back(kind):
    text = kind.example(NAMES).csv()
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    assert rows
    assert {len(cells) for cells in rows} == {len(header)}
    assert len(set(header)) == len(header)
    named = {cell for cells in (header, *rows) for cell in cells if "nasty" in cell}
    # all of them as they are, or those of a film, which is of one run; of maps and filters none
    assert named in (set(NAMES), set(NAMES[:1]), set())
    assert ("nasty" in text) == bool(named)


@pytest.mark.parametrize("kind", DISPLAYS)
def test_its_table_has_the_names_that_it_has(kind):
    display = kind.example(NAMES)
    assert ("nasty" in repr(display)) == ("nasty" in display.csv())
