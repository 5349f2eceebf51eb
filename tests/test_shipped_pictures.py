"""The pictures that ship: whose they are, that the stored answers of every network that ships are
those of its weights to them, and that they serve wherever the whole data set is missing, and never
to train on.
"""

import importlib.util
import json
from urllib.parse import parse_qs

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import forget_all
from tests.test_pages import ROOT, fine, opened, texts
from vizlib import architectures, datasets
from vizlib.command_line import main
from vizlib.datasets import shipped
from vizlib.errors import UserError
from vizlib.inside import strongest
from vizlib.inside.held_out import held_out, is_tested_on_shipped, to_look_at
from vizlib.run import folders
from vizlib.run.predictions import load_predictions
from vizlib.run.weights import load_weights
from vizlib.training.evaluation import answers_to
from vizlib.ui.data import caches

LOTS = sorted(path.stem for path in shipped.FOLDER.glob("*.webp"))
RUNS = {run.run_id: run for run in folders.list_runs()[0] if run.config.dataset in shipped.names()}
WITH_WEIGHTS = [run_id for run_id, run in RUNS.items() if run.has("model.safetensors")]
MOST_BYTES = {"cifar10": 1_300_000}


@pytest.fixture(autouse=True)
def fresh_caches():
    forget_all()


def lot(name):
    """(What is said of a lot, its pictures by id), cut out of the sheet one by one."""
    facts = json.loads((shipped.FOLDER / f"{name}.json").read_text())
    sheet, (height, width) = Image.open(shipped.FOLDER / f"{name}.webp"), facts["size"]
    across = sheet.width // width
    boxes = [
        (n % across * width, n // across * height, (n % across + 1) * width)
        for n in range(len(facts["labels"]))
    ]
    pictures = [
        np.asarray(sheet.crop((left, top, right, top + height)).convert("RGB"))
        for left, top, right in boxes
    ]
    return facts, dict(zip(facts["image_ids"], pictures, strict=True))


def stored(run):
    return load_predictions(run.path("predictions.npz"), len(run.class_names))


@pytest.mark.parametrize("name", LOTS)
def test_each_lot_says_whose_its_pictures_are_and_is_small(name):
    facts, pictures = lot(name)
    assert all(facts[word] for word in ("source", "citation", "licence", "changes", "chosen"))
    assert len(pictures) == len(facts["labels"])
    assert (shipped.FOLDER / f"{name}.webp").stat().st_size < MOST_BYTES[name]
    assert len({picture.tobytes() for picture in pictures.values()}) == len(pictures)
    for served, whole in facts["serves"].items():
        dataset = shipped.read(served)
        assert list(dataset.splits) == ["test"]
        assert dataset.note.startswith(f"the {len(dataset.splits['test'])} that ship, half of them")
        assert dataset.note.endswith(whole["note"])
        assert set(dataset.splits["test"].labels) == set(range(len(dataset.class_names)))


def test_they_are_fifty_of_each_class_of_cifar10():
    labels = shipped.read("cifar10").splits["test"].labels
    assert np.bincount(labels).tolist() == [50] * 10


@pytest.mark.real_data
@pytest.mark.parametrize("name", shipped.names())
def test_they_are_the_pictures_of_the_whole_data_set(name):
    if name not in datasets.names():
        pytest.skip(f"{name} is not here")
    whole, some = datasets.load(name), shipped.read(name)
    test, split = whole.splits["test"], some.splits["test"]
    numbers = [test.image_ids.tolist().index(image_id) for image_id in split.image_ids]
    same = test.take(np.array(numbers)).images(whole.image_size)
    assert np.array_equal(split.images(some.image_size), same)
    assert split.labels.tolist() == test.labels[numbers].tolist()
    assert whole.class_names == some.class_names
    assert whole.note in some.note
    assert f"of {len(test):,} test images" in some.note


def plain_answers(run, images):
    """Logits to uint8 images (N, H, W, 3) by a forward pass without any of our reading."""
    model = architectures.create(run.config.architecture, **run.config.arguments)
    model.load_state_dict(load_weights(run.path("model.safetensors")), strict=False)
    mean, std = (torch.tensor(each).view(-1, 1, 1) for each in (run.config.mean, run.config.std))
    model.eval()
    logits = []
    with torch.inference_mode():
        for batch in torch.from_numpy(images).permute(0, 3, 1, 2).split(100):
            batch = (batch.float() / 255 - mean) / std
            given = [batch, batch.flip(3)] if run.config.recipe.get("mirrored") else [batch]
            logits.append(sum(map(model, given)) / len(given))
    return torch.cat(logits).numpy()


@pytest.mark.walk
@pytest.mark.parametrize("run_id", WITH_WEIGHTS)
def test_the_stored_answers_to_them_are_those_of_the_weights_that_ship(data_folder, run_id):
    """Of networks that get them enlarged by our own reading."""
    run, answers = RUNS[run_id], stored(RUNS[run_id])
    name = next(name for name in LOTS if run.config.dataset in lot(name)[0]["serves"])
    pictures = lot(name)[1]
    asked = [image_id for image_id in map(str, answers.image_ids) if image_id in pictures]
    images, of_these = np.stack([pictures[image_id] for image_id in asked]), answers.of(asked)
    if run.input_size[1] == images.shape[1]:
        logits = plain_answers(run, images)
    else:
        recomputed, _ = answers_to(run, run.config.dataset)
        logits = recomputed.of(asked).logits
    assert len(asked) == len(shipped.image_ids_of(run.config.dataset))
    assert logits.argmax(1).tolist() == of_these.predicted_labels.tolist()
    assert np.mean(logits.argmax(1) == of_these.labels) == of_these.accuracy
    assert np.abs(logits - of_these.logits.astype(np.float32)).max() < 0.02


@pytest.mark.walk
@pytest.mark.real_data
@pytest.mark.parametrize("run_id", ["lenet", "collapsed_lenet"])
def test_recomputed_accuracy_of_all_test_images_is_the_stored_one(run_id):
    """Of the quick ones; `python -m vizlib check RUN --data cifar10` says it of any."""
    run = RUNS[run_id]
    answers, _ = answers_to(run, run.config.dataset)
    accuracy = run.events_of("finished")[-1]["test_accuracy"]
    assert len(answers.labels) in (5000, 671)
    assert round(answers.accuracy, 5) == accuracy == round(stored(run).accuracy, 5)


def off_diagonal(counts):
    return counts * ~np.eye(len(counts), dtype=bool)


@pytest.mark.walk
@pytest.mark.parametrize("run_id", RUNS)
def test_nearly_every_wrong_cell_of_every_network_has_a_face(run_id):
    answers = stored(RUNS[run_id])
    image_ids = shipped.image_ids_of(RUNS[run_id].config.dataset)
    whole = off_diagonal(answers.confusion())
    here = off_diagonal(answers.of(image_ids).confusion())
    assert (here > 0).sum() >= 0.8 * (whole > 0).sum()
    assert here[divmod(int(whole.argmax()), len(whole))] > 0


def planted():
    """Two classes of twelve images: two networks with wrong answers of three kinds."""
    labels = np.repeat([0, 1], 12)
    image_ids = np.array([f"image {number}" for number in range(24)])
    first = {"image 7": (1, 0.9), "image 3": (1, 0.8), "image 13": (0, 0.6)}
    second = {"image 3": (1, 0.7), "image 20": (0, 0.99), "image 21": (0, 0.5)}
    return labels, image_ids, [first, second]


def test_the_choice_by_hand():
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs/pictures.py")
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    numbers = pictures.chosen(*planted(), 8).tolist()
    # 3 fills two cells, then 7 is the surest that is left; of class 1 the surest of each network
    # fills a cell; two more of each are the ends of the rest
    assert numbers == [0, 3, 7, 11, 12, 13, 20, 23]
    assert pictures.shares(np.array([9, 2, 9]), 12) == [5, 2, 5]


# Where the whole data set is missing


def test_a_wrong_cell_has_faces_that_lead_to_their_maps(data_folder):
    app = opened(ROOT / "app.py", model="resnet32")
    app = fine(app.switch_page("pages/8_Confusion_matrix.py").run())
    true, predicted = (app.selectbox(key=f"{axis}_first").value for axis in ("true", "predicted"))
    answers, names = stored(RUNS["resnet32"]), RUNS["resnet32"].class_names
    facts, _ = lot("cifar10")
    numbers, confidence = answers.cell(names.index(true), names.index(predicted))
    expected = [
        (facts["image_ids"].index(image_id), share)
        for image_id, share in zip(answers.image_ids[numbers], confidence, strict=True)
        if image_id in facts["image_ids"]
    ]
    assert 0 < len(expected) < len(numbers)
    alike = [image.alt for element in app.main.get("image") for image in element.proto.imgs]
    assert alike.count(f"{true} answered {predicted}") == len(expected)
    said = texts(app).replace("\\", "")
    assert f"**{len(numbers)}** images of **{true}** answered **{predicted}**" in said
    assert f"{len(expected)} of them shown, from the 500 that ship." in said
    links = [link.proto for link in app.main.get("page_link")]
    found = [
        (parse_qs(link.query_string)["index"][0], link.label)
        for link in links
        if "label=" in link.query_string
    ]
    same_class = np.flatnonzero(np.array(facts["labels"]) == names.index(true)).tolist()
    assert found == [
        (str(same_class.index(number)), f"{share:.0%} →") for number, share in expected
    ]


@pytest.mark.parametrize("kind", ["the most confident mistakes", "labels it finds unlikely"])
def test_the_surest_mistakes_among_them_are_shown(data_folder, kind):
    app = opened(ROOT / "pages/8_Confusion_matrix.py", model="lenet")
    app = fine(app.segmented_control(key="images_true_first").set_value(kind).run())
    assert "24 of them shown, from the 500 that ship." in texts(app)
    assert len(app.main.get("image")) == 24 + 1  # and the picture in view, on the trail


def test_a_held_out_image_says_which_it_is_of(data_folder):
    app = opened(
        ROOT / "pages/5_Class_evidence.py",
        model="lenet",
        source="data set",
        label="frog",
        index="7",
    )
    assert "Pictures from the 500 that ship." in texts(fine(app))
    assert "The truth is **frog**" in texts(app)
    assert app.number_input(key="index").label == "Held-out image, of 50"
    assert "image: frog 7 from the 500 that ship" in texts(app).replace("\\", "")


def test_units_of_the_network_in_view_first_have_their_images_at_once(data_folder, monkeypatch):
    monkeypatch.setattr(strongest, "of_run", lambda *given: pytest.fail("it ships"))
    app = fine(opened(ROOT / "pages/4_Unit.py"))
    assert app.selectbox(key="model").value == "resnet32"
    said = texts(app)
    assert "**The strongest held-out images**, from the 500 that ship" in said
    assert "The classes of its 30 strongest images" in said
    assert [image.alt for element in app.main.get("image") for image in element.proto.imgs].count(
        "held-out image 1"
    ) == 1


def test_the_index_that_ships_is_that_of_the_weights_that_ship():
    run = RUNS["resnet32"]
    dataset = datasets.in_terms_of(run.config, shipped.read("cifar10"))
    index = strongest.load(run, dataset)
    assert index is not None
    logits = stored(run).of(dataset.splits["test"].image_ids).logits.astype(np.float32)
    best = index[index.layer_names[-1]]
    np.testing.assert_allclose(best.values, np.sort(logits, axis=0)[::-1][:30].T, atol=0.02)
    chosen = np.take_along_axis(logits.T, best.image_numbers.astype(int), 1)
    np.testing.assert_allclose(best.values, chosen, atol=0.02)


def test_the_check_of_weights_runs_and_says_of_which_pictures(data_folder, capsys):
    assert main(["check", "lenet", "--data", "cifar10"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("lenet on the 500 that ship, half of them because networks get them")
    assert "Its stored answers to these images: accuracy 0.4460, the same ones." in said
    before = RUNS["lenet"].path("predictions.npz").read_bytes()
    assert main(["evaluate", "lenet"]) == 0
    assert "Not stored: the run was tested on 5,000 held-out images" in capsys.readouterr().out
    assert RUNS["lenet"].path("predictions.npz").read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [
        ["train", "-a", "lenet", "-d", "cifar10"],
        ["train", "-a", "lenet", "-d", "cifar10-imbalanced"],
        ["pack", "lenet"],
    ],
)
def test_nothing_is_trained_on_them(data_folder, runs_root, capsys, command):
    assert main(command) == 2
    assert "is not on this machine. Get it with `python -m vizlib download cifar10`" in (
        capsys.readouterr().err
    )
    assert list(runs_root.iterdir()) == []


def test_they_serve_no_run_that_was_not_tested_on_them(data_folder, runs_root):
    import shutil

    folder = shutil.copytree(folders.SHIPPED / "lenet", runs_root / "mine")
    assert is_tested_on_shipped(folders.read_run(folder))
    (folder / "predictions.npz").unlink()
    untested = folders.read_run(folder)
    assert not is_tested_on_shipped(untested)
    with pytest.raises(UserError, match="'cifar10' is not on this machine"):
        to_look_at(untested)
    # what is known of its pictures cannot be read
    (folder / "images.npz").write_bytes(b"PK")
    assert not is_tested_on_shipped(folders.read_run(folder))
    assert not is_tested_on_shipped(folders.open_run("digits_three_layer"))


def test_the_whole_data_set_takes_their_place_as_soon_as_it_is_here(data_folder):
    run = RUNS["lenet"]
    assert caches.are_shipped(run)
    assert caches.has_pictures(run)
    assert len(caches.held_out(run)) == 500
    assert caches.dataset(run).are_shipped
    for label, class_name in enumerate(datasets.load("digits").class_names and run.class_names):
        for part, row in (("train", label), ("test", 45_000 + label)):
            folder = data_folder / "cifar10" / part / class_name
            folder.mkdir(parents=True)
            Image.new("RGB", (32, 32), (label, row % 251, 9)).save(folder / f"{row:05d}.png")
    caches.dataset_names.clear()
    assert not caches.are_shipped(run)
    assert caches.from_which(run) == ""
    assert not caches.dataset(run).are_shipped
    assert caches.held_out(run).image_ids.tolist() == [f"train/{45_000 + n}" for n in range(10)]
    assert held_out(run, to_look_at(run)).image_ids.tolist() == [
        f"train/{45_000 + n}" for n in range(10)
    ]
