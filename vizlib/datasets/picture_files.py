"""Picture files as the pictures of a split: opened when asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable

import numpy as np

from vizlib.errors import UserError

ENDINGS = {
    *(".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),  # PPM's family
}


class PictureFiles:
    """Picture files as a sequence of uint8 arrays (H, W, 3), each opened when asked for.

    paths: as texts, since tens of thousands of Path objects take a second to make. size: (H, W, 3)
    where all are known to be of one. shape: then that of the array (N, H, W, 3) which they would
    be, else None. levels: the values that are black and white in greys of more
    than 8 bits, where the set has some; without them each picture has its own.
    """

    def __init__(
        self,
        paths: Iterable[str],
        size: tuple[int, int, int] | None = None,
        levels: tuple[float, float] | None = None,
    ) -> None:
        self.paths, self.size, self.levels = list(paths), size, levels

    @property
    def shape(self) -> tuple[int, int, int, int] | None:
        return (len(self.paths), *self.size) if self.size else None

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, image_number: int, /) -> np.ndarray:
        from vizlib.images import OF_FOLDERS, open_image, picture_bytes

        path = self.paths[image_number]
        try:
            return open_image(picture_bytes(path), self.levels, OF_FOLDERS)
        except OSError as error:
            raise UserError(
                f"The picture {os.path.basename(path)!r} cannot be read any more: {error.strerror}."
            ) from error
        except UserError as error:
            folder, name = os.path.split(path)
            raise UserError(f"{os.path.basename(folder)}/{name}: {error}") from error

    def take(self, image_numbers: Iterable[int], /) -> PictureFiles:
        chosen = [self.paths[image_number] for image_number in image_numbers]
        return PictureFiles(chosen, self.size, self.levels)
