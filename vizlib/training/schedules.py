"""What changes in the course of a training: the learning rate, and the size of the pictures.
Imports no torch.
"""

from collections.abc import Sequence
from math import cos, pi

from vizlib.training.recipes import Recipe

WARM_UP = 0.2  # the share of a one-cycle schedule in which the rate rises (Smith and Topin 2017)
# from which share of the training on pictures have which share of their side: 64, 112 and 224
# pixels
GROWTH = (
    (0, 2 / 7),
    (1 / 2, 1 / 2),
    (5 / 6, 1),
)


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The rate at a progress in [0, 1] through the training."""
    return recipe.learning_rate * rate_share(recipe, progress)


def rate_share(recipe: Recipe, progress: float) -> float:
    """The same as a share of the highest, in [0, 1]."""
    if recipe.schedule == "constant":
        return 1.0
    if recipe.schedule == "steps":
        return recipe.decay ** int(progress * recipe.epochs / recipe.decay_every + 1e-9)
    if recipe.schedule == "linear":
        return 1 - progress
    if recipe.schedule == "one_cycle" and progress < WARM_UP:
        return 0.05 + 0.95 * progress / WARM_UP
    start = WARM_UP if recipe.schedule == "one_cycle" else 0.0
    return 0.5 + 0.5 * cos(pi * (progress - start) / (1 - start))


def side_share(recipe: Recipe, progress: float) -> float:
    """The share of their side that pictures have at a progress in [0, 1] through the training.
    Progressive resizing (Howard 2018): most is learned on small pictures, at a fraction of the
    cost.
    """
    return max(share for start, share in GROWTH if progress >= start) if recipe.growing else 1


def picture_size(recipe: Recipe, sides: Sequence[int], progress: float) -> tuple[int, int]:
    """(height, width) of the pictures at a progress, for a network that gets them with these
    sides.
    """
    share = side_share(recipe, progress)
    height, width = (max(1, round(side * share)) for side in sides)
    return height, width


def relative_cost(recipe: Recipe) -> float:
    """What a training costs relative to one on pictures of the whole side throughout, which cost as
    their area.
    """
    if not recipe.growing:
        return 1.0
    ends = [start for start, _ in GROWTH[1:]] + [1]
    return sum((end - start) * share**2 for (start, share), end in zip(GROWTH, ends, strict=True))
