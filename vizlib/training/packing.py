"""A finished run with its weights packed into a fraction of the bytes, and what that costs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vizlib.datasets import Dataset, Split
from vizlib.errors import UserError
from vizlib.files import write_whole
from vizlib.inside.held_out import held_out, is_what_was_tested
from vizlib.run import moments
from vizlib.run.events import add_to_ended
from vizlib.run.folders import Run
from vizlib.run.predictions import Predictions, load_predictions, save_predictions
from vizlib.run.weights import (
    Tensors,
    disturbed,
    load_weights,
    packable,
    packed_weights,
)
from vizlib.training.evaluation import answers_with
from vizlib.training.remembered import remembered, split_again
from vizlib.training.snapshots import thin

BITS = (2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8)
# of the accuracy, of which five digits are stored: more would be another network
MOST_LOST = 0.003 + 1e-5
SOME = 100  # pictures that show which tensors matter
MOST_CHANGED = 0.01  # of the answers to the validation images

Say = Callable[[str], object]


@dataclass(frozen=True)
class Packed:
    """What a run's file of weights is now. bits: of a weight, in the mean of the whole file.
    trained, stored: the accuracy on the test images before and after. changed: the share of them
    that is answered otherwise. Fractions.
    """

    bits: float
    trained: float
    stored: float
    changed: float


def pack(run: Run, dataset: Dataset, say: Say = lambda text: None) -> Packed:
    """Store a finished run's weights in few bits (`packed_weights`), and what the network answers
    with these: its predictions and its test accuracy are those of the file from then on. Its film
    of learning is stored as it is today too (`thin`).

    The validation images choose how few: the fewest of BITS that lose no more than MOST_LOST of
    accuracy and balanced accuracy and change no more than MOST_CHANGED of the answers; all of them
    where none will do or those images are not here. The test images can only ask for more bits:
    where more than MOST_LOST of their accuracy would be lost, or gained.
    say: told of each try, in a sentence.
    UserError, and nothing is changed, for a run that has not finished or is packed already, and
    where that is lost or gained with all bits, or the images that it was tested on are not here.
    """
    trained = _check(run)
    tested, weights = _tested(run, dataset), load_weights(run.path("model.safetensors"))
    (fewest, harms), lost = _fewest(run, dataset, weights, say), ""
    for bits in BITS[BITS.index(fewest) :]:
        packed = packed_weights(weights, bits, harms)
        answers = _answers(load_weights(packed), tested, run, dataset)
        lost = f"{answers.accuracy:.2%} of the test images right instead of {trained:.2%}"
        say(f"{bits} bits: {lost}.")
        # many answers by a hair may turn to the right ones too: that is another network as well
        if abs(trained - answers.accuracy) <= MOST_LOST:
            return _keep(run, packed, answers)
    raise UserError(f"With {BITS[-1]} bits {run.run_id} would get {lost}: it stays as it is.")


def _check(run: Run) -> float:
    """The test accuracy as it was trained. UserError for a run that cannot be packed."""
    if not run.events_of("finished"):
        raise UserError(f"{run.run_id} has not finished: only a finished run can be packed.")
    if run.missing_weights:
        raise UserError(run.missing_weights)
    finished = run.events_of("finished")[-1]
    if "bits" in finished:
        raise UserError(f"{run.run_id} is packed already, in {finished['bits']:g} bits a weight.")
    return finished["test_accuracy"]


def _tested(run: Run, dataset: Dataset) -> Split:
    """The images that it was tested on. UserError where those are not all here."""
    split = held_out(run, dataset)
    if not is_what_was_tested(run, split.image_ids):
        raise UserError(
            f"{run.run_id} was tested on other images than are held out here: it stays as it is."
        )
    return split


def _fewest(
    run: Run, dataset: Dataset, weights: Tensors, say: Say
) -> tuple[float, dict[str, float]]:
    """The fewest bits that will do, and the harms by which they are shared out, by the validation
    images.
    """
    try:
        split = split_again(dataset, remembered(run.folder, dataset, run.config, write=False))[1]
    except UserError:  # a training of an earlier version, whose pictures are others now
        return BITS[-1], {}
    before = _answers(weights, split, run, dataset)
    harms = _harms(run, dataset, weights, split)
    for bits in BITS[:-1]:
        after = _answers(load_weights(packed_weights(weights, bits, harms)), split, run, dataset)
        changed = changed_share(before, after)
        say(
            f"{bits} bits: {after.accuracy:.2%} of {len(split):,} validation images right instead "
            f"of {before.accuracy:.2%}, {changed:.2%} answered otherwise."
        )
        if changed <= MOST_CHANGED and not _is_worse(before, after):
            return bits, harms
    return BITS[-1], harms


def _harms(run: Run, dataset: Dataset, weights: Tensors, split: Split) -> dict[str, float]:
    """The mean square by which the logits of some pictures change where one tensor is disturbed, by
    its name.
    """
    some = split.take(np.linspace(0, len(split) - 1, min(SOME, len(split))).astype(int))
    logits = _answers(weights, some, run, dataset).logits
    harms = {}
    for name in packable(weights):
        others = weights | {name: disturbed(weights[name])}
        harms[name] = float(np.square(_answers(others, some, run, dataset).logits - logits).mean())
    return harms


def _is_worse(before: Predictions, after: Predictions) -> bool:
    """Whether too much of accuracy or balanced accuracy is lost: of the latter more than
    MOST_LOST, and more than one image of the rarest class is worth.
    """
    classes = np.bincount(before.labels)
    one = 1 / (classes[classes > 0].min() * np.count_nonzero(classes))
    lost = before.balanced_accuracy - after.balanced_accuracy
    return before.accuracy - after.accuracy > MOST_LOST or lost > max(MOST_LOST, one + 1e-5)


def changed_share(before: Predictions, after: Predictions) -> float:
    """The share of the same images, in any order, that get another answer."""
    answers = dict(zip(map(str, before.image_ids), before.predicted_labels, strict=True))
    same = [
        answers[str(image_id)] == label
        for image_id, label in zip(after.image_ids, after.predicted_labels, strict=True)
    ]
    return 1 - sum(same) / len(same)


def _answers(weights: Tensors, split: Split, run: Run, dataset: Dataset) -> Predictions:
    return answers_with(weights, split, run.config, mirrors=dataset.mirrors)


def _keep(run: Run, packed: bytes, answers: Predictions) -> Packed:
    """Put the smaller file and its answers in the place of those there were."""
    path, classes = run.path("predictions.npz"), len(run.class_names)
    before, finished = load_predictions(path, classes), run.events_of("finished")[-1]
    write_whole(run.path("model.safetensors"), packed)
    save_predictions(path, answers)
    thin(run.path(moments.SNAPSHOTS))
    stored = load_predictions(path, classes)
    values = sum(tensor.numel() for tensor in load_weights(packed).values())
    result = Packed(
        bits=round(8 * len(packed) / values, 2),
        trained=finished["test_accuracy"],
        stored=round(stored.accuracy, 5),
        changed=round(changed_share(before, stored), 5),
    )
    add_to_ended(
        run.folder,
        "finished",
        test_accuracy=result.stored,
        seconds=finished["seconds"],
        kept=finished.get("kept", False),
        bits=result.bits,
        trained_accuracy=result.trained,
        changed_answers=result.changed,
    )
    return result
