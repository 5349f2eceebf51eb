"""What excites units: the index of the strongest images, and a sheet of maximised inputs, each
beside what it is measured by.

    python -m benchmarks.patterns               # 5 rounds, about ten minutes on two cores
    python -m benchmarks.patterns --quick       # one round, a fifth of the images
    python -m benchmarks.patterns --smallest    # a few images and steps: whether it measures

- index: the strongest images of all units of resnet32 over 10,000 images, beside the plain forward
  pass that answers them (`predict`): same images, same batches, same memory format. CIFAR-10's test
  images, repeated up to that number; noise where they are not on this machine.
- sheet: the best inputs of the 64 units of conv1, of resnet18_cifar at 32x32 and resnet18 at
  224x224, beside the usual way: one unit at a time, a picture as large as the input, the whole
  network forward at each step. Parametrisation and steps are the same. The usual way makes one unit
  a round, and its time is that times 64.

Two threads; the ways take turns within a round, and given are medians. Prints a Markdown table. The
ratios are what to read. The networks of the sheet have random weights, which changes no time.
"""

import argparse
import statistics
import time
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks import tables
from vizlib import architectures, datasets
from vizlib.errors import UserError
from vizlib.inside import activations, maximisation, strongest
from vizlib.inside.layers import layer_table
from vizlib.inside.passes import predict
from vizlib.run import folders
from vizlib.run.weights import load_into, load_weights

THREADS = 2
MEAN, STD = [0.49, 0.48, 0.45], [0.25, 0.24, 0.26]


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rounds: int = 5
    images: int = 10_000
    units: int = 64  # of conv1
    steps: int = maximisation.STEPS
    networks: tuple = ("resnet18_cifar", "resnet18")  # of the sheets


QUICK = Sizes(rounds=1, images=2_000)
SMALLEST = Sizes(rounds=1, images=4, units=2, steps=1, networks=("resnet18_cifar",))


def main(arguments=None):
    sizes = _sizes(arguments)
    torch.set_num_threads(THREADS)
    images, name = noise(sizes.images) if sizes is SMALLEST else pictures(sizes.images)
    columns = ("what", "way", "seconds", "times the first")
    tables.begin(*columns, texts=2, note=f"{THREADS} threads, float32")
    seconds = by_turns(index_ways(images), sizes.rounds)
    add_rows(f"resnet32, {len(images):,} {name}", seconds)
    for network in sizes.networks:
        seconds = by_turns(sheet_ways(network, sizes.units, sizes.steps), sizes.rounds)
        add_rows(f"{network}, conv1, {sizes.units} units", seconds)


def _sizes(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, a fifth of the images")
    parser.add_argument("--smallest", action="store_true", help="one round, 4 images, one step")
    options = parser.parse_args(arguments)
    if options.smallest:
        return SMALLEST
    return QUICK if options.quick else Sizes(options.rounds)


def by_turns(ways, rounds):
    """{way: the median seconds of a call, multiplied as it says}, after one call each that does not
    count.
    """
    seconds = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, (way, times) in ways.items():
            start = time.perf_counter()
            way()
            if number:
                seconds[name].append((time.perf_counter() - start) * times)
    return {name: statistics.median(values) for name, values in seconds.items()}


def add_rows(what, seconds):
    first = next(iter(seconds.values()))
    for way, value in seconds.items():
        tables.add(what, way, f"{value:,.2f}", f"{value / first:,.2f}")


def pictures(count):
    """(uint8 images (count, 3, 32, 32), what they are)."""
    try:
        images = datasets.load("cifar10").splits["test"].images((3, 32, 32))
    except UserError:
        return noise(count)
    repeated = ", repeated" if count > len(images) else ""
    return images[np.arange(count) % len(images)], f"test images of CIFAR-10{repeated}"


def noise(count):
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), np.uint8)
    return images, "images of noise"


def index_ways(images):
    """{way: (what it does, 1)} of the index, each with a network of its own."""
    run = folders.open_run("resnet32")
    plain, prepared = _network(run), _network(run)
    layer_names = strongest.unit_layers(layer_table(activations.prepare(prepared), run.input_size))
    mean, std = run.config.mean, run.config.std

    def answer():
        predict(plain, images, mean, std, strongest.BATCH_PIXELS // 32**2)

    def look():
        strongest.find(prepared, images, layer_names, mean=mean, std=std)

    return {"a plain forward pass": (answer, 1), "the index of all layers": (look, 1)}


def _network(run):
    network = architectures.create("resnet32", **run.config.arguments)
    return load_into(network, load_weights(run.path("model.safetensors")))


def sheet_ways(network, units, steps):
    """{way: (what it does, by how much its time is multiplied)} of a sheet."""
    torch.manual_seed(0)
    model = architectures.create(network).eval()
    size = architectures.get(network).input_size

    def whole_sheet():
        given = dict(input_size=size, mean=MEAN, std=STD, steps=steps)
        maximisation.maximise(model, "conv1", range(units), **given)

    def one_unit():
        usual(activations.twin(model), size, 0, steps)

    return {"Convscope, the whole sheet": (whole_sheet, 1), "one unit at a time": (one_unit, units)}


def usual(model, size, unit, steps):
    """The best input of one unit of conv1 as it is usually made: a hook, and the whole network at
    each step.
    """
    kept = {}
    model.conv1.register_forward_hook(lambda module, inputs, output: kept.update(output=output))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    painting = maximisation._Painting(1, size, True, True, torch.Generator().manual_seed(0))

    def objective(images):
        model((images - mean) / std)
        height, width = kept["output"].shape[2:]
        return kept["output"][0, unit, height // 2, width // 2]

    for _ in range(steps):
        painting.ascend(objective, 1.0)
    return painting.images()


if __name__ == "__main__":
    main()
