"""Answers, scores and the collapse verdict against scikit-learn, and on matrices whose verdict is
known.
"""

import json
import pickle
import zipfile

import numpy as np
import pytest
from sklearn import metrics

from vizlib.errors import UserError
from vizlib.inside.passes import predict
from vizlib.run.config import config_of
from vizlib.run.folders import Run
from vizlib.run.predictions import (
    Predictions,
    agreement,
    class_scores,
    load_predictions,
    mcnemar,
    save_predictions,
)
from vizlib.run.verdict import COLLAPSED, HEALTHY, NEARLY, UNJUDGED, cohen_kappa, judge, judge_run


def answers(confusion):
    """True and predicted labels that give these counts."""
    true, predicted = (
        axis.ravel().repeat(np.ravel(confusion)) for axis in np.indices(np.shape(confusion))
    )
    return true, predicted


def all_answered(counts, label=0):
    """The matrix of a network that answers one class."""
    confusion = np.zeros((len(counts), len(counts)), int)
    confusion[:, label] = counts
    return confusion


def names(count):
    return [f"class {number}" for number in range(count)]


def random_predictions(images=300, classes=5, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes - 1, images)  # the last class never occurs
    logits = generator.normal(size=(images, classes)).astype(np.float16)
    logits[np.arange(images), labels] += 1
    return Predictions(labels, logits, np.array([f"test/{row}" for row in range(images)]))


# Scores


def test_confusion_is_scikit_learns():
    predictions = random_predictions()
    expected = metrics.confusion_matrix(
        predictions.labels, predictions.logits.argmax(1), labels=range(5)
    )
    assert np.array_equal(predictions.confusion(), expected)
    assert expected.shape == (5, 5)
    assert predictions.accuracy == metrics.accuracy_score(
        predictions.labels, predictions.predicted_labels
    )


@pytest.mark.parametrize("seed", range(5))
def test_class_scores_are_scikit_learns(seed):
    confusion = np.random.default_rng(seed).integers(0, 30, (5, 5))
    confusion[seed % 5] = 0  # a class with no image
    confusion[:, (seed + 2) % 5] = 0  # one never answered
    expected = metrics.precision_recall_fscore_support(
        *answers(confusion), labels=range(5), zero_division=0
    )
    precision, recall, counts = class_scores(confusion)
    assert precision == pytest.approx(expected[0])
    assert recall == pytest.approx(expected[1])
    assert np.array_equal(counts, expected[3])


@pytest.mark.parametrize("seed", range(6))
def test_figures_of_the_verdict_are_scikit_learns(seed):
    confusion = np.random.default_rng(seed).integers(0, 40, (4, 4))
    if seed % 2:
        confusion[1] = 0  # a class with no image
    true, predicted = answers(confusion)
    verdict = judge(confusion, names(4))
    with pytest.warns(UserWarning, match="y_pred contains classes") if seed % 2 else np.errstate():
        balanced = metrics.balanced_accuracy_score(true, predicted)
    assert verdict.accuracy == pytest.approx(metrics.accuracy_score(true, predicted))
    assert verdict.balanced_accuracy == pytest.approx(balanced)
    assert verdict.kappa == pytest.approx(metrics.cohen_kappa_score(true, predicted))
    assert verdict.majority_share == pytest.approx(np.bincount(true).max() / len(true))
    assert judge(confusion, names(4), ordered=True).kappa == pytest.approx(
        metrics.cohen_kappa_score(true, predicted, weights="quadratic")
    )


def test_kappa_at_its_ends():
    assert cohen_kappa(np.diag([5, 7, 2])) == 1
    assert cohen_kappa(all_answered([5, 7])) == 0
    assert cohen_kappa([[9, 0], [0, 0]]) == 0
    assert cohen_kappa([[0, 5], [5, 0]]) == -1 == cohen_kappa([[0, 5], [5, 0]], quadratic=True)


# The verdict


def test_two_classes_all_answered_the_commoner():
    verdict = judge(all_answered([8715, 1929]), ["healthy", "ill"])
    assert verdict.level == COLLAPSED
    assert verdict.never_predicted == ["ill"]
    assert verdict.top_class == "healthy"
    assert verdict.accuracy == verdict.majority_share == 8715 / 10644
    assert verdict.balanced_accuracy == verdict.chance == 0.5
    assert "100 % of 10,644 predictions are healthy" in verdict.sentence
    assert verdict.cause.startswith("Imbalance: 82 %")


def test_the_homework_with_an_accuracy_of_0_73():
    counts = [5154, 488, 1082, 175, 127]
    verdict = judge(all_answered(counts), names(5), ordered=True)
    assert verdict.level == COLLAPSED
    assert verdict.kappa == 0
    assert verdict.classes_predicted == 1
    assert len(verdict.never_predicted) == 4
    for words in (
        "100 % of 7,026 predictions are class 0",
        "Accuracy 0.734 equals always answering",
        "balanced accuracy 0.200",
        "5 classes is 0.200",
    ):
        assert words in verdict.sentence
    assert verdict.cause.startswith("Imbalance")
    assert "class weights in the loss" in verdict.remedies


def test_a_few_other_answers_do_not_hide_it():
    confusion = all_answered([700, 150, 150])
    confusion[:, 0] -= 8
    confusion[:, 1] += 8
    assert judge(confusion, names(3)).level == COLLAPSED
    assert "98 % of 1,000" in judge(confusion, names(3)).sentence


def test_causes_are_told_apart():
    balanced = judge(all_answered([100] * 10, label=3), names(10))
    assert balanced.level == COLLAPSED
    assert (
        balanced.cause
        == "Imbalance does not explain it, so the network is untrained or has diverged."
    )
    for counts in ([100] * 10, [600, 200, 200]):
        cause = judge(all_answered(counts), names(len(counts)), train_accuracy=0.99).cause
        assert "accuracy of 0.990" in cause
        assert "prepared differently in testing" in cause
    assert judge(
        all_answered([5154, 488, 1082, 175, 127]), names(5), train_accuracy=0.74
    ).cause.startswith("Imbalance")


@pytest.mark.parametrize(
    "confusion",
    [np.diag([50] * 10), np.diag([970, 20, 10]), np.full((4, 4), 10) + np.diag([60] * 4)],
    ids=["perfect", "perfect, rare", "ordinary"],
)
def test_good_classifiers_are_left_alone(confusion):
    verdict = judge(confusion, names(len(confusion)))
    assert verdict.level == HEALTHY
    assert verdict.cause == ""
    assert verdict.remedies == []
    assert verdict.sentence.startswith("Not collapsed:")


def test_a_neglected_class_is_nearly_a_collapse():
    verdict = judge([[80, 10, 0], [5, 85, 0], [10, 10, 0]], ["cat", "dog", "emu"])
    assert verdict.level == NEARLY
    assert "it never answers emu" in verdict.sentence
    assert verdict.never_predicted == ["emu"]
    rare = judge([[500, 0, 0], [0, 495, 0], [3, 2, 0]], names(3))  # half a percent of the images
    assert rare.level == HEALTHY
    assert rare.never_predicted == ["class 2"]


def test_no_better_than_the_commonest_class_is_nearly_a_collapse():
    verdict = judge([[70, 10, 5], [8, 1, 1], [4, 0, 1]], names(3))
    assert verdict.level == NEARLY
    assert "no better than always answering" in verdict.sentence


def test_one_true_class_is_nothing_to_judge():
    verdict = judge([[90, 10], [0, 0]], names(2))
    assert verdict.level == UNJUDGED
    assert verdict.sentence.startswith("Cannot be judged: all 100")
    assert verdict.cause == ""
    assert verdict.chance == 1
    assert verdict.accuracy == verdict.balanced_accuracy == 0.9
    assert "2 of 1" not in verdict.sentence


def test_three_answers_to_a_hundred_classes_are_nearly_a_collapse():
    confusion = np.zeros((100, 100), int)
    confusion[:, 0], confusion[:, 1], confusion[:, 2] = 40, 30, 30
    assert judge(confusion, names(100)).level == NEARLY


def test_hardly_better_than_chance_is_nearly_a_collapse():
    verdict = judge([[90, 5, 5], [90, 6, 4], [90, 4, 6]], names(3))
    assert verdict.kappa < 0.05
    assert verdict.level == NEARLY


def test_two_unequal_classes_are_no_balanced_set():
    assert judge([[74, 0], [26, 0]], names(2)).cause.startswith("Imbalance:")
    assert not judge([[0, 74], [0, 26]], names(2)).cause.startswith("Imbalance:"), (
        "it answers the rarer class"
    )


def test_a_file_that_grows_is_refused(tmp_path):
    logits = np.zeros((3_000_000, 40), np.float16)
    np.savez_compressed(
        tmp_path / "predictions.npz",
        labels=np.zeros(3_000_000, np.int16),
        logits=logits,
        image_ids=np.zeros(3_000_000, "<U1"),
    )
    assert (tmp_path / "predictions.npz").stat().st_size < 1_000_000
    with pytest.raises(UserError):
        load_predictions(tmp_path / "predictions.npz", 40)


def test_no_image_is_refused():
    with pytest.raises(ValueError, match="no image"):
        judge(np.zeros((3, 3), int), names(3))


def test_a_run_is_judged_with_its_training_accuracy(tmp_path):
    labels = np.arange(200) % 2
    save_predictions(
        tmp_path / "predictions.npz",
        Predictions(labels, np.tile([2.0, 0.0], (200, 1)), labels.astype(str)),
    )
    figures = {
        "step": 1,
        "seconds": 1,
        "train_loss": 0.1,
        "val_loss": 0.1,
        "val_accuracy": 0.5,
        "learning_rate": 0.1,
    }
    events = [
        {"event": "epoch", "epoch": number, "train_accuracy": accuracy, **figures}
        for number, accuracy in ((1, 0.98), (2, 0.5))
    ]
    events.append({"event": "checkpoint", "epoch": 1, "val_accuracy": 0.5})
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    config, _ = config_of(
        {
            "architecture": "lenet",
            "arguments": {},
            "dataset": "digits",
            "class_names": names(2),
            "input_size": [1, 8, 8],
            "mean": [0.5],
            "std": [0.5],
            "recipe": {},
            "seed": 0,
        }
    )
    verdict = judge_run(Run(tmp_path, config))
    assert verdict.level == COLLAPSED
    assert "accuracy of 0.980" in verdict.cause


# Predictions


def test_probabilities_are_the_softmax():
    from scipy.special import softmax

    predictions = random_predictions()
    assert np.allclose(
        predictions.probabilities, softmax(predictions.logits.astype(float), axis=1), atol=1e-6
    )
    large = Predictions(
        np.zeros(1, int), np.array([[60000, 0, -60000]], np.float16), np.array(["a"])
    )
    assert np.array_equal(large.probabilities, [[1, 0, 0]])


def test_a_cell_comes_most_confident_first():
    predictions = random_predictions()
    rows, confidence = predictions.cell(1, 2)
    expected = [
        row
        for row in range(300)
        if predictions.labels[row] == 1 and predictions.logits[row].argmax() == 2
    ]
    assert sorted(rows) == expected
    assert len(rows) == predictions.confusion()[1, 2] > 3
    assert np.array_equal(confidence, predictions.probabilities[rows].max(axis=1))
    assert (np.diff(confidence) <= 0).all()
    assert len(predictions.cell(4, 0)[0]) == 0


def test_predict_normalises_and_leaves_the_mode():
    import torch
    from torch import nn

    images = np.random.default_rng(0).integers(0, 256, (7, 3, 2, 2), dtype=np.uint8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Dropout(0.5)).train()
    logits = predict(model, images, [0.4, 0.5, 0.6], [0.2, 0.3, 0.4], batch_size=3)
    mean, std = np.reshape([0.4, 0.5, 0.6], (3, 1, 1)), np.reshape([0.2, 0.3, 0.4], (3, 1, 1))
    inputs = ((images / 255 - mean) / std).reshape(7, 12)
    assert np.allclose(
        logits,
        inputs @ model[1].weight.detach().numpy().T + model[1].bias.detach().numpy(),
        atol=1e-5,
    )
    assert model.training
    assert model[2].training
    assert not torch.is_inference_mode_enabled()


# The file


def test_round_trip(tmp_path):
    predictions = random_predictions()
    save_predictions(tmp_path / "predictions.npz", predictions)
    read = load_predictions(tmp_path / "predictions.npz", 5)
    assert np.array_equal(read.labels, predictions.labels)
    assert read.labels.dtype == np.int64
    assert np.array_equal(read.logits, predictions.logits)
    assert list(read.image_ids) == list(predictions.image_ids)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.npz"]


def arrays(**changes):
    predictions = random_predictions()
    return {
        "labels": predictions.labels,
        "logits": predictions.logits,
        "image_ids": predictions.image_ids,
    } | changes


FAULTY = {
    "objects": {"image_ids": np.array([{"a": 1}] * 300, object)},
    "no logits": {"logits": None},
    "labels of another class": {"labels": np.full(300, 5)},
    "negative labels": {"labels": np.full(300, -1)},
    "fewer labels": {"labels": np.zeros(299, int)},
    "fewer ids": {"image_ids": np.array(["a"])},
    "flat logits": {"logits": np.zeros(300)},
    "a single label": {"labels": np.array(3)},
    "a single id": {"image_ids": np.array("a")},
    "text labels": {"labels": np.array(["0"] * 300)},
    "text logits": {"logits": np.full((300, 5), "a")},
    "labels in a matrix": {"labels": np.zeros((300, 1), int)},
    "nothing": {
        "labels": np.zeros(0, int),
        "logits": np.zeros((0, 5)),
        "image_ids": np.zeros(0, str),
    },
}


@pytest.mark.parametrize("fault", FAULTY)
def test_faulty_arrays_are_refused(tmp_path, fault):
    np.savez(
        tmp_path / "p.npz",
        **{name: value for name, value in arrays(**FAULTY[fault]).items() if value is not None},
    )
    with pytest.raises(UserError, match="predictions of this run"):
        load_predictions(tmp_path / "p.npz", 5)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_files_that_are_no_predictions(tmp_path):
    path, trap = tmp_path / "p.npz", Trap(tmp_path / "sprung")
    with pytest.raises(UserError, match="no predictions yet. .*vizlib evaluate"):
        load_predictions(path, 5)
    np.save(tmp_path / "one.npy", np.zeros(3))
    for content in (
        b"",
        b"PK\x03\x04",
        b"garbage" * 99,
        pickle.dumps(trap),
        (tmp_path / "one.npy").read_bytes(),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match="damaged"):
            load_predictions(path, 5)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("labels.npy", "logits.npy", "image_ids.npy"):
            archive.writestr(name, pickle.dumps(trap))
    with pytest.raises(UserError, match="predictions of this run"):
        load_predictions(path, 5)
    assert not trap.path.exists()


def test_damage_anywhere_is_a_sentence(tmp_path):
    """A cut file, and files with one byte changed: either refused in a sentence or, where it does
    not matter, read.
    """
    path = tmp_path / "p.npz"
    save_predictions(path, random_predictions(images=60))
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 9):
        for data in (
            whole[:place],
            whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :],
        ):
            path.write_bytes(data)
            try:
                load_predictions(path, 5)
            except UserError:
                refused += 1
    assert refused > len(whole) / 9


def test_agreement_counts_image_by_image_in_any_order():
    ids, labels = np.array(["a", "b", "c", "d", "e"]), np.array([0, 1, 1, 0, 1])
    # right on a, b, c
    one = Predictions(labels, np.eye(2)[[0, 1, 1, 1, 0]].astype(np.float32), ids)
    # right on a, c, e
    other = Predictions(labels, np.eye(2)[[0, 0, 1, 1, 1]].astype(np.float32), ids)
    assert agreement(one, other).tolist() == [[2, 1], [1, 1]]
    order = np.array([3, 1, 4, 0, 2])
    turned = Predictions(labels[order], other.logits[order], ids[order])
    assert agreement(one, turned).tolist() == [[2, 1], [1, 1]] == agreement(turned, one).T.tolist()
    assert (
        agreement(one, Predictions(labels, other.logits, np.array(["a", "b", "c", "d", "f"])))
        is None
    )
    assert agreement(one, Predictions(labels[:3], other.logits[:3], ids[:3])) is None
    assert agreement(one, Predictions(1 - labels, other.logits, ids)) is None, (
        "the same ids of another data set"
    )


def test_mcnemar_is_the_binomial_test():
    from scipy.stats import binomtest

    assert mcnemar(0, 0) == mcnemar(7, 7) == 1
    assert mcnemar(0, 5) == pytest.approx(2 / 2**5)
    for split in ((1, 0), (3, 9), (25, 40), (141, 474), (557, 660)):
        assert (
            mcnemar(*split)
            == mcnemar(*split[::-1])
            == pytest.approx(binomtest(split[0], sum(split)).pvalue, rel=1e-8)
        )


def test_answers_of_a_class_that_does_not_occur_are_said():
    """The middle class has no image; a quarter of all answers name it."""
    confusion = np.array([[30, 9, 1, 0], [0, 0, 0, 0], [0, 11, 28, 1], [0, 0, 0, 0]])
    verdict = judge(confusion, ["cat", "dog", "horse", "frog"])
    assert "26 % of the answers are dog, frog, of which no image here is." in verdict.sentence
    assert "frog" not in judge(confusion[:3, :3], ["cat", "dog", "horse"]).sentence
    assert "no image here" not in judge(np.eye(3, dtype=int) * 9, ["a", "b", "c"]).sentence
