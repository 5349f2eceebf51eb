"""Convolutions over very small maps as products: PyTorch's own convolution says what is right."""

import itertools
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from vizlib.training import small_maps

CPU = torch.device("cpu")
# (kernel, stride, padding, side of the input), rows and columns unlike
SMALL = [
    ((3, 3), (1, 1), (1, 1), (1, 1)),
    ((3, 3), (1, 1), (1, 1), (2, 2)),
    ((3, 3), (2, 2), (1, 1), (2, 2)),
    ((3, 3), (2, 2), (1, 1), (4, 3)),
    ((3, 5), (1, 2), (0, 2), (4, 3)),
    ((5, 3), (2, 1), (2, 0), (3, 4)),
    ((2, 2), (2, 2), (0, 0), (5, 4)),
    ((7, 7), (2, 2), (3, 3), (3, 4)),
    ((1, 1), (1, 1), (0, 0), (4, 4)),
    ((1, 1), (2, 3), (0, 0), (5, 7)),
    ((1, 1), (2, 2), (1, 1), (1, 2)),
    ((1, 1), (2, 2), (1, 1), (2, 2)),  # a window that lies in the border as a whole
]
OTHERS = [
    dict(kernel_size=3, padding=1),  # over maps of 6 x 5
    dict(kernel_size=3, padding=1, stride=4, groups=2),
    dict(kernel_size=2, padding=1, stride=4, dilation=3),
    dict(kernel_size=3, padding="same"),
    dict(kernel_size=3, padding=1, stride=3, padding_mode="circular"),
    dict(kernel_size=3, padding=1, stride=3, padding_mode="reflect"),
]


def numbers(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def computed(convolution, images, as_products):
    """(output, gradients of the images, the weights and the bias), for gradients that differ."""
    images = images.clone().requires_grad_()
    convolution.zero_grad()
    context = small_maps.as_products(CPU) if as_products else nullcontext()
    with context:
        output = convolution(images)
    output.backward(numbers(*output.shape, seed=5).to(output.dtype))
    return output.detach(), images.grad, *(value.grad for value in convolution.parameters())


def assert_same(convolution, images):
    found = computed(convolution, images, True)
    for ours, theirs in zip(found, computed(convolution, images, False), strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride", "padding", "side"), SMALL)
@pytest.mark.parametrize("bias", [True, False])
def test_a_product_is_the_convolution(kernel, stride, padding, side, bias):
    convolution = nn.Conv2d(3, 4, kernel, stride, padding, bias=bias).double()
    for layout in (torch.contiguous_format, torch.channels_last):
        images = numbers(2, 3, *side).contiguous(memory_format=layout)
        assert_same(convolution.to(memory_format=layout), images)


@pytest.mark.parametrize("settings", OTHERS)
def test_other_convolutions_are_as_they_were(settings):
    assert_same(nn.Conv2d(4, 6, **settings).double(), numbers(2, 4, 6, 5))


def test_every_geometry_that_networks_have():
    for kernel, stride, padding, side in itertools.product((1, 2, 3, 5), (1, 2), (0, 1, 2), (1, 2)):
        if kernel <= side + 2 * padding:
            convolution = nn.Conv2d(2, 3, kernel, stride, padding).double()
            assert_same(convolution, numbers(2, 2, side, side))


def is_convolved(convolution, images, **settings):
    """Whether PyTorch's own convolution is called."""
    with (
        small_maps.as_products(CPU, **settings),
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile,
    ):
        convolution(images)
    return "aten::conv2d" in {event.key for event in profile.key_averages()}


def test_which_are_products():
    three, one = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 3, 1)
    assert not is_convolved(three, torch.ones(1, 2, 2, 2))
    assert not is_convolved(three, torch.ones(1, 2, 4, 1))
    assert is_convolved(three, torch.ones(1, 2, 5, 1))
    assert not is_convolved(one, torch.ones(1, 2, 4, 4))
    assert is_convolved(one, torch.ones(1, 2, 17, 1))
    assert is_convolved(one, torch.ones(2, 1, 1))  # one picture alone
    assert is_convolved(three, torch.ones(1, 2, 2, 2), compiled=True)


def test_by_the_names_of_its_arguments():
    """As somebody's own network may call it; and on no picture at all."""
    images, weight = numbers(2, 3, 2, 2), numbers(4, 3, 3, 3, seed=1)
    right = torch.conv2d(images, weight, padding=1)
    with small_maps.as_products(CPU):
        found = torch.conv2d(input=images, weight=weight, padding=1)
        none = torch.conv2d(images[:0], weight, padding=(1, 1))
        of_one_number = torch.conv2d(images, weight, None, [1], [1])
        with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
            torch.conv2d(images[:, :, :1, :1], weight)
    torch.testing.assert_close(found, right)
    torch.testing.assert_close(of_one_number, right)
    assert none.shape == (0, 4, 2, 2)


def test_on_another_device_convolutions_stay():
    with small_maps.as_products(torch.device("meta")):
        output = nn.Conv2d(2, 3, 3, padding=1, device="meta")(torch.ones(1, 2, 1, 1, device="meta"))
    assert output.shape == (1, 3, 1, 1)


def test_products_are_in_the_type_of_autocast():
    convolution = nn.Conv2d(8, 4, 3, padding=1)
    images = numbers(5, 8, 2, 2).float()
    with torch.autocast("cpu", torch.bfloat16):
        right = convolution(images)
        with small_maps.as_products(CPU):
            found = convolution(images)
    assert found.dtype == right.dtype == torch.bfloat16
    torch.testing.assert_close(found, right, rtol=0.02, atol=0.02)
    found.sum().backward()
    assert convolution.weight.grad.dtype == torch.float32
