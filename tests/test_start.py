"""What a training starts from, and what it leaves as it was: another run's weights, torchvision's,
frozen layers.
"""

import dataclasses
import json
import shutil
import urllib.error

import numpy as np
import pytest
import torch

from tests.test_training import noise, noise_config, quiet
from vizlib import architectures, datasets
from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.run.events import EventLog
from vizlib.run.weights import load_weights, save_weights
from vizlib.training import start
from vizlib.training.config import make_config
from vizlib.training.loop import carry_on, train
from vizlib.training.order import Order
from vizlib.training.recipes import Recipe, recipe
from vizlib.training.start import freeze, load_all_but_head

BRIEF = Recipe("made", "Made up.", learning_rate=0.01, batch_size=20)
PRETRAINED = Order("resnet18", "pictures", BRIEF, start={"pretrained": "torchvision"})


@pytest.fixture
def first(runs_root):
    """A run on two classes, in the folder of runs."""
    dataset = noise()
    return train(runs_root / "first", noise_config(dataset), dataset, say=quiet)


def snapshot(run, step=0):
    return load_weights(run.path("snapshots.safetensors"))[f"conv1/{step:08d}"]


def learned_nothing(folder, dataset, beginning, **options):
    """A run that keeps its start: at a rate of zero."""
    still = Recipe("still", "Still.", learning_rate=0.0)
    order = Order("three_layer_module", dataset.name, still, start=beginning, **options)
    return train(folder, make_config(order, dataset), dataset, say=quiet)


# From a run


def test_a_start_from_a_run_has_its_weights(runs_root, first):
    run = learned_nothing(runs_root / "second", noise(), {"run": "first"})
    kept, begun = (
        load_weights(first.path("model.safetensors")),
        load_weights(run.path("model.safetensors")),
    )
    assert kept.keys() == begun.keys()
    assert all(torch.equal(kept[name], begun[name]) for name in kept)
    weight = kept["conv1.weight"]  # within what is rounded of a snapshot, and half precision
    assert torch.allclose(snapshot(run), weight, atol=float(weight.abs().max()) / 250)
    assert not torch.equal(snapshot(first), kept["conv1.weight"])
    assert run.config.start == {"run": "first"}
    assert (
        run.events_of("finished")[0]["test_accuracy"]
        == first.events_of("finished")[0]["test_accuracy"]
    )


def test_other_classes_keep_all_but_the_head(runs_root, first):
    dataset = noise(classes=3)
    run = learned_nothing(runs_root / "three", dataset, {"run": "first"}, seed=4)
    kept, begun = (
        load_weights(first.path("model.safetensors")),
        load_weights(run.path("model.safetensors")),
    )
    assert begun["fc.weight"].shape == (3, 1024)
    assert begun["fc.bias"].shape == (3,)
    assert all(torch.equal(kept[name], begun[name]) for name in kept if not name.startswith("fc."))
    torch.manual_seed(4)
    random = architectures.create("three_layer_module", **run.config.arguments).state_dict()
    assert torch.equal(begun["fc.weight"], random["fc.weight"].half().float())


@pytest.mark.parametrize(
    ("beginning", "words"),
    [
        ({"run": "nonesuch"}, "no run named 'nonesuch'"),
        ({"run": "../first"}, "no run named '../first'"),
        ({"run": "empty"}, "'empty' has no weights yet: it is queued"),
        ({"run": "other"}, "'other' is a lenet: its weights do not fit three_layer_module"),
        (
            {"pretrained": "torchvision"},
            "torchvision has no pretrained weights of three_layer_module, only of: resnet18",
        ),
        (
            {"pretrained": "timm"},
            "no source of pretrained weights named 'timm'. Possible: torchvision",
        ),
        ({}, "no start named"),
        ({"run": "first", "pretrained": "torchvision"}, "no start named"),
    ],
)
def test_a_start_that_is_not_possible_is_one_sentence(runs_root, first, beginning, words):
    (runs_root / "empty").mkdir()
    (runs_root / "empty" / "config.json").write_text(json.dumps(first.config.as_dict()))
    (runs_root / "other").mkdir()
    (runs_root / "other" / "config.json").write_text(
        json.dumps(first.config.as_dict() | {"architecture": "lenet"})
    )
    (runs_root / "other" / "model.safetensors").write_bytes(
        first.path("model.safetensors").read_bytes()
    )
    with pytest.raises(UserError, match=words):
        make_config(Order("three_layer_module", "noise", BRIEF, start=beginning), noise())


def test_a_run_of_other_pictures_does_not_fit(runs_root, first, tmp_path):
    """Neither grey nor in three colours: said before anything is written."""
    dataset = noise()
    config = dataclasses.replace(noise_config(dataset), start={"run": "wide"})
    wide = architectures.create("three_layer_module", num_classes=2, in_channels=2, image_size=8)
    (runs_root / "wide").mkdir()
    (runs_root / "wide" / "config.json").write_text(json.dumps(first.config.as_dict()))
    save_weights(wide.state_dict(), runs_root / "wide" / "model.safetensors")
    with pytest.raises(
        UserError,
        match="These weights do not fit this network. Of another shape: conv1.weight is "
        "32x2x5x5 in the file and 32x1x5x5",
    ):
        train(runs_root / "bad", config, dataset, say=quiet)
    assert not (runs_root / "bad").exists()


def test_resuming_needs_the_start_no_more(runs_root, first):
    dataset, folder = noise(), runs_root / "second"
    folder.mkdir()
    (folder / "stop").touch()
    order = Order("three_layer_module", "noise", BRIEF, start={"run": "first"})
    config = make_config(order, dataset)
    train(folder, config, dataset, say=quiet)
    begun = snapshot(folders.read_run(folder))
    shutil.rmtree(first.folder)
    (folder / "stop").unlink()
    with EventLog(folder) as log:
        carry_on(folder, log, dataset, say=quiet)
    run = folders.read_run(folder)
    assert run.status == "finished"
    assert torch.equal(snapshot(run), begun)


def test_the_head_is_the_last_layer_of_every_architecture():
    """With other classes all fits but the last layer's weight and bias."""
    for name in ("three_layer_sequential", "lenet", "resnet18", "densenet4"):
        if name not in architectures.names():
            continue
        source, target = (
            architectures.create(name, num_classes=4),
            architectures.create(name, num_classes=7),
        )
        before = {key: tensor.clone() for key, tensor in target.state_dict().items()}
        load_all_but_head(target, source.state_dict())
        after = target.state_dict()
        other = [
            key for key, tensor in source.state_dict().items() if tensor.shape != after[key].shape
        ]
        assert {key.rpartition(".")[0] for key in other} == {other[0].rpartition(".")[0]}
        assert 1 <= len(other) <= 2
        for key, tensor in source.state_dict().items():
            assert torch.equal(after[key], before[key] if key in other else tensor), (name, key)


# From torchvision


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of torch.hub, and no network: cache(content) puts resnet18's file there."""
    from torchvision.models import ResNet18_Weights

    def no_network(*arguments, **options):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "urlopen", no_network)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    path = tmp_path / "hub" / "checkpoints" / ResNet18_Weights.DEFAULT.url.rpartition("/")[2]

    def fill(content):
        path.parent.mkdir(parents=True)
        path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)

    return fill


def pictures(channels=3):
    """A Dataset of large noise of two classes."""
    small = noise(count=4)
    splits = {
        part: datasets.Split(
            np.zeros((len(split), 32, 32, channels), np.uint8) + 100, split.labels, split.image_ids
        )
        for part, split in small.splits.items()
    }
    return datasets.Dataset(
        "large",
        ["a", "b"],
        (channels, 32, 32),
        [0.4] * channels,
        [0.2] * channels,
        splits,
        "made up",
    )


def test_torchvisions_weights_come_from_its_cache(cache):
    """All of them but the head, which is of a thousand classes; and pictures are normalised as they
    were for these weights.
    """
    from torchvision.models import resnet18

    torch.manual_seed(1)
    source = resnet18().state_dict()
    cache(source)
    config = make_config(PRETRAINED, pictures())
    assert config.mean == [0.485, 0.456, 0.406]
    assert config.std == [0.229, 0.224, 0.225]
    assert config.input_size == [3, 224, 224]
    model = start.starting_model(config, images=None).state_dict()
    assert model["fc.weight"].shape == (2, 512)
    assert all(
        torch.equal(model[name], tensor)
        for name, tensor in source.items()
        if not name.startswith("fc.")
    )


def test_without_a_network_it_says_where_to_put_the_file(cache, tmp_path):
    config = make_config(PRETRAINED, pictures())
    with pytest.raises(
        UserError,
        match=r"^torchvision's weights of resnet18 .*hub/checkpoints/resnet18-\w+.pth.* cannot be "
        r"downloaded. Put https://\S+/resnet18-\w+.pth there, or",
    ):
        start.starting_model(config, images=None)
    assert list((tmp_path / "hub").rglob("*.*")) == []


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"PK\x03\x04" + bytes(50), b"\x80\x02garbage."]
)
def test_a_damaged_file_in_the_cache_is_one_sentence(cache, content):
    cache(content)
    config = make_config(PRETRAINED, pictures())
    with pytest.raises(UserError, match="resnet18"):
        start.starting_model(config, images=None)


def test_a_start_for_colours_answers_to_grey_as_to_three_equal_channels(cache):
    from torchvision.models import resnet18

    torch.manual_seed(1)
    source = resnet18(num_classes=2)
    cache(source.state_dict())
    config = make_config(PRETRAINED, pictures(channels=1))
    assert config.mean == [pytest.approx((0.485 + 0.456 + 0.406) / 3, abs=1e-4)]
    assert len(config.std) == 1
    model = start.starting_model(config, images=None)
    grey = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(
        model.eval()(grey), source.eval()(grey.expand(-1, 3, -1, -1)), rtol=1e-3, atol=1e-3
    )


# Frozen layers


def test_frozen_layers_and_their_statistics_do_not_change(tmp_path):
    dataset, frozen = noise(), 3
    made = Recipe("made", "Made up.", learning_rate=0.1, batch_size=20)
    config = make_config(Order("resnet32", dataset.name, made, frozen=frozen), dataset)
    run = train(tmp_path / "run", config, dataset, say=quiet)
    torch.manual_seed(0)
    begun = architectures.create("resnet32", **config.arguments)
    convolutions = [
        name for name, module in begun.named_modules() if isinstance(module, torch.nn.Conv2d)
    ]
    modules = [
        name
        for name, module in begun.named_modules()
        if not list(module.children()) and list(module.state_dict())
    ]
    kept = modules[: modules.index(convolutions[frozen])]
    assert len(kept) == 2 * frozen  # each with its normalisation
    after = load_weights(run.path("model.safetensors"))
    for name, tensor in begun.state_dict().items():
        same = torch.equal(
            after[name], tensor.half().float() if tensor.is_floating_point() else tensor
        )
        if name.rpartition(".")[0] in kept:
            assert same, name
        elif name.endswith(("weight", "running_mean", "num_batches_tracked")):
            assert not same, name
    assert run.events_of("started")[0]["layers"] == [*convolutions[frozen:], modules[-1]]
    assert len(run.events_of("gradients")[0]["norms"]) == len(convolutions) - frozen + 1


def test_all_convolutions_frozen_leaves_the_last_layer(tmp_path):
    dataset = noise()
    order = Order("three_layer_module", dataset.name, recipe("adamw", epochs=1), frozen=2)
    config = make_config(order, dataset)
    run = train(tmp_path / "run", config, dataset, say=quiet)
    assert run.events_of("started")[0]["layers"] == ["fc"]
    assert torch.equal(snapshot(run), snapshot(run, 1))
    assert run.status == "finished"


@pytest.mark.parametrize("count", [-1, 3, 99])
def test_freezing_too_many_is_one_sentence(tmp_path, count):
    with pytest.raises(
        UserError, match=rf"^Cannot freeze {count} convolutions: between 0 and 2 is possible.$"
    ):
        freeze(architectures.create("three_layer_functional"), count)
    assert freeze(architectures.create("lenet"), 0) == []


def test_every_architecture_can_be_frozen():
    """However many convolutions are frozen, the last layer is trained."""
    for name in architectures.names():
        with torch.device("meta"):  # shapes are enough
            model = architectures.create(name)
        count = sum(
            getattr(getattr(module, "weight", None), "ndim", 0) == 4 for module in model.modules()
        )
        for frozen in (1, count // 2, count):
            for parameter in model.parameters():
                parameter.requires_grad_(True)
            freeze(model, frozen)
            weights = [parameter for parameter in model.parameters() if parameter.ndim > 1]
            assert weights[-1].requires_grad, (name, frozen)
            assert not weights[0].requires_grad, (name, frozen)
            assert (
                sum(not weight.requires_grad for weight in weights if weight.ndim == 4) == frozen
            ), (name, frozen)
