"""What the pickle of a checkpoint may import and call, and the sentence for one that wants more."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from vizlib.errors import UserError
from vizlib.run.file_kinds import SAVE_AGAIN, shown
from vizlib.run.pickles import Call, Name, Walk, is_flat
from vizlib.run.stand_ins import stand_in_for

# the bytes of a storage's elements, by the name of its class
ELEMENT_BYTES = {
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2,
    "LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1,
    "BoolStorage": 1, "UntypedStorage": 1, "ComplexFloatStorage": 8, "ComplexDoubleStorage": 16,
}  # fmt: skip
_DTYPE = re.compile(r"torch\.(float|bfloat|int|uint|complex|bool)\w*")
_CLASSES = ("torch.Tensor", "torch.nn.parameter.Parameter")
_OTHER_TENSORS = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_sparse_csr_tensor": "a sparse tensor",
    "torch._utils._rebuild_qtensor": "a quantised tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor that has no values",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_wrapper_subclass": "a tensor of a class of its own",
}


def check(walk: Walk) -> None:
    """UserError, by name, for a pickle that wants what it must not have."""
    names = [name for name in walk.names if not is_of_torch(name) and not stand_in_for(name.full)]
    for name in names:
        if name.full in _OTHER_TENSORS:
            raise UserError(
                f"This file holds {_OTHER_TENSORS[name.full]}; only plain numbers can be read. "
                f"{SAVE_AGAIN}"
            )
    if names and walk.holds_module:
        raise UserError(
            f"This file holds a whole model (class {shown(names[0].name)} of module "
            f"{shown(names[0].module)}), not its weights, and opening that could run code. "
            f"{SAVE_AGAIN}"
        )
    called = [call.function for call in walk.wrong if isinstance(call.function, Name)]
    # first what is called and not known at all
    wanted = sorted((*called, *names), key=is_of_torch)
    if wanted or walk.wrong:
        raise UserError(
            f"This file wants to run {_quoted(wanted)}: that could run code, so nothing of it was "
            f"used. {SAVE_AGAIN}"
        )
    if walk.has_deep_keys or not all(map(_is_storage, walk.fetched)):
        raise UserError(f"This weights file is damaged. Copy it again, or: {SAVE_AGAIN}")


def _quoted(wanted: list[Name]) -> str:
    """The first of some names for a message."""
    return f"`{shown(wanted[0])}`" if wanted else "something that it makes itself"


def is_of_torch(name: Name) -> bool:
    """Whether this is a name that PyTorch's weights-only reader knows and that does no harm."""
    return (
        name.full in _CALLED
        or name.full in _CLASSES
        or (name.module in ("torch", "torch.storage") and name.name in ELEMENT_BYTES)
        or bool(_DTYPE.fullmatch(name.full))
    )


def may_call(call: Call) -> bool:
    """Whether a call does no harm and takes little memory, whatever its arguments."""
    function, arguments = call.function, call.arguments
    if not isinstance(function, Name) or not isinstance(arguments, tuple):
        return False
    if function.full in _CALLED:
        return _CALLED[function.full](*arguments)
    return function.name == "Parameter" or not is_of_torch(function)


def _is_storage(identity: Any) -> bool:
    """Whether this is what a storage is fetched by: ("storage", kind, key, location, count), in old
    files with what is seen of it: (key, start, count).
    """
    match identity:
        case ("storage", Name(), str() | int(), str(), int(), *view):
            return len(view) < 2 and all(map(is_flat, view))
    return False


def _are_flat(items: Any = ()) -> bool:
    return not isinstance(items, (list, tuple)) or all(map(is_flat, items))


def _are_pairs(pairs: Any = ()) -> bool:
    return not isinstance(pairs, (list, tuple)) or all(
        isinstance(pair, (list, tuple)) and is_flat(pair[0]) for pair in pairs
    )


def _is_encoded(text: Any, encoding: Any = "latin1") -> bool:
    """Bytes, as pickle's second protocol writes them; other codecs can grow without end."""
    return isinstance(text, str) and encoding in ("latin1", "latin-1", "utf-8", "ascii")


def _is_rebuilt(function: Any, kind: Any, *_: Any) -> bool:
    """A tensor with attributes of its own: by which function, and of which class."""
    return (
        isinstance(function, Name)
        and function.full in _REBUILT
        and isinstance(kind, Name)
        and kind.full in _CLASSES
    )


def _any(*_: Any) -> bool:
    return True


_REBUILT = (
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
)
_CALLED: dict[str, Callable[..., bool]] = {
    **dict.fromkeys(_REBUILT, _any),
    "torch._tensor._rebuild_from_type_v2": _is_rebuilt,
    "torch.Size": _are_flat,
    "torch.device": _any,
    "collections.OrderedDict": _are_pairs,
    "collections.Counter": _are_flat,
    "builtins.set": _are_flat,
    "builtins.complex": _any,
    "_codecs.encode": _is_encoded,
}
