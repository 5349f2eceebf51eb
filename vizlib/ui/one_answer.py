"""What a run answers to the image in view, in a sentence."""

import numpy as np

from vizlib.ui import caches
from vizlib.ui.pickers import plain


def sentence(run, picture, most=3):
    """The `most` likeliest classes with their probabilities, and whether the first is the truth where that is known, as Markdown."""
    probabilities, _ = caches.answer(run, picture)
    best = np.argsort(-probabilities)[:most]
    answers = ", ".join(f"**{plain(run.class_names[label])}** {probabilities[label]:.0%}" for label in best)
    truth = "" if picture.label is None else f" The truth is **{plain(run.class_names[picture.label])}**: {'right' if picture.label == best[0] else 'wrong'}."
    return f"It answers {answers}.{truth}"
