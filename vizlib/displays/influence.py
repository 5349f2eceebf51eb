"""How much each pixel of a picture moves a value, as colours to lay over the picture."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from vizlib.displays.atlas import HEAT, palette

STRONGEST = 235  # of 255: how opaque the pixel of most influence is


def heat_png(influence: np.ndarray) -> bytes:
    """PNG bytes, one pixel for each of the picture's: no influence is transparent, the most of all
    bright and nearly opaque.

    influence: float (H, W), not negative. Colour and opacity follow the root of the share of the
    largest: influence falls off like a bell, and only so its skirts are seen too.
    """
    most = influence.max()
    share = np.sqrt(influence / most) if most > 0 else np.zeros_like(influence)
    level = np.round(share * 254).astype(np.uint8)
    opacity = np.round(share * STRONGEST).astype(np.uint8)[..., None]
    file = io.BytesIO()
    Image.fromarray(np.concatenate([palette(HEAT)[level], opacity], axis=2)).save(
        file, "PNG", compress_level=1
    )
    return file.getvalue()
