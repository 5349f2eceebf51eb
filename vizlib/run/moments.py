"""What a run folder keeps of the moments of its training, each under its step: filters, a probe
picture's maps, matrices. Read without torch.

vizlib.training.snapshots and vizlib.run.matrices say what the files of tensors hold.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open

from vizlib.errors import UserError
from vizlib.files import check_regular
from vizlib.run import integers
from vizlib.run.events import Event
from vizlib.run.folders import Run

FRAMES, FRAME_SECONDS = 20, 0.5  # of the film of learning
SNAPSHOTS, MATRICES = "snapshots.safetensors", "evaluations.safetensors"
_FLOATS = ("F16", "F32", "F64")
_INTEGERS = ("I8",)
_LEVELS = ("U8",)
_OF_PARTS = ("I8", "U8", "I64", "F32")
_COUNTS = ("U16", "U32")
T = TypeVar("T")


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A file of tensors, read piece by piece; None where there is none, or none that can be
    read.
    """
    try:
        check_regular(path)
        file = safe_open(path, framework="numpy")
    except (OSError, SafetensorError):
        yield None
        return
    with file:
        yield file


def filters(run: Run) -> dict[int, np.ndarray]:
    """conv1's weight by training step, {step: float array (out, in, h, w)}; empty where there are
    none.
    """
    with opened(run.path(SNAPSHOTS)) as tensors:
        return {
            step: weight
            for name, step, _ in _stored(tensors, "conv1", 4, (*_FLOATS, *_INTEGERS))
            if (weight := _whole(tensors, tensors.keys(), name)) is not None
        }


def filters_shape(run: Run) -> tuple[int, ...]:
    """The shape (out, in, h, w) of the filters stored, of which none is read; empty where there are
    none.
    """
    with opened(run.path(SNAPSHOTS)) as tensors:
        for name, _, _ in _stored(tensors, "conv1", 4, (*_FLOATS, *_INTEGERS)):
            return tuple(tensors.get_slice(name).get_shape())
    return ()


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in a file, by its name; empty where there are none that can be
    read.
    """
    with opened(path) as tensors:
        stored = sorted(tensors.keys()) if tensors else []
        try:
            return {name: _shape(tensors, stored, name) for name in integers.names_in(stored)}
        except UserError:
            return {}


def floats(path: Path, name: str) -> np.ndarray | None:
    """A tensor of a file, float32; None where there is none of that name that can be read."""
    with opened(path) as tensors:
        stored = tensors.keys() if tensors else []
        return _whole(tensors, stored, name) if name in integers.names_in(stored) else None


def _shape(tensors: Any, stored: Collection[str], name: str) -> tuple[int, ...]:
    parts = _parts(tensors, stored, name)
    return integers.shape_of(name, parts) if parts else tuple(tensors.get_slice(name).get_shape())


def _whole(tensors: Any, stored: Collection[str], name: str) -> np.ndarray | None:
    try:
        if parts := _parts(tensors, stored, name):
            return integers.as_floats(name, parts)
    except UserError:
        return None
    is_float = tensors.get_slice(name).get_dtype() in _FLOATS
    return tensors.get_tensor(name).astype(np.float32) if is_float else None


def _parts(tensors: Any, stored: Collection[str], name: str) -> dict[str, np.ndarray]:
    """Those of a tensor that lies in a file as whole numbers, none of any other. UserError where
    they are of types that NumPy may not have.
    """
    names = integers.parts_of(name, stored)
    if any(tensors.get_slice(part).get_dtype() not in _OF_PARTS for part in names):
        raise integers.damaged(name)
    return {part: tensors.get_tensor(part) for part in names}


def probe_layers(run: Run) -> dict[int, list[str]]:
    """What of the probe picture's maps is stored: {step: names of layers}; empty where there is
    nothing.
    """
    stored: dict[int, list[str]] = {}
    with opened(run.path(SNAPSHOTS)) as tensors:
        ranges = {name for name, _, _ in _stored(tensors, "range", 1, _FLOATS)}
        for _, step, layer_name in _stored(tensors, "probe", 3, _LEVELS):
            if layer_name and f"range/{step:08d}/{layer_name}" in ranges:
                stored.setdefault(step, []).append(layer_name)
    return stored


def matrices(run: Run) -> dict[int, np.ndarray]:
    """The validation images' counts by step, {step: unsigned array (K, K)}; empty where there are
    none.
    """
    with opened(run.path(MATRICES)) as tensors:
        return {
            step: tensors.get_tensor(name)
            for name, step, _ in _stored(tensors, "confusion", 2, _COUNTS)
        }


def _stored(
    tensors: Any, kind: str, dimensions: int, dtypes: Sequence[str]
) -> Iterator[tuple[str, int, str]]:
    """The tensors of one kind in a file, by name: (name, step, what comes after the step). Those of
    another shape or type, or whose name is not as it is written, are passed over.
    """
    for name in sorted(tensors.keys()) if tensors else ():
        found_kind, step, rest = (*name.split("/", 2), "", "")[:3]
        # other scripts have digits as well
        if found_kind != kind or not (step.isascii() and step.isdecimal() and len(step) < 16):
            continue
        tensor = tensors.get_slice(name)
        written = f"{kind}/{int(step):08d}" + (f"/{rest}" if rest else "")
        if (
            name == written
            and len(tensor.get_shape()) == dimensions
            and tensor.get_dtype() in dtypes
        ):
            yield name, int(step), rest


def in_order(run: Run, layer_names: Iterable[str]) -> list[str]:
    """The stored layers as they follow one another in the network: those that are trained as its
    training noted them, after those that are not.
    """
    started = run.events_of("started")
    noted = started[-1].get("layers", []) if started else []
    order = {name: number for number, name in enumerate(noted)}
    return sorted(set(layer_names), key=lambda name: (order.get(name, -1), name))


def probe_picture(run: Run) -> np.ndarray | None:
    """The picture whose maps are stored along the training, uint8 (H, W, C), or None."""
    with opened(run.path(SNAPSHOTS)) as tensors:
        if not tensors or "probe/picture" not in tensors.keys():  # noqa: SIM118
            return None
        shape = tensors.get_slice("probe/picture").get_shape()
        if tensors.get_slice("probe/picture").get_dtype() not in _LEVELS:
            return None
        fits = len(shape) == 3 and shape[2] in (1, 3)
        return tensors.get_tensor("probe/picture") if fits else None


def probe_maps(run: Run, step: int, layer_name: str) -> tuple[np.ndarray, tuple[float, float]]:
    """One stored layer of the probe picture at a stored step: (maps float32 (C, h, w), least and
    greatest value of all layers stored).
    """
    layer_names = probe_layers(run)[step]
    with opened(run.path(SNAPSHOTS)) as tensors:
        ends = {
            name: tensors.get_tensor(f"range/{step:08d}/{name}").astype(np.float32)
            for name in layer_names
        }
        levels = tensors.get_tensor(f"probe/{step:08d}/{layer_name}").astype(np.float32)
    low, high = ends[layer_name]
    network = (
        float(min(end[0] for end in ends.values())),
        float(max(end[1] for end in ends.values())),
    )
    return low + levels * ((high - low) / 255), network


def evaluations(run: Run) -> list[tuple[Event, np.ndarray]]:
    """The evaluations on the validation images whose matrix is kept: [(epoch event, counts int64
    (K, K))], in order. Earlier versions wrote it into the event.
    """
    kept = matrices(run)
    pairs = [
        (event, _counts(kept.get(event["step"], event.get("confusion")), len(run.class_names)))
        for event in run.events_of("epoch")
    ]
    return [(event, counts) for event, counts in pairs if counts is not None]


def _counts(matrix: Any, classes: int) -> np.ndarray | None:
    """A matrix as counts int64 (K, K); None if there is none, or none that fits."""
    try:
        counts = np.array(matrix, dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        return None
    fits = counts.shape == (classes, classes) and counts.min() >= 0 and counts.sum() > 0
    return counts if fits else None


def steps(run: Run, *stored: Iterable[int]) -> list[int]:
    """The steps of a run of which anything is kept, in order. stored: what is read of it already,
    dictionaries by step.
    """
    noted = [event["step"] for kind in ("epoch", "gradients") for event in run.events_of(kind)]
    return sorted({*noted, *(step for moments in stored for step in moments)})


def last_up_to(stored: Iterable[int] | Mapping[int, Any], step: int | None) -> int | None:
    """Of the steps `stored`, the last one up to `step`; None if all come later. step None is the
    end.
    """
    in_order = sorted(stored)
    before = len(in_order) if step is None else bisect_right(in_order, step)
    return in_order[before - 1] if before else None


def frames(moments: Sequence[T]) -> list[T]:
    """At most FRAMES of the moments, in order, evenly spread over them, the first and the last
    among them.
    """
    if len(moments) <= FRAMES:
        return list(moments)
    last = len(moments) - 1
    return [moments[round(number * last / (FRAMES - 1))] for number in range(FRAMES)]
