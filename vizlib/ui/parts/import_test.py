"""What has become of a network that was brought: the run, where to look at it, and how it answers
the test images.
"""

import streamlit as st

from vizlib.bring import models
from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.ui.data import caches, jobs
from vizlib.ui.frame import links, who
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain

_CAME = "import_came"  # (the id of the run that was made, or None; a sentence)


def take(view, brought, candidate, settings, name, dataset):
    """Make it a run, and view(its id). Called by a button, before anything is drawn."""
    try:
        run = models.add(
            candidate,
            brought.tensors,
            settings,
            name,
            brought.origin,
            dataset,
            by=who.browser(),
        )
    except UserError as error:
        st.session_state[_CAME] = None, str(error)
        return
    st.session_state[_CAME] = run.run_id, f"{run.run_id} is open: {candidate.sentence}"
    view(run.run_id)


def say_what_came():
    """The last one that was made here, with the ways to look at it."""
    run_id, sentence = st.session_state.get(_CAME, (None, ""))
    if not sentence:
        return
    if run_id is None:
        st.error(plain(sentence))
        return
    st.success(plain(sentence))
    with st.container(horizontal=True):
        for title in ("Filters", "Feature maps", "Unit", "Architecture", "Confusion matrix"):
            links.link(title, title, model=run_id)
    with sentences("the test"):
        _say_accuracy(folders.open_run(run_id))


def answered(run):
    """Whether a network from elsewhere has answered the test images of its data set, or has none to
    answer. Else it begins to, with its progress in sight; what it answers stays in its run.
    """
    if not run.is_imported or not run.config.dataset or run.has("predictions.npz"):
        return True
    dataset = caches.dataset(run)

    def work(say):
        from vizlib.training.evaluation import answer

        return answer(run, dataset, say=say)

    words = f"Answering the {len(dataset.splits['test']):,} test images of {plain(dataset.name)}"
    return jobs.result(("answer", caches.state(run)), work, words, to_the_end=True) is not None


def _say_accuracy(run):
    """How many of the test images are right, once that is known."""
    if not answered(run) or not run.events_of("answered"):
        return
    reached = run.events_of("answered")[-1]
    st.markdown(
        f"**{reached['test_accuracy']:.1%}** of the {reached['test_images']:,} test images of "
        f"{plain(run.config.dataset)} are right. Whether it learned from some of them, nobody here "
        "can know."
    )
