"""timm's networks under our names, where timm is installed."""

import importlib.util

import pytest
import torch

from vizlib import architectures
from vizlib.architectures import elsewhere
from vizlib.architectures.elsewhere import timm as ours
from vizlib.architectures.shapes import without_numbers

installed = pytest.mark.skipif(
    importlib.util.find_spec("timm") is None, reason="timm is not installed, and no requirement"
)


def shapes(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def test_they_are_there_where_timm_is():
    there = [name for name in elsewhere.names() if name.startswith("timm/")]
    expected = sorted(f"timm/{name}" for name in ours.NAMES) if ours.is_installed() else []
    assert there == expected


@installed
@pytest.mark.parametrize("name", ours.NAMES)
def test_each_has_timms_keys_and_shapes(name):
    import timm

    with without_numbers():
        model = architectures.create(f"timm/{name}", num_classes=7, in_channels=1)
        own = timm.create_model(name, num_classes=7, in_chans=1)
    assert shapes(model) == shapes(own)
    assert [each for each in model.modules() if getattr(each, "inplace", False)] == []


@installed
@pytest.mark.parametrize("name", ["resnet10t", "resnet18d", "seresnet18", "resnetv2_50d"])
def test_the_same_logits_as_timms(name):
    import timm

    torch.manual_seed(3)
    own = timm.create_model(name, num_classes=4).eval()
    with without_numbers():
        model = architectures.create(f"timm/{name}", num_classes=4).eval()
    model.load_state_dict(own.state_dict(), assign=True)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        logits = own(image)
        torch.testing.assert_close(model(image), logits, rtol=1e-5, atol=1e-6)
    assert logits.std() > 0


@installed
@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"])
def test_those_left_out_are_torchvisions(name):
    import timm

    torch.manual_seed(3)
    own = timm.create_model(name, num_classes=4).eval()
    with without_numbers():
        model = architectures.create(f"torchvision/{name}", num_classes=4).eval()
    assert shapes(model) == shapes(own)
    model.load_state_dict(own.state_dict(), assign=True)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(model(image), own(image), rtol=1e-5, atol=1e-6)
