"""Two runs beside one another: their figures, how they learned, what they confuse, and what both
see in one image.
"""

import streamlit as st

from vizlib.displays.curves import AXES, CurvesDisplay
from vizlib.errors import UserError
from vizlib.ui import page
from vizlib.ui.data import answers, caches, not_yet
from vizlib.ui.frame import guard, status
from vizlib.ui.frame.address import chosen_beside
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts import compared_answers, compared_maps, pairs
from vizlib.ui.parts.downloads import caption
from vizlib.ui.widgets import charts


def show(run, picture):
    status.title("Compare")
    runs = {other.run_id: other for other in caches.run_list()[0] if other.run_id != run.run_id}
    if not runs:
        st.info(
            f"**{plain(run.run_id)}** is the only model here: train another one, in the "
            "sidebar, to compare it with."
        )
        return
    # on a narrow screen the table goes on in a second line
    with st.container(horizontal=True, gap="medium"):
        with st.container(width=300):
            second = runs[
                chosen_beside(
                    run,
                    "Second run",
                    list(runs),
                    key="other",
                    default=partner(run, runs.values()),
                    help="The first is the model in the sidebar.",
                )
            ]
            swapped = {"model": second.run_id, "other": run.run_id}
            st.button(
                "⇄ Swap",
                on_click=st.session_state.update,
                kwargs=swapped,
                help="The second becomes the first.",
                width="stretch",
            )
            for each in (run, second):
                if line := status.sentence(each):
                    st.markdown(f"**{plain(each.run_id)}** {line} {status.weights_in_view(each)}")
            status.say_problems([run, second])
            say_tested([run, second])
        with st.container(width=560):
            figures([run, second])
    curves([run, second])
    compared_answers.show(run, second)
    compared_maps.show(run, second, picture)


def partner(run, runs):
    """The id of the run that says most beside this one: of a partner architecture on the same data,
    or any on the same data, or any.
    """
    return max(runs, key=lambda other: pairs.nearness(run, other)).run_id  # the first of the best


def say_tested(runs):
    """What stands against comparing the figures of runs, if anything does."""
    tested = [(run.config.dataset, run.config.dataset_note or run.config.dataset) for run in runs]
    if tested[0] != tested[1]:
        each = "; ".join(
            f"**{plain(run.run_id)}** on {plain(note)}"
            for run, (_, note) in zip(runs, tested, strict=True)
        )
        st.warning(
            "They were tested on different images, so their accuracies do not say which is "
            f"better: {each}."
        )


def figures(runs):
    """One table of runs, from their folders alone."""
    rows = [
        [
            "",
            "what",
            "data",
            "parameters",
            "epochs",
            "training",
            "validation accuracy",
            "test accuracy",
            "verdict",
        ]
    ]
    rows += [[f"{plain(run.run_id)} {status.badge(run)}", *map(plain, cells(run))] for run in runs]
    # a row a figure: as a row a run it would be too wide
    lines = ["| " + " | ".join(line) + " |" for line in zip(*rows, strict=True)]
    st.markdown("\n".join([lines[0], "|---|" + "--:|" * len(runs), *lines[1:]]))


def cells(run):
    """What the table says of a run, after its name; a dash for what it does not have yet."""
    started, scores, finished, last = (
        run.events_of("started"),
        run.events_of("epoch"),
        run.events_of("finished"),
        status.latest(run),
    )
    try:
        verdict = answers.at(run).verdict.level
    except UserError:
        verdict = "–"
    return (
        run.config.title or run.config.architecture,
        run.config.dataset,
        f"{started[-1]['parameters']:,}" if started else "–",
        f"{last['epoch']:.3g}" if last else "–",
        f"{finished[-1]['seconds'] if finished else last['seconds']:,.0f} s" if last else "–",
        f"{run.best['val_accuracy']:.1%}"
        if run.best
        else f"{scores[-1]['val_accuracy']:.1%}"
        if scores
        else "–",
        f"{finished[-1]['test_accuracy']:.1%}" if finished else "–",
        verdict,
    )


def curves(runs):
    st.markdown("#### How they learned")
    with sentences(*guard.IN_PAGE):
        if not any(run.events_of("step") or run.events_of("epoch") for run in runs):
            raise not_yet.without(runs[0], "step")
        axis = st.segmented_control(
            "Over",
            list(AXES),
            default="epochs",
            key="over",
            bind="query-params",
            persist_state="session",
            required=True,
        )
        display = CurvesDisplay.from_runs(runs)
        for column, quantity in zip(st.columns(2, gap="medium"), ("loss", "accuracy"), strict=True):
            figure = display.plot(quantity, axis, smoothing=0.8, narrow=True)
            with column:
                charts.steady(figure, key=f"curves_{quantity}", config=charts.CAMERA)
        text = (
            "Dotted: training images, thin: the same step by step, smoothed; full: held-out "
            "validation images; star: the best checkpoint."
        )
        caption(text, f"{runs[0].run_id}-{runs[1].run_id}-curves", csv=display.csv)


page.run(show, "Compare", keeps=("other", "over", "at", "same_weights"), beside="other")
