"""Two runs beside one another: their figures, how they learned, what they confuse, and what both
see in one image.
"""

from contextlib import suppress

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

FIGURES = (
    "what",
    "data",
    "parameters",
    "epochs",
    "training",
    "validation accuracy",
    "test accuracy",
    "balanced accuracy",
    "verdict",
)


def show(run, picture):
    heading = st.container()
    others = [other for other in caches.run_list()[0] if other.run_id != run.run_id]
    if not others:
        with heading:
            status.title("Compare")
        st.info(
            f"**{plain(run.run_id)}** is the only model here: train another one, in the "
            "sidebar, to compare it with."
        )
        return
    # on a narrow screen the table goes on in a second line
    with st.container(horizontal=True, gap="medium"):
        with st.container(width=300):
            second = pick_second(run, others)
            with heading:
                status.title(f"Compare {run.run_id} with {second.run_id}")
            swap_button(run, second)
            say_standing([run, second])
            with suppress(UserError):  # the matrices below say why there is nothing to compare
                compared_answers.conclusion(run, second)
        with st.container(width=560):
            figures([run, second])
    curves([run, second])
    compared_answers.show(run, second)
    compared_maps.show(run, second, picture)


def pick_second(run, others):
    """The run chosen to stand beside the one in view."""
    by_id = {other.run_id: other for other in others}
    run_id = chosen_beside(
        run,
        "Second run",
        list(by_id),
        key="other",
        default=partner(run, others),
        help="The first is the model in the sidebar.",
    )
    return by_id[run_id]


def swap_button(run, second):
    st.button(
        "⇄ Swap",
        on_click=st.session_state.update,
        kwargs={"model": second.run_id, "other": run.run_id},
        help="The second becomes the first.",
        width="stretch",
    )


def say_standing(runs):
    """How the trainings of both stand, and what is wrong with their files or their comparison."""
    for run in runs:
        if line := status.sentence(run):
            st.markdown(f"**{plain(run.run_id)}** {line} {status.weights_in_view(run)}")
    status.say_problems(runs)
    say_tested(runs)


def partner(run, runs):
    """The id of the run that says most beside this one: of a partner architecture on the same data,
    or any on the same data, or any.
    """
    return max(runs, key=lambda other: pairs.nearness(run, other)).run_id  # the first of the best


def say_tested(runs):
    """What stands against comparing the figures of runs, if anything does."""
    tested = [(run.config.dataset, run.config.dataset_note or run.config.dataset) for run in runs]
    if all(name for name, _ in tested) and tested[0] != tested[1]:
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
    rows = [["", *FIGURES]]
    rows += [[f"{plain(run.run_id)} {status.badge(run)}", *map(plain, cells(run))] for run in runs]
    # a row a figure: as a row a run it would be too wide
    lines = ["| " + " | ".join(line) + " |" for line in zip(*rows, strict=True)]
    st.markdown("\n".join([lines[0], "|---|" + "--:|" * len(runs), *lines[1:]]))


def cells(run):
    """The FIGURES of a run; a dash for what it does not have yet."""
    started = run.events_of("started") or run.events_of("imported")
    finished = run.events_of("finished")
    last = status.latest(run)
    balanced = verdict = "–"
    with suppress(UserError):
        judged = answers.at(run).verdict
        balanced, verdict = f"{judged.balanced_accuracy:.1%}", judged.level
    return (
        run.config.title or run.config.architecture,
        run.config.dataset or "–",
        f"{started[-1]['parameters']:,}" if started else "–",
        f"{last['epoch']:.3g}" if last else "–",
        f"{(finished or [last])[-1]['seconds']:,.0f} s" if last else "–",
        val_accuracy(run),
        f"{finished[-1]['test_accuracy']:.1%}" if finished else "–",
        balanced,
        verdict,
    )


def val_accuracy(run):
    """That of the best checkpoint, or as long as there is none the last one."""
    scores = [run.best] if run.best else run.events_of("epoch")
    return f"{scores[-1]['val_accuracy']:.1%}" if scores else "–"


def curves(runs):
    st.markdown("#### How they learned")
    with sentences(*guard.IN_PAGE):
        if not any(run.events_of("step") or run.events_of("epoch") for run in runs):
            raise not_yet.without(runs[0], "step")
        axis = pick_axis()
        display = CurvesDisplay.from_runs(runs)
        for column, quantity in zip(st.columns(2, gap="medium"), ("loss", "accuracy"), strict=True):
            chart = charts.drawn(display.plot, quantity, axis, smoothing=0.8, narrow=True)
            with column:
                charts.steady(chart, key=f"curves_{quantity}", config=charts.CAMERA)
        text = (
            "Dotted: training images, thin: the same step by step, smoothed; full: held-out "
            "validation images; star: the best checkpoint."
        )
        caption(text, f"{runs[0].run_id}-{runs[1].run_id}-curves", csv=display.csv)


def pick_axis():
    return st.segmented_control(
        "Over",
        list(AXES),
        default="epochs",
        key="over",
        bind="query-params",
        persist_state="session",
        required=True,
    )


page.run(show, "Compare", keeps=("other", "over", "at", "same_weights"), beside="other")
