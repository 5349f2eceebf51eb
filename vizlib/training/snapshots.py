"""The film of learning: conv1's weights and what some layers make of one picture, at log-spaced
steps, in snapshots.safetensors.

conv1/STEP          int8 (out, in, h, w), at steps 0, 1, 2, 3, 4, 6, 8, 12, ... and at the end, with
                    the scale of each filter (vizlib.run.integers): no weight is further off than
                    half a grey level of its picture. float16 in films of earlier versions
probe/picture       uint8 (H, W, C), a clear picture among those held out
probe/STEP/LAYER    uint8 (maps, h, w) of about five convolutions from first to last, at most 32
                    pixels a side and SHOWN values, at every second of these steps, 0, 1, 2, 4, 8,
                    ... and the end: with all, twenty shipped runs would be 20 MB
range/STEP/LAYER    float32 (2,), the values that 0 and 255 stand for
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import safetensors.numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vizlib.files import write_whole
from vizlib.inside.layers import convolutions
from vizlib.run import integers, moments
from vizlib.training.probe import Probe

LAYERS = 5
LARGEST_SIDE = 32
SHOWN = 8_192
PICTURE = "probe/picture"
OF_STEP = re.compile(r"(?:conv1|probe|range)/(\d{8,15})(?!\d)", re.ASCII)
STORED = ("I8", "U8", "F16", "F32")  # what there is in files of ours


def is_log_spaced(step: int) -> bool:
    """Whether a step is one of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..."""
    power = 1 << (step.bit_length() - 1) if step else 0
    return step in (power, power + power // 2)


class Snapshots:
    """Takes snapshots of a model in training and writes them to a run folder.

    probe: the picture whose maps are kept.
    """

    def __init__(self, folder: Path, model: nn.Module, probe: Probe) -> None:
        self._path = folder / "snapshots.safetensors"
        self._model = model
        filters = convolutions(model)  # (name, weight), which shares the parameter's memory
        names = [name for name, _ in filters]
        self._layers = [(name, model.get_submodule(name)) for name in _spread(names, LAYERS)]
        self._conv1 = filters[0][1] if filters else None
        self._probe = probe
        self._taken = {PICTURE: probe.picture}

    def take_up(self, step: int) -> None:
        """Go on with the snapshots up to this step that the file has, of a training that is
        resumed; a damaged film begins anew.
        """
        self._taken |= {
            name: array
            for name, array in _stored(self._path).items()
            if name == PICTURE or ((match := OF_STEP.match(name)) and int(match[1]) <= step)
        }
        # an earlier version may have chosen another picture, whose maps these are
        picture = self._taken[PICTURE]
        if picture.dtype == np.uint8 and picture.shape == self._probe.picture.shape:
            self._probe = replace(self._probe, picture=picture)

    def take(self, step: int, *, is_last: bool = False) -> None:
        """Store how the network is now. is_last: whether the training ends with this."""
        if self._conv1 is None:
            return
        conv1 = self._conv1.detach().float().cpu().numpy()
        if not np.isfinite(conv1).all():
            return
        self._taken |= integers.rounded(f"conv1/{step:08d}", conv1)
        is_between = is_log_spaced(step) and step & (step - 1) and not is_last  # 3, 6, 12, ...
        for name, maps in self._maps().items() if not is_between else ():
            least, greatest = maps.min(), maps.max()
            levels = ((maps - least) / (greatest - least).clamp(min=1e-12) * 255).round()
            ends = torch.stack([least, greatest])
            levels = levels.to(torch.uint8).cpu().contiguous().numpy()
            self._taken[f"probe/{step:08d}/{name}"] = levels
            self._taken[f"range/{step:08d}/{name}"] = ends.cpu().numpy()
        write_whole(self._path, safetensors.numpy.save(self._taken))

    def _maps(self) -> dict[str, Tensor]:
        """The layers' outputs for the probe, float32 (maps, h, w), made small."""
        maps_by_layer: dict[str, Tensor] = {}
        was_training = self._model.training

        def keep(name: str) -> Callable[..., None]:
            return lambda module, arguments, output: maps_by_layer.__setitem__(
                name, _small(output[0].float())
            )

        handles = [module.register_forward_hook(keep(name)) for name, module in self._layers]
        self._model.eval()
        try:
            with torch.inference_mode():
                self._model(self._probe.received)
        finally:
            self._model.train(was_training)
            for handle in handles:
                handle.remove()
        return {name: maps for name, maps in maps_by_layer.items() if maps.isfinite().all()}


def thin(path: Path) -> None:
    """Write a film of learning that an earlier version stored as it is stored today."""
    stored = _stored(path)
    whole = [name for name, array in stored.items() if _is_whole(name, array)]
    for name in whole:
        stored |= integers.rounded(name, stored[name].astype(np.float32))
    if whole:
        write_whole(path, safetensors.numpy.save(stored))


def _is_whole(name: str, array: np.ndarray) -> bool:
    return (
        name.startswith("conv1/")
        and array.dtype.kind == "f"
        and array.ndim == 4
        and bool(np.isfinite(array).all())
    )


def _stored(path: Path) -> dict[str, np.ndarray]:
    """What a film's file holds; nothing where it cannot be read."""
    with moments.opened(path) as tensors:
        return {
            name: tensors.get_tensor(name)
            for name in (tensors.keys() if tensors else ())
            if tensors.get_slice(name).get_dtype() in STORED
        }


def _spread(names: list[str], count: int) -> list[str]:
    """About so many of the names, evenly from the first to the last."""
    if not names:
        return []
    numbers = {round(number * (len(names) - 1) / (count - 1)) for number in range(count)}
    return [names[number] for number in sorted(numbers)]


def _small(maps: Tensor) -> Tensor:
    height, width = (min(side, LARGEST_SIDE) for side in maps.shape[1:])
    if maps.shape[1:] != (height, width):
        maps = F.adaptive_avg_pool2d(maps, (height, width))
    return maps[: max(1, SHOWN // (height * width))]
