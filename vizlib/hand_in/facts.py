"""What a network is, in pairs of a word and what is to be said of it."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from vizlib import architectures
from vizlib.errors import UserError
from vizlib.run.folders import duration

if TYPE_CHECKING:
    from vizlib.hand_in.gathered import Gathered
    from vizlib.run.folders import Run

MOST_CLASSES = 30  # whose names are listed
LONGEST = 600  # letters
ORIGIN = {"file": "Comes from", "sha256": "That file, SHA-256"}
Facts = list[tuple[str, str]]


def facts(of_run: Gathered) -> Facts:
    """What it is, what it learned from and how: (word, text) each, without what is not known."""
    run = of_run.run
    every = [
        ("Run", f"{run.run_id}{f' – {run.config.title}' if run.config.title else ''}"),
        *_what_it_is(of_run),
        *_data(run),
        *_training(run),
        *_origin(run),
        *_files(run),
    ]
    return [(word, shorten(text)) for word, text in every if text]


def shorten(text: str) -> str:
    """At most LONGEST letters of it."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _what_it_is(of_run: Gathered) -> Facts:
    config, layers = of_run.run.config, of_run.layers
    arguments = ", ".join(f"{name} {value}" for name, value in config.arguments.items())
    top = [layer for layer in layers if layer.depth == 0]
    return [
        (
            "Architecture",
            f"{config.architecture} ({arguments})" if arguments else config.architecture,
        ),
        ("Parameters", _parameters(of_run)),
        (
            "Multiply-adds",
            f"{sum(layer.multiply_adds for layer in top):,} for an image" if top else "",
        ),
        ("Input", _input(of_run.run)),
    ]


def summary(run: Run) -> str:
    """What its architecture is, in a sentence."""
    try:
        return architectures.get(run.config.architecture).summary
    except UserError:
        return ""


def _parameters(of_run: Gathered) -> str:
    """As they were counted when the run began; a layer table may miss what no module of its own
    holds.
    """
    began = of_run.run.events_of("started") + of_run.run.events_of("imported")
    if began:
        return f"{began[-1]['parameters']:,}"
    top = [layer for layer in of_run.layers if layer.depth == 0]
    return f"{sum(layer.parameters for layer in top):,}" if top else ""


def _input(run: Run) -> str:
    size = " × ".join(map(str, run.input_size))
    mean, std = (", ".join(f"{value:.4g}" for value in part) for part in _statistics(run))
    return f"{size} (channels × height × width), less the mean {mean}, by the deviation {std}"


def _statistics(run: Run) -> tuple[list[float], list[float]]:
    return run.config.mean, run.config.std


def _data(run: Run) -> Facts:
    config, started = run.config, run.events_of("started")
    counts = [
        f"{started[-1][f'{part}_images']:,} to {verb}"
        for part, verb in (("train", "learn from"), ("val", "validate"), ("test", "test"))
        if started and f"{part}_images" in started[-1]
    ]
    names = config.class_names
    more = f" and {len(names) - MOST_CLASSES:,} more" if len(names) > MOST_CLASSES else ""
    grades = ", grades in this order" if config.ordered else ""
    return [
        ("Data", config.dataset_note or config.dataset),
        ("Images", ", ".join(counts)),
        ("Classes", f"{len(names):,}{grades}: {', '.join(names[:MOST_CLASSES])}{more}"),
    ]


def _training(run: Run) -> Facts:
    finished, best = run.events_of("finished"), run.best
    return [
        ("Trained for", f"{duration(finished[-1]['seconds'])} on {run.device}" if finished else ""),
        ("Computed in", run.computed),
        ("Best checkpoint", _best(best) if best else ""),
        (
            "Began with",
            ", ".join(f"{kind} {name}" for kind, name in (run.config.start or {}).items()),
        ),
        ("Stands", "" if finished or run.is_imported else run.status),
        ("Seed", "" if run.is_imported else str(run.config.seed)),
        ("Versions", ", ".join(f"{name} {text}" for name, text in run.config.versions.items())),
        ("Date", _date(run)),
    ]


def _best(event: dict) -> str:
    text = f"epoch {event['epoch']:.3g}, validation accuracy {event['val_accuracy']:.1%}"
    if "balanced_accuracy" in event:
        text += f", chosen by the balanced one, {event['balanced_accuracy']:.1%}"
    return text


def _date(run: Run) -> str:
    times = [event["time"] for event in run.events if "time" in event]
    try:
        return time.strftime("%Y-%m-%d", time.localtime(times[-1])) if times else ""
    except (OverflowError, ValueError, OSError):  # a time that no calendar has
        return ""


def _origin(run: Run) -> Facts:
    """Where a network comes from that was trained elsewhere."""
    origin = run.config.origin or {}
    recognised = [event.get("recognised", "") for event in run.events_of("imported")]
    return [
        *((ORIGIN.get(name, f"Origin, {name}"), text) for name, text in origin.items()),
        ("Recognised as", recognised[-1] if recognised else ""),
    ]


def _files(run: Run) -> Facts:
    digest = sha256(run)
    return [("Weights, SHA-256", digest), ("Weights, stored", run.packed)]


def sha256(run: Run) -> str:
    """Of the file of its weights, in hexadecimal digits; empty where there is none."""
    try:
        with open(run.path("model.safetensors"), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def recipe(run: Run) -> Facts:
    """The settings that it was trained by; none of one trained elsewhere."""
    return [
        (name.replace("_", " "), shorten(_said(value)))
        for name, value in run.config.recipe.items()
        if name != "summary"
    ]


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value in (None, "") else str(value)
