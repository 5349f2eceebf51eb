"""Bring a data set: a zip, or pictures class by class; and remove one that came so."""

from pathlib import PurePath

import streamlit as st

from vizlib.bring import data_sets
from vizlib.errors import UserError
from vizlib.images import FORMATS
from vizlib.ui.data import caches
from vizlib.ui.frame import who
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.image_picker import MOST_MB
from vizlib.ui.frame.plain import plain

MOST_TOGETHER = 100_000_000  # bytes of the pictures dropped class by class, which lie in memory
_CLASSES = "data_classes"  # what was dropped so far: {class name: [(file name, bytes), ...]}
_SAID = "data_said"


def show(key):
    """The ways to bring one. key: of the widget that chooses the data set, which then shows it."""
    for kind, sentence in st.session_state.pop(_SAID, ()):
        {"success": st.success, "warning": st.warning}[kind](plain(sentence))
    with st.expander(
        "Bring your own pictures", icon=":material/upload:", key="data_bring", on_change="rerun"
    ):
        from_zip, by_class = st.tabs(["A zip", "Class by class"])
        with from_zip, sentences("the zip"):
            _zip(key)
        with by_class, sentences("these pictures"):
            _by_class(key)


def _zip(key):
    file = st.file_uploader(
        "A zip of pictures", type=["zip"], key="data_zip", max_upload_size=MOST_MB
    )
    st.caption(
        "A folder for each class, also below train, val and test; or one table (picture, label) "
        f"beside a folder of pictures. Up to {MOST_MB} MB here; `python -m vizlib data add FILE` "
        f"takes larger ones, {data_sets.LIMITS}. It stays on this computer."
    )
    if file is None:
        return
    name = st.text_input("Name", PurePath(file.name).stem[:60], max_chars=60, key="data_zip_name")
    if st.button("Make it a data set", type="primary", key="data_zip_make"):
        bar = st.progress(0.0, "unpacking")
        _take(
            data_sets.add_zip(
                file, name, lambda share: bar.progress(share, f"unpacking, {share:.0%}")
            ),
            key,
        )


def _by_class(key):
    classes = st.session_state.setdefault(_CLASSES, {})
    with st.form("data_class", clear_on_submit=True, border=False):
        class_name = st.text_input("Class", max_chars=60, key="data_class_name")
        files = st.file_uploader(
            "Its pictures",
            type=[kind.lower() for kind in (*FORMATS, "JPG", "TIF")],
            accept_multiple_files=True,
            key="data_class_files",
            max_upload_size=MOST_MB,
        )
        if st.form_submit_button("Add the class"):
            _add_class(classes, class_name, files)
    if not classes:
        st.caption("Name a class, drop its pictures; then the next one. Two classes make a set.")
        return
    counts = ", ".join(f"{plain(name)} ({len(files):,})" for name, files in classes.items())
    st.markdown(f"So far: {counts}.")
    name = st.text_input("Name of the set", "my-pictures", max_chars=60, key="data_by_class_name")
    make, forget = st.columns(2)
    if forget.button("Begin anew", key="data_by_class_forget"):
        classes.clear()
        st.rerun()
    if make.button(
        "Make the set", type="primary", disabled=len(classes) < 2, key="data_by_class_make"
    ):
        _take(data_sets.add_pictures(classes, name), key)


def _add_class(classes, class_name, files):
    """Keep the pictures of one class; more of the same name are added to it."""
    folder_name = data_sets.folder_name_of(class_name)
    if not files:
        raise UserError("Drop the pictures of the class, then add it.")
    kept = sum(len(data) for pictures in classes.values() for _, data in pictures)
    if kept + sum(file.size for file in files) > MOST_TOGETHER:
        raise UserError(
            f"Class by class up to {MOST_TOGETHER // 1_000_000} MB are possible: make a zip of "
            "the class folders instead."
        )
    classes.setdefault(folder_name, []).extend((file.name, file.getvalue()) for file in files)


def _take(brought, key):
    """Show what has come."""
    state = st.session_state
    state[_SAID] = [
        (
            "success",
            f"{brought.name}: {brought.files:,} files, {brought.unpacked_bytes / 1e6:,.1f} MB.",
        ),
        *(("warning", each.sentence) for each in brought.left_out),
    ]
    state.pop(_CLASSES, None)
    caches.dataset_names.clear()
    caches.dataset_problems.clear()
    caches.unusable_datasets.clear()
    state[key] = brought.name
    st.rerun()


def offer_removal(name, key):
    """A button that removes a data set that came so; nothing for any other."""
    if not data_sets.is_removable(name) or not who.is_teacher():
        return
    with st.popover("Remove", icon=":material/delete:"):
        st.markdown(f"Delete the files of **{plain(name)}** from this computer?")
        st.button("Delete them", key="data_remove", on_click=_remove, args=(name, key))


def _remove(name, key):
    state = st.session_state
    try:
        data_sets.remove(name)
        state[_SAID] = [("success", f"{name} is removed.")]
    except UserError as error:
        state[_SAID] = [("warning", str(error))]
    caches.dataset_names.clear()
    state.pop(key, None)
