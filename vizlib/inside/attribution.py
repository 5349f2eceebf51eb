"""What in an image excites a unit or speaks for a class: attribution by Captum, and the control
that tells whether a picture of it means anything.

All is computed on a twin of the model, so nothing is ever left on the model itself, also after an
error or a cancel.
"""

import math
import threading
import warnings
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from vizlib import architectures
from vizlib.errors import UserError, unknown
from vizlib.inside.activations import forward, output_of, prepare, slots, twin, value_of
from vizlib.inside.layers import layer_table

UNIT_METHODS = ("deconvnet", "guided backpropagation")
CLASS_METHODS = ("Grad-CAM", "integrated gradients", "occlusion")
# of integrated gradients: the second where the first leaves more than TOLERANCE unaccounted for
STEPS = (64, 256)
TOLERANCE = 0.01  # of the difference of logits
PIXELS_AT_ONCE = 100_000  # in one pass, so that a pass takes some tenths of a second at most
SEED = 0
_RELUS = (F.relu, torch.relu, torch.Tensor.relu)
_one_at_a_time = threading.Lock()  # the random state is one for the whole process
# Here and once, not around each call: catch_warnings changes the filters of all threads.
warnings.filterwarnings(
    "ignore", message="Setting backward hooks on ReLU activations", module="captum"
)


# Units


def of_units(model, images, layer_name, units, places, method, say=lambda share: None):
    """What of each image excites a unit: float32 array (N, C, H, W), the gradient of the unit's
    value with the ReLUs' own gradient overridden.

    images: (N, C, H, W), normalised. units: N channels of the layer. places: N pairs (row, column)
    in the layer's maps; None or () for a unit's only value. method: "deconvnet" (Zeiler and Fergus
    2014, https://arxiv.org/abs/1311.2901: a ReLU hands back what is positive in the gradient) or
    "guided backpropagation" (Springenberg et al. 2015, https://arxiv.org/abs/1412.6806: only where
    its input was positive, too). In a network without ReLUs both are the plain gradient, see
    has_relu. say(share) after each pass; it may raise to cancel. UserError for a layer, unit or
    place that does not exist.
    """
    from captum.attr import Deconvolution, GuidedBackprop

    if method not in UNIT_METHODS:
        raise unknown("method", method, UNIT_METHODS)
    attribute = {"deconvnet": Deconvolution, "guided backpropagation": GuidedBackprop}[method]
    own, size, parts = prepare(twin(model)), _at_once(images), []
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        values = _OneRelu(_values_of(own, layer_name, units[part], places[part]))
        with slots:
            parts.append(
                attribute(values).attribute(images[part].detach().clone().requires_grad_()).detach()
            )
        say(min(1.0, (start + size) / len(images)))
    return torch.cat(parts).cpu().numpy() if parts else np.empty(images.shape, np.float32)


def has_relu(model, images):
    """Whether a pass of these images (N, C, H, W) goes through any ReLU, be it a module or a
    function.
    """
    seen = []
    with _Through(lambda maps: seen.append(maps) or F.relu(maps)):
        forward(prepare(twin(model)), images)
    return bool(seen)


def _values_of(model, layer_name, units, places):
    """The function from images (N, C, H, W) to the value (N,) of each image's unit at its place."""

    def values(images):
        # also what lies behind the layer
        output = output_of(model, images, layer_name, to_the_end=True)
        return torch.stack(
            [
                value_of(one, layer_name, unit, place)
                for one, unit, place in zip(output, units, places, strict=True)
            ]
        )

    return values


class _OneRelu(nn.Module):
    """A function of images as a module whose only child is one ReLU, that every ReLU of a pass goes
    through: the one that Captum overrides.

    Captum overrides modules only, not functions; and what it knows of a module called twice, as
    torchvision's are, is of its latest call.
    """

    def __init__(self, function):
        super().__init__()
        self.function, self.relu = function, nn.ReLU()

    def forward(self, images):
        # Captum rewrites the gradient of the ReLU's input, whoever else uses that tensor; the copy
        # is used by the ReLU alone, and is the next to get its gradient after the ReLU's output, so
        # that what Captum has kept is always of the same call.
        with _Through(lambda maps: self.relu(maps.clone())):
            return self.function(images)


class _Through(TorchFunctionMode):
    """In this thread every ReLU, of nn.ReLU or of a function, becomes relu(its input)."""

    def __init__(self, relu):
        super().__init__()
        self.relu = relu

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in _RELUS:
            return self.relu(args[0] if args else kwargs["input"])
        return function(*args, **kwargs)


# Classes


@dataclass(frozen=True)
class Evidence:
    """values: float32 (H, W), of the input's size; positive speaks for the class. In logits, but
    for Grad-CAM, whose size says how a map's mean matters.

    facts: how they were made. Grad-CAM: layer, size (height, width) of its maps. Integrated
    gradients: steps, total, the sum of all values, and rise, the difference of logits that it
    should be. Occlusion: window and stride, each (height, width) in pixels.
    """

    values: np.ndarray
    facts: dict


def evidence(model, image, target, method, say=lambda share: None):
    """The Evidence in an image (1, C, H, W), normalised, for the class number `target`, by one of
    CLASS_METHODS.

    Grad-CAM (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391): the last maps, each weighted
    with the class's mean gradient, their sum after a ReLU, enlarged bilinearly. Integrated
    gradients (Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365): from a picture of the
    data set's mean colour, summed over the channels. Occlusion (Zeiler and Fergus 2014,
    https://arxiv.org/abs/1311.2901): by how much the logit falls when a window of the mean colour
    covers a place, the mean of all windows over it. say(share) after each pass; it may raise to
    cancel. UserError for an unknown class or method, and for Grad-CAM of a network without maps.
    """
    if method not in CLASS_METHODS:
        raise unknown("method", method, CLASS_METHODS)
    own = prepare(twin(model))
    classes = forward(own, image).shape[1]
    if not 0 <= target < classes:
        raise unknown("class", target, range(classes))
    compute = {
        "Grad-CAM": _grad_cam,
        "integrated gradients": _integrated_gradients,
        "occlusion": _occlusion,
    }[method]
    values, facts = compute(own, image.detach().clone(), target, say)
    say(1.0)
    return Evidence(values.detach().cpu().numpy().astype(np.float32), facts)


def randomised(run):
    """A prepared network of the run's architecture with the random weights that a training begins
    with, the same each time; its batch normalisation has seen nothing (mean 0, variance 1).

    The control of Adebayo et al. 2018, Sanity Checks for Saliency Maps,
    https://arxiv.org/abs/1810.03292: a picture that it gives as well is not of what was learned.
    The random state of the process stays as it is.
    """
    with _one_at_a_time, torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return prepare(architectures.create(run.config.architecture, **run.config.arguments))


def last_maps(rows):
    """Of the rows of a layer table, the convolution, block or sum with maps larger than 1x1 that
    ends last; of several that end together the outermost.

    UserError if there is none.
    """
    ends, candidates = {}, []
    for at, row in enumerate(rows):
        ends[at] = next(
            (later for later in range(at + 1, len(rows)) if rows[later].depth <= row.depth),
            len(rows),
        )
        if (
            len(row.output_shape) == 3
            and max(row.output_shape[1:]) > 1
            and (row.is_convolution or row.is_block or row.is_sum)
        ):
            candidates.append(at)
    if not candidates:
        raise UserError("This network has no layer with maps, so there is no Grad-CAM of it.")
    return rows[max(candidates, key=lambda at: (ends[at], -at))]


def _grad_cam(model, image, target, say):
    from captum.attr import LayerAttribution, LayerGradCam

    row = last_maps(layer_table(model, tuple(image.shape[1:])))
    # of a module called twice Captum keeps the last call, which is the one that ends last
    module = model.get_submodule(row.name.partition("#")[0])
    with slots:
        maps = LayerGradCam(model, module).attribute(image, target, relu_attributions=True)
        values = LayerAttribution.interpolate(maps.detach(), tuple(image.shape[2:]), "bilinear")
    return values[0, 0], {"layer": row.name, "size": tuple(row.output_shape[1:])}


def _integrated_gradients(model, image, target, say):
    from captum.attr import IntegratedGradients

    at_once, method = _at_once(image), IntegratedGradients(model)
    method.gradient_func = _paced(
        method.gradient_func, sum(math.ceil(steps / at_once) for steps in STEPS), say
    )
    settings = dict(
        baselines=torch.zeros_like(image),
        target=target,
        internal_batch_size=at_once,
        return_convergence_delta=True,
    )
    for steps in STEPS:
        values, error = method.attribute(image, n_steps=steps, **settings)
        total = float(values.sum())
        rise = total - float(error)
        if abs(total - rise) <= TOLERANCE * abs(rise):
            break
    return values[0].sum(0), {"steps": steps, "total": total, "rise": rise}


def _occlusion(model, image, target, say):
    from captum.attr import Occlusion

    channels, *size = image.shape[1:]
    window = tuple(min(side, max(2, side // 5)) for side in size)
    stride = tuple(max(1, side // 3) for side in window)
    places = math.prod(
        math.ceil((side - w) / s) + 1 for side, w, s in zip(size, window, stride, strict=True)
    )
    at_once = _at_once(image)
    method = Occlusion(_paced(model, 1 + math.ceil(places / at_once), say))
    shapes = dict(sliding_window_shapes=(channels, *window), strides=(channels, *stride))
    values = method.attribute(
        image, baselines=0, target=target, perturbations_per_eval=at_once, **shapes
    )
    return values[0, 0], {"window": window, "stride": stride}


def _at_once(images):
    """How many of such images go through the network in one pass."""
    return max(1, min(64, PIXELS_AT_ONCE // math.prod(images.shape[2:])))


def _paced(function, count, say):
    """The function, each call of it in a slot; after each, say(the share of `count` calls that are
    done).
    """
    done = 0

    def call(*arguments, **named):
        nonlocal done
        with slots:
            result = function(*arguments, **named)
        done += 1
        say(min(1.0, done / count))
        return result

    return call
