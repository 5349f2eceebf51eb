"""An address that others can open, and the code of it for their telephones."""

from __future__ import annotations

import io
from urllib.parse import urlsplit, urlunsplit

import segno
import streamlit as st

from vizlib.errors import UserError
from vizlib.ui.frame import served

LOCAL = ("localhost", "127.0.0.1", "::1")
LONGEST = 2000  # characters of an address: more make a code too fine for a camera across a room
_PIXELS = 12  # of a module, enlarged by the browser without a blur


def home() -> tuple[str, str]:
    """(The address under which others reach the app, a sentence on that): the one that the browser
    shows, and where that is of this machine alone the machine's name in its network.
    """
    scheme, host, path = _shown()
    if host.rpartition(":")[0].strip("[]") not in LOCAL and host not in LOCAL:
        return f"{scheme}://{host}{path}", "Whoever reaches this server can open it."
    for_others, sentence = served.for_others()
    name = for_others or served.network_name()
    port = host.rpartition(":")[2] if ":" in host.rpartition("]")[2] else ""
    if not name:
        return f"{scheme}://{host}{path}", sentence
    return f"{scheme}://{name}{f':{port}' if port else ''}{path}", sentence


def address(base: str, view: str) -> str:
    """The address of a view below the app's own. view: as it was copied from a browser, or only
    what follows the app's address. UserError for a text that is no address.
    """
    parts = urlsplit(view.strip())
    if parts.scheme not in ("", "http", "https") or any(sign in view.strip() for sign in " \n\t"):
        raise UserError(
            f"{view.strip()[:60]!r} is no address of this app: copy one from its pages."
        )
    if parts.netloc and (parts.hostname or "") not in LOCAL:
        return _checked(urlunsplit(parts))
    root = urlsplit(base)
    page = parts.path.rpartition("/")[2]
    path = f"{root.path.rstrip('/')}/{page}"
    return _checked(urlunsplit((root.scheme, root.netloc, path, parts.query, "")))


def code(text: str) -> bytes:
    """A QR code as PNG bytes, with the white border that cameras need."""
    picture = io.BytesIO()
    segno.make(text, error="m", micro=False).save(picture, kind="png", scale=_PIXELS, border=4)
    return picture.getvalue()


def draw(text: str, *, width: int | str = "stretch") -> None:
    """The code of an address, and the address to be read and typed."""
    st.image(code(text), alt=f"QR code of {text}", width=width, output_format="PNG")
    st.code(text, language=None, wrap_lines=True)


def _checked(text: str) -> str:
    if len(text) > LONGEST:
        raise UserError(
            f"This address has {len(text):,} characters; a code that cameras can read across a "
            f"room holds at most {LONGEST:,}."
        )
    return text


def _shown() -> tuple[str, str, str]:
    """(Scheme, host with port, path of the app) of the address that the browser shows."""
    parts = urlsplit(st.context.url or "http://localhost:8501/")
    base = str(st.get_option("server.baseUrlPath")).strip("/")
    return parts.scheme, parts.netloc, f"/{base}" if base else ""
