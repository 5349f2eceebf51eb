"""How clear a picture is, for choosing one that is worth looking at. Imports NumPy alone."""

import numpy as np

BORDER = 8  # a picture's side over this is how wide its border is
UNREST = 1.5  # what a border that is not even costs, beside what stands out before it


def clarity(picture: np.ndarray) -> float:
    """How well something stands out before an even border in a picture uint8 (H, W, C): how far the
    inside is from the border's colour, root mean square, less how uneven the border is; both in
    levels of 255.
    """
    height, width = picture.shape[:2]
    wide = max(1, min(height, width) // BORDER)
    is_border = np.ones((height, width), bool)
    is_border[wide:-wide, wide:-wide] = False
    border, inside = picture[is_border].astype(float), picture[~is_border].astype(float)
    if not inside.size:
        return -float(border.std())
    stands_out = np.sqrt(((inside - border.mean(axis=0)) ** 2).mean())
    return float(stands_out - UNREST * border.std(axis=0).mean())
