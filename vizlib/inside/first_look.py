"""Makes what vizlib.run.first_look reads: a network's answer to a photograph, and its maps at three
depths.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np
from safetensors.numpy import save

from vizlib.files import write_whole
from vizlib.images import fit, photograph, to_network_input
from vizlib.inside.activations import capture
from vizlib.inside.layer_words import in_words
from vizlib.inside.layers import Layer, layer_table
from vizlib.inside.model import load_model
from vizlib.inside.receptive_fields import spans
from vizlib.run.first_look import FIRST_LOOK, LEVELS
from vizlib.run.folders import Run

DEPTHS = (0.0, 0.4, 0.8)  # of the way from the first layer with maps to the last one
LARGEST = 64  # pixels a side of a map, and maps of a layer, that are kept


def make(run: Run, photograph_name: str = "cat") -> None:
    """Write the file into the run's folder. UserError where it has no weights, or no such
    photograph is there.
    """
    model = load_model(run)
    layers = layer_table(model, run.input_size)
    received = fit(photograph(photograph_name), run.input_size, whole=run.config.whole)
    image = to_network_input(received, run.input_size, run.config.mean, run.config.std)[1]
    shown = _shown(layers)
    logits, found = capture(model, image, [layer.name for layer in shown])
    tensors = {"probabilities": logits.softmax(1)[0].numpy().astype(np.float32)}
    for layer in shown:
        maps = layer.layout.units_first(found[layer.name])[0].numpy()
        tensors |= _kept(run, layer, maps[:LARGEST])
    words = _words(layers)
    notes = {
        "photograph": photograph_name,
        "weights": hashlib.sha256(run.path("model.safetensors").read_bytes()).hexdigest(),
        "layers": json.dumps([[layer.name, words[layer.name]] for layer in shown]),
    }
    write_whole(run.path(FIRST_LOOK), save(tensors, notes))


def _shown(layers: list[Layer]) -> list[Layer]:
    """The layers at DEPTHS: of those with maps of more than one place that show nothing below
    zero, ReLUs, where there are such.
    """
    mapped = [layer for layer in layers if layer.has_maps and min(layer.layout.shape[1:]) > 1]
    rectified = [layer for layer in mapped if layer.kind == "ReLU"] or [
        layer for layer in mapped if layer.is_convolution
    ]
    numbers = [round(share * (len(rectified) - 1)) for share in DEPTHS]
    return [rectified[number] for number in dict.fromkeys(numbers)]


def _words(layers: list[Layer]) -> dict[str, str]:
    """What each layer is; of a ReLU, what the layer is whose answer it shows."""
    words, before = in_words(layers), ""
    for layer in layers:
        if layer.kind == "ReLU" and before:
            words[layer.name] = before
        elif layer.multiply_adds > 0 and not layer.is_block:
            before = words[layer.name]
    return words


def _kept(run: Run, layer: Layer, maps: np.ndarray) -> dict[str, np.ndarray]:
    """A layer's tensors: maps in LEVELS steps, averaged down to LARGEST, and what each place
    sees.
    """
    step = -(-max(maps.shape[1:]) // LARGEST)
    height, width = maps.shape[1] // step, maps.shape[2] // step
    cut = maps[:, : height * step, : width * step]
    small = cut.reshape(len(maps), height, step, width, step).mean((2, 4))
    low, high = float(small.min()), float(small.max())
    levels = np.round((small - low) * (LEVELS / ((high - low) or 1))).astype(np.uint8)
    rows, columns = spans(layer, run.input_size, (height, width)) or ([], [])
    return {
        f"maps/{layer.name}": levels,
        f"range/{layer.name}": np.array([low, high], np.float32),
        f"rows/{layer.name}": np.array(rows, np.int32),
        f"columns/{layer.name}": np.array(columns, np.int32),
    }
