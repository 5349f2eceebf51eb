"""The optimisers of a recipe. Each group of parameters has a "share": its learning rate is that
share of the recipe's.
"""

import torch

# Muon's companions: rates of biases and matrices as shares of the filters' rate, for a loss summed
# over the batch (airbench: 0.053 and 0.67 beside 0.24). Matrices there are divided by the number of
# inputs after the product, and here before it, which changes the rate by its square.
BIAS_SHARE, MATRIX_SHARE, COMPANION_MOMENTUM = 0.053 / 0.24, 0.67 / 0.24, 0.85
ITERATIONS = 3
# of the polynomial that drives singular values to about one (Jordan et al. 2024)
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def make_optimisers(model, recipe):
    """The torch optimisers of `recipe` for what `model` learns. The loop sets group["lr"] = rate *
    group["share"] before each step.

    recipe.optimiser: "sgd", "adamw" or "muon". The loss is the mean over a batch of
    recipe.batch_size images.
    """
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return _muon(learned, recipe) if recipe.optimiser == "muon" else [_usual(learned, recipe)]


def _usual(learned, recipe):
    """Weight decay acts on weights only: biases and normalisation are left alone, as is usual since
    He et al. 2019.
    """
    weights, others = [p for p in learned if p.ndim > 1], [p for p in learned if p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group | {"share": 1.0} for group in groups if group["params"]]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    return _with_momentum(
        torch.optim.SGD(
            groups,
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            fused=True,
        )
    )


def _with_momentum(sgd):
    """The optimiser with its averages at zero. The fused kernel makes them unwritten, and a scaler
    that skips the first step leaves them so.
    """
    for group in sgd.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def _muon(learned, recipe):
    """Muon for the filters; Nesterov SGD for biases and for matrices, at a rate of their own, or at
    airbench's. Nothing decays: Muon keeps the filters' norm.
    """
    filters, biases, matrices = (
        [p for p in learned if p.ndim == 4],
        [p for p in learned if p.ndim <= 1],
        [p for p in learned if p.ndim in (2, 3)],
    )
    optimisers = (
        [
            Muon(
                [{"params": filters, "share": 1.0}],
                lr=recipe.learning_rate,
                momentum=recipe.momentum,
            )
        ]
        if filters
        else []
    )
    if recipe.companion_share:
        groups = (
            [{"params": biases + matrices, "share": recipe.companion_share}]
            if biases or matrices
            else []
        )
    else:
        groups = [{"params": biases, "share": BIAS_SHARE * recipe.batch_size}] if biases else []
        groups += [
            {"params": [matrix], "share": MATRIX_SHARE * recipe.batch_size / matrix[0].numel() ** 2}
            for matrix in matrices
        ]
    if groups:
        optimisers.append(
            _with_momentum(
                torch.optim.SGD(
                    groups,
                    lr=recipe.learning_rate,
                    momentum=COMPANION_MOMENTUM,
                    nesterov=True,
                    fused=True,
                )
            )
        )
    return optimisers


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose step is made orthogonal: all directions of a filter bank move equally
    far, however small their gradient.

    Each bank (out, in, height, width) is one matrix (out, in x height x width), kept at the norm
    sqrt(out), so that the rate is relative. For convolutions that a normalisation follows. Sources:
    Jordan et al., Muon, https://kellerjordan.github.io/posts/muon/, as it is used in airbench,
    https://arxiv.org/abs/2404.00498
    """

    def __init__(self, groups, lr, momentum):
        super().__init__(groups, dict(lr=lr, momentum=momentum))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for filters in group["params"]:
                if filters.grad is not None:
                    self._step(filters, group["lr"], group["momentum"])

    def _step(self, filters, rate, momentum):
        state = self.state[filters]
        if not state:
            state["momentum"] = torch.zeros_like(filters)
        average = state["momentum"].mul_(momentum).add_(filters.grad)
        direction = filters.grad.add(average, alpha=momentum)
        filters.mul_(len(filters) ** 0.5 / filters.norm())
        filters.add_(orthogonal(direction.flatten(1)).view_as(filters), alpha=-rate)


def orthogonal(matrix):
    """A matrix (rows, columns) with its singular values brought to between about 0.5 and 1.5, by
    Newton-Schulz iterations in bfloat16.
    """
    a, b, c = COEFFICIENTS
    wide = matrix.bfloat16() if len(matrix) <= matrix.shape[1] else matrix.bfloat16().T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(ITERATIONS):
        square = wide @ wide.T
        wide = a * wide + (b * square + c * square @ square) @ wide
    return (wide if len(matrix) <= matrix.shape[1] else wide.T).to(matrix.dtype)
