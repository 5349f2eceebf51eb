"""What a network may compute between its modules, by name: functions, and methods and attributes of
tensors. Nothing else can be called.

None works in place, reads or writes anything but its arguments, or draws random numbers.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_PIECES = 1024  # that a tensor is cut into
LONGEST_TUPLE = 64  # that two sizes put together may have
MOST_ATTENDED = 400_000_000  # weights of attention for one image, all heads together
LARGEST_POWER = 16  # of a number that is no tensor
ATTRIBUTES = ("shape", "ndim", "dtype", "device", "T", "mT")


def _of_numbers(function: Callable) -> Callable:
    """The operator, of tensors and numbers alone: three times a list of a million is a list."""

    def calculated(*values: Any) -> Any:
        if not all(isinstance(value, (Tensor, int, float)) for value in values):
            raise TypeError("only tensors and numbers can be reckoned with")
        return function(*values)

    return calculated


def _add(first: Any, second: Any) -> Any:
    """The sum, or one size behind the other."""
    if isinstance(first, (tuple, list)) and isinstance(second, (tuple, list)):
        if len(first) + len(second) > LONGEST_TUPLE:
            raise ValueError("these sizes are too long")
        return (*first, *second)
    return _of_numbers(operator.add)(first, second)


def _power(base: Any, exponent: Any) -> Any:
    are_numbers = not isinstance(base, Tensor) and not isinstance(exponent, Tensor)
    if are_numbers and abs(exponent) > LARGEST_POWER:
        raise ValueError("this power is too large")
    return _of_numbers(operator.pow)(base, exponent)


def _chunk(tensor: Tensor, chunks: int, dim: int = 0) -> Any:
    _check_pieces(chunks)
    return torch.chunk(tensor, chunks, dim)


def _split(tensor: Tensor, split_size: int | list[int], dim: int = 0) -> Any:
    is_size = isinstance(split_size, int)
    _check_pieces(tensor.size(dim) / split_size if is_size else len(split_size))
    return torch.split(tensor, split_size, dim)


def _unbind(tensor: Tensor, dim: int = 0) -> Any:
    _check_pieces(tensor.size(dim))
    return torch.unbind(tensor, dim)


def _check_pieces(count: float) -> None:
    if count > MOST_PIECES:
        raise ValueError(f"a tensor is cut into more than {MOST_PIECES} pieces")


def _batch_norm(
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """With the statistics as they are: PyTorch's own would rewrite them."""
    if training:
        raise ValueError("statistics of the batch would be taken, and the kept ones rewritten")
    return F.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Without dropping anything, which PyTorch's own does whenever it is told a share."""
    if dropout_p:
        raise ValueError("values would be dropped at random")
    check_attention(math.prod(query.shape[1:-1]) * key.shape[-2])
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask, is_causal=is_causal, scale=scale
    )


def check_attention(values: int) -> None:
    """ValueError where what attends to what, in one image, would not fit into memory."""
    if values > MOST_ATTENDED:
        raise ValueError(f"{values:,} weights of attention would be computed for one image")


def _einsum(equation: str, *operands: Tensor) -> Tensor:
    """Of two tensors at most: between three others may arise, of any size."""
    if len(operands) > 2:
        raise ValueError("torch.einsum takes up to two tensors here")
    return torch.einsum(equation, *operands)


_OPERATORS: dict[str, Callable] = {
    "operator.add": _add,
    "operator.pow": _power,
    "operator.getitem": operator.getitem,
    **{
        f"operator.{name}": _of_numbers(getattr(operator, name))
        for name in ("sub", "mul", "truediv", "floordiv", "mod", "neg", "matmul")
    },
    "math.sqrt": _of_numbers(math.sqrt),
}
_TORCH = (
    "abs add addmm amax amin argmax argmin baddbmm bmm cat clamp clip concat cos cosine_similarity "
    "cumsum div dot einsum erf exp flatten flip floor fmod gather hstack log logsumexp "
    "log_softmax lt gt le ge eq ne matmul max maximum mean min minimum mm movedim mul multiply "
    "narrow neg norm permute pixel_shuffle pixel_unshuffle pow prelu prod reciprocal relu reshape "
    "roll round rsqrt selu sigmoid sign sin softmax sqrt square squeeze stack std sub subtract sum "
    "swapaxes swapdims t tan tanh tile transpose tril triu true_divide unflatten unsqueeze var "
    "vstack where zeros_like ones_like channel_shuffle conv1d conv2d conv3d conv_transpose1d "
    "conv_transpose2d atan atan2 hypot outer index_select repeat_interleave rot90 celu concatenate"
)
_FUNCTIONAL = (
    "linear bilinear layer_norm rms_norm group_norm normalize local_response_norm interpolate pad "
    "unfold fold grid_sample affine_grid"
)
FUNCTIONS: dict[str, Callable] = {
    **_OPERATORS,
    **{f"torch.{name}": getattr(torch, name) for name in _TORCH.split()},
    **{f"F.{name}": getattr(F, name) for name in _FUNCTIONAL.split()},
    "torch.einsum": _einsum,
    "torch.chunk": _chunk,
    "torch.split": _split,
    "torch.unbind": _unbind,
    "F.batch_norm": _batch_norm,
    "F.scaled_dot_product_attention": _attention,
}
_METHODS = (
    "abs add amax amin argmax argmin baddbmm bmm clamp clamp_max clamp_min clip clone contiguous "
    "cos cumsum detach diff dim div double erf exp expand expand_as flatten flip float floor "
    "gather ge gt le lt eq ne half index_select log log_softmax logsumexp long masked_fill matmul "
    "max maximum mean min minimum mm movedim mul multiply narrow ndimension neg norm numel permute "
    "pow prelu prod reciprocal relu repeat repeat_interleave reshape reshape_as roll round rsqrt "
    "select sigmoid sign sin size softmax sqrt square squeeze std sub subtract sum swapaxes "
    "swapdims t tanh tile to transpose tril triu type_as unflatten unfold unsqueeze var view "
    "view_as where"
)
METHODS: dict[str, Callable] = {
    **{name: getattr(Tensor, name) for name in _METHODS.split()},
    "chunk": _chunk,
    "split": _split,
    "unbind": _unbind,
}
# what nobody may say by name: it would write into what is not the caller's
FORBIDDEN_KEYWORDS = ("out", "inplace")
DTYPES = {
    name: getattr(torch, name)
    for name in ("float16", "bfloat16", "float32", "float64", "int32", "int64", "uint8", "bool")
}


def name_of(function: Callable) -> str | None:
    """What a function is called here; None for one that is not here."""
    return _NAMES.get(function)


_NAMES: dict[Callable, str] = {
    **{getattr(F, name): f"F.{name}" for name in (*_FUNCTIONAL.split(), "batch_norm")},
    F.scaled_dot_product_attention: "F.scaled_dot_product_attention",
    **{
        getattr(torch, name): f"torch.{name}"
        for name in (*_TORCH.split(), "chunk", "split", "unbind")
    },
    **{
        getattr(operator, name.partition(".")[2]): name for name in _OPERATORS if "operator" in name
    },
    math.sqrt: "math.sqrt",
}
