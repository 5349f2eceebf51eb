"""How near a training is to what this processor can do at all.

    python -m benchmarks.roofline                # three networks, two minutes
    python -m benchmarks.roofline --smallest     # one on small pictures: whether it measures

A step of training is a list of operations. Each takes at least as long as its multiplications do at
the speed of a matrix product here, in the type of number that it has, and as long as its operands
and results do at the speed at which memory is copied here, in pieces of that size (so that what
stays in a cache counts as such). The sum of those times is the limit: a roofline (Williams,
Waterman and Patterson 2009) of each operation. It is one of these operations as they are: a library
that made one of two would have a higher limit.

- of a matrix product: the multiplications of a step, in the time that it takes, beside what one
  large matrix product reaches.
- of the limit: the limit's time as a share of the time that a step takes.
- memory: which share of the limit's time belongs to operations that wait for memory, such as batch
  normalisation, ReLU, pooling, the first convolution, the optimiser.

Nothing else should run meanwhile.
"""

import argparse
import time
from dataclasses import dataclass

from benchmarks import tables

NETWORKS = {"three_layer_module": 128, "resnet32": 128, "resnet18_cifar": 128}
SMALLEST = {"three_layer_module": 8}
PRODUCT_SIDE = 2048
COPIED = [2**power for power in range(16, 29, 2)]  # bytes: 64 kB to 256 MB
SECONDS = 0.3  # of each measurement of what the machine can do


@dataclass(frozen=True)
class Work:
    """One operation: how often it multiplies and adds, counted as two, the bytes that it reads and
    writes, and its type of number.
    """

    name: str
    flops: float
    bytes: int
    dtype: object


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smallest", action="store_true", help="one network, small matrices")
    options = parser.parse_args(arguments)

    from vizlib.training import process

    process.keep_freed_memory()  # before torch is in
    machine = Machine(256 if options.smallest else PRODUCT_SIDE)
    tables.begin(
        "network",
        "images a second",
        "of a matrix product",
        "of the limit",
        "memory",
        texts=1,
        note=f"{tables.training_types()}; {machine}",
    )
    for name, batch in (SMALLEST if options.smallest else NETWORKS).items():
        _add(name, batch, machine)


def _add(name, batch, machine):
    from vizlib.training.recipes import recipe
    from vizlib.training.trial import Trial, measured

    size = (3, 32, 32)
    trial = Trial(name, size, recipe("one_cycle", batch_size=batch, learning_rate=0.01), "cpu")
    speed = measured(trial)
    step = batch / speed
    works = work_of(trial)
    computing = sum(work.flops / machine.product(work.dtype) for work in works)
    limits = [machine.limit(work) for work in works]
    waiting = sum(
        limit
        for work, limit in zip(works, limits, strict=True)
        if limit > work.flops / machine.product(work.dtype)
    )
    limit = sum(limits)
    shares = computing / step, limit / step, waiting / limit
    tables.add(f"`{name}`", f"{speed:,.0f}", *(f"{share:.0%}" for share in shares))


# What there is to do


def work_of(trial):
    """The Work of one step of a training, in order."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    from vizlib.training.trial import step_of

    works = []

    class Watch(TorchDispatchMode):
        """Notes each operation."""

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if not _is_view(function):
                count = flop_registry.get(function.overloadpacket)
                flops = count(*args, **(kwargs or {}), out_val=result) if count else 0
                given, made = _tensors((args, kwargs)), _tensors(result)
                size = sum(one.numel() * one.element_size() for one in (*given, *made))
                dtype = given[0].dtype if given else torch.float32
                works.append(Work(str(function.overloadpacket), flops, size, dtype))
            return result

    step = step_of(trial)
    step()  # which makes the optimiser's state
    with Watch():
        step()
    return works


def _is_view(function):
    """Whether an operation gives another view of the same memory, and touches none of it."""
    returns = function._schema.returns
    return any(one.alias_info is not None and not one.alias_info.is_write for one in returns)


def _tensors(values):
    import torch
    from torch.utils._pytree import tree_leaves

    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]


# What the machine can do


class Machine:
    """What this processor reaches, measured. side: of the matrices whose product is tried."""

    def __init__(self, side):
        import torch

        self._products = {dtype: product(side, dtype) for dtype in (torch.float32, torch.bfloat16)}
        self._copies = {size: 2 * size / _fastest(_copied(size)) for size in COPIED}

    def product(self, dtype):
        """Multiplications and additions a second, in float32 for what has no product."""
        import torch

        return self._products.get(dtype, self._products[torch.float32])

    def bandwidth(self, size):
        """Bytes a second, read and written, of an operation that touches so many."""
        return self._copies[min(COPIED, key=lambda copied: abs(2 * copied - size))]

    def limit(self, work):
        """Seconds that an operation takes at least."""
        return max(work.flops / self.product(work.dtype), work.bytes / self.bandwidth(work.bytes))

    def __str__(self):
        products = ", ".join(
            f"{speed / 1e9:,.0f} GFLOP/s in {str(dtype).removeprefix('torch.')}"
            for dtype, speed in self._products.items()
        )
        near, far = (self._copies[size] / 1e9 for size in (COPIED[2], COPIED[-1]))
        return f"a matrix product reaches {products}; memory {near:.0f} GB/s near, {far:.0f} far"


def product(side, dtype):
    """Multiplications and additions a second of a product of two matrices of this side."""
    import torch

    first, second = (torch.randn(side, side).to(dtype) for _ in range(2))
    result = torch.empty(side, side, dtype=dtype)
    return 2 * side**3 / _fastest(lambda: torch.mm(first, second, out=result))


def _copied(size):
    import torch

    source = torch.ones(size // 4)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _fastest(run):
    """Seconds of the fastest of several: what else runs makes one slower, never faster."""
    run()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best


if __name__ == "__main__":
    main()
