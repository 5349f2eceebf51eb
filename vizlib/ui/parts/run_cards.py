"""The models that are here, as cards on Home: in groups, a page of each at a time, found by typing.

What is not in view is not read: which runs there are and which of them train is known from the
state of their files.
"""

import math
from dataclasses import replace

import streamlit as st

from vizlib.errors import UserError
from vizlib.reports import systems
from vizlib.run.verdict import COLLAPSED, HEALTHY, NOT_NUMBERS, UNJUDGED
from vizlib.ui.data import answers, caches
from vizlib.ui.frame import links, status
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain

COLUMNS = 4
MOST_FILTERS = 64  # on a card; more would be dots
# the keys of what is chosen here, all of them in the address: a page of each group, and of what
# is found
YOURS, REPORTS, GRADED, FOUND, FIND = "yours", "reports", "graded", "found", "find"
KEEPS = (YOURS, REPORTS, GRADED, FOUND, FIND)
_HEADINGS = {
    YOURS: "Yours",
    REPORTS: "Networks of five reports, and examples",
    GRADED: "Networks that grade pictures",
    FOUND: "Found",
}
_ROWS = {YOURS: 1, REPORTS: 2, GRADED: 1, FOUND: 3}  # of cards, on one page
BADGES = {
    COLLAPSED: ("red", ":material/error:"),
    NOT_NUMBERS: ("red", ":material/error:"),
    UNJUDGED: ("gray", ":material/help:"),
}
FINE = ":green[:material/check_circle:]"
_DATA = {"cifar10": "CIFAR-10", "digits": "digits"}


def show(runs, follow):
    """Draw all groups, or what is found; then what is to be read of many files for it. follow: as
    page.follow, which a card of a run that trains needs.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.markdown("### Models")
        wanted = st.text_input(
            "Find a model",
            key=FIND,
            placeholder="a name, a network or its data",
            label_visibility="collapsed",
            icon=":material/search:",
            width=320,
            bind="query-params",
        )
    waiting = []
    for key, group in ({FOUND: found(runs, wanted)} if wanted else grouped(runs)).items():
        if group:
            waiting += _group(key, group, follow)
    if wanted and not waiting and not found(runs, wanted):
        st.info(f"No model here is called or made so: {plain(wanted)}.")
    # after everything that can be drawn at once
    for run, container in waiting:
        with container, sentences("this card"):
            say_verdict(run, container)


def grouped(runs):
    """The runs by the key of their group, each in the order in which they are shown."""
    groups = {YOURS: [], REPORTS: [], GRADED: []}
    for run in runs:
        groups[YOURS if not run.ships else GRADED if run.config.ordered else REPORTS].append(run)
    # what happens now comes first, then what was trained last
    groups[YOURS].sort(key=lambda run: (not run.is_active, -run.changed("events.jsonl")))
    for key in (REPORTS, GRADED):
        groups[key].sort(key=_worth_seeing)
    return groups


def _worth_seeing(run):
    """What comes first of those that ship: whatever can be looked into, filters large enough to be
    seen, and in colour, then what is right most often.
    """
    _, channels, *sides = caches.filters_shape(run) or (0, 0, 0, 0)
    return not run.has("model.safetensors"), min(sides) < 3, channels != 3, -run.reached, run.run_id


def found(runs, wanted):
    """The runs in whose name, title, network and data all of the words wanted occur."""
    words = wanted.lower().split()
    return [run for run in runs if all(word in _searched(run) for word in words)]


def _searched(run):
    config = run.config
    texts = (run.run_id, config.title, config.architecture, data_of(run), config.dataset)
    return " ".join(filter(None, texts)).lower()


def _group(key, runs, follow):
    """A page of one group; returns the cards that wait for their verdict."""
    a_page = COLUMNS * _ROWS[key]
    pages = -(-len(runs) // a_page)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"##### {_HEADINGS[key]} :small[:gray[{len(runs):,}]]")
        number = 1
        if pages > 1:
            number = st.pagination(pages, key=key, bind="query-params", persist_state="session")
    return cards(runs[(number - 1) * a_page :][:a_page], follow)


def cards(runs, follow):
    """Draw a card of each run; returns those whose verdict is still to be said: (run, container
    for it) each.
    """
    waiting = []
    for start in range(0, len(runs), COLUMNS):
        beside = runs[start : start + COLUMNS]
        for column, run in zip(st.columns(COLUMNS), beside, strict=False):
            with column.container(border=True, height="stretch"), sentences("this card"):
                if run.is_active:
                    growing(run, follow)
                else:
                    waiting.append((run, card(run)))
    return waiting


def growing(run, follow):
    """The card of a run that trains, which follows it by itself."""
    follow(lambda: say_verdict(run, card(run)), lambda: [run])


def card(run):
    """The first filters, name and figures of a run. Returns the empty container for its verdict."""
    st.markdown(
        f"**{plain(run.run_id)}**  "
        f"\n:small[:gray[{plain(run.config.title or run.config.architecture)}]]"
    )
    first_filters(run)
    verdict = st.container()
    if run.is_weightless:
        st.markdown(":gray-badge[weights not included]")
    links.link("Feature maps", "Look inside →", model=run.run_id)
    return verdict


def first_filters(run):
    """The filters of the first layer as they were stored last; of a network from elsewhere as they
    are, where it is plain which they are.
    """
    stored = caches.snapshots(run)
    weight = stored[max(stored)] if stored else caches.colour_filters(run)
    if weight is None:
        return
    from vizlib.displays.filters import FiltersDisplay

    display = FiltersDisplay.from_weight(weight[:MOST_FILTERS])
    atlas = display.colour_atlas() if display.is_colour else display.channel_atlas(0)
    across = math.ceil(math.sqrt(2 * len(display.weight)))  # twice as wide as tall, as all cards
    st.image(
        replace(atlas, across=across).card(),
        alt=f"first-layer filters of {run.run_id}",
        width="stretch",
        output_format="PNG",
    )


def figures(run, tick):
    """How well it does, what it learned from, how large it is, and what a report reached. tick:
    what stands before, where all is well.
    """
    began = run.events_of("started") or run.events_of("imported")
    size = f"{in_millions(began[-1]['parameters'])} weights" if began else "size unknown"
    lines = [accuracy(run), f":small[:gray[{plain(data_of(run))}, {size}]]"]
    lines += [f":small[:gray[{text}]]" for text in filter(None, [reported(run)])]
    st.markdown("  \n".join([f"{tick} {lines[0]}".strip(), *lines[1:]]))


def in_millions(count):
    """A number of weights as somebody would say it."""
    return f"{count / 1e6:.3g} million" if count >= 1e5 else f"{count:,}"


def data_of(run):
    """What it learned from, in words; of a network without data what is known of it."""
    name = run.config.dataset
    if not name:
        return "weights alone" if run.is_bare else f"{len(run.class_names):,} classes"
    reader, _, folder = name.partition(":")
    plainly = folder or reader.removesuffix("-imbalanced")
    imbalanced = " in unequal shares" if "-imbalanced" in reader else ""
    return _DATA.get(plainly, plainly) + imbalanced


def accuracy(run):
    """On the test images; of a run that is not finished how it stands, and that so far."""
    finished, scores = run.events_of("finished"), run.events_of("epoch")
    answered = run.events_of("answered")
    if answered and not finished:
        reached = answered[-1]
        on = f"right, of {reached['test_images']:,} images"
        return f"{status.badge(run)} **{reached['test_accuracy']:.1%}** :small[{on}]"
    if finished:
        return f"**{finished[-1]['test_accuracy']:.1%}** :small[test images right]"
    if scores:
        so_far = f"**{scores[-1]['val_accuracy']:.1%}** :small[right so far]"
        return f"{status.badge(run)} {so_far}"
    return status.badge(run)


def reported(run):
    """What a report reached with this network, to stand beside what ours does; empty where none
    has it.
    """
    system = systems.system_of(run)
    if not system or not system.epochs or system.told == "–":
        return ""
    words = system.told.replace("retina", "on retina pictures").split()
    named = [systems.SYSTEMS[word].run if word in systems.SYSTEMS else word for word in words]
    return plain(f"the report: {' '.join(named)}")


def say_verdict(run, container):
    """The figures of a run, behind a tick where it is fine; else what is wrong, in a sentence."""
    with container:
        verdict, error = _verdict(run)
        figures(run, FINE if verdict is not None and verdict.level == HEALTHY else "")
        status.say_problems([run])
    if error:
        container.caption(plain(error))
    if verdict is None or verdict.level == HEALTHY:
        return
    colour, icon = BADGES.get(verdict.level, ("orange", ":material/warning:"))
    # its first sentence: the page of the matrix has all of it
    sentence = verdict.sentence.partition(": ")[2].partition(". ")[0]
    container.markdown(
        f":{colour}-badge[{icon} {verdict.level}]  \n:small[:gray[{plain(sentence)}.]]"
    )


def _verdict(run):
    """(The Verdict on a run, None where there is none; why there is none, where that is not plain
    from its figures).
    """
    if run.is_imported and not run.has("predictions.npz"):
        return None, ""
    try:
        return answers.at(run).verdict, ""
    except UserError as error:
        return None, str(error)
