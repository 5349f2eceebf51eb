"""What is computed once and shared by all sessions. Every cache is bounded, and keyed by the state
of the files it read.

Nothing cached is ever changed: models are prepared for concurrent reading, arrays are only drawn
from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import streamlit as st

from vizlib import datasets
from vizlib.datasets.places import folder_of
from vizlib.errors import unknown
from vizlib.run import folders, moments
from vizlib.run.folders import Run
from vizlib.ui.data.kept import has, kept, waits
from vizlib.ui.data.not_yet import no_maps, weights_alone, without
from vizlib.ui.data.start_up import one_thread_each

if TYPE_CHECKING:
    import torch
    from torch import nn

    from vizlib.datasets import Dataset, Split
    from vizlib.datasets.duplicates import Fingerprints, Pairs
    from vizlib.displays.atlas import Atlas
    from vizlib.displays.class_samples import ClassSamplesDisplay
    from vizlib.displays.feature_maps import FeatureMapsDisplay
    from vizlib.displays.picture_sizes import PictureSizesDisplay
    from vizlib.inside.attribution import Evidence
    from vizlib.inside.convolving import Convolved
    from vizlib.inside.filter_banks import FilterBank
    from vizlib.inside.layers import Layer
    from vizlib.inside.relus import Rectifiers
    from vizlib.inside.strongest import Index
    from vizlib.run.first_look import FirstLook
    from vizlib.run.predictions import Predictions
    from vizlib.run.verdict import Verdict

LIST_SECONDS = 2
DATA_SECONDS = 600  # after which a data set is looked at anew
MOST_TWINS = 4  # data sets of which it is kept what occurs twice


class Picture(Protocol):
    """What is read of the image in view, a frame.image_picker.Picture."""

    @property
    def key(self) -> str:
        """Tells its pixels from all others."""
        ...

    @property
    def received(self) -> np.ndarray:
        """uint8 (H, W, C): what the network gets."""
        ...


_looked_anew = 0


def run_list() -> tuple[list[Run], list[str]]:
    """(runs, sentences about folders that cannot be read), at most LIST_SECONDS old."""
    return runs_at(int(time.monotonic() / LIST_SECONDS), _looked_anew)


@st.cache_resource(max_entries=1, show_spinner=False)
def runs_at(moment: int, looked_anew: int) -> tuple[list[Run], list[str]]:
    """run_list() at a moment, which stands in the key: with a ttl Streamlit raises a KeyError for
    an entry that ends while it is read, as some do when every page asks each second.
    looked_anew: so does how often that was asked for, see `look_anew`.
    """
    return folders.list_runs()


def look_anew() -> None:
    """See a run that was made this moment. To clear what is known would not do: what another page
    had begun to list before would come after it.
    """
    global _looked_anew
    _looked_anew += 1


@st.cache_data(max_entries=1, ttl=30, show_spinner=False)
def dataset_names() -> list[str]:
    return datasets.names()


@st.cache_data(max_entries=1, ttl=30, show_spinner=False)
def dataset_problems() -> list[str]:
    """Sentences about what lies in the data folder and cannot be read."""
    return datasets.unreadable_folders()


@st.cache_data(max_entries=1, ttl=30, show_spinner=False)
def unusable_datasets() -> list[str]:
    """Sentences about all that lies in the data folder and cannot be used as a data set."""
    return datasets.problems()


def _told(of_run: Callable[[Run], Hashable]) -> Callable[[Any], Hashable]:
    """What tells an argument from others: a run as it is said, a picture by its pixels."""

    def told(argument: Any) -> Hashable:
        if isinstance(argument, Run):
            return of_run(argument)
        return argument.key if hasattr(argument, "received") else argument

    return told


def state(run: Run, file: str = "model.safetensors") -> tuple[Any, ...]:
    """What tells a run from others: its folder, its form, and the state of its configuration and
    of one file.
    """
    changes = run.changed("config.json"), run.changed(file)
    return str(run.folder), run.config.architecture, *changes


def _state_of(file: str) -> Callable[[Any], Hashable]:
    return _told(lambda run: state(run, file))


_OF_WEIGHTS = _state_of("model.safetensors")
# what a network is without its weights: runs of one form share it
_OF_FORM = _told(lambda run: (run.config.architecture, json.dumps(run.config.arguments)))
_OF_IMAGES = ("config.json", "images.npz", "predictions.npz")  # what says which are held out


def _state_of_images(run: Run) -> tuple[Any, ...]:
    return str(run.folder), *map(run.changed, _OF_IMAGES)


@kept(_told(_state_of_images))
def is_tested_on_shipped(run: Run) -> bool:
    from vizlib.inside.held_out import is_tested_on_shipped

    return is_tested_on_shipped(run)


def are_shipped(run: Run) -> bool:
    """Whether the run's pictures are here that ship, and no others."""
    return run.config.dataset not in dataset_names() and is_tested_on_shipped(run)


def has_pictures(run: Run) -> bool:
    """Whether there are held-out pictures of the run's data set here: all, or those that ship."""
    return run.config.dataset in dataset_names() or is_tested_on_shipped(run)


def from_which(run: Run) -> str:
    """Which of the run's held-out pictures are here, as "from the 500 that ship"; empty where its
    data set is.
    """
    return f"from the {len(held_out(run)):,} that ship" if are_shipped(run) else ""


def _its_data(run: Run) -> tuple[Any, ...]:
    """What to_look_at() goes by: runs that see one data set in one way share it in memory."""
    config = run.config
    seen = config.whole, tuple(config.levels or ()), config.origin is not None
    return config.dataset, tuple(run.class_names), *seen, are_shipped(run)


@kept(_told(_its_data), seconds=DATA_SECONDS)
def dataset(run: Run) -> Dataset:
    """The run's data set, or the pictures that ship of it, looked at anew every ten minutes.
    UserError if this machine's copy does not fit the run.
    """
    from vizlib.inside.held_out import to_look_at

    with waits("Opening the data set"):
        return to_look_at(run, lambda name: data_set(name, data_state(name)))


@kept(_told(lambda run: (*_state_of_images(run), are_shipped(run))), seconds=DATA_SECONDS)
def held_out(run: Run) -> Split:
    """The pictures of the run's data set that it never learned from. UserError where there are
    none.
    """
    from vizlib.inside.held_out import held_out

    is_earlier = run.has("predictions.npz") and not run.has("images.npz")
    return held_out(run, dataset(run), predictions(run).image_ids if is_earlier else None)


def model(run: Run) -> nn.Module:
    """The run's network with its best weights, prepared to be looked into. UserError if it cannot
    be rebuilt, NotYet where there are no weights, or nothing but weights.
    """
    if not run.has("model.safetensors"):
        raise without(run, "weights")
    if run.is_bare:
        raise weights_alone(run)
    return _model(run)


def network(run: Run) -> nn.Module:
    """model(run); of a run that comes without its weights the shapes alone, on the meta device,
    where there are no values to show or to compute with; of weights alone what holds them, which
    computes nothing.
    """
    if run.is_bare and run.has("model.safetensors"):
        return _model(run)
    return _shapes(run) if run.is_weightless else model(run)


@kept(_state_of("config.json"))
def _shapes(run: Run) -> nn.Module:
    from vizlib import architectures
    from vizlib.architectures.shapes import without_numbers
    from vizlib.inside import activations

    with without_numbers():
        network = architectures.create(run.config.architecture, **run.config.arguments)
    return activations.prepare(network.to("meta"))


@kept(_OF_WEIGHTS)
def _model(run: Run) -> nn.Module:
    from vizlib.inside.model import load_model

    one_thread_each()
    # a page that follows a training gets new weights every few seconds, and must not jump each time
    with waits("" if run.is_active else "Loading the network"):
        return load_model(run)


@kept(_OF_WEIGHTS)
def layers(run: Run) -> list[Layer]:
    """The Layers of the run's network, in order of execution. NotYet where it has but weights."""
    from vizlib.inside.layers import layer_table

    if run.is_bare:
        raise weights_alone(run)
    return layer_table(network(run), run.input_size)


def layers_if_known(run: Run) -> list[Layer]:
    """layers(run) if some page has asked for them; else none, and nothing is computed."""
    return layers(run) if has(layers, run) else []


def layer_words(run: Run) -> dict[str, str]:
    """What each layer of the run is for a reader, by its name: "layer 3 of 31 · conv 3 × 3 · 16
    maps of 32 × 32".
    """
    from vizlib.inside.layer_words import in_words

    return in_words(layers(run))


def words_of(run: Run, layer_name: str) -> str:
    """layer_words(run) of one layer as a sentence; empty where the layers are not known."""
    if run.is_bare:
        return ""
    words = layer_words(run).get(layer_name, "")
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def tensors(run: Run) -> dict[str, torch.Tensor]:
    """The tensors of the run's network by name, in its order; of weights alone in the file's."""
    held = network(run).state_dict()
    in_order = run.config.arguments["shapes"] if run.is_bare else held
    return {name: held[name] for name in in_order}


def filter_banks(run: Run) -> dict[str, FilterBank]:
    """The FilterBanks of the run by the name of their layer, in order."""
    from vizlib.inside import filter_banks

    if run.is_bare:
        banks = filter_banks.banks_of_tensors(tensors(run))
    else:
        banks = filter_banks.filter_banks(network(run), layers(run), run.input_size)
    return {bank.layer_name: bank for bank in banks}


def layer_named(run: Run, layer_name: str) -> Layer:
    """The run's Layer of that name. UserError if it has none."""
    for layer in layers(run):
        if layer.name == layer_name:
            return layer
    raise unknown("layer", layer_name, [layer.name for layer in layers(run)])


@kept(_state_of("predictions.npz"))
def predictions(run: Run) -> Predictions:
    """The Predictions of a run: its file is unpacked here alone, once for all that show them."""
    from vizlib.run.predictions import load_predictions

    return load_predictions(run.path("predictions.npz"), len(run.class_names))


@kept(_state_of("predictions.npz"))
def answers_table(run: Run) -> bytes:
    """A run's Predictions as a table of answers."""
    from vizlib.bring.answers import table_of

    return table_of(predictions(run), run.class_names)


@kept(_state_of("predictions.npz"))
def verdict(run: Run) -> Verdict:
    from vizlib.run.verdict import judge_run

    return judge_run(run, predictions(run))


@kept(_OF_WEIGHTS)
def answer(run: Run, picture: Picture) -> tuple[np.ndarray, tuple[float, float]]:
    """The network's answer to a picture: probabilities (K,), and the least and greatest value that
    any layer takes.
    """
    from vizlib.inside.activations import forward

    ends = []

    def widen(name, module, output):
        ends.append((float(output.min()), float(output.max())))

    logits = forward(model(run), tensor(run, picture), widen)
    return logits.softmax(1)[0].numpy(), (
        min(low for low, _ in ends),
        max(high for _, high in ends),
    )


@kept(_OF_WEIGHTS)
def feature_maps(run: Run, picture: Picture, layer_name: str) -> tuple[FeatureMapsDisplay, float]:
    """(FeatureMapsDisplay of one layer for one picture, seconds it took). NotHere for a layer that
    gives no maps.
    """
    from vizlib.displays.feature_maps import FeatureMapsDisplay
    from vizlib.inside.activations import capture

    layout = layer_named(run, layer_name).layout
    if not layout.shape:
        raise no_maps(layer_named(run, layer_name))
    start = time.perf_counter()
    _, found = capture(model(run), tensor(run, picture), [layer_name])
    maps = layout.units_first(found[layer_name])[0].numpy()
    display = FeatureMapsDisplay.from_activation(maps, answer(run, picture)[1])
    return display, time.perf_counter() - start


@kept(_OF_WEIGHTS)
def effective_field(
    run: Run, picture: Picture, layer_name: str, unit: int, position: tuple[int, int]
) -> tuple[np.ndarray, tuple[int, int, int, int] | None]:
    """What the pixels of a picture have to do with one value: (influence (H, W), the smallest box
    that holds 95 % of it, or None).
    """
    from vizlib.inside.receptive_fields import effective, tight_box

    layout = layer_named(run, layer_name).layout
    influence = effective(model(run), tensor(run, picture), layer_name, unit, position, layout)
    return influence, tight_box(influence)


@kept(_OF_WEIGHTS)
def convolved(run: Run, picture: Picture, layer_name: str, unit: int) -> Convolved:
    """A unit of a convolution at work on a picture. NothingToShow for a layer that is none."""
    from vizlib.inside.convolving import at_work

    return at_work(model(run), tensor(run, picture), layer_name, unit)


@kept(_OF_WEIGHTS)
def maps_atlas(run: Run, picture: Picture, layer_name: str, scale: str) -> Atlas:
    """All maps of a layer for one picture, as an Atlas on one of the scales."""
    atlas = feature_maps(run, picture, layer_name)[0].picture(scale)
    _ = atlas.data_url  # every page draws it: so that its bytes count
    return atlas


@kept(_OF_WEIGHTS)
def unit_layers(run: Run) -> list[str]:
    """The names of the layers whose units can be looked at: every convolution, and the classes."""
    from vizlib.inside.strongest import unit_layers

    return unit_layers(layers(run))


def _with_strongest(run: Run) -> tuple[Any, ...]:
    from vizlib.inside.strongest import FILE, FILE_OF_SHIPPED

    changed = run.changed(FILE), run.changed(FILE_OF_SHIPPED)
    return *state(run), are_shipped(run), *changed


@kept(_told(_with_strongest))
def strongest(run: Run) -> Index | None:
    """The Index of the images that excite the run's units most, as it lies in the run's folder;
    None where there is none of these weights.
    """
    from vizlib.inside.strongest import load

    return load(run, dataset(run), held_out(run))


@kept(_told(_with_strongest))
def unit_of_one_class(run: Run, layer_name: str, count: int) -> int | None:
    """The unit of a layer whose strongest images are most of one class, of so many; None where they
    have not been looked up.
    """
    from vizlib.inside.strongest import of_one_class

    index = strongest(run)
    return None if index is None else of_one_class(index[layer_name], held_out(run).labels, count)


@kept(_state_of("config.json"))
def rectifiers(run: Run) -> Rectifiers:
    """Those of the run's network, at which deconvnet and guided backpropagation differ."""
    import torch

    from vizlib.inside import relus

    return relus.rectifiers(model(run), torch.zeros(1, *run.input_size))


@kept(_OF_FORM)
def control(run: Run) -> nn.Module:
    """The run's network with random weights: what the pictures of gradients are compared with."""
    from vizlib.inside.model import randomised

    return randomised(run)


def network_or_control(run: Run, is_control: bool) -> nn.Module:
    """control(run) or model(run)."""
    return control(run) if is_control else model(run)


@kept(_OF_WEIGHTS)
def logits(run: Run, picture: Picture, is_control: bool) -> np.ndarray:
    """What the network, or its control, answers to a picture before the softmax, (K,)."""
    from vizlib.inside.activations import forward

    return forward(network_or_control(run, is_control), tensor(run, picture))[0].numpy()


@kept(_OF_WEIGHTS)
def evidence(run: Run, picture: Picture, target: int, method: str, is_control: bool) -> Evidence:
    """The Evidence of a class in a picture, for a network so small that it is there at once."""
    from vizlib.inside import attribution

    network = network_or_control(run, is_control)
    return attribution.evidence(network, tensor(run, picture), target, method)


def tensor(run: Run, picture: Picture) -> torch.Tensor:
    """What the run's network gets for a picture, (1, C, H, W), normalised."""
    from vizlib.images import to_network_input

    return to_network_input(picture.received, run.input_size, run.config.mean, run.config.std)[1]


@kept(_state_of("snapshots.safetensors"))
def snapshots(run: Run) -> dict[int, np.ndarray]:
    """moments.filters(run): conv1's weight by training step."""
    return moments.filters(run)


@kept(_state_of("snapshots.safetensors"))
def filters_shape(run: Run) -> tuple[int, ...]:
    """moments.filters_shape(run): (out, in, h, w), or ()."""
    return moments.filters_shape(run)


@kept(_state_of("first_look.safetensors"))
def first_look(run: Run) -> FirstLook | None:
    """first_look.read(run): what Home shows of a run before torch is in, or None."""
    from vizlib.run import first_look

    return first_look.read(run)


@kept(_state_of("snapshots.safetensors"))
def probe_layers(run: Run) -> dict[int, list[str]]:
    """moments.probe_layers(run): {step: names of layers}."""
    return moments.probe_layers(run)


@kept(_state_of("snapshots.safetensors"))
def probe_picture(run: Run) -> np.ndarray | None:
    """moments.probe_picture(run): uint8 (H, W, C), or None."""
    return moments.probe_picture(run)


@kept(_state_of("snapshots.safetensors"))
def probe_maps(run: Run, step: int, layer_name: str) -> FeatureMapsDisplay:
    """The FeatureMapsDisplay of one stored layer of the probe picture at a stored step. Its network
    scale is that of the layers stored.
    """
    from vizlib.displays.feature_maps import FeatureMapsDisplay

    return FeatureMapsDisplay.from_activation(*moments.probe_maps(run, step, layer_name))


@kept(_OF_WEIGHTS)
def weight_shapes(run: Run) -> dict[str, tuple[int, ...]]:
    """What the run's weights are called and how large each is, {name: shape}, read without torch;
    empty where there are none.
    """
    return moments.shapes(run.path("model.safetensors"))


@kept(_OF_WEIGHTS)
def colour_filters(run: Run) -> np.ndarray | None:
    """The first filters of a network that takes colours, float32 (out, 3, h, w), read without
    torch: its only tensor that can be filters of the picture; None where that is not plain.
    """
    fitting = [
        name
        for name, shape in weight_shapes(run).items()
        if len(shape) == 4 and shape[1] == 3 and min(shape[2:]) > 1
    ]
    if len(fitting) != 1:
        return None
    return moments.floats(run.path("model.safetensors"), fitting[0])


# The Data page. A data set is told from another state of itself by its folder's time of change.


def data_state(name: str) -> float:
    """What tells a data set from another state of itself, as far as its folder says."""
    try:
        return folder_of(name).stat().st_mtime
    except OSError:
        return 0.0


@kept(seconds=DATA_SECONDS)
def data_set(name: str, state: float) -> Dataset:
    """The data set of a name in a data_state(). UserError if it cannot be read."""
    with waits("Opening the data set"):
        return datasets.load(name)


@kept(seconds=DATA_SECONDS)
def picture_sizes(name: str, state: float) -> PictureSizesDisplay:
    from vizlib.displays.picture_sizes import PictureSizesDisplay

    with waits("Looking at the sizes"):
        return PictureSizesDisplay.from_dataset(data_set(name, state))


@kept(seconds=DATA_SECONDS)
def class_samples(
    name: str, state: float, part: str, labels: tuple[int, ...]
) -> ClassSamplesDisplay:
    """Some pictures of these labels of a split; more of one label alone."""
    from vizlib.displays.class_samples import ACROSS, OF_ONE_CLASS, ClassSamplesDisplay

    across = ACROSS if len(labels) > 1 else OF_ONE_CLASS
    with waits("Opening pictures"):
        return ClassSamplesDisplay.from_dataset(data_set(name, state), part, labels, across)


@kept(seconds=DATA_SECONDS)
def class_sheets(
    name: str, state: float, part: str, labels: tuple[int, ...]
) -> list[tuple[bytes, int] | None]:
    """class_samples(...) as a picture of each label: PNG bytes and their width, which Streamlit
    then leaves as they are; None where there is none of it.
    """
    display = class_samples(name, state, part, labels)
    sheets = [display.of_class(number) for number in range(len(labels))]
    return [sheet and (sheet.png(), sheet.image().width) for sheet in sheets]


# a search for pictures that occur twice takes long: its results stay
_twins: dict[tuple[str, float], tuple[Fingerprints, Pairs]] = {}


def twins_if_known(name: str, state: float) -> tuple[Fingerprints, Pairs] | None:
    return _twins.get((name, state))


def find_twins(name: str, state: float, say: Callable[[float], None]) -> None:
    """Look for pictures that occur twice, and keep what was found of the last few data sets."""
    from vizlib.datasets import duplicates

    prints = duplicates.fingerprints(data_set(name, state), say)
    _twins[name, state] = prints, duplicates.pairs(prints)
    while len(_twins) > MOST_TWINS:
        _twins.pop(next(iter(_twins)), None)
