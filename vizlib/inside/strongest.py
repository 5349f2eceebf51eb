"""Which held-out images excite each unit most: one pass over them, all layers at once, kept in the
run folder, as strongest.safetensors; of the pictures that ship as strongest-shipped.safetensors.

A unit is a channel of a convolution, its value for an image the greatest of its map, before any
ReLU that follows; or a class, its value the logit.

    LAYER/values    float32 (units, COUNT), the greatest first
    LAYER/rows      whole numbers (units, COUNT), which image of the test split
    LAYER/places    whole numbers (units, COUNT, 2), row and column in the map

Whole numbers have as few bits as hold them. The file of the pictures that ship comes with some
runs.
Reading the file needs no torch.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError, safe_open

from vizlib.errors import UserError, unknown
from vizlib.files import write_whole
from vizlib.inside.held_out import held_out
from vizlib.inside.passes import received

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vizlib.datasets import Dataset, Split
    from vizlib.inside.activations import Observer
    from vizlib.inside.layers import Layer
    from vizlib.run.folders import Run

    Best = tuple[Tensor, Tensor, Tensor]  # values, image numbers, positions

COUNT = 30
FILE, FILE_OF_SHIPPED = "strongest.safetensors", "strongest-shipped.safetensors"
BATCH_PIXELS = 1 << 18  # 256 images of 32x32, 5 of 224x224: some tenths of a second
_DTYPES = {"values": np.float32, "rows": np.int32, "places": np.int16}  # as they are read
_STORED = {"values": ("F32",), "rows": ("U8", "U16", "U32", "I32"), "places": ("U8", "U16", "I16")}


@dataclass(frozen=True)
class Strongest:
    """The images that excite each unit of a layer most, the strongest first; of equal ones the
    lower number, NaN last.

    values: float32 (units, K). image_numbers: int32 (units, K), of the images given. positions:
    int16 (units, K, 2), row and column of the value in its map, the first of equal ones; (0, 0) for
    a class.
    """

    values: np.ndarray
    image_numbers: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True)
class Index:
    """`index[layer_name]` is the Strongest of a layer, read when asked for. images: how many were
    looked at, which took `seconds`.
    """

    layer_names: list[str]
    images: int
    seconds: float
    _read: Callable[[str], Strongest]

    def __getitem__(self, layer_name: str) -> Strongest:
        if layer_name not in self.layer_names:
            raise unknown("layer", layer_name, self.layer_names)
        return self._read(layer_name)


def of_one_class(found: Strongest, labels: np.ndarray, count: int) -> int:
    """The unit whose `count` strongest images are most of one class, the first of equal ones.
    labels: int64, of all images that were looked at.
    """
    theirs = labels[found.image_numbers[:, :count]]
    most = [np.bincount(of_unit).max() for of_unit in theirs]
    return int(np.argmax(most))


def unit_layers(layers: Sequence[Layer]) -> list[str]:
    """The names of those layers of a `layers.layer_table` with units to rank: all convolutions, and
    the logits, the last layer of a vector.
    """
    vectors = [
        layer.name for layer in layers if not layer.is_block and len(layer.output_shape) == 1
    ]
    return [layer.name for layer in layers if layer.is_convolution or layer.name in vectors[-1:]]


def find(
    model: nn.Module,
    images: np.ndarray | Iterable[np.ndarray],
    layer_names: Sequence[str],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    count: int = COUNT,
    total: int | None = None,
    say: Callable[[float], None] = lambda share: None,
) -> dict[str, Strongest]:
    """The `count` strongest images of each unit of some layers, {layer name: Strongest}; all of
    them where there are fewer.

    images: uint8, an array (N, C, H, W), or an iterable of such arrays; `total` then says how many
    they are together. "name#2" is the second call of a module. A model that is not prepared is left
    as it is. UserError if a layer does not exist or is not reached, or there is no image.
    """
    from vizlib.inside.activations import forward, prepare, twin

    if not getattr(model, "_convscope_prepared", False):
        model = prepare(twin(model))
    device = next(model.parameters()).device
    chunks = [images] if isinstance(images, np.ndarray) else images
    total = total or (len(images) if isinstance(images, np.ndarray) else 0)
    if not total:
        raise UserError("There are no images to look at.")
    search = _Search(layer_names, count)
    for chunk in chunks:
        at_once = max(1, BATCH_PIXELS // (chunk.shape[2] * chunk.shape[3]))
        for batch in received(chunk, mean, std, at_once, device):
            forward(model, batch, search.begin())
            search.end(len(batch))
            say(min(1.0, search.seen / total))
    return search.strongest()


class _Search:
    """The strongest of the images so far, {layer name: (values, image_numbers, positions)}, and how
    many have been seen.
    """

    def __init__(self, layer_names: Sequence[str], count: int) -> None:
        self.best: dict[str, Best] = {}
        self.seen = 0
        self._layer_names, self._wanted = layer_names, set(layer_names)
        self._count = count

    def begin(self) -> Observer:
        """The observer of one forward pass."""
        from vizlib.inside.activations import CallNames

        self._called, self._reached = CallNames(), []
        return self._observe

    def end(self, images: int) -> None:
        """After a pass of so many images."""
        for name in self._wanted - set(self._reached):
            raise unknown("layer", name, self._reached)
        self.seen += images

    def strongest(self) -> dict[str, Strongest]:
        """What there is of each layer."""
        return {
            name: Strongest(*(tensor.cpu().numpy() for tensor in self.best[name]))
            for name in self._layer_names
        }

    def _observe(self, name: str, module: nn.Module, output: Tensor) -> None:
        name = self._called(name)
        self._reached.append(name)
        if name in self._wanted:
            old, new = self.best.get(name), _strengths(output, self.seen)
            self.best[name] = _first([old, new] if old else [new], self._count)


def _strengths(output: Tensor, first_number: int) -> Best:
    """(values, image_numbers, positions) of each unit for the images of one batch, (units, B), and
    (units, B, 2).
    """
    import torch

    maps = output if output.dim() == 4 else output[:, :, None, None]
    # The pool is vectorised over channels of any number, `amax` over multiples of 32 alone; and
    # where the greatest value lies it knows anyway.
    values, positions = torch.nn.functional.max_pool2d(maps, maps.shape[2:], return_indices=True)
    numbers = torch.arange(
        first_number, first_number + len(maps), dtype=torch.int32, device=maps.device
    ).expand(maps.shape[1], -1)
    positions = torch.stack((positions // maps.shape[3], positions % maps.shape[3]), -1).flatten(
        1, 3
    )
    return values.flatten(1).T.float(), numbers, positions.transpose(0, 1).to(torch.int16)


def _first(parts: Sequence[Best], count: int) -> Best:
    """The strongest of several (values, image_numbers, positions), the numbers ascending. A stable
    sort of the negated leaves equal ones as they came, NaN last.
    """
    import torch

    values, numbers, positions = (torch.cat(tensors, 1) for tensors in zip(*parts, strict=True))
    order = values.neg().sort(dim=1, stable=True).indices[:, :count]
    return (
        values.gather(1, order),
        numbers.gather(1, order),
        positions.gather(1, order[..., None].expand(-1, -1, 2)),
    )


def of_run(
    run: Run,
    dataset: Dataset,
    say: Callable[[float], None] = lambda share: None,
    split: Split | None = None,
) -> Index:
    """The Index of a run's saved weights over the images of a data set held out from it, of all its
    `unit_layers`.

    split: those images, where they are known. Made anew each time, and kept in its folder if that
    can be written.
    UserError if there are no weights, or they or the images do not fit.
    """
    if not run.has("model.safetensors"):
        raise UserError(run.missing_weights)
    split = held_out(run, dataset) if split is None else split
    start = time.perf_counter()
    weights = run.path("model.safetensors").read_bytes()
    strongest = _of_weights(run, weights, split, say)
    layer_names, seconds = list(strongest), time.perf_counter() - start
    facts = {"layers": json.dumps(layer_names), "seconds": f"{seconds:.3f}"}
    # in a folder that cannot be written nothing is kept, and nothing is lost but the time of
    # whoever asks next
    with suppress(OSError):
        _write(_path(run, dataset), strongest, {**_marks(run, weights, dataset, split), **facts})
    return Index(layer_names, len(split), seconds, strongest.__getitem__)


def _of_weights(
    run: Run, weights: bytes, split: Split, say: Callable[[float], None]
) -> dict[str, Strongest]:
    """Of all `unit_layers`; weights: the very bytes that the marks are of."""
    from vizlib.datasets.reading import reader
    from vizlib.inside.layers import layer_table
    from vizlib.inside.model import load_model

    model = load_model(run, weights)
    return find(
        model,
        reader(split, run.input_size)(),
        unit_layers(layer_table(model, run.input_size)),
        mean=run.config.mean,
        std=run.config.std,
        total=len(split),
        say=say,
    )


def load(run: Run, dataset: Dataset, split: Split | None = None) -> Index | None:
    """The Index kept in a run's folder, whose layers are read when asked for.

    None if there is none, or it is damaged, or of other weights, another network or another copy of
    the data than these.
    """
    path = _path(run, dataset)
    if not (path.is_file() and run.has("model.safetensors")):
        return None
    split = held_out(run, dataset) if split is None else split
    images = len(split)
    try:
        file = safe_open(path, framework="numpy")
        weights = run.path("model.safetensors").read_bytes()
        marks = file.metadata()
        layer_names, seconds = json.loads(marks["layers"]), float(marks["seconds"])
        _check(file, layer_names, min(COUNT, images))
    # what is missing, cut short or not of this kind
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    if not _marks(run, weights, dataset, split).items() <= marks.items():
        return None

    def read(name: str) -> Strongest:
        return Strongest(
            *(file.get_tensor(f"{name}/{part}").astype(dtype) for part, dtype in _DTYPES.items())
        )

    return Index(layer_names, images, seconds, read)


def _path(run: Run, dataset: Dataset) -> Path:
    return run.path(FILE_OF_SHIPPED if dataset.are_shipped else FILE)


def _marks(run: Run, weights: bytes, dataset: Dataset, split: Split) -> dict[str, str]:
    """What an index belongs to, as text by name."""
    ids = "\n".join(map(str, split.image_ids))
    return {
        "weights": hashlib.sha256(weights).hexdigest(),
        "network": json.dumps([run.config.architecture, run.config.arguments]),
        "data": dataset.note,
        "images": hashlib.sha256(ids.encode()).hexdigest(),
    }


def _check(file: Any, layer_names: Sequence[str], count: int) -> None:
    """ValueError unless each layer's three parts are there, in their types and shapes; reads none
    of them.
    """
    for name in layer_names:
        parts = [file.get_slice(f"{name}/{part}") for part in _DTYPES]
        units = parts[0].get_shape()[0]
        shapes = [[units, count], [units, count], [units, count, 2]]
        stored = zip(parts, _STORED.values(), strict=True)
        if (
            not all(part.get_dtype() in dtypes for part, dtypes in stored)
            or [part.get_shape() for part in parts] != shapes
        ):
            raise ValueError(name)


def _write(path: Path, strongest: dict[str, Strongest], marks: dict[str, str]) -> None:
    tensors = {
        f"{name}/{key}": np.ascontiguousarray(_small(part))
        for name, best in strongest.items()
        for key, part in zip(
            _DTYPES, (best.values, best.image_numbers, best.positions), strict=True
        )
    }
    write_whole(path, safetensors.numpy.save(tensors, marks))


def _small(part: np.ndarray) -> np.ndarray:
    """Whole numbers from 0 in as few bits as hold them; anything else as it is."""
    if part.dtype.kind == "f":
        return part
    return part.astype(np.min_scalar_type(part.max(initial=0)))
