"""What the figures of a run say, in a sentence for a class: whether it overfits, which class it
mistakes most, which of two is better, where gradients vanish.

Names are shown as they are given: who shows a sentence as Markdown gives them escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vizlib.run.predictions import class_scores, mcnemar

LEAST_RISE = 0.02  # of a loss, in nats: of a loss near 0 a few images are many shares
LEAST_EVALUATIONS = 3  # fewer show no course
RISE = 0.05  # of a loss, as a share: an evaluation on a thousand images is that uncertain
BY_HEART = 0.95  # of the training images right
LEAST_GAP = 0.05  # between the two accuracies
STANDARD_ERRORS = 2  # that a gap must have
UNLIKELY = 0.01  # probability: what comes about by chance less often is more than chance
LEAST_LAYERS = 10  # with fewer a gradient has hardly a way
FAR_APART = 0.1  # of balanced accuracies
MUCH = 10  # times as large, or as small


def overfitting(
    evaluations: Sequence[dict[str, Any]],
    *,
    images: int | None = None,
    is_over: bool = True,
    whole_from: int = 0,
) -> str:
    """Whether a training overfits, since when, and which epoch was best; empty where there are too
    few evaluations to say it.

    evaluations: its "epoch" events. images: how many validation images there are. is_over: whether
    the training is. whole_from: the step from which on it learned from pictures of the whole size;
    what was before is not looked at.
    """
    shown = [event for event in evaluations if event["step"] > whole_from]
    if len(shown) < LEAST_EVALUATIONS:
        return ""
    lowest = min(shown, key=lambda event: event["val_loss"])
    after = shown[shown.index(lowest) + 1 :]
    if _rises(lowest, after):
        return _since(lowest, after[-1])
    last = shown[-1]
    if _knows_by_heart(last, images):
        kind = "by heart" if last["train_accuracy"] >= BY_HEART else "partly by heart"
        return (
            f"It learned {kind}: it is right on {_percent(last['train_accuracy'])} of the images "
            f"that it learns from, and on {_percent(last['val_accuracy'])} of those held out. Its "
            "loss on these does not rise, so it harms nothing yet."
        )
    falls = lowest is last
    course = "falls to the end" if falls and is_over else "falls" if falls else "hardly rises"
    return (
        f"It does not overfit{'' if is_over else ' so far'}: the loss on held-out images {course}, "
        f"to {last['val_loss']:.2f}, and it is right on {_percent(last['val_accuracy'])} of them, "
        f"beside {_percent(last['train_accuracy'])} of the images that it learns from."
    )


def _rises(lowest: dict[str, Any], after: Sequence[dict[str, Any]]) -> bool:
    """Whether the held-out loss rises after its lowest while the other goes on falling. One
    evaluation alone may be chance.
    """
    if len(after) < 2:
        return False
    means = {key: float(np.mean([e[key] for e in after])) for key in ("train_loss", "val_loss")}
    high = lowest["val_loss"] + max(LEAST_RISE, RISE * lowest["val_loss"])
    return (
        min(means["val_loss"], after[-1]["val_loss"]) > high
        and means["train_loss"] < (1 - RISE) * lowest["train_loss"]
    )


def _since(lowest: dict[str, Any], last: dict[str, Any]) -> str:
    return (
        f"It overfits since epoch {lowest['epoch']:.3g}: from there the loss on held-out images "
        f"rises, from {lowest['val_loss']:.2f} to {last['val_loss']:.2f}, while that on the images "
        f"it learns from goes on falling, from {lowest['train_loss']:.2f} to "
        f"{last['train_loss']:.2f}."
    )


def _knows_by_heart(last: dict[str, Any], images: int | None) -> bool:
    """Whether more of the training images are right than chance among those held out explains."""
    share = last["val_accuracy"]
    gap = last["train_accuracy"] - share
    error = (share * (1 - share) / images) ** 0.5 if images else 0.0
    return gap > LEAST_GAP and gap > STANDARD_ERRORS * error


def most_mistaken(
    confusion: np.ndarray, names: Sequence[str], unanswered: np.ndarray | None = None
) -> str:
    """Which class is recognised least, and what it is taken for. confusion: counts (K, K), true by
    answered; unanswered: counts (K,) of images without an answer.
    """
    _, recall, counts = class_scores(confusion, unanswered)
    if not counts.sum():
        return ""
    wrong = confusion - np.diag(confusion.diagonal())
    if not wrong.sum():
        return "No answer is wrong."
    label = int(np.where(counts > 0, recall, np.inf).argmin())
    text = (
        f"**{names[label]}** is mistaken most: {_percent(recall[label])} of its "
        f"{counts[label]:,} images are recognised"
    )
    other = int(wrong[label].argmax())
    if wrong[label, other]:
        count = wrong[label, other]
        text += f", {count:,} {'is' if count == 1 else 'are'} taken for **{names[other]}**"
    return text + "."


def better(
    names: Sequence[str], only_first: int, only_second: int, balanced: Sequence[float] | None = None
) -> str:
    """Which of two is better on the same images, and whether that is more than chance. names: of
    the two; only_first, only_second: the images that it alone gets right. balanced: their balanced
    accuracies, which decide where they are far apart: the other count speaks of the common classes.
    """
    if balanced is not None and abs(balanced[0] - balanced[1]) > FAR_APART:
        ahead, behind = (0, 1) if balanced[0] > balanced[1] else (1, 0)
        return (
            f"**{names[ahead]}** is better: in the mean over the classes it gets "
            f"{_percent(balanced[ahead])} of their images right, the other "
            f"{_percent(balanced[behind])}."
        )
    if only_first == only_second:
        return "Both get as many images right."
    more, less = max(only_first, only_second), min(only_first, only_second)
    ahead = names[0] if only_first > only_second else names[1]
    split = f"it alone gets {more:,} images right, the other alone {less:,}"
    if mcnemar(only_first, only_second) < UNLIKELY:
        return f"**{ahead}** is better, and that is more than chance: {split}."
    return f"**{ahead}** is ahead, but no more than chance may do: {split}."


def handed_on(sizes: np.ndarray) -> str:
    """Whether the gradient vanishes, explodes or is handed on evenly. sizes: its size in each
    layer, first to last, (L,), not-a-number where it is zero.
    """
    if len(sizes) < LEAST_LAYERS:
        return f"With {len(sizes)} layers a gradient has hardly a way to vanish on."
    third = len(sizes) // 3
    first, last = (_typical(part) for part in (sizes[:third], sizes[-third:]))
    if not first or not last:
        return "It vanishes: no gradient arrives at the first layers." if last else ""
    times = first / last
    if times * MUCH < 1:
        return (
            f"It vanishes on its way: the first third of the layers gets 1/{1 / times:,.0f} of "
            "what the last third gets."
        )
    if times > MUCH:
        return (
            f"It explodes on its way: the first third of the layers gets {times:,.0f} times what "
            "the last third gets."
        )
    share = f"{times:.2g} times what" if round(times, 1) != 1 else "as much as"
    return f"It is handed on evenly: the first third of the layers gets {share} the last third."


def _typical(sizes: np.ndarray) -> float:
    """The geometric mean; 0 where there is no gradient at all."""
    there = sizes[np.isfinite(sizes) & (sizes > 0)]
    return float(np.exp(np.log(there).mean())) if there.size else 0.0


def _percent(share: float) -> str:
    return f"{share:.0%}" if share < 0.995 else f"{share:.1%}"
