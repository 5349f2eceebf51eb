"""A finished run with its weights packed into a quarter of the bytes, and what that costs."""

from vizlib.datasets import Dataset
from vizlib.errors import UserError
from vizlib.files import write_whole
from vizlib.inside.held_out import held_out, is_what_was_tested
from vizlib.run.events import add_to_ended
from vizlib.run.folders import Run
from vizlib.run.predictions import Predictions, load_predictions, save_predictions
from vizlib.run.weights import load_weights, packed_weights
from vizlib.training.evaluation import answers_with

BITS = 8
MOST_LOST = 0.003  # of the accuracy: more would be another network


def pack(run: Run, dataset: Dataset) -> tuple[float, float]:
    """Store a finished run's weights as 8-bit integers (`packed_weights`), and what the network
    answers with these: its predictions and its test accuracy are those of the file from then on.

    Returns the accuracy on the test images before and after, fractions. UserError, and nothing is
    changed, for a run that has not finished or is packed already, and where over 0.3 points of
    accuracy would be lost, or the images that it was tested on are not here.
    """
    trained = _check(run)
    weights = packed_weights(load_weights(run.path("model.safetensors")))
    packed = _answers(weights, run, dataset)
    if trained - packed.accuracy > MOST_LOST:
        raise UserError(
            f"With 8-bit weights {run.run_id} would be right on {packed.accuracy:.2%} of the test "
            f"images instead of {trained:.2%}: it stays as it is."
        )
    write_whole(run.path("model.safetensors"), weights)
    save_predictions(run.path("predictions.npz"), packed)
    stored = load_predictions(run.path("predictions.npz"), len(run.class_names)).accuracy
    finished = run.events_of("finished")[-1]
    add_to_ended(
        run.folder,
        "finished",
        test_accuracy=round(stored, 5),
        seconds=finished["seconds"],
        kept=finished.get("kept", False),
        bits=BITS,
        trained_accuracy=round(trained, 5),
    )
    return trained, stored


def _check(run: Run) -> float:
    """The test accuracy as it was trained. UserError for a run that cannot be packed."""
    if not run.events_of("finished"):
        raise UserError(f"{run.run_id} has not finished: only a finished run can be packed.")
    if run.missing_weights:
        raise UserError(run.missing_weights)
    finished = run.events_of("finished")[-1]
    if "bits" in finished:
        raise UserError(f"{run.run_id} is packed already, in {finished['bits']} bits.")
    return finished["test_accuracy"]


def _answers(weights: bytes, run: Run, dataset: Dataset) -> Predictions:
    """What the network answers to the images it was tested on with the weights of a file. UserError
    where those are not all here.
    """
    split = held_out(run, dataset)
    if not is_what_was_tested(run, split.image_ids):
        raise UserError(
            f"{run.run_id} was tested on other images than are held out here: it stays as it is."
        )
    return answers_with(load_weights(weights), split, run.config, mirrors=dataset.mirrors)
