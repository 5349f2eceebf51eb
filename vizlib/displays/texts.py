"""Names in charts: Plotly draws tags and links in its texts, and names come from files."""

import html


def untagged(name: str, most: int | None = None) -> str:
    """A name as a chart shows it, letter by letter; at most so many of its letters."""
    return html.escape(name[:most], quote=False)
