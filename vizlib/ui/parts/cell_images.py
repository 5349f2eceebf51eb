"""The images in a cell of a confusion matrix, the most confident answers first."""

import streamlit as st

from vizlib.images import sharp_png
from vizlib.ui.data import caches
from vizlib.ui.frame import address, links
from vizlib.ui.frame.address import chosen
from vizlib.ui.frame.image_picker import offer_download
from vizlib.ui.frame.plain import plain

MOST_SHOWN = 24


def show(run, predictions, confusion, keys, across):
    """Pick a cell by its two classes, and see its images, `across` in a row. keys: the widgets'
    keys, by "true" and "predicted".
    """
    st.markdown("#### Images of a cell")
    st.caption(
        "Click a cell, or choose it here. Below each image is how sure the network was of its "
        "answer; the link opens its feature maps."
    )
    names, worst = run.class_names, worst_cell(confusion)
    left, right = st.columns(2)
    with left:
        true = chosen("True", names, key=keys["true"], word="class", default=names[worst[0]])
    with right:
        predicted = chosen(
            "Predicted", names, key=keys["predicted"], word="class", default=names[worst[1]]
        )
    rows, confidence = predictions.cell(names.index(true), names.index(predicted))
    mark = ":green-badge[right]" if true == predicted else ":red-badge[wrong]"
    shown = f", the {MOST_SHOWN} most confident shown" if len(rows) > MOST_SHOWN else ""
    st.markdown(
        f"{mark} **{len(rows):,}** images of **{plain(true)}** answered "
        f"**{plain(predicted)}**{shown}."
    )
    if run.config.dataset not in caches.dataset_names():
        st.caption("The numbers need only the stored answers; the pictures need the data set.")
        offer_download(run.config.dataset, keys["true"])
        return
    data, places, missing = caches.dataset(run), st.columns(across), 0
    held_out = {image_id: row for row, image_id in enumerate(data.splits["test"].image_ids)}
    for number, (row, share) in enumerate(zip(rows[:MOST_SHOWN], confidence, strict=False)):
        image_id = predictions.image_ids[row]
        try:
            picture = data.picture(image_id)
        except KeyError:
            missing += 1
            continue
        with places[number % across]:
            enlarged = sharp_png(picture, 128)
            st.image(
                enlarged, alt=f"{true} answered {predicted}", output_format="PNG", width="stretch"
            )
            if image_id in held_out:
                links.link(
                    "Feature maps",
                    f"{share:.0%} →",
                    model=run.run_id,
                    **address.held_out(data, held_out[image_id]),
                )
            else:  # another copy of the data set has other test images
                st.caption(f"{share:.0%}")
    if missing:
        st.info(f"{missing} of these images are not in this machine's copy of the data set.")


def worst_cell(confusion):
    """The commonest mistake, (true, predicted); the first cell where there is none."""
    mistakes = confusion.copy()
    for label in range(len(mistakes)):
        mistakes[label, label] = 0
    return divmod(int(mistakes.argmax()), len(mistakes))
