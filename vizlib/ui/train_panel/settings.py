"""Train a model: the form in the sidebar. Each choice brings its own defaults, and a line says what
pressing Train will do.
"""

import dataclasses
import math
import time

import streamlit as st

from vizlib import architectures
from vizlib.run import folders
from vizlib.training import again, launcher, suited, trial
from vizlib.training.order import SEEDS, Order
from vizlib.training.recipes import LIMITS, RECIPES, changed, recipe_for
from vizlib.training.trial import trial_of
from vizlib.ui.data import caches, start_up
from vizlib.ui.frame.cut import is_said
from vizlib.ui.frame.guard import sentences
from vizlib.ui.frame.plain import plain
from vizlib.ui.train_panel import beginning, outlook, readout, trainings
from vizlib.ui.train_panel.beginning import IMBALANCE, OPENS_ON, against_imbalance, key_of

OPEN = "train_open"
PRESS_SECONDS = 1  # a second press of Train within this time is the second half of a double click
PATIENCE = 5  # seconds for the trial of this machine that decides the form of a network
# times the pictures' own side: from here on it pays to train on smaller ones than the network is
# made for
MUCH_LARGER = 2
_KEPT = dict(persist_state="session")


@st.fragment
def show(run):
    """run: the Run in view, or None."""
    trainings.begin_anew_if_asked()
    box = st.expander(
        "Train a model", icon=":material/model_training:", key=OPEN, on_change="rerun"
    )
    # what is in it takes torch to draw: nothing of it is made before somebody looks
    if not box.open:
        return
    with box, sentences():
        _form(run)
    start_up.freeze()  # the first look at a network of torchvision's imports that


def open_on(dataset: str, is_balanced: bool = False) -> None:
    """Open the form on a data set, drawing all classes equally often if is_balanced. Called by
    buttons, before the form is drawn.
    """
    state = st.session_state
    state[OPEN] = True
    state["train_dataset"] = dataset
    if is_balanced:
        architecture = state.setdefault("train_architecture", OPENS_ON[0])
        name = state.get(key_of("recipe", f"{architecture} {dataset}"))
        state[key_of("imbalance", name or recipe_for(architecture, dataset))] = "balanced"


def _form(run):
    """The fields, the line on what they come to, and the button."""
    beginning.begin(run)
    if run is not None:
        beginning.offer(run)
    architecture, dataset, name = _what()
    _main_fields(name)
    facts = None
    with sentences():  # whatever they say, the settings stay to be changed
        facts = _facts(architecture, dataset, _side_field(_facts(architecture, dataset, None)))
    with st.expander("More", type="compact"):
        _more_fields(architecture, name, facts)
    with sentences():
        if facts:
            _whole_field(facts["cut"])
            order = _order()
            own = order.arguments or None  # as above: the same facts are not looked up twice
            outlook.show(order, _facts(architecture, dataset, order.side, own))
    _train_button()
    if "train_problem" in st.session_state:
        st.error(plain(st.session_state.pop("train_problem")))


def _train_button():
    st.button(
        "Train",
        key="train_press",
        type="primary",
        width="stretch",
        icon=":material/play_arrow:",
        on_click=_train,
        help="Starts at once, or waits for its turn. It goes on when you leave this page, or close "
        "the browser.",
    )


def _choice(label, options, default, *, key, **given):
    """A selectbox kept across pages; a value that is no longer possible gives way to the
    default.
    """
    options = list(options)
    if key in st.session_state and st.session_state[key] not in options:
        del st.session_state[key]
    return st.selectbox(
        label,
        options,
        options.index(default) if default in options else 0,
        key=key,
        **_KEPT,
        **given,
    )


def _what():
    """(architecture, data set, name of the recipe), each with a line on what it is."""
    architecture = _architecture_field()
    dataset = _choice(
        "Data set",
        caches.dataset_names(),
        OPENS_ON[1],
        key="train_dataset",
        help="What this machine has: digits always, others from the data folder.",
    )
    return architecture, dataset, _recipe_field(architecture, dataset)


def _architecture_field():
    with st.container(gap="xxsmall"):
        architecture = _choice(
            "Architecture",
            architectures.names(),
            OPENS_ON[0],
            key="train_architecture",
            help="The network to train.",
        )
        st.caption(plain(architectures.get(architecture).summary))
    return architecture


def _recipe_field(architecture, dataset):
    with st.container(gap="xxsmall"):
        name = _choice(
            "Recipe",
            beginning.entries(),
            recipe_for(architecture, dataset),
            key=key_of("recipe", _pair()),
            help="How it is trained. The fields below begin with its values.",
        )
        st.caption(plain(beginning.summary(name)))
    return name


def _dataset():
    return st.session_state["train_dataset"]


def _pair():
    """What the recipe to begin with depends on."""
    return f"{st.session_state['train_architecture']} {st.session_state['train_dataset']}"


def _main_fields(name):
    """How long, how fast, how many at once."""
    usual = beginning.base(name)
    left, right = st.columns(2, gap="small")
    with left:
        _length_field(name)
    low, high = LIMITS["batch_size"]
    right.number_input(
        "Batch size",
        low,
        high,
        usual.batch_size,
        16,
        key=key_of("batch_size", name),
        help="Images in each step. Larger: fewer, steadier steps.",
        **_KEPT,
    )
    trainings.rate_field(usual.learning_rate, key=key_of("learning_rate", name), **_KEPT)


def _length_field(name):
    """How many epochs; of a recipe for a given time, how many seconds."""
    if beginning.base(name).seconds:
        _seconds_field(name)
    else:
        _epochs_field(name)


def _seconds_field(name):
    usual = int(beginning.base(name).seconds)
    st.number_input(
        "Seconds",
        1,
        max(86_400, usual),
        usual,
        10,
        key=key_of("seconds", name),
        help="It trains until this time is up, then is tested.",
        **_KEPT,
    )


def _epochs_field(name):
    st.number_input(
        "Epochs",
        1,
        LIMITS["epochs"][1],
        beginning.base(name).epochs,
        key=key_of("epochs", name),
        help="How many times it sees every training image.",
        **_KEPT,
    )


def _side_field(facts):
    """The side asked for, where the network is made for much larger pictures than these; else None,
    and no field.
    """
    usual, own = facts["size"][1], facts["side"]
    key = key_of("side", _pair())
    asked = st.session_state.get(key) or usual
    is_usual = usual < MUCH_LARGER * own and asked == usual
    if is_usual or st.session_state.get(key) is None:
        st.session_state.pop(key, None)
    if is_usual:
        return None
    help = (
        "Of the square pictures that the network gets, where not its own: 64 makes a large "
        "network 12 times faster than 224."
    )
    return st.number_input(
        "Side of the pictures",
        min(own, asked),
        max(usual, asked),
        usual,
        32,
        key=key,
        help=help,
        **_KEPT,
    )


def _whole_field(share):
    """Whether pictures are seen whole, where a share of them would be cut off."""
    if is_said(share):
        st.toggle(
            "Whole pictures",
            key=key_of("whole", _pair()),
            help="Within a black border, each smaller than it would be. Without: their middle.",
            **_KEPT,
        )


def _more_fields(architecture, name, facts):
    _imbalance_field(name)
    _start_field(architecture, facts)
    _say_of_start(architecture, facts)
    left, right = st.columns(2, gap="small")
    with left:
        _smoothing_field(name)
    with right:
        _frozen_field(architecture, facts["convolutions"] if facts else 0)
    left, right = st.columns(2, gap="small")
    with left:
        _seed_field()
    with right:
        _title_field(architecture)
    _device_field()


def _frozen_field(architecture, convolutions):
    """convolutions: how many the network has, 0 where that is not known."""
    st.number_input(
        "Frozen",
        0,
        max(convolutions, 1, _field("frozen", architecture) or 0),
        0,
        key=key_of("frozen", architecture),
        help=f"So many of the first convolutions, of {convolutions}, stay as they start.",
        disabled=not convolutions,
        **_KEPT,
    )


def _imbalance_field(name):
    _choice(
        "Against imbalance",
        IMBALANCE,
        against_imbalance(beginning.base(name)),
        key=key_of("imbalance", name),
        format_func=IMBALANCE.get,
        help="For data sets in which some classes are rare.",
    )


def _start_field(architecture, facts):
    starts = _starts(architecture, facts)
    _choice(
        "Start from",
        starts,
        ("", ""),
        key=key_of("start", architecture),
        format_func=starts.get,
        help="Random weights, or those of a network of the same architecture.",
    )


def _say_of_start(architecture, facts):
    """What was learned by the network that it starts from and will be left out of the test, in the
    sentence of the training where that is all; and what cannot be started from.
    """
    if lost := beginning.lost_start(architecture, _starts(architecture, facts)):
        st.caption(plain(lost))
    kind, run_id = _field("start", architecture)
    if kind != "run":
        return
    with sentences():
        state = caches.data_state(_dataset()), folders.open_run(run_id).changed("images.npz")
        if learned := _learned_before(run_id, _dataset(), state):
            st.caption(plain(learned))


@st.cache_data(max_entries=64, ttl=600, show_spinner=False)
def _learned_before(run_id, dataset_name, state):
    """Which test images of a data set a run to start from has learned from, in a sentence; empty
    where there are none. UserError where that is all of them. state: of both, tells them from
    others of the same names.
    """
    from vizlib import datasets
    from vizlib.training.remembered import without_inherited

    kept, learned = without_inherited(datasets.load(dataset_name), folders.open_run(run_id))
    if not len(learned):
        return ""
    return (
        f"{run_id} was, or may have been, trained on {len(learned):,} of the "
        f"{len(kept) + len(learned):,} test images of {dataset_name}: they are left out of the "
        f"test, and {len(kept):,} are left."
    )


def _smoothing_field(name):
    st.number_input(
        "Smoothing",
        *LIMITS["label_smoothing"],
        float(beginning.base(name).label_smoothing),
        0.05,
        format="%g",
        key=key_of("label_smoothing", name),
        help="Of the labels. 0.1: the right answer counts 0.9, the rest is shared by all classes.",
        **_KEPT,
    )


def _seed_field():
    st.number_input(
        "Seed",
        0,
        SEEDS - 1,
        0,
        key="train_seed",
        help="The same seed gives the same start, order and held-out images.",
        **_KEPT,
    )


def _title_field(architecture):
    st.text_input(
        "Name",
        max_chars=60,
        key="train_title",
        placeholder=architecture,
        help="What its card says.",
        **_KEPT,
    )


def _device_field():
    """Where it is computed, on a machine that has more than one place for it."""
    devices = launcher.devices()
    if len(devices) > 1:
        _choice(
            "Device",
            devices,
            devices[0],
            key="train_device",
            format_func=readout.device_name,
            help="Where it is computed.",
        )


def _starts(architecture, facts):
    """Where a network of this architecture can start from on data of these _facts, and the words
    for it: {("", ""): ..., ("run", id): ..., ...}.
    """
    starts = {("", ""): "random weights"}
    if architecture in architectures.pretrained_by("torchvision"):
        starts["pretrained", "torchvision"] = "ImageNet weights of torchvision"
    if facts:
        for run in caches.run_list()[0]:
            if run.best and again.can_begin_with(
                run, architecture, facts["arguments"], facts["size"][0]
            ):
                starts["run", run.run_id] = run.run_id
    return starts


@st.cache_data(max_entries=64, ttl=600, show_spinner="Looking at the data set")
def _facts(architecture, dataset_name, side, arguments=None):
    """What a training on pictures of this side, or None, will meet: images, side lengths,
    parameters, convolutions. arguments: of the network, beside those that the data decide.
    UserError if the network does not fit the data.
    """
    from vizlib import datasets
    from vizlib.architectures.shapes import without_numbers
    from vizlib.datasets import reading
    from vizlib.training.config import make_config

    dataset = datasets.load(dataset_name)
    usual = RECIPES[recipe_for(architecture)]
    order = Order(architecture, dataset_name, usual, side=side, arguments=arguments or {})
    config = make_config(order, dataset)
    with without_numbers():  # its shapes only
        weights = list(architectures.create(architecture, **config.arguments).parameters())
    return {
        "images": len(dataset.splits["train"]),
        "size": config.input_size,
        "side": max(dataset.image_size[1:]),
        "arguments": config.arguments,
        "parameters": sum(weight.numel() for weight in weights),
        "convolutions": sum(weight.ndim == 4 for weight in weights),
        "cut": reading.mean_cut(dataset.splits["train"], config.input_size),
    }


def _field(field, owner):
    """A field's value, or None where it is not drawn."""
    return st.session_state.get(key_of(field, owner))


def _wanted_recipe():
    """The Recipe that the fields describe. UserError if it is not possible."""
    name = _field("recipe", _pair())
    usual = beginning.base(name)
    changes = {
        field: _field(field, name)
        for field in (
            "seconds" if usual.seconds else "epochs",
            "batch_size",
            "learning_rate",
            "label_smoothing",
        )
    }
    chosen = _field("imbalance", name)
    if chosen != against_imbalance(usual):  # a run's own may be several at once
        changes |= {flag: flag == chosen for flag in IMBALANCE if flag}
    return changed(usual, **changes)


def _wanted_device():
    return st.session_state.get("train_device") or launcher.devices()[0]


def _order(patience=0.0):
    """The training that the fields describe, of the form that suits this machine where it has the
    choice. patience: how many seconds to wait until its speed is known. UserError if it is not
    possible.
    """
    order = _usual_order()
    if beginning.is_like(_field("recipe", _pair()), order.architecture):
        return dataclasses.replace(order, arguments=beginning.arguments())
    if not suited.has_choice(order):
        return order
    facts = _facts(order.architecture, order.dataset, order.side)
    trial.wait_for(trial_of(order, facts["size"]), patience)
    return suited.suited(order, images=facts["images"], input_size=facts["size"])


def _usual_order():
    """The training that the fields describe, of the usual form of its network."""
    state = st.session_state
    architecture = state["train_architecture"]
    kind, value = _field("start", architecture) or ("", "")
    return Order(
        architecture,
        state["train_dataset"],
        _wanted_recipe(),
        device=_wanted_device(),
        seed=state.get("train_seed", 0),
        title=state.get("train_title", "").strip(),
        start={kind: value} if kind else None,
        frozen=_field("frozen", architecture) or 0,
        side=_field("side", _pair()),
        whole=bool(_field("whole", _pair())),
    )


def _train():
    """Start the training that the fields describe, and put it in view. What is wrong with it is
    kept for the panel to say.
    """
    state = st.session_state
    if time.monotonic() - state.get("train_pressed", -math.inf) < PRESS_SECONDS:
        return
    run_id = trainings.started(lambda: _order(PATIENCE), "train_problem")
    state["train_pressed"] = time.monotonic()
    if run_id is not None:
        # closed: what is of interest now is how it goes
        trainings.view(run_id, **{OPEN: False})
