"""What is in a data set: how many pictures of each class, which ones, how large, what was left out,
and what occurs twice; and the way to bring one's own.
"""

import streamlit as st

from vizlib.bring import data_sets
from vizlib.displays.class_counts import ClassCountsDisplay
from vizlib.errors import UserError
from vizlib.ui import page
from vizlib.ui.data import caches
from vizlib.ui.frame import status
from vizlib.ui.frame.address import chosen
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import data_bring, data_pictures, data_twins
from vizlib.ui.parts.downloads import caption
from vizlib.ui.train_panel import settings
from vizlib.ui.widgets import charts

KEY = "set"


def show(run, picture):
    status.title("Data")
    data_bring.show(KEY)
    names = caches.dataset_names()
    for problem in caches.unusable_datasets():
        st.warning(plain(problem))
    name = chosen("Data set", names, key=KEY, default=run.config.dataset)
    state = caches.data_state(name)
    try:
        dataset = caches.data_set(name, state)
    except UserError as error:
        st.warning(plain(error))
        data_bring.offer_removal(name, KEY)
        return
    st.caption(plain(dataset.note))
    with sentences("the counts"):
        histogram(name, dataset)
    left_out(name, dataset)
    with sentences("the pictures"):
        data_pictures.samples(name, state, dataset)
    with sentences("the picture"):
        data_pictures.one_picture(dataset)
    with sentences("the sizes"):
        data_pictures.sizes(name, state)
    with sentences("the search"):
        data_twins.show(name, state, dataset)


def histogram(name, dataset):
    """How many of each class, and what to do now."""
    display = ClassCountsDisplay.from_dataset(dataset)
    st.markdown(f"**{plain(display.imbalance)}**")
    with st.container(horizontal=True):
        st.button(
            "Train on it",
            key="data_train",
            icon=":material/model_training:",
            on_click=settings.open_on,
            args=(name,),
            help="Opens the form in the sidebar with this data set chosen.",
        )
        if display.is_imbalanced:
            st.button(
                "Train on it, balanced",
                key="data_balanced",
                on_click=settings.open_on,
                args=(name, True),
                help="The same, with all classes drawn equally often.",
            )
        data_bring.offer_removal(name, KEY)
    charts.steady(charts.drawn(display.plot), key="data_counts", config=charts.CAMERA)
    counts = ", ".join(f"{len(split):,} {part}" for part, split in dataset.splits.items())
    caption(f"{name}: pictures of each class, {counts}.", f"{name}-classes", csv=display.csv)


def left_out(name, dataset):
    """What a reader should know of, and what was not taken."""
    for remark in dataset.remarks:
        st.info(plain(remark))
    everything = [*dataset.left_out, *data_sets.left_out_when_brought(name)]
    if not everything:
        st.caption("Nothing was left out.")
        return
    st.markdown("#### Left out")
    st.markdown("\n".join(f"- {plain(each.sentence)}" for each in everything))


page.run(show, "Data", keeps=(KEY, "split", "of", "picture"), follows=False, hands_in=None)
