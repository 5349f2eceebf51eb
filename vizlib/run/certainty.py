"""How good the probabilities of a classifier are, and which images deserve a second look: the most
confident mistakes, and labels that the network finds unlikely.

The figures are those of scikit-learn's f1_score (macro) and log_loss, which takes a second to
import.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vizlib.run.predictions import Predictions, class_scores

BINS = 15  # as in Guo et al. 2017
LEAST_PROBABILITY = 1e-15  # what the logarithm is taken of at least


@dataclass(frozen=True)
class Calibration:
    """How often answers of a certainty are right (Guo et al. 2017, On Calibration of Modern Neural
    Networks, https://arxiv.org/abs/1706.04599, section 2): by bins of equal width over the
    probability of the answer, each array (BINS,).

    counts: answers in the bin. confidence, accuracy: their means, fractions; 0 in an empty bin.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error, a fraction: the mean distance of the two over all
        answers, bin by bin (equation 3). 0 without answers.
        """
        distances = np.abs(self.confidence - self.accuracy) * self.counts
        return float(distances.sum() / max(1, self.counts.sum()))


def calibration(predictions: Predictions) -> Calibration:
    """The Calibration of the answers there are."""
    answered = predictions.is_answered
    confidence = predictions.probabilities[answered].max(axis=1)
    right = (predictions.predicted_labels == predictions.labels)[answered]
    # a bin holds its upper end, as in the paper
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    means = (
        np.bincount(bins, values, BINS) / np.maximum(counts, 1)
        for values in (confidence.astype(float), right.astype(float))
    )
    return Calibration(counts, *means)


def log_loss(predictions: Predictions) -> float:
    """The mean of -log of the true class's probability, in nats, over the answers there are."""
    answered = predictions.is_answered
    labels = predictions.labels[answered]
    if not len(labels):
        return 0.0
    given = predictions.probabilities[answered][np.arange(len(labels)), labels].astype(float)
    return float(-np.log(np.maximum(given, LEAST_PROBABILITY)).mean())


def macro_f1(confusion: np.ndarray, unanswered: np.ndarray | None = None) -> float:
    """The mean of the classes' F1, harmonic means of precision and recall, a fraction; of the
    classes that occur or are answered.
    """
    precision, recall, counts = class_scores(confusion, unanswered)
    there = (counts > 0) | (np.asarray(confusion).sum(axis=0) > 0)
    both = precision + recall
    scores = np.divide(2 * precision * recall, both, out=np.zeros(len(both)), where=both > 0)
    return float(scores[there].mean()) if there.any() else 0.0


def within_one(confusion: np.ndarray, unanswered: np.ndarray | None = None) -> float:
    """Of ordered classes: the share of images whose answer is at most one grade off."""
    confusion = np.asarray(confusion)
    grades = np.arange(len(confusion))
    near = np.abs(np.subtract.outer(grades, grades)) <= 1
    total = confusion.sum() + (0 if unanswered is None else np.sum(unanswered))
    return float(confusion[near].sum() / total) if total else 0.0


def confident_mistakes(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """The image numbers of all wrong answers, the most confident first, and the probability given
    to each.
    """
    predicted, answered = predictions.predicted_labels, predictions.is_answered
    wrong = np.flatnonzero(answered & (predicted != predictions.labels))
    confidence = predictions.probabilities[wrong, predicted[wrong]]
    order = np.argsort(-confidence, kind="stable")
    return wrong[order], confidence[order]


def unlikely_labels(predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images whose label the network finds unlikely, the least likely first: image numbers, the
    class it takes each for, and by how much more probable that is, in [-1, 1].

    Confident learning (Northcutt, Jiang and Chuang 2021, https://arxiv.org/abs/1911.00068,
    equations 1 and 2): a class counts where its probability reaches the mean that images of that
    label have of it; an image that so counts for another class than its own is suspect. Written
    here, as it is these few lines, and cleanlab brings pandas and more.
    """
    probabilities, labels = predictions.probabilities.astype(float), predictions.labels
    classes = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    counts = np.bincount(labels, minlength=classes)
    means = np.bincount(labels, own, classes) / np.maximum(counts, 1)
    thresholds = np.where(counts > 0, means, np.inf)  # a class of no image has none
    counting = np.where(probabilities >= thresholds, probabilities, -1.0)
    taken = counting.argmax(axis=1)
    is_suspect = (counting.max(axis=1) >= 0) & (taken != labels) & predictions.is_answered
    suspects = np.flatnonzero(is_suspect)
    margins = probabilities[suspects, taken[suspects]] - own[suspects]
    order = np.argsort(-margins, kind="stable")
    return suspects[order], taken[suspects][order], margins[order]
