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
    true, predicted = pick_cell(run, confusion, keys)
    names = run.class_names
    image_numbers, confidence = predictions.cell(names.index(true), names.index(predicted))
    say_count(len(image_numbers), true, predicted)
    if run.config.dataset not in caches.dataset_names():
        st.caption("The numbers need only the stored answers; the pictures need the data set.")
        offer_download(run.config.dataset, keys["true"])
        return
    image_ids = [predictions.image_ids[number] for number in image_numbers[:MOST_SHOWN]]
    images(run, image_ids, confidence, across, f"{true} answered {predicted}")


def say_count(count, true, predicted):
    mark = ":green-badge[right]" if true == predicted else ":red-badge[wrong]"
    shown = f", the {MOST_SHOWN} most confident shown" if count > MOST_SHOWN else ""
    st.markdown(
        f"{mark} **{count:,}** images of **{plain(true)}** answered **{plain(predicted)}**{shown}."
    )


def pick_cell(run, confusion, keys):
    """Draw the boxes of both classes, which open on the commonest mistake: (true, predicted)."""
    names, worst = run.class_names, worst_cell(confusion)
    left, right = st.columns(2)
    with left:
        true = chosen("True", names, key=keys["true"], word="class", default=names[worst[0]])
    with right:
        predicted = chosen(
            "Predicted", names, key=keys["predicted"], word="class", default=names[worst[1]]
        )
    return true, predicted


def images(run, image_ids, confidence, across, alt):
    """The images of these ids, with how sure the network was of each and the way to its maps."""
    data = caches.dataset(run)
    columns = st.columns(across)
    missing = 0
    held_out = {image_id: n for n, image_id in enumerate(data.splits["test"].image_ids)}
    for number, (image_id, share) in enumerate(zip(image_ids, confidence, strict=False)):
        try:
            picture = data.picture(image_id)
        except KeyError:
            missing += 1
            continue
        with columns[number % across]:
            st.image(sharp_png(picture, 128), alt=alt, output_format="PNG", width="stretch")
            way_on(run, data, held_out.get(image_id), share)
    if missing:
        st.info(f"{missing} of these images are not in this machine's copy of the data set.")


def way_on(run, data, image_number, share):
    """The link to the maps of a held-out image; another copy of the data set has other ones, and
    then there is none.
    """
    if image_number is None:
        st.caption(f"{share:.0%}")
        return
    links.link(
        "Feature maps",
        f"{share:.0%} →",
        model=run.run_id,
        **address.held_out(data, image_number),
    )


def worst_cell(confusion):
    """The commonest mistake, (true, predicted); the first cell where there is none."""
    mistakes = confusion.copy()
    for label in range(len(mistakes)):
        mistakes[label, label] = 0
    return divmod(int(mistakes.argmax()), len(mistakes))
