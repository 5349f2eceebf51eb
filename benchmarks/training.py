"""Training as it is here, beside the usual way of writing it.

    python -m benchmarks.training                # all that this machine can do, half an hour
    python -m benchmarks.training speed press    # some of: speed, press, pages, minute,
                                                 # five_minutes, speedrun

- speed: images a second and core, of three networks, against the conventional loop below:
  torchvision's CIFAR-10 class with its PIL pictures, RandomCrop, RandomHorizontalFlip, ToTensor,
  Normalize, a DataLoader (with and without processes of its own: the faster counts), float32. Same
  network and batch; each measurement in a process of its own, ours and the other by turns. Start
  and warm-up do not count, nor do ours evaluations and snapshots, which the other does not make.
- press: from launcher.start_new, which the Train button calls, to the first point on the curve and
  to the finished run; digits.
- pages: Feature maps redrawn, over Streamlit's own protocol, with the machine idle and with a
  training of resnet32 beside it.
- minute, five_minutes: the recipes on CIFAR-10, three seeds and one; accuracy on the test images,
  which nothing was chosen on.
- speedrun: on a GPU, ten whole trainings after one that warms up; the seconds are those of the
  training's clock, which begins when data and network are on the device and compiled, and leaves
  evaluations out.

Prints Markdown tables. Nothing else should run meanwhile. CIFAR-10 is needed for all but press.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# and what was asked for, as a ratio
NETWORKS = {"three_layer_module": 4.5, "resnet32": 3.0, "resnet18_cifar": 2.5}
BATCH, ROUNDS, SECONDS = 128, 3, 16


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts",
        nargs="*",
        choices=[[], *PARTS],
        metavar="part",
        help="which parts (default: all that this machine can do)",
    )
    parser.add_argument("--seeds", type=int, help="how many trainings of a recipe")
    parser.add_argument(
        "--keep",
        type=Path,
        help="the folder in which the run folders of minute, five_minutes and speedrun are left",
    )
    # what a process of its own measures
    parser.add_argument("--one", nargs=2, metavar=("LOOP", "NETWORK"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(ONE[options.one[0]](options.one[1])))
        return
    for part in options.parts or [part for part in PARTS if part != "speedrun" or _has_gpu()]:
        PARTS[part](options)


def _has_gpu():
    import torch

    return torch.cuda.is_available()


# speed


def measure_speed(options):
    cores = _cores()
    print(
        f"\n{cores} cores, batches of {BATCH}.\n\n| network | conventional, images a second "
        "and core | ours | ratio | asked for |\n|---|---:|---:|---:|---:|",
        flush=True,
    )
    for network, wanted in NETWORKS.items():
        found = {"conventional": [], "ours": []}
        for _ in range(ROUNDS):
            for loop, speeds in found.items():
                speeds.append(_in_a_process(loop, network) / cores)
        theirs, ours = (statistics.median(speeds) for speeds in found.values())
        print(
            f"| `{network}` | {theirs:,.0f} | {ours:,.0f} | **{ours / theirs:.1f}** | {wanted} |",
            flush=True,
        )


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _in_a_process(loop, network):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training", "--one", loop, network],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def conventional(network):
    """Images a second of the loop as tutorials have it. With and without loader processes; the
    faster one counts.
    """
    import torch
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import CIFAR10

    from vizlib import architectures, datasets

    source = datasets.load("cifar10")

    class Pictures(CIFAR10):
        """torchvision's own class and __getitem__, on pictures that are in memory already, wherever
        they came from.
        """

        def __init__(self, transform):
            split = source.splits["train"]
            self.data, self.targets = (
                split.images((3, 32, 32)).transpose(0, 2, 3, 1),
                split.labels.tolist(),
            )
            self.transform, self.target_transform = transform, None

    augment = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    pictures = Pictures(
        transforms.Compose(
            [*augment, transforms.ToTensor(), transforms.Normalize(source.mean, source.std)]
        )
    )

    def speed(workers):
        torch.manual_seed(0)
        model = architectures.create(network)
        optimiser, criterion = (
            torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True),
            nn.CrossEntropyLoss(),
        )
        start, count = None, 0
        for step, (images, labels) in enumerate(
            DataLoader(pictures, BATCH, shuffle=True, num_workers=workers)
        ):
            optimiser.zero_grad()
            criterion(model(images), labels).backward()
            optimiser.step()
            if step == 2:  # warmed up
                start = time.perf_counter()
            elif step > 2:
                count, seconds = count + len(labels), time.perf_counter() - start
                if seconds > SECONDS / 2:
                    return count / seconds
        return count / seconds

    return max(speed(0), speed(_cores()))


def ours(network):
    """Images a second of a training as the app starts it, in the second half of its step rows.
    Evaluations are not training.
    """
    from vizlib import datasets
    from vizlib.training import process
    from vizlib.training.recipes import recipe

    process.keep_freed_memory()
    from vizlib.training.config import make_config
    from vizlib.training.loop import train
    from vizlib.training.order import Order

    source = datasets.load("cifar10")
    chosen = recipe("one_cycle", seconds=SECONDS, batch_size=BATCH, learning_rate=0.01)
    with tempfile.TemporaryDirectory() as folder:
        run = train(
            Path(folder) / "run",
            make_config(Order(network, "cifar10", chosen, validation=100), source),
            source,
            say=lambda line: None,
        )
        rows = run.events_of("step")
    first, last = rows[len(rows) // 2], rows[-1]
    return (last["step"] - first["step"]) * BATCH / (last["seconds"] - first["seconds"])


ONE = {"conventional": conventional, "ours": ours}


# press


def measure_press(options):
    from vizlib import datasets
    from vizlib.run import folders
    from vizlib.training import launcher
    from vizlib.training.config import check_possible, make_config
    from vizlib.training.order import Order
    from vizlib.training.recipes import recipe

    digits = datasets.load("digits")
    # as the panel does before anybody can press
    order = Order("three_layer_module", "digits", recipe("small_set"))
    check_possible(make_config(order, digits), digits)

    print(
        "\n| digits, `three_layer_module`, `small_set` | first point, s | finished, s | test "
        "accuracy |\n|---|---:|---:|---:|"
    )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ["CONVSCOPE_RUNS"] = folder
        for seed in range(options.seeds or 3):
            start = time.perf_counter()
            run_id = launcher.start_new(replace(order, seed=seed))
            first = None
            while (run := folders.open_run(run_id)).is_active:
                first = first or (run.events_of("step") and time.perf_counter() - start)
                time.sleep(0.02)
            finished = run.events_of("finished")
            if not finished:
                raise SystemExit(f"the training is {run.status}: {run.events[-1]}")
            print(
                f"| seed {seed} | {first or float('nan'):.1f} | "
                f"{time.perf_counter() - start:.1f} | {finished[0]['test_accuracy']:.1%} |",
                flush=True,
            )


# pages


def measure_pages(options):
    from benchmarks import serve
    from vizlib.run import folders
    from vizlib.training import launcher
    from vizlib.training.order import Order
    from vizlib.training.recipes import recipe

    print(
        "\n| Feature maps of `resnet32` redrawn, one session | median, ms | 95th percentile, "
        "ms |\n|---|---:|---:|"
    )
    medians = {"idle": [], "training": []}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CONVSCOPE_RUNS"] = folder
        with serve.server(folder) as address:
            asyncio.run(serve.crowd(address, "resnet32", 1, pause=0.5, reruns=5))  # warm
            for _ in range(2):
                for state, times in medians.items():
                    if state == "training":
                        order = Order("resnet32", "cifar10", recipe("one_cycle"))
                        run_id = launcher.start_new(order)
                        while not folders.open_run(run_id).events_of("step"):
                            time.sleep(0.2)
                    found = asyncio.run(serve.crowd(address, "resnet32", 1, pause=0.5, reruns=30))
                    if found["faults"]:
                        raise SystemExit(found["faults"][0])
                    times += found["reruns"]
                    if state == "training":
                        launcher.request(folders.open_run(run_id), "stop")
                        while folders.open_run(run_id).is_active:
                            time.sleep(0.2)
    for state, times in medians.items():
        print(
            f"| {state} | {statistics.median(times):.0f} | "
            f"{sorted(times)[int(0.95 * len(times))]:.0f} |"
        )
    print(
        "\nRatio of the medians: "
        f"**{statistics.median(medians['training']) / statistics.median(medians['idle']):.2f}**; "
        "under 2 was asked for.",
        flush=True,
    )


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
    def measure(options):
        from vizlib.run import folders

        count = options.seeds or seeds
        print(
            f"\n| `{network}`, `{name}` | epochs | seconds of training | seconds in all | "
            "test accuracy |\n|---|---:|---:|---:|---:|"
        )
        accuracies = []
        with kept_or_temporary(options.keep) as folder:
            for seed in range(count):
                start, run_name = time.perf_counter(), f"{name}-seed{seed}"
                command = [
                    "train",
                    "-a",
                    network,
                    "-d",
                    "cifar10",
                    "-r",
                    name,
                    "--seed",
                    str(seed),
                    "--out",
                    str(folder),
                    "--name",
                    run_name,
                ]
                subprocess.run(
                    [sys.executable, "-m", "vizlib", *command],
                    cwd=ROOT,
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
                run = folders.read_run(folder / run_name)
                finished, last = run.events_of("finished")[0], run.events_of("epoch")[-1]
                accuracies.append(finished["test_accuracy"])
                print(
                    f"| seed {seed} | {last['epoch']:.1f} | {finished['seconds']:.1f} | "
                    f"{time.perf_counter() - start:.0f} | {accuracies[-1]:.2%} |",
                    flush=True,
                )
        spread = f", standard deviation {statistics.stdev(accuracies):.2%}" if count > 1 else ""
        print(
            f"\nMean of {count}: **{statistics.mean(accuracies):.2%}**{spread}; {asked} was "
            "asked for.",
            flush=True,
        )

    return measure


def measure_speedrun(options):
    """Whole trainings in one process, the first of which warms up: its figures are left out."""
    if not _has_gpu():
        raise SystemExit("speedrun needs a GPU: there is none here.")
    import torch

    from vizlib import datasets
    from vizlib.training.config import make_config
    from vizlib.training.loop import train
    from vizlib.training.order import Order
    from vizlib.training.recipes import recipe

    source, times, accuracies = datasets.load("cifar10"), [], []
    count = options.seeds or 10
    with kept_or_temporary(options.keep) as folder:
        for seed in range(count + 1):
            torch.compiler.reset()  # it stops compiling after eight models of one kind
            run = train(
                folder / f"speedrun-seed{seed}",
                make_config(Order("airbench94", "cifar10", recipe("speedrun"), seed=seed), source),
                source,
                device="cuda",
                say=lambda line: None,
            )
            finished = run.events_of("finished")[0]
            if seed:
                times.append(finished["seconds"])
                accuracies.append(finished["test_accuracy"])
    print(
        f"\n| `airbench94`, `speedrun`, {torch.cuda.get_device_name()} | mean | standard "
        "deviation | asked for |\n|---|---:|---:|---:|"
    )
    print(
        f"| seconds of training, {count} runs | {statistics.mean(times):.2f} | "
        f"{statistics.stdev(times):.2f} | < 3 |"
    )
    print(
        f"| test accuracy | {statistics.mean(accuracies):.2%} | "
        f"{statistics.stdev(accuracies):.2%} | 94 % |",
        flush=True,
    )


PARTS = {
    "speed": measure_speed,
    "press": measure_press,
    "pages": measure_pages,
    "minute": measure_recipe("airbench", "minute", 3, "85 %"),
    "five_minutes": measure_recipe("airbench_wide", "five_minutes", 1, "90 %"),
    "speedrun": measure_speedrun,
}


if __name__ == "__main__":
    main()
