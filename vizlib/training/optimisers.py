"""The optimisers of a recipe. Each group of parameters has a "share": its learning rate is that
share of the recipe's.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from vizlib.training.devices import has_fused_steps
from vizlib.training.number_types import PRODUCT, fast_type
from vizlib.training.recipes import Recipe

# Muon's companions: rates of biases and matrices as shares of the filters' rate, for a loss summed
# over the batch (airbench: 0.053 and 0.67 beside 0.24). Matrices there are divided by the number of
# inputs after the product, and here before it, which changes the rate by its square.
BIAS_SHARE = 0.053 / 0.24
MATRIX_SHARE = 0.67 / 0.24
COMPANION_MOMENTUM = 0.85
ITERATIONS = 3
# of the polynomial that drives singular values to about one (Jordan et al. 2024)
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def make_optimisers(model: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """The torch optimisers of `recipe` for what `model` learns. The loop sets group["lr"] = rate *
    group["share"] before each step.

    recipe.optimiser: "sgd", "adamw" or "muon". The loss is the mean over a batch of
    recipe.batch_size images.
    """
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return _muon(learned, recipe) if recipe.optimiser == "muon" else [_usual(learned, recipe)]


def _usual(learned: list[nn.Parameter], recipe: Recipe) -> torch.optim.Optimizer:
    """Weight decay acts on weights only: biases and normalisation are left alone, as is usual since
    He et al. 2019.
    """
    groups = [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group | {"share": 1.0} for group in groups if group["params"]]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=has_fused_steps(learned))
    return _with_momentum(
        torch.optim.SGD(
            groups,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            fused=has_fused_steps(learned),
        )
    )


def _with_momentum(sgd: torch.optim.SGD) -> torch.optim.SGD:
    """The optimiser with its averages at zero. The fused kernel makes them unwritten, and a scaler
    that skips the first step leaves them so.
    """
    for group in sgd.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def _muon(learned: list[nn.Parameter], recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the filters, and its companion for all else, where there is any. Nothing decays:
    Muon keeps the filters' norm.
    """
    filters = [p for p in learned if p.ndim == 4]
    companions = _companion_groups([p for p in learned if p.ndim != 4], recipe)
    optimisers: list[torch.optim.Optimizer] = []
    if filters:
        groups = [{"params": filters, "share": 1.0}]
        optimisers.append(Muon(groups, lr=recipe.learning_rate, momentum=recipe.momentum))
    if companions:
        sgd = torch.optim.SGD(
            companions,
            lr=recipe.learning_rate,
            momentum=COMPANION_MOMENTUM,
            nesterov=True,
            fused=has_fused_steps(learned),
        )
        optimisers.append(_with_momentum(sgd))
    return optimisers


def _companion_groups(others: list[nn.Parameter], recipe: Recipe) -> list[dict[str, Any]]:
    """Biases and matrices, for Nesterov SGD: at a rate of their own, or at airbench's."""
    biases = [p for p in others if p.ndim <= 1]
    matrices = [p for p in others if p.ndim in (2, 3)]
    if recipe.companion_share:
        shares = [(biases + matrices, recipe.companion_share)]
    else:
        shares = [(biases, BIAS_SHARE * recipe.batch_size)]
        for matrix in matrices:
            inputs = matrix[0].numel()
            shares.append(([matrix], MATRIX_SHARE * recipe.batch_size / inputs**2))
    return [{"params": params, "share": share} for params, share in shares if params]


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose step is made orthogonal: all directions of a filter bank move equally
    far, however small their gradient.

    Each bank (out, in, height, width) is one matrix (out, in x height x width), kept at the norm
    sqrt(out), so that the rate is relative. For convolutions that a normalisation follows, here or
    later: a constant norm also keeps a plain chain of them from vanishing and blowing up. Sources:
    Jordan et al., Muon, https://kellerjordan.github.io/posts/muon/, as it is used in airbench,
    https://arxiv.org/abs/2404.00498
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, dict(lr=lr, momentum=momentum))

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        for group in self.param_groups:
            for filters in group["params"]:
                if filters.grad is not None:
                    self._step(filters, filters.grad, group["lr"], group["momentum"])

    def _step(
        self, filters: Tensor, gradient: Tensor, learning_rate: float, momentum: float
    ) -> None:
        state = self.state[filters]
        if not state:
            state["momentum"] = torch.zeros_like(filters)
        average = state["momentum"].mul_(momentum).add_(gradient)
        direction = gradient.add(average, alpha=momentum)
        filters.mul_(len(filters) ** 0.5 / filters.norm())
        filters.add_(orthogonal(direction.flatten(1)).view_as(filters), alpha=-learning_rate)


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix (rows, columns) with its singular values brought to between about 0.5 and 1.5, by
    Newton-Schulz iterations in the type that its device multiplies matrices fastest in.
    """
    a, b, c = COEFFICIENTS
    wide = matrix.to(fast_type(matrix.device, PRODUCT))
    if len(matrix) > matrix.shape[1]:
        wide = wide.T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(ITERATIONS):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * square @ square) @ wide
    return (wide if len(matrix) <= matrix.shape[1] else wide.T).to(matrix.dtype)
