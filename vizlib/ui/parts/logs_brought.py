"""Logs from elsewhere on the page of curves: dropped or pasted, kept for the session, summed up."""

from dataclasses import replace

import streamlit as st

from vizlib.bring.logs import MAX_BYTES, read_bytes
from vizlib.displays.curves import OF_TEST, QUANTITIES
from vizlib.errors import UserError
from vizlib.ui.frame.image_picker import MOST_MB
from vizlib.ui.frame.plain import plain

HOW = f"""A TensorBoard event file, a table of figures (CSV, or a log.txt with a line of names),
JSON lines, trainer_state.json or a history in JSON, up to {MAX_BYTES // 1_000_000} MB. A zip of a
log folder keeps its runs apart, and their training and validation together."""
KEPT, PROBLEMS, DRAWN = "logs_kept", "logs_problems", "logs_drawn"
TURN, READ = "logs_turn", "logs_read"  # which uploader stands there; the text read last
MOST_KEPT = 50
PASTED = "pasted"


def pick():
    """(The logs to draw, whether alone), from an expander that takes files and text."""
    with st.expander("A log from elsewhere", icon=":material/upload_file:"):
        _ask()
        for problem in st.session_state.get(PROBLEMS, ()):
            st.error(plain(problem))
        kept = st.session_state.get(KEPT, {})
        if not kept:
            return [], False
        drawn = st.multiselect("Logs drawn", list(kept), key=DRAWN, persist_state="session")
        with st.container(horizontal=True, vertical_alignment="center"):
            alone = st.toggle("Without the run in view", key="logs_alone", persist_state="session")
            st.button("Forget these logs", on_click=_forget)
    return [kept[name] for name in drawn], alone and bool(drawn)


def _ask():
    """Take what is dropped or pasted. An uploader that was emptied is another one: what it held is
    kept, also when the page is left.
    """
    st.caption(HOW)
    left, right = st.columns(2, gap="large")
    turn = st.session_state.get(TURN, 0)
    with left:
        files = st.file_uploader(
            "Files, or a zip of a folder",
            accept_multiple_files=True,
            key=f"logs_files_{turn}",
            max_upload_size=MOST_MB,
        )
    with right:
        text = st.text_area(
            "or paste it", key="logs_text", height=110, placeholder="epoch,loss,val_loss"
        )
    brought = [(file.name, file.getvalue()) for file in files]
    if text.strip() and text != st.session_state.get(READ):
        st.session_state[READ] = text
        brought.append((PASTED, text.encode(errors="replace")))
    if brought:
        with st.spinner("Reading the log"):
            _read(brought)
        st.session_state[TURN] = turn + 1
        st.rerun()


def _read(files):
    """Read files into the logs that are kept, and draw those that are new."""
    st.session_state[PROBLEMS] = problems = []
    kept = st.session_state.setdefault(KEPT, {})
    for name, data in files:
        try:
            brought = read_bytes(name, data)
        except UserError as error:
            problems.append(str(error))
            continue
        problems += brought.remarks
        for log in brought.logs:
            kept_name = _unused(log.name, kept)
            kept[kept_name] = replace(log, name=kept_name)
            st.session_state[DRAWN] = [*st.session_state.get(DRAWN, ()), kept_name]
            _turn_to(log)
    while len(kept) > MOST_KEPT:
        kept.pop(next(iter(kept)))
    st.session_state[DRAWN] = [name for name in st.session_state.get(DRAWN, ()) if name in kept]


def _turn_to(log):
    """Choose a quantity that a log has, where it has not the one in view."""
    known = {*log.by_epoch, *log.by_step}
    possible = [
        quantity
        for quantity, keys in QUANTITIES.items()
        if known & {*keys, *(OF_TEST.get(key) for key in keys)}
    ]
    if possible and st.session_state.get("quantity", "accuracy") not in possible:
        st.session_state["quantity"] = possible[0]


def _unused(name, kept):
    """A name that no log has: what is pasted again takes the place of what was."""
    if name == PASTED:
        kept.pop(name, None)
    again = (f"{name} ({number})" for number in range(2, len(kept) + 3))
    return next(each for each in (name, *again) if each not in kept)


def _forget():
    for key in (KEPT, PROBLEMS, DRAWN):
        st.session_state.pop(key, None)


def beside(logs, runs):
    """Logs by names that are none of the runs'."""
    names = {run.run_id for run in runs}
    return [replace(log, name=f"{log.name} (log)") if log.name in names else log for log in logs]


def pick_other(logs):
    """A metric of the logs by its own name, to be drawn instead of the quantity, or ""."""
    names = sorted({name for log in logs for name in log.others})
    if not names:
        return ""
    if st.session_state.get("logs_metric") not in (None, *names):
        del st.session_state["logs_metric"]
    is_all = not any(log.by_epoch or log.by_step for log in logs)
    chosen = st.selectbox(
        "Another metric of the logs",
        names,
        index=0 if is_all else None,
        key="logs_metric",
        placeholder="the quantity above",
        width=260,
    )
    return chosen or ""


def show(log):
    """How a log was understood: a line, and what else there is to say."""
    st.markdown(f"**{plain(log.name)}**: {plain(log.summary)}.")
    if log.remarks:
        st.caption(plain(" ".join(log.remarks)))
