"""What excites units: the index of the strongest images, and a sheet of maximised inputs, each
beside what it is measured by.

    python -m benchmarks.patterns            # 5 rounds, about ten minutes on two cores
    python -m benchmarks.patterns --quick    # one round, a fifth of the images

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

import numpy as np
import torch

from vizlib import architectures, datasets
from vizlib.errors import UserError
from vizlib.inside import activations, maximisation, strongest
from vizlib.inside.layers import layer_table
from vizlib.inside.passes import predict
from vizlib.run import folders
from vizlib.run.weights import load_into, load_weights

IMAGES, UNITS = 10_000, 64
MEAN, STD = [0.49, 0.48, 0.45], [0.25, 0.24, 0.26]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round, a fifth of the images")
    options = parser.parse_args()
    torch.set_num_threads(2)
    rounds = 1 if options.quick else options.rounds
    images, name = pictures(IMAGES // 5 if options.quick else IMAGES)
    print("| what | way | seconds | times the first |\n|---|---|---:|---:|")
    report(f"resnet32, {len(images):,} {name}", by_turns(index_ways(images), rounds))
    for architecture in ("resnet18_cifar", "resnet18"):
        report(f"{architecture}, conv1, {UNITS} units", by_turns(sheet_ways(architecture), rounds))


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


def report(what, seconds):
    first = next(iter(seconds.values()))
    for way, value in seconds.items():
        print(f"| {what} | {way} | {value:,.2f} | {value / first:,.2f} |", flush=True)


def pictures(count):
    """(uint8 images (count, 3, 32, 32), what they are)."""
    try:
        images, name = (
            datasets.load("cifar10").splits["test"].images((3, 32, 32)),
            "test images of CIFAR-10",
        )
    except UserError:
        images, name = (
            np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), np.uint8),
            "images of noise",
        )
    return images[np.arange(count) % len(images)], name if count <= len(
        images
    ) else f"{name}, repeated"


def index_ways(images):
    run = folders.open_run("resnet32")
    plain, prepared = (
        load_into(
            architectures.create("resnet32", **run.config.arguments),
            load_weights(run.path("model.safetensors")),
        )
        for _ in "ab"
    )
    layer_names = strongest.unit_layers(layer_table(activations.prepare(prepared), run.input_size))
    mean, std = run.config.mean, run.config.std
    return {
        "a plain forward pass": (
            lambda: predict(plain, images, mean, std, strongest.BATCH_PIXELS // 32**2),
            1,
        ),
        "the index of all layers": (
            lambda: strongest.find(prepared, images, layer_names, mean=mean, std=std),
            1,
        ),
    }


def sheet_ways(name):
    torch.manual_seed(0)
    model, size = architectures.create(name).eval(), architectures.get(name).input_size
    return {
        "Convscope, the whole sheet": (
            lambda: maximisation.maximise(
                model, "conv1", range(UNITS), input_size=size, mean=MEAN, std=STD
            ),
            1,
        ),
        "one unit at a time": (lambda: usual(activations.twin(model), size, unit=0), UNITS),
    }


def usual(model, size, unit):
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

    for _ in range(maximisation.STEPS):
        painting.ascend(objective, 1.0)
    return painting.images()


if __name__ == "__main__":
    main()
