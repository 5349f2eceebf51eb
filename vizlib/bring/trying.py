"""Which normalisation a network from elsewhere was trained with, and which of several networks it
is, tried on labelled pictures: the commonest silent error of all shows as an accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vizlib.bring.models import BGR, RGB, Settings, network
from vizlib.bring.recognition import Candidate
from vizlib.datasets.usual import usual
from vizlib.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vizlib.datasets import Dataset, Split

FEW, MANY = 60, 400  # pictures: all are tried on a few of them, the best on many
BEST = 4  # of those tried on a few
SEED = 0
NEARLY = 0.001  # of a mean or a deviation: that makes no difference
OWN = "the data set's own"


@dataclass(frozen=True)
class Tried:
    """How many labelled pictures a network got right in one way of reading them.

    candidate: its number among those tried. normalisation: its name. order: of the colours.
    correct, images: how many of how many.
    """

    candidate: int
    normalisation: str
    mean: list[float]
    std: list[float]
    order: str
    correct: int
    images: int

    @property
    def accuracy(self) -> float:
        """A fraction in [0, 1]."""
        return self.correct / self.images

    def settled(self, settings: Settings) -> Settings:
        """Settings with this way of reading pictures."""
        return replace(settings, mean=self.mean, std=self.std, order=self.order)


def sample(dataset: Dataset, class_names: Sequence[str], count: int = MANY) -> tuple[Split, str]:
    """Labelled pictures to try a network on, drawn by seed, and which they are: of the training
    images, so that those it will be tested on choose nothing. UserError for a data set with classes
    that the network has not.
    """
    classes = dataset.class_names
    if sorted(classes) != sorted(class_names):
        raise UserError(
            f"{dataset.name!r} has {len(classes):,} classes, as {classes[0]!r}, and the network "
            f"{len(class_names):,}, as {class_names[0]!r}: choose another set."
        )
    part = "train" if "train" in dataset.splits else "test"
    split = dataset.splits[part]
    order = np.random.default_rng(SEED).permutation(len(split))[:count]
    labels = np.array([list(class_names).index(name) for name in classes])
    taken = split.take(order)
    return replace(taken, labels=labels[taken.labels]), f"{len(taken):,} {part} images"


def normalisations(
    channels: int, dataset: Dataset | None
) -> dict[str, tuple[list[float], list[float]]]:
    """The usual ones by name, and the data set's own where it is none of them."""
    pairs = usual(channels)
    if dataset is None or len(dataset.mean) != channels:
        return pairs
    own = dataset.mean, dataset.std
    if not any(np.allclose(own, pair, atol=NEARLY) for pair in pairs.values()):
        pairs[OWN] = list(dataset.mean), list(dataset.std)
    return pairs


def ways(input_size: Sequence[int], dataset: Dataset | None) -> list[Tried]:
    """Every usual way to read a picture, none tried yet."""
    pairs = normalisations(input_size[0], dataset)
    orders = (RGB, BGR) if input_size[0] == 3 else (RGB,)
    return [
        Tried(0, name, mean, std, order, 0, 1)
        for order in orders
        for name, (mean, std) in pairs.items()
    ]


def tried(
    candidates: Sequence[Candidate],
    tensors: Mapping[str, torch.Tensor],
    split: Split,
    dataset: Dataset | None,
    say: Callable[[float], None] = lambda share: None,
) -> list[Tried]:
    """Each candidate with each usual way to read a picture, on the pictures of a split: the most
    accurate first; the best few on all of them, the others on some.
    """
    few = split.take(np.arange(min(FEW, len(split))))
    results = []
    for number, candidate in enumerate(candidates):
        judge = _Judge(candidate, tensors, few)
        possible = ways(candidate.input_size, dataset)
        results += [judge(replace(way, candidate=number)) for way in possible]
        say(0.5 * (number + 1) / len(candidates))
    results.sort(key=_order)
    if len(split) == len(few):
        return results
    best = results[:BEST]
    judges: dict[int, _Judge] = {}
    for number, result in enumerate(best):
        candidate = candidates[result.candidate]
        if result.candidate not in judges:
            judges[result.candidate] = _Judge(candidate, tensors, split)
        best[number] = judges[result.candidate](result)
        say(0.5 + 0.5 * (number + 1) / len(best))
    return [*sorted(best, key=_order), *results[BEST:]]


def _order(result: Tried) -> tuple[float, bool, int]:
    """The most accurate first, of equals red first, and the likelier network."""
    return -result.accuracy, result.order == BGR, result.candidate


class _Judge:
    """Counts the right answers of a network to the pictures of a split."""

    def __init__(
        self, candidate: Candidate, tensors: Mapping[str, torch.Tensor], split: Split
    ) -> None:
        self._model: nn.Module = network(candidate, tensors)
        self._images = split.images(candidate.input_size)
        self._labels = split.labels

    def __call__(self, way: Tried) -> Tried:
        from vizlib.inside.passes import predict

        images = self._images if way.order == RGB else np.ascontiguousarray(self._images[:, ::-1])
        logits = predict(self._model, images, way.mean, way.std, batch_size=50)
        right = int((logits.argmax(axis=1) == self._labels).sum())
        return replace(way, correct=right, images=len(images))
