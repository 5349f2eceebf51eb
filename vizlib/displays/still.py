"""A chart of lines as a picture in a file, where there is no browser to draw it."""

from __future__ import annotations

import html
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.axes import Axes

INCHES = (9.6, 5.4)
DOTS = 160  # an inch
DASHES = {"dot": ":", "dash": "--"}
MARKERS = {"star": "*"}


def still(figure: go.Figure, kind: str) -> bytes:
    """A figure of lines, as CurvesDisplay.plot() makes it, as "png" or "svg"."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    drawn: dict[str, Any] = figure.to_plotly_json()
    # a name with dollars is no formula
    with matplotlib.rc_context({"text.parse_math": False}):
        drawing = Figure(INCHES, layout="constrained")
        axes = drawing.subplots()
        for trace in drawn["data"]:
            _draw(axes, trace)
        x_axis, y_axis = drawn["layout"]["xaxis"], drawn["layout"]["yaxis"]
        axes.set_xlabel(html.unescape(x_axis["title"]["text"]))
        axes.set_ylabel(html.unescape(y_axis["title"]["text"]))
        axes.set_yscale(y_axis["type"])
        if "tickformat" in y_axis:
            axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
        axes.grid(alpha=0.3)
        if axes.has_data():
            drawing.legend(loc="outside upper center", ncols=2, frameon=False, fontsize="small")
        file = io.BytesIO()
        drawing.savefig(
            file, format=kind, dpi=DOTS, metadata={} if kind == "png" else {"Date": None}
        )
    return file.getvalue()


def _draw(axes: Axes, trace: dict[str, Any]) -> None:
    line, marker = trace.get("line", {}), trace.get("marker", {})
    has_points = "markers" in trace.get("mode", "")
    y = [float("nan") if value is None else value for value in trace["y"]]
    axes.plot(
        trace["x"],
        y,
        label=_label(trace),
        color=line.get("color") or marker.get("color"),
        linewidth=0.75 * line.get("width", 2),
        linestyle=DASHES.get(line.get("dash", ""), "-") if "lines" in trace["mode"] else "",
        alpha=trace.get("opacity"),
        marker=MARKERS.get(marker.get("symbol", ""), "o") if has_points else None,
        markersize=0.75 * marker.get("size", 4),
    )


def _label(trace: dict[str, Any]) -> str | None:
    """Its entry in the legend; matplotlib leaves those out that begin with "_"."""
    name = html.unescape(trace.get("name", ""))
    return name if not name.startswith("_") else f" {name}"
