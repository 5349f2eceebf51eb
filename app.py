"""Home: what is here, in pictures. `streamlit run app.py`."""

import streamlit as st

from vizlib.ui import page
from vizlib.ui.data import caches
from vizlib.ui.frame import links
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import living_picture, run_cards
from vizlib.ui.train_panel import settings

COLLAPSED_RUN = "digits_collapsed"  # ships as an accuracy that hides a collapse, to be mended


def show(run, picture):
    st.title("See inside an image classifier")
    st.markdown(
        "What each layer sees, how it learned, and whether it works at all. Nothing leaves this "
        "computer."
    )
    runs, problems = caches.run_list()
    opened_on = living_picture.of(runs)
    if opened_on is not None:
        living_picture.show(opened_on)
    questions(runs)
    run_cards.show(runs, page.follow)
    for problem in (*problems, *caches.dataset_problems()):
        st.warning(plain(problem))


def questions(runs):
    """What people come with, and the page that answers it; and the two ways to begin."""
    asked = [
        ("What does it see?", "Feature maps", {}, ":material/grid_view:"),
        ("What does a unit look for?", "Unit", {}, ":material/center_focus_strong:"),
        *question_of_collapse(runs),
        ("Did it overfit?", "Training curves", {}, ":material/show_chart:"),
    ]
    with st.container(key="questions"):
        for column, (question, target, parameters, icon) in zip(
            st.columns(len(asked)), asked, strict=True
        ):
            with column:
                links.link(target, question, icon=icon, wide=True, **parameters)
        train, bring = st.columns(2)
        train.button(
            "Train one now",
            key="train_one_now",
            icon=":material/model_training:",
            type="primary",
            on_click=settings.open_on,
            args=("digits",),
            width="stretch",
            help="Opens the form in the sidebar.",
        )
        with bring:
            links.link("Import", "Bring your own", icon=":material/upload:", wide=True)


def question_of_collapse(runs):
    """What the run that ships as an example asks, if it is there: a list of one or none."""
    for run in runs:
        if run.run_id == COLLAPSED_RUN and run.events_of("finished"):
            reached = run.events_of("finished")[-1]["test_accuracy"]
            question = f"Is {reached:.0%} any good?"
            parameters = {"model": run.run_id}
            return [(question, "Confusion matrix", parameters, ":material/grid_on:")]
    return []


page.run(show, page.HOME, keeps=run_cards.KEEPS, follows=False)
