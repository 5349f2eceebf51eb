"""How near the time comes that the form promises before Train is pressed.

    python -m benchmarks.estimates               # six trainings, five minutes
    python -m benchmarks.estimates --smallest    # one short one: whether it measures

On a machine that knows nothing yet: a second of each training is tried, as it is while the form is
read, then it is trained in a process of its own, as the app starts it, from the press to the end.
Prints one Markdown table; a ratio of 1 is right, and within 1.5 times is asked for. Nothing else
should run meanwhile. CIFAR-10 is needed for all but the smallest.
"""

import argparse
import os
import tempfile
import time
from dataclasses import dataclass

from benchmarks import tables
from benchmarks.training import runs_of_its_own


@dataclass(frozen=True)
class Training:
    """What is trained. side: of the pictures, where it is not the network's own."""

    architecture: str
    dataset: str
    recipe: str
    epochs: int
    side: int | None = None


WHOLE = (
    Training("three_layer_module", "digits", "small_set", 30),
    Training("lenet", "cifar10", "adamw", 2),
    Training("resnet32", "cifar10", "one_cycle", 1),
    Training("airbench", "cifar10", "muon", 1),
    Training("resnet18", "cifar10-imbalanced", "adamw", 1, side=64),
    Training("mobilenet_two_norms", "digits", "one_cycle", 5),
)
SMALLEST = (Training("three_layer_module", "digits", "small_set", 2),)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--smallest", action="store_true", help="one short training")
    options = parser.parse_args(arguments)
    columns = "network, data, recipe, epochs", "promised, s", "taken, s", "promised / taken"
    tables.begin(*columns, texts=1, note=tables.training_types())
    before = os.environ.get("XDG_CACHE_HOME")
    with runs_of_its_own(), tempfile.TemporaryDirectory() as nothing_known:
        os.environ["XDG_CACHE_HOME"] = nothing_known
        try:
            for training in SMALLEST if options.smallest else WHOLE:
                _add(training)
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def _add(training):
    promised, taken = _promised(training), _taken(training)
    parts = f"`{training.architecture}`", training.dataset, f"`{training.recipe}`", training.epochs
    words = ", ".join(map(str, parts))
    tables.add(words, f"{promised:.0f}", f"{taken:.0f}", f"{promised / taken:.2f}")


def _order(training):
    from vizlib.training.order import Order
    from vizlib.training.recipes import recipe

    chosen = recipe(training.recipe, epochs=training.epochs)
    return Order(training.architecture, training.dataset, chosen, side=training.side)


def _promised(training):
    """Seconds, as the form says them once it has tried a second."""
    from vizlib import datasets
    from vizlib.training import trial
    from vizlib.training.config import make_config
    from vizlib.training.estimate import estimate

    order = _order(training)
    dataset = datasets.load(training.dataset)
    size = tuple(make_config(order, dataset).input_size)
    tried = trial.trial_of(order, size)
    trial.begin(tried)
    while trial.is_under_way(tried):
        time.sleep(0.1)
    seconds, source = estimate(order, images=len(dataset.splits["train"]), input_size=size)
    if "tried" not in source:
        raise SystemExit(f"{training}: nothing was tried, but {source}")
    return seconds


def _taken(training):
    """Seconds from the press to the end of the training."""
    from vizlib.run import folders
    from vizlib.training import launcher

    start = time.perf_counter()
    run_id = launcher.start_new(_order(training))
    while (run := folders.open_run(run_id)).is_active:
        time.sleep(0.05)
    if not run.events_of("finished"):
        raise SystemExit(f"the training is {run.status}: {run.events[-1]}")
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
