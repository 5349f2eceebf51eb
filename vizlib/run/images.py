"""images.npz: which pictures a run was trained and validated on, and which it was or will be tested
on; written when its training begins, and true for ever.

Each picture by its id, and by a digest of its file's bytes where it is a file: one that got another
name, or lies in another folder now, is known by that.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vizlib.errors import UserError
from vizlib.files import open_regular, write_whole

FILE = "images.npz"
TRAINED, VALIDATED, TESTED, INHERITED = range(4)
UNKNOWN = 0  # the digest of a picture that is no file
MAX_UNPACKED = 1_000_000_000  # bytes: a million pictures with long names


@dataclass(frozen=True)
class RunImages:
    """image_ids: strings (N,), in the order in which they are learned from. digests: uint64 (N,),
    UNKNOWN where there is none. parts: uint8 (N,), each TRAINED, VALIDATED, TESTED, or INHERITED:
    a test picture that the run which the weights come from had learned from. is_whole: whether all
    pictures that were trained on are among them; of runs of earlier versions only those tested on
    are known.
    """

    image_ids: np.ndarray
    digests: np.ndarray
    parts: np.ndarray
    is_whole: bool = True

    def of(self, *parts: int) -> tuple[np.ndarray, np.ndarray]:
        """(ids, digests) of some parts."""
        chosen = np.isin(self.parts, parts)
        return self.image_ids[chosen], self.digests[chosen]


def save_images(folder: Path, images: RunImages) -> None:
    """Write images.npz, so that a reader finds it whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, image_ids=images.image_ids, digests=images.digests, parts=images.parts
    )
    write_whole(folder / FILE, buffer.getvalue())


def load_images(folder: Path, answered: np.ndarray | None = None) -> RunImages | None:
    """The RunImages in a run folder; of a run of an earlier version those whose answers it has.
    None where neither is there. answered: the ids of those, where they are read already. UserError
    for damaged files.
    """
    if (folder / FILE).exists():
        return _read(folder)
    if answered is None:
        if not (folder / "predictions.npz").is_file():
            return None
        answered = _answered(folder / "predictions.npz")
    count = len(answered)
    return RunImages(
        answered,
        np.full(count, UNKNOWN, np.uint64),
        np.full(count, TESTED, np.uint8),
        is_whole=False,
    )


def _read(folder: Path) -> RunImages:
    try:
        image_ids, digests, parts = _arrays(folder / FILE, "image_ids", "digests", "parts")
        shapes = {image_ids.shape, digests.shape, parts.shape}
        if shapes != {(len(image_ids),)} or image_ids.dtype.kind != "U":
            raise ValueError
        return RunImages(image_ids, digests.astype(np.uint64), parts.astype(np.uint8))
    # readers of damaged files raise anything
    except Exception:  # noqa: BLE001
        raise UserError(
            f"{folder.name!r} cannot tell its pictures any more: its {FILE} is damaged, and "
            "nothing is known to be held out. Train it anew."
        ) from None


def _answered(path: Path) -> np.ndarray:
    """The ids of the images that a run answered."""
    try:
        (image_ids,) = _arrays(path, "image_ids")
        if image_ids.ndim != 1 or image_ids.dtype.kind != "U":
            raise ValueError
        return image_ids
    except Exception:  # noqa: BLE001
        raise UserError(
            f"The predictions of {path.parent.name!r} are damaged, and nothing else says which "
            "pictures were held out from it."
        ) from None


def _arrays(path: Path, *names: str) -> list[np.ndarray]:
    """Arrays of an .npz file. Raises whatever a damaged file makes NumPy raise."""
    with open_regular(path) as opened, np.load(opened, allow_pickle=False) as file:
        if sum(entry.file_size for entry in file.zip.infolist()) > MAX_UNPACKED:
            raise ValueError
        return [np.asarray(file[name]) for name in names]
