"""Pictures made to excite units: of one unit, or of all of a layer at once, made beside the
pages.
"""

import streamlit as st

from vizlib.ui.data import caches, jobs

SWITCHES = {  # key: label, what it does
    "fourier": (
        "Frequencies instead of pixels",
        "A step changes all frequencies as easily as one another: without it, fine noise wins.",
    ),
    "decorrelated": (
        "Colours of natural images",
        (
            "Red, green and blue change together as in photographs: without it, each goes to its "
            "own end."
        ),
    ),
    "robust": (
        "Robust to moves",
        (
            "Before each step the picture is moved, turned and scaled a little: what does not "
            "survive that is no pattern that the unit looks for."
        ),
    ),
}


def switches():
    """The switches of how they are made, drawn in a popover: {key: bool}."""
    with st.popover("How it is made", icon=":material/tune:"):
        st.caption(
            "After Olah, Mordvintsev and Schubert, Feature Visualization, Distill 2017. Each "
            "of these keeps noise out in its own way: switch one off to see it."
        )
        return {
            key: st.toggle(
                label, True, key=key, help=help, bind="query-params", persist_state="session"
            )
            for key, (label, help) in SWITCHES.items()
        }


def chosen():
    """The switches as they are set, where they have been drawn before."""
    return {key: st.session_state.get(key, True) for key in SWITCHES}


def of_unit(run, layer, unit, chosen, random_weights=False):
    """(uint8 picture (H, W, C), the unit's answer to it), or None as long as it is being made; from
    the layer's sheet where that is there.

    chosen: as `switches` gives it. random_weights: of a network of the same form that has learned
    nothing.
    """
    sheet = None if random_weights else jobs.ready(_key(run, layer, "all", chosen))
    done = (
        None
        if sheet
        else jobs.result(
            _key(run, layer, unit, chosen, random_weights),
            _maker(run, layer, [unit], chosen, random_weights),
            "Making the picture",
        )
    )
    made, number = (sheet, unit) if sheet else (done and done[0], 0)
    return made and (made.pictures[number], float(made.values[number]))


def of_layer(run, layer, chosen):
    """(Maximised of all units of a layer, seconds it took), or None as long as it is being made."""
    units = range(layer.output_shape[0])
    return jobs.result(
        _key(run, layer, "all", chosen),
        _maker(run, layer, units, chosen, False),
        f"Making the pictures of {len(units)} units",
    )


def _key(run, layer, units, chosen, random_weights=False):
    return "made pictures", *caches.state(run), layer.name, units, random_weights, *chosen.values()


def _maker(run, layer, units, chosen, random_weights):
    config = run.config

    def work(say):
        from vizlib.inside.maximisation import maximise

        return maximise(
            caches.network_or_control(run, random_weights),
            layer.name,
            list(units),
            input_size=run.input_size,
            mean=config.mean,
            std=config.std,
            say=say,
            **chosen,
        )

    return work
