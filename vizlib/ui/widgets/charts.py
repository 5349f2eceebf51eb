"""Charts that are redrawn without a blink."""

import streamlit as st

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


def steady(figure, *, key, on_select=None, **given):
    """st.plotly_chart, whose last figure stays in sight until the new one is drawn.

    Streamlit takes a changed figure for another chart and builds it anew, which leaves its place
    empty for a tenth of a second or more. on_select: called with the key of the chart that was
    clicked.
    """
    number, before = _numbered(figure, key)
    container = st.container(key=f"{key}_places")
    container.html(_STYLE.format(key=key, now=number, before=number - 1))
    drawn = [(number - 1, before), (number, figure)]
    # each stays where it is in the page when the next one comes
    for drawn_number, drawn_figure in drawn if number % 2 else reversed(drawn):
        if drawn_figure is None:
            container.empty()
            continue
        chart = f"{key}_{drawn_number}"
        picked = (lambda chart=chart: on_select(chart)) if on_select else "ignore"
        container.plotly_chart(drawn_figure, width="stretch", key=chart, on_select=picked, **given)


def _numbered(figure, key):
    """(How many figures of this key were drawn before, the last one that was another, or None)."""
    seen, spec = st.session_state.setdefault("charts", {}), figure.to_json()
    number, last_spec, last, before = seen.get(key, (0, spec, figure, None))
    if spec != last_spec:
        number, before = number + 1, last
    seen[key] = number, spec, figure, before
    return number, before


def is_dark():
    """Whether the reader's theme is dark."""
    return st.context.theme.type == "dark"


def forget():
    """Keep no figure: another page has been opened, and what stood there before would flash up."""
    st.session_state.pop("charts", None)
