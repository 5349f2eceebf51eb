"""What changes in the course of a training: the learning rate, and the size of the pictures.
Imports no torch.
"""

from collections.abc import Sequence
from math import cos, pi

from vizlib.training.recipes import Recipe

WARM_UP = 0.2  # the share of a one-cycle schedule in which the rate rises (Smith and Topin 2017)
# From which share of the training on pictures have which share of their side: 64, 112 and 224
# pixels. Small ones cannot lose as much: 20, 26 and 32 pixels.
GROWTH = ((0, 2 / 7), (1 / 2, 1 / 2), (5 / 6, 1))
SMALL_GROWTH = ((0, 5 / 8), (2 / 5, 13 / 16), (3 / 4, 1))
SMALL = 32  # pixels: up to here pictures are small
TINY = 16  # and below here there is nothing to save: they stay as they are


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


def side_share(recipe: Recipe, sides: Sequence[int], progress: float) -> float:
    """The share of these sides that pictures have at a progress in [0, 1] through the training.
    Progressive resizing (Howard 2018): most is learned on small pictures, at a fraction of the
    cost.
    """
    if not _grow(recipe, sides):
        return 1
    return max(share for start, share in _growth(sides) if progress >= start)


def _grow(recipe: Recipe, sides: Sequence[int]) -> bool:
    return recipe.growing and max(sides) >= TINY


def _growth(sides: Sequence[int]) -> Sequence[tuple[float, float]]:
    return SMALL_GROWTH if max(sides) <= SMALL else GROWTH


def picture_size(recipe: Recipe, sides: Sequence[int], progress: float) -> tuple[int, int]:
    """(height, width) of the pictures at a progress, for a network that gets them with these
    sides.
    """
    share = side_share(recipe, sides, progress)
    height, width = (max(1, round(side * share)) for side in sides)
    return height, width


def relative_cost(recipe: Recipe, sides: Sequence[int]) -> float:
    """What a training costs relative to one on pictures of these whole sides throughout, which cost
    as their area.
    """
    if not _grow(recipe, sides):
        return 1.0
    growth = _growth(sides)
    ends = [start for start, _ in growth[1:]] + [1]
    return sum((end - start) * share**2 for (start, share), end in zip(growth, ends, strict=True))
