"""What a training runs on: the CPU, an NVIDIA or AMD GPU ("cuda"), or Apple's ("mps"). All that is
done otherwise on one of them stands here, in number_types and in distributed.

Apple's has been tried nowhere yet: the tests call what is done for it, on the CPU.
"""

from __future__ import annotations

import torch

from vizlib.errors import UserError


def devices() -> list[str]:
    """The devices there are, the default first: "cuda:0", ..., "mps", "cpu"."""
    found = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return found + ["mps"] * torch.backends.mps.is_available() + ["cpu"]


def device_named(name: str | None) -> str:
    """A device that can be used, the default if none is named. UserError naming the ones there
    are.
    """
    possible = devices()
    if name is None:
        return possible[0]
    if name not in possible and not (name == "cuda" and "cuda:0" in possible):
        raise UserError(f"There is no device {name!r} here. Possible: {', '.join(possible)}.")
    return name


def words_for(device: torch.device) -> str:
    """A device in words, such as "CPU, 2 threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return "Apple's GPU"
    return f"CPU, {torch.get_num_threads()} threads"


def use(device: torch.device) -> None:
    """Prepare a device, before anything is on it."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
        # batches are of one or two sizes: the fastest algorithm is worth finding
        torch.backends.cudnn.benchmark = True


def wait_for(device: torch.device) -> None:
    """Return when the work that was handed over to a device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    if device.type == "mps":
        torch.mps.synchronize()


def seed(device: torch.device, number: int) -> None:
    """Seed the random numbers of a device, and the CPU's. torch.manual_seed would take a
    millisecond where CUDA is not in use.
    """
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    if device.type == "mps":
        torch.mps.manual_seed(number)


def has_fused_steps(parameters: list[torch.nn.Parameter]) -> bool:
    """Whether the optimisers' steps over all parameters in one kernel can be relied on there."""
    return all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)


def pins_memory(device: torch.device) -> bool:
    """Whether copies to a device are faster from pinned memory."""
    return device.type == "cuda"


def starts_slowly(device: torch.device) -> bool:
    """Whether the first batch of a size takes much longer than those after."""
    return device.type in ("cuda", "mps")


def as_double(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor in float64, which Apple's GPU does not have: from there on the CPU."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()
