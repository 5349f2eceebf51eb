"""The pictures of a data set: some of each class, their sizes, and one of them as a file, as a
network's input, and as it is shown.
"""

import numpy as np
import streamlit as st

from vizlib.errors import UserError
from vizlib.images import cut_share, fit, sharp_png, shrunk
from vizlib.ui.data import caches
from vizlib.ui.frame.address import chosen, whole_number
from vizlib.ui.frame.cut import not_seen
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import charts

ALL = "all classes"
MOST_CLASSES = 12  # with a row each


def samples(name, state, dataset):
    """A row of pictures of each class, or many of one."""
    st.markdown("#### Pictures by class")
    left, right = st.columns(2)
    with left:
        part = chosen("Split", list(dataset.splits), key="split", default="train")
    with right:
        class_name = chosen("Pictures of", [ALL, *dataset.class_names], key="of", word="class")
    labels = range(len(dataset.class_names))[:MOST_CLASSES]
    if class_name != ALL:
        labels = [dataset.class_names.index(class_name)]
    display = caches.class_samples(name, state, part, tuple(labels))
    _rows(dataset, caches.class_sheets(name, state, part, tuple(labels)), labels)
    more = len(dataset.class_names) - MOST_CLASSES
    said = f" The first {MOST_CLASSES} classes; choose one for the others." if more > 0 else ""
    caption(
        f"{name}, {part}: drawn evenly from each class, whole, in the middle of a square.{said}",
        f"{name}-{part}-samples",
        png=display.picture().png,
        csv=display.csv,
    )


def _rows(dataset, sheets, labels):
    """The names of the classes, and the pictures in one sheet for each."""
    for label, sheet in zip(labels, sheets, strict=True):
        st.markdown(f"**{plain(dataset.class_names[label])}**")
        if sheet is None:
            st.caption("There is none in this split.")
            continue
        png, width = sheet
        alt = f"pictures of {dataset.class_names[label]}"
        st.image(png, alt=alt, output_format="PNG", width=width)


def sizes(name, state):
    st.markdown("#### Sizes")
    display = caches.picture_sizes(name, state)
    st.markdown(plain(display.sentence))
    if len(display.counts) > 1:
        charts.steady(charts.drawn(display.plot), key="data_sizes", config=charts.CAMERA)
        caption("Height and width of all pictures, as shown.", f"{name}-sizes", csv=display.csv)


def one_picture(dataset):
    """A picture as the file has it, the tensor a network gets, and that tensor shown."""
    st.markdown("#### What a network gets")
    part = st.session_state.get("split") or "train"
    split = dataset.splits.get(part, dataset.splits["train"])
    number = whole_number(f"Picture, of {len(split):,}", len(split) - 1, key="picture")
    try:
        picture = split.pictures[number]
    except UserError as error:
        st.warning(plain(error))
        return
    received = fit(picture, dataset.image_size)
    tensor = (received / 255 - np.array(dataset.mean)) / np.array(dataset.std)
    shown = [
        (shrunk(picture, 400), f"the file: {_size(picture)}"),
        (_stretched(tensor), f"the tensor: {_shape(tensor)}, {_range(tensor)}"),
        (received, f"shown: {_size(received)}"),
    ]
    for column, (pixels, words) in zip(st.columns(3), shown, strict=True):
        column.image(
            sharp_png(pixels, 240), alt=words, caption=words, output_format="PNG", width=240
        )
    class_name = dataset.class_names[int(split.labels[number])]
    words = not_seen(cut_share(*picture.shape[:2], dataset.image_size), "it")
    whole = f" {words.capitalize()}." if words else ""
    st.caption(f"{plain(split.image_ids[number])}, of the class {plain(class_name)}.{whole}")


def _size(picture):
    return f"{picture.shape[0]} × {picture.shape[1]}"


def _shape(tensor):
    height, width, channels = tensor.shape
    return f"{channels} × {height} × {width}"


def _range(tensor):
    return f"from {tensor.min():.2f} to {tensor.max():.2f}"


def _stretched(tensor):
    """Values as colours: the least is black, the greatest white."""
    low, high = tensor.min(), tensor.max()
    scale = 255 / (high - low) if high > low else 0
    return np.round((tensor - low) * scale).astype(np.uint8)
