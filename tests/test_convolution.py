"""A convolution at work: its products and sums are PyTorch's own output, at every kind of kernel
and at the border.
"""

import base64

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.test_browser import no_error, settled
from vizlib.displays.convolution import MOST_CHANNELS, ConvolutionDisplay
from vizlib.errors import NothingToShow, UserError
from vizlib.inside.activations import prepare
from vizlib.inside.convolving import at_work
from vizlib.run import folders
from vizlib.ui.data import caches
from vizlib.ui.widgets import convolution_view

KINDS = {
    "3x3": dict(padding=1),
    "7x7 s2": dict(kernel_size=7, stride=2, padding=3),
    "stride (2, 3)": dict(kernel_size=(3, 5), stride=(2, 3), padding=(1, 2)),
    "dilated": dict(dilation=2, padding=2),
    "1x1": dict(kernel_size=1),
    "grouped": dict(groups=3),
    "depthwise": dict(groups=6, padding=1),
    "same, even": dict(kernel_size=(2, 4), padding="same"),
    "no bias": dict(bias=False, padding=1),
    "reflected": dict(padding=2, padding_mode="reflect", kernel_size=5),
    "around": dict(padding=1, padding_mode="circular"),
}


class Around(nn.Module):
    """Pads unevenly by a function, as networks converted from TensorFlow do; its ReLU works in
    place.
    """

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(6, 12, 3, stride=2), nn.BatchNorm2d(12)

    def forward(self, images):
        return F.relu(self.norm(self.conv(F.pad(images, (0, 1, 0, 2)))), inplace=True)


def made(conv, channels=6):
    """A network around a convolution whose batch normalisation is not the usual one."""
    torch.manual_seed(1)
    model = nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels), nn.ReLU(inplace=True))
    for tensor in (*model[1].parameters(), model[1].running_mean, model[1].running_var):
        tensor.data.uniform_(0.5, 2)
    return prepare(model), torch.randn(1, channels, 13, 15)


def corners(shape):
    height, width = shape
    return {(0, 0), (height // 2, width - 1), (height - 1, width // 3), (height // 2, width // 2)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_sum_is_the_network_s_own_output(kind):
    settings = {"kernel_size": 3} | KINDS[kind]
    conv = nn.Conv2d(6, 12, **settings)
    model, image = made(conv)
    with torch.no_grad():
        expected = [part[0, 7].numpy() for part in (conv(image), model[:2](image), model(image))]
    work = at_work(model, image, "0", 7)
    assert np.allclose(work.output, expected[0], atol=1e-5)
    assert [stage.word for stage in work.stages] == ["batch normalisation", "ReLU"]
    for stage, values in zip(work.stages, expected[1:], strict=True):
        assert np.allclose(stage.values, values, atol=1e-5)
    scale, shift = work.stages[0].scale, work.stages[0].shift
    assert np.allclose(scale * expected[0] + shift, expected[1], atol=1e-5)
    for position in corners(work.output.shape):
        display = ConvolutionDisplay.from_convolved(work, position)
        assert display.total() == pytest.approx(expected[0][position], abs=1e-5)
        top, left = (int(side) for side in display.outside[:2])
        mode = {"zeros": "constant", "reflect": "reflect", "circular": "wrap"}[conv.padding_mode]
        sides = [(0, 0), (top, display.outside[2]), (left, display.outside[3])]
        around = np.pad(image[0].numpy(), sides, mode=mode)
        down, across = (
            slice(at * step, at * step + (size - 1) * gap + 1, gap)
            for at, step, size, gap in zip(
                position, conv.stride, conv.kernel_size, conv.dilation, strict=True
            )
        )
        count = 6 // conv.groups
        first = 7 // (12 // conv.groups) * count
        assert np.array_equal(display.window(), around[first : first + count, down, across])
        assert display.names[0] == ("channel 0" if conv.groups == 1 else f"channel {first}")


def test_what_a_function_puts_around_is_said():
    torch.manual_seed(0)
    model, image = prepare(Around()), torch.randn(1, 6, 11, 12)
    work = at_work(model, image, "conv", 3)
    assert work.outside == (0, 0, 2, 1)
    assert work.is_picture
    assert [stage.word for stage in work.stages] == ["batch normalisation", "ReLU"]
    assert work.stages[0].values.min() < 0, "the values of before the ReLU that works in place"
    assert np.array_equal(work.stages[1].values, model(image)[0, 3].numpy())


def test_of_many_channels_the_strongest_are_shown_and_the_others_summed():
    torch.manual_seed(0)
    conv = nn.Conv2d(40, 4, 3)
    with torch.no_grad():
        conv.weight[2, 17] *= 50
    model, image = made(conv, 40)
    work = at_work(model, image, "0", 2)
    display = ConvolutionDisplay.from_convolved(work, (4, 9))
    assert len(display.names) == MOST_CHANNELS
    assert "channel 17" in display.names
    assert display.others == 40 - MOST_CHANNELS
    assert display.total() == pytest.approx(float(conv(image)[0, 2, 4, 9]), abs=1e-4)


def test_a_layer_that_is_none_says_so():
    model, image = made(nn.Conv2d(6, 12, 3))
    with pytest.raises(NothingToShow, match="no convolution"):
        at_work(model, image, "2", 0)
    with pytest.raises(UserError, match="unit 12"):
        at_work(model, image, "0", 12)
    with pytest.raises(UserError, match="no layer 'x'"):
        at_work(model, image, "x", 0)


@pytest.mark.parametrize(
    ("run_id", "layer"),
    [
        ("digits_three_layer", "conv1"),
        ("mobilenet_two_norms", "block4.depthwise"),
        ("airbench", "conv1"),
        ("densenet4", "conv1"),
        ("three_layer_functional", "conv2"),
    ],
)
def test_shipped_networks(run_id, layer):
    run = folders.open_run(run_id)
    model = caches.model(run)
    torch.manual_seed(3)
    image = torch.randn(1, *run.input_size)
    names = [one.name for one in caches.layers(run) if one.is_convolution]
    name = layer if layer in names else names[len(names) // 2]
    kept = []
    hook = model.get_submodule(name).register_forward_hook(lambda *call: kept.append(call[2]))
    with torch.no_grad():
        model(image)
    hook.remove()
    work = at_work(model, image, name, 1)
    expected = kept[0][0, 1].numpy()
    for position in corners(expected.shape):
        display = ConvolutionDisplay.from_convolved(work, position)
        assert display.total() == pytest.approx(expected[position], abs=1e-4)


def test_pixels_are_sent_in_place_of_what_the_network_gets(monkeypatch):
    """They stand for the very numbers: the browser does the same arithmetic."""
    sent = {}
    monkeypatch.setattr(convolution_view, "_component", lambda **given: sent.update(given["data"]))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    image = torch.from_numpy(((pixels / 255 - mean) / std).astype(np.float32)).permute(2, 0, 1)
    torch.manual_seed(0)
    work = at_work(prepare(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1))), image[None], "0", 1)
    display = ConvolutionDisplay.from_convolved(work, (2, 5))
    words = dict(key="x", name="", input_name="", on_pick=None)
    convolution_view.show(display, (), **words, pixels=pixels, mean=mean, std=std)
    given = sent["given"]
    read = np.frombuffer(base64.b64decode(given["pixels"]), np.uint8).reshape(5, 6, 3)
    numbers = ((read / 255 - given["mean"]) / given["std"]).transpose(2, 0, 1)
    assert np.allclose(numbers, display.given[:, 1:-1, 1:-1], atol=1e-6)
    assert sent["names"] == ["red", "green", "blue"]


@pytest.mark.browser
def test_pointing_writes_the_network_s_own_numbers(page, address):
    """Hovering the map asks the server nothing; keys move; what is written is the convolution's
    output.
    """
    page.goto(f"{address}/Feature_maps?model=lenet&layer=relu2&unit=9&place=4,7")
    work = page.locator(".st-key-at_work_component")
    work.locator(".total").wait_for()
    settled(page)
    run = folders.open_run("lenet")
    from vizlib.images import photograph, to_network_input

    image = to_network_input(photograph("cat"), run.input_size, run.config.mean, run.config.std)[1]
    model = caches.model(run)
    kept = {}
    hook = model.conv2.register_forward_hook(lambda *call: kept.update(maps=call[2]))
    with torch.no_grad():
        model(image)
    hook.remove()
    expected = kept["maps"][0, 9].numpy()

    def total():
        return float(work.locator(".total").inner_text().replace("−", "-"))

    assert total() == pytest.approx(expected[4, 7], abs=6e-4)
    work.locator(".map").scroll_into_view_if_needed()
    box = work.locator(".map").bounding_box()
    for row, column in ((0, 0), (9, 3), (5, 9)):
        page.mouse.move(
            box["x"] + box["width"] * (column + 0.5) / 10,
            box["y"] + box["height"] * (row + 0.5) / 10,
        )
        work.get_by_text(f"place ({row}, {column})").wait_for()
        assert total() == pytest.approx(expected[row, column], abs=6e-4)
        end = float(work.locator(".end").inner_text().replace("−", "-"))
        assert end == pytest.approx(max(0, expected[row, column]), abs=6e-4)
    assert page.url.endswith("place=4,7")
    page.mouse.move(0, 0)
    work.locator(".map").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_url("**place=5%2C7*")
    assert total() == pytest.approx(expected[5, 7], abs=6e-4)
    work.locator(".sum button").nth(2).click()
    assert work.locator(".sum button").nth(2).get_attribute("aria-pressed") == "true"
    no_error(page)
