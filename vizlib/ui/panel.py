"""Train a model: the part of the sidebar that starts trainings, follows them and steers them.

What it shows is read from the run folders, so every browser sees the same, and a training goes on without anybody looking. The settings
and the trainings are fragments of their own: only the trainings tick, once a second, and only while something runs on this machine.
"""

import logging
import math
import time
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st

from vizlib import runs
from vizlib.displays.curves import smoothed
from vizlib.displays.sparkline import COLOURS, sparkline
from vizlib.errors import UserError
from vizlib.training import launcher
from vizlib.training.estimate import estimate
from vizlib.training.recipes import LIMITS, RECIPES, recipe, recipe_for
from vizlib.ui import caches
from vizlib.ui.pickers import plain

OPENS_ON = ("three_layer_module", "digits")
TICK_SECONDS = 1
CARDS, QUEUED, RESUMABLE = 3, 3, 3  # of each kind, as many as are shown
PRESS_SECONDS = 1  # a second press of Train within this time is the second half of a double click
WAKING_SECONDS = 5
OPEN = "train_open"
IMBALANCE = {
    None: "nothing",
    "class_weights": "weigh the classes in the loss",
    "balanced": "draw all classes equally often",
    "augment_only_rare": "augment only the rare classes",
}
BADGES = {"training": "blue", "paused": "orange", "stopped": "orange", "failed": "red", "interrupted": "red"}  # as at the head of the pages
_KEPT = dict(persist_state="session")
_STYLE = """<style>
.st-key-trainings button[kind="tertiary"] {min-height: 1.6rem; padding-top: 0; padding-bottom: 0; justify-content: flex-start; text-align: left}
.st-key-trainings button[kind="tertiary"] * {text-align: left; justify-content: flex-start}
</style>"""


def show(run):
    """Draw the panel, below whatever is there. run: the Run in view, or None."""
    st.html(_STYLE)
    _settings()
    active = bool(_standing().active)
    st.fragment(_trainings, run_every=TICK_SECONDS if active else None)(run.run_id if run else None, active)


@contextmanager
def _sentences():
    """As for a page: a sentence for the reader, the trace for the log. A fragment's errors never reach the page it is on."""
    try:
        yield
    except UserError as error:
        st.error(plain(error))
    except Exception:  # Streamlit's own signals to stop or begin anew are no Exceptions
        logging.getLogger("convscope").exception("the panel")
        st.error("The panel met something it was not made for; the server's log has the details.")


def _begin_anew_if_asked():
    """Redraw the whole page where a button of this fragment has put another run in view."""
    if st.session_state.pop("train_elsewhere", False):
        st.rerun()


def _view(run_id):
    """Put a run in view. Called by buttons before anything is drawn: afterwards the box of models could not be changed any more."""
    caches.run_list.clear()  # a run made this second is not in it yet
    _standing.clear()
    st.session_state["model"] = run_id
    st.session_state["train_elsewhere"] = True


# Settings


@st.fragment
def _settings():
    _begin_anew_if_asked()
    box = st.expander("Train a model", icon=":material/model_training:", key=OPEN, on_change="rerun")
    if not box.open:  # what is in it takes torch to draw: nothing of it is made before somebody looks
        return
    with box, _sentences():
        architecture, dataset, name = _what()
        _main_fields(name)
        facts = None
        with _sentences():  # whatever they say, the settings stay to be changed
            facts = _facts(architecture, dataset)
        with st.expander("More", type="compact"):
            _more_fields(architecture, name, facts)
        with _sentences():
            if facts:
                st.caption(_outlook(architecture, dataset, facts))
        help = "Starts at once, or waits for its turn. It goes on when you leave this page, or close the browser."
        st.button("Train", key="train_press", type="primary", width="stretch", icon=":material/play_arrow:", on_click=_train, help=help)
        if "train_problem" in st.session_state:
            st.error(plain(st.session_state.pop("train_problem")))
    caches.freeze()  # the first look at a network of torchvision's imports that


def _choice(label, options, default, *, key, **given):
    """A selectbox kept across pages; a value that is no longer possible gives way to the default."""
    options = list(options)
    if key in st.session_state and st.session_state[key] not in options:
        del st.session_state[key]
    return st.selectbox(label, options, options.index(default) if default in options else 0, key=key, **_KEPT, **given)


def _what():
    """(architecture, data set, name of the recipe), each with a line on what it is."""
    from vizlib import architectures

    with st.container(gap="xxsmall"):
        architecture = _choice("Architecture", architectures.names(), OPENS_ON[0], key="train_architecture", help="The network to train.")
        st.caption(plain(architectures.get(architecture).summary))
    dataset = _choice("Data set", caches.dataset_names(), OPENS_ON[1], key="train_dataset", help="What this machine has: digits always, others from the data folder.")
    with st.container(gap="xxsmall"):
        help = "How it is trained. The fields below begin with its values."
        name = _choice("Recipe", RECIPES, recipe_for(architecture, dataset), key=_key("recipe", _pair()), help=help)
        st.caption(plain(RECIPES[name].summary))
    return architecture, dataset, name


def _pair():
    """What the recipe to begin with depends on."""
    return f"{st.session_state['train_architecture']} {st.session_state['train_dataset']}"


def _key(field, owner):
    """A widget's key: with the recipe or architecture whose default it shows, so that another one brings its own."""
    return f"train_{field}_{owner}"


def _main_fields(name):
    """How long, how fast, how many at once."""
    usual = RECIPES[name]
    left, right = st.columns(2, gap="small")
    with left:
        if usual.seconds:
            st.number_input("Seconds", 1, 86_400, int(usual.seconds), 10, key=_key("seconds", name), help="It trains until this time is up, then is tested.", **_KEPT)
        else:
            highest = LIMITS["epochs"][1]
            st.number_input("Epochs", 1, highest, usual.epochs, key=_key("epochs", name), help="How many times it sees every training image.", **_KEPT)
    with right:
        low, high = LIMITS["batch_size"]
        st.number_input("Batch size", low, high, usual.batch_size, 16, key=_key("batch_size", name), help="Images in each step. Larger: fewer, steadier steps.", **_KEPT)
    _rate_field(usual.learning_rate, key=_key("learning_rate", name), **_KEPT)


def _rate_field(rate, **given):
    """A field for a highest learning rate; its buttons move it by a fifth of where it began."""
    help = "The highest of the schedule. Too high and the loss grows; too low and hardly anything is learned."
    step = 10 ** math.floor(math.log10(rate)) if rate > 0 else 0.001
    return st.number_input("Learning rate", 0.0, LIMITS["learning_rate"][1], float(rate), step, format="%g", help=help, **given)


def _more_fields(architecture, name, facts):
    usual = RECIPES[name]
    convolutions = facts["convolutions"] if facts else 0
    flag = next((flag for flag in IMBALANCE if flag and getattr(usual, flag)), None)
    _choice("Against imbalance", IMBALANCE, flag, key=_key("imbalance", name), format_func=IMBALANCE.get, help="For data sets in which some classes are rare.")
    starts = _starts(architecture)
    _choice("Start from", starts, ("", ""), key=_key("start", architecture), format_func=starts.get, help="Random weights, or those of a network of the same architecture.")
    left, right = st.columns(2, gap="small")
    help = "Of the labels. 0.1: the right answer counts 0.9, the rest is shared by all classes."
    left.number_input("Smoothing", *LIMITS["label_smoothing"], usual.label_smoothing, 0.05, format="%g", key=_key("label_smoothing", name), help=help, **_KEPT)
    help = f"So many of the first convolutions, of {convolutions}, stay as they start."
    right.number_input("Frozen", 0, max(convolutions, 1), 0, key=_key("frozen", architecture), help=help, disabled=not convolutions, **_KEPT)
    left, right = st.columns(2, gap="small")
    left.number_input("Seed", 0, 2**31 - 1, 0, key="train_seed", help="The same seed gives the same start, order and held-out images.", **_KEPT)
    right.text_input("Name", max_chars=60, key="train_title", placeholder=architecture, help="What its card says.", **_KEPT)
    devices = launcher.devices()
    if len(devices) > 1:
        _choice("Device", devices, devices[0], key="train_device", format_func=_device_name, help="Where it is computed.")


def _starts(architecture):
    """Where a network of this architecture can start from, and the words for it: {("", ""): ..., ("run", id): ..., ...}."""
    from vizlib.training.start import PRETRAINED

    starts = {("", ""): "random weights"}
    if architecture in PRETRAINED:
        starts["pretrained", "torchvision"] = "ImageNet weights of torchvision"
    for run in caches.run_list()[0]:
        if run.config["architecture"] == architecture and run.best and run.has("model.safetensors"):
            starts["run", run.run_id] = run.run_id
    return starts


@st.cache_data(max_entries=64, ttl=600, show_spinner="Looking at the data set")
def _facts(architecture, dataset_name):
    """What a training will meet: images, side lengths, parameters, convolutions. UserError if the network does not fit the data."""
    import torch

    from vizlib import architectures, datasets
    from vizlib.training.config import make_config

    dataset = datasets.load(dataset_name)
    config = make_config(architecture, dataset, RECIPES[recipe_for(architecture)])
    with torch.device("meta"):  # its shapes only
        weights = list(architectures.create(architecture, **config["arguments"]).parameters())
    return {
        "images": len(dataset.splits["train"]),
        "size": config["input_size"],
        "parameters": sum(weight.numel() for weight in weights),
        "convolutions": sum(weight.ndim == 4 for weight in weights),
    }


def _outlook(architecture, dataset, facts):
    """One line on what pressing Train will do."""
    wanted, device = _wanted_recipe(), _wanted_device()
    seconds, why = estimate(architecture, dataset, wanted, device)
    _, height, width = facts["size"]
    time_needed = f"**about {duration(seconds)}**, {plain(why)}" if seconds is not None else plain(why)
    return f"{_device_name(device)} · {facts['images']:,} images of {height} × {width} · {facts['parameters']:,} parameters  \n{time_needed}"


def _field(field, owner):
    """A field's value, or None where it is not drawn."""
    return st.session_state.get(_key(field, owner))


def _wanted_recipe():
    """The Recipe that the fields describe. UserError if it is not possible."""
    name = _field("recipe", _pair())
    changes = {field: _field(field, name) for field in ("seconds" if RECIPES[name].seconds else "epochs", "batch_size", "learning_rate", "label_smoothing")}
    chosen = _field("imbalance", name)
    return recipe(name, **changes, **{flag: flag == chosen for flag in IMBALANCE if flag})


def _wanted_device():
    return st.session_state.get("train_device") or launcher.devices()[0]


def _train():
    """Start the training that the fields describe, and put it in view. What is wrong with it is kept for the panel to say."""
    state = st.session_state
    if time.monotonic() - state.get("train_pressed", -math.inf) < PRESS_SECONDS:
        return
    architecture = state["train_architecture"]
    kind, value = _field("start", architecture) or ("", "")
    try:
        run_id = launcher.start_new(
            architecture=architecture,
            dataset=state["train_dataset"],
            recipe=_wanted_recipe(),
            seed=state.get("train_seed", 0),
            title=state.get("train_title", "").strip(),
            start={kind: value} if kind else None,
            frozen=_field("frozen", architecture) or 0,
            device=_wanted_device(),
        )
    except UserError as error:
        state["train_problem"] = str(error)
        return
    except Exception:
        logging.getLogger("convscope").exception("starting a training")
        state["train_problem"] = "The training could not be started; the server's log has the details."
        return
    finally:
        state["train_pressed"] = time.monotonic()
    state[OPEN] = False  # what is of interest now is how it goes
    _view(run_id)


# Trainings


@dataclass(frozen=True)
class _Standing:
    """How the trainings of this machine stand: the active ones with their status, in the order in which they came, and those that can go on, newest first."""

    active: list
    ended: list

    def place(self, run):
        """1 for the run that is next on its device, 2 for the one after; 0 for one that is about to start."""
        device = launcher.device_of(run)
        same = [(other, status) for other, status in self.active if launcher.device_of(other) == device]
        waiting = [other.run_id for other, status in same if status == "queued"]
        place = waiting.index(run.run_id) + 1
        return 0 if place == 1 and len(same) == len(waiting) else place


@st.cache_resource(max_entries=1, ttl=0.5, show_spinner=False)
def _standing():
    """The _Standing now. Thirty browsers look once between them."""
    own = [run for run in caches.run_list()[0] if run.folder.parent != runs.SHIPPED]
    ended = sorted((run for run in own if run.can_resume), key=lambda run: -run.changed("events.jsonl"))
    return _Standing([(run, run.status) for run in launcher.active_runs()], ended)


def _trainings(in_view, ticking):
    """What runs, what waits, what just ended and what can go on. in_view: a run's id. ticking: whether this is redrawn by itself."""
    _begin_anew_if_asked()
    with st.container(key="trainings"), _sentences():
        standing = _standing()
        if ticking != bool(standing.active):
            st.rerun()  # the ticks begin, or end, with the page; and the page sees the run as it is now
        if "steer_problem" in st.session_state:
            st.error(plain(st.session_state.pop("steer_problem")))
        _ended_in_view(next((run for run in caches.run_list()[0] if run.run_id == in_view), None))
        first = sorted(standing.active, key=lambda one: one[0].run_id != in_view)
        running = [(run, status) for run, status in first if status != "queued"]
        waiting = [run for run, status in first if status == "queued"]
        for run, status in running[:CARDS]:
            _card(run, status, run.run_id == in_view)
        for run in waiting[:QUEUED]:
            _queued(run, standing.place(run), run.run_id == in_view)
        if len(running) > CARDS or len(waiting) > QUEUED:
            st.caption(f"and {len(running[CARDS:]) + len(waiting[QUEUED:])} more")
        for run in sorted(standing.ended, key=lambda run: run.run_id != in_view)[:RESUMABLE]:
            _resumable(run, run.run_id == in_view)


def _name(run, in_view, badge=""):
    """The run's name; where it is not in view, it is the button that puts it there."""
    if in_view:
        st.markdown(f"**{plain(run.run_id)}** {badge}")
        return
    st.button(f"{plain(run.run_id)}\u00a0→ {badge}", key=f"view {run.run_id}", type="tertiary", on_click=_view, args=(run.run_id,), help="Put this model in view, on every page.")


def _card(run, status, in_view):
    """A training that goes on: how far it is, how it does, and what one can do about it."""
    steps, epochs = run.rows("step"), run.rows("epoch")
    ending = next((word for file, word in (("stop", "stopping"), ("keep", "ending")) if run.has(file)), None)
    pausing = run.has("pause")
    word = ending or ("pausing" if pausing and status == "training" else "training" if not pausing and status == "paused" else status)
    with st.container(border=True, gap="xsmall"):
        _name(run, in_view, f":{BADGES[status]}-badge[{word.capitalize()}]")
        share, far, left = progress(run, steps, epochs)
        st.progress(share, far)
        if steps:
            st.html(_readout(steps, epochs))
        st.caption(" · ".join(_pace(steps, left, status)) or "The first steps are on their way.")
        first, second = st.columns([2, 3], gap="xsmall")
        if pausing:
            _ask(first, "Go on", "continue", run, "Continue where it paused.", ending)
        else:
            _ask(first, "Pause", "pause", run, "Waits, without computing, until somebody lets it continue.", ending)
        with second.popover(f"Rate {rate_of(run):g}", width="stretch", disabled=bool(ending), help="Change the learning rate while it trains."):
            _change_rate(run)
        first, second = st.columns([2, 3], gap="xsmall")
        _ask(first, "Stop", "stop", run, "Ends; can be resumed later.", ending)
        _ask(second, "Stop and keep", "keep", run, "Ends now; its best weights are tested and it is a model like any other.", ending)


def _ask(place, label, request, run, help, ending=None):
    """A button that makes a request of a run; none can be made of one that is ending already."""
    place.button(label, key=f"{request} {run.run_id}", help=help, disabled=bool(ending), width="stretch", on_click=_steer, args=(launcher.request, run, request))


def _steer(act, *arguments, **named):
    """Do what a button asks for; what is wrong with it is kept for the panel to say."""
    try:
        return act(*arguments, **named)
    except (UserError, OSError) as error:
        st.session_state["steer_problem"] = str(error)
    finally:
        _standing.clear()


def _change_rate(run):
    peak = rate_of(run)
    key = f"rate {run.run_id} {peak:g}"  # a rate changed by somebody else is seen here too
    _rate_field(peak, key=key)
    help = "From the next step on: the whole schedule is scaled to the new highest rate."
    st.button("Apply", key=f"apply {run.run_id}", type="primary", help=help, on_click=_apply_rate, args=(run, key))


def _apply_rate(run, key):
    _steer(launcher.change_rate, run, st.session_state[key])


def _queued(run, place, in_view):
    """A run that waits for its device."""
    with st.container(gap="xxsmall"):
        _name(run, in_view)
        st.caption(f"{ordinal(place)} in the queue for the {_device_name(launcher.device_of(run))}" if place else "about to start")
        key = f"stop {run.run_id}"
        st.button("Cancel", key=key, type="tertiary", icon=":material/close:", help="Leaves the queue; can be resumed later.", on_click=_steer, args=(launcher.request, run, "stop"))


def _ended_in_view(run):
    """One line on how well a network trained here does, as long as it is in view."""
    if run is None or run.folder.parent == runs.SHIPPED or run.status != "finished":
        return
    end = run.rows("finished")[-1]
    early = " It was ended early and kept." if end.get("kept") else ""
    text = f"**{end['test_accuracy']:.1%}** of the test images right, after {duration(end['seconds'])} of training.{early}"
    st.success(text, icon=":material/check_circle:")


def _resumable(run, in_view):
    """A run that ended before its end: why, and a way to go on."""
    status, key = run.status, f"resume rate {run.run_id}"
    with st.container(gap="xxsmall"):
        _name(run, in_view, f":{BADGES[status]}-badge[{status.capitalize()}]")
        st.caption(plain(_reason(run, status)))
        with st.container(horizontal=True, gap="medium"):
            help = "Goes on where it ended, at the rate beside."
            st.button("Resume", key=f"resume {run.run_id}", type="tertiary", icon=":material/play_arrow:", help=help, on_click=_resume, args=(run, key))
            shown = st.session_state.get(key, rate_of(run))
            with st.popover(f"Rate {shown:g}", type="tertiary", help="The highest learning rate to go on with."):
                _rate_field(rate_of(run), key=key)


def _resume(run, key):
    """Let a run go on, and put it in view."""
    rate = st.session_state.get(key)
    _steer(launcher.resume, run, learning_rate=None if rate == rate_of(run) else rate)
    deadline = time.monotonic() + WAKING_SECONDS
    while "steer_problem" not in st.session_state and not run.is_active and time.monotonic() < deadline:
        time.sleep(0.05)  # until its process has said that it is there, the run would still be drawn as one that ended
    if "steer_problem" not in st.session_state:
        _view(run.run_id)


def _reason(run, status):
    """Why a run ended, in a sentence, and how far it had come."""
    rows = run.rows(status)
    reason = str(rows[-1].get("reason") or "") if rows else ""
    reason = reason or {"interrupted": "Its process ended without a word, as at a shutdown.", "stopped": "Stopped by hand."}.get(status, "")
    steps = run.rows("step")
    return f"{reason} It was at epoch {number(steps[-1], 'epoch'):.1f}." if steps else reason


# Figures


def number(row, key):
    """A figure of an event, or NaN where it is missing or none."""
    value = row.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def rate_of(run):
    """The highest learning rate that a run has, after all changes."""
    changes = run.rows("rate")
    rate = number(changes[-1] if changes else run.config["recipe"], "learning_rate")
    return rate if 0 <= rate <= LIMITS["learning_rate"][1] else 0.0


def progress(run, steps, epochs):
    """(share done in [0, 1], that in words, seconds left or None) of a training."""
    recipe, latest = run.config["recipe"], steps[-1] if steps else epochs[-1] if epochs else {}
    done, budget = number(latest, "seconds"), number(recipe, "seconds")
    share = number(latest, "progress")
    if math.isnan(share):
        share = number(latest, "epoch") / max(number(recipe, "epochs"), 1)
    if math.isnan(share):
        return 0.0, "preparing", None
    share = min(max(share, 0.0), 1.0)
    far = f"{min(done, budget):.0f} of {budget:.0f} seconds" if budget > 0 else f"epoch {number(latest, 'epoch'):.1f} of {number(recipe, 'epochs'):.0f}"
    left = done * (1 - share) / share if share > 0 and done > 0 else None
    return share, far, left


def _pace(steps, left, status):
    """Images a second and time left, as far as they are known."""
    speed = number(steps[-1], "images_per_second") if steps else math.nan
    words = [] if math.isnan(speed) or status == "paused" else [f"{speed:,.0f} images a second"]
    return words + ([f"{duration(left)} left"] if left is not None else [])


def _readout(steps, epochs):
    """Loss and accuracy now, each over its course so far. HTML of numbers and fixed words only."""
    total = [(number(row, "progress"), number(row, "train_loss")) for row in steps]
    known = [(x, y) for x, y in total if math.isfinite(x) and math.isfinite(y)]
    losses = list(zip([x for x, _ in known], smoothed([y for _, y in known], 0.8)))
    accuracies = [(number(row, "progress"), number(row, "val_accuracy")) for row in epochs]
    accuracy = f"{accuracies[-1][1]:.1%}" if accuracies else "–"
    cells = (
        ("training loss", f"{losses[-1][1]:.3g}" if losses else "–", sparkline(losses, max((y for _, y in losses), default=1.0), COLOURS["loss"])),
        ("validation accuracy", accuracy, sparkline(accuracies, 1.0, COLOURS["accuracy"])),
    )
    parts = [
        f'<div style="min-width:0"><div style="opacity:.65;font-size:.75rem;white-space:nowrap">{label}</div>'
        f'<div style="font-size:1.05rem;font-weight:600;font-variant-numeric:tabular-nums">{value}</div>{line}</div>'
        for label, value, line in cells
    ]
    return f'<div style="display:grid;grid-template-columns:1fr 1fr;gap:.9rem">{"".join(parts)}</div>'


def duration(seconds):
    """Seconds as somebody would say them: "8 s", "2 min", "1.5 h"."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def ordinal(place):
    ending = "th" if 10 <= place % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"


def _device_name(device):
    kind, _, which = str(device).partition(":")
    return {"cpu": "CPU", "cuda": f"GPU {which}".strip()}.get(kind, plain(device))
