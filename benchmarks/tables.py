"""The tables that the benchmarks print. Above each stands what it was measured on: a figure of one
processor is a figure of that processor.
"""

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")  # on Linux
EXTENSIONS = {  # as Linux calls them, on Intel's, AMD's and Arm's processors
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 BF16",
    "amx_bf16": "AMX BF16",
    "asimd": "Neon",
    "sve": "SVE",
    "bf16": "BF16",
}


def begin(*columns, texts, processor=None, note=""):
    """Print what is measured on, and a table's head. texts: how many columns, the first ones, hold
    words; the others hold numbers. processor: in words, where it is not this machine's own.
    """
    print(f"\n{processor or this_processor()}{f'; {note}' if note else ''}.\n")
    print(f"| {' | '.join(columns)} |")
    print("|" + "---|" * texts + "---:|" * (len(columns) - texts), flush=True)


def add(*cells):
    """Print one row of the table that was begun."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def this_processor():
    """The processor's name, what it computes fast in, and the cores that this process may use."""
    facts = _facts()
    name = facts.get("model name") or platform.processor() or platform.machine()
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    extensions = [words for flag, words in EXTENSIONS.items() if flag in flags]
    count = cores()
    return ", ".join([name, *extensions, f"{count} core{'s' if count > 1 else ''}"])


def cores():
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _facts():
    """What Linux says about the first core, as {name: value}; empty elsewhere."""
    try:
        first, _, _ = CPUINFO.read_text().partition("\n\n")
    except OSError:
        return {}
    lines = [line.partition(":") for line in first.splitlines()]
    return {key.strip(): value.strip() for key, _, value in lines}


def training_types(device="cpu"):
    """The types of number that a training on this device computes in, in words."""
    import torch

    from vizlib.training.precision import half_type

    half = half_type(torch.device(device), torch.nn.Identity(), (3, 32, 32))
    return f"trained in {str(half or torch.float32).removeprefix('torch.')}"
