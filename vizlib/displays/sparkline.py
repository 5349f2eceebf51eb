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
    seen = (
        [
            (min(max(x, 0.0), 1.0), min(max(y / highest, 0.0), 1.0))
            for x, y in points
            if isfinite(x) and isfinite(y)
        ]
        if highest > 0
        else []
    )
    seen = (
        [seen[round(number * (len(seen) - 1) / (POINTS - 1))] for number in range(POINTS)]
        if len(seen) > POINTS
        else seen
    )
    corners = [f"{2 + x * (WIDTH - 4):.1f} {HEIGHT - 2 - y * (HEIGHT - 4):.1f}" for x, y in seen]
    style = (
        'fill="none" stroke-linecap="round" stroke-linejoin="round" '
        'vector-effect="non-scaling-stroke"'
    )
    marks = (
        f'<path d="M2 {HEIGHT - 1}H{WIDTH - 2}" stroke="#808080" opacity=".35" stroke-width="1" '
        f"{style}/>"
    )
    if corners:
        line, last = "L".join(corners), seen[-1][0]
        foot = f"L{2 + last * (WIDTH - 4):.1f} {HEIGHT - 1}L{corners[0].split()[0]} {HEIGHT - 1}Z"
        marks += f'<path d="M{line}{foot}" fill="{colour}" opacity=".12"/>'
        marks += f'<path d="M{line}" stroke="{colour}" stroke-width="1.6" {style}/>'
        marks += f'<path d="M{corners[-1]}h0" stroke="{colour}" stroke-width="5" {style}/>'
    size = (
        f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'preserveAspectRatio="none"'
    )
    drawing = b64encode(
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{marks}</svg>'.encode()
    ).decode()
    # decoded before it is shown: one that takes its place later would flicker at each redraw
    return (
        f'<img alt="" decoding="sync" src="data:image/svg+xml;base64,{drawing}" '
        f'style="display:block;width:100%;height:{HEIGHT}px">'
    )
