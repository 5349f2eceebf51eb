"""A run's network, ready to be looked into: with its weights, or with those it began with."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import torch

from vizlib import architectures
from vizlib.architectures.shapes import not_drawn
from vizlib.errors import UserError
from vizlib.inside.activations import prepare
from vizlib.run.weights import load_into, load_weights

if TYPE_CHECKING:
    from torch import nn

    from vizlib.run.folders import Run

SEED = 0
_one_at_a_time = threading.Lock()  # the random state is one for the whole process


def load_model(run: Run, content: bytes | None = None) -> nn.Module:
    """A run's network with the weights of its folder, prepared to be looked into. UserError if
    there are none, or they do not fit.

    content: the bytes of its weights file, where they have been read already.
    """
    if content is None and not run.has("model.safetensors"):
        raise UserError(run.missing_weights)
    with not_drawn():
        network = architectures.create(run.config.architecture, **run.config.arguments)
    weights = load_weights(
        run.path("model.safetensors") if content is None else content,
        only_finite=not run.is_bare,
    )
    return prepare(load_into(network, weights))


def randomised(run: Run) -> nn.Module:
    """A prepared network of the run's architecture with the random weights that a training begins
    with, the same each time; its batch normalisation has seen nothing (mean 0, variance 1).

    The control of Adebayo et al. 2018, Sanity Checks for Saliency Maps,
    https://arxiv.org/abs/1810.03292: a picture that it gives as well is not of what was learned.
    The random state of the process stays as it is.
    """
    with _one_at_a_time, torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return prepare(architectures.create(run.config.architecture, **run.config.arguments))
