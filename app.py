"""Home: what is here, in pictures. `streamlit run app.py`."""

import streamlit as st

from vizlib.errors import UserError
from vizlib.reports import systems
from vizlib.run.verdict import COLLAPSED, HEALTHY, NOT_NUMBERS, UNJUDGED
from vizlib.ui import page
from vizlib.ui.data import answers, caches
from vizlib.ui.frame import links, status
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain

COLUMNS = 4
MOST_FILTERS = 64  # on a card; more would be dots
COLLAPSED_RUN = "collapsed_lenet"  # ships as the example of an accuracy that hides a collapse
BADGES = {
    COLLAPSED: ("red", ":material/error:"),
    NOT_NUMBERS: ("red", ":material/error:"),
    HEALTHY: ("green", ":material/check:"),
    UNJUDGED: ("gray", ":material/help:"),
}


def show(run, picture):
    st.title("See inside an image classifier")
    st.markdown(
        "Its filters, the feature maps of every layer, how it learned, and whether it works "
        "at all. Nothing leaves this computer."
    )
    questions()
    runs, problems = caches.run_list()
    waiting = cards(in_order(runs))
    if any(systems.system_of(card_run) for card_run in runs):
        st.caption(
            "*Reported*: what five published course and lab reports reached with these "
            "networks. `docs/results.md` has the whole table."
        )
    for problem in (*problems, *caches.dataset_problems()):
        st.warning(plain(problem))
    # after everything that can be drawn at once: the verdicts read all predictions
    for card_run, container in waiting:
        with container, sentences("this card"):
            say_verdict(card_run, container)


def in_order(runs):
    """What happens now comes first, then what was trained last, then what ships."""
    own = [run for run in runs if not run.ships]
    own.sort(key=lambda run: (not run.is_active, -run.changed("events.jsonl")))
    return own + sorted((run for run in runs if run.ships), key=lambda run: run.is_weightless)


def cards(runs):
    """Draw a card of each run; returns those whose verdict is still to be said: (run, container
    for it) each.
    """
    waiting = []
    for start in range(0, len(runs), COLUMNS):
        beside = runs[start : start + COLUMNS]
        for column, run in zip(st.columns(COLUMNS), beside, strict=False):
            with column.container(border=True, height="stretch"), sentences("this card"):
                if run.is_active:
                    growing(run)
                else:
                    waiting.append((run, card(run)))
    return waiting


def growing(run):
    """The card of a run that trains, which follows it by itself."""
    page.follow(lambda: say_verdict(run, card(run)), lambda: [run])


def card(run):
    """The first filters, name and figures of a run. Returns the empty container for its verdict."""
    st.markdown(
        f"**{plain(run.run_id)}**  "
        f"\n:small[:gray[{plain(run.config.title or run.config.architecture)}]]"
    )
    first_filters(run)
    figures(run)
    status.say_problems([run])
    container = st.container()
    if run.is_weightless:
        st.markdown(
            f":gray-badge[:material/info: no weights]  \n:small[:gray[{plain(run.remedy)}]]"
        )
        if run.reproducing_command:
            st.code(run.reproducing_command, language=None, wrap_lines=True)
    links.link("Feature maps", "Look inside →", model=run.run_id)
    return container


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
    st.image(
        atlas.card(),
        alt=f"first-layer filters of {run.run_id}",
        width="stretch",
        output_format="PNG",
    )


def figures(run):
    """How well it does, what it learned from, how large it is, and what a report reached."""
    began = run.events_of("started") or run.events_of("imported")
    size = f"{began[-1]['parameters']:,} parameters" if began else "size unknown"
    learned_from = run.config.dataset or of_classes(run)
    st.markdown(
        f"{accuracy(run)}  \n:small[:gray[{plain(learned_from)}, {size}]]  "
        f"\n:small[:gray[{reported(run)}]]"
    )


def of_classes(run):
    """What is known of a network without data."""
    return "weights alone" if run.is_bare else f"{len(run.class_names):,} classes"


def accuracy(run):
    """On the test images; of a run that is not finished how it stands, and that so far."""
    finished, scores = run.events_of("finished"), run.events_of("epoch")
    answered = run.events_of("answered")
    if answered and not finished:
        reached = answered[-1]
        on = f"accuracy on {reached['test_images']:,} images"
        return f"{status.badge(run)} **{reached['test_accuracy']:.1%}** {on}"
    if finished:
        return f"**{finished[-1]['test_accuracy']:.1%}** held-out accuracy"
    if scores:
        so_far = f"**{scores[-1]['val_accuracy']:.1%}** validation accuracy so far"
        return f"{status.badge(run)} {so_far}"
    return status.badge(run)


def reported(run):
    """What a report reached with this network, to stand beside what ours does; a blank, which keeps
    the cards even, where none has it.
    """
    system = systems.system_of(run)
    return (
        plain(f"reported {system.id}: {system.told.replace('–', 'no figure')}")
        if system and system.epochs
        else "&nbsp;"
    )


def say_verdict(run, container):
    if run.is_imported and not run.has("predictions.npz"):
        return  # the badge says it all
    try:
        verdict = answers.at(run).verdict
    except UserError as error:
        container.caption(plain(error))
        return
    colour, icon = BADGES.get(verdict.level, ("orange", ":material/warning:"))
    container.markdown(
        f":{colour}-badge[{icon} {verdict.level}]  "
        f"\n:small[:gray[{plain(verdict.sentence.partition(': ')[2])}]]"
    )


def questions():
    """What people come with, and the page that answers it."""
    asked = [
        ("What does each layer see?", "Feature maps", {}),
        ("What does a unit look for?", "Unit", {}),
        *question_of_collapse(),
        ("Did it overfit?", "Training curves", {}),
        ("What does my model see?", "Import", {}),
    ]
    for column, (question, target, parameters) in zip(st.columns(len(asked)), asked, strict=True):
        with column:
            links.link(target, question, **parameters)


def question_of_collapse():
    """What the run that ships as an example asks, if it is there: a list of one or none."""
    for run in caches.run_list()[0]:
        if run.run_id == COLLAPSED_RUN and run.events_of("finished"):
            reached = run.events_of("finished")[-1]["test_accuracy"]
            question = f"Is an accuracy of {reached:.2f} any good?"
            return [(question, "Confusion matrix", {"model": run.run_id})]
    return []


page.run(show, "Home", follows=False)
