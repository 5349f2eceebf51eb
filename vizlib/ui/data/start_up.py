"""What makes a server quick once it has begun: imports ahead of their use, and memory that the
garbage collector passes over.
"""

import gc
import importlib
import sys
import threading
import time

import streamlit as st

from vizlib.training import process

LATER = ("captum.attr", "torchvision")  # what one page each needs, and takes a second or two

BY_ITSELF = 2_000_000  # bytes, from which on what is asked for is an area by itself
AREAS = 2


def one_thread_each() -> None:
    """Sessions share the cores between them: with two threads each, a forward pass waits for its
    slower half and takes up to six times as long.
    """
    import torch

    torch.set_num_threads(1)


@st.cache_resource(max_entries=1, show_spinner=False)
def give_back_freed_memory() -> None:
    """Have glibc give back what a model, or maps, took: else each of a server's threads keeps an
    area of its own with holes in it.
    """
    m_mmap_threshold, m_arena_max = -3, -8
    process.tell_glibc({m_mmap_threshold: BY_ITSELF, m_arena_max: AREAS})


def whole_pandas() -> None:
    """Have pandas imported to its end, which Streamlit and others begin at any time: Plotly uses
    what it finds of it, and half of it makes a figure fail.
    """
    import pandas  # noqa: F401


@st.cache_resource(max_entries=8, show_spinner=False)
def _freeze(loaded: tuple[str, ...]) -> None:
    gc.collect()
    gc.freeze()


def freeze() -> None:
    """Take what the heavy imports made out of garbage collection, once for each new one of them.

    With torch and torchvision in, looking through all of it takes a third of a second under the
    interpreter's lock.
    """
    _freeze(
        tuple(
            name
            for name in ("torch", *LATER, "plotly.graph_objects", "vizlib.inside.layers")
            if name in sys.modules
        )
    )


@st.cache_resource(max_entries=1, show_spinner=False)
def warm_up() -> threading.Thread:
    """Import what the other pages need, in the background, once the first page has been sent."""

    def load() -> None:
        time.sleep(1)  # the browser fetches and draws the first page in this time
        whole_pandas()
        import plotly.graph_objects  # noqa: F401
        import torch  # noqa: F401

        from vizlib import architectures

        architectures.names()
        for name in LATER:
            freeze()
            time.sleep(1)  # whoever is on a page has the interpreter to himself again
            importlib.import_module(name)
        freeze()

    thread = threading.Thread(target=load, name="warm-up", daemon=True)
    thread.start()
    return thread
