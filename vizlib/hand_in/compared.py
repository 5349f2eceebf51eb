"""What a report of two runs says of both: their difference, and what only one gets right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vizlib.displays.confusion import ConfusionDifference
from vizlib.hand_in.arrays import counted_together
from vizlib.hand_in.markup import Html, joined, table, tag
from vizlib.run.predictions import mcnemar

if TYPE_CHECKING:
    from vizlib.hand_in.figures import Figures
    from vizlib.hand_in.gathered import Gathered


def difference(figures: Figures, first: Gathered, second: Gathered) -> Html:
    """The difference of two matrices; a sentence where there is none."""
    if first.answers is None or second.answers is None:
        return tag("p", "That takes the answers of both.", cls="lacks")
    displays = first.answers.display, second.answers.display
    if displays[0].class_names != displays[1].class_names:
        said = "There is no difference of the two matrices, as their classes are not the same."
        return tag("p", said, cls="lacks")
    names = first.run.run_id, second.run.run_id
    display = ConfusionDifference(*displays)
    words = (
        f"{names[0]} minus {names[1]}, in percentage points of the row. Blue: {names[0]} answers "
        f"so more often; orange: {names[1]} does. The colours end at {100 * display.limit:.1f} "
        "points; less than half a point is not written."
    )
    drawn = figures.plot(display.plot(names), dark=display.plot(names, dark=True))
    return joined((drawn, tag("p", words, cls="caption")))


def image_by_image(first: Gathered, second: Gathered) -> Html:
    """How many images both, one or none gets right."""
    counts = counted_together(first, second)
    if counts is None:
        said = (
            "Nothing can be counted image by image: that takes the stored answers of both to the "
            "very same test images."
        )
        return tag("p", said, cls="lacks")
    (both, only_first), (only_second, none) = counts.tolist()
    rows = [
        ("both", f"{both:,}"),
        (f"only {first.run.run_id}", f"{only_first:,}"),
        (f"only {second.run.run_id}", f"{only_second:,}"),
        ("none of the two", f"{none:,}"),
    ]
    shown = table(("right", f"of {counts.sum():,} test images"), rows, numbers=(1,))
    probability = mcnemar(only_first, only_second)
    said = f"{probability:.2g}" if probability >= 1e-4 else "below 0.0001"
    words = (
        f"If both were equally good, a split at least as uneven as {only_first:,} to "
        f"{only_second:,} would come about by chance with a probability of {said} (exact McNemar "
        "test)."
    )
    return joined((shown, tag("p", words, cls="caption")))


def tested_otherwise(gathered: Sequence[Gathered]) -> str:
    """What stands against comparing the figures of two runs, in a sentence; empty for nothing."""
    of = [of_run.run.config.dataset_note or of_run.run.config.dataset for of_run in gathered]
    if len(set(of)) < 2:
        return ""
    return (
        "They were tested on different images, so their accuracies do not say which is better: "
        f"{'; '.join(of)}."
    )
