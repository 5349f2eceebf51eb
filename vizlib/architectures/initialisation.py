"""The starting weights that most of the residual-network literature uses. Registers no
architecture.
"""

from typing import TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def kaiming_convolutions(model: Network) -> Network:
    """Fill every convolution of `model` with Kaiming-normal weights (variance 2 / fan_out) and zero
    biases; returns the model.

    A depthwise convolution takes fan_in: PyTorch's fan_out ignores the groups and would make its
    weights sqrt(channels) times too small. Source: He et al., Delving Deep into Rectifiers,
    https://arxiv.org/abs/1502.01852
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(
                module.weight,
                mode="fan_out" if module.groups == 1 else "fan_in",
                nonlinearity="relu",
            )
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model
