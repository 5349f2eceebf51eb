"""The model and the image in view: chosen in the sidebar, kept across pages, written in the
address.
"""

import hashlib
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from vizlib.datasets import data_root, reader_of
from vizlib.errors import UserError, unknown
from vizlib.images import fit, open_image, photograph, photograph_names, png_bytes, shrunk
from vizlib.ui import caches

OPENS_ON = "resnet32"
# in the sidebar, and in the address of each page
OF_ALL_PAGES = ("model", "source", "photo", "label", "index")
SOURCES = ("photograph", "data set", "upload", "camera")
# pixels a side of a picture that somebody brings: more than any network takes, and thirty sessions
# fit in memory
LARGEST_KEPT = 1024
_KEPT = dict(bind="query-params", persist_state="session")


@dataclass(frozen=True)
class Picture:
    """The image in view. received: uint8 (H, W, C), what the network gets; original: the picture as
    it came.
    """

    original: np.ndarray
    received: np.ndarray
    title: str
    label: int | None = None  # the true class, where it is known

    @property
    def key(self):
        return hashlib.sha1(self.received.tobytes()).hexdigest()


def plain(text):
    """Text from files as Markdown that shows it letter by letter: names must not become links,
    pictures or styles.
    """
    return "".join(
        "\\" + letter if letter in "\\`*_{}[]()<>#+-.!|$~:" else letter for letter in str(text)
    )


def chosen(label, options, *, key, default=None, notes=None, help=None, word=None):
    """A selectbox whose value is kept and in the address.

    A value in the address that does not exist is named in a sentence, in the container `notes` or
    just above the box, until another one is chosen; `word` is what a value is called there (the
    label, if left out). A value kept from before that is not possible any more, as a layer of
    another model is, gives way to the default.
    """
    default = default if default in options else options[0]
    as_addressed(key, default, lambda text: text if text in options else None)
    wanted = st.query_params.get(key) if key not in st.session_state else None
    refused, here = (
        st.session_state.setdefault("refused", {}),
        get_script_run_ctx().page_script_hash,
    )
    if wanted and wanted not in options:
        refused[key] = (
            here,
            default,
            plain(unknown(word or label.lower(), wanted, _near(wanted, options))),
        )
    # a page that follows a training is drawn again each second
    if key in refused and refused[key][:2] == (here, st.session_state.get(key, default)):
        (notes or st).warning(refused[key][2])
    else:
        refused.pop(key, None)
    if key in st.session_state and st.session_state[key] not in options:
        st.session_state[key] = (
            # which also corrects the address; the widget's own reset would leave it as it was
            default
        )
    return st.selectbox(
        label, options, index=list(options).index(default), key=key, help=help, **_KEPT
    )


def chosen_beside(run, label, options, *, key, default, **words):
    """chosen(), for what stands beside the run in view: another run brings its own default with it,
    unless a hand has put something else there.
    """
    before, st.session_state[f"{key}_of"] = (
        st.session_state.get(f"{key}_of", (None, None)),
        (run.run_id, default),
    )
    if before[0] != run.run_id and st.session_state.get(key) == before[1] is not None:
        st.session_state[key] = default
    return chosen(label, options, key=key, default=default, **words)


def _near(wanted, options):
    """The options most like a wrong name, or the first ones."""
    near = get_close_matches(wanted, options, n=8, cutoff=0.3) or list(options)[:8]
    return [*near, "..."] if len(near) < len(options) else options


def whole_number(label, highest, *, key, place=st):
    """A number from 0 to `highest`, kept and in the address; 0 if the one kept is too high.
    UserError for an address that is none.
    """
    as_addressed(key, 0, lambda text: int(text) if text.isdecimal() and len(text) < 16 else None)
    if key in st.session_state and st.session_state[key] > highest:
        st.session_state[key] = 0
    try:
        return int(place.number_input(label, 0, highest, key=key, **_KEPT))
    except (OverflowError, ValueError) as error:  # what Streamlit makes of ?unit=1e400
        raise UserError(
            f"{key!r} in the address is no whole number from 0 to {highest}: remove it, or "
            "open the page from the menu."
        ) from error


def as_addressed(key, default, possible):
    """On a page just opened, by a link or by Back, the address says what is chosen; what it does
    not name has its default.

    Streamlit would keep what was chosen on the page before, or on this one when it was left.
    possible(text): the value that a text of the address stands for, None if there is none such.
    """
    if st.session_state.get("just_opened"):
        wanted = st.query_params.get(key)
        value = default if wanted is None else possible(wanted)
        if value is not None:
            st.session_state[key] = value


def held_out(data, row):
    """What a link says to put a held-out image in view: the parameters of its address. row: in the
    data set's test images.
    """
    labels = data.splits["test"].labels
    return dict(
        source="data set",
        label=data.class_names[labels[row]],
        index=int(np.sum(labels[:row] == labels[row])),
    )


def pick_run():
    """The run in view. UserError if there is none at all."""
    found, _ = caches.run_list()
    if not found:
        raise UserError(
            "There is no model yet: train one with python -m vizlib train --architecture "
            "lenet --data digits."
        )
    by_id = {run.run_id: run for run in found}
    before = st.session_state.get("model")
    if before is not None and before not in by_id:
        st.warning(plain(f"The model {before!r} is not there any more."))
    return by_id[
        chosen(
            "Model",
            list(by_id),
            key="model",
            default=OPENS_ON,
            help="A shipped model, or one of yours from runs/.",
        )
    ]


def pick_image(run):
    """The Picture in view, fitted to the run's network, or None where none is chosen yet."""
    here = run.config["dataset"] in caches.dataset_names()
    fits_photographs = run.input_size[1] >= 16
    default = "photograph" if fits_photographs or not here else "data set"
    source = chosen("Image from", SOURCES, key="source", default=default, word="source of images")
    try:
        picture = _SOURCES[source](run)
    except UserError as error:
        st.error(plain(error))
        return None
    if picture is None:
        return None
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
    return picture


def _from_photographs(run):
    name = chosen("Photograph", photograph_names(), key="photo")
    original = _photograph(name)
    return Picture(original, fit(original, run.input_size), name)


@st.cache_resource(max_entries=16, show_spinner=False)
def _photograph(name):
    return photograph(name)


def _from_data_set(run):
    name = run.config["dataset"]
    if name not in caches.dataset_names():
        return offer_download(name, "sidebar")
    data = caches.dataset(run)
    class_name = chosen("Class", data.class_names, key="label")
    label = data.class_names.index(class_name)
    rows = np.flatnonzero(data.splits["test"].labels == label)
    if not len(rows):
        raise UserError(f"There is no held-out image of the class {class_name!r}.")
    index = whole_number(f"Held-out image, of {len(rows):,}", len(rows) - 1, key="index")
    original = data.splits["test"].pictures[int(rows[index])]
    return Picture(original, fit(original, run.input_size), f"{class_name} {index}", label)


def offer_download(name, place):
    """Say that a data set is missing, with a button that fetches it where it can be fetched, or
    else what to do. UserError for a name of none.

    place: a word that tells one such button on a page from another.
    """
    reader = reader_of(name)
    if reader.download is None:
        st.info(plain(f"The data set {name!r} is not on this machine. {reader.missing}"))
        return
    st.info(plain(f"The data set {name!r} is not on this machine."))
    if st.button(
        "Download it (170 MB)",
        key=f"download {name} {place}",
        help="From its makers' site, once; nothing else in this app uses the network.",
    ):
        bar = st.progress(0.0, "downloading")
        reader.download(
            data_root(), say=lambda share: bar.progress(share, f"downloading, {share:.0%}")
        )
        caches.dataset_names.clear()
        st.rerun()


def _from_upload(run):
    file = st.file_uploader(
        "A picture of yours",
        type=["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff"],
        key="upload",
    )
    return _brought(run, file, "upload")


def _from_camera(run):
    return _brought(run, st.camera_input("Look into the camera", key="camera"), "camera")


def _brought(run, file, source):
    """The picture just brought, or the last one brought this way in this session; it stays on this
    computer.
    """
    key = f"brought_{source}"
    if file is not None and st.session_state.get(key, (None,))[0] != file.file_id:
        st.session_state[key] = file.file_id, shrunk(open_image(file.getvalue()), LARGEST_KEPT)
    if key not in st.session_state:
        return None
    original = st.session_state[key][1]
    return Picture(original, fit(original, run.input_size), "your picture")


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
    return png_bytes(picture, max(1, 200 // max(picture.shape[:2])))
