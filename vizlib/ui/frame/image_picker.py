"""The image in view: chosen in the sidebar, kept across pages, written in the address."""

import hashlib
from dataclasses import dataclass

import numpy as np
import streamlit as st

from vizlib.datasets import data_root, reader_of
from vizlib.errors import UserError
from vizlib.images import (
    cut_share,
    fit,
    inverted_suits,
    opened,
    photograph,
    photograph_names,
    sharp_png,
    shrunk,
)
from vizlib.ui.data import caches, not_yet
from vizlib.ui.frame.address import chosen, whole_number
from vizlib.ui.frame.cut import not_seen
from vizlib.ui.frame.plain import plain

SOURCES = ("photograph", "data set", "upload", "camera")
# pixels a side of a picture that somebody brings: more than any network takes, and thirty sessions
# fit in memory
LARGEST_KEPT = 1024
MOST_MB = 50  # of a file that is dropped: checkpoints alone may have as much as the server takes


@dataclass(frozen=True)
class Picture:
    """The image in view. received: uint8 (H, W, C), what the network gets; original: the picture as
    it came.
    """

    original: np.ndarray
    received: np.ndarray
    title: str
    label: int | None = None  # the true class, where it is known
    scale: str = ""  # a sentence on how its greys of more than 8 bits were made 8

    @property
    def key(self):
        return hashlib.sha1(self.received.tobytes()).hexdigest()


def pick_image(run):
    """The Picture in view, fitted to the run's network, or None where none is chosen yet."""
    here = caches.has_pictures(run)
    fits_photographs = run.input_size[1] >= 16
    default = "photograph" if fits_photographs or not here else "data set"
    source = chosen("Image from", SOURCES, key="source", default=default, word="source of images")
    try:
        picture = _SOURCES[source](run)
    except UserError as error:
        st.error(plain(error))
        return None
    if picture is not None:
        _draw(picture, run)
    return picture


def _draw(picture, run):
    """The picture as it came, and as the network gets it."""
    left, right = st.columns(2)
    left.image(
        _thumbnail(hashlib.sha1(picture.original.tobytes()).hexdigest(), picture.original),
        caption="the picture",
        alt=f"the picture: {picture.title}",
        output_format="PNG",
    )
    size = " × ".join(map(str, picture.received.shape[:2]))
    right.image(
        _thumbnail(picture.key, picture.received),
        caption=f"what the network gets: {size}",
        alt="what the network receives",
        output_format="PNG",
    )
    words = not_seen(cut_share(*picture.original.shape[:2], run.input_size), "the picture")
    if words and not run.config.whole:
        st.caption(f"{words.capitalize()}.")
    if picture.scale:
        st.caption(picture.scale)


def ask_for_one() -> None:
    """What a page says that shows nothing without an image."""
    st.info("Choose an image in the sidebar: a photograph, one of the data set, or one of yours.")


def _from_photographs(run):
    name = chosen("Photograph", photograph_names(), key="photo")
    original = _photograph(name)
    return Picture(original, received(original, run), name)


@st.cache_resource(max_entries=16, show_spinner=False)
def _photograph(name):
    return photograph(name)


def _from_data_set(run):
    name = run.config.dataset
    if not name:
        error = not_yet.without(run, "data")
        st.info(plain(error), icon=error.icon)
        return None
    if not caches.has_pictures(run):
        return offer_download(name, "sidebar")
    data = caches.dataset(run)
    class_name = chosen("Class", data.class_names, key="label")
    label = data.class_names.index(class_name)
    split = caches.held_out(run)
    image_numbers = np.flatnonzero(split.labels == label)
    if not len(image_numbers):
        raise UserError(f"There is no held-out image of the class {class_name!r}.")
    index = whole_number(
        f"Held-out image, of {len(image_numbers):,}", len(image_numbers) - 1, key="index"
    )
    original, title = split.pictures[int(image_numbers[index])], f"{class_name} {index}"
    if which := caches.from_which(run):
        title = f"{title} {which}"
        say_which(run, f"Pictures {which}.", "sidebar")
    return Picture(original, received(original, run), title, label)


def say_which(run, sentence: str, where: str) -> None:
    """Say in a sentence that the pictures are only those that ship, with the way to all. where: as
    in offer_download.
    """
    st.caption(sentence)
    reader = reader_of(run.config.dataset)
    if reader.download is not None:
        _offer(reader, "Download all", where)


def offer_download(name: str, where: str) -> None:
    """Say that a data set is missing, with a button that fetches it where it can be fetched, or
    else what to do. UserError for a name of none.

    where: a word that tells one such button on a page from another.
    """
    reader = reader_of(name)
    if reader.download is None:
        st.info(plain(f"The data set {name!r} is not on this machine. {reader.missing}"))
        return
    st.info(plain(f"The data set {name!r} is not on this machine."))
    _offer(reader, "Download it", where)


def _offer(reader, words, where):
    """The button that fetches a data set."""
    size = f" ({reader.download_bytes / 1e6:.0f} MB)" if reader.download_bytes else ""
    if st.button(
        f"{words}{size}",
        key=f"download {reader.name} {where}",
        help="From its makers' site, once; nothing else in this app uses the network.",
    ):
        _download(reader)


def _download(reader):
    bar = st.progress(0.0, "downloading")
    reader.download(data_root(), say=lambda share: bar.progress(share, f"downloading, {share:.0%}"))
    caches.dataset_names.clear()
    st.rerun()


def _from_upload(run):
    file = st.file_uploader(
        "A picture of yours",
        type=["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"],
        key="upload",
        max_upload_size=MOST_MB,
    )
    return _brought(run, file, "upload")


def _from_camera(run):
    return _brought(run, st.camera_input("Look into the camera", key="camera"), "camera")


def _brought(run, file, source):
    """The picture just brought, or the last one brought this way in this session; it stays on this
    computer.
    """
    key = f"brought_{source}"
    levels = tuple(run.config.levels or ()) or None
    known_by = file and (file.file_id, levels)
    if known_by and st.session_state.get(key, (None,))[0] != known_by:
        st.session_state[key] = known_by, *_opened(file.getvalue(), levels)
    if key not in st.session_state:
        return None
    _, brought, scale = st.session_state[key]
    original = _inverted(brought, run)
    return Picture(original, received(original, run), "your picture", scale=scale)


def _opened(data, levels):
    """The picture in a file, small enough to be kept, and on which scale its greys of more than 8
    bits are; an empty text where it has none. levels: what was black and white in training.
    """
    pixels, looked = opened(data, levels)
    picture = shrunk(pixels, LARGEST_KEPT)
    if looked.low is None:
        return picture, ""
    whose = "of the training pictures" if levels else "that it has itself"
    low, high = levels or (looked.low, looked.high)
    return picture, f"Black is {low:g} and white {high:g}: the scale {whose}."


def received(picture, run):
    """What the run's network gets of a picture, uint8 (H, W, C)."""
    return fit(picture, run.input_size, whole=run.config.whole)


def _inverted(original, run):
    """The picture, its darks and lights swapped where that is asked for: offered where it then
    looks more like what the network was trained on.
    """
    if not inverted_suits(original, run.config.mean):
        return original
    is_asked = st.toggle(
        "Invert",
        key="invert",
        persist_state="session",
        help="The edge of this picture is as light as the training pictures are dark, or the other "
        "way round, as with a digit drawn in black on white.",
    )
    return 255 - original if is_asked else original


_SOURCES = {
    "photograph": _from_photographs,
    "data set": _from_data_set,
    "upload": _from_upload,
    "camera": _from_camera,
}


@st.cache_data(max_entries=256, show_spinner=False)
def _thumbnail(key, _picture):
    """PNG bytes of about 200 pixels: small pictures enlarged to sharp pixels, large ones shrunk."""
    picture = shrunk(_picture, 300)
    return sharp_png(picture, 200)
