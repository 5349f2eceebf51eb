"""What is computed once and shared by all sessions. Every cache is bounded, and keyed by the state
of the files it read.

Nothing cached is ever changed: models are prepared for concurrent reading, arrays are only drawn
from.
"""

import time

import streamlit as st

from vizlib import datasets
from vizlib.run import folders, moments
from vizlib.ui.data.not_yet import without
from vizlib.ui.data.start_up import one_thread_each


@st.cache_resource(max_entries=1, ttl=2, show_spinner=False)
def run_list():
    """(runs, sentences about folders that cannot be read), at most two seconds old."""
    return folders.list_runs()


@st.cache_data(max_entries=1, ttl=30, show_spinner=False)
def dataset_names():
    return datasets.names()


@st.cache_data(max_entries=1, ttl=30, show_spinner=False)
def dataset_problems():
    return datasets.problems()


def _state_of(file):
    """How a run, or a picture, is told from another as an argument: a run by its folder, its form,
    and the state of its configuration and one file.
    """
    return {
        folders.Run: lambda run: (
            str(run.folder),
            run.config.architecture,
            run.changed("config.json"),
            run.changed(file),
        ),
        "vizlib.ui.frame.image_picker.Picture": lambda picture: picture.key,
    }


def _its_data(run):
    return run.config.dataset, tuple(run.class_names)  # runs on one data set share it in memory


@st.cache_resource(
    max_entries=4, ttl=600, hash_funcs={folders.Run: _its_data}, show_spinner="Opening the data set"
)
def dataset(run):
    """The run's data set, looked at anew every ten minutes. UserError if this machine's copy does
    not fit the run.
    """
    return datasets.load_for(run.config)


def model(run):
    """The run's network with its best weights, prepared to be looked into. UserError if it cannot
    be rebuilt, NotYet where there are no weights.
    """
    if not run.has("model.safetensors"):
        raise without(run, "weights")
    return (_model_followed if run.is_active else _model)(run)


def network(run):
    """model(run); of a run that comes without its weights the shapes alone, on the meta device,
    where there are no values to show or to compute with.
    """
    return _shapes(run) if run.is_weightless else model(run)


@st.cache_resource(max_entries=6, hash_funcs=_state_of("config.json"), show_spinner=False)
def _shapes(run):
    import torch

    from vizlib import architectures
    from vizlib.inside import activations

    with torch.device("meta"):
        return activations.prepare(
            architectures.create(run.config.architecture, **run.config.arguments)
        )


def _load(run):
    from vizlib.inside.model import load_model

    one_thread_each()
    return load_model(run)


# One cache with two faces: a page that follows a training gets new weights every few seconds, and
# must not jump for a spinner each time.
_model, _model_followed = (
    st.cache_resource(
        _load, max_entries=6, hash_funcs=_state_of("model.safetensors"), show_spinner=spinner
    )
    for spinner in ("Loading the network", False)
)


@st.cache_resource(max_entries=32, hash_funcs=_state_of("model.safetensors"), show_spinner=False)
def layers(run):
    """The rows of the run's layer table."""
    from vizlib.inside.layers import layer_table

    return layer_table(network(run), run.input_size)


@st.cache_resource(max_entries=32, hash_funcs=_state_of("predictions.npz"), show_spinner=False)
def predictions(run):
    """The Predictions of a run: its file is unpacked here alone, once for all that show them."""
    from vizlib.run.predictions import load_predictions

    return load_predictions(run.path("predictions.npz"), len(run.class_names))


@st.cache_resource(max_entries=128, hash_funcs=_state_of("predictions.npz"), show_spinner=False)
def verdict(run):
    from vizlib.run.verdict import judge_run

    return judge_run(run, predictions(run))


@st.cache_resource(max_entries=512, hash_funcs=_state_of("model.safetensors"), show_spinner=False)
def answer(run, picture):
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


@st.cache_resource(max_entries=48, hash_funcs=_state_of("model.safetensors"), show_spinner=False)
def feature_maps(run, picture, layer_name):
    """(FeatureMapsDisplay of one layer for one picture, seconds it took)."""
    from vizlib.displays.feature_maps import FeatureMapsDisplay
    from vizlib.inside.activations import capture

    start = time.perf_counter()
    _, found = capture(model(run), tensor(run, picture), [layer_name])
    display = FeatureMapsDisplay.from_activation(
        found[layer_name][0].numpy(), answer(run, picture)[1]
    )
    return display, time.perf_counter() - start


@st.cache_resource(max_entries=256, hash_funcs=_state_of("model.safetensors"), show_spinner=False)
def effective_field(run, picture, layer_name, unit, place):
    """What the pixels of a picture have to do with one value: (influence (H, W), the smallest box
    that holds 95 % of it, or None).
    """
    from vizlib.inside.receptive_fields import effective, tight_box

    influence = effective(model(run), tensor(run, picture), layer_name, unit, place)
    return influence, tight_box(influence)


@st.cache_resource(max_entries=128, hash_funcs=_state_of("model.safetensors"), show_spinner=False)
def maps_atlas(run, picture, layer_name, scale):
    """All maps of a layer for one picture, as an Atlas on one of the scales."""
    return feature_maps(run, picture, layer_name)[0].picture(scale)


@st.cache_resource(max_entries=32, hash_funcs=_state_of("model.safetensors"), show_spinner=False)
def unit_layers(run):
    """The names of the layers whose units can be looked at: every convolution, and the classes."""
    from vizlib.inside.strongest import unit_layers

    return unit_layers(layers(run))


@st.cache_resource(
    max_entries=16,
    hash_funcs={folders.Run: lambda run: (*state(run), run.changed("strongest.safetensors"))},
    show_spinner=False,
)
def strongest(run):
    """The Index of the images that excite the run's units most, as it lies in the run's folder;
    None where there is none of these weights.
    """
    from vizlib.inside.strongest import load

    return load(run, dataset(run))


@st.cache_resource(max_entries=32, hash_funcs=_state_of("config.json"), show_spinner=False)
def has_relu(run):
    """Whether the run's network has ReLUs, at which deconvnet and guided backpropagation differ."""
    import torch

    from vizlib.inside import attribution

    return attribution.has_relu(model(run), torch.zeros(1, *run.input_size))


def state(run):
    """What tells a run in the state it is in from all others."""
    return _state_of("model.safetensors")[folders.Run](run)


@st.cache_resource(max_entries=3, hash_funcs=_state_of("config.json"), show_spinner=False)
def control(run):
    """The run's network with random weights: what the pictures of gradients are compared with."""
    from vizlib.inside.attribution import randomised

    return randomised(run)


@st.cache_resource(max_entries=512, hash_funcs=_state_of("model.safetensors"), show_spinner=False)
def logits(run, picture, is_control):
    """What the network, or its control, answers to a picture before the softmax, (K,)."""
    from vizlib.inside.activations import forward

    return forward(control(run) if is_control else model(run), tensor(run, picture))[0].numpy()


@st.cache_resource(max_entries=256, hash_funcs=_state_of("model.safetensors"), show_spinner=False)
def evidence(run, picture, target, method, is_control):
    """The Evidence of a class in a picture, for a network so small that it is there at once."""
    from vizlib.inside import attribution

    return attribution.evidence(
        control(run) if is_control else model(run), tensor(run, picture), target, method
    )


def tensor(run, picture):
    """What the run's network gets for a picture, (1, C, H, W), normalised."""
    from vizlib.images import to_network_input

    return to_network_input(picture.received, run.input_size, run.config.mean, run.config.std)[1]


@st.cache_resource(
    max_entries=32, hash_funcs=_state_of("snapshots.safetensors"), show_spinner=False
)
def snapshots(run):
    """moments.filters(run): conv1's weight by training step."""
    return moments.filters(run)


@st.cache_resource(
    max_entries=64, hash_funcs=_state_of("snapshots.safetensors"), show_spinner=False
)
def probe_layers(run):
    """moments.probe_layers(run): {step: names of layers}."""
    return moments.probe_layers(run)


@st.cache_resource(max_entries=8, hash_funcs=_state_of("snapshots.safetensors"), show_spinner=False)
def probe_picture(run):
    """moments.probe_picture(run): uint8 (H, W, C), or None."""
    return moments.probe_picture(run)


@st.cache_resource(
    max_entries=256, hash_funcs=_state_of("snapshots.safetensors"), show_spinner=False
)
def probe_maps(run, step, layer_name):
    """The FeatureMapsDisplay of one stored layer of the probe picture at a stored step. Its network
    scale is that of the layers stored.
    """
    from vizlib.displays.feature_maps import FeatureMapsDisplay

    return FeatureMapsDisplay.from_activation(*moments.probe_maps(run, step, layer_name))


@st.cache_resource(max_entries=32, hash_funcs=_state_of("model.safetensors"), show_spinner=False)
def weight_shapes(run):
    """What the run's weights are called and how large each is, {name: shape}, read without torch;
    empty where there are none.
    """
    with moments.opened(run.path("model.safetensors")) as tensors:
        return (
            {name: tuple(tensors.get_slice(name).get_shape()) for name in sorted(tensors.keys())}
            if tensors
            else {}
        )
