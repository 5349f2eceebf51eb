"""How a training does, in figures: its rate, how far it is, how fast it goes, what is left, as
words and as small curves.
"""

import math

from vizlib.displays.curves import smoothed, weight_for
from vizlib.displays.sparkline import COLOURS, sparkline
from vizlib.run.folders import duration
from vizlib.training import requests
from vizlib.training.recipes import LIMITS
from vizlib.ui.frame import status
from vizlib.ui.frame.plain import plain


def number(event, key):
    """A figure of an event, or NaN where it is missing or none."""
    value = event.get(key)
    return (
        float(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else math.nan
    )


def rate_of(run):
    """The highest learning rate that a run has, after all changes, or that it was asked to have
    from the next step on.
    """
    rate = requests.asked_rate(run.folder)
    if rate is None:
        changes = run.events_of("rate")
        rate = number(changes[-1] if changes else run.config.recipe, "learning_rate")
    return rate if 0 <= rate <= LIMITS["learning_rate"][1] else 0.0


def is_preparing(run):
    """Whether its process gets data and network ready: what its events say is of before."""
    phases = [
        event["event"]
        for event in run.events
        if event["event"] in ("queued", "starting", "started", "resumed")
    ]
    return bool(phases) and phases[-1] in ("queued", "starting")


def progress(run):
    """(share done in [0, 1], that in words, seconds left or None) of a training."""
    recipe, share = run.config.recipe, status.progress(run)
    if share is None or is_preparing(run):
        return 0.0, "preparing", None
    if share >= 1:
        tested = (run.events_of("started") or [{}])[-1].get("test_images")
        return 1.0, f"testing on {tested:,} images" if tested else "testing", None
    latest = status.latest(run)
    done, budget = number(latest, "seconds"), number(recipe, "seconds")
    if budget > 0:
        far = f"{min(done, budget):.0f} of {budget:.0f} seconds"
    else:
        far = f"epoch {number(latest, 'epoch'):.1f} of {number(recipe, 'epochs'):.0f}"
    left = done * (1 - share) / share if share > 0 and done > 0 else None
    return share, far, left


def pace(steps, left, status):
    """Images a second and time left, as far as they are known."""
    if left is None:
        return []
    speed = number(steps[-1], "images_per_second") if steps else math.nan
    is_known = not math.isnan(speed) and status != "paused"
    words = [f"{speed:,.0f} images a second"] if is_known else []
    return [*words, f"{duration(left)} left"]


def html(steps, epochs):
    """Loss and accuracy now, each over its course so far. HTML of numbers and fixed words only."""
    losses = _smooth_losses(steps)
    highest = max((loss for _, loss in losses), default=1.0)
    loss = _cell(
        "training loss",
        f"{losses[-1][1]:.3g}" if losses else "–",
        sparkline(losses, highest, COLOURS["loss"]),
    )
    accuracies = [(number(event, "progress"), number(event, "val_accuracy")) for event in epochs]
    accuracy = _cell(
        "validation accuracy",
        f"{accuracies[-1][1]:.1%}" if accuracies else "–",
        sparkline(accuracies, 1.0, COLOURS["accuracy"]),
    )
    return (
        f'<div style="display:grid;grid-template-columns:1fr 1fr;gap:.9rem">{loss}{accuracy}</div>'
    )


def _smooth_losses(steps):
    """(share done, smoothed training loss) of each step of which both are known."""
    total = [(number(event, "progress"), number(event, "train_loss")) for event in steps]
    known = [(x, y) for x, y in total if math.isfinite(x) and math.isfinite(y)]
    smooth = smoothed([y for _, y in known], weight_for(0.8, len(known)))
    return list(zip([x for x, _ in known], smooth, strict=True))


def _cell(label, value, line):
    """A figure below its name and above its course."""
    return (
        '<div style="min-width:0"><div '
        f'style="opacity:.65;font-size:.75rem;white-space:nowrap">{label}</div><div '
        'style="font-size:1.05rem;font-weight:600;font-variant-numeric:tabular-nums">'
        f"{value}</div>{line}</div>"
    )


def ordinal(position):
    endings = {1: "st", 2: "nd", 3: "rd"}
    ending = "th" if 10 <= position % 100 <= 20 else endings.get(position % 10, "th")
    return f"{position}{ending}"


def device_name(device):
    kind, _, which = str(device).partition(":")
    names = {"cpu": "CPU", "cuda": f"GPU {which}".strip(), "mps": "Apple's GPU"}
    return names.get(kind, plain(device))
