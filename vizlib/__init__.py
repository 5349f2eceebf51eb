"""Convscope's library: train small image classifiers, look inside them, and check what they answer.

Everything a page or a command shows is computed here, on PyTorch and NumPy. Only `vizlib.ui` knows
Streamlit.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from vizlib.run.folders import Run

__version__ = "0.1.0"

if sys.platform == "darwin":
    # where Apple's GPU lacks an operation the CPU takes over, with a warning; read when torch is
    # imported
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


def open_model(
    module: nn.Module,
    *,
    name: str,
    input_size: Sequence[int],
    class_names: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    dataset: str = "",
) -> Run:
    """Make a run of a module of your own, of this name or of it and a number, that the app opens
    like any other: its forward is followed once, here, and what it computes is stored as data.

    input_size: (channels, height, width). mean, std: by channel, of pixels in [0, 1]; 0 and 1 where
    there are none. dataset: the name of a data set whose pictures it is for. class_names: in the
    order of the logits; those of the data set, or numbers, where there are none.
    UserError, with the line, where the forward cannot be described.
    """
    from vizlib.bring.own_code import open_module

    return open_module(
        module,
        name=name,
        input_size=input_size,
        class_names=class_names,
        mean=mean,
        std=std,
        dataset=dataset,
    )
