"""What is ordered: a training that has not begun. Imports no torch."""

from dataclasses import dataclass, field
from typing import Any

from vizlib import architectures
from vizlib.errors import UserError
from vizlib.training.recipes import Recipe, checked

LARGEST_SIDE = 1024
SEEDS = 2**32


@dataclass(frozen=True)
class Order:
    """All that somebody says of a training; built once, where it is asked for, and handed on.

    architecture: a registered name. dataset: the name of a data set. arguments: of the network,
    beside those that the data decide. device: "cpu", "cuda:0", ...
    validation: how many training images are held out to choose the best epoch (default: a tenth, at
    most 1,000), unless the data set brings a split for that. title: what its card says (default:
    the architecture). start: None for a random network, {"run": id} for another run's weights,
    {"pretrained": "torchvision"}. frozen: how many of the first convolutions are left as they are.
    side: of the square pictures that the network gets (default: the pictures' own, or the network's
    where that is made for large ones). whole: whether it gets them whole, within a black border, or
    their middle. name: of the run folder (default: architecture and data).
    system: the id of the System that it is a training of. by: who asks, as RunConfig has it.

    UserError for what is not possible whatever the data are.
    """

    architecture: str
    dataset: str
    recipe: Recipe
    device: str = "cpu"
    seed: int = 0
    validation: int | None = None
    title: str = ""
    start: dict[str, str] | None = None
    frozen: int = 0
    side: int | None = None
    whole: bool = False
    name: str | None = None
    system: str | None = None
    by: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        architectures.get(self.architecture)
        checked(self.recipe)
        if self.side is not None and not 1 <= self.side <= LARGEST_SIDE:
            raise UserError(
                f"Pictures of {self.side} x {self.side} are not possible: between 1 and "
                f"{LARGEST_SIDE} pixels."
            )
        if not 0 <= self.seed < SEEDS:
            raise UserError(f"seed {self.seed} is not possible: between 0 and {SEEDS - 1:,}.")
