"""Held out is held out for ever: of a data set as it is today, the pictures that a run was neither
trained nor validated on, whatever was added to its folders, moved or renamed since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vizlib import datasets
from vizlib.datasets import shipped
from vizlib.datasets.together import chosen, parts_of
from vizlib.errors import UserError
from vizlib.run.images import (
    INHERITED,
    TESTED,
    TRAINED,
    UNKNOWN,
    VALIDATED,
    RunImages,
    load_images,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizlib.datasets import Dataset, Split
    from vizlib.run.folders import Run


def to_look_at(run: Run, load: Callable[[str], Dataset] = datasets.load) -> Dataset:
    """A run's data set; where it is not on this machine, those of its pictures that ship and that
    the run was tested on. UserError where there is neither, or it does not fit the run.

    load: gives the data set of a name, for whoever keeps some.
    """
    name = run.config.dataset
    if datasets.is_here(name) or not is_tested_on_shipped(run):
        return datasets.load_for(run.config, load)
    return datasets.in_terms_of(run.config, shipped.read(name))


def is_tested_on_shipped(run: Run) -> bool:
    """Whether the run was tested on pictures that ship of its data set. False for damaged files:
    what is held out is not known then.
    """
    image_ids = shipped.image_ids_of(run.config.dataset)
    if not len(image_ids):
        return False
    try:
        images = load_images(run.folder)
    except UserError:
        return False
    return images is not None and bool(np.isin(image_ids, images.of(TESTED)[0]).any())


def held_out(run: Run, dataset: Dataset, answered: np.ndarray | None = None) -> Split:
    """The pictures of a data set that a run can be tested on: those that it was tested on, wherever
    they lie now; where none of them is here, the test pictures that it never learned from.

    dataset: the run's own, or another one, whose ids say nothing then. answered: the ids of the
    images that the run answered, where they are read already. UserError where nothing is left, or
    nothing is known.
    """
    images = load_images(run.folder, answered)
    if images is None:
        return _unless_changed(run, dataset)
    known = _Known(images, dataset, is_own=_is_own(run, dataset))
    splits = parts_of(dataset)
    tested = [known.tested(split) for split in splits]
    count = sum(int(mask.sum()) for mask in tested)
    if count and (tested[0].any() or count == known.count_tested):
        return chosen(splits, tested)
    untouched = ~known.learned(splits[0])
    if untouched.any():
        return chosen(splits[:1], [untouched])
    if count:
        return chosen(splits, tested)
    raise UserError(
        f"None of the {len(splits[0]):,} test pictures of {dataset.name!r} is held out from "
        f"{run.run_id!r}: it was trained on them, or may have been. Bring others, as a data set of "
        "their own."
    )


def learned_from(run: Run, dataset: Dataset, split: Split) -> np.ndarray:
    """Which pictures of a split of a data set a run was, or may have been, trained or validated on:
    bool (N,).
    """
    images = load_images(run.folder)
    if images is None:
        return np.zeros(len(split), bool)
    return _Known(images, dataset, is_own=_is_own(run, dataset)).learned(split)


def _is_own(run: Run, dataset: Dataset) -> bool:
    """Whether the ids of a data set mean what they do in the run's own: that, or one thinned from
    it or from the same.
    """
    return datasets.source_of(dataset.name) == datasets.source_of(run.config.dataset)


def set_aside(run: Run, dataset: Dataset) -> str:
    """A sentence about the test pictures of today's data set that `held_out` leaves out; empty
    where there are none.
    """
    test = dataset.splits["test"]
    kept = set(map(str, held_out(run, dataset).image_ids))
    aside = np.array([str(image_id) not in kept for image_id in test.image_ids])
    if not aside.any():
        return ""
    learned = int((aside & learned_from(run, dataset, test)).sum())
    later = int(aside.sum()) - learned
    reasons = [
        f"it was, or may have been, trained or validated on {learned:,}" if learned else "",
        f"{later:,} came after it was tested" if later else "",
    ]
    return (
        f"Of the {len(test):,} test pictures that lie here now, {int(aside.sum()):,} are left out "
        f"for {run.run_id}: {', and '.join(filter(None, reasons))}."
    )


def is_what_was_tested(run: Run, image_ids: np.ndarray) -> bool:
    """Whether these pictures are all that the run was tested on, and no others: only answers to
    them are its own.
    """
    images = load_images(run.folder)
    return images is None or set(images.of(TESTED)[0]) == set(image_ids)


def _unless_changed(run: Run, dataset: Dataset) -> Split:
    """The test pictures, for a run that left no word of its own; UserError where the data set is
    not described as it was then.
    """
    if dataset.note != run.config.dataset_note:
        raise UserError(
            f"Nothing says which pictures {run.run_id!r} was trained on: it was "
            f"{run.config.dataset_note or 'another copy'}, and is {dataset.note} now."
        )
    return dataset.splits["test"]


class _Known:
    """What is known of a run's images, by which those of a data set are told.

    is_own: whether it is of the same pictures as the data set that the run was trained on; of
    another one the ids mean other pictures, and only digests tell.
    """

    def __init__(self, images: RunImages, dataset: Dataset, *, is_own: bool) -> None:
        self._is_own, self._is_whole, self._official = is_own, images.is_whole, dataset.official
        ids, digests = images.of(TRAINED, VALIDATED, INHERITED)
        self._learned_ids = set(ids) if is_own else set()
        self._learned_digests = digests[digests != UNKNOWN]
        ids, digests = images.of(TESTED)
        self.count_tested = len(ids)
        self._tested = dict(zip(ids, digests, strict=True)) if is_own else {}
        # those of pictures that lie in both are of no use to tell them by
        self._only_tested = np.setdiff1d(digests[digests != UNKNOWN], self._learned_digests)

    def tested(self, split: Split) -> np.ndarray:
        """Which pictures of a split it was tested on, bool (N,): those of the same bytes, under
        whatever name, and of the same id where their bytes are not known.
        """
        was = np.array([self._tested.get(image_id, -1) for image_id in split.image_ids], object)
        same = was != -1
        if split.digests is not None:
            same &= (was == split.digests) | (was == UNKNOWN)
            same |= np.isin(split.digests, self._only_tested)
        return same.astype(bool)

    def learned(self, split: Split) -> np.ndarray:
        """Which pictures of a split it was, or may have been, trained or validated on, bool
        (N,): those of the same bytes or of the same id, unless it was tested on them.
        """
        if not self._is_whole and self._is_own:
            return ~self.tested(split) & ~self._never(split)
        by_id = np.array([image_id in self._learned_ids for image_id in split.image_ids], bool)
        if split.digests is not None:
            by_id |= np.isin(split.digests, self._learned_digests)
        return by_id & ~self.tested(split)

    def _never(self, split: Split) -> np.ndarray:
        """Which are test pictures of a published data set, in every copy of it."""
        return np.array(
            [self._official and image_id.startswith("test/") for image_id in split.image_ids], bool
        )
