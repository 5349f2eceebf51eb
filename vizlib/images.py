"""Pictures from outside: opened safely, prepared for a network, written as PNG; and a few
photographs that installed packages bring.
"""

from __future__ import annotations

import importlib.util
import io
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vizlib.errors import UserError, unknown
from vizlib.files import open_regular

if TYPE_CHECKING:
    import torch

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
OF_FOLDERS = (*FORMATS, "PPM")  # what is read of data sets: old ones come so
MAX_BYTES = 50_000_000
# Pillow's own limit is 179 million, which is over 800 MB of memory from a file of 172 kB
MAX_PIXELS = 25_000_000
# JPEG alone can be read at a half, a quarter or an eighth of its sides without the rest of it in
# memory, unless it comes in passes
MAX_REDUCED = 100_000_000
TILE_WIDTH, TILE_LENGTH = 322, 323  # tags of TIFF
# how light an edge is, and the mean of a set, that is mostly paper
LIGHT_EDGE, LIGHT_MEAN = 0.7, 0.65
ROWS_AT_ONCE = 256  # of a picture that is scaled


def open_image(
    data: bytes,
    levels: tuple[float, float] | None = None,
    formats: Sequence[str] = FORMATS,
) -> np.ndarray:
    """The first frame of a picture file, as it is meant to be seen: uint8 (H, W, 3).

    data: the file's bytes; the format is told by content. Turned as EXIF says, transparency over
    white, greys of more than 8 bits stretched so that the least value is black and the greatest
    white: its own, or those of `levels`, which make the pictures of one set comparable. UserError
    if it is no such picture, damaged, over 50 MB or over 25 million pixels; the size is looked at
    before any pixel is unpacked, and so is what a file would unpack besides. A JPEG of up to 100
    million pixels is read smaller, as `look` says.
    """
    return opened(data, levels, formats)[0]


@dataclass(frozen=True)
class Looked:
    """What is known of a picture file that can be opened. height, width: as `open_image` gives it.
    low, high: the least and greatest value of a grey of more than 8 bits, else None. is_reduced:
    whether it is read smaller than it is.
    """

    height: int
    width: int
    low: float | None
    high: float | None
    is_reduced: bool


def look(data: bytes, formats: Sequence[str] = FORMATS) -> Looked:
    """What there is to know of the picture that `open_image` gives of the same bytes, decoded once;
    the same UserErrors.
    """
    return opened(data, None, formats)[1]


def opened(
    data: bytes,
    levels: tuple[float, float] | None = None,
    formats: Sequence[str] = FORMATS,
) -> tuple[np.ndarray, Looked]:
    """What `open_image` gives, and what `look` says of it, decoded once for both."""
    with _checked(data, formats) as (picture, is_reduced):
        pixels = _as_rgb(picture, levels)
        height, width, _ = pixels.shape
        low, high = _ends(np.asarray(picture)) if _is_deep(picture) else (None, None)
        return pixels, Looked(height, width, low, high, is_reduced)


@contextmanager
def _checked(data: bytes, formats: Sequence[str]) -> Iterator[tuple[Image.Image, bool]]:
    """The first frame of a picture, turned as EXIF says, once all is looked at that costs memory;
    and whether it is read smaller than it is. UserError, as `open_image` says, also for what goes
    wrong within.
    """
    _check_bytes(len(data))
    try:
        with Image.open(io.BytesIO(data), formats=formats) as picture:
            is_reduced = _reduce(picture)
            _check_size(*picture.size)
            _check_tiles(picture)
            ImageOps.exif_transpose(picture, in_place=True)
            yield picture, is_reduced
    except UserError:
        raise
    except Image.DecompressionBombError:
        raise _too_large("over 170 million") from None
    except UnidentifiedImageError:
        raise UserError(
            f"This is not a picture that can be read here. Possible: {', '.join(formats)}."
        ) from None
    # Pillow's readers raise whatever they stumble over in a damaged file: OSError, SyntaxError,
    # struct.error ...
    except Exception as error:
        raise UserError(
            "This picture is damaged or incomplete. Save it again as PNG or JPEG, or choose "
            "another."
        ) from error


def picture_bytes(path: str | os.PathLike) -> bytes:
    """The bytes of a picture file, of one that is too large no more than shows that it is. OSError
    if it cannot be read, or is no regular file: opening a named pipe waits for ever.
    """
    with open_regular(path) as file:
        return file.read(MAX_BYTES + 1)


def _check_bytes(count: int) -> None:
    if count == 0:
        raise UserError("This file is empty. Choose a picture file.")
    if count > MAX_BYTES:
        raise UserError(
            f"This file has {count / 1e6:.0f} MB; pictures of up to "
            f"{MAX_BYTES // 1_000_000} MB can be opened."
        )


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise UserError("This picture has no pixels. Choose another.")
    if width * height > MAX_PIXELS:
        raise _too_large(f"{width:,} x {height:,}")


def _reduce(picture: Image.Image) -> bool:
    """Let a JPEG that is too large be read at the largest share of its sides that is not, and
    whether it is.
    """
    width, height = picture.size
    is_plain = picture.format == "JPEG" and not picture.info.get("progressive")
    if not is_plain or not MAX_PIXELS < width * height <= MAX_REDUCED:
        return False
    share = next(share for share in (2, 4, 8) if width * height <= share**2 * MAX_PIXELS)
    picture.draft("RGB", (-(-width // share), -(-height // share)))
    return True


def _check_tiles(picture: Image.Image) -> None:
    """UserError for a TIFF whose tiles hold more pixels than pictures may have: a small picture in
    one huge tile is unpacked whole.
    """
    tags = getattr(picture, "tag_v2", None) or {}
    if TILE_WIDTH not in tags or TILE_LENGTH not in tags:
        return
    stored = 1
    for side, tile in zip(picture.size, (tags[TILE_WIDTH], tags[TILE_LENGTH]), strict=True):
        stored *= -(-side // max(1, tile)) * tile
    if stored > MAX_PIXELS:
        raise UserError(
            f"This picture is stored in tiles of {stored:,} pixels; up to "
            f"{MAX_PIXELS // 1_000_000} million can be opened. Save it again as PNG."
        )


def _too_large(pixels: str) -> UserError:
    return UserError(
        f"This picture has {pixels} pixels; up to {MAX_PIXELS // 1_000_000} million can be "
        "opened. Make it smaller first."
    )


def _as_rgb(picture: Image.Image, levels: tuple[float, float] | None) -> np.ndarray:
    # Pillow would clip these at 255: nearly all of a 16-bit picture would be white
    if _is_deep(picture):
        grey = _stretched(np.asarray(picture), levels)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.has_transparency_data:
        picture = _over_white(picture)
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _over_white(picture: Image.Image) -> Image.Image:
    ground = Image.new("RGB", picture.size, "white")
    picture = picture if picture.mode in ("RGBA", "LA") else picture.convert("RGBA")
    opacity = picture.getchannel("A")
    ground.paste(picture.convert("RGB"), mask=opacity)
    return ground


def _is_deep(picture: Image.Image) -> bool:
    """Whether it is a grey of more than 8 bits."""
    return picture.mode.startswith(("I", "F"))


def _ends(values: np.ndarray) -> tuple[float, float]:
    """(least, greatest) of a picture's values; NaN where one is none."""
    return float(values.min()), float(values.max())


def _stretched(values: np.ndarray, levels: tuple[float, float] | None) -> np.ndarray:
    own = _ends(values)
    low, high = levels or own
    if not np.isfinite([low, high, *own]).all():
        raise UserError(
            "This picture holds values that are not numbers. Save it again as PNG or JPEG."
        )
    scale = 255 / (high - low) if high > low else 0.0
    stretched = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        part = np.subtract(values[rows], low, dtype=np.float64) * scale
        stretched[rows] = np.round(part.clip(0, 255))
    return stretched


def photograph_names() -> tuple[str, ...]:
    """Names of the photographs that can be had here with no download, a tuple."""
    return tuple(name for name, path in _photograph_paths().items() if path.is_file())


def photograph(name: str) -> np.ndarray:
    """A photograph of that name, uint8 (H, W, 3). UserError if there is none."""
    if name not in photograph_names():
        raise unknown("photograph", name, photograph_names())
    return open_image(_photograph_paths()[name].read_bytes())


@lru_cache
def _photograph_paths() -> dict[str, Path]:
    """Ours, and those that scikit-learn brings, which are found without importing it."""
    paths = {
        name: Path(__file__).parent / "photographs" / f"{name}.jpg"
        for name in ("cat", "coffee", "astronaut", "rocket")
    }
    package = importlib.util.find_spec("sklearn")
    if package and package.origin:
        folder = Path(package.origin).parent / "datasets" / "images"
        paths |= {"flower": folder / "flower.jpg", "temple": folder / "china.jpg"}
    return paths


def fit(picture: np.ndarray, image_size: Sequence[int], *, whole: bool = False) -> np.ndarray:
    """A picture cut and resized to what a network takes: uint8 (H, W, C) of the given size (C, H,
    W), with C 1 or 3.

    The middle is cut out in the input's proportions and resized; or, where it is to be seen
    `whole`, what those proportions lack is black. A picture of the right size keeps every bit.
    """
    channels, height, width = image_size
    picture = _with_channels(picture, channels)
    if whole:
        picture = _bordered(picture, height, width)
    return np.ascontiguousarray(_resized(picture, height, width).reshape(height, width, channels))


def shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture uint8 (H, W, C) made smaller, if need be, so that neither height nor width is over
    `side`: uint8 (h, w, C).
    """
    if max(picture.shape[:2]) <= side:
        return picture
    small = Image.fromarray(np.squeeze(picture, 2) if picture.shape[2] == 1 else picture)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small).reshape(small.height, small.width, -1)


def to_network_input(
    picture: np.ndarray,
    input_size: tuple[int, int, int],
    mean: Sequence[float],
    std: Sequence[float],
    *,
    whole: bool = False,
) -> tuple[np.ndarray, torch.Tensor]:
    """What a network receives for a picture.

    picture: uint8 (H, W), (H, W, 1) or (H, W, 3). input_size: (C, H, W) with C 1 or 3. mean, std: C
    numbers each, for values in [0, 1]. Returns received, uint8 (H, W, C), the very pixels that the
    tensor encodes, and the tensor (1, C, H, W), float32, normalised. The picture is made to fit as
    `fit` says. UserError for other shapes.
    """
    import torch

    channels = input_size[0]
    received = fit(picture, input_size, whole=whole)
    scaled = torch.from_numpy(received.copy()).permute(2, 0, 1)[None].to(torch.float32) / 255
    means, stds = (
        torch.tensor(values, dtype=torch.float32).reshape(1, channels, 1, 1)
        for values in (mean, std)
    )
    return received, ((scaled - means) / stds).contiguous()


def _with_channels(picture: np.ndarray, channels: int) -> np.ndarray:
    """uint8 (H, W) for one channel, (H, W, 3) for three."""
    picture = _drawable(picture)
    if channels not in (1, 3):
        raise UserError(
            f"This network wants {channels} channels; pictures can be given to networks of 1 or 3."
        )
    if channels == 3 and picture.ndim == 2:
        return np.repeat(picture[..., None], 3, axis=2)
    if channels == 1 and picture.ndim == 3:
        return np.array(Image.fromarray(picture).convert("L"))
    return picture


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    if picture.shape[:2] == (height, width):
        return picture
    full_height, full_width = picture.shape[:2]
    crop_height, crop_width = _middle(full_height, full_width, height, width)
    top, left = (full_height - crop_height) // 2, (full_width - crop_width) // 2
    cropped = Image.fromarray(
        np.ascontiguousarray(picture[top : top + crop_height, left : left + crop_width])
    )
    # Lanczos averages over all pixels when shrinking and is smooth when enlarging; BOX would
    # enlarge to blocks, whose edges excite conv1.
    return np.array(cropped.resize((width, height), Image.Resampling.LANCZOS))


def _bordered(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A picture (H, W, ...) in the middle of black, in the proportions of the last two."""
    full_height, full_width = picture.shape[:2]
    missing = (
        max(0, math.ceil(full_width * height / width) - full_height),
        max(0, math.ceil(full_height * width / height) - full_width),
    )
    borders = [(count // 2, count - count // 2) for count in missing]
    return np.pad(picture, borders + [(0, 0)] * (picture.ndim - 2))


def _middle(full_height: int, full_width: int, height: int, width: int) -> tuple[int, int]:
    """(height, width) of the largest part of a picture in the proportions of the last two."""
    return (
        max(1, min(full_height, round(full_width * height / width))),
        max(1, min(full_width, round(full_height * width / height))),
    )


def cut_share(height: int, width: int, image_size: Sequence[int]) -> float:
    """The share of a picture (height, width) that `fit` cuts off for a network's (C, H, W), in
    [0, 1).
    """
    kept_height, kept_width = _middle(height, width, image_size[1], image_size[2])
    return 1 - kept_height * kept_width / (height * width)


def inverted_suits(picture: np.ndarray, mean: Sequence[float]) -> bool:
    """Whether a picture uint8 (H, W, C) would look more like those that a network was trained on if
    it were inverted: light around its edge, as a digit drawn in black, where theirs are dark, or
    the other way round. mean: theirs by channel, in [0, 1].
    """
    edge = np.concatenate([picture[[0, -1]].ravel(), picture[:, [0, -1]].ravel()])
    light, usual = float(np.median(edge)) / 255, float(np.mean(mean))
    return (light > LIGHT_EDGE and usual < 1 - LIGHT_MEAN) or (
        light < 1 - LIGHT_EDGE and usual > LIGHT_MEAN
    )


def _drawable(array: np.ndarray) -> np.ndarray:
    """uint8 (H, W) or (H, W, 3), from those or (H, W, 1); UserError for anything else."""
    array = np.asarray(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if (
        array.dtype != np.uint8
        or array.size == 0
        or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3))
    ):
        raise UserError(
            f"A picture is uint8 (H, W), (H, W, 1) or (H, W, 3); this is {array.dtype} "
            f"{array.shape}."
        )
    return array


def whole_factor(picture: np.ndarray, side: int) -> int:
    """The whole number that a picture (H, W, ...) can be enlarged by so that neither height nor
    width is over `side` pixels; 1 where it is larger itself.
    """
    return max(1, side // max(picture.shape[:2]))


def enlarged(picture: np.ndarray, factor: int) -> np.ndarray:
    """A picture (H, W, ...) in which each pixel is `factor` x `factor` large, sharp."""
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def sharp_png(picture: np.ndarray, side: int) -> bytes:
    """PNG bytes of a picture as `png_bytes` takes it, enlarged by a whole factor to at most `side`
    pixels; one that is larger stays as it is.
    """
    return png_bytes(picture, whole_factor(picture, side))


def png_bytes(array: np.ndarray, scale: int = 1) -> bytes:
    """An array uint8 (H, W), (H, W, 1) or (H, W, 3) as the bytes of a PNG file, each pixel `scale`
    x `scale` large, sharp.
    """
    if scale != int(scale) or scale < 1:
        raise UserError(f"The enlargement is a whole number from 1; this is {scale}.")
    picture = Image.fromarray(enlarged(_drawable(array), int(scale)))
    file = io.BytesIO()
    # twice as fast as the default, hardly larger
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()
