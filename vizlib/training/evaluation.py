"""How a network answers held-out images: after a training, and on the way."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vizlib import architectures, datasets
from vizlib.datasets import Dataset, Split
from vizlib.datasets.reading import reader
from vizlib.datasets.together import chosen, parts_of
from vizlib.errors import UserError
from vizlib.inside.held_out import held_out, learned_from, to_look_at
from vizlib.inside.passes import predict
from vizlib.run.config import RunConfig
from vizlib.run.events import add_to_ended
from vizlib.run.folders import Run, read_run
from vizlib.run.predictions import Predictions, save_predictions
from vizlib.run.weights import Tensors, load_into, load_weights

SOME = 250  # images between two words on how far it is


def evaluate(
    folder: Path, config: RunConfig, dataset: Dataset, device: str | torch.device = "cpu"
) -> Predictions:
    """The Predictions of the saved weights on the images of a data set that are held out from the
    run in the folder. UserError where there are none.
    """
    weights = load_weights(folder / "model.safetensors")
    split = held_out(read_run(folder), dataset)
    return answers_with(weights, split, config, mirrors=dataset.mirrors, device=device)


def answers_with(
    weights: Tensors,
    split: Split,
    config: RunConfig,
    *,
    mirrors: bool,
    device: str | torch.device = "cpu",
    say: Callable[[float], None] | None = None,
) -> Predictions:
    """The Predictions of a configuration's network with these weights on a split. mirrors: as
    `answers` takes it. say: told the share that is answered, in [0, 1].
    """
    model = architectures.create(config.architecture, **config.arguments)
    load_into(model, weights)
    images = reader(split, config.input_size)()
    if say is not None:
        images = _told(images, len(split), say)
    return answers(model.to(device), split, images, config, mirrors)


def answer(
    run: Run,
    dataset: Dataset,
    device: str | torch.device = "cpu",
    say: Callable[[float], None] | None = None,
) -> Predictions:
    """Let a network from elsewhere answer the test images of its data set, and keep that in its
    run: Predictions, and an "answered" event. say: told the share that is answered, in [0, 1].
    UserError where there are none.

    Whether it has learned from some of them, nobody here can know.
    """
    weights = load_weights(run.path("model.safetensors"))
    split = held_out(run, dataset)
    predictions = answers_with(
        weights, split, run.config, mirrors=dataset.mirrors, device=device, say=say
    )
    save_predictions(run.path("predictions.npz"), predictions)
    add_to_ended(
        run.folder,
        "answered",
        test_accuracy=predictions.accuracy,
        test_images=len(predictions.labels),
    )
    return predictions


def store(run: Run, predictions: Predictions) -> None:
    """Keep a run's answers to all its test images, and note their accuracy where the one noted when
    it finished is another.
    """
    save_predictions(run.path("predictions.npz"), predictions)
    accuracy = round(predictions.accuracy, 5)
    finished = run.events_of("finished")
    if finished and finished[-1]["test_accuracy"] != accuracy:
        noted = {name: finished[-1][name] for name in finished[-1] if name not in ("event", "time")}
        add_to_ended(run.folder, "finished", **noted | {"test_accuracy": accuracy})


def _told(
    images: np.ndarray | Iterable[np.ndarray], count: int, say: Callable[[float], None]
) -> Iterator[np.ndarray]:
    """The images in parts, each told when it is asked for."""
    done = 0
    for chunk in [images] if isinstance(images, np.ndarray) else images:
        for start in range(0, len(chunk), SOME):
            say(done / count)
            part = chunk[start : start + SOME]
            done += len(part)
            yield part


def answers_to(run: Run, name: str) -> tuple[Predictions, str]:
    """A run's Predictions on all pictures of another data set that it never learned from, and the
    set's note. UserError for classes that the run does not have, and where nothing is left.
    """
    if run.missing_weights:
        raise UserError(run.missing_weights)
    if name == run.config.dataset:
        dataset = to_look_at(run)
        return evaluate(run.folder, run.config, dataset), dataset.note
    dataset = datasets.seen_by(datasets.load(name), run.config)
    labels = _labels_of(run, dataset)
    splits = parts_of(dataset)
    split = chosen(splits, [~learned_from(run, dataset, split) for split in splits])
    if not len(split):
        raise UserError(f"{run.run_id!r} was trained on all pictures of {name!r}.")
    split = replace(split, labels=labels[split.labels])
    weights = load_weights(run.path("model.safetensors"))
    return answers_with(weights, split, run.config, mirrors=dataset.mirrors), dataset.note


def _labels_of(run: Run, dataset: Dataset) -> np.ndarray:
    """The run's label of each class of a data set, by name, int (K,). UserError where the run has
    none.
    """
    strange = [name for name in dataset.class_names if name not in run.class_names]
    if strange:
        raise UserError(
            f"{run.run_id!r} has no class {strange[0]!r}: the classes of {dataset.name!r} have to "
            f"be called as its own, {', '.join(map(repr, run.class_names[:5]))}"
            f"{' ...' if len(run.class_names) > 5 else ''}."
        )
    return np.array([run.class_names.index(name) for name in dataset.class_names], np.int64)


def answers(
    model: nn.Module,
    split: Split,
    images: np.ndarray | Iterable[np.ndarray],
    config: RunConfig,
    mirrors: bool,
) -> Predictions:
    """The Predictions of a model on a split.

    images: the split's pictures, as `predict` takes them. mirrors: whether a mirror image is of the
    same class; only then is a recipe's `mirrored` obeyed.
    """
    mirrored = config.recipe.get("mirrored", False) and mirrors
    logits = predict(model, images, config.mean, config.std, mirrored=mirrored)
    return Predictions(split.labels, logits, split.image_ids)


def mean_loss(predictions: Predictions) -> float:
    """The mean cross-entropy of Predictions, in nats."""
    return F.cross_entropy(
        torch.from_numpy(predictions.logits), torch.from_numpy(predictions.labels)
    ).item()
