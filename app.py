"""Home: what is here, in pictures. `streamlit run app.py`."""

import streamlit as st

from vizlib.collapse import COLLAPSED, HEALTHY
from vizlib.errors import UserError
from vizlib.ui import caches, page
from vizlib.ui.pickers import plain

COLUMNS = 4
BADGES = {COLLAPSED: ("red", ":material/error:"), HEALTHY: ("green", ":material/check:")}


def show(run, picture):
    st.title("See inside an image classifier")
    st.markdown("Its filters, the feature maps of every layer, how it learned, and whether it works at all. Nothing leaves this computer.")
    runs, problems = caches.run_list()
    verdicts = []
    for start in range(0, len(runs), COLUMNS):
        for column, card_run in zip(st.columns(COLUMNS), runs[start : start + COLUMNS]):
            with column.container(border=True, height="stretch"):
                verdicts.append((card_run, card(card_run)))
    for problem in problems:
        st.warning(plain(problem))
    for card_run, place in verdicts:  # after every picture: the verdicts need scikit-learn, which takes a second to come
        say_verdict(card_run, place)


def card(run):
    """The picture, name and figures of a run. Returns the empty places for its verdict."""
    st.markdown(f"**{plain(run.run_id)}**  \n{plain(run.config['class_names'][0])} … {plain(run.config['class_names'][-1])}, {plain(run.config['dataset'])}")
    weights = caches.snapshots(run)
    if weights:
        from vizlib.displays.filters import FiltersDisplay

        display = FiltersDisplay.from_weight(weights[max(weights)])
        atlas = display.colour_atlas() if display.is_colour else display.channel_atlas(0)
        st.image(atlas.png(), alt=f"first-layer filters of {run.run_id}", width="stretch", output_format="PNG")
    started, finished = run.rows("started"), run.rows("finished")
    size = f"{started[-1]['parameters']:,} parameters" if started else "size unknown"
    accuracy = f"**{finished[-1]['test_accuracy']:.1%}** held-out accuracy" if finished else run.status
    st.markdown(f"{accuracy} · {size}")
    place = st.empty()
    page.link("3_Feature_maps", "Look inside →", model=run.run_id)
    return place


def say_verdict(run, place):
    try:
        verdict = caches.verdict(run)
    except UserError as error:
        place.caption(plain(error))
        return
    colour, icon = BADGES.get(verdict.level, ("orange", ":material/warning:"))
    place.markdown(f":{colour}-badge[{icon} {verdict.level}]", help=plain(verdict.sentence))


page.run(show, "Home")
