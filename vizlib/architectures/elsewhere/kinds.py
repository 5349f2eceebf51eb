"""The modules of torch.nn that a network may be described with, by kind, and the arguments that
each is made with: {"kind": "Conv2d", "in_channels": 3, "out_channels": 6, "kernel_size": [5, 5]}.

Whether a module drops values or works in place is not described: what is built here is only asked,
and rewrites nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from vizlib.errors import UserError, unknown

_CONVOLUTION = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
_CONVOLUTION += ("groups", "bias", "padding_mode")
_BATCH_NORM = ("num_features", "eps", "momentum", "affine", "track_running_stats")
_MAX_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
_AVERAGE_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
_ONE_TO_THREE = ("1d", "2d", "3d")

KINDS: dict[str, tuple[str, ...]] = {
    **{f"Conv{axes}": _CONVOLUTION for axes in _ONE_TO_THREE},
    **{f"ConvTranspose{axes}": (*_CONVOLUTION, "output_padding") for axes in _ONE_TO_THREE},
    "Linear": ("in_features", "out_features", "bias"),
    **{f"BatchNorm{axes}": _BATCH_NORM for axes in _ONE_TO_THREE},
    **{f"InstanceNorm{axes}": _BATCH_NORM for axes in _ONE_TO_THREE},
    "LayerNorm": ("normalized_shape", "eps", "elementwise_affine", "bias"),
    "RMSNorm": ("normalized_shape", "eps", "elementwise_affine"),
    "GroupNorm": ("num_groups", "num_channels", "eps", "affine"),
    "LocalResponseNorm": ("size", "alpha", "beta", "k"),
    "MultiheadAttention": ("embed_dim", "num_heads", "bias", "batch_first", "add_zero_attn"),
    **{f"MaxPool{axes}": _MAX_POOL for axes in _ONE_TO_THREE},
    "AvgPool1d": _AVERAGE_POOL,
    **{f"AvgPool{axes}": (*_AVERAGE_POOL, "divisor_override") for axes in ("2d", "3d")},
    "LPPool2d": ("norm_type", "kernel_size", "stride", "ceil_mode"),
    **{f"AdaptiveAvgPool{axes}": ("output_size",) for axes in _ONE_TO_THREE},
    **{f"AdaptiveMaxPool{axes}": ("output_size",) for axes in _ONE_TO_THREE},
    **{f"{padding}Pad{axes}": ("padding",) for axes in ("1d", "2d") for padding in
       ("Zero", "Reflection", "Replication", "Circular")},
    **{f"ConstantPad{axes}": ("padding", "value") for axes in ("1d", "2d")},
    "Upsample": ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor"),
    "PixelShuffle": ("upscale_factor",),
    "PixelUnshuffle": ("downscale_factor",),
    "ChannelShuffle": ("groups",),
    "Flatten": ("start_dim", "end_dim"),
    "Unflatten": ("dim", "unflattened_size"),
    "Identity": (),
    **dict.fromkeys(("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout",
                     "FeatureAlphaDropout"), ("p",)),
    **dict.fromkeys(("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish", "Hardsigmoid", "Sigmoid",
                     "Tanh", "Tanhshrink", "Softsign", "LogSigmoid", "Softmax2d"), ()),
    "LeakyReLU": ("negative_slope",),
    "PReLU": ("num_parameters",),
    "RReLU": ("lower", "upper"),
    "ELU": ("alpha",),
    "CELU": ("alpha",),
    "GELU": ("approximate",),
    "GLU": ("dim",),
    "Hardtanh": ("min_val", "max_val"),
    "Threshold": ("threshold", "value"),
    "Softplus": ("beta", "threshold"),
    "Softshrink": ("lambd",),
    "Hardshrink": ("lambd",),
    "Softmax": ("dim",),
    "Softmin": ("dim",),
    "LogSoftmax": ("dim",),
}  # fmt: skip

Check = Callable[[Any], bool]
LARGEST_NUMBER = 1e12


def is_whole(value: Any, least: int, greatest: int) -> bool:
    """Whether a value is a whole number between the two."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= greatest


def is_number(value: Any) -> bool:
    """Whether a value is a number that can be reckoned with, whole or not."""
    is_one = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_one and -LARGEST_NUMBER <= value <= LARGEST_NUMBER


def _whole(least: int, greatest: int) -> Check:
    return lambda value: is_whole(value, least, greatest)


def _each(check: Check, most: int = 8) -> Check:
    """A value, or a list of up to so many."""

    def fits(value: Any) -> bool:
        if isinstance(value, list):
            return 0 < len(value) <= most and all(map(check, value))
        return check(value)

    return fits


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _one_of(*names: str) -> Check:
    return lambda value: isinstance(value, str) and value in names


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_COUNT, _SIDES, _AXIS = _whole(1, 10_000_000), _each(_whole(1, 1024), 3), _whole(-8, 8)
_MARGINS = _each(_whole(-1024, 1024), 6)
_ARGUMENTS: dict[str, Check] = {
    **dict.fromkeys(
        ("in_channels", "out_channels", "in_features", "out_features", "num_features", "groups",
         "num_groups", "num_channels", "num_parameters", "embed_dim", "num_heads"),
        _COUNT,
    ),
    **dict.fromkeys(("kernel_size", "dilation"), _SIDES),
    "stride": _or_none(_SIDES),
    "padding": lambda value: _one_of("same", "valid")(value) or _MARGINS(value),
    "output_padding": _MARGINS,
    "padding_mode": _one_of("zeros", "reflect", "replicate", "circular"),
    **dict.fromkeys(
        ("bias", "affine", "track_running_stats", "elementwise_affine", "batch_first",
         "add_zero_attn", "ceil_mode", "count_include_pad"),
        _is_flag,
    ),
    **dict.fromkeys(("align_corners", "recompute_scale_factor"), _or_none(_is_flag)),
    **dict.fromkeys(("momentum", "eps"), _or_none(is_number)),
    **dict.fromkeys(
        ("p", "alpha", "beta", "k", "lower", "upper", "negative_slope", "min_val", "max_val",
         "threshold", "value", "lambd", "norm_type"),
        is_number,
    ),
    "divisor_override": _or_none(_whole(1, 1_000_000)),
    "normalized_shape": _each(_COUNT),
    "unflattened_size": _each(lambda value: value == -1 or _COUNT(value)),
    "output_size": _each(_or_none(_whole(1, 1024)), 3),
    "size": _or_none(_SIDES),
    "scale_factor": _or_none(_each(lambda value: is_number(value) and 0 < value <= 64, 3)),
    **dict.fromkeys(("upscale_factor", "downscale_factor"), _whole(1, 64)),
    "mode": _one_of("nearest", "nearest-exact", "linear", "bilinear", "bicubic", "area"),
    "approximate": _one_of("none", "tanh"),
    **dict.fromkeys(("start_dim", "end_dim"), _AXIS),
    "dim": _or_none(_AXIS),
}  # fmt: skip


def checked_module(name: str, description: Any) -> dict[str, Any]:
    """A module's description, as it was. UserError for one that is none."""
    kind = description.get("kind") if isinstance(description, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise unknown(f"kind of module, as {name!r} would be,", kind, KINDS)
    for argument, value in description.items():
        if argument == "kind":
            continue
        if argument not in KINDS[kind]:
            raise unknown(f"argument of {kind}, as {name!r} has it,", argument, KINDS[kind])
        if not _ARGUMENTS[argument](value):
            raise UserError(f"{name!r}, a {kind}, cannot have {argument} = {str(value)[:60]!r}.")
    return description


def built(description: dict[str, Any]) -> nn.Module:
    """The module of a checked description, with weights of its own. UserError where its arguments
    do not go together.
    """
    arguments = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in description.items()
        if name != "kind"
    }
    try:
        return getattr(nn, description["kind"])(**arguments)
    except Exception as error:  # noqa: BLE001 # each class checks in its own way
        words = str(error).partition("\n")[0][:200]
        raise UserError(f"There is no {description['kind']} of {arguments}: {words}") from None


def kind_of(module: nn.Module) -> str | None:
    """Which kind a module is, also where its class is one of somebody's own that computes the same;
    None for none.
    """
    if "forward" in vars(module):
        return None
    for ancestor in type(module).__mro__:
        known = getattr(nn, ancestor.__name__, None)
        if ancestor.__name__ in KINDS and known is ancestor:
            return ancestor.__name__ if type(module).forward is ancestor.forward else None
    return None


def described(module: nn.Module) -> dict[str, Any]:
    """The description of a module that is of some kind."""
    kind = kind_of(module)
    if kind is None:
        raise ValueError(f"{type(module).__name__} is of no kind")
    return {"kind": kind} | {name: _argument(module, name) for name in KINDS[kind]}


def _argument(module: Any, name: str) -> Any:
    """What a module was made with, as JSON has it."""
    if name == "bias":
        bias = "in_proj_bias" if isinstance(module, nn.MultiheadAttention) else "bias"
        return getattr(module, bias) is not None
    value = getattr(module, name)
    return list(value) if isinstance(value, tuple) else value
