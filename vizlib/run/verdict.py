"""Does a classifier answer one class? The verdict in one sentence, with its evidence, the likely
cause and what to try.

An accuracy of 0.735 says nothing where 73.5 % of the images are of one class. Everything here
follows from the confusion matrix of held-out images; the figures are those of scikit-learn's
accuracy_score, balanced_accuracy_score and cohen_kappa_score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vizlib.run.folders import Run
from vizlib.run.predictions import Predictions, load_predictions

COLLAPSED = "collapsed"
NEARLY = "nearly collapsed"
HEALTHY = "not collapsed"
UNJUDGED = "cannot be judged"
NOT_NUMBERS = "not numbers"
# A net that answers one class this often, and agrees with the truth no better than that by chance,
# has collapsed.
TOP_SHARE_COLLAPSED, KAPPA_COLLAPSED = 0.95, 0.05
# A class this common in the truth, or half as common as in a balanced set, yet never answered, is
# no accident of a small test set.
NEGLECTED_SHARE = 0.02
# an accuracy this much higher in training than in testing, with one answer in testing, points at
# preprocessing
TRAIN_TEST_GAP = 0.3
IMBALANCE = 2  # the commonest class is this many times as common as the rarest
# what to try
AGAINST_PREPROCESSING = (
    "compare mean, deviation, channel order and size of both",
    "evaluate once on training images, prepared as in testing",
)
AGAINST_IMBALANCE = (
    "class weights in the loss",
    "balanced sampling",
    "augment the rare classes only",
    "pretrained weights",
    "a smaller learning rate, in stages",
)
AGAINST_NO_NUMBERS = (
    "an earlier checkpoint, or a new training",
    "a smaller learning rate",
    "float32 instead of float16",
    "look at the images for values that are not numbers",
)
AGAINST_UNTRAINED = (
    "training images of each class",
    "a split by class, which leaves each class some to train on",
)
AGAINST_DIVERGENCE = (
    "look at the loss: not a number, or flat",
    "a smaller learning rate",
    "more epochs",
    "batch normalisation or another initialisation",
)


@dataclass(frozen=True)
class Verdict:
    """level: one of COLLAPSED, NEARLY, HEALTHY, UNJUDGED, NOT_NUMBERS. sentence: for a reader.
    cause and remedies: empty where all is well.
    """

    level: str
    sentence: str
    accuracy: float
    majority_share: float  # the accuracy of always answering the commonest class
    minority_share: float  # of the rarest class there is
    balanced_accuracy: float
    chance: float  # one in as many classes as occur
    kappa: float
    classes_predicted: int
    classes_present: int
    top_class: str
    top_share: float
    never_predicted: list[str]
    cause: str = ""
    remedies: list[str] = field(default_factory=list)


def cohen_kappa(confusion: np.ndarray, quadratic: bool = False) -> float:
    """Agreement beyond chance in [-1, 1], 0 at chance; quadratic weights for ordered classes (Cohen
    1960 and 1968). 0 where undefined.
    """
    confusion = np.asarray(confusion, float)
    if not confusion.sum():
        return 0.0
    classes = np.arange(len(confusion))
    distance = np.subtract.outer(classes, classes)
    weights = np.square(distance) if quadratic else (distance != 0).astype(float)
    expected = np.outer(confusion.sum(axis=1), confusion.sum(axis=0)) / confusion.sum()
    by_chance = (weights * expected).sum()
    return float(1 - (weights * confusion).sum() / by_chance) if by_chance else 0.0


def judge(
    confusion: np.ndarray,
    class_names: Sequence[str],
    train_accuracy: float | None = None,
    ordered: bool = False,
    unanswered: np.ndarray | None = None,
    train_counts: Sequence[int] | None = None,
) -> Verdict:
    """The Verdict on counts (K, K), rows true and columns predicted. ValueError if there is not one
    image.

    train_accuracy: the last one of the training, if known; it tells a preprocessing fault from an
    imbalance. ordered: the classes are grades, so kappa is weighted quadratically. unanswered: how
    many more images of each class were answered with what is no number, (K,); they count as wrong.
    train_counts: how many training images each class had, if known.
    """
    confusion = np.asarray(confusion)
    unanswered = np.zeros(len(confusion), int) if unanswered is None else unanswered
    total = int(confusion.sum() + unanswered.sum())
    if not total:
        raise ValueError("no image to judge")
    figures = _figures(confusion, unanswered, class_names, ordered)
    if unanswered.any():
        return _of_no_numbers(figures, int(unanswered.sum()), total)
    level = _level(figures, _neglected(confusion, figures["chance"]))
    true, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    answers_commonest = bool(true[predicted.argmax()] == true.max())
    untrained = _untrained(true, class_names, train_counts)
    never = figures["never_predicted"]
    is_explained = bool(never) and set(never) <= set(untrained)
    cause, remedies = "", []
    if level in (COLLAPSED, NEARLY) and not is_explained:
        cause, remedies = _cause(figures, level, train_accuracy, answers_commonest)
    if untrained:
        cause, remedies = _without_training(untrained, cause, remedies)
    sentence = f"{_sentence(figures, level, total)} {_of_absent(confusion, class_names)}".strip()
    return Verdict(level, sentence, cause=cause, remedies=remedies, **figures)


def _of_absent(confusion: np.ndarray, class_names: Sequence[str]) -> str:
    """A sentence on classes that are answered and of which there is no image; empty where there are
    none.
    """
    answers = np.where(confusion.sum(axis=1) == 0, confusion.sum(axis=0), 0)
    if not answers.any():
        return ""
    order = np.argsort(-answers, kind="stable")[: np.count_nonzero(answers)]
    names = [class_names[int(label)] for label in order]
    share = _percent(float(answers.sum() / confusion.sum()))
    return f"{share} of the answers are {_names(names)}, of which no image here is."


def _of_no_numbers(figures: dict[str, Any], count: int, total: int) -> Verdict:
    return Verdict(
        NOT_NUMBERS,
        f"Not numbers: {count:,} of {total:,} answers are no numbers and count as wrong. "
        f"Accuracy {figures['accuracy']:.3f}, balanced accuracy "
        f"{figures['balanced_accuracy']:.3f}.",
        cause="The network's values overflow, or its training has diverged.",
        remedies=list(AGAINST_NO_NUMBERS),
        **figures,
    )


def _untrained(
    true: np.ndarray, class_names: Sequence[str], train_counts: Sequence[int] | None
) -> list[str]:
    """The classes that occur and had no training image."""
    if train_counts is None or len(train_counts) != len(true):
        return []
    counted = zip(class_names, true, train_counts, strict=True)
    return [name for name, images, trained in counted if images and not trained]


def _without_training(
    untrained: list[str], cause: str, remedies: list[str]
) -> tuple[str, list[str]]:
    """Cause and remedies where classes had no training image: for them no weight and no sampling
    helps.
    """
    said = f"No training image was of {_names(untrained)}: what it never saw it cannot answer."
    return f"{cause} {said}".strip(), [*AGAINST_UNTRAINED, *remedies]


def _figures(
    confusion: np.ndarray, unanswered: np.ndarray, class_names: Sequence[str], ordered: bool
) -> dict[str, Any]:
    """The evidence, by the names of the Verdict's fields."""
    counts = confusion.sum(axis=1) + unanswered
    total = counts.sum()
    true, predicted = counts / total, confusion.sum(axis=0) / total
    present = true > 0
    recalls = confusion.diagonal()[present] / counts[present]
    never = np.flatnonzero(present & (predicted == 0)).tolist()
    return dict(
        accuracy=float(confusion.trace() / total),
        majority_share=float(true.max()),
        minority_share=float(true[present].min()),
        balanced_accuracy=float(np.mean(recalls)),
        chance=1 / int(present.sum()),
        kappa=cohen_kappa(confusion, quadratic=ordered),
        classes_predicted=int((predicted > 0).sum()),
        classes_present=int(present.sum()),
        top_class=class_names[int(predicted.argmax())],
        top_share=float(predicted.max()),
        never_predicted=[class_names[label] for label in never],
    )


def _neglected(confusion: np.ndarray, chance: float) -> bool:
    """Whether a class that is not rare is never answered. chance: one in as many as occur."""
    true, predicted = confusion.sum(axis=1) / confusion.sum(), confusion.sum(axis=0)
    return bool(((true >= min(NEGLECTED_SHARE, chance / 2)) & (predicted == 0)).any())


def judge_run(run: Run, predictions: Predictions | None = None) -> Verdict:
    """The Verdict on a run's predictions of held-out images, which are read from its folder where
    they are not given. UserError if it has none.
    """
    if predictions is None:
        predictions = load_predictions(run.path("predictions.npz"), len(run.class_names))
    best = run.best
    of_best = (
        event["train_accuracy"]
        for event in run.events_of("epoch")
        if best and event["epoch"] == best["epoch"]
    )
    started = run.events_of("started")
    return judge(
        predictions.confusion(),
        run.class_names,
        train_accuracy=next(of_best, None),
        ordered=run.config.ordered,
        unanswered=predictions.unanswered(),
        train_counts=started[-1].get("train_counts") if started else None,
    )


def _level(figures: dict[str, Any], neglected: bool) -> str:
    if figures["classes_present"] < 2:
        return UNJUDGED
    if figures["top_share"] >= TOP_SHARE_COLLAPSED and figures["kappa"] < KAPPA_COLLAPSED:
        return COLLAPSED
    no_better = figures["kappa"] < KAPPA_COLLAPSED or (
        figures["accuracy"] <= figures["majority_share"] and figures["kappa"] < 0.2
    )
    return NEARLY if neglected or no_better else HEALTHY


def _sentence(figures: dict[str, Any], level: str, total: int) -> str:
    balanced = f"balanced accuracy {figures['balanced_accuracy']:.3f}"
    if level == UNJUDGED:
        return (
            f"Cannot be judged: all {total:,} images are of one class, "
            f"{_percent(figures['accuracy'])} of the answers are right."
        )
    if level == COLLAPSED:
        return _collapsed(figures, total, balanced)
    if level == NEARLY:
        return _nearly_collapsed(figures, balanced)
    return (
        f"Not collapsed: {figures['classes_present'] - len(figures['never_predicted'])} of "
        f"{figures['classes_present']} classes are answered, none more than "
        f"{_percent(figures['top_share'])} of the time. Accuracy {figures['accuracy']:.3f}, "
        f"{balanced}."
    )


def _collapsed(figures: dict[str, Any], total: int, balanced: str) -> str:
    same = abs(figures["accuracy"] - figures["majority_share"]) < 0.005
    baseline = "equals" if same else f"stands beside {figures['majority_share']:.3f} for"
    return (
        f"Collapsed: {_percent(figures['top_share'])} of {total:,} predictions are "
        f"{figures['top_class']}. "
        f"Accuracy {figures['accuracy']:.3f} {baseline} always answering the commonest class; "
        f"{balanced}, chance for {figures['classes_present']} classes is "
        f"{figures['chance']:.3f}."
    )


def _nearly_collapsed(figures: dict[str, Any], balanced: str) -> str:
    if figures["never_predicted"]:
        what = f"it never answers {_names(figures['never_predicted'])}"
    elif figures["accuracy"] <= figures["majority_share"]:
        what = "it does no better than always answering the commonest class"
    else:
        what = f"it hardly agrees with the truth beyond chance (kappa {figures['kappa']:.3f})"
    return (
        f"Nearly collapsed: {what}. Accuracy {figures['accuracy']:.3f}, "
        f"{figures['majority_share']:.3f} by always answering the "
        f"commonest class; {balanced}."
    )


def _cause(
    figures: dict[str, Any], level: str, train_accuracy: float | None, answers_commonest: bool
) -> tuple[str, list[str]]:
    """The likeliest cause and what to try, from the evidence."""
    if train_accuracy is not None and train_accuracy - figures["accuracy"] > TRAIN_TEST_GAP:
        return (
            f"Training reached an accuracy of {train_accuracy:.3f}: the images are probably "
            "prepared differently in testing than in training."
        ), list(AGAINST_PREPROCESSING)
    if answers_commonest and figures["majority_share"] >= IMBALANCE * figures["minority_share"]:
        return (
            f"Imbalance: {_percent(figures['majority_share'])} of the images are of one "
            "class, so answering it is the easy way to a low loss."
        ), list(AGAINST_IMBALANCE)
    if level == COLLAPSED:
        cause = "Imbalance does not explain it, so the network is untrained or has diverged."
    else:
        cause = "Imbalance does not explain it: the network has hardly begun to learn."
    return cause, list(AGAINST_DIVERGENCE)


def _percent(share: float) -> str:
    return (
        f"{100 * share:.0f} %"
        if share in (0, 1) or 0.1 <= share < 0.995
        else f"{100 * share:.1f} %"
    )


def _names(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
