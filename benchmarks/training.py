"""Training as it is here, beside the usual way of writing it.

    python -m benchmarks.training                # all that this machine can do, half an hour
    python -m benchmarks.training speed press    # some of: speed, press, pages, minute,
                                                 # five_minutes, speedrun
    python -m benchmarks.training --smallest     # once each, on digits: whether it measures

- speed: images a second and core, of three networks, against the conventional loop below:
  torchvision's CIFAR-10 class with its PIL pictures, RandomCrop, RandomHorizontalFlip, ToTensor,
  Normalize, a DataLoader (with and without processes of its own: the faster counts), float32. Same
  network and batch; each measurement in a process of its own, ours and the other by turns. Start
  and warm-up do not count, nor do ours evaluations and snapshots, which the other does not make.
- press: from launcher.start_new, which the Train button calls, to the first point on the curve and
  to the finished run; digits. At once, and with the process that waits while the form is open.
- pages: Feature maps redrawn, over Streamlit's own protocol, with the machine idle and with a
  training of resnet32 beside it.
- minute, five_minutes: the recipes on CIFAR-10, three seeds and one, in the form of the network
  that suits this machine; accuracy on the test images, which nothing was chosen on.
- speedrun: on a GPU, ten whole trainings after one that warms up; the seconds are those of the
  training's clock, which begins when data and network are on the device and compiled, and leaves
  evaluations out.

Prints Markdown tables. Nothing else should run meanwhile. CIFAR-10 is needed for all but press and
the smallest sizes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import tables
from benchmarks.servers import ROOT
from vizlib.training.processor import cores

BATCH = 128


@dataclass(frozen=True)
class Sizes:
    """How much is measured. networks: by name, with the ratio that was asked for. epochs, seeds:
    instead of the recipe's and the part's own, where they are given.
    """

    data: str
    networks: dict
    rounds: int  # of speed, and of pages
    seconds: int  # of training in one measurement of speed
    redraws: int
    product_side: int  # of the matrices that speed is beside
    form_seconds: float  # that the form is open before the press
    epochs: int | None = None
    seeds: int | None = None


WHOLE = Sizes(
    data="cifar10",
    networks={"three_layer_module": 4.5, "resnet32": 3.0, "resnet18_cifar": 2.5},
    rounds=3,
    seconds=16,
    redraws=30,
    product_side=2048,
    form_seconds=10,
)
SMALLEST = Sizes(
    data="digits",
    networks={"three_layer_module": 4.5},
    rounds=1,
    seconds=1,
    redraws=1,
    product_side=256,
    form_seconds=0.5,
    epochs=1,
    seeds=1,
)


def main(arguments=None):
    options = _options(arguments)
    sizes = SMALLEST if options.smallest else WHOLE
    if options.one:
        loop, network = options.one
        print(json.dumps(LOOPS[loop](network, sizes)))
        return
    possible = [part for part in PARTS if part != "speedrun" or _has_gpu() or options.smallest]
    for part in options.parts or possible:
        PARTS[part](options, sizes)


def _options(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    parts = "which parts (default: all that this machine can do)"
    add("parts", nargs="*", choices=[[], *PARTS], metavar="part", help=parts)
    add("--seeds", type=int, help="how many trainings of a recipe")
    kept = "the folder in which the run folders of minute, five_minutes and speedrun are left"
    add("--keep", type=Path, help=kept)
    add("--smallest", action="store_true", help="one short training on digits for each part")
    # what a process of its own measures
    add("--one", nargs=2, metavar=("LOOP", "NETWORK"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _has_gpu():
    import torch

    return torch.cuda.is_available()


# speed


def measure_speed(options, sizes):
    tables.begin(
        "network",
        "conventional, images a second and core",
        "ours",
        "ratio",
        "asked for",
        "ours, of a matrix product",
        "ours, waiting for a batch",
        texts=1,
        note=f"batches of {BATCH}; the conventional loop in float32, ours {_types()}",
    )
    for network, asked in sizes.networks.items():
        speeds, waited = {loop: [] for loop in LOOPS}, []
        for _ in range(sizes.rounds):
            for loop in LOOPS:
                measured = _in_a_process(loop, network, options)
                speeds[loop].append(measured["images_a_second"] / cores())
                waited += [measured["waited"]] if "waited" in measured else []
        theirs, ours = (statistics.median(speeds[loop]) for loop in LOOPS)
        ratio, share = f"**{ours / theirs:.1f}**", _of_a_product(network, ours * cores(), sizes)
        row = f"`{network}`", f"{theirs:,.0f}", f"{ours:,.0f}", ratio, asked, f"{share:.0%}"
        tables.add(*row, f"{statistics.median(waited):.1%}")


def _of_a_product(network, images_a_second, sizes):
    """The multiplications of so many images in training, as a share of those that a large product
    of matrices does in a second here, in the type of number that is trained in.
    """
    from benchmarks import roofline
    from vizlib.training.recipes import recipe
    from vizlib.training.trial import Trial

    channels = 1 if sizes.data == "digits" else 3
    trial = Trial(network, (channels, 32, 32), recipe("one_cycle", batch_size=BATCH), "cpu")
    works = [work for work in roofline.work_of(trial) if work.flops]
    product = roofline.product(sizes.product_side, works[0].dtype)
    return sum(work.flops for work in works) / BATCH * images_a_second / product


def _types():
    return tables.training_types()


def _in_a_process(loop, network, options):
    command = [sys.executable, "-m", "benchmarks.training", "--one", loop, network]
    if options.smallest:
        command.append("--smallest")
    ended = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(ended.stdout.splitlines()[-1])


def conventional(network, sizes):
    """Images a second of the loop as tutorials have it. With and without loader processes; the
    faster one counts.
    """
    pictures = _as_torchvision_has_them(sizes.data)
    speeds = [
        _conventional_speed(pictures, network, sizes.seconds / 2, workers)
        for workers in (0, cores())
    ]
    return {"images_a_second": max(speeds)}


def _as_torchvision_has_them(data):
    """torchvision's own class and __getitem__, on pictures that are in memory already, wherever
    they came from.
    """
    from torchvision import transforms
    from torchvision.datasets import CIFAR10

    from vizlib import datasets

    source = datasets.load(data)
    split = source.splits["train"]
    augment = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    scale = [transforms.ToTensor(), transforms.Normalize(source.mean, source.std)]

    class Pictures(CIFAR10):
        def __init__(self):
            self.data = split.images((3, 32, 32)).transpose(0, 2, 3, 1)
            self.targets = split.labels.tolist()
            self.transform = transforms.Compose([*augment, *scale])
            self.target_transform = None

    return Pictures()


def _conventional_speed(pictures, network, seconds, workers):
    import torch
    from torch import nn
    from torch.utils.data import DataLoader

    from vizlib import architectures

    torch.manual_seed(0)
    model = architectures.create(network)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    criterion = nn.CrossEntropyLoss()
    loader = DataLoader(pictures, BATCH, shuffle=True, num_workers=workers)
    start, count, taken = None, 0, 0.0
    for step, (images, labels) in enumerate(loader):
        optimiser.zero_grad()
        criterion(model(images), labels).backward()
        optimiser.step()
        if step == 2:  # warmed up
            start = time.perf_counter()
        elif step > 2:
            count, taken = count + len(labels), time.perf_counter() - start
            if taken > seconds:
                break
    return count / taken


def ours(network, sizes):
    """Images a second of a training as the app starts it, in the second half of its step events,
    and the share of its steps that went into making their batches. Evaluations are not training.
    """
    from vizlib.training import process

    process.keep_freed_memory()  # before torch is in
    from vizlib import datasets
    from vizlib.training.batches import Batches
    from vizlib.training.config import make_config
    from vizlib.training.loop import train
    from vizlib.training.order import Order
    from vizlib.training.recipes import recipe

    source = datasets.load(sizes.data)
    chosen = recipe("one_cycle", seconds=sizes.seconds, batch_size=BATCH, learning_rate=0.01)
    order = Order(network, sizes.data, chosen, validation=100, side=32)
    config = make_config(order, source)
    waits = []
    Batches.epoch = _timed(Batches.epoch, waits)
    with tempfile.TemporaryDirectory() as folder:
        run = train(Path(folder) / "run", config, source, say=lambda line: None)
        steps = [{"step": 0, "seconds": 0.0}, *run.events_of("step")]
    first, last = steps[(len(steps) - 1) // 2], steps[-1]
    seconds = last["seconds"] - first["seconds"]
    return {
        "images_a_second": (last["step"] - first["step"]) * BATCH / seconds,
        "waited": sum(waits[first["step"] : last["step"]]) / seconds,
    }


def _timed(epoch, waits):
    """A way to give batches that adds to `waits` how many seconds each took."""

    def timed(*arguments):
        batches = epoch(*arguments)
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            waits.append(time.perf_counter() - start)
            yield batch

    return timed


LOOPS = {"conventional": conventional, "ours": ours}


# press


def measure_press(options, sizes):
    from vizlib.training import launcher

    tables.begin(
        "digits, `three_layer_module`, `small_set`",
        "at once: first point, s",
        "finished, s",
        f"form open for {sizes.form_seconds:g} s: first point, s",
        "finished, s",
        "test accuracy",
        texts=1,
        note=_types(),
    )
    _get_ready()
    with runs_of_its_own():
        for seed in range(options.seeds or sizes.seeds or 3):
            at_once, accuracy = _pressed(seed, sizes.epochs)
            launcher.get_ready("cpu")
            time.sleep(sizes.form_seconds)
            waited_for, _ = _pressed(seed, sizes.epochs)
            seconds = (f"{each:.1f}" for each in (*at_once, *waited_for))
            tables.add(f"seed {seed}", *seconds, f"{accuracy:.1%}")


def _get_ready():
    """What the panel does before anybody can press."""
    from vizlib import datasets
    from vizlib.training.config import check_possible, make_config
    from vizlib.training.order import Order
    from vizlib.training.recipes import recipe

    digits = datasets.load("digits")
    order = Order("three_layer_module", "digits", recipe("small_set"))
    check_possible(make_config(order, digits), digits)


def _pressed(seed, epochs):
    """((seconds to the first point, seconds to the end), test accuracy) of one training."""
    from vizlib.run import folders
    from vizlib.training import launcher
    from vizlib.training.order import Order
    from vizlib.training.recipes import recipe

    start = time.perf_counter()
    chosen = recipe("small_set", epochs=epochs)
    run_id = launcher.start_new(Order("three_layer_module", "digits", chosen, seed=seed))
    first = None
    while (run := folders.open_run(run_id)).is_active:
        if first is None and run.events_of("step"):
            first = time.perf_counter() - start
        time.sleep(0.02)
    whole = time.perf_counter() - start
    finished = run.events_of("finished")
    if not finished:
        raise SystemExit(f"the training is {run.status}: {run.events[-1]}")
    return (first or whole, whole), finished[0]["test_accuracy"]


@contextmanager
def runs_of_its_own():
    """A folder in which this process, and those that it starts, have their runs meanwhile."""
    before = os.environ.get("CONVSCOPE_RUNS")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["CONVSCOPE_RUNS"] = folder
        try:
            yield folder
        finally:
            if before is None:
                del os.environ["CONVSCOPE_RUNS"]
            else:
                os.environ["CONVSCOPE_RUNS"] = before


# pages


def measure_pages(options, sizes):
    from benchmarks.servers import server

    columns = ("Feature maps of `resnet32` redrawn, one session", "median, ms")
    tables.begin(*columns, "95th percentile, ms", texts=1, note=_types())
    idle, training = [], []
    with runs_of_its_own() as folder, server(folder) as address:
        _redrawn(address, 5 if sizes is WHOLE else 1)  # warm
        for _ in range(2 if sizes is WHOLE else 1):
            idle += _redrawn(address, sizes.redraws)
            with _a_training(sizes.data):
                training += _redrawn(address, sizes.redraws)
    for state, times in (("idle", idle), ("training", training)):
        late = tables.percentile_95(times)
        tables.add(state, f"{statistics.median(times):.0f}", f"{late:.0f}")
    ratio = statistics.median(training) / statistics.median(idle)
    print(f"\nRatio of the medians: **{ratio:.2f}**; under 2 was asked for.", flush=True)


def _redrawn(address, count):
    """Milliseconds of so many changes of layer or unit."""
    from benchmarks.crowd import crowd

    measured = crowd(address, "resnet32", 1, pause=0.5, reruns=count)
    if measured.faults:
        raise SystemExit(measured.faults[0])
    return measured.reruns


@contextmanager
def _a_training(data):
    """A training of resnet32 beside all else, from its first step on."""
    from vizlib.run import folders
    from vizlib.training import launcher
    from vizlib.training.order import Order
    from vizlib.training.recipes import recipe

    run_id = launcher.start_new(Order("resnet32", data, recipe("one_cycle")))
    try:
        while not (run := folders.open_run(run_id)).events_of("step"):
            if not run.is_active:
                raise SystemExit(f"the training is {run.status}: {run.events[-1]}")
            time.sleep(0.1)
        yield
    finally:
        launcher.request(folders.open_run(run_id), "stop")
        while folders.open_run(run_id).is_active:
            time.sleep(0.1)


# recipes


@contextmanager
def kept_or_temporary(folder):
    """The folder for run folders: the one asked for, or one that is removed afterwards."""
    if folder:
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def measure_recipe(network, name, seeds, asked):
    """The part that trains a network so many times by a recipe. asked: what was asked for."""

    def measure(options, sizes):
        head = (f"`{network}`, `{name}`", "epochs", "seconds of training", "seconds in all")
        tables.begin(*head, "test accuracy", texts=1, note=_types())
        accuracies = []
        with kept_or_temporary(options.keep) as folder:
            for seed in range(options.seeds or sizes.seeds or seeds):
                form, epochs, seconds, whole, accuracy = _trained(
                    network, name, seed, folder, sizes
                )
                figures = f"{epochs:.1f}", f"{seconds:.1f}", f"{whole:.0f}", f"{accuracy:.2%}"
                tables.add(f"seed {seed}, {form}", *figures)
                accuracies.append(accuracy)
        mean = f"Mean of {len(accuracies)}: **{statistics.mean(accuracies):.2%}**"
        if len(accuracies) > 1:
            mean += f", standard deviation {statistics.stdev(accuracies):.2%}"
        print(f"\n{mean}; {asked} was asked for.", flush=True)

    return measure


def _trained(network, name, seed, folder, sizes):
    """(form of the network, epochs, seconds of training, seconds in all, test accuracy) of one
    training.
    """
    from vizlib.run import folders
    from vizlib.training.again import own_arguments
    from vizlib.training.suited import in_words

    start, run_name = time.perf_counter(), f"{name}-seed{seed}"
    what = ("-a", network, "-d", sizes.data, "-r", name, "--seed", str(seed))
    where = ("--out", str(folder), "--name", run_name)
    command = [sys.executable, "-m", "vizlib", "train", *what, *where]
    if sizes.epochs:
        command += ["--epochs", str(sizes.epochs)]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - start
    run = folders.read_run(folder / run_name)
    finished, last = run.events_of("finished")[0], run.events_of("epoch")[-1]
    form = in_words(own_arguments(run), run.config.recipe["growing"])
    return form, last["epoch"], finished["seconds"], whole, finished["test_accuracy"]


def measure_speedrun(options, sizes):
    """Whole trainings in one process, the first of which warms up: its figures are left out."""
    import torch

    if sizes is WHOLE and not _has_gpu():
        raise SystemExit("speedrun needs a GPU: there is none here.")
    device = "cuda" if _has_gpu() else "cpu"
    count = options.seeds or sizes.seeds or 10
    with kept_or_temporary(options.keep) as folder:
        ended = [_sped(seed, folder, device, sizes) for seed in range(count + 1)][1:]
    seconds = [finished["seconds"] for finished in ended]
    accuracies = [finished["test_accuracy"] for finished in ended]
    tables.begin(
        "`airbench94`, `speedrun`",
        "mean",
        "standard deviation",
        "asked for",
        texts=1,
        processor=torch.cuda.get_device_name() if device == "cuda" else None,
        note=tables.training_types(device),
    )
    name = f"seconds of training, {count} run{'s' if count > 1 else ''}"
    tables.add(name, f"{statistics.mean(seconds):.2f}", _spread(seconds, ".2f"), "< 3")
    mean = f"{statistics.mean(accuracies):.2%}"
    tables.add("test accuracy", mean, _spread(accuracies, ".2%"), "94 %")


def _spread(values, form):
    return f"{statistics.stdev(values):{form}}" if len(values) > 1 else "–"


def _sped(seed, folder, device, sizes):
    """The "finished" event of one training of the speed run."""
    import torch

    from vizlib import datasets
    from vizlib.training.config import make_config
    from vizlib.training.loop import train
    from vizlib.training.order import Order
    from vizlib.training.recipes import recipe

    source = datasets.load(sizes.data)
    chosen = recipe("speedrun", epochs=sizes.epochs, compile=sizes is WHOLE)
    if chosen.compile:
        torch.compiler.reset()  # it stops compiling after eight models of one kind
    config = make_config(Order("airbench94", sizes.data, chosen, seed=seed), source)
    path = folder / f"speedrun-seed{seed}"
    run = train(path, config, source, device=device, say=lambda line: None)
    return run.events_of("finished")[0]


PARTS = {
    "speed": measure_speed,
    "press": measure_press,
    "pages": measure_pages,
    "minute": measure_recipe("airbench", "minute", 3, "90 %"),
    "five_minutes": measure_recipe("airbench_wide", "five_minutes", 1, "90 %"),
    "speedrun": measure_speedrun,
}


if __name__ == "__main__":
    main()
