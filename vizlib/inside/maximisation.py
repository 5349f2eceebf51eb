"""Activation maximisation: the input that a unit answers most strongly, found by gradient ascent,
for many units of a layer at once.

After Olah, Mordvintsev and Schubert, Feature Visualization, Distill 2017,
https://distill.pub/2017/feature-visualization, and their Lucid. One picture a unit: the objectives
are summed, so one backward pass serves them all, and the forward pass ends at the layer asked for.

What is maximised is the value at the central position of the unit's map, before any ReLU that
follows, or the logit of a class: what `strongest.py` ranks. Where that position sees less than the
whole input, the picture is a canvas only a little larger than what it sees.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

# the function: the class imports PyTorch's compiler, which takes seconds
from torch.optim.adam import (
    adam,
)

from vizlib.errors import UserError, unknown
from vizlib.inside.activations import no_such_unit, output_of, prepare, slots, twin
from vizlib.inside.layers import Layer, layer_table
from vizlib.inside.layouts import MAPS, VALUES

STEPS, RATE = 160, 0.05
DEVIATION = 0.01  # of the first amplitudes or pixels, before the sigmoid
MOST_BYTES = 256_000_000  # of maps and their gradients at a time
# In each step a picture is moved to either side by up to:
DEGREES, GROWTH = 8.0, 0.1
# the smaller: farther off another position is in charge, and fine patterns would become a blur
SHIFT_OF_STRIDE, SHIFT_OF_INPUT = (1 / 2, 1 / 11)
# How the colours of natural images vary, a column an axis: the root of their covariance, from
# Lucid, lucid/optvis/param/color.py.
COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))


@dataclass(frozen=True)
class Maximised:
    """pictures: uint8 (U, H, W, C), one a unit. values: float32 (U,), what the network answers to
    these very pictures.
    """

    pictures: np.ndarray
    values: np.ndarray


def maximise(
    model: nn.Module,
    layer_name: str,
    units: Sequence[int],
    *,
    input_size: tuple[int, int, int],
    mean: Sequence[float],
    std: Sequence[float],
    fourier: bool = True,
    decorrelated: bool = True,
    robust: bool = True,
    steps: int = STEPS,
    seed: int = 0,
    say: Callable[[float], None] = lambda share: None,
) -> Maximised:
    """The Maximised inputs of some units (channels or classes) of a layer, cut to what the central
    position of its map sees.

    model: on the CPU; left as it is. input_size: (channels, height, width) of what the network
    takes. mean, std: by channel, in [0, 1]. fourier: optimise the amplitudes of waves, long ones
    faster, instead of pixels. decorrelated: along the axes in which colours vary in nature, for
    three channels only. robust: shift, turn and scale the picture a little in each step. The same
    seed gives the same picture. UserError if there is no such layer or unit.
    """
    network = _Network(prepare(twin(model)), layer_name, mean, std)
    wanted = torch.as_tensor(units, dtype=torch.int64)
    layer = network.layer(wanted, input_size)
    shift = _most_shift(layer, input_size) if robust else 0
    size, seen = _canvas(network, layer, input_size, math.ceil(shift))

    def painting_of(count: int) -> _Painting:
        generator = torch.Generator().manual_seed(seed)
        return _Painting(count, size, fourier, decorrelated, generator)

    at_once = max(1, MOST_BYTES // network.bytes(size))
    pictures, values = _in_parts(painting_of, network, wanted.split(at_once), shift, steps, say)
    return Maximised(
        pictures[(..., *seen)].permute(0, 2, 3, 1).contiguous().numpy(), values.numpy()
    )


def _in_parts(
    painting_of: Callable[[int], _Painting],
    network: _Network,
    parts: Sequence[Tensor],
    shift: float,
    steps: int,
    say: Callable[[float], None],
) -> tuple[Tensor, Tensor]:
    """What `_painted` gives, of some units after the others; say(the share of all that is done)."""
    total = sum(map(len, parts))
    made, done = [], 0
    for units in parts:

        def say_of_all(share: float, done: int = done, count: int = len(units)) -> None:
            say((done + share * count) / total)

        made.append(_painted(painting_of(len(units)), network, units, shift, steps, say_of_all))
        done += len(units)
    pictures, values = (torch.cat(tensors) for tensors in zip(*made, strict=True))
    return pictures, values


def _most_shift(layer: Layer, input_size: tuple[int, int, int]) -> float:
    """By how many pixels a picture for a layer is moved at most."""
    of_stride = SHIFT_OF_STRIDE * min(layer.stride or input_size[1:])
    return min(SHIFT_OF_INPUT * min(input_size[1:]), of_stride)


def _painted(
    painting: _Painting,
    network: _Network,
    units: Tensor,
    shift: float,
    steps: int,
    say: Callable[[float], None],
) -> tuple[Tensor, Tensor]:
    """A painting's pictures after the ascent, uint8 (U, C, H, W), and what the units answer to
    them, (U,).
    """

    def answers(images: Tensor) -> Tensor:
        return network.values(images).gather(1, units[:, None])[:, 0]

    for step in range(steps):
        with slots, torch.enable_grad():
            painting.ascend(lambda images: answers(images).sum(), shift)
        say((step + 1) / steps)
    with slots, torch.inference_mode():
        pictures = painting.images().mul(255).round().to(torch.uint8)
        return pictures, answers(pictures.float() / 255)


class _Network:
    """The units of one layer of a prepared model."""

    def __init__(
        self, model: nn.Module, name: str, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self._model, self._name = model, name
        self._mean, self._std = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))

    def layer(self, units: Tensor, input_size: tuple[int, int, int]) -> Layer:
        """The Layer in the layer table. UserError if there is none, or not all of these units."""
        layers = {layer.name: layer for layer in layer_table(self._model, input_size)}
        if self._name not in layers:
            raise unknown("layer", self._name, layers)
        layer = layers[self._name]
        if layer.layout.kind not in (MAPS, VALUES):
            raise UserError(
                f"The layer {self._name!r} has no units: it gives neither maps nor a vector."
            )
        if len(units) == 0:
            raise UserError(f"The units of {self._name!r} are 0 to {layer.output_shape[0] - 1}.")
        for unit in units.tolist():
            if not 0 <= unit < layer.output_shape[0]:
                raise no_such_unit(self._name, layer.output_shape, unit)
        return layer

    def values(
        self, images: Tensor, see: Callable[[Tensor], object] = lambda output: None
    ) -> Tensor:
        """What all units answer at the central position, (N, units), to images in [0, 1]; `see` is
        given each output on the way.
        """
        received = (images - self._mean) / self._std
        output = output_of(self._model, received, self._name, see=see)
        if output.dim() == 2:
            return output
        return output[:, :, output.shape[2] // 2, output.shape[3] // 2]

    def bytes(self, size: Sequence[int]) -> int:
        """What the maps of one picture of a size, and their gradients, take."""
        values = []
        with slots, torch.inference_mode():
            self.values(torch.zeros(1, *size), lambda output: values.append(output.numel()))
        return 8 * sum(values)

    def seen(self, size: Sequence[int]) -> tuple[slice, ...]:
        """The rows and the columns of a picture that the central position sees, two slices: a value
        that is not a number spreads to all that see it.
        """
        return tuple(self._span(size, axis, end) for axis, end in enumerate(size[1:], 2))

    def _span(self, size: Sequence[int], axis: int, end: int) -> slice:
        before = bisect_left(range(end), True, key=lambda last: self._sees(size, axis, 0, last + 1))
        after = bisect_left(
            range(end), True, key=lambda last: self._sees(size, axis, end - last - 1, end)
        )
        return slice(before, end - after)

    def _sees(self, size: Sequence[int], axis: int, start: int, end: int) -> bool:
        image = torch.zeros(1, *size)
        image.narrow(axis, start, end - start).fill_(torch.nan)
        with slots, torch.inference_mode():
            return bool(self.values(image).isnan().any())


def _canvas(
    network: _Network, layer: Layer, input_size: tuple[int, int, int], room: int
) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    """The smallest size (channels, height, width), a multiple of the stride, at which the central
    position sees all it ever does, with room around.

    And what it sees of it. It answers there as it would inside the whole input, which is taken
    where nothing smaller will do, as in a network that takes pictures of one size alone.
    """
    channels, *whole = input_size
    fields, strides = layer.receptive_field, layer.stride
    if fields is None or strides is None:
        return input_size, (slice(None), slice(None))
    if all(field >= side for field, side in zip(fields, whole, strict=True)):
        return input_size, (slice(None), slice(None))
    more = 0
    while True:
        size = [
            min(side, (-(-(field + 2 * room) // stride) + more) * stride)
            for side, field, stride in zip(whole, fields, strides, strict=True)
        ]
        try:
            seen = network.seen((channels, *size))
        except (RuntimeError, AssertionError):
            return input_size, network.seen(input_size)
        fits = _has_room(seen, size, fields, room)
        if all(fit or side == most for fit, side, most in zip(fits, size, whole, strict=True)):
            return (channels, *size), seen
        more += 1


def _has_room(
    seen: Sequence[slice], size: Sequence[int], fields: Sequence[int], room: int
) -> list[bool]:
    """By axis: whether what is seen of a picture is all of the field, with room around."""
    return [
        span.start >= room and span.stop + room <= side and span.stop - span.start == field
        for span, side, field in zip(seen, size, fields, strict=True)
    ]


def _waves(height: int, width: int) -> Tensor:
    """How far the amplitude of each wave moves, (height, width // 2 + 1): long ones farther."""
    frequencies = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None])
    waves = 1 / frequencies.clamp(min=1 / max(height, width))
    return waves / waves.square().mean().sqrt()  # pixels move as fast at any size


class _Painting:
    """Pictures that are optimised: amplitudes of waves, or pixels, and how they become images. All
    begin alike, so none depends on its neighbours.
    """

    def __init__(
        self,
        pictures: int,
        size: Sequence[int],
        fourier: bool,
        decorrelated: bool,
        generator: torch.Generator,
    ) -> None:
        self._size, self._generator = size, generator
        channels, height, width = size
        self._waves = _waves(height, width) if fourier else None
        colours = torch.tensor(COLOURS)
        self._colours = (
            colours / colours.norm(dim=0).max() if decorrelated and channels == 3 else None
        )
        shape = size if self._waves is None else (channels, *self._waves.shape, 2)
        start = torch.randn(shape, generator=generator) * DEVIATION
        self._parameter = start.repeat(pictures, *[1] * len(shape)).requires_grad_()
        self._moments, self._step = torch.zeros(2, *self._parameter.shape), torch.tensor(0.0)

    def images(self) -> Tensor:
        """Float (pictures, channels, height, width) in [0, 1]."""
        pixels = self._parameter
        if self._waves is not None:
            pixels = torch.fft.irfft2(
                torch.view_as_complex(pixels) * self._waves, s=self._size[1:], norm="ortho"
            )
        if self._colours is not None:
            pixels = torch.einsum("rc,nchw->nrhw", self._colours, pixels)
        return pixels.sigmoid()

    def ascend(self, objective: Callable[[Tensor], Tensor], shift: float) -> None:
        """One step of Adam up the objective, a number made of the images: shifted by up to `shift`
        pixels, turned and scaled, unless that is 0.
        """
        images = self._moved(self.images(), shift) if shift else self.images()
        gradient = torch.autograd.grad(objective(images), self._parameter)[0]
        first, second = self._moments
        with torch.no_grad():
            adam(
                [self._parameter],
                [gradient],
                [first],
                [second],
                [],
                [self._step],
                foreach=False,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=RATE,
                weight_decay=0,
                eps=1e-8,
                maximize=True,
            )

    def _moved(self, images: Tensor, shift: float) -> Tensor:
        """All images shifted, turned and scaled alike, reflected at the border."""
        height, width = images.shape[2:]
        down, right, turn, growth = (2 * torch.rand(4, generator=self._generator) - 1).tolist()
        angle, scale = math.radians(DEGREES * turn), 1 + GROWTH * growth
        along, across = scale * math.cos(angle), scale * math.sin(angle)
        matrix = [
            [along, -across * height / width, 2 * shift * right / width],
            [across * width / height, along, 2 * shift * down / height],
        ]
        grid = F.affine_grid(torch.tensor([matrix]), [1, 1, height, width], align_corners=False)
        return F.grid_sample(
            images,
            grid.expand(len(images), -1, -1, -1),
            padding_mode="reflection",
            align_corners=False,
        )
