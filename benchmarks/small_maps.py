"""Convolutions over very small maps as products of matrices, beside PyTorch's own.

    python -m benchmarks.small_maps              # layers and networks, two minutes
    python -m benchmarks.small_maps --smallest   # one of each: whether it measures

- layers: one convolution forward and back, of large networks' last stages on small pictures and of
  smaller ones, each way by turns; the fastest time of each counts.
- networks: images a second in training, with the products and without them, by turns.

Nothing else should run meanwhile.
"""

import argparse
import time
from contextlib import contextmanager, nullcontext

from benchmarks import tables

BATCH = 128
# input and output channels, kernel, stride, side of the input
LAYERS = [
    (2048, 512, 1, 1, 1),
    (512, 512, 3, 1, 1),
    (512, 512, 3, 2, 2),
    (512, 512, 3, 1, 2),
    (1024, 256, 1, 1, 2),
    (64, 64, 3, 1, 2),
    (256, 1024, 1, 1, 4),
    (64, 64, 1, 1, 4),
]
NETWORKS = [("resnet50", 32), ("resnet50", 64), ("resnet18", 32), ("vgg16_slim", 32)]
ROUNDS = 3
SECONDS = 0.2  # of each measurement of a layer


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smallest", action="store_true", help="one layer, one small network")
    options = parser.parse_args(arguments)

    from vizlib.training import process

    process.keep_freed_memory()  # before torch is in
    smallest = options.smallest
    _measure_layers([(8, 8, 3, 1, 2)] if smallest else LAYERS, 1 if smallest else ROUNDS)
    networks = [("three_layer_module", 8)] if smallest else NETWORKS
    _measure_networks(networks, 8 if smallest else BATCH, 1 if smallest else ROUNDS)


def _measure_layers(layers, rounds):
    import torch

    from vizlib.training.precision import half_type
    from vizlib.training.small_maps import as_products

    cpu = torch.device("cpu")
    dtype = half_type(cpu, torch.nn.Identity(), (3, 32, 32)) or torch.float32
    columns = ("convolution", "input", "PyTorch's, ms", "product, ms", "ratio")
    note = f"{tables.training_types()}, batches of {BATCH}"
    tables.begin(*columns, texts=2, note=note)
    for of, out, kernel, stride, side in layers:
        passed = _passes(of, out, kernel, stride, side, dtype)
        times = {"theirs": [], "ours": []}
        for _ in range(rounds):
            times["theirs"].append(_fastest(passed, nullcontext))
            times["ours"].append(_fastest(passed, lambda: as_products(cpu)))
        theirs, ours = (1000 * min(taken) for taken in times.values())
        name = f"{kernel} x {kernel}, stride {stride}, {of} to {out}"
        figures = f"{theirs:.2f}", f"{ours:.2f}", f"**{theirs / ours:.1f}**"
        tables.add(name, f"{side} x {side}", *figures)


def _passes(of, out, kernel, stride, side, dtype):
    """What passes pictures of noise through one convolution, and the gradients back."""
    import torch

    layer = torch.nn.Conv2d(of, out, kernel, stride, kernel // 2, bias=False)
    layer = layer.to(memory_format=torch.channels_last)
    images = torch.randn(BATCH, of, side, side).to(dtype)
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()

    def passed():
        layer.weight.grad = images.grad = None
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            layer(images).sum().backward()

    return passed


def _fastest(work, context):
    """Seconds of the fastest of some passes, within the context that the function gives."""
    times, end = [], time.perf_counter() + SECONDS
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        with context():
            work()
        times.append(time.perf_counter() - start)
    return min(times)


def _measure_networks(networks, batch, rounds):
    from vizlib.training.recipes import recipe
    from vizlib.training.trial import Trial, measured

    columns = ("network", "pictures", "PyTorch's, images a second", "with products", "ratio")
    note = f"{tables.training_types()}, batches of {batch}"
    tables.begin(*columns, texts=2, note=note)
    for name, side in networks:
        chosen = recipe("one_cycle", batch_size=batch, learning_rate=0.01)
        trial = Trial(name, (3, side, side), chosen, "cpu")
        theirs, ours = [], []
        for _ in range(rounds):
            with _without_products():
                theirs.append(measured(trial))
            ours.append(measured(trial))
        best = max(theirs), max(ours)
        figures = f"{best[0]:,.0f}", f"{best[1]:,.0f}", f"**{best[1] / best[0]:.2f}**"
        tables.add(f"`{name}`", f"{side} x {side}", *figures)


@contextmanager
def _without_products():
    """No map is small meanwhile."""
    from vizlib.training import small_maps

    limits = small_maps.PLACES_OF_ONE_PIXEL, small_maps.PLACES
    small_maps.PLACES_OF_ONE_PIXEL = small_maps.PLACES = 0
    try:
        yield
    finally:
        small_maps.PLACES_OF_ONE_PIXEL, small_maps.PLACES = limits


if __name__ == "__main__":
    main()
