"""Charts: each figure made once for all who look at it, and redrawn without a blink."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from vizlib.ui.data.kept import kept

if TYPE_CHECKING:
    import plotly.graph_objects as go

# saves twice as many pixels as are on the screen
CAMERA = {"displaylogo": False, "toImageButtonOptions": {"scale": 2}}
CAMERA_ONLY = CAMERA | {"modeBarButtons": [["toImage"]]}
_STYLE = """<style>
.st-key-{key}_places {{display: grid; grid-template-columns: minmax(0, 1fr)}}
.st-key-{key}_places > * {{grid-area: 1 / 1; visibility: hidden; min-width: 0}}
.st-key-{key}_places > .st-key-{key}_{before} {{visibility: visible}}
.st-key-{key}_places:has(.st-key-{key}_{now} .main-svg) > .st-key-{key}_{before}
  {{visibility: hidden}}
.st-key-{key}_places > .st-key-{key}_{now} {{visibility: visible}}
</style>"""


@dataclass(frozen=True)
class Drawn:
    """A figure that all sessions share, so never changed, and what it is as JSON."""

    figure: go.Figure
    spec: str


def drawn(plot: Callable[..., go.Figure], *shown: Any, **named: Any) -> Drawn:
    """The figure that plot(*shown, **named) makes, made once for all who look at the same: Plotly
    takes 20 to 30 milliseconds for one, in which no other page is drawn.

    plot: a function of a module, or a method of a Display. What it draws is told by its content,
    which is pickled in a tenth of that time.
    """
    content = hashlib.blake2b(pickle.dumps((plot, shown, named)), digest_size=16).digest()
    return _made(content, lambda: plot(*shown, **named))


@kept(lambda argument: argument if isinstance(argument, bytes) else None)
def _made(content: bytes, make: Callable[[], go.Figure]) -> Drawn:
    figure = make()
    return Drawn(figure, figure.to_json())


def steady(chart: Drawn, *, key, on_select=None, **given):
    """st.plotly_chart, whose last figure stays in sight until the new one is drawn.

    Streamlit takes a changed figure for another chart and builds it anew, which leaves its place
    empty for a tenth of a second or more. on_select: called with the key of the chart that was
    clicked.
    """
    number, before = _numbered(chart, key)
    container = st.container(key=f"{key}_places")
    container.html(_STYLE.format(key=key, now=number, before=number - 1))
    both = [(number - 1, before), (number, chart)]
    # each stays where it is in the page when the next one comes
    for its_number, each in both if number % 2 else reversed(both):
        if each is None:
            container.empty()
            continue
        name = f"{key}_{its_number}"
        picked = (lambda name=name: on_select(name)) if on_select else "ignore"
        container.plotly_chart(each.figure, width="stretch", key=name, on_select=picked, **given)


def _numbered(chart: Drawn, key: str) -> tuple[int, Drawn | None]:
    """(How many figures of this key were drawn before, the last one that was another, or None)."""
    seen = st.session_state.setdefault("charts", {})
    number, last, before = seen.get(key, (0, chart, None))
    if chart.spec != last.spec:
        number, before = number + 1, last
    seen[key] = number, chart, before
    return number, before


def is_dark():
    """Whether the reader's theme is dark."""
    return st.context.theme.type == "dark"


def forget():
    """Keep no figure: another page has been opened, and what stood there before would flash up."""
    st.session_state.pop("charts", None)
