"""Which processor this is, in words: a figure of one is a figure of that one. Imports no torch."""

from __future__ import annotations

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


def this_processor() -> str:
    """The processor's name, what it computes fast in, and the cores that this process may use."""
    count = cores()
    return f"{model_name()}, {count} core{'s' if count > 1 else ''}"


def model_name() -> str:
    """The processor's name, and what it computes fast in."""
    facts = _facts()
    name = facts.get("model name") or platform.processor() or platform.machine()
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    return ", ".join([name, *(words for flag, words in EXTENSIONS.items() if flag in flags)])


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _facts() -> dict[str, str]:
    """What Linux says about the first core, as {name: value}; empty elsewhere."""
    try:
        first, _, _ = CPUINFO.read_text().partition("\n\n")
    except OSError:
        return {}
    lines = [line.partition(":") for line in first.splitlines()]
    return {key.strip(): value.strip() for key, _, value in lines}
