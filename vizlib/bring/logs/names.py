"""What a metric is, by the name that somebody gave it: val_acc, test/accuracy, Acc@1, train_acc1,
Prec@1, valid_loss, eval_loss, acc/val, Loss/train, epoch_accuracy, Valid Acc., lr-Adam/pg1.
"""

from __future__ import annotations

import re
from typing import NamedTuple

TRAIN, VAL, TEST = SPLITS = ("train", "val", "test")
LOSS, ACCURACY, ERROR, RATE = "loss", "accuracy", "error", "learning_rate"
SPLIT_OF = (
    dict.fromkeys(("train", "training", "trn", "trained"), TRAIN)
    | dict.fromkeys(("val", "valid", "validation", "validate", "eval", "evaluation", "dev"), VAL)
    | dict.fromkeys(("test", "testing", "tst"), TEST)
)
OF_EVALUATION = "metrics"  # as YOLO calls those of its validation
BY_STEP = {"step", "batch", "iter", "iteration", "iterations"}
# words that change nothing
NOISE = BY_STEP | {
    *("epoch", "epochs", "avg", "average", "averaged", "mean", "running", "total", "overall"),
    *("global", "metrics", "metric", "scalar", "scalars", "meter", "value", "vs", "and", "on"),
    *("set", "per", "by", "the", "of", "data", "dataset", "curve", "log", "logs", "percent", "pct"),
}
LOSSES = ({"loss"}, {"losses"}, {"nll"}, {"xent"}, {"cost"}, {"crossentropy"}, {"cross", "entropy"})
WITH_LOSS = {"cross", "entropy", "crossentropy", "ce", "nll", "nllloss", "criterion", "function"}
ACCURACIES = {"acc", "accs", "accuracy", "accuracies"}
ERRORS = {"err", "errs", "error", "errors"}
OF_THE_FIRST = {"top", "prec", "precision"}  # with a 1: the share where the first answer is right
WITH_ACCURACY = {"categorical", "sparse", "binary", "multiclass", "classification", "score"}
_GLUED = re.compile(
    r"^(train|training|valid|validation|val|test|eval|dev)"
    r"(loss|losses|acc|accuracy|err|error|top|prec)$"
)
_LOADER = re.compile(r"/dataloader_idx_\d+$")  # as Lightning adds it
_WORD = re.compile(r"[^\W\d_]+|\d+")


class Role(NamedTuple):
    """What a metric is. split: of SPLITS, empty where its name does not say. quantity: LOSS,
    ACCURACY, ERROR or RATE. is_by_step: whether the name says that it goes from step to step.
    """

    split: str
    quantity: str
    is_by_step: bool = False


def role_of(name: str) -> Role | None:
    """What a metric of this name is, None where that cannot be said."""
    words = _words(_LOADER.sub("", name))
    quantity = _quantity(words)
    if quantity is None:
        return None
    split = "" if quantity == RATE else _split(name, words)
    return Role(split, quantity, bool(BY_STEP & set(words)))


def _words(name: str) -> list[str]:
    """The words and numbers of a name, in small letters: trainLoss1 is train, loss, 1."""
    words = []
    for word in _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)[:200]):
        glued = _GLUED.match(word.lower())
        words += glued.groups() if glued else (word.lower(),)
    return words


def _split(name: str, words: list[str]) -> str:
    """The last that is named: of "test/val_loss" val. Of several behind a "/" the first counts:
    "train/Training vs. Validation Loss" is one curve of a figure of two.
    """
    named = [SPLIT_OF[word] for word in words if word in SPLIT_OF]
    first = _words(name.partition("/")[0])
    if len(set(named[1:])) > 1 and len(first) == 1 and first[0] in SPLIT_OF:
        return named[0]
    if named:
        return named[-1]
    return VAL if OF_EVALUATION in words else ""


def _quantity(words: list[str]) -> str | None:
    left = {word for word in words if word not in SPLIT_OF}
    if left & {"lr", "lrs", "learningrate"} or {"learning", "rate"} <= left:
        return None if left & {"loss", "acc", "accuracy", "find"} else RATE
    left -= NOISE
    digits = {word for word in left if word.isdecimal()}
    left -= digits
    if left in LOSSES or ("loss" in left and left - {"loss"} <= WITH_LOSS):
        return None if digits else LOSS
    if not digits <= {"1"}:
        return None  # one of five
    is_of_first = bool(left & OF_THE_FIRST) and bool(digits)
    if left & ERRORS and left <= ERRORS | OF_THE_FIRST | WITH_ACCURACY | {"rate"}:
        return ERROR if is_of_first or not left & OF_THE_FIRST else None
    is_accuracy = bool(left & ACCURACIES) and (is_of_first or not left & OF_THE_FIRST)
    if (is_accuracy or is_of_first) and left <= ACCURACIES | OF_THE_FIRST | WITH_ACCURACY:
        return ACCURACY
    return None
