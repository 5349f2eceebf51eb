"""A second of training, tried in a process of its own to tell how long a whole one will take:
python -m vizlib.training.trial. What is found is kept for this machine. Imports torch only where it
is tried.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from vizlib.training import of_machine
from vizlib.training.order import Order
from vizlib.training.recipes import Recipe
from vizlib.training.schedules import picture_size, side_share

if TYPE_CHECKING:
    import torch

FILE = "speeds.json"
ROOT = Path(__file__).resolve().parents[2]
FIRST_STEPS = 2  # that do not count: memory is taken, kernels are made
SECONDS, LEAST_STEPS = 1.0, 6  # what is measured: three steps of each number of threads, or more
BATCHES = 4  # of different pictures
NICENESS = 10  # pages and trainings come first
_processes: dict[str, subprocess.Popen[str]] = {}  # by what they try
_starting = threading.Lock()


@dataclass(frozen=True)
class Trial:
    """What is tried. input_size: (C, H, W) of what the network gets at last. arguments: of the
    network, beside those that the data decide.
    """

    architecture: str
    input_size: tuple[int, int, int]
    recipe: Recipe
    device: str
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def of(self) -> str:
        """What its speed is of, apart from the machine."""
        size = " x ".join(map(str, self.input_size))
        recipe = self.recipe
        parts = (self.architecture, size, recipe.optimiser, recipe.batch_size, recipe.growing)
        own = [json.dumps(self.arguments, sort_keys=True)] if self.arguments else []
        return " | ".join([of_machine.key(), *map(str, parts), self.device, *own])


def trial_of(order: Order, input_size: Sequence[int]) -> Trial:
    """What tells how long an order will take. input_size: (C, H, W) of what the network gets."""
    channels, height, width = input_size
    size = (channels, height, width)
    return Trial(order.architecture, size, order.recipe, order.device, order.arguments)


def speed(trial: Trial) -> float | None:
    """Whole images a second as they were found here; None where nobody has tried."""
    return _found(trial.of)


def start_seconds() -> float | None:
    """How long a process takes here until PyTorch is in; None where nobody has tried."""
    return _found(_start())


def _found(of: str) -> float | None:
    """What was kept of it, where that can be a speed or a time."""
    found = of_machine.read(FILE).get(of)
    return found if isinstance(found, float) and 0 < found < math.inf else None


def _start() -> str:
    """What the seconds of a start are kept as, beside the speeds."""
    return f"{of_machine.key()} | start"


def is_under_way(trial: Trial) -> bool:
    """Whether it is tried now."""
    process = _processes.get(trial.of)
    return process is not None and process.poll() is None


def wait_for(trial: Trial, seconds: float) -> None:
    """Wait until what is tried now has been, but no longer than so many seconds."""
    if process := _processes.get(trial.of):
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)


def begin(trial: Trial) -> None:
    """Try it, once in the life of this process: what failed would fail again."""
    with _starting:
        if trial.of in _processes:
            return
        process = _processes[trial.of] = subprocess.Popen(
            [sys.executable, "-m", "vizlib.training.trial"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    assert process.stdin is not None
    with process.stdin as told:
        told.write(json.dumps({"trial": asdict(trial), "asked": time.time()}))


def find_out(trial: Trial) -> None:
    """Try it now, in this process, unless its speed is known."""
    if speed(trial) is None:
        of_machine.keep(FILE, trial.of, measured(trial))


def measured(trial: Trial, dtype: torch.dtype | None = None, *, compiled: bool = False) -> float:
    """Train for a second; whole images a second. dtype, compiled: as step_of() takes them."""
    import torch

    from vizlib.training import devices
    from vizlib.training.threads import Threads

    device, recipe = torch.device(trial.device), trial.recipe
    step = step_of(trial, dtype, compiled=compiled)
    threads = Threads(device, recipe.batch_size * math.prod(_picture_size(trial)))
    taken: dict[int, list[float]] = {}  # seconds of steps, by how many threads they had
    with threads.chosen():
        for _ in range(FIRST_STEPS):
            step()
        devices.wait_for(device)
        steps, counted_from = 0, time.perf_counter()
        while steps < LEAST_STEPS or time.perf_counter() - counted_from < SECONDS:
            start = time.perf_counter()
            with threads.step():
                number = torch.get_num_threads()
                step()
                devices.wait_for(device)
            taken.setdefault(number, []).append(time.perf_counter() - start)
            steps += 1
    share = side_share(recipe, trial.input_size[1:], 0)
    # a training goes on with the number that is faster; the other one is tried, too, and where a
    # step takes a second that would be most of the trial
    return recipe.batch_size / min(map(median, taken.values())) * share**2


def step_of(
    trial: Trial, dtype: torch.dtype | None = None, *, compiled: bool = False
) -> Callable[[], None]:
    """What takes one step of this training, on batches made as its own are, of pictures of noise.

    dtype: to compute in (default: that which the device is fast in). compiled: by torch.compile,
    which takes minutes at the first step.
    """
    import torch
    import torch.nn.functional as F

    from vizlib import architectures
    from vizlib.training.optimisers import make_optimisers
    from vizlib.training.precision import autocast_of, half_type
    from vizlib.training.small_maps import as_products

    device, recipe = torch.device(trial.device), trial.recipe
    size = (trial.input_size[0], *_picture_size(trial))
    arguments = architectures.get(trial.architecture).arguments_for(10, trial.input_size)
    model = architectures.create(trial.architecture, **arguments, **trial.arguments).train()
    model.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    half = half_type(device, model, size) if dtype is None else dtype
    autocast = autocast_of(device, None if half is torch.float32 else half)
    network = torch.compile(model, dynamic=False) if compiled else model
    optimisers = make_optimisers(model, recipe)
    batches = _batches(trial, device)

    def step() -> None:
        images, labels, _ = next(batches)
        with torch.autocast(**autocast), as_products(device, compiled=compiled):
            logits = network(images)
        F.cross_entropy(logits.float(), labels).backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    return step


def _batches(
    trial: Trial, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Batches without end, as `Batches.epoch` gives them: of a small network they take a part of
    the time.
    """
    import torch

    from vizlib.training.batches import Batches, InMemory, border_of

    recipe, channels = trial.recipe, trial.input_size[0]
    border = border_of(recipe, trial.input_size[1:])
    number = BATCHES * recipe.batch_size
    images = torch.randint(256, (number, *trial.input_size), dtype=torch.uint8, device=device)
    batches = Batches(
        InMemory(images, border, recipe.reflect),
        torch.arange(number, device=device) % 10,
        10,
        recipe,
        mean=[0.5] * channels,
        std=[0.25] * channels,
        mirrors=True,
        border=border,
        seed=0,
    )
    for epoch in count():
        yield from batches.epoch(epoch, size=lambda: _picture_size(trial))


def _picture_size(trial: Trial) -> tuple[int, int]:
    """(height, width) of the pictures at the beginning."""
    return picture_size(trial.recipe, trial.input_size[1:], 0)


def _told(content: Mapping[str, Any]) -> Trial:
    size = tuple(content["input_size"])
    return Trial(**{**content, "input_size": size, "recipe": Recipe(**content["recipe"])})


def main() -> None:
    """Try what standard input says, and keep what is found."""
    from vizlib.training import process

    process.give_way(NICENESS)
    process.keep_freed_memory()
    told = json.load(sys.stdin)
    import torch  # noqa: F401 how long that takes is a part of every training's start

    of_machine.keep(FILE, _start(), time.time() - told["asked"])
    find_out(_told(told["trial"]))


if __name__ == "__main__":
    main()
