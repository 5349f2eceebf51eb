"""What a mutation run found untested of the verdict and of predictions: every sentence whole, every
threshold from both sides, and which of a run's files and events they are made of.
"""

import json
import shutil

import numpy as np
import pytest

from tests.test_live_pages import epoch_row
from vizlib.run import folders
from vizlib.run.predictions import (
    LARGEST_HALF,
    NO_ANSWER,
    Predictions,
    agreement,
    class_scores,
    load_predictions,
    save_predictions,
)
from vizlib.run.verdict import (
    COLLAPSED,
    HEALTHY,
    NEARLY,
    NOT_NUMBERS,
    _percent,
    cohen_kappa,
    judge,
    judge_run,
)

WEIGHTS = [
    "class weights in the loss",
    "balanced sampling",
    "augment the rare classes only",
    "pretrained weights",
    "a smaller learning rate, in stages",
]
RATES = [
    "look at the loss: not a number, or flat",
    "a smaller learning rate",
    "more epochs",
    "batch normalisation or another initialisation",
]


def answering(label, counts):
    """A matrix in which every image is taken for one class."""
    matrix = np.zeros((len(counts), len(counts)), int)
    matrix[:, label] = counts
    return matrix


@pytest.mark.parametrize(
    ("matrix", "sentence", "cause", "remedies"),
    [
        (
            answering(0, [50, 30, 20]),
            (
                "Collapsed: 100 % of 100 predictions are a. Accuracy 0.500 equals always answering "
                "the commonest class; balanced accuracy 0.333, chance for 3 classes is 0.333."
            ),
            (
                "Imbalance: 50 % of the images are of one class, so answering it is the easy way "
                "to a low loss."
            ),
            WEIGHTS,
        ),
        (
            answering(2, [50, 30, 20]),
            (
                "Collapsed: 100 % of 100 predictions are c. Accuracy 0.200 stands beside 0.500 for "
                "always answering the commonest class; balanced accuracy 0.333, chance for 3 "
                "classes is 0.333."
            ),
            "Imbalance does not explain it, so the network is untrained or has diverged.",
            RATES,
        ),
        (
            [[26, 24], [25, 25]],
            (
                "Nearly collapsed: it hardly agrees with the truth beyond chance (kappa 0.020). "
                "Accuracy 0.510, 0.500 by always answering the commonest class; balanced accuracy "
                "0.510."
            ),
            "Imbalance does not explain it: the network has hardly begun to learn.",
            RATES,
        ),
        (
            [[25, 25], [25, 25]],
            (
                "Nearly collapsed: it does no better than always answering the commonest class. "
                "Accuracy 0.500, 0.500 by always answering the commonest class; balanced accuracy "
                "0.500."
            ),
            "Imbalance does not explain it: the network has hardly begun to learn.",
            RATES,
        ),
        (
            [[60, 0, 0], [0, 39, 0], [1, 0, 0]],
            (
                "Not collapsed: 2 of 3 classes are answered, none more than 61 % of the time. "
                "Accuracy 0.990, balanced accuracy 0.667."
            ),
            "",
            [],
        ),
    ],
)
def test_sentences(matrix, sentence, cause, remedies):
    verdict = judge(matrix, "abc"[: len(matrix)])
    assert (verdict.sentence, verdict.cause, verdict.remedies) == (sentence, cause, remedies)


@pytest.mark.parametrize(
    ("never", "words"), [(2, "c, d"), (3, "c, d, e"), (4, "c, d, e and 1 more")]
)
def test_classes_never_answered_are_named(never, words):
    matrix = np.zeros((2 + never, 2 + never), int)
    matrix[:, :2] = 5
    assert f": it never answers {words}. Acc" in judge(matrix, "abcdefgh").sentence


@pytest.mark.parametrize(
    ("train_accuracy", "is_said"), [(None, False), (0.75, False), (0.875, True), (0.5, False)]
)
def test_a_gap_between_training_and_testing(train_accuracy, is_said):
    verdict = judge(answering(0, [50, 50]), "ab", train_accuracy)
    if is_said:
        assert verdict.cause == (
            "Training reached an accuracy of 0.875: the images are probably prepared differently "
            "in testing than in training."
        )
        assert verdict.remedies == [
            "compare mean, deviation, channel order and size of both",
            "evaluate once on training images, prepared as in testing",
        ]
    else:
        assert verdict.remedies == RATES


@pytest.mark.parametrize(
    ("matrix", "level"),
    [
        ([[48, 2], [47, 3]], COLLAPSED),  # 95 % are of one class
        ([[47, 3], [47, 3]], NEARLY),  # 94 %
        ([[64, 16], [4, 16]], HEALTHY),  # as good as the commonest class, and a kappa of 0.49
        ([[77, 3], [17, 3]], NEARLY),  # as good, and a kappa of 0.15
        (np.diag([490, 490, 20]) @ [[1, 0, 0], [0, 1, 0], [1, 0, 0]], NEARLY),  # 2 % neglected
        (np.diag([490, 491, 19]) @ [[1, 0, 0], [0, 1, 0], [1, 0, 0]], HEALTHY),
    ],
)
def test_levels_from_both_sides(matrix, level):
    assert judge(matrix, "abc").level == level


@pytest.mark.parametrize(("share", "level"), [(18, NEARLY), (13, HEALTHY)])
def test_of_thirty_classes_one_is_neglected_from_half_its_share_on(share, level):
    matrix = np.diag([*[33] * 28, 1000 - share - 28 * 33, share])
    matrix[29, 0], matrix[29, 29] = share, 0
    assert judge(matrix, [str(name) for name in range(30)]).level == level


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1, "100 %"), (0.1, "10 %"), (0.05, "5.0 %"), (0.994, "99 %"), (0.995, "99.5 %")],
)
def test_percents(share, text):
    assert _percent(share) == text


@pytest.mark.parametrize("ordered", [False, True])
def test_a_run_is_judged_by_its_own_predictions_and_its_best_epoch(root, ordered):
    folder = root / "mine"
    shutil.copytree(folders.SHIPPED / "digits_three_layer", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"ordered": ordered}))
    labels = np.arange(100) % 10
    logits = np.eye(10)[np.where(labels < 2, 9 - labels, 3)]
    ids = np.array([str(number) for number in range(100)])
    save_predictions(folder / "predictions.npz", Predictions(labels, logits, ids))
    rows = [
        epoch_row(10, epoch=1, train_accuracy=0.99),
        epoch_row(20, epoch=2, train_accuracy=0.12),
        {"event": "checkpoint", "step": 20, "epoch": 2, "val_accuracy": 0.64, "seconds": 0.4},
        epoch_row(30, epoch=3, train_accuracy=0.98),
        {"event": "finished", "test_accuracy": 0.1, "seconds": 1.0},
    ]
    (folder / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = folders.read_run(folder)
    verdict = judge_run(run)
    counts = load_predictions(folder / "predictions.npz", 10).confusion()
    assert verdict.accuracy == pytest.approx(0.1)
    assert verdict.kappa == pytest.approx(cohen_kappa(counts, quadratic=ordered))
    assert cohen_kappa(counts, True) != pytest.approx(cohen_kappa(counts))
    assert verdict.cause.startswith("Imbalance does not explain it"), "its best epoch's accuracy"


def stored(tmp_path, logits, labels=None):
    """Predictions of these logits after a way through a file."""
    labels = np.zeros(len(logits), int) if labels is None else labels
    ids = np.array([f"test/{number}" for number in range(len(logits))])
    save_predictions(tmp_path / "predictions.npz", Predictions(labels, logits, ids))
    return load_predictions(tmp_path / "predictions.npz", logits.shape[1])


@pytest.mark.parametrize("size", [1.0, 30.0, LARGEST_HALF, 5e3, 1e9, 1e30])
def test_a_stored_answer_is_the_answer_given(tmp_path, size):
    """Also of two that float16 would make one, the later of them the greater."""
    generator = np.random.default_rng(0)
    logits = generator.uniform(-1, 1, (2000, 5)).astype(np.float32) * np.float32(size)
    logits[:, 3] = logits.max(axis=1)
    logits[::2, 3] = np.nextafter(logits[::2, 3], np.float32(np.inf))
    logits *= np.float32(size) / np.abs(logits).max()
    found = stored(tmp_path, logits)
    np.testing.assert_array_equal(found.predicted_labels, logits.argmax(axis=1))
    np.testing.assert_allclose(found.logits, logits, rtol=2e-3, atol=1e-3)
    assert found.logits.dtype == (np.float16 if size <= LARGEST_HALF else np.float32)


UNANSWERED = np.array([[2, 1, 0], [np.nan, 5, 1], [0, 0, 3], [1, -np.inf, 0], [np.inf, 0, 0]], "f4")


def test_what_is_no_number_is_no_answer_and_wrong(tmp_path):
    """The first of NaN would be class 0 by argmax, and right."""
    labels = np.array([0, 0, 2, 0, 1])
    for found in (Predictions(labels, UNANSWERED, labels), stored(tmp_path, UNANSWERED, labels)):
        assert found.predicted_labels.tolist() == [0, NO_ANSWER, 2, NO_ANSWER, NO_ANSWER]
        assert found.accuracy == pytest.approx(2 / 5)
        assert found.confusion().tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
        assert found.unanswered().tolist() == [2, 1, 0]
        assert found.probabilities.sum(axis=1).tolist() == pytest.approx([1, 0, 1, 0, 0])
        assert found.cell(0, 0)[0].tolist() == [0]
        precision, recall, counts = class_scores(found.confusion(), found.unanswered())
        assert counts.tolist() == [3, 1, 1]
        assert recall.tolist() == pytest.approx([1 / 3, 0, 1])
        assert precision.tolist() == [1, 0, 1]


def test_answers_that_are_no_numbers_are_never_healthy():
    right = np.diag([40, 40])
    verdict = judge(right, "ab", unanswered=np.array([0, 1]))
    assert verdict.level == NOT_NUMBERS
    assert verdict.accuracy == pytest.approx(80 / 81)
    assert verdict.balanced_accuracy == pytest.approx((1 + 40 / 41) / 2)
    assert verdict.sentence == (
        "Not numbers: 1 of 81 answers are no numbers and count as wrong. Accuracy 0.988, balanced "
        "accuracy 0.988."
    )
    nothing = judge(np.zeros((2, 2), int), "ab", unanswered=np.array([7, 3]))
    assert (nothing.level, nothing.accuracy, nothing.kappa) == (NOT_NUMBERS, 0, 0)
    assert "10 of 10 answers" in nothing.sentence


def test_a_class_without_training_images_is_a_cause_of_its_own():
    """Nothing is advised for it that works on the images it does not have."""
    matrix = np.array([[40, 2, 0], [1, 40, 0], [3, 5, 0]])
    verdict = judge(matrix, ["cat", "dog", "zebra"], train_counts=[100, 90, 0])
    assert verdict.level == NEARLY
    assert verdict.cause == ("No training image was of zebra: what it never saw it cannot answer.")
    assert not set(verdict.remedies) & set(WEIGHTS)
    seen = judge(matrix, ["cat", "dog", "zebra"], train_counts=[100, 90, 1])
    assert set(seen.remedies) <= {*WEIGHTS, *RATES}
    # where another class is neglected too, both are said
    both = judge(answering(0, [70, 20, 10]), "abc", train_counts=[70, 20, 0])
    assert "Imbalance" in both.cause
    assert "No training image was of c" in both.cause
    assert set(WEIGHTS) < set(both.remedies)
    # a class that does not occur is missed by nobody
    absent = np.array([[40, 2, 1], [1, 40, 0], [0, 0, 0]])
    assert not judge(absent, "abc", train_counts=[9, 9, 0]).cause


def test_scores_of_classes_with_one_image_or_none():
    precision, recall, images = class_scores([[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    assert precision.tolist() == [1, 1, 0]
    assert recall.tolist() == [1, 0.5, 0]
    assert images.tolist() == [1, 2, 0]
    assert images.dtype.kind == "i"


def test_two_runs_that_are_both_right():
    labels, ids = np.array([0, 1]), np.array(["a", "b"])
    both = Predictions(labels, np.eye(2), ids)
    assert agreement(both, both).tolist() == [[2, 0], [0, 0]]


def test_twice_as_common_is_imbalance():
    verdict = judge(answering(0, [50, 25, 25]), "abc")
    assert verdict.cause.startswith("Imbalance: 50 %")


def test_a_run_whose_training_noted_nothing_is_judged(root):
    folder = root / "mine"
    shutil.copytree(folders.SHIPPED / "digits_three_layer", folder)
    (folder / "events.jsonl").write_text("")
    assert judge_run(folders.read_run(folder)).level == HEALTHY
