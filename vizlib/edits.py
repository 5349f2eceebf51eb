"""A picture changed by hand, as data: moved as a whole, then painted on. The same edits of the same
picture give the same pixels, on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from PIL import Image, ImageFilter

TOOLS = ("draw", "erase", "blur", "restore")
MOST_STROKES = 200
MOST_POINTS = 600  # of one stroke
WIDEST = 256.0  # pixels
SEED = 0  # the noise of one amount is the same noise, so that it does not flicker


@dataclass(frozen=True)
class Moves:
    """What is done to the whole picture: shifted by pixels, turned by degrees to the left about its
    middle, blurred by a deviation in pixels, with noise of a deviation in levels of 255.
    """

    right: float = 0.0
    down: float = 0.0
    turn: float = 0.0
    blur: float = 0.0
    noise: float = 0.0

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """From what a browser sends: each a number within its bounds, 0 for anything else."""
        bounds = dict(right=WIDEST, down=WIDEST, turn=180.0, blur=32.0, noise=128.0)
        read = {name: _bounded(given.get(name), most) for name, most in bounds.items()}
        return cls(**read | {name: max(0.0, read[name]) for name in ("blur", "noise")})


@dataclass(frozen=True)
class Stroke:
    """One stroke of the brush. tool: of TOOLS. size: its diameter in pixels. points: (x, y) in
    pixels of the picture, whose first pixel reaches from 0 to 1. colour: (red, green, blue).
    """

    tool: str
    size: float
    points: tuple[tuple[float, float], ...]
    colour: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self | None:
        """From what a browser sends; None for what is no stroke."""
        points = [_point(one) for one in _listed(given.get("points"))[:MOST_POINTS]]
        kept = tuple(point for point in points if point is not None)
        colour = [int(_bounded(part, 255.0)) for part in _listed(given.get("colour"))[:3]]
        if given.get("tool") not in TOOLS or not kept:
            return None
        red, green, blue = (max(0, part) for part in (*colour, 0, 0, 0)[:3])
        size = max(1.0, _bounded(given.get("size"), WIDEST))
        return cls(str(given["tool"]), size, kept, (red, green, blue))


@dataclass(frozen=True)
class Edits:
    """All that is done to a picture: first the moves, then the strokes one after another."""

    moves: Moves = field(default_factory=Moves)
    strokes: tuple[Stroke, ...] = ()

    def __bool__(self) -> bool:
        return self.moves != Moves() or bool(self.strokes)

    def of(self, picture: np.ndarray, nothing: Sequence[int]) -> np.ndarray:
        """The picture changed, uint8 (H, W, C) as it was. nothing: C levels of what the network
        takes for nothing: what is erased, and what comes in from outside.
        """
        moved = _moved(picture, self.moves, nothing)
        painted = moved
        for stroke in self.strokes:
            painted = _painted(painted, moved, stroke, nothing)
        return painted


def mean_colour(mean: Sequence[float]) -> tuple[int, ...]:
    """The levels that stand nearest to zero once a network's mean, in [0, 1], is taken off."""
    return tuple(round(255 * float(part)) for part in mean)


def under_brush(stroke: Stroke, height: int, width: int) -> np.ndarray:
    """The pixels that a stroke covers, bool (H, W): those whose middle is within half its size of
    its line, and always the ones that its points lie in.
    """
    rows, columns = np.mgrid[:height, :width] + 0.5
    covered = np.zeros((height, width), bool)
    ends = [*stroke.points[1:], stroke.points[-1]]
    for (x, y), (end_x, end_y) in zip(stroke.points, ends, strict=True):
        across, down = end_x - x, end_y - y
        length = across**2 + down**2
        share = ((columns - x) * across + (rows - y) * down) / length if length else 0.0
        share = np.clip(share, 0, 1)
        far = (columns - x - share * across) ** 2 + (rows - y - share * down) ** 2
        covered |= far <= (stroke.size / 2) ** 2
        if 0 <= y < height and 0 <= x < width:
            covered[int(y), int(x)] = True
    return covered


def _painted(
    picture: np.ndarray, before: np.ndarray, stroke: Stroke, nothing: Sequence[int]
) -> np.ndarray:
    covered = under_brush(stroke, *picture.shape[:2])
    if stroke.tool == "draw":
        paint = np.broadcast_to(_in_channels(stroke.colour, picture.shape[2]), picture.shape)
    elif stroke.tool == "erase":
        paint = np.broadcast_to(np.asarray(nothing, np.uint8), picture.shape)
    elif stroke.tool == "restore":
        paint = before
    else:
        paint = _blurred(picture, max(1.0, stroke.size / 4))
    return np.where(covered[..., None], paint, picture)


def _in_channels(colour: Sequence[int], channels: int) -> np.ndarray:
    """A colour as levels (C,): as one grey where the picture is grey."""
    if channels == 3:
        return np.asarray(colour, np.uint8)
    return np.asarray(Image.new("RGB", (1, 1), tuple(colour)).convert("L"), np.uint8)[0]


def _moved(picture: np.ndarray, moves: Moves, nothing: Sequence[int]) -> np.ndarray:
    image = _image(picture)
    fill = tuple(int(part) for part in nothing) if picture.shape[2] == 3 else int(nothing[0])
    if moves.right or moves.down or moves.turn:
        image = image.rotate(
            moves.turn,
            Image.Resampling.BILINEAR if moves.turn else Image.Resampling.NEAREST,
            translate=(round(moves.right), round(moves.down)),
            fillcolor=fill,
        )
    moved = np.asarray(image).reshape(picture.shape)
    if moves.blur:
        moved = _blurred(moved, moves.blur)
    if not moves.noise:
        return moved
    noise = np.random.default_rng(SEED).normal(0, moves.noise, picture.shape)
    return np.clip(np.round(moved + noise), 0, 255).astype(np.uint8)


def _blurred(picture: np.ndarray, deviation: float) -> np.ndarray:
    image = _image(picture).filter(ImageFilter.GaussianBlur(deviation))
    return np.asarray(image).reshape(picture.shape)


def _image(picture: np.ndarray) -> Image.Image:
    return Image.fromarray(np.squeeze(picture, 2) if picture.shape[2] == 1 else picture)


def _bounded(value: Any, most: float) -> float:
    """A number from -most to most; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return 0.0
    return float(min(most, max(-most, value)))


def _point(given: Any) -> tuple[float, float] | None:
    pair = _listed(given)
    return (_bounded(pair[0], 10_000.0), _bounded(pair[1], 10_000.0)) if len(pair) == 2 else None


def _listed(given: Any) -> list:
    return list(given) if isinstance(given, (list, tuple)) else []
