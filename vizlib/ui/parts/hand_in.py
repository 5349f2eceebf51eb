"""*Hand in* and *Copy link*, in the same place on every page: what is in view as a file for others,
or as an address.
"""

import hashlib
import tempfile
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import streamlit as st

from vizlib.errors import UserError
from vizlib.hand_in import onnx_file
from vizlib.hand_in.archive import write_zip
from vizlib.hand_in.arrays import file_name
from vizlib.hand_in.gathered import Picture, gather, in_order, layers_at_depths
from vizlib.hand_in.report import report
from vizlib.hand_in.tables import report_of
from vizlib.ui.data import caches, jobs
from vizlib.ui.frame import guard, projector, served
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.widgets import copy_link

OWN = ("upload", "camera")  # sources of pictures that no address holds
OWN_PICTURE = (
    "The picture in view is your own and is not in the link: whoever opens it is asked for another."
)
OWN_TABLE = "A table that was dropped or pasted here is not in the link."
# what is kept for those who have not downloaded it yet
MOST_FILES, MOST_BYTES = 16, 500_000_000
MOST_WEIGHTS = 50_000_000  # bytes, beyond which the zip is made on the command line only
_tidying = threading.Lock()
_again: dict[tuple, int] = {}  # how often what was made had been thrown away, and was asked for


@dataclass(frozen=True)
class Offer:
    """What can be handed in. name: of the files, without their endings. words: what it is of. key:
    tells it from all others. make(ending, path, say): writes it as one of the endings. note: what
    else there is to know.
    """

    name: str
    words: str
    key: tuple
    make: Callable[[str, Path, Callable[[float], None]], None]
    endings: tuple = ("html", "zip")
    note: str = ""


def of_runs(runs, picture, layer_name):
    """The Offer of one run or two. picture: the image_picker.Picture in view, or None; layer_name:
    of the layer in view, or None.
    """
    with_onnx = bool(st.session_state.get("hand_in_onnx"))
    names = _layer_names(runs[0], layer_name)
    shown = picture and Picture(picture.original, picture.title, _truth(runs[0], picture))
    weights = [run.path("model.safetensors") for run in runs if run.has("model.safetensors")]
    is_large = sum(path.stat().st_size for path in weights) > MOST_WEIGHTS
    ids = [run.run_id for run in runs]
    by_command = f"The zip is large: python -m vizlib report {' '.join(ids)} --zip writes it."
    key = tuple(map(_state, runs)), picture and picture.key
    return Offer(
        f"{'-'.join(ids)}-report",
        " and ".join(ids),
        (*key, names, with_onnx),
        partial(_make, key, names, runs, shown, with_onnx),
        ("html",) if is_large else ("html", "zip"),
        by_command if is_large else "",
    )


def _state(run):
    """What tells a run from all others: its files, or while it trains and they change all the time
    the moment that somebody asked.
    """
    moment = st.session_state.get("hand_in_opened")
    files = moment if run.is_active else (run.changed("events.jsonl"), run.changed("config.json"))
    return str(run.folder), files, None if run.is_active else caches.state(run)


def _opened():
    st.session_state.hand_in_opened = uuid.uuid4().hex


def _layer_names(run, layer_name):
    """The layer in view among those at three depths, in the network's order."""
    with suppress(UserError):
        layers = caches.layers(run)
        return tuple(in_order(layers, {layer_name, *layers_at_depths(layers)}))
    return ()


def _truth(run, picture):
    return "" if picture.label is None else run.class_names[picture.label]


def _make(key, layer_names, runs, picture, with_onnx, ending, path, say):
    """Write the report of runs, or the zip of it and of all numbers."""
    gathered, page = _content(key, layer_names, runs, picture, lambda s: say(0.6 * s))
    if ending == "html":
        path.write_text(page, encoding="utf-8")
        return
    with open(path, "wb") as file:
        write_zip(file, gathered, page, with_onnx=with_onnx, say=lambda s: say(0.6 + 0.4 * s))


@st.cache_resource(max_entries=2, show_spinner=False)
def _content(key, layer_names, _runs, _picture, _say):
    """(What is gathered, the page), once for the report and the zip."""
    gathered = gather(_runs, _picture, layer_names, load=caches.model, say=_say)
    return gathered, report(gathered)


def of_table(table, name, ordered):
    """The Offer of a table of answers, a bring.answers.Answers. ordered: whether its classes are
    grades.
    """
    digest = hashlib.sha256(table.labels.tobytes() + table.predicted_labels.tobytes())
    if table.logits is not None:
        digest.update(table.logits.tobytes())

    def make(ending, path, say):
        path.write_text(report_of(table, name, ordered=ordered), encoding="utf-8")

    key = digest.hexdigest(), tuple(table.class_names), name, ordered
    return Offer(f"{file_name(Path(name).stem)}-report", name, key, make, ("html",))


def bar(offer, warning):
    """Draw both, behind the place that is returned, an st.empty().

    offer(): the Offer, or a sentence where there is nothing to hand in yet; None for a page that
    has nothing of the kind. warning: what of this page its address does not hold.
    """
    with st.container(key="of_page", horizontal=True, vertical_alignment="center", gap="small"):
        place = st.empty()
        if offer is not None:
            _popover(offer)
        host, local = served.for_others()
        projector.button()
        copy_link.show(key="copy_link", host=host, local=local, warning=warning)
    return place


def not_in_link(has_table):
    """The warning for what is in view and in no address; empty where all is."""
    if has_table:
        return OWN_TABLE
    return OWN_PICTURE if st.session_state.get("source") in OWN else ""


@st.fragment
def _popover(offer):
    """Nothing is made before it is opened."""
    popover = st.popover("Hand in", key="hand_in", on_change=_opened, width="content")
    with popover, sentences(*guard.IN_PAGE):
        if not popover.open:
            return
        offered = offer()
        if isinstance(offered, str):
            st.info(offered)
            return
        st.markdown(f"**{plain(offered.words)}**, to look at without this app:")
        for ending in offered.endings:
            _download(offered, ending)
        if "zip" in offered.endings:
            _onnx_toggle()
        if offered.note:
            st.caption(plain(offered.note))


def _onnx_toggle():
    lacking = onnx_file.lacking()
    st.toggle(
        "The network as ONNX too",
        key="hand_in_onnx",
        disabled=bool(lacking),
        help=lacking or "In the zip, for other programs; it takes some twenty seconds.",
    )


def _download(offer, ending):
    """The button of one file, once it is made."""
    made = _made((*offer.key, ending), ending, offer.make)
    if made is None:
        return
    path, _ = made
    label = {"html": "Report", "zip": "Everything"}[ending]
    what = {"html": "HTML, one page, opens anywhere", "zip": "zip: page, arrays, weights"}[ending]
    st.download_button(
        f"{label} ({ending.upper()}, {path.stat().st_size / 1e6:.1f} MB)",
        data=path.read_bytes,
        file_name=f"{offer.name}.{ending}",
        mime={"html": "text/html", "zip": "application/zip"}[ending],
        key=f"hand_in_{ending}",
        on_click="ignore",
        help=what,
        width="stretch",
    )


def _made(key, ending, make):
    """(Path of the file, seconds), or None as long as it is being made."""
    words = {"html": "The report", "zip": "The zip"}[ending]
    for _ in range(2):
        work = partial(_write, make, ending)
        made = jobs.result(("hand_in", *key, _again.get(key, 0)), work, words)
        if made is None or made[0].is_file():
            return made
        _again[key] = _again.get(key, 0) + 1
    return None


def _write(make, ending, say):
    """Make a file; only the newest ones are kept."""
    folder = Path(_folder().name)
    path = folder / f"{uuid.uuid4().hex}.{ending}"
    make(ending, path, say)
    with _tidying:
        _tidy(folder)
    return path


def _tidy(folder):
    """Remove all but the newest files, of which the very newest stays."""
    files = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime, reverse=True)
    room = MOST_BYTES
    for number, file in enumerate(files):
        room -= file.stat().st_size
        if number >= MOST_FILES or (number and room < 0):
            file.unlink(missing_ok=True)


@cache
def _folder():
    """Gone when the server ends."""
    return tempfile.TemporaryDirectory(prefix="convscope-hand-in-")
