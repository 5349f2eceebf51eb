"""A file of weights that somebody brings: read beside the page, and what its filters look like."""

import streamlit as st

from vizlib.bring import pretrained, sources
from vizlib.ui.data import jobs
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.widgets import atlas_view

ENDINGS = ["pth", "pt", "ckpt", "th", "tar", "pkl", "bin", "safetensors"]
TALLEST = 420  # CSS pixels of the filters
_BROUGHT = (
    "import_brought"  # (what it was read from, sources.Brought): one a session, as it is large
)


def pick():
    """What is brought, or None where nothing is, or it is not read yet."""
    from_file, from_torchvision = st.tabs(["A file", "torchvision's, by name"])
    with from_file, sentences("the file"):
        dropped = _dropped()
    with from_torchvision, sentences("torchvision's weights"):
        named = _named()
    asked = dropped or named
    if asked is None:
        st.session_state.pop(_BROUGHT, None)
        return None
    key, work, words = asked
    with sentences("the file"):
        return _read(key, work, words)
    return None


def _dropped():
    """(What tells it from others, how to read it, words) of a file dropped in; None without one."""
    limit = st.get_option("server.maxUploadSize")
    file = st.file_uploader(
        f"A checkpoint (PyTorch or safetensors, up to {limit} MB)",
        type=ENDINGS,
        key="import_file",
    )
    st.caption(
        "A state dict, or a checkpoint with one in it. `python -m vizlib import FILE` takes "
        "larger ones too, and with `--module my_net.py:Net` a network of your own class."
    )
    if file is None:
        return None
    part = st.session_state.get("import_part")
    words = f"Reading {file.name}"
    return (
        ("import", file.file_id, part),
        lambda say: sources.from_file(file.getvalue(), part, say, file.name),
        words,
    )


def _named():
    """The same of torchvision's weights by name, once they are asked for."""
    name = st.selectbox(
        "Trained on ImageNet by torchvision",
        pretrained.names(),
        index=None,
        key="import_torchvision",
        placeholder="resnet18, vgg16, vit_b_16 ...",
    )
    if name is None:
        return None
    if not pretrained.is_cached(name):
        size = pretrained.download_bytes(name) / 1e6
        st.info(f"The weights of {name} are not on this machine: {size:,.0f} MB to fetch.")
        if not st.toggle("Fetch them from PyTorch's site", key=f"import_fetch_{name}"):
            return None
    return (
        ("import", "torchvision", name),
        lambda say: sources.from_torchvision(name, say),
        f"Opening {name}",
    )


def _read(key, work, words):
    kept = st.session_state.get(_BROUGHT)
    if kept is not None and kept[0] == key:
        return kept[1]
    st.session_state.pop(_BROUGHT, None)
    result = jobs.result(key, work, words)
    if result is None:
        return None
    st.session_state[_BROUGHT] = key, result[0]
    jobs.forget(key)
    return result[0]


def remarks(brought):
    """What it is, and how sure that is."""
    for candidate in brought.candidates:
        if candidate.is_usable:
            st.markdown(f"#### {plain(brought.name)}: {plain(candidate.title)}")
            break
    st.caption(" ".join(plain(sentence) for sentence in brought.remarks))
    if len(brought.parts) > 1:
        st.selectbox("Which weights of the file", brought.parts, key="import_part")


def first_filters(brought):
    """The filters of the first convolution, before anything is asked."""
    from vizlib.bring.alignment import first_convolution
    from vizlib.displays.filters import FiltersDisplay

    shapes = {name: tuple(tensor.shape) for name, tensor in brought.tensors.items()}
    name = first_convolution(shapes)
    if name is None:
        st.caption("There is no convolution in it.")
        return
    display = FiltersDisplay.from_weight(brought.tensors[name].float().numpy())
    atlas = display.picture() if display.is_colour else display.picture(0)
    units, _, height, width = shapes[name]
    st.markdown(f"**Its first filters**: {units} of {height} × {width}, from {plain(name)}.")
    atlas_view.show(atlas, alt=f"{units} filters of {name}", key="import_filters", tallest=TALLEST)
