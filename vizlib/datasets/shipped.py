"""The pictures that ship: some held-out ones of public data sets, to be looked at wherever the
whole set is missing. There are none to train on.

Each lot is two files in `vizlib/shipped_pictures/`, found by being there and made by
`docs/pictures.py`: NAME.webp, a lossless sheet of equally large pictures, row by row, and
NAME.json, which says whose they are:

    source, citation, licence, changes, chosen   in words; how they were chosen, docs/pictures.py
                                                 says at length
    image_ids, labels                            of each picture, in the order of the sheet
    size                                         [height, width] of one
    serves                                       {data set: what it is as a whole}, with
        note, class_names, mean, std, ordered, mirrors, official   as of its Dataset
        of                                       how many test pictures it has
        image_ids                                those of them that are here; left out: all
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vizlib.datasets import Dataset, Split

FOLDER = Path(__file__).resolve().parent.parent / "shipped_pictures"


def names() -> list[str]:
    """The data sets of which some pictures ship."""
    return [name for path in lots() for name in facts_of(path)["serves"]]


def lots() -> list[Path]:
    """What says whose the pictures are: a JSON file a lot."""
    return sorted(FOLDER.glob("*.json"))


@lru_cache(maxsize=16)
def facts_of(path: Path) -> dict[str, Any]:
    """What is said of the pictures of a lot; read once, as it ships."""
    return json.loads(path.read_text(encoding="utf-8"))


def image_ids_of(name: str) -> np.ndarray:
    """The ids of the pictures that ship of a data set, strings (N,); none of one that is not among
    `names`.
    """
    for path in lots():
        facts = facts_of(path)
        if name in facts["serves"]:
            return np.array(facts["serves"][name].get("image_ids", facts["image_ids"]))
    return np.array([], str)


def read(name: str) -> Dataset:
    """The pictures that ship of a data set among `names`, as a Dataset of a test split alone."""
    path = next(path for path in lots() if name in facts_of(path)["serves"])
    facts = facts_of(path)
    whole, image_ids = facts["serves"][name], np.array(facts["image_ids"])
    pictures = pictures_in(path.with_suffix(".webp"), facts)
    split = Split(pictures, np.array(facts["labels"], np.int64), image_ids)
    split = split.take(np.flatnonzero(np.isin(image_ids, image_ids_of(name))))
    return Dataset(
        name,
        whole["class_names"],
        (pictures.shape[3], *facts["size"]),
        whole["mean"],
        whole["std"],
        {"test": split},
        f"the {len(split):,} that ship, {facts['chosen']}, of {whole['of']:,} test images: "
        f"{whole['note']}",
        ordered=whole["ordered"],
        mirrors=whole["mirrors"],
        official=whole["official"],
        are_shipped=True,
    )


def pictures_in(sheet: Path, facts: dict[str, Any]) -> np.ndarray:
    """The pictures on a sheet, uint8 (N, H, W, C), one channel where they are grey."""
    from PIL import Image

    with Image.open(sheet) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    height, width = facts["size"]
    down, across = pixels.shape[0] // height, pixels.shape[1] // width
    pictures = pixels.reshape(down, height, across, width, 3).transpose(0, 2, 1, 3, 4)
    channels = len(next(iter(facts["serves"].values()))["mean"])
    return pictures.reshape(-1, height, width, 3)[: len(facts["labels"]), ..., :channels].copy()
