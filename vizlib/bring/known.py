"""Which architectures are worth a closer look for a file: an index of how each one's tensors are
called and how many axes they have, so that none has to be built for that.

`known.json` beside this file has it; `python -m vizlib.bring.known` writes it anew. An architecture
that is not in it, as it was just dropped into its folder, is looked at each time.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from vizlib import architectures
from vizlib.architectures import elsewhere
from vizlib.bring.alignment import Shapes
from vizlib.errors import UserError

FILE = Path(__file__).with_suffix(".json")
# counters of batch normalisation and of tools that count operations: no weights
COUNTERS = ("num_batches_tracked", "total_ops", "total_params")
NEAR = 0.15  # how far the number of tensors may be from a file's, as a share of it


def without_counters(shapes: Shapes) -> Shapes:
    """The shapes of what is weights."""
    return {
        name: tuple(shape)
        for name, shape in shapes.items()
        if name.rpartition(".")[2] not in COUNTERS
    }


def shapes_of(name: str) -> Shapes:
    """The names and shapes of an architecture's tensors in its default form, less counters."""
    return shapes_with(name, {}) or {}


def shapes_with(name: str, arguments: Mapping[str, Any]) -> Shapes | None:
    """The same with these arguments; None where it cannot be built with them."""
    return _built(name, tuple(sorted(arguments.items())))


@lru_cache(maxsize=1024)
def _built(name: str, arguments: tuple[tuple[str, Any], ...]) -> Shapes | None:
    from vizlib.architectures.shapes import without_numbers

    try:
        with without_numbers():
            model = architectures.create(name, **dict(arguments))
    except UserError:
        return None
    return without_counters(
        {tensor_name: tuple(tensor.shape) for tensor_name, tensor in model.state_dict().items()}
    )


def all_names() -> list[str]:
    """Every architecture that can be recognised: those that can be trained here, then others'; not
    those that are described by data, as chains are.
    """
    others = [name for name in elsewhere.names() if "num_classes" in elsewhere.get(name).arguments]
    return [*architectures.names(), *others]


def entry_of(shapes: Shapes) -> dict[str, Any]:
    """What the index holds of names and shapes: a digest of all names, and how many tensors have
    one axis, two, ...
    """
    text = "\n".join(sorted(shapes))
    axes = Counter(len(shape) for shape in shapes.values())
    return {
        "names": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16],
        "axes": [axes.get(number, 0) for number in range(1, 5)],
    }


@lru_cache(maxsize=1)
def index() -> dict[str, dict[str, Any]]:
    """{name of an architecture: its entry}, of all that can be recognised."""
    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return {name: kept.get(name) or entry_of(shapes_of(name)) for name in all_names()}


def of_names(shapes: Shapes) -> list[str]:
    """The architectures whose tensors are called exactly so."""
    names = entry_of(shapes)["names"]
    return [name for name, entry in index().items() if entry["names"] == names]


def of_kinds(shapes: Shapes) -> list[str]:
    """Those that have as many tensors of one axis, of two, ..."""
    axes = entry_of(shapes)["axes"]
    return [name for name, entry in index().items() if entry["axes"] == axes]


def of_size(shapes: Shapes) -> list[str]:
    """Those that have about as many tensors."""
    count = len(shapes)
    return [
        name
        for name, entry in index().items()
        if abs(sum(entry["axes"]) - count) <= max(2, NEAR * count)
    ]


def write_index(names: Iterable[str]) -> None:
    """Write known.json anew, of these architectures."""
    lines = [f"{json.dumps(name)}: {json.dumps(entry_of(shapes_of(name)))}" for name in names]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write_index(all_names())
