"""The check in one minute: from a table of answers, of whatever model, to the matrix, the verdict,
and how good the probabilities are.
"""

import streamlit as st

from vizlib.bring.answers import MAX_BYTES, read_answers
from vizlib.displays.confusion import ConfusionDisplay
from vizlib.run import certainty
from vizlib.run.verdict import judge
from vizlib.ui import page
from vizlib.ui.data import caches
from vizlib.ui.frame import status
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import confused, hand_in, verdict_box
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import charts

HOW = """A line for each image: its label, and what a model answered; if there are any, a column
with the probability of each class. With a header or without, words or numbers:

    label,prediction,prob_cat,prob_dog
    cat,dog,0.31,0.69
"""
MOST_LISTED = 20


def show(run, picture):
    status.title("Check")
    st.markdown("Does a model answer one class only? Its answers are enough to see.")
    left, right = st.columns([1.2, 1], gap="large")
    with left:
        data, name = brought(run)
    with right:
        st.markdown(HOW)
    ordered = st.toggle(
        "The classes are grades, one above the other",
        key="ordered",
        bind="query-params",
        persist_state="session",
        help="Then an answer one grade off is nearer than one three grades off.",
    )
    if data is not None:
        with sentences():
            check(data, name, ordered)


def brought(run):
    """(The bytes of a table, what it is called), or (None, "")."""
    st.file_uploader(
        f"A table of answers (CSV, up to {MAX_BYTES // 1_000_000} MB)",
        type=["csv", "tsv", "txt"],
        key="answers_file",
        max_upload_size=MAX_BYTES // 1_000_000,
    )
    st.text_area("or paste it", key="answers_text", height=110, placeholder="cat,dog")
    has_own = st.session_state.answers_file is not None or st.session_state.answers_text.strip()
    if not has_own and run.has("predictions.npz"):
        st.toggle(f"Show it with the answers of {plain(run.run_id)}", key="answers_example")
    return in_view(run)


def in_view(run):
    """The same, by what the boxes hold."""
    file, text = st.session_state.get("answers_file"), st.session_state.get("answers_text", "")
    if file is not None:
        return file.getvalue(), file.name
    if text.strip():
        return text.encode(errors="replace"), "pasted"
    if st.session_state.get("answers_example") and run.has("predictions.npz"):
        return caches.answers_table(run), f"{run.run_id}.csv"
    return None, ""


def handed_in(run):
    """The report of the table, or a sentence where there is none."""
    data, name = in_view(run)
    if data is None:
        return "Drop a table here, or paste one: its report can be handed in then."
    return hand_in.of_table(read(data), name, bool(st.session_state.get("ordered")))


@st.cache_data(max_entries=8, show_spinner="Reading the table")
def read(data):
    return read_answers(data)


def check(data, name, ordered):
    answers = read(data)
    for remark in answers.remarks:
        st.caption(plain(remark))
    confusion, unanswered = answers.confusion(), answers.unanswered()
    verdict = judge(confusion, answers.class_names, ordered=ordered, unanswered=unanswered)
    verdict_box.show(name, verdict)
    display = ConfusionDisplay(confusion, answers.class_names)
    matrix, tables = st.columns([1.5, 1], gap="medium")
    with matrix:
        charts.steady(
            charts.drawn(display.plot, dark=charts.is_dark()),
            key="check_matrix",
            config=charts.CAMERA_ONLY,
        )
        caption(f"{name}: {len(answers.labels):,} answers.", f"{name}-confusion", csv=display.csv)
    with tables:
        confused.tables(display, unanswered, "check")
        st.caption(verdict_box.figures(verdict, len(answers.class_names), ordered))
        st.caption(confused.figures(confusion, unanswered, answers.predictions, ordered))
    if confused.has_probabilities(answers.predictions):
        certain(answers, name)


def certain(answers, name):
    """What the probabilities say: how sure and how right, and which lines to look at again."""
    st.markdown("#### How sure it is, and how often right")
    confused.how_sure(answers.predictions, name)
    left, right = st.columns(2, gap="medium")
    names = answers.class_names
    with left:
        st.markdown("**The most confident mistakes**")
        numbers, confidence = certainty.confident_mistakes(answers.predictions)
        taken = answers.predictions.predicted_labels[numbers]
        lines(answers, numbers, [names[label] for label in taken], confidence, "how sure")
    with right:
        st.markdown("**Labels that the model finds unlikely**")
        numbers, taken, margins = certainty.unlikely_labels(answers.predictions)
        lines(answers, numbers, [names[label] for label in taken], margins, "by how much")


def lines(answers, numbers, taken, figures, word):
    """The first lines of a list: which answer of the table, its label, the class it is taken for, a
    figure.
    """
    if not len(numbers):
        st.caption("There are none.")
        return
    st.dataframe(
        {
            "answer": [int(number) + 1 for number in numbers[:MOST_LISTED]],
            "label": [answers.class_names[answers.labels[n]] for n in numbers[:MOST_LISTED]],
            "taken for": taken[:MOST_LISTED],
            word: [float(figure) for figure in figures[:MOST_LISTED]],
        },
        hide_index=True,
        width="stretch",
        column_config={word: st.column_config.NumberColumn(format="percent")},
    )
    st.caption(f"{len(numbers):,} in all; answers are counted from 1, without the header.")


page.run(show, "Check", keeps=("ordered",), hands_in=handed_in)
