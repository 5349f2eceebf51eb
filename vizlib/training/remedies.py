"""What can be done against a collapse at the press of a button: trainings of the same network on
the same data, one thing changed. Imports no torch.

Each is named in the words in which the verdict advises it. A new one is an entry here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from vizlib.datasets import source_of
from vizlib.errors import UserError
from vizlib.run.folders import Run
from vizlib.training.again import can_begin_with, order_like
from vizlib.training.order import Order
from vizlib.training.recipes import LIMITS, Recipe, changed, from_config

SLOWER = 10  # times
LONGER = 4  # times as many epochs
STAGES = 3
LONGEST_TITLE = 60


@dataclass(frozen=True)
class Remedy:
    """name: what its button says. words: what it does, in a sentence for a class. changes: from the
    recipe of the run that has collapsed to what is changed of it. start: from that run and all
    others to the one whose weights it begins with, None where none will do; left out: it begins as
    the run did.
    """

    name: str
    words: str
    changes: Callable[[Recipe], dict[str, Any]] = lambda recipe: {}
    start: Callable[[Run, Iterable[Run]], Run | None] | None = None

    def is_possible(self, run: Run, runs: Iterable[Run]) -> bool:
        """Whether it would be another training, and there is what it is to begin with."""
        if self.start is not None:
            return self.start(run, runs) is not None
        try:
            before = from_config(run.config)
        except UserError:  # `why_not` says so
            return True
        return changed(before, **self.changes(before)) != before

    def order(self, run: Run, runs: Iterable[Run]) -> Order:
        """The training that is to mend a run. UserError where it is not possible."""
        title = f"{run.config.title or run.config.architecture}: {self.name.lower()}"
        order = order_like(run, title[:LONGEST_TITLE], **self.changes(from_config(run.config)))
        if self.start is not None and (begin := self.start(run, runs)) is not None:
            return replace(order, start={"run": begin.run_id})
        return order


def _only(flag: str) -> dict[str, Any]:
    """The changes that leave this way alone against an imbalance."""
    flags = dict.fromkeys(("class_weights", "balanced", "augment_only_rare"), False)
    return flags | {flag: True}


def _longer(recipe: Recipe) -> dict[str, Any]:
    if recipe.seconds:
        return {"seconds": min(LONGER * recipe.seconds, LIMITS["seconds"][1])}
    return {"epochs": min(LONGER * recipe.epochs, int(LIMITS["epochs"][1]))}


def _slower(recipe: Recipe) -> dict[str, Any]:
    return {"learning_rate": recipe.learning_rate / SLOWER}


def _in_stages(recipe: Recipe) -> dict[str, Any]:
    stages = {"schedule": "steps", "decay": 1 / SLOWER}
    if recipe.seconds:  # the stages are shares of the time then
        return stages | {"seconds": recipe.seconds, "epochs": STAGES, "decay_every": 1}
    return stages | {"decay_every": max(1, recipe.epochs // STAGES)}


def _best_start(run: Run, runs: Iterable[Run]) -> Run | None:
    """The most accurate run of the same network, trained on other data. Not on the same in other
    shares: what it learned from would be among the test images.
    """
    fitting = [other for other in runs if _can_begin(run, other)]
    reached = {other.run_id: other.events_of("finished")[-1]["test_accuracy"] for other in fitting}
    return max(fitting, key=lambda other: reached[other.run_id], default=None)


def _can_begin(run: Run, other: Run) -> bool:
    config = run.config
    return (
        can_begin_with(other, config.architecture, config.arguments, config.input_size[0])
        and source_of(other.config.dataset) != source_of(config.dataset)
        and bool(other.events_of("finished"))
    )


REMEDIES = {
    "class weights in the loss": Remedy(
        "Weigh rare classes more",
        "A mistake on a class counts the more, the rarer the class is.",
        lambda recipe: _only("class_weights"),
    ),
    "balanced sampling": Remedy(
        "Draw classes equally often",
        "In each epoch it sees images of rare classes again and again, and as many of each class.",
        lambda recipe: _only("balanced"),
    ),
    "augment the rare classes only": Remedy(
        "Vary the rare classes",
        "Images of rare classes are shifted, and mirrored where that keeps their class, so that it "
        "does not see the same few all the time.",
        lambda recipe: _only("augment_only_rare") | {"augment": True},
    ),
    "pretrained weights": Remedy(
        "Begin with what another learned",
        "It starts from the weights of the most accurate model of this network on other data, "
        "whose first filters will do here too.",
        start=_best_start,
    ),
    "a smaller learning rate, in stages": Remedy(
        "A rate that falls in stages",
        f"After each third of the training, steps of a {SLOWER}th of the size.",
        _in_stages,
    ),
    "a smaller learning rate": Remedy(
        "A smaller rate",
        f"Steps of a {SLOWER}th of the size, which do not overshoot.",
        _slower,
    ),
    "more epochs": Remedy(
        "Train longer",
        f"{LONGER} times as long.",
        _longer,
    ),
}


def offered(advice: Iterable[str]) -> list[Remedy]:
    """The remedies among what a verdict advises, in its order."""
    return [REMEDIES[words] for words in advice if words in REMEDIES]
