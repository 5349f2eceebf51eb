"""Integrated gradients: Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365. From a picture
of the data set's mean colour to the image, summed over the channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vizlib.inside.evidence import for_classes

if TYPE_CHECKING:
    import numpy as np
    from captum.attr import IntegratedGradients
    from torch import Tensor, nn

# the second where the first leaves more than TOLERANCE unaccounted for
STEPS = (64, 256)
TOLERANCE = 0.01  # of the difference of logits
WORDS = (
    "**Integrated gradients** show what each pixel adds to the score (red) or takes from it "
    "(blue) on the way from a picture of one colour, the data set's mean, to this one. They do "
    "not show which pixels count only together, and from another colour they would look "
    "otherwise."
)


def reading(values: np.ndarray, facts: Mapping[str, Any]) -> str:
    off = abs(facts["total"] - facts["rise"]) / (abs(facts["rise"]) or 1)
    return f"adds up to {facts['total']:.3g} of {facts['rise']:.3g} ({off:.1%} off)"


def making(facts: Mapping[str, Any]) -> str:
    return (
        f"in {facts['steps']} steps, which should add up to what the logit has over that "
        "of the mean colour"
    )


@for_classes(
    "integrated gradients",
    style="map",
    passes=3 * STEPS[0],
    words=WORDS,
    reading=reading,
    making=making,
)
def integrated_gradients(
    model: nn.Module, image: Tensor, target: int, say: Callable[[float], None]
) -> tuple[Tensor, dict[str, Any]]:
    """In logits. facts: steps; total, the sum of all values; rise, the difference of logits that it
    should be.
    """
    from captum.attr import IntegratedGradients

    from vizlib.inside.activations import images_at_once, paced

    at_once, method = images_at_once(image), IntegratedGradients(model)
    calls = sum(math.ceil(steps / at_once) for steps in STEPS)
    method.gradient_func = paced(method.gradient_func, calls, say)
    values, facts = _integrated(method, image, target, STEPS[0], at_once)
    if abs(facts["total"] - facts["rise"]) > TOLERANCE * abs(facts["rise"]):
        return _integrated(method, image, target, STEPS[1], at_once)
    return values, facts


def _integrated(
    method: IntegratedGradients, image: Tensor, target: int, steps: int, at_once: int
) -> tuple[Tensor, dict[str, Any]]:
    """In so many steps, `at_once` of them in one pass."""
    import torch

    values, error = method.attribute(
        image,
        baselines=torch.zeros_like(image),
        target=target,
        n_steps=steps,
        internal_batch_size=at_once,
        return_convergence_delta=True,
    )
    total = float(values.sum())
    return values[0].sum(0), {"steps": steps, "total": total, "rise": total - float(error)}
