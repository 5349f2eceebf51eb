"""Pictures that are in two splits or have two labels, against every pair compared by hand."""

import time

import numpy as np
from PIL import Image

from vizlib.datasets import Dataset, Split, duplicates


def made(train, test, train_labels=None, test_labels=None):
    """A Dataset of uint8 pictures (N, H, W, 3)."""
    splits = {}
    for part, pictures, labels in (("train", train, train_labels), ("test", test, test_labels)):
        labels = np.zeros(len(pictures), np.int64) if labels is None else np.array(labels)
        ids = np.array([f"{part}/{number}" for number in range(len(pictures))])
        splits[part] = Split(np.array(pictures), labels, ids)
    return Dataset("made", ["a", "b"], (3, 48, 48), [0.5] * 3, [0.5] * 3, splits, "")


def scenes(count, seed=0):
    """Smooth pictures that differ: coarse noise made large."""
    draw = np.random.default_rng(seed)
    return [
        np.asarray(Image.fromarray(draw.integers(0, 256, (6, 6, 3), np.uint8)).resize((48, 48)))
        for _ in range(count)
    ]


def numbers(prints, found):
    ids = prints.image_ids
    return sorted((str(ids[first]), str(ids[second])) for first, second in found)


def test_the_same_and_nearly_the_same_are_found_across_splits():
    train = scenes(40)
    resaved = (train[7].astype(int) + np.random.default_rng(1).integers(-6, 7, (48, 48, 3))).clip(
        0, 255
    )
    test = [*scenes(10, seed=5), train[3], resaved.astype(np.uint8)]
    prints = duplicates.fingerprints(made(train, test))
    found = duplicates.pairs(prints)
    assert found.is_whole
    assert numbers(prints, found.same) == [("train/3", "test/10")] or numbers(
        prints, found.same
    ) == [("test/10", "train/3")]
    assert numbers(prints, found.near) == [("train/7", "test/11")]
    assert len(duplicates.across_splits(prints, found.near)) == 1
    assert len(duplicates.contradicting(prints, found.near)) == 0


def test_two_labels_of_one_picture_contradict():
    train = scenes(8)
    dataset = made([*train, train[5]], scenes(2, seed=9), [0, 1] * 4 + [0], [0, 1])
    prints = duplicates.fingerprints(dataset)
    found = duplicates.pairs(prints)
    assert numbers(prints, duplicates.contradicting(prints, found.same)) == [("train/5", "train/8")]
    assert len(duplicates.across_splits(prints, found.same)) == 0


def test_it_finds_what_every_pair_compared_would():
    draw = np.random.default_rng(3)
    base = scenes(60, seed=3)
    pictures = [
        (base[draw.integers(60)].astype(int) + draw.integers(-9, 10, (48, 48, 3))).clip(0, 255)
        for _ in range(240)
    ]
    dataset = made(np.array(pictures, np.uint8), scenes(3, seed=4))
    prints = duplicates.fingerprints(dataset)
    found = {tuple(pair) for pair in duplicates.pairs(prints).near.tolist()}
    bits = np.unpackbits(prints.hashes, axis=1)
    expected = set()
    for first in range(len(bits)):
        for second in range(first + 1, len(bits)):
            apart = int((bits[first] != bits[second]).sum())
            close = duplicates._difference(prints.greys[[first]], prints.greys[[second]])[0]
            if apart <= duplicates.MOST_BITS and close <= duplicates.MOST_GREYS:
                expected.add((first, second))
    assert found == expected
    assert len(found) > 50


def test_flat_pictures_are_not_called_alike():
    flat = [np.full((48, 48, 3), shade, np.uint8) for shade in (10, 90, 200)]
    prints = duplicates.fingerprints(made(flat, scenes(2)))
    found = duplicates.pairs(prints)
    assert len(found.same) == len(found.near) == 0


def test_fifty_thousand_pictures_are_compared_without_every_pair():
    """Unlike ones, and a thousand that are all alike: 1.25 thousand million pairs otherwise."""
    draw = np.random.default_rng(0)
    greys = draw.integers(0, 256, (50_000, 9, 9), np.uint8)
    greys[:1000] = greys[0]
    count = len(greys)
    prints = duplicates.Fingerprints(
        np.full(count, "train"),
        np.arange(count),
        np.zeros(count, np.int64),
        np.arange(count).astype(str),
        np.arange(count, dtype=np.uint64),
        duplicates._hashes(greys),
        greys,
    )
    start = time.process_time()
    found = duplicates.pairs(prints)
    assert time.process_time() - start < 20
    assert not found.is_whole
    assert len(np.unique(found.near)) == 1000
