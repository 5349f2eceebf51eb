"""What pressing Train will do, before it is pressed: on what, for how long, and how far a recipe in
seconds gets on this machine. How fast it is, is tried for a second while the form is read.
"""

import streamlit as st

from vizlib.training import again, launcher, suited, trial
from vizlib.training.estimate import epochs_within, estimate, known_speed
from vizlib.training.trial import trial_of
from vizlib.ui.data import caches
from vizlib.ui.frame.cut import not_seen
from vizlib.ui.frame.plain import plain
from vizlib.ui.train_panel import readout, trainings

TICK_SECONDS = 1
FAR_FROM = 0.5  # of the epochs of the run that ships: fewer are worth a word


def show(order, facts):
    """A line or two. facts: images, size and parameters of what is trained, and the share that is
    cut off its pictures.
    """
    tried = trial_of(order, facts["size"])
    speed, _ = known_speed(order, facts["size"])
    # beside a training it would be found slower than it is
    is_idle = not trainings.standing().active
    if speed is None and is_idle:
        trial.begin(tried)
    interval = TICK_SECONDS if trial.is_under_way(tried) else None
    # nor would what is tried beside an import be as fast as it is
    if interval is None and is_idle:
        launcher.get_ready(order.device)
    st.fragment(_draw, run_every=interval)(order, facts, tried, interval)


def _draw(order, facts, tried, interval):
    _, height, width = facts["size"]
    words = [
        readout.device_name(order.device),
        f"{facts['images']:,} images of {height} × {width}",
        f"{facts['parameters']:,} parameters",
        "each within a black border" if order.whole else not_seen(facts["cut"], "each picture"),
    ]
    st.caption(
        f"{' · '.join(filter(None, words))}  \n{_time(order, facts)}{_how_far(order, facts)}"
        f"{_form(order, facts)}"
    )
    if interval and not trial.is_under_way(tried):
        st.rerun()


def _time(order, facts):
    seconds, why = estimate(order, images=facts["images"], input_size=facts["size"])
    return f"**about {readout.duration(seconds)}**, {plain(why)}"


def _how_far(order, facts):
    """A sentence where a recipe in seconds gets less far here than it was made for."""
    recipe = order.recipe
    if not recipe.seconds:
        return ""
    speed, _ = known_speed(order, facts["size"])
    there = _epochs_that_ship(order)
    if speed is None or there is None:
        return ""
    here = epochs_within(recipe, speed, facts["images"], facts["size"])
    if here >= FAR_FROM * there:
        return f"; about {here:.2g} epochs"
    return (
        f".  \nHere that comes to about **{here:.2g} epochs**; the run that ships had {there:.2g} "
        f"in {recipe.seconds:.0f} s. Give it more seconds, or a smaller network."
    )


def _form(order, facts):
    """A sentence on the form of the network, where this machine decided it."""
    usual = suited.usual(order)
    found = suited.choice(usual, images=facts["images"], input_size=facts["size"])
    if found is None or suited.of_form(usual, found.form) != order:  # it is that of a run
        return ""
    accuracy = found.form.expected(found.epochs) if order.dataset == "cifar10" else None
    reached = f"; it reached {accuracy:.0%} in a trial as long as that" if accuracy else ""
    return f".  \n{plain(suited.sentence(order, found.form))}{reached}."


def _epochs_that_ship(order):
    """How many epochs the run that ships of this network, data and seconds had; None without
    one.
    """
    for run in caches.run_list()[0]:
        config = run.config
        is_same = (
            run.ships
            and (config.architecture, config.dataset) == (order.architecture, order.dataset)
            and again.own_arguments(run) == order.arguments
            and config.recipe.get("seconds") == order.recipe.seconds
        )
        if is_same and run.events_of("epoch"):
            return run.events_of("epoch")[-1]["epoch"]
    return None
