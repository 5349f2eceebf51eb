"""HTML that is safe by the way it is made: whatever is not Html itself is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

VOID = ("br", "img")  # elements without an end


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element: its children one after another, its attributes by name, of which "cls" is the
    class, an underscore a hyphen, and None is left out. What is no Html is escaped.
    """
    written = "".join(
        f' {key.replace("cls", "class").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def joined(parts: Iterable[object], between: str = "") -> Html:
    """Parts one after another, each escaped unless it is Html."""
    return Html(
        between.join(
            part if isinstance(part, Html) else html.escape(str(part), quote=False)
            for part in parts
        )
    )


def table(
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Sequence[int] = (),
    cls: str | None = None,
) -> Html:
    """A table under a header, in a frame that scrolls sideways where it is too wide. numbers: the
    columns of numbers, from 0, which stand at the right.
    """

    def line(name: str, cells: Sequence[object]) -> Html:
        return tag(
            "tr",
            *(
                tag(name, cell, cls="number" if column in numbers else None)
                for column, cell in enumerate(cells)
            ),
        )

    head = tag("thead", line("th", header)) if any(header) else ""
    body = tag("tbody", *(line("td", cells) for cells in rows))
    return tag("div", tag("table", head, body, cls=cls), cls="scrolls")
