"""Held out for ever: a run is never tested on a picture that it learned from, whatever happens to
the folder of its data set afterwards.
"""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from vizlib import datasets
from vizlib.command_line import main
from vizlib.datasets.together import Together, at
from vizlib.errors import UserError
from vizlib.inside.held_out import held_out, learned_from, set_aside
from vizlib.run import folders
from vizlib.run.images import TESTED, TRAINED, VALIDATED, RunImages, load_images, save_images
from vizlib.run.predictions import Predictions, load_predictions, save_predictions
from vizlib.training.config import make_config
from vizlib.training.loop import train
from vizlib.training.order import Order
from vizlib.training.recipes import recipe
from vizlib.training.remembered import remembered, split_again


def write(folder, numbers, classes=("a", "b")):
    """Pictures of noise, each of its own by class and number."""
    for place, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            noise = np.random.default_rng([place, number]).integers(0, 255, (8, 8, 3))
            Image.fromarray(noise.astype(np.uint8)).save(folder / name / f"{number:03d}.png")


def config_for(dataset):
    order = Order("three_layer_module", dataset.name, recipe("adamw", epochs=1))
    return make_config(order, dataset)


def pictures_of(split):
    """The pictures themselves, whatever they are called."""
    return {split.pictures[number].tobytes() for number in range(len(split))}


@pytest.fixture
def small(data_folder, runs_root):
    """folder(layout) of a data set "folder:small"; run() of it, with its images written down as a
    training does, and made-up answers; known(): the pictures it learned from, and those it was
    tested on.
    """

    class Small:
        folder = data_folder / "small"

        def load(self):
            return datasets.load("folder:small")

        def run(self):
            dataset = self.load()
            folder = folders.claim_folder("run", config_for(dataset))
            images = remembered(folder, dataset, config_for(dataset), write=True)
            learned = split_again(dataset, images)
            self.learned = pictures_of(learned[0]) | pictures_of(learned[1])
            self.tested = pictures_of(dataset.splits["test"])
            ids = images.of(TESTED)[0]
            logits = np.random.default_rng(0).normal(size=(len(ids), 2)).astype(np.float16)
            labels = dataset.splits["test"].labels
            save_predictions(folder / "predictions.npz", Predictions(labels, logits, ids))
            return folders.read_run(folder)

    return Small()


def test_what_is_written_down_is_what_is_learned_from(data_folder, runs_root):
    write(data_folder / "small", range(20))
    dataset = datasets.load("folder:small")
    config = config_for(dataset)
    run = train(runs_root / "run", config, dataset, say=lambda line: None)
    images = load_images(run.folder)
    assert np.bincount(images.parts).tolist() == [29, 3, 8]
    assert len(set(images.image_ids)) == 40
    rest, held = datasets.hold_out(dataset.splits["train"], config.validation, config.seed)
    for part, split in ((TRAINED, rest), (VALIDATED, held), (TESTED, dataset.splits["test"])):
        assert images.of(part)[0].tolist() == split.image_ids.tolist()
    [started] = run.events_of("started")
    assert (started["train_images"], started["val_images"], started["test_images"]) == (29, 3, 8)
    predictions = load_predictions(run.path("predictions.npz"), 2)
    assert predictions.image_ids.tolist() == images.of(TESTED)[0].tolist()
    assert run.path("images.npz").stat().st_size < 3000


def test_pictures_that_are_added_change_no_test(small):
    write(small.folder, range(40))
    run = small.run()
    write(small.folder, range(100, 130))
    dataset = small.load()
    assert len(dataset.splits["test"]) == 28
    assert pictures_of(held_out(run, dataset)) == small.tested
    assert not pictures_of(held_out(run, dataset)) & small.learned
    sentence = set_aside(run, dataset)
    test = dataset.splits["test"]
    later = sum(int(str(image_id)[2:5]) >= 100 for image_id in test.image_ids)
    assert f"{later} came after it was tested" in sentence
    again = split_again(dataset, load_images(run.folder))
    assert pictures_of(again[0]) | pictures_of(again[1]) == small.learned


def test_evaluating_a_folder_that_grew_answers_the_same_pictures(data_folder, runs_root, capsys):
    write(data_folder / "small", range(20))
    what = ["-a", "three_layer_module", "-d", "folder:small", "--epochs", "1"]
    assert main(["train", *what, "--name", "run"]) == 0
    path = runs_root / "run" / "predictions.npz"
    before = load_predictions(path, 2)
    write(data_folder / "small", range(100, 140))
    assert main(["evaluate", "run"]) == 0
    printed = capsys.readouterr().out
    assert "accuracy" in printed
    assert "on 8 images" in printed
    assert "are left out for run: " in printed
    after = load_predictions(path, 2)
    assert sorted(after.image_ids) == sorted(before.image_ids)
    order = [list(after.image_ids).index(image_id) for image_id in before.image_ids]
    assert np.allclose(after.logits[order], before.logits, atol=0.01)


@pytest.mark.parametrize("spelling", ["test", "Testing"])
def test_pictures_that_changed_sides_are_known_by_their_bytes(small, spelling):
    for part, numbers in (("train", range(20)), ("test", range(50, 60))):
        write(small.folder / part, numbers)
    run = small.run()
    (small.folder / "test").rename(small.folder / spelling)
    for name in ("a", "b"):
        trained = sorted((small.folder / "train" / name).iterdir())
        for path in trained[:5]:  # copied under a new name, and moved under the old one
            shutil.copy(path, small.folder / spelling / name / f"copy-{path.name}")
        trained[7].rename(small.folder / spelling / name / trained[7].name)
    dataset = small.load()
    assert len(dataset.splits["test"]) == 32
    assert pictures_of(held_out(run, dataset)) == small.tested
    assert "trained or validated on 12" in set_aside(run, dataset)


def test_training_and_test_folders_exchanged(small):
    for part, numbers in (("train", range(20)), ("test", range(50, 60))):
        write(small.folder / part, numbers)
    run = small.run()
    (small.folder / "train").rename(small.folder / "x")
    (small.folder / "test").rename(small.folder / "train")
    (small.folder / "x").rename(small.folder / "test")
    assert pictures_of(held_out(run, small.load())) == small.tested


def test_where_all_test_pictures_were_learned_from_it_is_refused(small):
    for part, numbers in (("train", range(20)), ("test", range(50, 60))):
        write(small.folder / part, numbers)
    run = small.run()
    shutil.rmtree(small.folder / "test")
    shutil.copytree(small.folder / "train", small.folder / "test")
    with pytest.raises(UserError, match="None of the 40 test pictures of 'folder:small' is held"):
        held_out(run, small.load())


def test_new_test_pictures_alone_are_tested_and_not_stored(small, capsys):
    for part, numbers in (("train", range(20)), ("test", range(50, 60))):
        write(small.folder / part, numbers)
    run = small.run()
    shutil.rmtree(small.folder / "test")
    write(small.folder / "test", range(200, 205))
    assert len(held_out(run, small.load())) == 10
    assert pictures_of(held_out(run, small.load())).isdisjoint(small.learned | small.tested)
    from vizlib import architectures
    from vizlib.run.weights import save_weights

    model = architectures.create(run.config.architecture, **run.config.arguments)
    save_weights(model.state_dict(), run.path("model.safetensors"))
    before = run.path("predictions.npz").read_bytes()
    assert main(["evaluate", run.run_id]) == 0
    assert "Not stored" in capsys.readouterr().out
    assert run.path("predictions.npz").read_bytes() == before


def test_another_data_set_is_told_by_bytes_alone(small, data_folder):
    write(small.folder, range(20))
    run = small.run()
    write(data_folder / "mine" / "train", range(500, 510))
    write(data_folder / "mine" / "test", range(5))  # some of which the run was trained on
    dataset = datasets.load("folder:mine")
    test = dataset.splits["test"]
    learned = learned_from(run, dataset, test)
    images = [test.pictures[number].tobytes() in small.learned for number in range(len(test))]
    assert learned.tolist() == images
    assert 0 < sum(images) < len(test)


# Runs of earlier versions, which wrote down no images


def without_images(run):
    run.path("images.npz").unlink()
    return run


def test_of_an_earlier_run_the_answered_pictures_are_held_out_alone(small):
    write(small.folder, range(20))
    run = without_images(small.run())
    dataset = small.load()
    # by another rule than today's: some of each side
    answered = np.concatenate(
        [dataset.splits["train"].image_ids[::7], dataset.splits["test"].image_ids[::3]]
    )
    count = len(answered)
    save_predictions(
        run.path("predictions.npz"),
        Predictions(np.zeros(count, int), np.zeros((count, 2), np.float16), answered),
    )
    assert set(held_out(run, dataset).image_ids) == set(answered)
    learned = learned_from(run, dataset, dataset.splits["test"])
    assert learned.tolist() == [
        image_id not in set(answered) for image_id in dataset.splits["test"].image_ids
    ]
    save_predictions(
        run.path("predictions.npz"),
        Predictions(np.zeros(1, int), np.zeros((1, 2), np.float16), np.array(["a/999.png"])),
    )
    with pytest.raises(UserError, match="was trained on them, or may have been"):
        held_out(run, dataset)
    official = dataclasses.replace(
        dataset,
        official=True,
        splits={
            "test": dataclasses.replace(
                dataset.splits["test"],
                image_ids=np.array([f"test/{n}" for n in range(len(dataset.splits["test"]))]),
            )
        },
    )
    assert len(held_out(run, official)) == len(dataset.splits["test"])


def test_of_an_earlier_run_without_answers_only_the_same_data_serve(small):
    write(small.folder, range(20))
    run = without_images(small.run())
    run.path("predictions.npz").unlink()
    dataset = small.load()
    assert held_out(run, dataset) is dataset.splits["test"]
    with pytest.raises(UserError, match="Nothing says which pictures 'run' was trained on"):
        held_out(run, dataclasses.replace(dataset, note="small, a fifth held out by seed 0"))


@pytest.mark.parametrize("name", ["images.npz", "predictions.npz"])
def test_damaged_files_are_one_sentence(small, name):
    write(small.folder, range(10))
    run = small.run()
    if name == "predictions.npz":
        without_images(run)
    run.path(name).write_bytes(run.path(name).read_bytes()[:70])
    with pytest.raises(UserError, match="damaged"):
        held_out(run, small.load())


def test_a_shipped_run_is_tested_on_what_it_was():
    run = folders.open_run("digits_three_layer")
    dataset = datasets.load("digits")
    assert held_out(run, dataset) is dataset.splits["test"]
    assert set_aside(run, dataset) == ""


# Going on, and beginning with another run's weights


def test_going_on_takes_the_same_pictures_or_none(small):
    write(small.folder, range(20))
    run = small.run()
    images = load_images(run.folder)
    write(small.folder, range(100, 140))
    dataset = small.load()
    assert remembered(run.folder, dataset, run.config, write=True).parts.tolist() == (
        images.parts.tolist()
    )
    training, validation = split_again(dataset, images)
    assert training.image_ids.tolist() == images.of(TRAINED)[0].tolist()
    assert validation.image_ids.tolist() == images.of(VALIDATED)[0].tolist()
    first, second = (small.folder / str(name) for name in training.image_ids[[3, 8]])
    first.unlink()
    with pytest.raises(UserError, match=f"^1 of the pictures .* gone or changed: .*{first.name}"):
        split_again(small.load(), images)
    shutil.copy(second, first)
    with pytest.raises(UserError, match=f"^1 of the pictures .* gone or changed: .*{first.name}"):
        split_again(small.load(), images)


def test_an_earlier_training_goes_on_only_where_nothing_changed(small):
    write(small.folder, range(20))
    run = without_images(small.run())
    started = {"event": "started", "time": 1.0, "parameters": 5, "train_images": 29}
    run.path("events.jsonl").write_text(json.dumps(started) + "\n")
    dataset = small.load()
    assert len(remembered(run.folder, dataset, run.config, write=False).image_ids) == 40
    earlier = dataclasses.replace(run.config, dataset_note="small, a fifth held out by seed 0")
    with pytest.raises(UserError, match="begun by an earlier version on other pictures"):
        remembered(run.folder, dataset, earlier, write=False)
    write(small.folder, range(100, 140))
    with pytest.raises(UserError, match="begun by an earlier version on other pictures"):
        remembered(run.folder, small.load(), run.config, write=False)


def test_weights_bring_along_what_they_were_learned_from(small):
    write(small.folder, range(20))
    first = small.run()
    moved = load_images(first.folder)
    save_images(
        first.folder,
        RunImages(moved.image_ids, moved.digests, np.roll(moved.parts, 4)),
    )
    learned = set(load_images(first.folder).of(TRAINED, VALIDATED)[0])
    dataset = small.load()
    config = dataclasses.replace(config_for(dataset), start={"run": first.run_id})
    folder = folders.claim_folder("second", config)
    images = remembered(folder, dataset, config, write=True)
    tested = set(images.of(TESTED)[0])
    assert tested == set(dataset.splits["test"].image_ids) - learned
    assert 0 < len(tested) < len(dataset.splits["test"])
    second = folders.read_run(folder)
    assert set(held_out(second, dataset).image_ids) == tested


# Pictures of several splits


def test_pictures_of_several_sources_are_one_sequence():
    arrays = [np.full((count, 2, 3, 1), value, np.uint8) for count, value in ((3, 10), (4, 50))]
    splits = [
        datasets.Split(
            array + np.arange(len(array), dtype=np.uint8)[:, None, None, None],
            np.arange(len(array)) + 100 * number,
            np.array([f"{number}/{image}" for image in range(len(array))]),
            np.arange(len(array), dtype=np.uint64) + 1000 * number,
        )
        for number, array in enumerate(arrays)
    ]
    both = at(splits, np.array([[1, 3], [0, 2], [1, 0]]))
    assert isinstance(both.pictures, Together)
    assert both.pictures.shape == (3, 2, 3, 1)
    assert [int(both.pictures[number][0, 0, 0]) for number in range(3)] == [53, 12, 50]
    assert both.labels.tolist() == [103, 2, 100]
    assert both.image_ids.tolist() == ["1/3", "0/2", "1/0"]
    assert both.digests.tolist() == [1003, 2, 1000]
    assert both.take(np.array([2, 1])).images((1, 2, 3))[:, 0, 0, 0].tolist() == [50, 12]
    assert at(splits, np.array([[1, 0], [1, 1], [1, 2], [1, 3]])) is splits[1]
    assert at(splits, np.array([[1, 1], [1, 0]])).labels.tolist() == [101, 100]
