"""What a run folder keeps of the moments of its training, each under its step: filters, a probe
picture's maps, matrices. Read without torch.

vizlib.training.snapshots says what the file of tensors holds.
"""

from bisect import bisect_right
from contextlib import contextmanager

import numpy as np
from safetensors import SafetensorError, safe_open

FRAMES, FRAME_SECONDS = 20, 0.5  # of the film of learning


@contextmanager
def opened(path):
    """A file of tensors, read piece by piece; None where there is none, or none that can be
    read.
    """
    try:
        file = safe_open(path, framework="numpy")
    except (OSError, SafetensorError):
        yield None
        return
    with file:
        yield file


def filters(run):
    """conv1's weight by training step, {step: float array (out, in, h, w)}; empty where there are
    none.
    """
    stored = {}
    with opened(run.path("snapshots.safetensors")) as tensors:
        for name in sorted(tensors.keys()) if tensors else ():
            kind, _, step = name.partition("/")
            if kind == "conv1" and step.isdigit() and len(tensors.get_slice(name).get_shape()) == 4:
                stored[int(step)] = tensors.get_tensor(name).astype(np.float32)
    return stored


def probe_layers(run):
    """What of the probe picture's maps is stored: {step: names of layers}; empty where there is
    nothing.
    """
    stored = {}
    with opened(run.path("snapshots.safetensors")) as tensors:
        for name in sorted(tensors.keys()) if tensors else ():
            kind, step, layer_name = (*name.split("/", 2), "", "")[:3]
            if (
                kind == "probe"
                and step.isdigit()
                and layer_name
                and len(tensors.get_slice(name).get_shape()) == 3
            ):
                stored.setdefault(int(step), []).append(layer_name)
    return stored


def in_order(run, layer_names):
    """The stored layers as they follow one another in the network: those that are trained as its
    training noted them, after those that are not.
    """
    started = run.events_of("started")
    noted = started[-1].get("layers") if started else None
    order = {name: number for number, name in enumerate(noted if isinstance(noted, list) else ())}
    return sorted(set(layer_names), key=lambda name: (order.get(name, -1), name))


def probe_picture(run):
    """The picture whose maps are stored along the training, uint8 (H, W, C), or None."""
    with opened(run.path("snapshots.safetensors")) as tensors:
        names = tensors.keys() if tensors else ()
        if "probe/picture" not in names:
            return None
        picture = tensors.get_tensor("probe/picture")
    return (
        picture
        if picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] in (1, 3)
        else None
    )


def probe_maps(run, step, layer_name):
    """One stored layer of the probe picture at a stored step: (maps float32 (C, h, w), least and
    greatest value of all layers stored).
    """
    layer_names = probe_layers(run)[step]
    with opened(run.path("snapshots.safetensors")) as tensors:
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


def evaluations(run):
    """The evaluations on the validation images that noted a matrix: [(epoch event, counts int (K,
    K))], in order.
    """
    return [
        (event, counts)
        for event in run.events_of("epoch")
        if (counts := _counts(event, len(run.class_names))) is not None
    ]


def _counts(event, classes):
    """The validation matrix of an epoch event, int (K, K); None if there is none, or none that
    fits.
    """
    try:
        counts = np.array(event.get("confusion"), dtype=np.int64)
    except (TypeError, ValueError, OverflowError):
        return None
    return (
        counts
        if counts.shape == (classes, classes) and counts.min() >= 0 and counts.sum() > 0
        else None
    )


def steps(run, *stored):
    """The steps of a run of which anything is kept, in order. stored: what is read of it already,
    dictionaries by step.
    """
    noted = [
        event["step"]
        for kind in ("epoch", "gradients")
        for event in run.events_of(kind)
        if isinstance(event.get("step"), int)
    ]
    return sorted({*noted, *(step for moments in stored for step in moments)})


def last_up_to(stored, step):
    """Of the steps `stored`, the last one up to `step`; None if all come later. step None is the
    end.
    """
    stored = sorted(stored)
    before = len(stored) if step is None else bisect_right(stored, step)
    return stored[before - 1] if before else None


def frames(moments):
    """At most FRAMES of the moments, in order, evenly spread over them, the first and the last
    among them.
    """
    return (
        [moments[round(number * (len(moments) - 1) / (FRAMES - 1))] for number in range(FRAMES)]
        if len(moments) > FRAMES
        else list(moments)
    )
