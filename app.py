"""Home: what is here, in pictures. `streamlit run app.py`."""

import streamlit as st

from vizlib.errors import UserError
from vizlib.reports import systems
from vizlib.run.verdict import COLLAPSED, HEALTHY, UNJUDGED
from vizlib.ui import page
from vizlib.ui.data import answers, caches
from vizlib.ui.frame import links, status
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain

COLUMNS = 4
COLLAPSED_RUN = "collapsed_lenet"  # ships as the example of an accuracy that hides a collapse
BADGES = {
    COLLAPSED: ("red", ":material/error:"),
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
    own = [card_run for card_run in runs if not card_run.ships]
    # what happens now comes first, then what was trained last
    own.sort(key=lambda own_run: (not own_run.is_active, -own_run.changed("events.jsonl")))
    runs = own + sorted(
        (card_run for card_run in runs if card_run.ships), key=lambda shipped: shipped.is_weightless
    )
    containers = []
    for start in range(0, len(runs), COLUMNS):
        for column, card_run in zip(
            st.columns(COLUMNS), runs[start : start + COLUMNS], strict=False
        ):
            with column.container(border=True, height="stretch"), sentences("this card"):
                containers.append(
                    (card_run, growing(card_run) if card_run.is_active else card(card_run))
                )
    if any(systems.system_of(card_run) for card_run in runs):
        st.caption(
            "*Reported*: what five published course and lab reports reached with these "
            "networks. `docs/results.md` has the whole table."
        )
    for problem in (*problems, *caches.dataset_problems()):
        st.warning(plain(problem))
    # after everything that can be drawn at once: the verdicts read all predictions
    for card_run, container in containers:
        if container is not None:
            with container, sentences("this card"):
                say_verdict(card_run, container)


def growing(run):
    """The card of a run that trains, which follows it by itself."""
    page.follow(lambda: say_verdict(run, card(run)), lambda: [run])


def card(run):
    """The first filters, name and figures of a run. Returns the empty container for its verdict."""
    st.markdown(
        f"**{plain(run.run_id)}**  "
        f"\n:small[:gray[{plain(run.config.title or run.config.architecture)}]]"
    )
    weights = caches.snapshots(run)
    if weights:
        from vizlib.displays.filters import FiltersDisplay

        display = FiltersDisplay.from_weight(weights[max(weights)])
        atlas = display.colour_atlas() if display.is_colour else display.channel_atlas(0)
        st.image(
            atlas.card(),
            alt=f"first-layer filters of {run.run_id}",
            width="stretch",
            output_format="PNG",
        )
    started, finished = run.events_of("started"), run.events_of("finished")
    size = f"{started[-1]['parameters']:,} parameters" if started else "size unknown"
    scores = run.events_of("epoch")
    figure = (
        f"**{finished[-1]['test_accuracy']:.1%}** held-out accuracy"
        if finished
        else status.badge(run)
    )
    figure += (
        f" **{scores[-1]['val_accuracy']:.1%}** validation accuracy so far"
        if scores and not finished
        else ""
    )
    st.markdown(
        f"{figure}  \n:small[:gray[{plain(run.config.dataset)}, {size}]]  "
        f"\n:small[:gray[{reported(run)}]]"
    )
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
        ("Did it overfit?", "Training curves", {}),
    ]
    collapsed = next(
        (
            run
            for run in caches.run_list()[0]
            if run.run_id == COLLAPSED_RUN and run.events_of("finished")
        ),
        None,
    )
    if collapsed:
        accuracy = collapsed.events_of("finished")[-1]["test_accuracy"]
        asked.insert(
            2,
            (
                f"Is an accuracy of {accuracy:.2f} any good?",
                "Confusion matrix",
                {"model": collapsed.run_id},
            ),
        )
    for column, (question, target, parameters) in zip(st.columns(len(asked)), asked, strict=True):
        with column:
            links.link(target, question, **parameters)


page.run(show, "Home", follows=False)
