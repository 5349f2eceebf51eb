"""Something done with each of many picture files, by as many threads as pay."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Found = TypeVar("Found")

LARGE = 20_000  # bytes of a file, from which on several threads pay
MOST_THREADS = 4  # each may hold a picture of the largest size, unpacked
TOGETHER = 64  # files that a thread takes: handing on a small one takes as long as reading it


def with_each(
    work: Callable[[Given], Found], given: Sequence[Given], sizes: Sequence[int]
) -> Iterator[Found]:
    """What work() makes of each, in their order. sizes: bytes of some of the files, or of all.

    Of small files most of the work is Python's, which one thread does best: two take twice as long.
    """
    are_large = bool(sizes) and sum(sizes) / len(sizes) >= LARGE
    parts = [given[start : start + TOGETHER] for start in range(0, len(given), TOGETHER)]

    def on_part(part: Sequence[Given]) -> list[Found]:
        return [work(one) for one in part]

    count = min(MOST_THREADS, os.cpu_count() or 1) if are_large else 1
    with ThreadPoolExecutor(count) as threads:
        for found in threads.map(on_part, parts):
            yield from found
