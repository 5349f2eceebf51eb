"""How many threads a training on a CPU uses: all, or one where that is faster."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import torch

SMALL_BATCH = 16_384  # pixels; 128 pictures of CIFAR-10 are eight times as many
# steps that a number of threads is tried for, and of which the median tells how fast it is
TRIAL, LATEST = (3, 5)
# seconds on one thread after which all are tried again: at first, and twice as many after each time
# that one was still faster, up to the last
SOONEST, LAST = 4, 64


class Threads:
    """Chooses by the seconds that steps take.

    With something else running beside it, two threads can be ten times slower than one: each part
    of a step waits for the thread that was put aside (measured with two other processes on two
    cores: 68 images a second against 616). And batches of very small pictures are over before two
    threads have shared them.
    """

    def __init__(self, device: torch.device, batch_pixels: int) -> None:
        self._usual = torch.get_num_threads()
        self._choices = self._possible(device, batch_pixels)
        self._taken: dict[int, list[float]] = {number: [] for number in self._choices}
        self._all_used = time.monotonic()
        self._pause = SOONEST

    def _possible(self, device: torch.device, batch_pixels: int) -> tuple[int, ...]:
        """The numbers of threads to choose from, the one to begin with first."""
        if device.type != "cpu" or self._usual == 1:
            return (self._usual,)
        return (1,) if batch_pixels < SMALL_BATCH else (self._usual, 1)

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """Within, PyTorch uses what the first choice is; afterwards what it used before."""
        torch.set_num_threads(self._choices[0])
        try:
            yield
        finally:
            torch.set_num_threads(self._usual)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around each step: takes the number of threads that was faster lately, one that has not
        been tried yet first.
        """
        if len(self._choices) == 1:
            yield
            return
        untried = [number for number, taken in self._taken.items() if len(taken) < TRIAL]
        number = untried[0] if untried else min(self._choices, key=self._seconds)
        if number == self._usual:
            self._all_used = time.monotonic()
            if not untried:
                self._pause = SOONEST
        elif time.monotonic() - self._all_used > self._pause:
            self._taken[self._usual] = []
            self._pause = min(2 * self._pause, LAST)
        # setting it makes oneDNN forget the code it has compiled for each layer
        if number != torch.get_num_threads():
            torch.set_num_threads(number)
        start = time.perf_counter()
        yield
        self._taken[number] = [*self._taken[number], time.perf_counter() - start][-LATEST:]

    def _seconds(self, number: int) -> float:
        """The median of the latest steps: the first of a trial, and the first after an evaluation,
        are slow by themselves.
        """
        return median(self._taken[number])
