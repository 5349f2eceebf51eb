"""The images in a cell of a confusion matrix, the most confident answers first."""

import numpy as np
import streamlit as st

from vizlib.errors import UserError
from vizlib.images import sharp_png
from vizlib.run import certainty
from vizlib.ui.data import caches
from vizlib.ui.frame import address, links
from vizlib.ui.frame.address import chosen
from vizlib.ui.frame.image_picker import offer_download, say_which
from vizlib.ui.frame.plain import plain

MOST_SHOWN = 24
CELL, MISTAKES, UNLIKELY = "a cell", "the most confident mistakes", "labels it finds unlikely"


def show(run, predictions, confusion, keys, across):
    """Pick a cell by its two classes, and see its images, `across` in a row. keys: the widgets'
    keys, by "true" and "predicted".
    """
    st.markdown("#### Images")
    shown = st.segmented_control(
        "Images of",
        (CELL, MISTAKES, UNLIKELY),
        default=CELL,
        required=True,
        key=f"images_{keys['true']}",
        label_visibility="collapsed",
    )
    choose = {CELL: of_cell, MISTAKES: of_mistakes, UNLIKELY: of_unlikely_labels}[shown]
    image_numbers, confidence, alt = choose(run, predictions, confusion, keys)
    if not caches.has_pictures(run):
        st.caption("The numbers need only the stored answers; the pictures need the data set.")
        offer_download(run.config.dataset, keys["true"])
        return
    image_ids = predictions.image_ids[image_numbers]
    if caches.are_shipped(run):
        here = np.isin(image_ids, caches.held_out(run).image_ids)
        image_ids, confidence = image_ids[here], confidence[here]
        say_shipped(run, len(image_ids), keys["true"])
    elif len(image_ids) > MOST_SHOWN:
        st.caption(f"The first {MOST_SHOWN} are shown.")
    images(run, image_ids[:MOST_SHOWN], confidence, across, alt)


def say_shipped(run, count, where):
    """How many of them are shown, where only some pictures ship, with the way to all."""
    which, shown = caches.from_which(run), min(count, MOST_SHOWN)
    sentence = f"{shown} of them shown, {which}." if count else f"None of them is {which}."
    with st.container(horizontal=True, vertical_alignment="center"):
        say_which(run, sentence, where)


def of_cell(run, predictions, confusion, keys):
    """The images of the cell in view: their numbers, how sure the answers are, the words for
    each.
    """
    st.caption(
        "Click a cell, or choose it here. Below each image is how sure the network was of its "
        "answer; the link opens its feature maps."
    )
    true, predicted = pick_cell(run, confusion, keys)
    names = run.class_names
    image_numbers, confidence = predictions.cell(names.index(true), names.index(predicted))
    say_count(len(image_numbers), true, predicted)
    return image_numbers, confidence, f"{true} answered {predicted}"


def of_mistakes(run, predictions, confusion, keys):
    """The same of all wrong answers."""
    image_numbers, confidence = certainty.confident_mistakes(predictions)
    st.markdown(
        f":red-badge[wrong] **{len(image_numbers):,}** mistakes, the one it was most sure of "
        "first. Below each is how sure it was."
    )
    return image_numbers, confidence, "a confident mistake"


def of_unlikely_labels(run, predictions, confusion, keys):
    """The same of images whose label may be wrong."""
    image_numbers, _, margins = certainty.unlikely_labels(predictions)
    st.markdown(
        f"**{len(image_numbers):,}** labels that the network finds unlikely (confident learning, "
        "Northcutt et al. 2021), the least likely first: a wrong label, or a mistake. Below each "
        "is by how much another class is more probable."
    )
    return image_numbers, margins, "an unlikely label"


def say_count(count, true, predicted):
    mark = ":green-badge[right]" if true == predicted else ":red-badge[wrong]"
    st.markdown(
        f"{mark} **{count:,}** images of **{plain(true)}** answered **{plain(predicted)}**, the "
        "most confident answer first."
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
    held_out = numbers_of_held_out(run)
    for number, (image_id, share) in enumerate(zip(image_ids, confidence, strict=False)):
        try:
            picture = data.picture(image_id)
        except KeyError:
            missing += 1
            continue
        with columns[number % across]:
            st.image(sharp_png(picture, 128), alt=alt, output_format="PNG", width="stretch")
            way_on(run, held_out.get(image_id), share)
    if missing:
        st.info(f"{missing} of these images are not in this machine's copy of the data set.")


def numbers_of_held_out(run):
    """The image number of each held-out image by its id; none where no image here is held out."""
    try:
        image_ids = caches.held_out(run).image_ids
    except UserError:
        return {}
    return {image_id: number for number, image_id in enumerate(image_ids)}


def way_on(run, image_number, share):
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
        **address.held_out(caches.held_out(run), run.class_names, image_number),
    )


def worst_cell(confusion):
    """The commonest mistake, (true, predicted); the first cell where there is none."""
    mistakes = confusion.copy()
    for label in range(len(mistakes)):
        mistakes[label, label] = 0
    return divmod(int(mistakes.argmax()), len(mistakes))
