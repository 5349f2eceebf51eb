"""torchvision's classifiers under our names: they are torchvision's own, key by key and value by
value.
"""

import pytest
import torch
from torch import nn
from torchvision import models

from vizlib import architectures
from vizlib.architectures import elsewhere
from vizlib.architectures.elsewhere import torchvision as ours
from vizlib.architectures.shapes import without_numbers
from vizlib.errors import UserError
from vizlib.inside.activations import capture, prepare

ITS_NAMES = models.list_models(module=models)
# One of each family, and the side of the pictures that it is tried with
REPRESENTATIVES = {
    "alexnet": 64,
    "convnext_tiny": 32,
    "densenet121": 32,
    "efficientnet_b0": 32,
    "efficientnet_v2_s": 33,
    "googlenet": 32,
    "inception_v3": 75,
    "mnasnet0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "regnet_x_400mf": 32,
    "regnet_y_400mf": 32,
    "resnet18": 32,
    "resnext50_32x4d": 32,
    "shufflenet_v2_x0_5": 32,
    "squeezenet1_1": 32,
    "swin_t": 64,
    "swin_v2_t": 64,
    "vgg11_bn": 32,
}


def without(name, **arguments):
    with without_numbers():
        return architectures.create(f"torchvision/{name}", **arguments)


def of_torchvision(name, **arguments):
    if name in ("googlenet", "inception_v3"):
        arguments = {"init_weights": False, "aux_logits": False} | arguments
    return models.get_model(name, weights=None, **arguments).eval()


def shapes(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def with_the_weights_of(own, name, **arguments):
    """Our network of a name with the very tensors of torchvision's."""
    model = without(name, **arguments)
    model.load_state_dict(dict(own.state_dict()), assign=True)
    return prepare(model)


def test_all_of_torchvisions_classifiers_are_there():
    assert len(ITS_NAMES) == 80
    auxiliary = {"torchvision/googlenet_aux", "torchvision/inception_v3_aux"}
    known = {name for name in elsewhere.names() if name.startswith("torchvision/")}
    assert known == {f"torchvision/{name}" for name in ITS_NAMES} | auxiliary


def test_each_has_torchvisions_keys_and_shapes_and_nothing_in_place():
    for name in ITS_NAMES:
        model = without(name)
        # the one whose weights are made for larger pictures than its builder's own default
        arguments = {"image_size": 518} if name == "vit_h_14" else {}
        with without_numbers():
            own = of_torchvision(name, **arguments)
        assert shapes(model) == shapes(own), name
        in_place = [each for each in model.modules() if getattr(each, "inplace", False)]
        assert in_place == [], name


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_heads_have_a_name_of_their_own(name):
    with without_numbers():
        own = of_torchvision(name, aux_logits=True)
    with_heads = without(f"{name}_aux")
    assert shapes(with_heads) == shapes(own)
    heads = {key for key in shapes(own) if key.lower().startswith("aux")}
    assert heads
    assert shapes(without(name)).keys() == shapes(own).keys() - heads


@pytest.mark.parametrize(("name", "side"), REPRESENTATIVES.items())
def test_the_same_logits_as_torchvisions(name, side):
    torch.manual_seed(3)
    own = of_torchvision(name, num_classes=7)
    model = with_the_weights_of(own, name, num_classes=7)
    image = torch.randn(1, 3, side, side)
    with torch.inference_mode():
        logits = own(image)
        torch.testing.assert_close(model(image), logits, rtol=1e-5, atol=1e-6)
    assert logits.std() > 0


def test_a_network_with_auxiliary_heads_answers_logits():
    model = architectures.create("torchvision/googlenet_aux", num_classes=5).eval()
    with torch.inference_mode():
        assert model(torch.randn(2, 3, 64, 64)).shape == (2, 5)


def test_a_vision_transformer_is_made_for_a_size():
    torch.manual_seed(3)
    own = of_torchvision("vit_b_32", image_size=96, num_classes=4)
    model = with_the_weights_of(own, "vit_b_32", image_size=96, num_classes=4)
    image = torch.randn(1, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(model(image), own(image), rtol=1e-4, atol=1e-5)
    assert shapes(without("vit_b_16"))["encoder.pos_embedding"] == (1, 197, 768)
    assert shapes(without("vit_h_14"))["encoder.pos_embedding"] == (1, 1370, 1280)
    assert without("maxvit_t", image_size=448) is not None
    with pytest.raises(UserError, match="cannot be built"):
        without("maxvit_t", image_size=100)


@pytest.mark.parametrize("name", ["vgg11", "densenet121", "vit_b_32", "swin_t", "inception_v3"])
def test_pictures_of_other_channels(name):
    first = next(m for m in without(name, in_channels=1).modules() if isinstance(m, nn.Conv2d))
    own = next(m for m in without(name).modules() if isinstance(m, nn.Conv2d))
    assert first.weight.shape == (own.weight.shape[0], 1, *own.weight.shape[2:])
    assert (first.stride, first.padding) == (own.stride, own.padding)
    assert (first.bias is None) == (own.bias is None)


def test_sizes_of_pictures_are_those_of_the_weights():
    sides = {"vit_b_16": 224, "inception_v3": 299, "efficientnet_b7": 600, "swin_v2_t": 256}
    for name, side in sides.items():
        assert elsewhere.get(f"torchvision/{name}").input_size == (3, side, side)


def test_layers_are_read_as_they_are_before_a_function_works_in_place():
    """torchvision's DenseNet and GoogLeNet rectify in place what a normalisation gives."""
    torch.manual_seed(3)
    image = torch.randn(1, 3, 64, 64)
    for name, layer_name in (("densenet121", "features.norm5"), ("googlenet", "conv2.bn")):
        model = prepare(architectures.create(f"torchvision/{name}", num_classes=2))
        _, maps = capture(model, image, [layer_name])
        assert maps[layer_name].min() < -0.01, name


def test_keys_of_earlier_versions():
    keys = [
        "features.denseblock2.denselayer11.norm.1.running_var",
        "features.denseblock2.denselayer11.conv.2.weight",
        "encoder.layers.encoder_layer_3.mlp.linear_1.weight",
        "encoder.layers.encoder_layer_3.mlp.linear_2.bias",
        "features.conv0.weight",
    ]
    renamed = ours.renamed_old_keys(keys)
    assert keys[-1] not in renamed
    assert len(renamed) == 4
    known = shapes(without("densenet121")).keys() | shapes(without("vit_b_16")).keys()
    assert set(renamed.values()) <= known


def test_weights_of_inception_are_of_another_normalisation():
    """As torchvision's own network undoes ImageNet's inside: the same for the same pixels."""
    torch.manual_seed(3)
    own = of_torchvision("googlenet", num_classes=3, transform_input=True)
    model = with_the_weights_of(own, "googlenet", num_classes=3)
    pixels = torch.rand(1, 3, 64, 64)

    def normalised(name):
        mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in ours.normalisation(name))
        return (pixels - mean) / std

    with torch.inference_mode():
        expected = own(normalised("torchvision/resnet18"))
        torch.testing.assert_close(model(normalised("torchvision/googlenet")), expected)


def test_shapes_alone_are_of_this_thread_and_take_no_memory():
    with without_numbers():
        assert nn.Linear(200_000, 1_000_000).weight.is_meta
    assert not nn.Linear(2, 3).weight.is_meta
