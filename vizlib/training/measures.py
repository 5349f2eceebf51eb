"""What a training measures of itself: its seconds, its means, and when it is evaluated."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from vizlib.training import devices
from vizlib.training.distributed import Group
from vizlib.training.recipes import Recipe

# a training is looked at so often at least and at most, however short or long it is
EVALUATIONS, MOST_EVALUATIONS = (10, 300)


class Clock:
    """The seconds of training: evaluation, saving and pauses do not count. `seconds` is right after
    `look`, and while it is stopped.
    """

    def __init__(self, device: torch.device) -> None:
        self.seconds = 0.0
        self._device = device
        self._since: float | None = None

    def start(self) -> None:
        self._since = time.perf_counter()

    def look(self) -> None:
        if self._since is not None:
            now = time.perf_counter()
            self.seconds, self._since = self.seconds + now - self._since, now

    def stop(self) -> None:
        devices.wait_for(self._device)
        self.look()
        self._since = None

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.stop()
        yield
        self.start()


class Marks:
    """When a training is evaluated: at the end of each epoch, several times an epoch in short ones,
    every few epochs in very long ones.
    """

    def __init__(self, recipe: Recipe, total_steps: int, progress: float) -> None:
        if recipe.seconds:
            self._count = EVALUATIONS
        else:
            several = -(-EVALUATIONS // recipe.epochs)
            every = -(-recipe.epochs // MOST_EVALUATIONS)
            self._count = min(total_steps, recipe.epochs * several / every)
        self._next = self._after(progress)

    def _after(self, progress: float) -> float:
        """The number of the first mark later than this; the last one is at the very end."""
        if progress >= 1:
            return inf
        return min(int(progress * self._count + 1e-9) + 1, self._count)

    def is_reached(self, progress: float) -> bool:
        return progress * self._count >= self._next - 1e-9

    def is_due(self, progress: float) -> bool:
        """Whether the next mark is reached, which is then past."""
        due = self.is_reached(progress)
        if due:
            self._next = self._after(progress)
        return due


class Means(NamedTuple):
    """Over some steps: the mean loss, in nats, the share of right answers, and the speed."""

    loss: float
    accuracy: float
    images_per_second: float


class Meter:
    """Mean loss, accuracy and images a second since the last look under the same name, over all
    processes.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._total = torch.zeros(2, dtype=torch.float64)
        self._images = 0
        # by name: the total, the images and the seconds at the last look
        self._looks: dict[str, tuple[Tensor, int, float]] = dict.fromkeys(
            ("step", "epoch"), (self._total, 0, 0.0)
        )

    def add(self, loss: Tensor, right: Tensor, count: int) -> None:
        """loss: this process's share of the mean of a batch of `count` pictures; right: how many it
        had right.
        """
        # float would not tell a small difference of large sums
        sums = devices.as_double(torch.stack([loss * count, right]))
        self._total = self._total.to(sums.device) + sums
        self._images += count

    def since(self, name: str) -> list[float]:
        """[sum of the losses, right answers, images] since the last look."""
        total, images, _ = self._looks[name]
        return [*(self._total - total.to(self._total.device)).tolist(), self._images - images]

    def resume(self, seconds: float, loss: float, right: float, images: int) -> None:
        """Take up what another meter had `since` its last look at an epoch; its clock had counted
        so many seconds.
        """
        self._looks = {
            "step": (self._total, 0, seconds),
            "epoch": (torch.tensor([-loss, -right], dtype=torch.float64), -images, seconds),
        }

    def take(self, name: str, clock: Clock) -> Means:
        """The Means since the last look under this name."""
        last_total, last_images, last_seconds = self._looks[name]
        since, images = self._total - last_total.to(self._total.device), self._images - last_images
        self._looks[name] = self._total, self._images, clock.seconds
        loss, right = (self._group.total(since) / images).tolist()
        return Means(loss, right, images / max(1e-9, clock.seconds - last_seconds))
