"""What a trained network answered on held-out images: the file, the confusion matrix, and which
images are in a cell.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vizlib.errors import UserError
from vizlib.files import open_regular, write_whole

MAX_UNPACKED = 200_000_000  # bytes: a million answers to a hundred classes
# up to here float16 tells logits apart by a quarter; larger ones stay float32
LARGEST_HALF = 512
NO_ANSWER = -1  # the predicted label where the logits are not numbers


@dataclass(frozen=True)
class Predictions:
    """Answers to N held-out images of K classes.

    labels: int64 (N,). logits: float16 or float32 (N, K); an image of which one is not a finite
    number has no answer, and counts as wrong. image_ids: strings (N,), where the data set finds
    each picture.
    """

    labels: np.ndarray
    logits: np.ndarray
    image_ids: np.ndarray

    @property
    def is_answered(self) -> np.ndarray:
        """Of which images all logits are numbers: bool (N,)."""
        return np.asarray(np.isfinite(self.logits).all(axis=1))

    @property
    def predicted_labels(self) -> np.ndarray:
        """int64 (N,), NO_ANSWER where there is none."""
        return np.where(self.is_answered, self.logits.argmax(axis=1), NO_ANSWER)

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float32 (N, K); 0 of all classes where there is no answer."""
        answered = self.is_answered
        logits = self.logits[answered].astype(np.float32)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = np.zeros(self.logits.shape, np.float32)
        probabilities[answered] = shifted / shifted.sum(axis=1, keepdims=True)
        return probabilities

    @property
    def accuracy(self) -> float:
        """A fraction in [0, 1]."""
        return float(np.mean(self.predicted_labels == self.labels))

    @property
    def balanced_accuracy(self) -> float:
        """The mean over the classes that occur of the share of their images that are right, a
        fraction. 0 without images.
        """
        is_right = self.predicted_labels == self.labels
        shares = [is_right[self.labels == label].mean() for label in np.unique(self.labels)]
        return float(np.mean(shares)) if shares else 0.0

    def of(self, image_ids: np.ndarray) -> Predictions:
        """The answers to these images alone, in the order of their ids, strings (M,). KeyError for
        one that was not answered.
        """
        numbers = {str(image_id): number for number, image_id in enumerate(self.image_ids)}
        chosen = np.array([numbers[str(image_id)] for image_id in image_ids], int)
        return Predictions(self.labels[chosen], self.logits[chosen], self.image_ids[chosen])

    def confusion(self) -> np.ndarray:
        """Counts, int (K, K): row the true class, column the predicted one; without the images that
        have no answer.
        """
        return counted(self.labels, self.predicted_labels, self.logits.shape[1])

    def unanswered(self) -> np.ndarray:
        """How many images of each class have no answer, int (K,)."""
        return counted_unanswered(self.labels, self.predicted_labels, self.logits.shape[1])

    def cell(self, true_label: int, predicted_label: int) -> tuple[np.ndarray, np.ndarray]:
        """The image numbers of one cell of the matrix, the most confident answer first, and the
        probability given to that answer.
        """
        image_numbers = np.flatnonzero(
            (self.labels == true_label) & (self.predicted_labels == predicted_label)
        )
        confidence = self.probabilities[image_numbers, predicted_label]
        order = np.argsort(-confidence, kind="stable")
        return image_numbers[order], confidence[order]


def counted(labels: np.ndarray, predicted_labels: np.ndarray, classes: int) -> np.ndarray:
    """Counts, int (K, K), of labels and answers int (N,): row the true class, column the answer;
    without those that are NO_ANSWER.
    """
    answered = predicted_labels != NO_ANSWER
    # scikit-learn counts the same, and takes a second to import
    cells = labels[answered] * classes + predicted_labels[answered]
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def counted_unanswered(
    labels: np.ndarray, predicted_labels: np.ndarray, classes: int
) -> np.ndarray:
    """How many of each class, int (K,), are NO_ANSWER."""
    return np.bincount(labels[predicted_labels == NO_ANSWER], minlength=classes)


def save_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions.npz so that a reader finds the old file or the whole new one. Each answer
    is stored as it was given; logits are float16 where that tells them apart.
    """
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        labels=predictions.labels.astype(np.int32),
        logits=_as_stored(predictions.logits),
        image_ids=predictions.image_ids,
    )
    write_whole(path, buffer.getvalue())


def _as_stored(logits: np.ndarray) -> np.ndarray:
    """Logits (N, K) as float16, of which the greatest is the same one; float32 where some are too
    large.
    """
    if np.abs(logits, where=np.isfinite(logits), out=np.zeros(logits.shape)).max() > LARGEST_HALF:
        return logits.astype(np.float32)
    half = logits.astype(np.float16)
    answers = logits.argmax(axis=1)
    # two that float16 makes one: the greater stays the greater, by the least there is
    changed = np.flatnonzero(half.argmax(axis=1) != answers)
    greatest = half[changed].max(axis=1)
    half[changed, answers[changed]] = np.nextafter(greatest, np.float16(np.inf))
    return half


def load_predictions(path: Path, num_classes: int) -> Predictions:
    """The Predictions in a file. UserError if there is none, if it is damaged, or if it is of
    another number of classes.
    """
    labels, logits, image_ids = _unpacked(path)
    if (
        logits.shape != (labels.size, num_classes)
        or labels.ndim != 1
        or image_ids.shape != labels.shape
        or not labels.size
    ):
        raise UserError(
            f"The predictions of this run have the shape {logits.shape}, expected "
            f"({labels.size}, {num_classes})."
        )
    if labels.dtype.kind not in "iu" or (logits.dtype.kind, image_ids.dtype.kind) != ("f", "U"):
        raise UserError(
            "The predictions of this run are not whole-number labels, floating logits and text ids."
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise UserError(f"The predictions of this run hold labels outside 0 to {num_classes - 1}.")
    return Predictions(labels.astype(np.int64), logits, image_ids)


def _unpacked(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, logits and image ids as a file holds them. UserError if it cannot be read."""
    try:
        with open_regular(path) as opened, np.load(opened, allow_pickle=False) as file:
            if sum(entry.file_size for entry in file.zip.infolist()) > MAX_UNPACKED:
                raise ValueError("too large")
            return (
                np.asarray(file["labels"]),
                np.asarray(file["logits"]),
                np.asarray(file["image_ids"]),
            )
    except FileNotFoundError:
        raise UserError(
            "This run has no predictions yet. Make them with: python -m vizlib evaluate "
            f"{path.parent.name}"
        ) from None
    # readers of damaged files raise anything, zlib.error and TypeError among it
    except Exception:  # noqa: BLE001
        raise UserError(
            "The predictions of this run are damaged. Make them anew with: python -m vizlib "
            f"evaluate {path.parent.name}"
        ) from None


def agreement(first: Predictions, second: Predictions) -> np.ndarray | None:
    """How often two runs are right on the same images: int (2, 2), rows the first's answers,
    columns the second's, right before wrong.

    None if they did not answer the very same images, in whatever order.
    """
    here, there = first.image_ids.argsort(kind="stable"), second.image_ids.argsort(kind="stable")
    same = np.array_equal(first.image_ids[here], second.image_ids[there]) and np.array_equal(
        first.labels[here], second.labels[there]
    )
    if not same:
        return None
    wrong = [
        (answers.predicted_labels != answers.labels)[order]
        for answers, order in ((first, here), (second, there))
    ]
    return np.bincount(2 * wrong[0] + wrong[1], minlength=4).reshape(2, 2)


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact test of McNemar 1947: how probable a split at least this uneven is, in [0, 1], if
    both are as often right on what only one gets right.
    """
    total = only_first + only_second
    tail = (
        math.exp(
            math.lgamma(total + 1)
            - math.lgamma(k + 1)
            - math.lgamma(total - k + 1)
            - total * math.log(2)
        )
        for k in range(min(only_first, only_second) + 1)
    )
    return min(1.0, 2 * math.fsum(tail))


def class_scores(
    confusion: np.ndarray, unanswered: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per class: precision, recall and the number of true images, each (K,). 0 where nothing was
    predicted or nothing is there. unanswered: how many more images of each class have no answer.
    """
    confusion = np.asarray(confusion, float)
    right = confusion.diagonal()
    predicted = confusion.sum(axis=0)
    true = confusion.sum(axis=1) + (0 if unanswered is None else unanswered)
    precision = np.divide(right, predicted, out=np.zeros_like(right), where=predicted > 0)
    recall = np.divide(right, true, out=np.zeros_like(right), where=true > 0)
    return precision, recall, true.astype(int)
