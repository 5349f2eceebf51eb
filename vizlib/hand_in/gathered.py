"""All that is handed in of a run, computed once: what the report draws and the zip writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vizlib.displays.confusion import ConfusionDisplay
from vizlib.displays.curves import CurvesDisplay
from vizlib.displays.feature_maps import FeatureMapsDisplay
from vizlib.displays.filters import FiltersDisplay
from vizlib.errors import UserError, unknown
from vizlib.images import fit, photograph, photograph_names
from vizlib.run import moments
from vizlib.run.predictions import Predictions, load_predictions
from vizlib.run.verdict import Verdict, judge, judge_run

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vizlib.inside.layers import Layer
    from vizlib.run.folders import Run

DEPTHS = (0.0, 0.5, 1.0)  # of the layers whose maps are shown where none are named
SMALLEST = 16  # pixels a side of what a network gets, from where on a photograph can be recognised
NOTHING_LEARNED = "Nothing of a training is noted in its folder."
Say = Callable[[float], None]  # told the share done, in [0, 1]


@dataclass(frozen=True)
class Picture:
    """The picture chosen. original: uint8 (H, W, C), as it came. truth: the name of its class,
    empty where nobody knows it.
    """

    original: np.ndarray
    title: str
    truth: str = ""


@dataclass(frozen=True)
class Answers:
    """What was answered to labelled pictures. of: which ones, in words. predictions: None where
    only the counts are kept. unanswered: how many were answered by what is no number.
    """

    display: ConfusionDisplay
    verdict: Verdict
    of: str
    predictions: Predictions | None = None
    unanswered: int = 0

    @property
    def images(self) -> int:
        """How many there are."""
        return int(self.display.counts.sum()) + self.unanswered


@dataclass
class Gathered:
    """What there is of a run. Whatever it lacks is None or empty, and `lacks` has the sentence that
    says why, by the name of the field.

    layers: its layer table. filters: of its first convolution, `filters_of`, at the moment
    `moment`. received: uint8 (H, W, C), what the network gets of the picture. probabilities: its
    answer to that, (K,). maps: those of the layers chosen, by name.
    """

    run: Run
    layers: list[Layer] = field(default_factory=list)
    filters: FiltersDisplay | None = None
    filters_of: str = ""
    moment: str = ""
    picture: Picture | None = None
    received: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    maps: dict[str, FeatureMapsDisplay] = field(default_factory=dict)
    answers: Answers | None = None
    curves: CurvesDisplay | None = None
    lacks: dict[str, str] = field(default_factory=dict)


def gather(
    runs: Sequence[Run],
    picture: Picture | None = None,
    layer_names: Sequence[str] = (),
    *,
    load: Callable[[Run], nn.Module] | None = None,
    say: Say = lambda share: None,
) -> list[Gathered]:
    """The Gathered of each run. UserError for a layer that none of them has.

    picture: the one to show to the networks; `usual_picture` of the first run if left out.
    layer_names: whose maps are shown, of each run those that it has; three, at three depths, if
    there is none of them. load: how a network is loaded, prepared.
    """
    picture = picture or usual_picture(runs[0])
    gathered = []
    for number, run in enumerate(runs):
        gathered.append(_gathered(run, picture, layer_names, load or _load))
        say((number + 1) / len(runs))
    tables = [[layer.name for layer in of_run.layers] for of_run in gathered if of_run.layers]
    for name in layer_names if tables else ():
        if not any(name in table for table in tables):
            raise unknown("layer", name, tables[0])
    return gathered


def _gathered(
    run: Run,
    picture: Picture | None,
    layer_names: Sequence[str],
    load: Callable[[Run], nn.Module],
) -> Gathered:
    of_run = Gathered(run)
    _add_answers(of_run)
    _add_curves(of_run)
    if run.is_weightless:
        _add_stored(of_run, layer_names)
        return of_run
    try:
        model = load(run)
        _add_layers(of_run, model)
    except UserError as error:
        of_run.lacks |= dict.fromkeys(("layers", "filters", "picture", "maps"), str(error))
        return of_run
    _add_filters(of_run, model)
    _add_maps(of_run, model, picture, layer_names)
    return of_run


def usual_picture(run: Run) -> Picture | None:
    """The picture that the app opens on: a photograph, or of small inputs the first one held out
    from the run; None where that is not on this machine.
    """
    if min(run.input_size[1:]) >= SMALLEST:
        name = photograph_names()[0]
        return Picture(photograph(name), name)
    with suppress(UserError):
        from vizlib.inside.held_out import held_out, to_look_at

        dataset = to_look_at(run)
        split = held_out(run, dataset)
        which = f"the first of the {len(split):,} that ship" if dataset.are_shipped else "the first"
        truth = run.class_names[int(split.labels[0])]
        return Picture(split.pictures[0], f"{which} held out, {split.image_ids[0]}", truth)
    return None


def _load(run: Run) -> nn.Module:
    from vizlib.inside.model import load_model

    return load_model(run)


def _add_answers(of_run: Gathered) -> None:
    """Of the test images where they are stored, else of the last evaluation."""
    run = of_run.run
    try:
        of_run.answers = None if run.is_active else _tested(run)
    except UserError as error:
        of_run.lacks["answers"] = str(error)
    of_run.answers = of_run.answers or _validated(run)
    if of_run.answers is None:
        of_run.lacks["answers"] = of_run.lacks.get("answers") or (
            "It has answered no labelled pictures here, so there is no verdict and no matrix."
        )


def _tested(run: Run) -> Answers | None:
    if not run.has("predictions.npz"):
        return None
    predictions = load_predictions(run.path("predictions.npz"), len(run.class_names))
    return Answers(
        ConfusionDisplay.from_predictions(predictions, run.class_names),
        judge_run(run, predictions),
        run.config.dataset_note or run.config.dataset or "the pictures it was asked",
        predictions,
        int(predictions.unanswered().sum()),
    )


def _validated(run: Run) -> Answers | None:
    evaluations = moments.evaluations(run)
    if not evaluations:
        return None
    event, counts = evaluations[-1]
    verdict = judge(
        counts,
        run.class_names,
        train_accuracy=event["train_accuracy"],
        ordered=run.config.ordered,
    )
    of = f"the validation images of {run.config.dataset}, as it answered at step {event['step']:,}"
    return Answers(ConfusionDisplay(counts, run.class_names), verdict, of)


def _add_curves(of_run: Gathered) -> None:
    run = of_run.run
    if run.events_of("epoch") or run.events_of("step"):
        of_run.curves = CurvesDisplay.from_runs([run])
        return
    of_run.lacks["curves"] = NOTHING_LEARNED
    if run.is_imported:
        of_run.lacks["curves"] = f"It was trained elsewhere. {NOTHING_LEARNED}"


def _add_stored(of_run: Gathered, layer_names: Sequence[str]) -> None:
    """What its training kept, of a run that comes without its weights."""
    run, missing = of_run.run, of_run.run.missing_weights
    _add_layers(of_run, _shapes(run))
    weights = moments.filters(run)
    if weights:
        of_run.filters = FiltersDisplay.from_weight(weights[max(weights)])
        of_run.filters_of, of_run.moment = "conv1", f"as at step {max(weights):,}, the last stored"
    else:
        of_run.lacks["filters"] = missing
    stored, probe = moments.probe_layers(run), moments.probe_picture(run)
    if not stored or probe is None:
        of_run.lacks |= dict(picture=missing, maps=missing)
        return
    of_run.picture, of_run.received = Picture(probe, "the picture shown along its training"), probe
    of_run.lacks["probabilities"] = missing
    step = max(stored)
    kept = moments.in_order(run, stored[step])
    for name in [name for name in kept if name in layer_names] or kept:
        maps = moments.probe_maps(run, step, name)
        of_run.maps[name] = FeatureMapsDisplay.from_activation(*maps)


def _shapes(run: Run) -> nn.Module:
    """Its network without values, on the meta device."""
    from vizlib import architectures
    from vizlib.architectures.shapes import without_numbers
    from vizlib.inside.activations import prepare

    with without_numbers():
        model = architectures.create(run.config.architecture, **run.config.arguments)
    return prepare(model.to("meta"))


def _add_layers(of_run: Gathered, model: nn.Module) -> None:
    from vizlib.inside.layers import layer_table

    of_run.layers = layer_table(model, of_run.run.input_size)


def _add_filters(of_run: Gathered, model: nn.Module) -> None:
    from vizlib.inside.layers import convolutions

    found = convolutions(model, of_run.layers)
    if not found:
        of_run.lacks["filters"] = "It has no convolution, and so no filters."
        return
    name, weight = found[0]
    reads_picture = any(layer.name == name and layer.reads_picture for layer in of_run.layers)
    of_run.filters_of = name
    of_run.moment = f"the weights {_moment(of_run.run)}"
    of_run.filters = FiltersDisplay.from_weight(weight.float().numpy(), reads_picture=reads_picture)


def _moment(run: Run) -> str:
    """Of which moment the weights in its folder are."""
    if run.is_imported:
        return f"that were {run.provenance}"
    best = run.best
    if best is None:
        return "as they began"
    return f"of epoch {best['epoch']:.3g}, the best{'' if run.status == 'finished' else ' so far'}"


def _add_maps(
    of_run: Gathered, model: nn.Module, picture: Picture | None, layer_names: Sequence[str]
) -> None:
    """The picture, the answer to it, and the maps of the layers chosen."""
    from vizlib.images import to_network_input
    from vizlib.inside.activations import capture, forward

    run = of_run.run
    if picture is None:
        sentence = f"The data set {run.config.dataset!r} is not on this machine: no picture of it."
        of_run.lacks |= dict(picture=sentence, maps=sentence)
        return
    of_run.picture = picture
    of_run.received = fit(picture.original, run.input_size, whole=run.config.whole)
    image = to_network_input(of_run.received, run.input_size, run.config.mean, run.config.std)[1]
    ends: list[tuple[float, float]] = []

    def widen(name: str, module: nn.Module, output: Tensor) -> None:
        ends.append((float(output.min()), float(output.max())))

    logits = forward(model, image, widen)
    of_run.probabilities = logits.float().softmax(1)[0].numpy()
    network_range = min(low for low, _ in ends), max(high for _, high in ends)
    names = in_order(of_run.layers, layer_names) or layers_at_depths(of_run.layers)
    _, found = capture(model, image, names)
    for name in names:
        _add_maps_of(of_run, name, found[name][0].float().numpy(), network_range)


def _add_maps_of(
    of_run: Gathered, name: str, values: np.ndarray, network_range: tuple[float, float]
) -> None:
    """Those of one layer (C, h, w) or (C,), or a sentence on what else it gives."""
    if values.ndim in (1, 3):
        of_run.maps[name] = FeatureMapsDisplay.from_activation(values, network_range)
    else:
        size = " × ".join(map(str, values.shape))
        of_run.lacks[f"maps of {name}"] = f"{name} gives {size} numbers, which are no maps."


def in_order(layers: list[Layer], names: Collection[str]) -> list[str]:
    """Those of the names that there are, in the network's order."""
    return list(dict.fromkeys(layer.name for layer in layers if layer.name in names))


def layers_at_depths(layers: list[Layer]) -> list[str]:
    """The names of the convolutions at DEPTHS, each once."""
    from vizlib.inside.layers import at_depth

    return list(dict.fromkeys(at_depth(layers, depth)[0].name for depth in DEPTHS))
