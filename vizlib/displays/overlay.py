"""Colours laid over a picture, which stays to be seen in grey: where a unit answers, what speaks
for a class.
"""

import numpy as np

LIGHT = 0.75  # of the picture's, so that the colours stand out
MOST = 0.75  # of a colour where it is strongest: the picture is never quite covered


def laid_over(received: np.ndarray, strength: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colours over the image in grey, the more the stronger: uint8 (H, W, 3).

    received: uint8 (H, W, 1 or 3), what the network got. strength: (H, W), in [0, 1]. colours:
    uint8 (H, W, 3).
    """
    grey = received.mean(axis=2, keepdims=True) * LIGHT
    share = MOST * strength[..., None]
    return np.round(grey * (1 - share) + colours * share).astype(np.uint8)
