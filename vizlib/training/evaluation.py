"""How a network answers held-out images: after a training, and on the way."""

import torch
import torch.nn.functional as F

from vizlib import architectures
from vizlib.datasets.reading import reader
from vizlib.inside.passes import predict
from vizlib.run.predictions import Predictions
from vizlib.run.weights import load_into, load_weights


def evaluate(folder, config, dataset, device="cpu"):
    """The Predictions of the saved weights on the test images of a data set."""
    model = architectures.create(config.architecture, **config.arguments)
    load_into(model, load_weights(folder / "model.safetensors"))
    split = dataset.splits["test"]
    mirrored = config.recipe.get("mirrored", False) and dataset.mirrors
    logits = predict(
        model.to(device),
        reader(split, config.input_size)(),
        config.mean,
        config.std,
        mirrored=mirrored,
    )
    return Predictions(split.labels, logits, split.image_ids)


def mean_loss(predictions):
    """The mean cross-entropy of Predictions, in nats."""
    return F.cross_entropy(
        torch.from_numpy(predictions.logits), torch.from_numpy(predictions.labels)
    ).item()
