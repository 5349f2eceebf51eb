"""The sections of a report, each of one run or of two beside one another."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vizlib.displays.architecture import ArchitectureDisplay
from vizlib.displays.curves import CurvesDisplay
from vizlib.hand_in.facts import facts, recipe, summary
from vizlib.hand_in.gathered import Gathered
from vizlib.hand_in.markup import Html, joined, table, tag
from vizlib.images import sharp_png, shrunk
from vizlib.run import certainty
from vizlib.run.verdict import COLLAPSED, HEALTHY, NOT_NUMBERS, UNJUDGED

if TYPE_CHECKING:
    from vizlib.displays.confusion import ConfusionDisplay
    from vizlib.displays.feature_maps import FeatureMapsDisplay
    from vizlib.hand_in.figures import Figures
    from vizlib.hand_in.gathered import Answers
    from vizlib.inside.layers import Layer
    from vizlib.run.verdict import Verdict

MOST_ANSWERS = 5  # likeliest classes of the picture
MOST_MISTAKES = 10
MOST_LAYERS = 200  # lines of the layer table
LACKS = '<p class="lacks">'  # how a sentence on what is not there begins
SMOOTHING = 0.8  # of the step-by-step line, as on the page of curves
COLOURS = {HEALTHY: "good", COLLAPSED: "bad", NOT_NUMBERS: "bad", UNJUDGED: ""}
Part = Callable[[Gathered], object]


def beside(gathered: Sequence[Gathered], part: Part, cls: str = "beside") -> object:
    """A part of one run, or of two beside one another under their names."""
    if len(gathered) == 1:
        return part(gathered[0])
    columns = (tag("div", tag("h3", of_run.run.run_id), part(of_run)) for of_run in gathered)
    return tag("div", *columns, cls=cls)


def lacking(of_run: Gathered, name: str) -> Html:
    """Why something is not there."""
    return tag("p", of_run.lacks.get(name, "There is none of it."), cls="lacks")


def verdict_box(of_run: Gathered) -> Html:
    """What is to be known first."""
    if of_run.answers is None:
        return tag("div", tag("p", of_run.lacks["answers"], cls="sentence"), cls="verdict")
    return verdict_of(of_run.answers.verdict)


def verdict_of(verdict: Verdict) -> Html:
    """The verdict in its sentence, with the likely cause and what to try."""
    parts = [tag("p", tag("b", verdict.sentence), cls="sentence")]
    if verdict.cause:
        parts.append(tag("p", f"{verdict.cause} Try: {'; '.join(verdict.remedies)}."))
    return tag("div", *parts, cls=f"verdict {COLOURS.get(verdict.level, 'fair')}")


def key_figures(of_run: Gathered) -> Html:
    if of_run.answers is None:
        return lacking(of_run, "answers")
    return metrics(of_run.answers, of_run.run.config.ordered)


def metrics(answers: Answers, ordered: bool) -> Html:
    """The figures as cards, and which images they are of. ordered: whether classes are grades."""
    verdict = answers.verdict
    kappa = "quadratic kappa" if ordered else "Cohen's kappa"
    cards = [
        (f"{verdict.accuracy:.1%}", "accuracy"),
        (f"{verdict.majority_share:.1%}", "by always answering the commonest class"),
        (f"{verdict.balanced_accuracy:.1%}", f"balanced accuracy (chance {verdict.chance:.1%})"),
        (f"{verdict.kappa:.3f}", f"{kappa}: 0 is chance, 1 all right"),
        *_certainty(answers),
    ]
    shown = (tag("div", tag("b", figure), tag("span", words)) for figure, words in cards)
    of = f"On {answers.images:,} images: {answers.of}."
    return joined((tag("div", *shown, cls="metrics"), tag("p", of, cls="caption")))


def _certainty(answers: Answers) -> list[tuple[str, str]]:
    """What the probabilities say, where there are any."""
    predictions = answers.predictions
    counts = answers.display.counts
    unanswered = None if predictions is None else predictions.unanswered()
    cards = [(f"{certainty.macro_f1(counts, unanswered):.3f}", "macro F1")]
    if predictions is None or not predictions.is_answered.any():
        return cards
    calibration = certainty.calibration(predictions)
    sure = float(np.dot(calibration.counts, calibration.confidence) / calibration.counts.sum())
    return [
        *cards,
        (f"{sure:.1%}", "sure of its answers, on average"),
        (f"{calibration.error:.1%}", "expected calibration error"),
    ]


def what_it_is(of_run: Gathered) -> Html:
    """What the architecture is, all facts, and the settings of the training."""
    about = tag("p", summary(of_run.run), cls="soft")
    shown = tag("div", tag("h3", "The network"), table(("", ""), facts(of_run), cls="facts"))
    settings = recipe(of_run.run)
    if not settings:
        said = "Nothing is known of the settings that it was trained by."
        return joined((about, shown, tag("p", said, cls="lacks")))
    recipe_table = tag("div", tag("h3", "Its training"), table(("", ""), settings, cls="facts"))
    return joined((about, tag("div", shown, recipe_table, cls="about")))


def filters(figures: Figures, of_run: Gathered) -> Html:
    display = of_run.filters
    if display is None:
        return lacking(of_run, "filters")
    count, channels, *sides = display.weight.shape
    kernel = " × ".join(map(str, sides))
    colours = "in colour: grey is zero" if display.is_colour else "blue below zero, red above"
    if not display.is_colour and channels > 1:
        colours = f"what each does with the first of {channels} input channels: {colours}"
    text = (
        f"{of_run.filters_of}: {count} filters of {kernel}, {colours}; greatest absolute weight "
        f"{display.limit:.3g}; {of_run.moment}."
    )
    drawn = figures.atlas(display.picture(), f"{count} filters of {of_run.filters_of}")
    return joined((drawn, tag("p", text, cls="caption")))


def picture(of_run: Gathered) -> Html:
    """The picture, what the network gets of it, and the likeliest answers."""
    chosen, received = of_run.picture, of_run.received
    if chosen is None or received is None:
        return lacking(of_run, "picture")
    size = " × ".join(map(str, received.shape[:2]))
    shown = [
        _image(shrunk(chosen.original, 336), chosen.title, chosen.title),
        _image(received, "what the network gets", f"what the network gets: {size}"),
    ]
    answered = lacking(of_run, "probabilities")
    if of_run.probabilities is not None:
        answered = _answers(of_run.probabilities, of_run.run.class_names, chosen.truth)
    return tag("div", *shown, tag("div", answered, cls="answers"), cls="seen")


def _image(pixels: np.ndarray, alt: str, words: str) -> Html:
    source = f"data:image/png;base64,{base64.b64encode(sharp_png(pixels, 336)).decode()}"
    return tag("figure", tag("img", src=source, alt=alt), tag("figcaption", words), cls="picture")


def _answers(probabilities: np.ndarray, class_names: Sequence[str], truth: str) -> Html:
    best = np.argsort(-probabilities, kind="stable")[:MOST_ANSWERS].tolist()
    bars = (
        part
        for label in best
        for part in (
            tag("span", class_names[label]),
            tag("i", style=f"width:{100 * probabilities[label]:.2f}%"),
            tag("b", f"{probabilities[label]:.1%}"),
        )
    )
    judged = ""
    if truth:
        is_right = class_names[best[0]] == truth
        said = (" The truth is ", tag("b", truth), f": {'right' if is_right else 'wrong'}.")
        judged = joined(said)
    sentence = tag("p", "It answers ", tag("b", class_names[best[0]]), ".", judged)
    return joined((sentence, tag("div", *bars, cls="bars")))


def maps(figures: Figures, of_run: Gathered) -> Html:
    if not of_run.maps:
        return lacking(of_run, "maps")
    by_name = {layer.name: layer for layer in of_run.layers}
    parts = [
        _maps_of(figures, name, by_name.get(name), display) for name, display in of_run.maps.items()
    ]
    sentences = [
        tag("p", text, cls="lacks")
        for name, text in of_run.lacks.items()
        if name.startswith("maps of ")
    ]
    return joined((*parts, *sentences))


def _maps_of(figures: Figures, name: str, layer: Layer | None, display: FeatureMapsDisplay) -> Html:
    count, height, width = display.maps.shape
    kind = f" ({layer.kind})" if layer else ""
    dead = f"{len(display.dead)} dead for this picture" if len(display.dead) else "none dead"
    text = f"{name}{kind}: {count} maps of {height} × {width}, {dead}."
    drawn = figures.atlas(display.picture(), f"{count} feature maps of {name}")
    return tag("div", tag("h3", name), drawn, tag("p", text, cls="caption"), cls="whole")


def curves(figures: Figures, gathered: Sequence[Gathered]) -> Html:
    """Of all runs in one figure, first the accuracy, then the loss."""
    sentences = [
        tag("p", f"{of_run.run.run_id}: {of_run.lacks['curves']}", cls="lacks")
        for of_run in gathered
        if of_run.curves is None
    ]
    runs = [of_run.run for of_run in gathered if of_run.curves is not None]
    if not runs:
        return joined(sentences)
    display = CurvesDisplay.from_runs(runs)
    is_bare = len(runs) > 1  # the words of both at their marks would lie on one another
    drawn = [
        figures.plot(
            display.plot(quantity, smoothing=SMOOTHING, narrow=is_bare),
            narrow=display.plot(quantity, smoothing=SMOOTHING, narrow=True),
        )
        for quantity in ("accuracy", "loss")
    ]
    return joined((*drawn, *sentences))


def confusion(figures: Figures, of_run: Gathered) -> Html:
    if of_run.answers is None:
        return lacking(of_run, "answers")
    return matrix(figures, of_run.answers.display)


def matrix(figures: Figures, display: ConfusionDisplay) -> Html:
    return figures.plot(
        display.plot(),
        dark=display.plot(dark=True),
        narrow=display.plot(narrow=True),
        narrow_dark=display.plot(narrow=True, dark=True),
    )


def mistakes(of_run: Gathered) -> Html:
    if of_run.answers is None:
        return lacking(of_run, "answers")
    return mistakes_of(of_run.answers.display)


def mistakes_of(display: ConfusionDisplay) -> Html:
    """The fullest cells of wrong answers."""
    cells = display.most_confused(MOST_MISTAKES)
    if not cells:
        return tag("p", "No answer is wrong.")
    names = display.class_names
    rows = [
        (names[true], names[answer], f"{display.counts[true, answer]:,}", share)
        for true, answer in cells
        for share in [f"{display.shares[true, answer]:.1%}"]
    ]
    header = ("true", "answered", "images", "of that class")
    return table(header, rows, numbers=(2, 3))


def layers(figures: Figures, of_run: Gathered) -> Html:
    """Drawn, and as a table in which a block of layers is one line."""
    from vizlib.inside.layers import folded

    if not of_run.layers:
        return lacking(of_run, "layers")
    shown = folded(of_run.layers)
    drawn = figures.plot(ArchitectureDisplay(shown).plot())
    words = (
        "Height: the size of the maps; width: how many; both logarithmic. Blue: convolution, "
        "green: block, orange: pool, violet: linear, +: residual sum."
    )
    header = ("layer", "kind", "output", "parameters", "multiply-adds", "sees", "sum")
    lines = table(
        header, [_layer_row(layer) for layer in shown[:MOST_LAYERS]], numbers=(3, 4), cls="layers"
    )
    more = len(shown) - MOST_LAYERS
    rest = tag("p", f"And {more:,} more.", cls="caption") if more > 0 else ""
    return joined((drawn, tag("p", words, cls="caption"), lines, rest))


def _layer_row(layer: Layer) -> tuple[str, ...]:
    field = layer.receptive_field
    return (
        layer.name,
        layer.kind,
        " × ".join(map(str, layer.output_shape)),
        f"{layer.parameters:,}",
        f"{layer.multiply_adds:,}",
        "not known" if field is None else " × ".join(map(str, field)),
        "+" if layer.is_sum else "",
    )
