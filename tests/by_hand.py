"""A network built by hand, whose units' favourite pictures are known, and pictures with those
planted.
"""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn

INPUT_SIZE, MEAN, STD = (1, 16, 16), [0.5], [0.5]  # pixels from -1 to 1
BIAS = 0.5  # so that no ReLU is dead on grey
HORIZONTAL = np.array([[1, 1, 1], [0, 0, 0], [-1, -1, -1]])
DIAGONAL = np.array([[0, 1, 1], [-1, 0, 1], [-1, -1, 0]])
EDGES = np.stack([HORIZONTAL, HORIZONTAL.T, DIAGONAL, DIAGONAL[:, ::-1]])
# Two edges apart: a horizontal one above a vertical one; the diagonals side by side.
PAIRS = np.zeros((2, 7, 7), int)
PAIRS[0, :3, 2:5], PAIRS[0, 4:, 2:5] = EDGES[:2]
PAIRS[1, 2:5, :3], PAIRS[1, 2:5, 4:] = EDGES[2:]
CONTRASTS = (96, 120, 90, 114, 102, 108)


def network():
    """conv1: four oriented edges. conv2: pairs of them, where both are. fc: one pair and not the
    other.
    """
    layers = OrderedDict(
        conv1=nn.Conv2d(1, 4, 3, padding=1),
        relu1=nn.ReLU(inplace=True),
        conv2=nn.Conv2d(4, 2, 5, padding=2, bias=False),
        pool=nn.AdaptiveMaxPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(2, 2, bias=False),
    )
    model = nn.Sequential(layers)
    with torch.no_grad():
        model.conv1.weight[:, 0] = torch.tensor(EDGES.copy())
        model.conv1.bias.fill_(BIAS)
        model.conv2.weight.zero_()
        model.conv2.weight[0, 0, 0, 2] = model.conv2.weight[0, 1, 4, 2] = 1
        model.conv2.weight[1, 2, 2, 0] = model.conv2.weight[1, 3, 2, 4] = 1
        model.fc.weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    return model


def planted(patterns):
    """Grey pictures with one pattern each, uint8 (N, 1, 16, 16), and for each pattern the rows,
    places of its middle and contrasts, strongest first.
    """
    images, found = (
        np.full((len(patterns) * len(CONTRASTS), 1, 16, 16), 128, np.uint8),
        [[] for _ in patterns],
    )
    half, random = patterns.shape[1] // 2, np.random.default_rng(0)
    for row in range(len(images)):
        unit, contrast = row % len(patterns), CONTRASTS[row // len(patterns)]
        y, x = random.integers(half + 1, 15 - half, 2)
        images[row, 0, y - half : y + half + 1, x - half : x + half + 1] = (
            128 + contrast * patterns[unit]
        )
        found[unit].append((contrast, row, (y, x)))
    return images, [sorted(plants, reverse=True) for plants in found]


def state(model):
    """What must be as before after somebody has looked into a model."""
    modules = [
        (
            len(module._forward_hooks),
            len(module._backward_hooks),
            module.training,
            getattr(module, "inplace", None),
        )
        for module in model.modules()
    ]
    tensors = [
        (name, tensor.data_ptr(), tensor.requires_grad, tensor.grad, tensor._version)
        for name, tensor in model.named_parameters()
    ]
    return (
        modules,
        tensors,
        {key for key in vars(model) if not key.startswith("_forward")},
        getattr(model, "_convscope_prepared", None),
    )
