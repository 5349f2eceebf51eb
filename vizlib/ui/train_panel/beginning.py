"""What the form begins with: the run in view, where it can be trained again here, with every value
of its recipe; else the usual.

The recipe of a run is one more entry of the recipe's box, "as RUN_ID". What the form has no field
for comes from it too.
"""

import streamlit as st

from vizlib.errors import UserError
from vizlib.training import again
from vizlib.training.recipes import RECIPES, from_config
from vizlib.ui.data import caches
from vizlib.ui.frame.plain import plain

OPENS_ON = ("three_layer_module", "digits")
IMBALANCE = {
    "": "nothing",
    "class_weights": "weigh the classes in the loss",
    "balanced": "draw all classes equally often",
    "augment_only_rare": "augment only the rare classes",
}
BEGUN = "train_begun"  # whether the form has been opened in this session
_LIKE = "train_like"  # the id of the run whose recipe is among the entries
_ENTRY = "as "


def key_of(field, owner):
    """A widget's key: with the recipe or architecture whose default it shows, so that another one
    brings its own.
    """
    return f"train_{field}_{owner}"


def begin(run):
    """Fill the form like the run in view, or None, where nobody has touched it in this session."""
    state = st.session_state
    if state.get(BEGUN):
        return
    state[BEGUN] = True
    is_touched = "train_dataset" in state or "train_architecture" in state
    if run is not None and not is_touched and not again.why_not(run):
        _fill(run)


def offer(run):
    """A button that fills the form like the run in view, or why that cannot be."""
    reason = again.why_not(run)
    st.button(
        "Again, with changes",
        key="train_again",
        icon=":material/replay:",
        width="stretch",
        disabled=bool(reason),
        on_click=_fill,
        args=(run,),
        help="Fills in the form as the model in view was trained. What you changed gives way.",
    )
    if reason:
        st.caption(plain(f"Not as {run.run_id} was trained. {reason}"))


def _fill(run):
    """Set all fields but name and device to what a run was trained with, before they are drawn."""
    try:
        order = again.order_like(run)
    except UserError as error:
        st.session_state["train_problem"] = str(error)
        return
    entry, pair = _ENTRY + run.run_id, f"{order.architecture} {order.dataset}"
    ((kind, value),) = order.start.items() if order.start else [("", "")]
    st.session_state.update(
        {
            _LIKE: run.run_id,
            "train_architecture": order.architecture,
            "train_dataset": order.dataset,
            "train_seed": order.seed,
            key_of("recipe", pair): entry,
            key_of("whole", pair): order.whole,
            key_of("side", pair): order.side,
            key_of("start", order.architecture): (kind, value),
            key_of("frozen", order.architecture): order.frozen,
            **_of_recipe(order.recipe, entry),
        }
    )


def _of_recipe(recipe, entry):
    """The values of a recipe by the keys of their fields."""
    values = {
        "batch_size": recipe.batch_size,
        "learning_rate": float(recipe.learning_rate),
        "label_smoothing": float(recipe.label_smoothing),
        "imbalance": against_imbalance(recipe),
    }
    length = {"seconds": int(recipe.seconds)} if recipe.seconds else {"epochs": recipe.epochs}
    return {key_of(field, entry): value for field, value in (values | length).items()}


def against_imbalance(recipe):
    """What a recipe does against it: the first of these where it does several."""
    return next((flag for flag in IMBALANCE if flag and getattr(recipe, flag)), "")


def entries():
    """What can be chosen as a recipe: the registered ones, and that of the run that the form was
    filled like.
    """
    return [*RECIPES, *filter(None, [_entry()])]


def _entry():
    run = _like()
    return _ENTRY + run.run_id if run is not None and not _problem_of(run) else ""


def _like():
    run_id = st.session_state.get(_LIKE)
    return next((run for run in caches.run_list()[0] if run.run_id == run_id), None)


def _problem_of(run):
    try:
        from_config(run.config)
    except UserError as error:
        return str(error)
    return ""


def base(name):
    """The Recipe of an entry, before anything is changed in the form."""
    if name in RECIPES:
        return RECIPES[name]
    run = _like()
    if run is None:
        raise UserError(f"The run of the recipe {name!r} is not there any more.")
    return from_config(run.config)


def is_like(name, architecture):
    """Whether an entry is that of the run that the form was filled like, and the network the
    same.
    """
    run = _like()
    return name not in RECIPES and run is not None and run.config.architecture == architecture


def arguments():
    """Those of the network of that run which data do not decide."""
    return again.own_arguments(_like())


def summary(name):
    """An entry in a sentence."""
    if name in RECIPES:
        return RECIPES[name].summary
    return f"{base(name).name}, with all values that {name.removeprefix(_ENTRY)} was trained with."


def lost_start(architecture, starts):
    """Why the form does not start from what the run began with that it was filled like; empty where
    it can. starts: what is possible.
    """
    run = _like()
    if run is None or run.config.architecture != architecture or not run.config.start:
        return ""
    [(kind, value)] = run.config.start.items()
    if (kind, value) in starts:
        return ""
    return f"{run.run_id} began with the weights of {value}, which cannot be had here."
