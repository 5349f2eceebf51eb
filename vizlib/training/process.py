"""What a process that trains does once, before it begins. It changes the whole process: never call it in a server."""

import ctypes
import sys


def keep_freed_memory():
    """Let glibc keep what is freed: it otherwise gives every large activation back and faults it in again at each step.

    Measured at 1.65 to 1.9 times for a three-layer net in bfloat16, nothing for deeper ones. Linux only; elsewhere it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    m_trim_threshold, m_mmap_max = -1, -4
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)
    except OSError:
        pass  # another C library, musl for one: training works without


def default_device():
    """"cuda" where there is a usable GPU, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
