"""How a training stands, in a sentence: for the head of every page and for Home's cards."""

import streamlit as st

from vizlib.ui.frame.plain import plain

_WORDS = {
    "queued": "Waiting",
    "training": "Training",
    "paused": "Paused",
    "stopped": "Stopped",
    "failed": "Failed",
    "interrupted": "Interrupted",
    "imported": "Imported",
}
COLOURS = {
    "queued": "gray",
    "training": "blue",
    "paused": "orange",
    "stopped": "orange",
    "failed": "red",
    "interrupted": "red",
    "imported": "violet",
}


def badge(run):
    """The run's state as a coloured word, with how far it is; empty for a finished run."""
    status, share = run.status, progress(run)
    if status not in _WORDS:
        return ""
    far = f" {share:.0%}" if share is not None and status in ("training", "paused") else ""
    return f":{COLOURS[status]}-badge[{_WORDS[status]}{far}]"


def progress(run):
    """How much of the training is done, in [0, 1], or None where that is not known."""
    last = latest(run)
    if "progress" in last:
        return min(1.0, max(0.0, float(last["progress"])))
    planned = next((event.get("steps") for event in reversed(run.events_of("started"))), None)
    return min(1.0, last["step"] / planned) if planned and last else None


def latest(run):
    """The newest event that says how far the training is, a "step" or an "epoch" event; an empty
    dictionary before the first.
    """
    return max(
        run.events_of("step")[-1:] + run.events_of("epoch")[-1:],
        key=lambda event: event["step"],
        default={},
    )


def sentence(run):
    """What is to be known of a run that is not finished, as Markdown; empty for one that is."""
    status = run.status
    if status == "queued":
        return f"{badge(run)} It waits for its turn to train; this page fills by itself."
    if status not in _WORDS:
        return ""
    if run.is_imported:
        return f"{badge(run)} {plain(came_from(run))}"
    last, scores = latest(run), run.events_of("epoch")
    far = f"step {last['step']:,}, epoch {last['epoch']:.3g}" if last else ""
    if scores:
        far += f", validation accuracy {scores[-1]['val_accuracy']:.1%}"
    return " ".join(filter(None, (badge(run), far and f"{far}.", plain(why_ended(run)))))


def came_from(run):
    """Where the weights of an imported run are from, as a sentence."""
    recognised = [
        event["recognised"] for event in run.events_of("imported") if "recognised" in event
    ]
    name = run.config.origin.get("file", "elsewhere")
    return f"Its weights are from {name}.{''.join(f' {text}' for text in recognised[-1:])}"


def weights_in_view(run):
    """Which moment of the training the saved weights are of, as a sentence; empty where they are
    from elsewhere.
    """
    if run.is_imported:
        return ""
    best = run.best
    if best is None:
        return "Its weights are still the random start." if run.has("model.safetensors") else ""
    moment = f"step {best['step']:,}" if "step" in best else f"epoch {best['epoch']:.3g}"
    return f"The weights in view are those of {moment}, the best so far."


def why_ended(run):
    """Why a training that is not finished has ended, in a sentence; empty while it goes on."""
    status = run.status
    if status == "interrupted":
        return "Its process ended without a word, as at a shutdown; what it had written is kept."
    reasons = run.events_of(status) if status in ("stopped", "failed") else []
    return str(reasons[-1].get("reason") or "") if reasons else ""


def title(text, chosen_run=None, *, of_weights=False):
    """The head of a page, with a line on how the run stands if its training is not finished; also
    on its weights, if the page is of them.
    """
    st.title(plain(text))
    line = sentence(chosen_run) if chosen_run is not None else ""
    if line:
        st.markdown(f"{line} {weights_in_view(chosen_run)}" if of_weights else line)
    if of_weights and chosen_run is not None and chosen_run.packed:
        st.caption(chosen_run.packed)
    if chosen_run is not None:
        say_problems([chosen_run])


def say_problems(runs):
    """What of the files of these runs was left out, a sentence each."""
    for run in runs:
        if run.problem:
            st.warning(plain(run.problem))


def took(runs, verb, seconds):
    """How long a figure of these runs took, in a sentence; empty where one of them is followed: it
    would change with every look at it.
    """
    if any(run.is_active for run in runs):
        return ""
    return f"{verb.capitalize()} in {seconds * 1000:.0f} ms."
