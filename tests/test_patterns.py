"""What units look at, cut out of their strongest images: the right part of the right image, on
every architecture.
"""

import numpy as np
import pytest

from vizlib import architectures
from vizlib.datasets import Split
from vizlib.displays import units
from vizlib.inside import patterns
from vizlib.inside.layers import layer_table
from vizlib.inside.receptive_fields import box
from vizlib.inside.strongest import Strongest, unit_layers


@pytest.fixture(scope="module")
def lenet():
    return layer_table(architectures.create("lenet"), (3, 32, 32))


def named(rows, name):
    return next(row for row in rows if row.name == name)


def coordinates(height=32, width=32):
    """A picture whose pixels say where they are: row, column, 7."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.full_like(rows, 7)], axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "layer", "stands"),
    [
        ("lenet", "conv2", "conv2"),
        ("lenet", "relu1", "conv1"),
        ("lenet", "pool2", "conv2"),
        ("lenet", "flatten", None),
        ("lenet", "fc3", "fc3"),
        ("resnet32", "stage2.block3", "stage2.block3.conv2"),
        ("resnet32", "stage2", "stage2.block5.conv2"),
        ("resnet32", "stage1.block1.bn1", "conv1"),
        ("resnet32", "stage2.block1.bn2", "stage2.block1.conv1"),
        ("resnet32", "pool", "stage3.block5.conv2"),
        ("resnet18", "layer1.0.relu#2", "layer1.0.conv2"),
    ],
)
def test_the_units_that_stand_for_another_layers(name, layer, stands):
    rows = layer_table(architectures.create(name), architectures.get(name).input_size)
    assert patterns.unit_layer(rows, layer, unit_layers(rows)) == stands


@pytest.mark.parametrize("name", ["lenet", "airbench", "resnet32", "mobilenet"])
def test_field_is_the_receptive_fields_box_and_more_only_over_the_border(name):
    size = architectures.get(name).input_size
    rows = layer_table(architectures.create(name), size)
    for row in (
        row for row in rows if len(row.output_shape) == 3 and patterns.sees_part(row, size)
    ):
        for place in {
            (0, 0),
            (row.output_shape[1] - 1, 0),
            (row.output_shape[1] // 2, row.output_shape[2] - 1),
        }:
            top, left, bottom, right = patterns.field(row, place, size)
            assert (bottom - top, right - left) == row.receptive_field
            assert (max(0, top), max(0, left), min(size[1], bottom), min(size[2], right)) == box(
                row, place, size
            ), (row.name, place)


def test_a_part_is_cut_out_where_it_is_and_grey_outside():
    part = patterns.cut(coordinates(), (-2, 5, 3, 9))
    assert part.shape == (5, 4, 3)
    assert np.all(part[:2] == patterns.OUTSIDE)
    assert np.array_equal(part[2:], coordinates()[0:3, 5:9])
    assert np.array_equal(patterns.cut(coordinates(), (0, 0, 32, 32)), coordinates())


def test_patches_are_of_the_strongest_image_and_place(lenet):
    pictures = np.stack([coordinates(), coordinates() + 100])
    split = Split(pictures, np.zeros(2, np.int64), np.array(["a", "b"]))
    rows, places = np.array([[1, 0], [0, 1], *[[0, 1]] * 4]), np.zeros((6, 2, 2), np.int16)
    places[0, 0], places[1, 0] = (3, 4), (27, 0)
    found = patterns.patches(
        split, named(lenet, "conv1"), Strongest(np.zeros((6, 2)), rows, places), (3, 32, 32)
    )
    assert np.array_equal(found[0], pictures[1][3:8, 4:9])
    assert np.array_equal(found[1], pictures[0][27:32, 0:5])
    whole = patterns.patches(
        split,
        named(lenet, "fc3"),
        Strongest(np.zeros((2, 2)), rows[:2], places[:2]),
        (3, 32, 32),
    )
    assert np.array_equal(whole, pictures[[1, 0]])


def test_a_sheet_of_many_large_parts_is_shrunk():
    assert patterns.fitting([coordinates()] * 10).shape == (10, 32, 32, 3)
    many = patterns.fitting([coordinates(200, 200)] * 500)
    assert many.shape[1] * many.shape[2] * 500 <= patterns.MOST_PIXELS
    assert many.shape[1] > 60


def test_what_is_marked_keeps_its_colours_and_the_rest_is_darker():
    picture = np.full((32, 32, 3), 200, np.uint8)
    drawn = units.marked(picture, (8, 8, 16, 16), size=160)
    assert drawn.shape == (160, 160, 3)
    assert np.all(drawn[40:80, 40:80] == 200)
    assert np.all(drawn[:36, :] == 110)
    assert tuple(drawn[38, 60]) == units.LINE == tuple(drawn[60, 81])
    over_the_border = units.marked(picture[:, :, :1], (-4, -4, 4, 4), size=160)
    assert np.all(over_the_border[:20, :20] == 200)
    assert np.all(over_the_border[30:, 30:] == 110)


def test_classes_of_images_are_counted_the_commonest_first():
    assert units.spread(np.array([2, 0, 2, 1, 2, 0]), ["cat", "dog", "frog", "ship"]) == [
        ("frog", 3),
        ("cat", 2),
        ("dog", 1),
    ]


def test_sheet_of_grey_pictures():
    atlas = units.sheet(
        np.arange(4, dtype=np.uint8).repeat(25).reshape(4, 5, 5, 1), ["a", "b", "c", "d"]
    )
    assert atlas.tiles.shape == (4, 5, 5, 3)
    assert atlas.image().mode == "RGBA"
    assert atlas.labels == ("a", "b", "c", "d")
