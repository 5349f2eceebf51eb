"""A number over a training as a line the size of a word: no axes, no text, drawn from numbers only.

Colours that are seen on white and on black; as a picture inside the page it needs no request of its
own.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from math import isfinite

WIDTH, HEIGHT = 120, 36
POINTS = 90  # more would not be seen at this size
COLOURS = {"loss": "#ea580c", "accuracy": "#0891b2"}


def sparkline(points: Iterable[tuple[float, float]], highest: float, colour: str) -> str:
    """An <img> of points (x in [0, 1], y in [0, highest]): it grows to the right as x does. Values
    that are no numbers are left out.
    """
    marks = _path(f"M2 {HEIGHT - 1}H{WIDTH - 2}", 'stroke="#808080" opacity=".35" stroke-width="1"')
    corners = _corners(points, highest)
    if corners:
        line = "L".join(corners)
        first, last = (corner.split()[0] for corner in (corners[0], corners[-1]))
        foot = f"L{last} {HEIGHT - 1}L{first} {HEIGHT - 1}Z"
        marks += f'<path d="M{line}{foot}" fill="{colour}" opacity=".12"/>'
        marks += _path(f"M{line}", f'stroke="{colour}" stroke-width="1.6"')
        marks += _path(f"M{corners[-1]}h0", f'stroke="{colour}" stroke-width="5"')
    size = (
        f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'preserveAspectRatio="none"'
    )
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{marks}</svg>'
    # decoded before it is shown: one that takes its place later would flicker at each redraw
    return (
        '<img alt="" decoding="sync" src="data:image/svg+xml;base64,'
        f'{b64encode(drawing.encode()).decode()}" '
        f'style="display:block;width:100%;height:{HEIGHT}px">'
    )


def _corners(points: Iterable[tuple[float, float]], highest: float) -> list[str]:
    """At most POINTS of them, evenly spread, as points of the drawing: "x y"."""
    if not highest > 0:
        return []
    seen = [
        (min(max(x, 0.0), 1.0), min(max(y / highest, 0.0), 1.0))
        for x, y in points
        if isfinite(x) and isfinite(y)
    ]
    if len(seen) > POINTS:
        last = len(seen) - 1
        seen = [seen[round(number * last / (POINTS - 1))] for number in range(POINTS)]
    return [f"{2 + x * (WIDTH - 4):.1f} {HEIGHT - 2 - y * (HEIGHT - 4):.1f}" for x, y in seen]


def _path(course: str, style: str) -> str:
    return (
        f'<path d="{course}" {style} fill="none" stroke-linecap="round" stroke-linejoin="round" '
        'vector-effect="non-scaling-stroke"/>'
    )
