"""How units lie in what layers give, against what torchvision's own networks are known to give."""

import pytest
import torch
from torch import nn
from torchvision import models

from vizlib import architectures
from vizlib.architectures.shapes import without_numbers
from vizlib.errors import NothingToShow, UserError
from vizlib.inside.activations import capture, prepare
from vizlib.inside.attribution import evidence
from vizlib.inside.layers import layer_table
from vizlib.inside.layouts import MAPS, NONE, TOKENS, UNITS_LAST, VALUES
from vizlib.inside.maximisation import maximise


def table_of(model, size):
    return {layer.name: layer for layer in layer_table(prepare(model), size)}


def table_without_numbers(name):
    architecture = architectures.get(f"torchvision/{name}")
    with without_numbers():
        model = architecture.build()
    return table_of(model.to("meta"), architecture.input_size), model


def tiny_vit(classes=3):
    """Of 24 pixels in patches of 8: nine places and a token of the class."""
    torch.manual_seed(4)
    model = models.VisionTransformer(24, 8, 3, 2, 12, 20, num_classes=classes)
    nn.init.normal_(model.heads[-1].weight)  # which torchvision begins with zeros
    return prepare(model)


def tiny_swin(classes=3):
    """Of maps of 8 x 8, then 4 x 4, in windows of 4 x 4."""
    torch.manual_seed(4)
    return prepare(models.SwinTransformer([4, 4], 6, [1, 1], [1, 2], [4, 4], num_classes=classes))


@pytest.mark.parametrize(
    "name", ["vit_b_16", "swin_t", "maxvit_t", "convnext_tiny", "densenet121", "mobilenet_v3_small"]
)
def test_costs_are_those_that_torchvision_states(name):
    layers, model = table_without_numbers(name)
    stated = models.get_model_weights(name).DEFAULT.meta
    top = [layer for layer in layers.values() if layer.depth == 0]
    assert sum(layer.multiply_adds for layer in top) / 1e9 == pytest.approx(
        stated["_ops"], abs=0.0005
    )
    of_no_layer = sum(each.numel() for each in model.parameters(recurse=False))
    assert sum(layer.parameters for layer in top) == stated["num_params"] - of_no_layer


def test_weights_that_a_block_uses_without_calling_their_modules_are_counted():
    layers, model = table_without_numbers("swin_v2_t")
    top = [layer for layer in layers.values() if layer.depth == 0]
    assert sum(layer.parameters for layer in top) == sum(map(torch.numel, model.parameters()))


def test_tokens_are_maps_of_their_places():
    model, image = tiny_vit(), torch.randn(1, 3, 24, 24)
    layers = table_of(model, (3, 24, 24))
    assert layers["conv_proj"].layout.kind == MAPS
    block = layers["encoder.layers.encoder_layer_1"]
    assert (block.layout.kind, block.layout.shape, block.layout.before) == (TOKENS, (12, 3, 3), 1)
    assert layers["encoder.layers.encoder_layer_1.self_attention"].kind == "MultiheadAttention"
    assert layers["heads.head"].layout.kind == VALUES
    _, kept = capture(model, image, [block.name])
    maps = block.layout.units_first(kept[block.name])
    assert maps.shape == (1, 12, 3, 3)
    assert torch.equal(maps[0, 7, 2, 1], kept[block.name][0, 1 + 2 * 3 + 1, 7])
    assert "10 tokens of 12 numbers" in block.layout.words
    assert "The first stands for no place" in block.layout.words


def test_units_last_are_maps_too():
    model, image = tiny_swin(), torch.randn(1, 3, 32, 32)
    layers = table_of(model, (3, 32, 32))
    assert layers["features.0.0"].layout.kind == MAPS
    norm = layers["features.0.2"]
    assert (norm.layout.kind, norm.layout.shape) == (UNITS_LAST, (6, 8, 8))
    assert norm.receptive_field == (4, 4)
    # behind the window's attention the field is not known, and the layout is
    for name in ("features.1.0.attn", "features.1.0.mlp.0", "features.3.0", "norm"):
        assert layers[name].layout.kind == UNITS_LAST, name
        assert layers[name].receptive_field is None, name
    assert layers["features.1.0.mlp.0"].layout.shape == (24, 8, 8)
    _, kept = capture(model, image, ["features.3.0"])
    maps = layers["features.3.0"].layout.units_first(kept["features.3.0"])
    assert torch.equal(maps[0, 5, 1, 3], kept["features.3.0"][0, 1, 3, 5])


def test_convnexts_layers_lie_as_its_permutations_say():
    layers, _ = table_without_numbers("convnext_tiny")
    block = "features.1.0.block"
    kinds = [layers[f"{block}.{number}"].layout.kind for number in range(7)]
    assert kinds == [MAPS, *[UNITS_LAST] * 5, MAPS]
    assert layers[f"{block}.3"].layout.shape == (384, 56, 56)
    assert layers["features.1.0"].layout.kind == MAPS


def test_windows_are_on_no_map():
    layers, _ = table_without_numbers("maxvit_t")
    attention = layers["blocks.0.layers.0.layers.window_attention.attn_layer.1"]
    assert (attention.output_shape, attention.layout.kind) == ((64, 49, 64), NONE)
    assert not attention.has_maps
    assert "64 × 49 × 64 numbers, which lie on no map" in attention.layout.words
    assert layers["blocks.0.layers.0.layers.window_attention"].layout.kind == MAPS


def test_grad_cam_of_tokens_is_of_the_last_places_that_have_a_say():
    """Behind the last attention only the class's token goes on."""
    model, image = tiny_vit(), torch.randn(1, 3, 24, 24)
    found = evidence(model, image, 2, "Grad-CAM")
    assert found.facts["layer"] == "encoder.layers.encoder_layer_1"
    assert found.facts["size"] == (3, 3)
    kept = {}
    block = model.get_submodule("encoder.layers.encoder_layer_1")
    hook = block.register_forward_hook(lambda module, given, output: kept.update(maps=output))
    logits = model(image.clone().requires_grad_())
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[0, 2], kept["maps"])
    weights = gradient[0, 1:].mean(0)
    expected = (kept["maps"][0, 1:] @ weights).clamp(min=0).reshape(3, 3).detach()
    corners = torch.tensor(found.values)[[0, 0, -1, -1], [0, -1, 0, -1]]
    torch.testing.assert_close(corners, expected[[0, 0, -1, -1], [0, -1, 0, -1]])


def test_grad_cam_where_units_lie_last():
    model, image = tiny_swin(), torch.randn(1, 3, 32, 32)
    found = evidence(model, image, 1, "Grad-CAM")
    kept = {}
    hook = model.features.register_forward_hook(lambda module, given, output: kept.update(m=output))
    logits = model(image.clone().requires_grad_())
    hook.remove()
    (gradient,) = torch.autograd.grad(logits[0, 1], kept["m"])
    expected = (kept["m"][0] @ gradient[0].mean((0, 1))).clamp(min=0).detach()
    assert (found.facts["layer"], found.facts["size"]) == ("features", (4, 4))
    corners = torch.tensor(found.values)[[0, 0, -1, -1], [0, -1, 0, -1]]
    torch.testing.assert_close(corners, expected[[0, 0, -1, -1], [0, -1, 0, -1]])


def test_a_network_without_maps_has_no_grad_cam():
    with pytest.raises(NothingToShow, match="no layer with maps"):
        evidence(
            prepare(nn.Sequential(nn.Flatten(), nn.Linear(12, 2))),
            torch.ones(1, 3, 2, 2),
            0,
            "Grad-CAM",
        )


def test_a_network_of_one_size_alone_gets_made_pictures_and_a_sentence_for_others():
    model = tiny_vit()
    made = maximise(
        model,
        "conv_proj",
        [3],
        input_size=(3, 24, 24),
        mean=[0.5] * 3,
        std=[0.25] * 3,
        steps=2,
    )
    assert made.pictures.shape == (1, 8, 8, 3)
    with pytest.raises(UserError, match="cannot take images of 3 x 32 x 32"):
        layer_table(model, (3, 32, 32))
