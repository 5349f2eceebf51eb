"""Every cache notices when what it read is another: a file of the same size with a new time, and
the page shows what is in it now. The module is walked, so a new cache is covered here or fails.
"""

import dataclasses
import inspect
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from streamlit.runtime.caching.cache_utils import CachedFunc

from vizlib import architectures, datasets, images
from vizlib.bring.answers import read_answers
from vizlib.displays.feature_maps import FeatureMapsDisplay
from vizlib.inside import activations, attribution, strongest
from vizlib.inside.layers import layer_table
from vizlib.inside.model import load_model, randomised
from vizlib.inside.receptive_fields import effective
from vizlib.run import first_look, folders, moments
from vizlib.run.predictions import load_predictions
from vizlib.run.verdict import judge
from vizlib.run.weights import save_weights
from vizlib.ui.data import caches
from vizlib.ui.frame.image_picker import Picture

LAYER, UNIT, POSITION, TARGET = "conv2", 5, (3, 1), 7
LONG_AGO = 1_700_000_000_000_000_000  # nanoseconds
BY_TIME = {
    "dataset_names": 30,
    "dataset_problems": 30,
    "unusable_datasets": 30,
    "dataset": 600,
    "data_set": 600,
    "picture_sizes": 600,
    "class_samples": 600,
    "class_sheets": 600,
}  # read anew after so many seconds
OF_A_RUN = {"dataset"}


def picture(seed: int = 3) -> Picture:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 1), dtype=np.uint8)
    return Picture(pixels, pixels, "noise")


# What is put into the folder of the run: the first state, and the second


def copied(folder, run_id):
    """A run folder, all of it of one time."""
    shutil.copytree(folders.SHIPPED / run_id, folder, dirs_exist_ok=True)
    for path in folder.iterdir():
        os.utime(path, ns=(0, LONG_AGO))


def random_weights(folder, seed):
    """Weights of the same names and shapes, so a file of the same size."""
    random = np.random.default_rng(seed)
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    drawn = {
        name: (0.2 * random.normal(size=tensor.shape)).astype(tensor.dtype)
        for name, tensor in sorted(tensors.items())
    }
    safetensors.numpy.save_file(drawn, folder / "model.safetensors")


def random_predictions(folder, seed):
    random = np.random.default_rng(seed)
    np.savez(
        folder / "predictions.npz",
        labels=random.integers(0, 10, 60).astype(np.int16),
        logits=random.normal(size=(60, 10)).astype(np.float16),
        image_ids=np.array([f"image {number:02d}" for number in range(60)]),
    )


def random_snapshots(folder, seed):
    """Of other steps and layers each time, with names of the same lengths."""
    random, step, layer = np.random.default_rng(seed), f"{30 + seed:08d}", f"conv{seed}"
    tensors = {
        f"conv1/{step}": random.normal(size=(4, 1, 3, 3)).astype(np.float32),
        "probe/picture": random.integers(0, 256, (8, 8, 1), dtype=np.uint8),
        f"probe/{step}/{layer}": random.integers(0, 256, (3, 4, 4), dtype=np.uint8),
        f"range/{step}/{layer}": np.array([-1 - seed, 2 + seed], np.float32),
    }
    safetensors.numpy.save_file(tensors, folder / "snapshots.safetensors")


def other_network(folder, seed):
    copied(folder, ("three_layer_module", "airbench")[seed - 1])


def configured(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def other_arguments(folder, seed):
    """The same architecture for ten or twenty classes, with weights that fit."""
    arguments = {"num_classes": 10 * seed, "in_channels": 1, "image_size": 8}
    configured(folder, arguments=arguments)
    weights = architectures.create("three_layer_module", **arguments).state_dict()
    save_weights(weights, folder / "model.safetensors")
    os.utime(folder / "model.safetensors", ns=(0, LONG_AGO))


def other_numbers(folder, seed):
    """Other numbers in the preparation of images and in the verdict."""
    configured(folder, mean=[0.1 * seed], std=[0.2 + 0.1 * seed], ordered=seed == 2)


def other_shapes(folder, seed):
    """The same tensors, the second time with their axes turned around."""
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    turned = {name: np.ascontiguousarray(tensor.T) for name, tensor in tensors.items()}
    safetensors.numpy.save_file([tensors, turned][seed - 1], folder / "model.safetensors")


def in_colour(folder, seed):
    """Weights of which one tensor alone can be filters of a picture in colour."""
    random = np.random.default_rng(seed)
    shapes = {"a": (4, 8, 3, 3), "b": (2, 3, 3, 3), "c": (5, 3, 1, 1)}
    drawn = {name: random.normal(size=shape).astype(np.float16) for name, shape in shapes.items()}
    safetensors.numpy.save_file(drawn, folder / "model.safetensors")


def random_first_look(folder, seed):
    """Ten answers and the maps of one layer, whose place it says."""
    random, name = np.random.default_rng(seed), f"relu{seed}"
    tensors = {
        "probabilities": random.random(10).astype(np.float32),
        f"maps/{name}": random.integers(0, 256, (3, 4, 5), dtype=np.uint8),
        f"range/{name}": np.array([-1, 2], np.float32),
        f"rows/{name}": random.integers(0, 8, (4, 2), dtype=np.int32),
        f"columns/{name}": random.integers(0, 8, (5, 2), dtype=np.int32),
    }
    notes = {"photograph": "cat", "layers": json.dumps([[name, "layer 1 of 2"]])}
    safetensors.numpy.save_file(tensors, folder / first_look.FIRST_LOOK, notes)


def other_filters(folder, seed):
    """As many weights in filters that lie, or stand."""
    tensors = {"conv1/00000030": np.ones((4, 1, 2 + seed, 5 - seed), np.float32)}
    safetensors.numpy.save_file(tensors, folder / "snapshots.safetensors")


WRITERS = {
    "first_look.safetensors": random_first_look,
    "model.safetensors": random_weights,
    "predictions.npz": random_predictions,
    "snapshots.safetensors": random_snapshots,
    "config.json": other_network,
}


@dataclass(frozen=True)
class Watched:
    """cached(run): what the cache answers; true(run): the same without any cache. file: what they
    read. write(folder, 1 or 2): puts one of two states of it there.
    """

    file: str
    cached: Callable[[folders.Run], Any]
    true: Callable[[folders.Run], Any]
    write: Callable[[Path, int], None] | None = None

    def put(self, folder: Path, seed: int) -> folders.Run:
        return put(folder, self.file, seed, self.write)


def first_weight(model):
    return next(iter(model.state_dict().values())).float().numpy()


def last_weight(model):
    return list(model.state_dict().values())[-1].numpy()


def network_input(run, shown):
    return images.to_network_input(shown.received, run.input_size, run.config.mean, run.config.std)[
        1
    ]


def true_logits(run, model=None):
    model = model or load_model(run)
    return activations.forward(model, network_input(run, picture()))[0].numpy()


def true_probabilities(run):
    shares = np.exp(true_logits(run).astype(np.float64))
    return shares / shares.sum()


def true_maps(run):
    return activations.capture(load_model(run), network_input(run, picture()), [LAYER])[1][LAYER][0]


def true_evidence(run, model):
    return attribution.evidence(model, network_input(run, picture()), TARGET, "occlusion").values


def true_table(run):
    fresh = architectures.create(run.config.architecture, **run.config.arguments)
    return layer_table(activations.prepare(fresh), run.input_size)


def true_unit_layers(run):
    table = true_table(run)
    return [row.name for row in table if row.is_convolution] + [table[-1].name]


def true_shapes(run):
    fresh = architectures.create(run.config.architecture, **run.config.arguments)
    return [tuple(weight.shape) for weight in fresh.parameters()]


def stored_shapes(run):
    tensors = safetensors.numpy.load_file(run.path("model.safetensors"))
    return {name: tensor.shape for name, tensor in tensors.items()}


def true_filters(run):
    return safetensors.numpy.load_file(run.path("model.safetensors"))["b"].astype(np.float32)


def stored_step(run):
    [step] = moments.filters(run)
    return step, moments.probe_layers(run)[step][0]


def no_display(maps):
    return FeatureMapsDisplay.from_activation(maps.numpy(), (0, 1))


WATCHED = {
    "_model": Watched(
        "model.safetensors",
        lambda run: first_weight(caches._model(run)),
        lambda run: first_weight(load_model(run)),
    ),
    "_shapes": Watched(
        "config.json",
        lambda run: [tuple(weight.shape) for weight in caches._shapes(run).parameters()],
        true_shapes,
        other_arguments,
    ),
    "layers": Watched("config.json", caches.layers, true_table, other_arguments),
    "unit_layers": Watched("config.json", caches.unit_layers, true_unit_layers),
    "rectifiers": Watched(
        "config.json",
        lambda run: caches.rectifiers(run).with_rule,
        lambda run: () if run.config.architecture == "airbench" else ("ReLU",),
    ),
    "weight_shapes": Watched(
        "model.safetensors", caches.weight_shapes, stored_shapes, other_shapes
    ),
    "colour_filters": Watched("model.safetensors", caches.colour_filters, true_filters, in_colour),
    "control": Watched(
        "config.json",
        lambda run: last_weight(caches.control(run)),
        lambda run: last_weight(randomised(run)),
        other_arguments,
    ),
    "predictions": Watched(
        "predictions.npz",
        lambda run: caches.predictions(run).logits,
        lambda run: load_predictions(run.path("predictions.npz"), 10).logits,
    ),
    "answers_table": Watched(
        "predictions.npz",
        lambda run: read_answers(caches.answers_table(run)).confusion(),
        lambda run: load_predictions(run.path("predictions.npz"), 10).confusion(),
    ),
    "verdict": Watched(
        "predictions.npz",
        lambda run: caches.verdict(run).kappa,
        lambda run: (
            judge(
                load_predictions(run.path("predictions.npz"), 10).confusion(),
                run.class_names,
                ordered=run.config.ordered,
            ).kappa
        ),
    ),
    "answer": Watched(
        "model.safetensors", lambda run: caches.answer(run, picture())[0], true_probabilities
    ),
    "feature_maps": Watched(
        "model.safetensors",
        lambda run: caches.feature_maps(run, picture(), LAYER)[0].maps,
        lambda run: true_maps(run).numpy(),
    ),
    "maps_atlas": Watched(
        "model.safetensors",
        lambda run: caches.maps_atlas(run, picture(), LAYER, "map").tiles,
        lambda run: no_display(true_maps(run)).picture("map").tiles,
    ),
    "convolved": Watched(
        "model.safetensors",
        lambda run: caches.convolved(run, picture(), LAYER, UNIT).output,
        lambda run: true_maps(run)[UNIT].numpy(),
    ),
    "effective_field": Watched(
        "model.safetensors",
        lambda run: caches.effective_field(run, picture(), LAYER, UNIT, POSITION)[0],
        lambda run: effective(
            load_model(run), network_input(run, picture()), LAYER, UNIT, POSITION
        ),
    ),
    "logits": Watched(
        "model.safetensors", lambda run: caches.logits(run, picture(), False), true_logits
    ),
    "evidence": Watched(
        "model.safetensors",
        lambda run: caches.evidence(run, picture(), TARGET, "occlusion", False).values,
        lambda run: true_evidence(run, load_model(run)),
    ),
    "snapshots": Watched(
        "snapshots.safetensors",
        lambda run: list(caches.snapshots(run).values()),
        lambda run: list(moments.filters(run).values()),
    ),
    "filters_shape": Watched(
        "snapshots.safetensors", caches.filters_shape, moments.filters_shape, other_filters
    ),
    "first_look": Watched(
        "first_look.safetensors",
        lambda run: caches.first_look(run).depths[0].maps,
        lambda run: first_look.read(run).depths[0].maps,
    ),
    "probe_layers": Watched("snapshots.safetensors", caches.probe_layers, moments.probe_layers),
    "probe_picture": Watched("snapshots.safetensors", caches.probe_picture, moments.probe_picture),
    "probe_maps": Watched(
        "snapshots.safetensors",
        lambda run: caches.probe_maps(run, *stored_step(run)).maps,
        lambda run: moments.probe_maps(run, *stored_step(run))[0],
    ),
}
WITH_A_TEST_OF_ITS_OWN = {
    "runs_at",
    "strongest",
    "unit_of_one_class",
    "held_out",
    "is_tested_on_shipped",
}


def equal(first, second):
    if isinstance(first, (np.ndarray, float)) or (
        isinstance(first, list) and first and isinstance(first[0], np.ndarray)
    ):
        first, second = np.asarray(first, float), np.asarray(second, float)
        return first.shape == second.shape and np.allclose(first, second, rtol=1e-4, atol=1e-6)
    return first == second


@pytest.fixture
def folder(root):
    """A copy of the network that reads digits, whose files may be written."""
    copied(root / "mine", "digits_three_layer")
    return root / "mine"


def put(folder, file, seed, write=None):
    """One of two states of a file, the second with a later time."""
    (write or WRITERS[file])(folder, seed)
    os.utime(folder / file, ns=(0, LONG_AGO + seed))
    return folders.read_run(folder)


def is_kept(value):
    return hasattr(value, "cache_key")


def found_here():
    return {
        name: value
        for name, value in vars(caches).items()
        if isinstance(value, CachedFunc) or is_kept(value)
    }


def test_every_cache_is_watched():
    assert set(found_here()) == {*WATCHED, *BY_TIME, *WITH_A_TEST_OF_ITS_OWN}


@pytest.mark.parametrize("name", BY_TIME)
def test_what_no_file_tells_is_read_anew_after_a_time(name):
    cached = found_here()[name]
    if is_kept(cached):
        run = folders.open_run("lenet")
        assert cached.cache_key(run if name in OF_A_RUN else "digits")[0] == BY_TIME[name]
    else:
        assert cached._info.ttl == BY_TIME[name]


def test_runs_are_listed_anew_after_a_time(root, monkeypatch):
    now = 1000.5
    monkeypatch.setattr(caches, "time", SimpleNamespace(monotonic=lambda: now))
    before = len(caches.run_list()[0])
    copied(root / "mine", "digits_three_layer")
    assert len(caches.run_list()[0]) == before
    now += caches.LIST_SECONDS
    assert len(caches.run_list()[0]) == before + 1


def test_no_argument_is_left_out_of_a_key():
    """Streamlit leaves out those whose names begin with an underscore."""
    for name, cached in found_here().items():
        arguments = inspect.signature(cached).parameters
        assert not [one for one in arguments if one.startswith("_")], name


@pytest.mark.parametrize("name", WATCHED)
def test_a_cache_notices_another_file_of_the_same_size(folder, name):
    watched = WATCHED[name]
    first = watched.put(folder, 1)
    size = first.path(watched.file).stat().st_size
    before = watched.cached(first)
    assert equal(before, watched.true(first))
    assert equal(watched.cached(folders.read_run(folder)), before)
    second = watched.put(folder, 2)
    after = watched.cached(second)
    assert not equal(after, before)
    assert equal(after, watched.true(second))
    if watched.file != "config.json":
        assert second.path(watched.file).stat().st_size == size


@pytest.mark.parametrize(
    "name",
    [
        "answer",
        "logits",
        "feature_maps",
        "maps_atlas",
        "convolved",
        "effective_field",
        "evidence",
        "verdict",
    ],
)
def test_a_cache_notices_another_configuration(folder, name):
    """Of the same weights: images prepared otherwise, classes that have an order."""
    watched = WATCHED[name]
    before = watched.cached(put(folder, "config.json", 1, other_numbers))
    second = put(folder, "config.json", 2, other_numbers)
    assert not equal(watched.cached(second), before)
    assert equal(watched.cached(second), watched.true(second))


def test_the_strongest_images_are_those_of_the_weights_and_of_their_file(folder):
    data = datasets.load("digits")

    def values():
        index = caches.strongest(folders.read_run(folder))
        return None if index is None else index[LAYER].values

    def unit():
        return caches.unit_of_one_class(folders.read_run(folder), LAYER, 9)

    def expected_unit(found):
        labels = caches.held_out(folders.read_run(folder)).labels
        return strongest.of_one_class(found, labels, 9)

    first = put(folder, "model.safetensors", 1)
    assert values() is None
    assert unit() is None
    found = strongest.of_run(first, data, lambda share: None)[LAYER].values
    before = values()
    assert equal(before, found)
    assert unit() == expected_unit(caches.strongest(first)[LAYER])
    second = put(folder, "model.safetensors", 2)
    assert values() is None, "the file is of the weights that were there before"
    found = strongest.of_run(second, data, lambda share: None)[LAYER].values
    assert equal(values(), found)
    assert not equal(found, before)
    assert unit() == expected_unit(caches.strongest(second)[LAYER])


def test_the_held_out_images_are_those_of_the_run_s_own_file(folder):
    data = datasets.load("digits")
    for numbers in (slice(3, 40), slice(100, 137)):
        ids = data.splits["test"].image_ids[numbers]
        np.savez(
            folder / "images.npz",
            image_ids=ids,
            digests=np.zeros(37, np.uint64),
            parts=np.full(37, 2, np.uint8),
        )
        if numbers.start == 3:
            os.utime(folder / "images.npz", ns=(0, LONG_AGO))
        held_out = caches.held_out(folders.read_run(folder))
        assert held_out.image_ids.tolist() == ids.tolist()


def test_whether_a_run_was_tested_on_pictures_that_ship_is_by_its_own_files(root):
    copied(root / "mine", "lenet")
    assert caches.is_tested_on_shipped(folders.read_run(root / "mine"))
    np.savez(
        root / "mine/images.npz",
        image_ids=np.array(["test/3", "train/17"]),
        digests=np.zeros(2, np.uint64),
        parts=np.array([2, 0], np.uint8),
    )
    assert not caches.is_tested_on_shipped(folders.read_run(root / "mine"))


def test_runs_of_one_form_share_a_control(runs_root):
    """It is as large as the network, and says nothing of what was learned."""
    for name in ("one", "another"):
        shutil.copytree(folders.SHIPPED / "lenet", runs_root / name)
    one, another, of_five = map(folders.open_run, ("one", "another", "collapsed_lenet"))
    assert caches.control(another) is caches.control(one)
    assert len(last_weight(caches.control(of_five))) == 5 != len(last_weight(caches.control(one)))


@pytest.mark.parametrize("is_control", [False, True])
def test_a_network_and_its_control_are_kept_apart(folder, is_control):
    run = put(folder, "model.safetensors", 1)
    other = caches.logits(run, picture(), not is_control)
    model = randomised(run) if is_control else load_model(run)
    found = caches.logits(run, picture(), is_control)
    assert equal(found, true_logits(run, model))
    assert not equal(found, other)
    evidence = caches.evidence(run, picture(), TARGET, "occlusion", is_control).values
    assert equal(evidence, true_evidence(run, model))


def test_each_picture_has_its_own_answer(folder):
    run = put(folder, "model.safetensors", 1)
    first, second = (caches.logits(run, picture(seed), False) for seed in (3, 4))
    assert not equal(first, second)


def test_two_runs_are_kept_apart(root, folder):
    """Though their files are of one size and time."""
    first = put(folder, "model.safetensors", 1)
    copied(root / "other", "digits_three_layer")
    second = put(root / "other", "model.safetensors", 2)
    for run in (first, second):
        os.utime(run.path("model.safetensors"), ns=(0, LONG_AGO))
    assert equal(caches.logits(first, picture(), False), true_logits(first))
    assert equal(caches.logits(second, picture(), False), true_logits(second))


def test_the_same_weights_in_another_form_are_kept_apart(folder):
    run = folders.read_run(folder)
    digits = dataclasses.replace(run.config, architecture="three_layer_functional")
    form = run.in_form_of(folders.Run(folder, digits))
    kinds = [type(caches.model(one)).__name__ for one in (run, form)]
    assert kinds[0] != kinds[1]


def test_a_list_that_was_begun_before_a_run_does_not_hide_it(runs_root, monkeypatch):
    """Another page lists the runs while this one starts a training, and is ready later."""
    monkeypatch.setattr(caches, "LIST_SECONDS", 1e9)  # all within one moment
    whole, begun = folders.list_runs, []

    def list_runs():
        found = whole()
        if not begun:
            begun.append(copied(runs_root / "new", "lenet"))
            caches.look_anew()
        return found

    monkeypatch.setattr(folders, "list_runs", list_runs)
    assert "new" not in [run.run_id for run in caches.run_list()[0]]
    assert "new" in [run.run_id for run in caches.run_list()[0]]
