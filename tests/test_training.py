"""Recipes, batches and the loop: closed forms, every picture once an epoch, and what a run leaves however it ends."""

import json
import math

import numpy as np
import pytest
import torch
from torchvision.transforms import Compose, Normalize, ToTensor

from vizlib import architectures, datasets
from vizlib.errors import UserError
from vizlib.predictions import load_predictions, predict
from vizlib.runs import read_run
from vizlib.training import loop
from vizlib.training.batches import Batches
from vizlib.training.events import EventLog
from vizlib.training.loop import evaluate, make_config, train
from vizlib.training.recipes import OPTIMISERS, RECIPES, SCHEDULES, Recipe, learning_rate, recipe
from vizlib.weights import load_into, load_weights

# Recipes


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_possible(name):
    chosen = recipe(name)
    assert chosen.name == name and chosen.optimiser in OPTIMISERS and chosen.schedule in SCHEDULES and chosen.summary.endswith(".")
    assert max(learning_rate(chosen, progress / 1000) for progress in range(1001)) == pytest.approx(chosen.learning_rate)


@pytest.mark.parametrize(
    "schedule, shares",
    [
        ("constant", {0: 1, 0.3: 1, 1: 1}),
        ("cosine", {0: 1, 1 / 3: 0.75, 0.5: 0.5, 1: 0}),
        ("one_cycle", {0: 0.05, 0.1: 0.525, 0.2: 1, 0.6: 0.5, 1: 0, 0.8: 0.5 - math.cos(math.pi / 4) / 2}),
    ],
)
def test_rates_of_a_schedule(schedule, shares):
    chosen = Recipe("", "", schedule=schedule, learning_rate=0.4)
    for progress, share in shares.items():
        assert learning_rate(chosen, progress) == pytest.approx(0.4 * share, abs=1e-12)


def test_values_that_are_not_possible():
    assert recipe("sgd", epochs=None, learning_rate=0.5) == Recipe("sgd", RECIPES["sgd"].summary, learning_rate=0.5)
    with pytest.raises(UserError, match="no recipe named 'adam'. Possible: sgd, .*adamw"):
        recipe("adam")
    for key, value in (("epochs", 0), ("epochs", 10_001), ("batch_size", 0), ("learning_rate", -0.1), ("learning_rate", math.nan), ("learning_rate", math.inf)):
        with pytest.raises(UserError, match=f"^{key.replace('_', ' ')} {value} is not possible: between"):
            recipe("sgd", **{key: value})


# Batches

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


def pictures(count=23, side=16):
    generator = np.random.default_rng(0)
    images = generator.integers(1, 256, (count, 3, side, side), dtype=np.uint8)
    return torch.from_numpy(images), torch.arange(count)  # the label tells which picture it is


def batches(augment, seed=0, **sizes):
    images, labels = pictures(**sizes)
    return Batches(images, labels, MEAN, STD, batch_size=5, augment=augment, mirrors=True, generator=torch.Generator().manual_seed(seed))


def epoch(source):
    parts = list(source)
    return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts]), [len(labels) for _, labels in parts]


def test_plain_batches_are_totensor_and_normalize():
    images, labels, sizes = epoch(batches(augment=False))
    assert sorted(labels.tolist()) == list(range(23)) != labels.tolist() and sizes == [5, 5, 5, 4, 4] and len(batches(False)) == 5
    transform = Compose([ToTensor(), Normalize(MEAN, STD)])
    for image, label in zip(images, labels):
        assert torch.allclose(image, transform(pictures()[0][label].permute(1, 2, 0).numpy()), atol=1e-5)
    assert next(iter(batches(False)))[0].is_contiguous(memory_format=torch.channels_last)


def test_augmented_images_are_one_of_25_crops_flipped_or_not():
    source, used = pictures(), set()
    loader = batches(augment=True)
    for _ in range(12):
        images, labels, _ = epoch(loader)
        assert sorted(labels.tolist()) == list(range(23))
        pixels = (images * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)).mul(255).round().to(torch.uint8)
        for image, label in zip(pixels, labels):
            padded = np.pad(source[0][label].numpy(), [(0, 0), (2, 2), (2, 2)])  # an eighth of sixteen
            crops = [(y, x, flip) for y in range(5) for x in range(5) for flip in (1, -1) if np.array_equal(padded[:, y : y + 16, x : x + 16][:, :, ::flip], image)]
            assert len(crops) == 1
            used.add(crops[0])
    assert {flip for _, _, flip in used} == {1, -1} and {y for y, _, _ in used} == {x for _, x, _ in used} == set(range(5))


@pytest.mark.parametrize("augment", [False, True])
def test_one_seed_gives_one_order(augment):
    first, again, other = (batches(augment, seed) for seed in (1, 1, 2))
    for _ in range(2):
        images, labels, _ = epoch(first)
        assert torch.equal(images, epoch(again)[0]) and labels.tolist() != epoch(other)[1].tolist()
    assert not torch.equal(labels, epoch(first)[1])  # and another one each epoch


def test_step_events_are_few(tmp_path):
    log = EventLog(tmp_path)
    assert sum(log.step_is_due(step, 10**6) for step in range(1, 50_000)) <= 1 + 50_000 * 600 // 10**6
    log.close()


# The loop


def digits_config(epochs=2, name="adamw", **changes):
    return make_config("three_layer_module", datasets.load("digits"), recipe(name, epochs=epochs, **changes))


def quiet(line):
    pass


def without_times(run):
    """The events that do not depend on how fast this machine is."""
    kept = [row for row in run.events if row["event"] != "step"]
    return [{key: value for key, value in row.items() if key not in ("time", "seconds")} for row in kept]


def test_it_learns(tmp_path):
    said = []
    run = train(tmp_path / "run", digits_config(epochs=3), say=said.append)
    assert run.best["val_accuracy"] > 0.8 and run.rows("finished")[0]["test_accuracy"] > 0.8
    assert len(said) == 4 and said[0].startswith("epoch   1/3")


def test_events_come_in_order(tiny_run):
    names = [row["event"] for row in tiny_run.events]
    assert names[0] == "started" and names[-1] == "finished" and names.count("started") == names.count("finished") == 1
    assert [name for name in names if name == "epoch"] == ["epoch"] * 2 and names[names.index("epoch") + 1] == "checkpoint"
    steps = [row["step"] for row in tiny_run.events if "step" in row]
    times = [row["time"] for row in tiny_run.events]
    assert steps == sorted(steps) and times == sorted(times)
    started = tiny_run.rows("started")[0]
    assert started["train_images"] + started["val_images"] == sum(started["train_counts"]) + 143 == 1437 and started["test_images"] == 360
    assert started["steps"] == tiny_run.rows("epoch")[-1]["step"] == 2 * math.ceil(1294 / 64)
    assert started["parameters"] == 32 * 26 + 16 * (32 * 9 + 1) + 10 * (16 * 64 + 1)
    step = tiny_run.rows("step")[0]
    assert step["step"] == 1 and step["learning_rate"] == pytest.approx(0.05 * 2e-3) and step["train_loss"] > 1


def test_the_best_epoch_is_kept(tmp_path):
    """At a rate far too high the accuracy goes up and down: the weights are those of the first best epoch."""
    config = digits_config(epochs=6, learning_rate=0.08)
    run = train(tmp_path / "run", config, say=quiet)
    accuracies = [row["val_accuracy"] for row in run.rows("epoch")]
    assert run.best["epoch"] == 1 + int(np.argmax(accuracies)) and run.best["val_accuracy"] == max(accuracies)
    assert [row["val_accuracy"] for row in run.rows("checkpoint")] == sorted({*np.maximum.accumulate(accuracies)})
    model = load_into(architectures.create("three_layer_module", **config["arguments"]), load_weights(run.path("model.safetensors")))
    dataset = datasets.load("digits")
    held_out = datasets.hold_out(dataset.splits["train"], config["validation"], 0)[1]
    right = predict(model, held_out.images((1, 8, 8)), dataset.mean, dataset.std).argmax(1) == held_out.labels
    assert right.mean() == pytest.approx(max(accuracies), abs=1.5 / len(right))  # the weights are kept in float16


def test_predictions_are_those_of_the_saved_weights(tiny_run):
    config, test = tiny_run.config, datasets.load("digits").splits["test"]
    model = load_into(architectures.create("three_layer_module", **config["arguments"]), load_weights(tiny_run.path("model.safetensors")))
    mean, std = config["mean"][0], config["std"][0]
    with torch.no_grad():
        logits = model.eval()(torch.tensor((test.pictures.transpose(0, 3, 1, 2) / 255 - mean) / std, dtype=torch.float32))
    predictions = load_predictions(tiny_run.path("predictions.npz"), 10)
    assert np.allclose(predictions.logits, logits, rtol=2e-3, atol=2e-2)
    assert np.array_equal(predictions.labels, test.labels) and list(predictions.image_ids) == list(test.image_ids)
    again = evaluate(tiny_run.folder, config, datasets.load("digits"))
    assert np.array_equal(again.logits.astype(np.float16), predictions.logits)


def test_validation_and_test_images_are_never_trained_on():
    dataset = datasets.load("digits")
    training, validation = datasets.hold_out(dataset.splits["train"], digits_config()["validation"], 0)
    parts = [set(split.image_ids) for split in (training, validation, dataset.splits["test"])]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1797


def test_one_seed_gives_one_run(tmp_path, tiny_run):
    again = train(tmp_path / "again", digits_config(), say=quiet)
    assert without_times(again) == without_times(tiny_run) and again.config == tiny_run.config
    assert again.path("model.safetensors").read_bytes() == tiny_run.path("model.safetensors").read_bytes()
    other = train(tmp_path / "other", {**digits_config(epochs=1), "seed": 1}, say=quiet)
    assert without_times(other)[1] != without_times(tiny_run)[1]


def test_a_run_is_never_overwritten(tiny_run):
    before = {path.name: path.read_bytes() for path in tiny_run.folder.iterdir()}
    with pytest.raises(UserError, match="holds a run already"):
        train(tiny_run.folder, digits_config(), say=quiet)
    assert {path.name: path.read_bytes() for path in tiny_run.folder.iterdir()} == before


def ended(folder):
    """The last event of a run that did not finish; there is exactly one such."""
    run = read_run(folder)
    ends = [row for row in run.events if row["event"] in ("finished", "stopped", "failed")]
    assert ends == run.events[-1:] and ends[0]["reason"].endswith((".", "help.")) and "\n" not in ends[0]["reason"]
    assert not list(folder.glob("*.tmp"))
    return run, ends[0]


def test_divergence_is_one_sentence_and_keeps_what_was_there(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(UserError, match="diverged"):
        train(folder, digits_config(name="nesterov", learning_rate=100, epochs=20), say=quiet)
    run, end = ended(folder)
    assert run.status == "failed" and end["reason"].startswith("The loss is not a number after") and "smaller learning rate" in end["reason"]
    assert load_weights(folder / "snapshots.safetensors")["conv1/00000000"].shape == (32, 1, 5, 5) and json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize("first", [30, 41], ids=["within an epoch", "in its last step"])
def test_divergence_later_keeps_the_best_weights(tmp_path, monkeypatch, first):
    """The rate explodes in the second of three epochs, of 21 steps each. After its last step only the validation loss shows it."""
    folder = tmp_path / "run"
    monkeypatch.setattr(loop, "learning_rate", lambda recipe, progress: 1e38 if progress * 63 > first - 0.5 else 1e-3)
    with pytest.raises(UserError, match="diverged"):
        train(folder, digits_config(epochs=3), say=quiet)
    run, end = ended(folder)
    assert run.status == "failed" and len(run.rows("epoch")) == 1 and run.best["epoch"] == 1 and "after 42 steps" in end["reason"]
    assert load_weights(folder / "model.safetensors")


def test_stopped_by_hand(tmp_path):
    folder = tmp_path / "run"

    def stop(line):
        if line.startswith("epoch   2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(folder, digits_config(epochs=5), say=stop)
    run, end = ended(folder)
    assert run.status == "stopped" and len(run.rows("epoch")) == 2 and run.best["epoch"] == 1 and "kept" in end["reason"]
    assert load_weights(folder / "model.safetensors")


def test_an_error_in_the_loop_is_named(tmp_path):
    with pytest.raises(RuntimeError):
        train(tmp_path / "run", digits_config() | {"arguments": {"in_channels": 3, "image_size": 8}}, say=quiet)
    assert ended(tmp_path / "run")[1]["reason"].startswith("RuntimeError: ")


def test_what_cannot_be_built_leaves_nothing_behind(tmp_path):
    for architecture in ("nonesuch", "vgg16_slim"):  # the second needs larger pictures than digits are
        with pytest.raises(UserError):
            train(tmp_path / "run", digits_config() | {"architecture": architecture}, say=quiet)
        assert not (tmp_path / "run").exists()


def test_the_events_are_touched_while_nothing_happens(tmp_path, monkeypatch):
    import os
    import time

    from vizlib.training import events

    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.02)
    log, path = events.EventLog(tmp_path), tmp_path / "events.jsonl"
    os.utime(path, (0, 0))
    deadline = time.monotonic() + 10
    while path.stat().st_mtime < 1 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert path.stat().st_mtime > 1
    log.close()
    time.sleep(0.1)
    os.utime(path, (0, 0))
    time.sleep(0.1)
    assert path.stat().st_mtime < 1, "a closed log is silent"


def test_the_configuration_says_all():
    dataset = datasets.load("digits")
    config = digits_config()
    assert json.loads(json.dumps(config)) == config
    assert config["arguments"] == {"num_classes": 10, "in_channels": 1, "image_size": 8} and config["input_size"] == [1, 8, 8]
    assert config["validation"] == 143 and config["recipe"]["epochs"] == 2 and (config["mean"], config["std"]) == (dataset.mean, dataset.std)
    large = make_config("resnet18", dataset, recipe("sgd"), validation=7, title="t", seed=5)
    assert large["input_size"] == [1, 224, 224] and (large["validation"], large["title"], large["seed"]) == (7, "t", 5)
