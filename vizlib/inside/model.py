"""A run's network with its weights, ready to be looked into."""

from vizlib import architectures
from vizlib.errors import UserError
from vizlib.inside.activations import prepare
from vizlib.run.weights import load_into, load_weights


def load_model(run, content=None):
    """A run's network with the weights of its folder, prepared to be looked into. UserError if
    there are none, or they do not fit.

    content: the bytes of its weights file, where they have been read already.
    """
    if content is None and not run.has("model.safetensors"):
        raise UserError(run.missing_weights)
    network = architectures.create(run.config.architecture, **run.config.arguments)
    return prepare(
        load_into(
            network, load_weights(run.path("model.safetensors") if content is None else content)
        )
    )
