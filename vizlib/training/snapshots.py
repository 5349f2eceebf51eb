"""The film of learning: conv1's weights and what some layers make of one picture, at log-spaced
steps, in snapshots.safetensors.

conv1/STEP          float16 (out, in, h, w), at steps 0, 1, 2, 3, 4, 6, 8, 12, ... and at the end
probe/picture       uint8 (H, W, C), the first picture held out for validation
probe/STEP/LAYER    uint8 (maps, h, w) of about five convolutions from first to last, at most 32
                    pixels a side and SHOWN values, at every second of these steps, 0, 1, 2, 4, 8,
                    ... and the end: with all, twenty shipped runs would be 20 MB
range/STEP/LAYER    float32 (2,), the values that 0 and 255 stand for
"""

import torch
import torch.nn.functional as F

from vizlib.errors import UserError
from vizlib.inside.layers import convolutions
from vizlib.run.weights import load_weights, save_weights

LAYERS, LARGEST_SIDE, SHOWN = 5, 32, 8_192


def is_log_spaced(step):
    """Whether a step is one of 1, 2, 3, 4, 6, 8, 12, 16, 24, ..."""
    power = 1 << (step.bit_length() - 1) if step else 0
    return step in (power, power + power // 2)


class Snapshots:
    """Takes snapshots of a model in training and writes them to a run folder.

    picture: uint8 (C, H, W), the probe; received: the same as the network gets it, float (1, C, H,
    W).
    """

    def __init__(self, folder, model, picture, received):
        self._path, self._model, self._received = folder / "snapshots.safetensors", model, received
        found = convolutions(model)
        chosen = (
            {round(place * (len(found) - 1) / (LAYERS - 1)) for place in range(LAYERS)}
            if found
            else ()
        )
        self._layers = [
            (found[place][0], model.get_submodule(found[place][0])) for place in sorted(chosen)
        ]
        self._conv1 = found[0][1] if found else None  # shares the parameter's memory
        self._taken = {"probe/picture": torch.from_numpy(picture.transpose(1, 2, 0).copy())}

    def take_up(self, step):
        """Go on with the snapshots up to this step that the file has, of a training that is
        resumed.
        """
        if self._path.is_file():
            try:
                stored = load_weights(self._path)
            except UserError:  # a damaged film is no reason not to go on: a new one begins
                return
            kept = {
                name: tensor
                for name, tensor in stored.items()
                if name == "probe/picture" or int(name.split("/")[1]) <= step
            }
            self._taken |= {
                name: tensor.half() if name.startswith("conv1/") else tensor
                for name, tensor in kept.items()
            }

    def take(self, step):
        if self._conv1 is None:
            return
        conv1 = self._conv1.half().cpu()
        if not conv1.isfinite().all():  # one ruined snapshot would make the file unreadable
            return
        self._taken[f"conv1/{step:08d}"] = conv1
        is_between = is_log_spaced(step) and step & (step - 1)  # 3, 6, 12, ...
        for name, maps in self._maps().items() if not is_between else ():
            least, greatest = maps.min(), maps.max()
            self._taken[f"probe/{step:08d}/{name}"] = (
                ((maps - least) / (greatest - least).clamp(min=1e-12) * 255)
                .round()
                .to(torch.uint8)
                .cpu()
            )
            self._taken[f"range/{step:08d}/{name}"] = torch.stack([least, greatest]).cpu()
        save_weights(self._taken, self._path, dtype=None)

    def _maps(self):
        """The layers' outputs for the probe, float32 (maps, h, w), made small."""
        found, was_training = {}, self._model.training

        def keep(name):
            return lambda module, arguments, output: found.__setitem__(
                name, _small(output[0].float())
            )

        handles = [module.register_forward_hook(keep(name)) for name, module in self._layers]
        self._model.eval()
        try:
            with torch.inference_mode():
                self._model(self._received)
        finally:
            self._model.train(was_training)
            for handle in handles:
                handle.remove()
        return {name: maps for name, maps in found.items() if maps.isfinite().all()}


def _small(maps):
    height, width = (min(side, LARGEST_SIDE) for side in maps.shape[1:])
    if maps.shape[1:] != (height, width):
        maps = F.adaptive_avg_pool2d(maps, (height, width))
    return maps[: max(1, SHOWN // (height * width))]
