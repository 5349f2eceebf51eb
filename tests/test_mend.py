"""Mending a collapse: the imbalanced digits, the run that ships on them, the remedies, and what a
training like another one is.
"""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from vizlib import datasets
from vizlib.errors import UserError
from vizlib.run import verdict
from vizlib.run.config import RunConfig
from vizlib.run.folders import SHIPPED, open_run, read_run
from vizlib.run.verdict import COLLAPSED, HEALTHY, judge_run
from vizlib.training import again
from vizlib.training.config import make_config
from vizlib.training.loop import train
from vizlib.training.order import Order
from vizlib.training.recipes import RECIPES, from_config, recipe
from vizlib.training.remedies import REMEDIES, offered

PAGE = Path(__file__).parent.parent / "pages/8_Confusion_matrix.py"
RUN = "digits_collapsed"
ADVICE = [
    advice
    for name, words in vars(verdict).items()
    if name.startswith("AGAINST_")
    for advice in words
]


def test_the_imbalanced_digits():
    """No picture is on both sides, and one class is most of both: an accuracy that hides much."""
    dataset, all_digits = datasets.load("digits-imbalanced"), datasets.load("digits")
    whole = {
        image_id: picture
        for split in all_digits.splits.values()
        for image_id, picture in zip(split.image_ids, split.pictures, strict=True)
    }
    train_ids, test_ids = (dataset.splits[part].image_ids for part in ("train", "test"))
    assert not set(train_ids) & set(test_ids)
    for split in dataset.splits.values():
        counts = np.bincount(split.labels, minlength=10)
        assert counts.argmax() == 3
        assert 0.7 < counts.max() / counts.sum() < 0.75
        assert set(np.delete(counts, 3)) == {4}
        for image_id, picture in zip(split.image_ids, split.pictures, strict=True):
            assert np.array_equal(whole[image_id], picture)


def test_the_run_that_ships_has_collapsed():
    run = open_run(RUN)
    judged = judge_run(run)
    assert judged.level == COLLAPSED
    assert judged.cause.startswith("Imbalance")
    assert run.events_of("finished")[-1]["test_accuracy"] == pytest.approx(
        judged.accuracy, abs=1e-5
    )
    assert len(offered(judged.remedies)) >= 4
    assert again.why_not(run) == ""


@pytest.mark.parametrize("words", ["class weights in the loss", "balanced sampling"])
def test_the_run_that_ships_can_be_mended(tmp_path, words):
    run = open_run(RUN)
    order = REMEDIES[words].order(run, [])
    dataset = datasets.load(order.dataset)
    mended = train(tmp_path / "mended", make_config(order, dataset), dataset, say=lambda line: None)
    judged, before = judge_run(mended), judge_run(run)
    assert judged.level == HEALTHY
    assert judged.balanced_accuracy > before.balanced_accuracy + 0.3
    assert mended.config.class_names == run.config.class_names


def test_each_remedy_is_one_that_the_verdict_advises():
    assert set(REMEDIES) <= set(ADVICE)
    assert len({remedy.name for remedy in REMEDIES.values()}) == len(REMEDIES)
    for remedy in REMEDIES.values():
        assert remedy.words.endswith(".")


@pytest.mark.parametrize("base", RECIPES)
@pytest.mark.parametrize("words", [words for words in REMEDIES if REMEDIES[words].start is None])
def test_each_remedy_changes_any_recipe_into_a_possible_one(words, base):
    before = recipe(base)
    config = dataclasses.replace(open_run(RUN).config, recipe=dict(vars(before)))
    run = SimpleNamespace(run_id="x", config=config, input_size=(1, 8, 8))
    order = REMEDIES[words].order(run, [])
    # what was done already is not offered again
    assert (order.recipe != before) == REMEDIES[words].is_possible(run, [])
    assert order.recipe != before or base == "report_c"
    assert (order.architecture, order.dataset, order.seed) == (
        "three_layer_module",
        config.dataset,
        7,
    )


def test_what_each_remedy_does():
    """By hand, on a recipe in which none of it is the default."""
    config = dataclasses.replace(
        open_run(RUN).config,
        recipe=dict(vars(recipe("one_cycle", epochs=9, learning_rate=0.4, balanced=True))),
    )
    run = SimpleNamespace(run_id="x", config=config, input_size=(1, 8, 8))
    orders = {words: REMEDIES[words].order(run, []).recipe for words in REMEDIES}
    weights = orders["class weights in the loss"]
    assert (weights.class_weights, weights.balanced, weights.augment_only_rare) == (
        True,
        False,
        False,
    )
    rare = orders["augment the rare classes only"]
    assert (rare.augment, rare.augment_only_rare, rare.balanced) == (True, True, False)
    stages = orders["a smaller learning rate, in stages"]
    assert (stages.schedule, stages.decay, stages.decay_every) == ("steps", 0.1, 3)
    assert orders["a smaller learning rate"].learning_rate == pytest.approx(0.04)
    assert orders["more epochs"].epochs == 36
    assert orders["more epochs"].momentum == 0.9


def test_a_better_start_is_the_best_of_the_same_network_on_other_data():
    def run(name, accuracy, *, dataset="other", weights=True, **changes):
        config = SimpleNamespace(
            architecture="lenet",
            arguments={"num_classes": 3, "in_channels": 3, "image_size": 32},
            input_size=[3, 32, 32],
            dataset=dataset,
        )
        vars(config).update(changes)
        return SimpleNamespace(
            run_id=name,
            config=config,
            has=lambda file: weights,
            events_of=lambda kind: [{"test_accuracy": accuracy}] if kind == "finished" else [],
        )

    collapsed = run("collapsed", 0.73, dataset="csv-imbalanced:knee")
    others = [
        run("good", 0.81),
        run("best", 0.92, arguments={"num_classes": 10, "in_channels": 3, "image_size": 32}),
        run("worse", 0.63),
        run("another", 0.99, architecture="vgg16_slim"),
        run("larger", 0.98, arguments={"num_classes": 3, "in_channels": 3, "image_size": 64}),
        run("same data", 0.97, dataset="csv:knee"),
        run("no weights", 0.96, weights=False),
        run("grey", 0.95, input_size=[1, 32, 32]),
    ]
    better = REMEDIES["pretrained weights"]
    assert better.start(collapsed, others).run_id == "best"
    assert not better.is_possible(collapsed, others[3:])


def test_a_run_is_trained_again_as_it_was(tmp_path):
    order = Order(
        "airbench",
        "digits",
        recipe("nesterov", epochs=1, batch_size=77, clip=2.5),
        seed=5,
        title="mine",
        frozen=1,
        side=12,
        whole=True,
        arguments={"widths": [8, 10, 6]},
    )
    dataset = datasets.load("digits")
    run = train(tmp_path / "run", make_config(order, dataset), dataset, say=lambda line: None)
    like = again.order_like(run)
    assert like == order
    assert make_config(like, dataset) == run.config
    longer = again.order_like(run, "longer", epochs=3)
    assert (longer.recipe.epochs, longer.recipe.batch_size, longer.title) == (3, 77, "longer")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"origin": {"file": "a.pth"}}, "trained elsewhere"),
        ({"architecture": "gone"}, "no architecture 'gone'"),
        ({"dataset": "folder:gone"}, "folder:gone, is not on this machine"),
        ({"recipe": {"name": "sgd", "colour": 1}}, "'colour' is no setting"),
    ],
)
def test_what_cannot_be_trained_again_says_why(tmp_path, changes, said):
    shutil.copytree(SHIPPED / RUN, tmp_path / RUN)
    path = tmp_path / RUN / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    run = read_run(tmp_path / RUN)
    assert said in again.why_not(run)
    with pytest.raises(UserError, match="cannot be trained again here"):
        again.order_like(run)


def test_every_field_of_a_configuration_comes_back():
    """What a new field of an order is, a training like another one must carry too."""
    carried = {field.name for field in dataclasses.fields(Order)}
    assert carried == {
        "architecture", "dataset", "recipe", "seed", "title", "start", "frozen", "side", "whole",
        "arguments",
        # of the machine, of the folder, or of the reports; the usual number; and who asks
        "device", "name", "system", "validation", "by",
    }  # fmt: skip
    assert {"recipe", "seed", "start", "frozen", "whole"} <= {
        field.name for field in dataclasses.fields(RunConfig)
    }
    assert from_config(open_run(RUN).config).learning_rate == 0.005


def opened(**query):
    app = AppTest.from_file(str(PAGE), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def buttons(app):
    return [button for button in app.button if str(button.key).startswith("mend ")]


def test_the_page_offers_what_can_be_done(monkeypatch, runs_root):
    app = opened(model=RUN)
    assert not app.exception
    assert [button.label for button in buttons(app)] == [
        remedy.name for remedy in offered(judge_run(open_run(RUN)).remedies) if remedy.start is None
    ]
    assert not any(button.disabled for button in buttons(app))


def test_without_its_data_it_says_why_not(monkeypatch, runs_root, tmp_path):
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "none"))
    app = opened(model="collapsed_lenet")
    assert buttons(app)
    assert all(button.disabled for button in buttons(app))
    assert any("is not on this machine" in caption.value for caption in app.caption)


def test_a_model_that_works_is_not_mended(runs_root):
    app = opened(model="digits_three_layer")
    assert not app.exception
    assert not buttons(app)


@pytest.mark.browser
def test_one_press_mends_it_and_compares(page, served, request):
    """In a browser: the collapsed run, one button, Compare with both."""
    address, root = served
    root.mkdir(exist_ok=True)
    before = set(os.listdir(root))

    def new_runs():
        return set(os.listdir(root)) - before

    request.addfinalizer(lambda: [shutil.rmtree(root / name) for name in new_runs()])
    page.goto(f"{address}/Confusion_matrix?model={RUN}")
    page.get_by_role("button", name="Weigh rare classes more").click()
    page.get_by_text("Compare opens when it is done").wait_for()
    page.wait_for_url("**/Compare?*", timeout=60_000)
    page.get_by_text("is better: in the mean over the classes").wait_for()
    (mended,) = new_runs()
    assert f"model={mended}" in page.url
