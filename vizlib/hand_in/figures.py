"""Figures in a page: where each stands, and what the page's script draws there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vizlib.hand_in.markup import Html, joined, tag

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from vizlib.displays.atlas import Atlas

NARROW = 560  # CSS pixels, below which a figure's narrow form is drawn
WIDEST_TILE = 112  # CSS pixels


class Figures:
    """Those of one page, by the id of the script that holds each one's numbers."""

    def __init__(self) -> None:
        self._contents: dict[str, Any] = {}

    def plot(self, figure: go.Figure, **variants: go.Figure) -> Html:
        """A Plotly figure. variants: how it is drawn where that is another way, "dark", "narrow" or
        "narrow_dark".
        """
        drawn = {"wide": figure, **variants}
        name = self._keep({key: _without_template(each) for key, each in drawn.items()})
        height = figure.layout.height or 400  # type: ignore[attr-defined]
        style = f"min-height:{height}px"
        return tag("div", cls="plot", data_figure=name, data_narrow=NARROW, style=style)

    def atlas(self, atlas: Atlas, alt: str) -> Html:
        """An Atlas as one picture with its crosses, its colour bar, and what the tile pointed at
        says.
        """
        name = self._keep(
            {"columns": atlas.columns, "rows": atlas.rows, "labels": list(atlas.labels)}
        )
        image = tag("img", src=atlas.data_url, alt=alt)
        widest = f"max-width:{atlas.columns * WIDEST_TILE}px"
        sheet = tag("div", image, _crosses(atlas), cls="sheet")
        return tag("figure", sheet, _bar(atlas), cls="atlas", data_labels=name, style=widest)

    def scripts(self) -> Html:
        """The elements that hold all of these numbers."""
        return joined(
            (
                tag("script", Html(_in_script(content)), type="application/json", id=name)
                for name, content in self._contents.items()
            ),
            "\n",
        )

    def _keep(self, content: Any) -> str:
        name = f"figure-{len(self._contents) + 1}"
        self._contents[name] = content
        return name


def _without_template(figure: go.Figure) -> dict[str, Any]:
    """What a figure holds, but for Plotly's usual colours: the page has its own."""
    content = json.loads(figure.to_json() or "{}")
    content["layout"].pop("template", None)
    return content


def _in_script(content: Any) -> str:
    """JSON that ends no script element, whatever its texts are."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _crosses(atlas: Atlas) -> Html:
    lines = (
        tag("line", x1=f"{x1:.2f}", y1=f"{y1:.2f}", x2=f"{x2:.2f}", y2=f"{y2:.2f}")
        for x1, y1, x2, y2 in atlas.cross_lines()
    )
    box = f"0 0 {atlas.columns} {atlas.rows}"
    return tag("svg", *lines, viewBox=box, preserveAspectRatio="none", aria_hidden="true")


def _bar(atlas: Atlas) -> Html:
    """What the colours mean, and room for what a tile says."""
    tip, colours = tag("span", cls="tip"), atlas.bar_colours()
    if not colours:
        return tag("div", tip, cls="bar")
    ramp = tag(
        "span", cls="ramp", style=f"background:linear-gradient(to right,{','.join(colours)})"
    )
    low, high = atlas.bar_ends()
    return tag("div", low, ramp, high, tip, cls="bar")
