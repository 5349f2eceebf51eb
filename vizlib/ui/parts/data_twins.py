"""Pictures that are in two splits, and pictures that have two labels."""

import streamlit as st

from vizlib.datasets import duplicates
from vizlib.errors import UserError
from vizlib.images import sharp_png, shrunk
from vizlib.ui.data import caches
from vizlib.ui.frame.plain import plain

MOST_SHOWN = 6


def show(name, state, dataset):
    st.markdown("#### Pictures that occur twice")
    known = caches.twins_if_known(name, state)
    if known is None:
        count = sum(map(len, dataset.splits.values()))
        st.caption("In two splits, or with two labels; to the byte, and nearly.")
        if st.button(f"Look through all {count:,} pictures", key="data_twins"):
            bar = st.progress(0.0, "looking")
            caches.find_twins(name, state, lambda share: bar.progress(share, f"{share:.0%}"))
            st.rerun()
        return
    _findings(dataset, *known)


def _findings(dataset, prints, pairs):
    across, contradicting = duplicates.across_splits, duplicates.contradicting
    findings = [
        (across(prints, pairs.same), "in two splits, to the byte"),
        (across(prints, pairs.near), "in two splits, nearly"),
        (contradicting(prints, pairs.same), "with two labels, to the byte"),
        (contradicting(prints, pairs.near), "with two labels, nearly"),
    ]
    for found, words in findings:
        if not len(found):
            st.markdown(f":green[:material/check:] No pictures {words}.")
            continue
        word = "pair" if len(found) == 1 else "pairs"
        st.markdown(f":orange[:material/warning:] **{len(found):,} {word}** of pictures {words}.")
        _pictures(dataset, prints, found[:MOST_SHOWN])
    if not pairs.is_whole:
        st.caption(
            "So many pictures are nearly alike that not every pair was compared: there may be more."
        )


def _pictures(dataset, prints, found):
    for column, pair in zip(st.columns(MOST_SHOWN), found, strict=False):
        with column:
            for number in pair:
                _picture(dataset, prints, int(number))


def _picture(dataset, prints, number):
    part, image_number = str(prints.parts[number]), int(prints.image_numbers[number])
    class_name = dataset.class_names[int(prints.labels[number])]
    words = f"{part}, {class_name}"
    try:
        picture = dataset.splits[part].pictures[image_number]
    except UserError as error:
        st.caption(plain(error))
        return
    st.image(sharp_png(shrunk(picture, 128), 128), alt=words, output_format="PNG")
    st.caption(f"{plain(words)}  \n{plain(prints.image_ids[number])}")
