"""One training by several processes, on as many GPUs or machines, started by torchrun. A process by
itself is a group of one.

Each process takes its share of every batch, and DistributedDataParallel averages the gradients, so
the numbers are those of one process with the whole batch; but batch normalisation, which on GPUs
shares its statistics, on CPUs takes those of each share. What depends on a clock or on somebody's
wish is decided by rank 0 for all.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vizlib.errors import UserError

# so long the others wait for rank 0
EVALUATION = timedelta(hours=2)
PAUSE = timedelta(days=365)


class Group:
    """The processes that train together. rank 0 is the one that writes."""

    def __init__(
        self, rank: int = 0, size: int = 1, control: dist.ProcessGroup | None = None
    ) -> None:
        self.rank = rank
        self.size = size
        self._control = control

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def decided(self, values: Sequence[float]) -> Sequence[float]:
        """Rank 0's list of numbers, in every process."""
        if self.size == 1:
            return values
        shared = torch.tensor(values, dtype=torch.float64)
        dist.broadcast(shared, 0, group=self._control)
        return shared.tolist()

    def total(self, tensor: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def shares_norms(self, device: torch.device | str) -> bool:
        """Whether batch statistics are taken over all processes, which is possible on GPUs."""
        return self.size > 1 and torch.device(device).type == "cuda"

    def with_shared_norms(self, model: nn.Module, device: torch.device | str) -> nn.Module:
        """The model with batch statistics taken over all processes, where that is possible."""
        if self.shares_norms(device):
            return nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return model

    def wrapped(self, model: nn.Module, device: torch.device | str) -> nn.Module:
        """The model as it is to be called in training."""
        if self.size == 1:
            return model
        on_gpu = torch.device(device).type == "cuda"
        return nn.parallel.DistributedDataParallel(
            model, device_ids=[torch.device(device).index] if on_gpu else None
        )


def join(device: str) -> tuple[Group, str]:
    """(Group, device of this process): what torchrun's environment says, NCCL on GPUs and gloo on
    CPUs; one process without it.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Group(), device
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise UserError(
                f"{local + 1} processes were started here, and there are "
                f"{torch.cuda.device_count()} GPUs: one process a GPU is possible."
            )
        device = f"cuda:{local}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=EVALUATION)
    control = dist.new_group(backend="gloo", timeout=PAUSE)
    # a number only where this process were outside of it
    return Group(dist.get_rank(), size, cast(dist.ProcessGroup, control)), device


def leave() -> None:
    """Take leave of the group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()
