"""Which types of number this machine is fast in: tried once, and kept.

What a processor says of itself is not enough: with AVX-512 and without its bfloat16, PyTorch
computes in bfloat16 all the same, three times slower than in float32, and on AVX2 twelve times.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F

from vizlib.training import of_machine

FILE = "number-types.json"
CONVOLUTION, PRODUCT = "convolution", "product"
WORTH_IT = 1.2  # times as fast as float32: less is not worth the digits that are lost
ROUNDS = 3  # of which the fastest counts: what else runs makes one slower, never faster


def fast_type(device: torch.device, operation: str) -> torch.dtype:
    """The type to compute in on a device: float32, or a two-byte one that it is faster in.

    operation: CONVOLUTION, forward and back, or PRODUCT, of two matrices.
    """
    if device.type == "cuda":
        if torch.cuda.get_device_capability(device) >= (8, 0):
            return torch.bfloat16
        # a product of what is not scaled to its range is too large for float16
        return torch.float16 if operation == CONVOLUTION else torch.float32
    if device.type == "cpu" and _bfloat16_pays()[operation]:
        return torch.bfloat16
    return torch.float32


@cache
def _bfloat16_pays() -> dict[str, bool]:
    """For each operation whether this processor is faster in bfloat16, as it was found out earlier
    or is found out now.
    """
    found = of_machine.read(FILE).get(of_machine.key())
    if isinstance(found, dict) and found.keys() == _TRIALS.keys():
        return {operation: found[operation] is True for operation in _TRIALS}
    found = {operation: _pays(trial) for operation, trial in _TRIALS.items()}
    of_machine.keep(FILE, of_machine.key(), found)
    return found


def _pays(trial: Callable[[torch.dtype], Callable[[], object]]) -> bool:
    """Whether a trial is enough faster in bfloat16. The two take turns, on one thread: of several
    each waits for the one that something else has put aside.
    """
    ways = {dtype: trial(dtype) for dtype in (torch.float32, torch.bfloat16)}
    taken: dict[torch.dtype, list[float]] = {dtype: [] for dtype in ways}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(ROUNDS):
            for dtype, run in ways.items():
                start = time.perf_counter()
                run()
                taken[dtype].append(time.perf_counter() - start)
    except RuntimeError:  # of a build without such a kernel
        return False
    finally:
        torch.set_num_threads(threads)
    return min(taken[torch.float32]) > WORTH_IT * min(taken[torch.bfloat16])


def _convolution(dtype: torch.dtype) -> Callable[[], object]:
    """Forward and back through a layer such as a small residual network's."""
    maps = torch.ones(8, 64, 16, 16).to(dtype, memory_format=torch.channels_last)
    filters = torch.ones(64, 64, 3, 3).to(dtype, memory_format=torch.channels_last)
    maps.requires_grad_()
    filters.requires_grad_()
    return lambda: F.conv2d(maps, filters, padding=1).sum().backward()


def _product(dtype: torch.dtype) -> Callable[[], object]:
    """Two products as of Muon's steps, for a bank of 192 filters."""
    matrix = torch.ones(192, 1728, dtype=dtype)
    return lambda: matrix @ matrix.T @ matrix


_TRIALS = {CONVOLUTION: _convolution, PRODUCT: _product}
