"""The collapse verdict as a box, and the figures that it follows from."""

import streamlit as st

from vizlib.run.verdict import COLLAPSED, HEALTHY, NOT_NUMBERS, UNJUDGED
from vizlib.ui.frame.plain import plain


def show(name, verdict):
    """The sentence, and what there is to know of its cause. name: whose verdict it is."""
    boxes = {
        COLLAPSED: st.error,
        NOT_NUMBERS: st.error,
        HEALTHY: st.success,
        UNJUDGED: st.info,
    }
    text = f"**{plain(name)}.** {plain(verdict.sentence)}"
    if verdict.cause:
        text += f"  \n{plain(verdict.cause)} Try: {plain('; '.join(verdict.remedies))}."
    boxes.get(verdict.level, st.warning)(text)


def figures(verdict, classes, ordered):
    """The evidence in one line. classes: how many there are."""
    kappa = "quadratic kappa" if ordered else "kappa"
    return (
        f"{verdict.classes_predicted} of {classes} classes ever answered, "
        f"accuracy {verdict.accuracy:.3f}, always answering the commonest class "
        f"{verdict.majority_share:.3f}, "
        f"balanced accuracy {verdict.balanced_accuracy:.3f} (chance {verdict.chance:.3f}), "
        f"{kappa} {verdict.kappa:.3f}"
    )
