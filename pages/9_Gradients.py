"""How large the gradient is in every layer while a network learns: do the first layers get any of
it?
"""

import streamlit as st

from vizlib.displays.gradients import SIZES, GradientsDisplay
from vizlib.run import findings
from vizlib.ui import page
from vizlib.ui.data import caches, not_yet
from vizlib.ui.frame import film_slider, status
from vizlib.ui.frame.address import chosen_beside
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import pairs
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import charts

ALONE = "nothing"
INTRODUCTION = (
    "In each training step every layer gets a gradient, which says how its weights should "
    "change. It is made at the answer and handed back from layer to layer. "
    "Where it shrinks on its way it **vanishes**, and the first layers, on top, hardly "
    "learn. Where it grows, as it can in deep plain networks with batch "
    "normalisation, it **explodes**, and no rate suits all layers. Shortcuts hand it on evenly."
)


def show(run, picture):
    status.title(f"Gradients of {run.run_id}", run)
    st.markdown(INTRODUCTION)
    pick, sizes = st.columns([1, 1], vertical_alignment="bottom")
    with pick:
        shown = [run, *pick_beside(run)]
    with sizes:
        size = pick_size()
    step = film_slider.pick(run)
    display = GradientsDisplay.from_runs(shown)
    for shown_run in shown:
        if shown_run.run_id not in display.histories:
            say_missing(shown_run)
    if display.histories:
        draw(run, display, size, step)
        files(run, [each for each in shown if each.run_id in display.histories], display, size)


def pick_beside(run):
    """The run chosen to stand beside the one in view: a list of one or none."""
    by_id = {other.run_id: other for other in caches.run_list()[0]}
    beside = chosen_beside(
        run,
        "Beside it",
        [ALONE, *(name for name in by_id if name != run.run_id)],
        key="against",
        default=partner(run, list(by_id.values())),
        help="A second run on the same scale.",
        word="run",
    )
    return [] if beside == ALONE else [by_id[beside]]


def pick_size():
    return st.segmented_control(
        "Size of the",
        SIZES,
        default=SIZES[0],
        required=True,
        key="size",
        bind="query-params",
        persist_state="session",
        help="The second is how much a step changes a weight for its size, whatever the learning "
        "rate.",
    )


def draw(run, display, size, step):
    """The course of all layers, and how they stand at one step."""
    for name, gradients in display.histories.items():
        said = findings.handed_on(gradients.sizes(size)[gradients.row(step)])
        at_first = findings.handed_on(gradients.sizes(size)[0])
        st.markdown(f"**{plain(name)}**  {said}{before(said, at_first, gradients, step)}")
    chart = charts.drawn(display.plot, size, step)
    charts.steady(chart, key="course", config={"displaylogo": False})
    moment = "now" if run.is_active else "at the end"
    if step is not None:
        moment = f"at step {step:,}"
    st.markdown(
        f"**By layer, {moment}**: in a flat line all layers get as much; one that falls to "
        "the left vanishes on its way, one that rises explodes."
    )
    chart = charts.drawn(display.plot_depth, size, step)
    charts.steady(chart, key="depth_of_gradient", config={"displaylogo": False})


def before(said, at_first, gradients, step):
    """How it was at the first step, where that is another thing."""
    if at_first == said or gradients.row(step) == 0:
        return ""
    return f" At step {gradients.steps[0]:,}: {at_first[0].lower()}{at_first[1:]}"


def files(run, shown, display, size):
    names = ", ".join(f"{each.run_id} on {each.config.dataset}" for each in shown)
    caption(
        f"{names}: L2 norm of the {size} of each layer's weight, of one batch a step, on one "
        "scale.",
        f"{run.run_id}-gradients",
        csv=display.csv,
    )


def partner(run, runs):
    """The run that the picture is most telling beside: of the same depth with or without shortcuts,
    the newest with gradients, else the one that ships.
    """
    fitting = [other for other in runs if all(pairs.nearness(run, other, "shortcuts"))]
    if not fitting:
        return ALONE
    with_gradients = [other for other in fitting if other.events_of("gradients")]
    return with_gradients[-1].run_id if with_gradients else fitting[0].run_id


def say_missing(run):
    if run.is_imported:
        error = not_yet.without(run, "gradients")
        st.info(plain(error), icon=error.icon)
        return
    if run.is_active:
        st.info(
            f"**{plain(run.run_id)}** has noted no gradients yet: they come with its first steps.",
            icon=":material/hourglass_empty:",
        )
        return
    command = (
        f"python -m vizlib train --architecture {run.config.architecture} --data "
        f"{run.config.dataset} --recipe {run.config.recipe.get('name', 'sgd')}"
    )
    st.info(
        f"**{plain(run.run_id)}** has no gradients noted along its training. Train it again, "
        f"in the sidebar or with: {plain(command)}",
        icon=":material/info:",
    )


page.run(show, "Gradients", keeps=("against", "size"), beside="against", has_film=True)
