"""Which pictures a training learns from, is validated and tested on: decided once, written into its
folder, and taken from there when it goes on.
"""

from pathlib import Path

import numpy as np

from vizlib.datasets import Dataset, Split
from vizlib.datasets.by_class import some
from vizlib.datasets.together import at, parts_of, places_of
from vizlib.errors import UserError
from vizlib.inside.held_out import learned_from
from vizlib.run.config import RunConfig
from vizlib.run.events import Event
from vizlib.run.folders import Run, open_run, read_run
from vizlib.run.images import (
    FILE,
    INHERITED,
    TESTED,
    TRAINED,
    UNKNOWN,
    VALIDATED,
    RunImages,
    load_images,
    save_images,
)
from vizlib.training.config import splits


def remembered(folder: Path, dataset: Dataset, config: RunConfig, *, write: bool) -> RunImages:
    """The images of the training in a folder: as an earlier process decided, else by the
    configuration, and then written there. UserError for a training of an earlier version whose
    pictures are others now.
    """
    if (folder / FILE).exists():
        images = load_images(folder)
        assert images is not None
        return images
    training, validation = splits(dataset, config)
    test, inherited = dataset.splits["test"], dataset.splits["test"].take(np.arange(0))
    if started := _started(folder):
        _check_unchanged(folder, dataset, config, started.get("train_images") == len(training))
    elif config.start and "run" in config.start:
        test, inherited = without_inherited(dataset, open_run(config.start["run"]))
    images = _images_of(training, validation, test, inherited)
    if write:
        save_images(folder, images)
    return images


def _started(folder: Path) -> Event | None:
    """The event with which the training in a folder began, of which it wrote down no images."""
    if not (folder / "config.json").is_file():
        return None
    started = read_run(folder).events_of("started")
    return started[0] if started else None


def _check_unchanged(folder: Path, dataset: Dataset, config: RunConfig, is_as_many: bool) -> None:
    """UserError for a training of an earlier version whose pictures are others now."""
    if not is_as_many or dataset.note != config.dataset_note:
        raise UserError(
            f"{folder.name!r} was begun by an earlier version on other pictures than there are "
            "now, and nothing says which: train a new one from its weights with --start."
        )


def without_inherited(dataset: Dataset, start: Run) -> tuple[Split, Split]:
    """(the test pictures of a data set, those among them that a run which weights come from has
    learned from). UserError where none is left to test on.
    """
    test = dataset.splits["test"]
    learned = learned_from(start, dataset, test)
    if learned.all():
        raise UserError(
            f"{start.run_id!r} was, or may have been, trained on all test pictures of "
            f"{dataset.name!r}: nothing would be left to test on. Begin with random weights, or "
            "bring other pictures."
        )
    return test.take(np.flatnonzero(~learned)), test.take(np.flatnonzero(learned))


def _images_of(*by_part: Split) -> RunImages:
    """by_part: the pictures that are trained, validated and tested on, and the inherited ones."""
    parts = np.array([TRAINED, VALIDATED, TESTED, INHERITED], np.uint8)
    return RunImages(
        np.concatenate([split.image_ids for split in by_part]),
        np.concatenate([_digests(split) for split in by_part]),
        np.repeat(parts, list(map(len, by_part))),
    )


def _digests(split: Split) -> np.ndarray:
    if split.digests is None:
        return np.full(len(split), UNKNOWN, np.uint64)
    return split.digests


def split_again(dataset: Dataset, images: RunImages) -> tuple[Split, Split]:
    """(training, validation) as they were, wherever those pictures lie in the data set now.
    UserError, naming some, where they are gone or changed.
    """
    training, validation = (_found(dataset, *images.of(part)) for part in (TRAINED, VALIDATED))
    return training, validation


def _found(dataset: Dataset, image_ids: np.ndarray, digests: np.ndarray) -> Split:
    """The pictures of these ids, in their order."""
    parts = parts_of(dataset)
    places = places_of(parts)
    lost = [image_id for image_id in map(str, image_ids) if image_id not in places]
    if not lost:
        split = at(parts, np.array([places[str(image_id)] for image_id in image_ids]))
        changed = (_digests(split) != digests) & (digests != UNKNOWN)
        lost = list(map(str, image_ids[changed & (_digests(split) != UNKNOWN)]))
    if lost:
        raise UserError(
            f"{len(lost):,} of the pictures that this training learns from are gone or changed: "
            f"{some(lost)}. Put them back, or train a new one from its weights with --start."
        )
    return split
