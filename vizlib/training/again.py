"""A run as the order that it came from: to be trained again, the same or with changes. Imports no
torch.
"""

from collections.abc import Mapping
from typing import Any

from vizlib import architectures, datasets
from vizlib.errors import UserError
from vizlib.run.folders import Run
from vizlib.training import recipes
from vizlib.training.order import Order


def why_not(run: Run) -> str:
    """Why a run cannot be trained again here, in a sentence; empty where it can."""
    config = run.config
    if config.origin is not None:
        return "It was trained elsewhere, and how is not known."
    if config.architecture not in architectures.names():
        return f"There is no architecture {config.architecture!r} here."
    if not datasets.is_here(config.dataset):
        return f"Its data set, {config.dataset}, is not on this machine."
    try:
        recipes.from_config(config)
    except UserError as error:
        return str(error)
    return ""


def order_like(run: Run, title: str = "", **changes: Any) -> Order:
    """The Order of a run, with some values of its recipe changed, as `recipes.changed` takes them.

    title: what the new run's card says; the same if left out. UserError where `why_not` says so, or
    for what is not possible.
    """
    if reason := why_not(run):
        raise UserError(f"{run.run_id} cannot be trained again here. {reason}")
    config = run.config
    return Order(
        config.architecture,
        config.dataset,
        recipes.changed(recipes.from_config(config), **changes),
        seed=config.seed,
        title=title or config.title,
        start=config.start,
        frozen=config.frozen,
        side=_side(run),
        whole=config.whole,
        arguments=own_arguments(run),
    )


def can_begin_with(
    run: Run, architecture: str, arguments: Mapping[str, Any], channels: int
) -> bool:
    """Whether a network can begin with the weights of a run, which are here: the same one for as
    many channels, or for colours, which serve for grey too. Its head may differ.
    """
    config = run.config
    return (
        config.architecture == architecture
        and _without_ends(config.arguments) == _without_ends(arguments)
        and config.input_size[0] in (3, channels)
        and run.has("model.safetensors")
    )


def _without_ends(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments in which a network and the one it begins with must agree."""
    return {
        name: value
        for name, value in arguments.items()
        if name not in ("num_classes", "in_channels")
    }


def own_arguments(run: Run) -> dict[str, Any]:
    """Those of its network that the data do not decide."""
    return {
        name: value
        for name, value in run.config.arguments.items()
        if name not in architectures.OF_THE_DATA
    }


def _side(run: Run) -> int | None:
    """The side of its pictures; None where they are no squares, as those of the data are then."""
    _, height, width = run.input_size
    return height if height == width else None
