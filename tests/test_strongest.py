"""The strongest images: planted ones are found, all others as by brute force, and a kept index is
read only where it belongs.
"""

import dataclasses
import os
import shutil

import by_hand
import numpy as np
import pytest
import torch
from torch import nn

from vizlib import architectures, datasets
from vizlib.errors import UserError
from vizlib.inside import strongest
from vizlib.inside.activations import prepare
from vizlib.inside.layers import layer_table
from vizlib.inside.passes import predict, received
from vizlib.run import folders

SCALE = 2 / 255  # from a grey level to what the network by hand gets


def by_hand_found(images, layer_names, **settings):
    return strongest.find(
        by_hand.network(), images, layer_names, mean=by_hand.MEAN, std=by_hand.STD, **settings
    )


@pytest.mark.parametrize(
    ("layer_name", "patterns", "edges"), [("conv1", by_hand.EDGES, 1), ("conv2", by_hand.PAIRS, 2)]
)
def test_planted_pictures_are_found_in_order_with_their_values_and_places(
    layer_name, patterns, edges
):
    images, plants = by_hand.planted(patterns)
    found = by_hand_found(images, [layer_name], count=len(by_hand.CONTRASTS))[layer_name]
    assert [part.dtype for part in dataclasses.astuple(found)] == [np.float32, np.int32, np.int16]
    for unit, expected in enumerate(plants):
        assert found.image_numbers[unit].tolist() == [row for _, row, _ in expected]
        assert found.positions[unit].tolist() == [list(place) for _, _, place in expected]
        np.testing.assert_allclose(
            found.values[unit],
            [edges * (6 * contrast * SCALE + by_hand.BIAS) for contrast, _, _ in expected],
            rtol=1e-5,
        )


def test_classes_are_ranked_by_their_logits():
    images, plants = by_hand.planted(by_hand.PAIRS)
    logits = predict(by_hand.network(), images, by_hand.MEAN, by_hand.STD)
    found = by_hand_found(images, ["fc"], count=len(by_hand.CONTRASTS))["fc"]
    assert [rows.tolist() for rows in found.image_numbers] == [
        [row for _, row, _ in expected] for expected in plants
    ]
    np.testing.assert_allclose(
        found.values, np.take_along_axis(logits.T, found.image_numbers.astype(int), 1), rtol=1e-5
    )
    assert not found.positions.any()


class Twice(nn.Module):
    """A convolution that is called twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 4)

    def forward(self, images):
        return self.fc(self.conv(self.conv(images).relu()).amax((2, 3)))


def brute_force(model, images, layer_names):
    """All values of some layers, {name: (N, units, height, width)}, by hooks of its own on all
    images in one batch.
    """
    outputs = {}
    for name, module in model.named_modules():
        module.register_forward_hook(
            lambda module, inputs, output, name=name: outputs.setdefault(name, []).append(
                output.clone()
            )
        )
    with torch.no_grad():
        model.eval()(images)
    values = {
        name: outputs[name.partition("#")[0]][int(name.partition("#")[2] or 1) - 1]
        for name in layer_names
    }
    return {
        name: value if value.dim() == 4 else value[:, :, None, None]
        for name, value in values.items()
    }


@pytest.mark.parametrize(
    "name", ["lenet", "resnet32", "three_layer_functional", "airbench", "mobilenet", "twice"]
)
def test_equals_brute_force(name, monkeypatch):
    """Whatever the batches: 23 images in batches of five, from chunks of eight."""
    torch.manual_seed(0)
    model = Twice() if name == "twice" else architectures.create(name)
    images, mean, std = (
        np.random.default_rng(0).integers(0, 256, (23, 3, 32, 32), np.uint8),
        [0.4, 0.5, 0.6],
        [0.2, 0.3, 0.25],
    )
    layer_names = strongest.unit_layers(layer_table(model, (3, 32, 32)))
    monkeypatch.setattr(strongest, "BATCH_PIXELS", 5 * 32 * 32)
    shares = []
    found = strongest.find(
        model,
        (images[at : at + 8] for at in (0, 8, 16)),
        layer_names,
        mean=mean,
        std=std,
        count=7,
        total=23,
        say=shares.append,
    )
    assert list(found) == layer_names
    assert shares == [count / 23 for count in (5, 8, 13, 16, 21, 23)]
    expected = brute_force(model, next(received(images, mean, std, 23)), layer_names)
    for layer_name in layer_names:
        everywhere, one = expected[layer_name], found[layer_name]
        np.testing.assert_allclose(
            one.values,
            everywhere.amax((2, 3)).T.topk(7).values,
            rtol=1e-3,
            atol=1e-4,
            err_msg=layer_name,
        )
        units, (ys, xs) = (
            np.arange(len(one.image_numbers))[:, None],
            one.positions.transpose(2, 0, 1).astype(int),
        )
        np.testing.assert_allclose(
            one.values,
            everywhere[one.image_numbers.astype(int), units, ys, xs],
            rtol=1e-3,
            atol=1e-4,
            err_msg=layer_name,
        )
        assert all(len(set(rows)) == 7 for rows in one.image_numbers.tolist())


def test_the_layers_with_units():
    rows = layer_table(architectures.create("lenet"), (3, 32, 32))
    assert strongest.unit_layers(rows) == ["conv1", "conv2", "fc3"]
    assert strongest.unit_layers(layer_table(Twice(), (3, 32, 32))) == ["conv", "conv#2", "fc"]


class Logarithm(nn.Module):
    def forward(self, images):
        return images.log()


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_equal_values_come_by_row_and_what_is_no_number_last(batch, monkeypatch):
    monkeypatch.setattr(strongest, "BATCH_PIXELS", batch)
    model = nn.Sequential(nn.Conv2d(1, 1, 1), Logarithm(), nn.Flatten())
    model[0].weight.data.fill_(1)
    model[0].bias.data.zero_()
    # about 0, minus one for 0: no logarithm
    images = np.array([128, 0, 255, 0, 64, 255, 128, 255], np.uint8).reshape(-1, 1, 1, 1)
    found = strongest.find(model, images, ["0", "1"], mean=[0.1], std=[1.0])
    # fewer images than asked for: all
    assert (
        found["0"].image_numbers.tolist()
        == [[2, 5, 7, 0, 6, 4, 1, 3]]
        == found["1"].image_numbers.tolist()
    )
    assert np.isnan(found["1"].values[0, -2:]).all()
    assert not np.isnan(found["1"].values[0, :-2]).any()
    few = strongest.find(model, images, ["1"], mean=[0.1], std=[1.0], count=2)["1"]
    assert few.image_numbers.tolist() == [[2, 5]]
    assert few.positions.shape == (1, 2, 2)


class Cancelled(Exception):
    pass


def cancel(share):
    raise Cancelled


@pytest.mark.parametrize("prepared", [False, True])
def test_leaves_nothing_behind(prepared):
    model, images = by_hand.network().train(), by_hand.planted(by_hand.EDGES)[0]
    if prepared:
        prepare(model)
    before = by_hand.state(model)
    settings = dict(mean=by_hand.MEAN, std=by_hand.STD)
    strongest.find(model, images, ["conv1"], **settings)
    with pytest.raises(Cancelled):
        strongest.find(model, images, ["conv1"], **settings, say=cancel)
    with pytest.raises(UserError, match="no layer named 'conv3'. Possible: conv1, relu1"):
        strongest.find(model, images, ["conv1", "conv3"], **settings)
    with pytest.raises(UserError, match="no images"):
        strongest.find(model, images[:0], ["conv1"], **settings)
    assert by_hand.state(model) == before


@pytest.fixture
def run_and_data(tiny_run, tmp_path):
    """A run of one's own, and the data it was trained on."""
    return folders.read_run(shutil.copytree(tiny_run.folder, tmp_path / "run")), datasets.load(
        "digits"
    )


def same(one, other):
    return all(
        np.array_equal(*parts)
        for parts in zip(dataclasses.astuple(one), dataclasses.astuple(other), strict=True)
    )


def test_the_index_of_a_run_is_kept_and_read_layer_by_layer(run_and_data, monkeypatch):
    run, dataset = run_and_data
    read, opened = [], strongest.safe_open

    class Recorded:
        def __init__(self, *arguments, **settings):
            self._file = opened(*arguments, **settings)

        def __getattr__(self, name):
            return getattr(self._file, name)

        def get_tensor(self, name):
            read.append(name)
            return self._file.get_tensor(name)

    monkeypatch.setattr(strongest, "safe_open", Recorded)
    assert strongest.load(run, dataset) is None
    made, kept = strongest.of_run(run, dataset), strongest.load(run, dataset)
    assert kept.layer_names == made.layer_names == ["conv1", "conv2", "fc"]
    assert not read
    assert (kept.images, kept.seconds) == (
        len(dataset.splits["test"]),
        pytest.approx(made.seconds, abs=1e-3),
    )
    read_again = kept["conv2"]
    assert same(read_again, made["conv2"])
    assert [part.dtype for part in dataclasses.astuple(read_again)] == [
        part.dtype for part in dataclasses.astuple(made["conv2"])
    ]
    assert read == [
        "conv2/values",
        "conv2/rows",
        "conv2/places",
    ]
    assert made["conv2"].image_numbers.shape == (16, strongest.COUNT)
    assert not list(run.folder.glob("*.tmp"))
    with pytest.raises(UserError, match="no layer named 'conv9'. Possible: conv1, conv2, fc"):
        kept["conv9"]
    logits = made["fc"].values[:, 0]  # the stored answers are those of the same weights, in float16
    np.testing.assert_allclose(
        np.load(run.path("predictions.npz"))["logits"].max(axis=0), logits, rtol=1e-2
    )


def test_an_index_of_an_earlier_version_whose_numbers_have_all_their_bits_is_read(
    run_and_data, monkeypatch
):
    run, dataset = run_and_data
    monkeypatch.setattr(strongest, "_small", lambda part: part)
    made = strongest.of_run(run, dataset)
    kept = strongest.load(run, dataset)
    assert kept is not None
    assert same(kept["conv2"], made["conv2"])


def test_an_index_that_does_not_belong_is_none(run_and_data):
    run, dataset = run_and_data
    strongest.of_run(run, dataset)
    split = dataset.splits["test"]
    for other in (
        dataclasses.replace(dataset, note="another copy"),
        dataclasses.replace(dataset, splits={"test": split.take(np.arange(len(split))[::-1])}),
    ):
        assert strongest.load(run, other) is None
    assert (
        strongest.load(
            run.in_form_of(
                folders.Run(
                    run.folder,
                    dataclasses.replace(run.config, architecture="three_layer_sequential"),
                )
            ),
            dataset,
        )
        is None
    )
    path = run.path(strongest.FILE)
    whole = path.read_bytes()
    for damaged in (
        b"",
        whole[:-1],
        whole[:100],
        b"no tensors at all" * 9,
        whole.replace(b'"F32"', b'"I32"'),
        whole.replace(b"conv1/rows", b"conv1/sows"),
    ):
        path.write_bytes(damaged)
        assert strongest.load(run, dataset) is None
    path.write_bytes(whole)
    assert strongest.load(run, dataset) is not None
    weights = run.path("model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x11")
    assert strongest.load(run, dataset) is None
    weights.unlink()
    assert strongest.load(run, dataset) is None
    with pytest.raises(UserError, match="weights"):
        strongest.of_run(run, dataset)


def test_a_folder_that_cannot_be_written_and_a_cancelled_search_leave_no_file(
    run_and_data, monkeypatch
):
    run, dataset = run_and_data
    before = sorted(run.folder.iterdir())
    with pytest.raises(Cancelled):
        strongest.of_run(run, dataset, cancel)

    def refused(*paths):
        raise PermissionError("read-only")

    monkeypatch.setattr(os, "replace", refused)
    assert strongest.of_run(run, dataset)["fc"].image_numbers.shape == (10, strongest.COUNT)
    assert sorted(run.folder.iterdir()) == before


def test_the_unit_whose_images_are_most_of_one_class():
    """Of the strongest three: unit 0 has two of class 1, unit 1 three of class 4, unit 2 as many of
    class 0; the fourth does not count.
    """
    labels = np.array([1, 1, 4, 4, 4, 0, 0, 0])
    numbers = np.array([[0, 1, 2, 1], [4, 2, 3, 0], [5, 6, 7, 5]], np.int32)
    found = strongest.Strongest(np.zeros((3, 4)), numbers, np.zeros((3, 4, 2)))
    assert strongest.of_one_class(found, labels, 3) == 1
    assert strongest.of_one_class(found, labels, 4) == 2
    assert strongest.of_one_class(found, labels, 2) == 0
