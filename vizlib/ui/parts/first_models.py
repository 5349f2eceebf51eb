"""Which of the models that ship a page shows to somebody who has chosen none."""

from vizlib.clarity import clarity
from vizlib.run.folders import Run
from vizlib.ui.data import caches


def with_the_largest_filters() -> Run:
    """The one with the largest filters in colour, and with its weights; of several the one that has
    most of them, and of those the one that is right most often.
    """
    return max(_of_the_largest_filters(), key=lambda run: run.reached)


def with_the_clearest_film() -> Run:
    """The one whose film shows the most: its filters the largest, as above; of several the one
    whose maps are of the clearest picture, and of those the one that is right most often.
    """
    return max(_of_the_largest_filters(), key=lambda run: (_clarity_of_probe(run), run.reached))


def _of_the_largest_filters() -> list[Run]:
    runs = caches.run_list()[0]
    most = max(map(seen_filters, runs))
    return [run for run in runs if seen_filters(run) == most]


def seen_filters(run: Run) -> tuple[int, int]:
    """(side, number) of a shipped run's first filters, if they are in colour and its weights are
    here; else (0, 0).
    """
    shape = caches.filters_shape(run) if run.ships and run.has("model.safetensors") else ()
    return (min(shape[2:]), shape[0]) if shape and shape[1] == 3 else (0, 0)


def _clarity_of_probe(run: Run) -> float:
    """In levels; the least there is where its film has no picture."""
    picture = caches.probe_picture(run)
    return float("-inf") if picture is None else clarity(picture)
