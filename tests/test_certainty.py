"""Figures of probabilities, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score
from sklearn.metrics import log_loss as log_loss_of_sklearn

from vizlib.run.certainty import (
    BINS,
    calibration,
    confident_mistakes,
    log_loss,
    macro_f1,
    unlikely_labels,
    within_one,
)
from vizlib.run.predictions import Predictions
from vizlib.run.verdict import cohen_kappa


def answers(count=500, classes=4, seed=1):
    """Answers that are right more often than not, of classes that are not equally common."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(classes, count, p=[0.5, 0.1, 0.3, 0.1])
    logits = generator.normal(size=(count, classes)).astype(np.float32) * 2
    logits[np.arange(count), labels] += 1.5
    return Predictions(labels, logits, labels.astype(str))


def given(rows, labels):
    """Predictions with these probabilities."""
    logits = np.log(np.array(rows, np.float32))
    return Predictions(np.array(labels), logits, np.array(labels).astype(str))


def test_figures_are_those_of_scikit_learn():
    found = answers()
    predicted = found.predicted_labels
    assert macro_f1(found.confusion()) == pytest.approx(
        f1_score(found.labels, predicted, average="macro")
    )
    assert log_loss(found) == pytest.approx(
        log_loss_of_sklearn(found.labels, found.probabilities.astype(float)), rel=1e-5
    )
    assert cohen_kappa(found.confusion(), quadratic=True) == pytest.approx(
        cohen_kappa_score(found.labels, predicted, weights="quadratic")
    )
    near = np.abs(found.labels - predicted) <= 1
    assert within_one(found.confusion()) == pytest.approx(near.mean())
    assert within_one(found.confusion()) > found.accuracy


def test_a_class_neither_there_nor_answered_does_not_count():
    confusion = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    labels, predicted = [0] * 4 + [1] * 4, [0, 0, 0, 1, 1, 1, 1, 1]
    assert macro_f1(confusion) == pytest.approx(f1_score(labels, predicted, average="macro"))


def test_images_without_an_answer_count_as_wrong():
    confusion, missing = np.array([[3, 1], [0, 4]]), np.array([0, 2])
    assert within_one(confusion, missing) == pytest.approx(0.8)
    labels, predicted = [0] * 4 + [1] * 6, [0, 0, 0, 1, 1, 1, 1, 1, 9, 9]
    expected = f1_score(labels, predicted, average=None, labels=[0, 1]).mean()
    assert macro_f1(confusion, missing) == pytest.approx(expected)


def test_calibration_by_hand():
    """Bins of a fifteenth, which hold their upper ends: 0.6 and 0.8 are in those up to there."""
    found = given(
        [[0.62, 0.38], [0.65, 0.35], [0.1, 0.9], [0.08, 0.92], [0.92, 0.08], [0.5, 0.5]],
        [0, 1, 1, 1, 1, 0],
    )
    bins = calibration(found)
    assert {n: c for n, c in enumerate(bins.counts.tolist()) if c} == {7: 1, 9: 2, 13: 3}
    assert bins.confidence[9] == pytest.approx(0.635)
    assert bins.accuracy[[7, 9, 13]].tolist() == pytest.approx([1, 0.5, 2 / 3])
    expected = (1 * 0.5 + 2 * abs(0.635 - 0.5) + 3 * abs(2.74 / 3 - 2 / 3)) / 6
    assert bins.error == pytest.approx(expected, rel=1e-5)


def test_calibration_error_by_another_way():
    found = answers()
    sure = found.probabilities.max(axis=1)
    right = found.predicted_labels == found.labels
    expected = sum(
        abs(sure[inside].mean() - right[inside].mean()) * inside.mean()
        for low in range(BINS)
        if (inside := (sure > low / BINS) & (sure <= (low + 1) / BINS)).any()
    )
    assert calibration(found).error == pytest.approx(expected, rel=1e-5)


def test_the_most_confident_mistakes_come_first():
    found = given([[0.7, 0.3], [0.05, 0.95], [0.2, 0.8], [0.9, 0.1]], [1, 0, 1, 1])
    numbers, confidence = confident_mistakes(found)
    assert numbers.tolist() == [1, 3, 0]
    assert confidence.tolist() == pytest.approx([0.95, 0.9, 0.7])


def test_unlikely_labels_by_the_definition():
    """Loop by loop as the paper defines them."""
    found = answers(300)
    p, labels = found.probabilities.astype(float), found.labels
    thresholds = [p[labels == k, k].mean() for k in range(4)]
    expected = {}
    for number in range(300):
        counting = [k for k in range(4) if p[number, k] >= thresholds[k]]
        if counting:
            taken = max(counting, key=lambda k: p[number, k])
            if taken != labels[number]:
                expected[number] = taken, p[number, taken] - p[number, labels[number]]
    numbers, taken, margins = unlikely_labels(found)
    assert dict(zip(numbers.tolist(), taken.tolist(), strict=True)) == {
        number: label for number, (label, _) in expected.items()
    }
    assert 5 < len(numbers) < 250
    assert (np.diff(margins) <= 0).all()
    assert margins[0] == pytest.approx(max(margin for _, margin in expected.values()), rel=1e-5)


def test_wrong_labels_are_found():
    """Of a network that is right and sure, the labels that were changed, and no others."""
    generator = np.random.default_rng(2)
    truth = generator.integers(0, 3, 200)
    logits = generator.normal(size=(200, 3)) * 0.3
    logits[np.arange(200), truth] += 4
    labels = truth.copy()
    changed = [17, 90, 150]
    labels[changed] = (truth[changed] + 1) % 3
    logits[changed, truth[changed]] += 1  # as sure as the others of that class are on average
    numbers, taken, _ = unlikely_labels(Predictions(labels, logits, labels.astype(str)))
    assert sorted(numbers) == [17, 90, 150]
    assert taken.tolist() == truth[numbers].tolist()
