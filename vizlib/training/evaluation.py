"""How a network answers held-out images: after a training, and on the way."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from vizlib import architectures
from vizlib.datasets import Dataset, Split
from vizlib.datasets.reading import reader
from vizlib.inside.held_out import held_out
from vizlib.inside.passes import predict
from vizlib.run.config import RunConfig
from vizlib.run.folders import read_run
from vizlib.run.predictions import Predictions
from vizlib.run.weights import load_into, load_weights


def evaluate(
    folder: Path, config: RunConfig, dataset: Dataset, device: str | torch.device = "cpu"
) -> Predictions:
    """The Predictions of the saved weights on the images of a data set that are held out from the
    run in the folder. UserError where there are none.
    """
    model = architectures.create(config.architecture, **config.arguments)
    load_into(model, load_weights(folder / "model.safetensors"))
    split = held_out(read_run(folder), dataset)
    images = reader(split, config.input_size)()
    return answers(model.to(device), split, images, config, dataset.mirrors)


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
