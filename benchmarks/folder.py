"""A folder of many small pictures: until all of it lies in memory as a network takes it.

    python -m benchmarks.folder               # 50,000 pictures, about a minute
    python -m benchmarks.folder --smallest    # a few pictures: whether it measures

Beside torchvision's ImageFolder, read once by a DataLoader of two workers: what the usual training
does in each epoch. Each way is a process of its own, from the first import to the last picture; the
files were just written, so that the disk is not measured. Prints a Markdown table; times are
seconds, the last column their ratio to the usual way. `listed` is how long it takes to know what
data sets are there.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import tables

SIDE = 32
CLASSES = 10
OURS = """
import time
start = time.perf_counter()
from vizlib import datasets
{body}
print(time.perf_counter() - start)
"""
LISTING = 'assert "folder:many" in datasets.names()'
READING = """
splits = datasets.load("folder:many").splits
assert sum(split.images((3, {side}, {side})).shape[0] for split in splits.values()) == {count}
"""
USUAL = """
import time
start = time.perf_counter()
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
found = datasets.ImageFolder("{root}/many", transforms.ToTensor())
loader = DataLoader(found, batch_size=256, num_workers=2)
assert sum(len(images) for images, _ in loader) == {count}
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    pictures: int = 50_000


SMALLEST = Sizes(pictures=1_000)  # as few as are kept decoded


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.folder")
    parser.add_argument("--smallest", action="store_true", help="a few pictures")
    sizes = SMALLEST if parser.parse_args(arguments).smallest else Sizes()
    with tempfile.TemporaryDirectory() as root:
        write(Path(root) / "many", sizes.pictures)
        usual = seconds(USUAL.format(root=root, count=sizes.pictures), root)
        reading = READING.format(side=SIDE, count=sizes.pictures)
        measured = {
            "ImageFolder and DataLoader, each epoch": usual,
            "listed": seconds(OURS.format(body=LISTING), root),
            "the first start": seconds(OURS.format(body=reading), root),
            "the second start": seconds(OURS.format(body=reading), root),
        }
    note = f"{sizes.pictures:,} PNGs of {SIDE} x {SIDE} in {CLASSES} class folders"
    tables.begin("what", "seconds", "times the usual way", texts=1, note=note)
    for what, taken in measured.items():
        tables.add(what, f"{taken:.2f}", f"{taken / usual:.3f}")


def write(folder, count):
    """Noise, which no compression makes smaller."""
    generator = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class {label}").mkdir(parents=True)
    for number in range(count):
        pixels = generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        path = folder / f"class {number % CLASSES}" / f"{number}.png"
        Image.fromarray(pixels).save(path, compress_level=1)


def seconds(code, root):
    """What a process of its own prints: the seconds that the code took."""
    environment = {**os.environ, "CONVSCOPE_DATA": str(root)}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    return float(ended.stdout)


if __name__ == "__main__":
    main()
