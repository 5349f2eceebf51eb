"""What a file of weights does not say of its network: asked with good guesses, and shown."""

from dataclasses import replace

import numpy as np
import streamlit as st

from vizlib.bring import models, trying
from vizlib.bring.models import BGR, RGB
from vizlib.bring.recognition import ALONE
from vizlib.errors import UserError
from vizlib.images import fit
from vizlib.ui.data import caches, jobs
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import import_chain, import_test

NONE = "none"
LARGEST_SIDE = 1024
MOST_LISTED = 10
MOST_NEAR = 3  # networks that do not fit, named
LIKELY = {(3, 10): "cifar10", (1, 10): "digits"}  # by channels and classes


def show(brought, picture, view):
    """Ask, preview, and the button that makes it a run and calls view(its id)."""
    usable = [candidate for candidate in brought.candidates if candidate.is_usable]
    near = [candidate for candidate in brought.candidates if not candidate.is_usable]
    for candidate in near[:MOST_NEAR]:
        st.caption(
            plain(f"Not {candidate.architecture}: of its tensors {models.faults(candidate)}")
        )
    if usable[0].how == ALONE:
        st.markdown(f"Recognised: {plain(usable[0].sentence)}")
        _offer(brought, usable[0], models.guesses(usable[0]), None, view)
        return
    dataset = _data_set(brought, usable[0])
    results = _tried(brought, usable, dataset)
    number = _number(usable, results)
    best = next((each for each in results if each.candidate == number), None)
    candidate = import_chain.asked(usable[number], brought.tensors)
    _table(candidate)
    st.markdown("#### What the file does not say")
    left, right = st.columns([1, 1], gap="large")
    with left:
        settings = _asked(brought, candidate, dataset, best)
    with right, sentences("the preview"):
        _preview(settings, picture, dataset)
    _offer(brought, candidate, settings, dataset, view)


def _offer(brought, candidate, settings, dataset, view):
    """Its name, and the button that makes it a run."""
    name = st.text_input(
        "Name", models.run_name(brought.name), max_chars=60, key=f"import_name_{_of(brought)}"
    )
    st.button(
        "Open it on every page",
        type="primary",
        key="import_open",
        on_click=import_test.take,
        args=(view, brought, candidate, settings, name, dataset),
    )


def _of(brought):
    """What tells the boxes of one file from those of another."""
    return brought.origin["sha256"][:8]


def _data_set(brought, candidate):
    """The data set that its classes are of, or None."""
    names = [NONE, *caches.dataset_names()]
    likely = LIKELY.get((candidate.input_size[0], candidate.num_classes), NONE)
    name = st.selectbox(
        "Labelled pictures of its classes",
        names,
        index=names.index(likely) if likely in names else 0,
        key="import_data",
        help="The network is tried on some of them: which network it is, and how it takes its "
        "pictures, shows in how many it gets right.",
    )
    if name == NONE:
        return None
    with sentences("the data set"):
        dataset = caches.data_set(name, caches.data_state(name))
        count = len(dataset.class_names)
        if candidate.num_classes and count != candidate.num_classes:
            raise UserError(
                f"{name!r} has {count:,} classes, and the network tells "
                f"{candidate.num_classes:,} apart: choose another set, or none."
            )
        return dataset
    return None


def _tried(brought, usable, dataset):
    """How many it gets right in each usual way to read a picture; empty where that is not known."""
    if dataset is None or not usable[0].num_classes:
        return []
    names = _names(brought, dataset)
    key = ("tried", brought.origin["sha256"], dataset.name, tuple(names))

    def work(say):
        split, which = trying.sample(dataset, names)
        return trying.tried(usable, brought.tensors, split, dataset, say), which

    result = jobs.result(key, work, f"Trying it on {dataset.name}")
    if result is None:
        return []
    results, which = result[0]
    st.markdown(
        f"**Right answers to {which} of {plain(dataset.name)}**, by how the pictures are read: "
        "the commonest silent error."
    )
    st.dataframe(
        {
            "normalisation": [each.normalisation for each in results[:MOST_LISTED]],
            "colours": [each.order for each in results[:MOST_LISTED]],
            "network": [usable[each.candidate].architecture for each in results[:MOST_LISTED]],
            "right": [each.accuracy for each in results[:MOST_LISTED]],
            "of": [each.images for each in results[:MOST_LISTED]],
        },
        hide_index=True,
        width="stretch",
        column_config={"right": st.column_config.ProgressColumn(format="percent", max_value=1)},
    )
    return results


def _names(brought, dataset):
    """The classes in the order of the logits: as the file says, if they are the data set's."""
    names = brought.class_names
    if names is not None and sorted(names) == sorted(dataset.class_names):
        return names
    return dataset.class_names


def _number(usable, results):
    """Which of the networks it is: the likeliest, or that which the data speak for, unless another
    is chosen.
    """
    best = results[0].candidate if results else 0
    if len(usable) == 1:
        st.markdown(f"Recognised: {plain(usable[0].sentence)}")
        return 0
    labels = [f"{number + 1}: {each.sentence}" for number, each in enumerate(usable)]
    chosen = st.selectbox(
        "It may be one of several", labels, index=best, key=f"import_network_{best}"
    )
    return labels.index(chosen)


def _table(candidate):
    table = candidate.table()
    matched = sum(what == "matched" for _, _, what in table)
    with st.expander(f"{matched:,} of {len(table):,} tensors matched by name"):
        st.dataframe(
            {
                "in the file": [name for name, _, _ in table],
                "in the network": [own for _, own, _ in table],
                "": [what for _, _, what in table],
            },
            hide_index=True,
            width="stretch",
        )


def _asked(brought, candidate, dataset, best):
    """The Settings, each with a guess that can be changed. best: how its pictures are best read, of
    those that were tried; None where none was.
    """
    names = _names(brought, dataset) if dataset else brought.class_names
    settings = models.guesses(candidate, class_names=names, dataset=dataset, given=brought.settings)
    if best is not None:
        settings = best.settled(settings)
    settings = _asked_size(settings)
    settings = _asked_normalisation(settings, dataset)
    if dataset is None and brought.settings is None and candidate.num_classes:
        settings = _asked_classes(settings, _of(brought))
    return settings


def _asked_size(settings):
    channels, height, width = settings.input_size
    side = st.number_input(
        "Side of its pictures, in pixels", 8, LARGEST_SIDE, height, key=f"import_side_{height}"
    )
    return replace(settings, input_size=(channels, side, side if side != height else width))


def _asked_normalisation(settings, dataset):
    """Mean, deviation and the order of colours: by name, or as numbers."""
    possible = trying.normalisations(settings.input_size[0], dataset)
    guess = (settings.mean, settings.std)
    default = next((name for name, pair in possible.items() if pair == guess), None)
    if default is None:
        default, possible["its source's"] = "its source's", guess
    name = st.selectbox(
        "Normalisation",
        list(possible),
        index=list(possible).index(default),
        key=f"import_normalisation_{default}",
        help="(pixel − mean) / deviation, of pixels from 0 to 1.",
    )
    mean, std = possible[name]
    st.caption(f"mean {_numbers(mean)}; deviation {_numbers(std)}")
    settings = replace(settings, mean=list(mean), std=list(std))
    if settings.input_size[0] != 3:
        return settings
    is_bgr = st.toggle(
        "It takes blue first", settings.order == BGR, key=f"import_bgr_{settings.order}"
    )
    return replace(settings, order=BGR if is_bgr else RGB)


def _numbers(values):
    return ", ".join(f"{value:.4g}" for value in values)


def _asked_classes(settings, of):
    text = st.text_area(
        f"Names of its {len(settings.class_names):,} classes, one a line",
        "\n".join(settings.class_names),
        height=140,
        key=f"import_classes_{of}",
    )
    names = [line.strip() for line in text.splitlines() if line.strip()]
    return replace(settings, class_names=names)


def _preview(settings, picture, dataset):
    """The pictures that the network gets, and between which values their numbers lie."""
    originals = []
    if dataset is not None:
        pictures = dataset.splits["test"].pictures
        numbers = np.linspace(0, len(pictures) - 1, 3).astype(int)
        originals = [pictures[int(number)] for number in numbers]
    elif picture is not None:
        originals = [picture.original]
    if not originals:
        st.caption("Choose a picture in the sidebar to see what the network gets of it.")
        return
    received = [fit(original, settings.input_size) for original in originals]
    st.markdown("**What the network gets**")
    for column, pixels in zip(st.columns(3), received, strict=False):
        column.image(
            _shown(pixels, settings.order),
            alt="what the network gets",
            output_format="PNG",
            width=140,
        )
    shares = np.stack([pixels / 255 for pixels in received])
    values = (shares - settings.mean) / settings.std
    low, high = values.min(), values.max()
    st.caption(f"As numbers from {low:.2f} to {high:.2f}, after the normalisation.")


def _shown(pixels, order):
    """A picture with its channels as the network takes them for red, green and blue."""
    pixels = pixels[..., ::-1] if order == BGR else pixels
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels
