"""Weights in a fraction of the bytes: what is lost, that a packed run says so and answers with what
its file holds, and that no file can ask for more than it brings.
"""

import io
import math
import shutil
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from vizlib import architectures, datasets
from vizlib.command_line import main
from vizlib.errors import UserError
from vizlib.hand_in.archive import write_zip
from vizlib.hand_in.gathered import Gathered
from vizlib.run import checkpoints, folders, integers, moments
from vizlib.run.integers import DEFLATED, SCALE, SHAPE
from vizlib.run.predictions import Predictions, load_predictions
from vizlib.run.weights import disturbed, load_weights, packable, packed_weights
from vizlib.training import packing
from vizlib.training.evaluation import evaluate


def filters():
    """float32 (16, 8, 3, 3): channels of very different size, the greatest value in the middle, one
    of zeros.
    """
    weight = np.random.default_rng(3).normal(size=(16, 8, 3, 3)).astype(np.float32)
    weight *= np.logspace(-7, 4, 16, dtype=np.float32).reshape(-1, 1, 1, 1)
    weight[:, 4, 1, 1] = -2 * np.abs(weight).reshape(16, -1).max(axis=1)
    weight[5] = 0
    return weight


def finest(weight):
    """A file of one tensor, w, at the finest scales that 8 bits can have."""
    stored = integers.deflated("w", weight, integers.finest_scales(weight))
    return safetensors.torch.save({part: torch.tensor(array) for part, array in stored.items()})


def test_each_channel_comes_back_within_half_of_its_own_step():
    weight = filters()
    back = load_weights(finest(weight))["w"]
    assert back.dtype == torch.float32
    steps = np.abs(weight).reshape(16, -1).max(axis=1) / 127
    lost = np.abs(back.numpy() - weight).reshape(16, -1).max(axis=1)
    assert (lost <= 0.5001 * steps).all()
    assert (lost[steps > 0] > 0).all(), "nothing was rounded"
    np.testing.assert_allclose(back[:, 4, 1, 1], weight[:, 4, 1, 1], rtol=1e-6)  # the greatest


def test_what_is_small_stays_a_float():
    given = {
        "fc.weight": torch.full((4, 8), 0.3),
        "fc.bias": torch.linspace(-1, 1, 2000),
        "bn.num_batches_tracked": torch.tensor(70_000),
    }
    back = load_weights(packed_weights(given, 5))
    assert back.keys() == given.keys()
    assert back["bn.num_batches_tracked"] == 70_000
    for name in ("fc.weight", "fc.bias"):
        assert torch.equal(back[name], given[name].half().float())


def test_files_of_plain_bytes_still_open():
    """As earlier versions packed them, and as films of learning keep their filters."""
    steps = torch.tensor([[1, -127, 3], [5, 127, -6]], dtype=torch.int8)
    stored = {"w": steps, "w" + SCALE: torch.tensor([0.5, 2.0]), "b": torch.ones(2).half()}
    back = load_weights(safetensors.torch.save(stored))
    assert back["w"].tolist() == [[0.5, -63.5, 1.5], [10, 254, -12]]
    assert back.keys() == {"w", "b"}


@pytest.mark.parametrize("bits", [2.5, 4])
def test_as_many_bits_as_asked_for_and_the_larger_tensor_the_coarser(bits):
    """The error that normal numbers rounded to a scale have by theory: scale / sqrt(12), and the
    scale is as large that they tell so many bits, of the larger one less.
    """
    torch.manual_seed(2)
    given = {"small": 0.01 * torch.randn(64, 1000), "large": 3 * torch.randn(256, 16, 5, 50)}
    values = sum(map(torch.Tensor.numel, given.values()))
    packed = packed_weights(given, bits)
    assert 8 * len(packed) / values == pytest.approx(bits, abs=0.1)
    back = load_weights(packed)
    error = {n: float((back[n] - given[n]).std() / given[n].std()) for n in given}
    assert error["large"] / error["small"] == pytest.approx(16**0.5, rel=0.02)
    size = math.exp((64_000 * math.log(64_000) + 1_024_000 * math.log(1_024_000)) / values)
    scale = (1_024_000 / size) ** 0.5 * (2 * math.pi * math.e) ** 0.5 / 2**bits
    assert error["large"] == pytest.approx(scale / 12**0.5, rel=0.02)


def test_what_does_less_harm_is_the_coarser():
    """Four times the root of the harm, a quarter of the error; without any, no more than its own
    size.
    """
    torch.manual_seed(2)
    given = {name: torch.randn(64, 1000) for name in ("a", "b", "c")}
    back = load_weights(packed_weights(given, 4, {"a": 0.9, "b": 0.9 / 16, "c": 0.9}))
    error = {name: float((back[name] - given[name]).std()) for name in given}
    assert error["b"] / error["a"] == pytest.approx(4, rel=0.05)
    assert error["c"] == pytest.approx(error["a"], rel=0.02)
    back = load_weights(packed_weights(given, 3, {"a": 5, "b": 0, "c": 5}))
    steps = back["b"][0].unique().diff()
    assert float(steps.min()) == pytest.approx(float(given["b"][0].square().mean().sqrt()))


def test_a_disturbed_tensor_has_the_error_of_its_steps():
    torch.manual_seed(3)
    weight = torch.randn(32, 1000) * torch.logspace(-3, 2, 32)[:, None]
    error = (disturbed(weight) - weight).std(dim=1) / weight.std(dim=1)
    assert torch.allclose(error, torch.full((32,), 0.5 / 12**0.5), rtol=0.1)


def test_the_harm_of_each_tensor_is_measured(copied):
    """By the same forward pass in plain torch: the logits change as the last layer's do."""
    dataset, weights = datasets.load("digits"), load_weights(copied.path("model.safetensors"))
    split = dataset.splits["test"].take(np.arange(30, 130))
    harms = packing._harms(copied, dataset, weights, split)
    assert list(harms) == packable(weights) == ["conv2.weight", "fc.weight"]
    model = architectures.create(copied.config.architecture, **copied.config.arguments).eval()
    model.load_state_dict(weights)
    images = torch.from_numpy(split.images(copied.input_size)).float() / 255
    images = (images - copied.config.mean[0]) / copied.config.std[0]
    seen = []
    model.fc.register_forward_hook(lambda module, given, output: seen.append(given[0]))
    with torch.no_grad():
        model(images)
        change = seen[0] @ (disturbed(model.fc.weight) - model.fc.weight).T
    assert harms["fc.weight"] == pytest.approx(float(change.square().mean()), rel=1e-3)


def test_numbers_that_are_often_the_same_take_a_bit():
    """The most that a byte can hold, which the reader allows."""
    weight = np.zeros((64, 1000), np.float32)
    weight[31, 500] = 1
    packed = finest(weight)
    assert len(packed) < weight.size / 8 + 600
    assert np.array_equal(load_weights(packed)["w"], weight)


def test_what_wants_finer_steps_than_eight_bits_stays_a_float():
    """Six bits in the mean, of one that does 10,000 times the harm thirteen: it is as 16-bit floats
    have it, channels of zeros or not; the others are not.
    """
    torch.manual_seed(4)
    given = {name: 0.3 * torch.randn(64, 1000) for name in ("a", "b", "c")}
    given["b"][10:50] = 0
    back = load_weights(packed_weights(given, 6, {"a": 0.1, "b": 1000, "c": 0.1}))
    assert torch.equal(back["b"], given["b"].half().float())
    for name in ("a", "c"):
        assert len(back[name][7].unique()) < 256 < len(given[name][7].half().unique())


def parts():
    """What a packed tensor (4, 300) lies in a file as."""
    weight = np.random.default_rng(8).normal(size=(4, 300)).astype(np.float32)
    return integers.deflated("conv1.weight", weight, integers.finest_scales(weight))


def plain(shape, dtype, scales):
    return {"": np.ones(shape, dtype), SCALE: np.ones(scales, np.float32)}


def cut_off(name):
    return parts()["conv1.weight" + name][:-1]


def changed_byte():
    content = parts()["conv1.weight" + DEFLATED].copy()
    content[len(content) // 2] ^= 1
    return content


DAMAGED = {
    "too many scales": plain((4, 3), np.int8, 5),
    "floats": plain((4, 3), np.float32, 4),
    "one axis": plain(4, np.int8, 4),
    "no channel": plain((0, 3), np.int8, 0),
    "both forms": {"": np.ones((4, 300), np.int8)},
    "no scales": {SCALE: None},
    "nothing but scales": {DEFLATED: None, SHAPE: None},
    "no shape": {SHAPE: None},
    "another shape": {SHAPE: np.array([4, 299])},
    "a larger shape": {SHAPE: np.array([4, 301])},
    "negative": {SHAPE: np.array([4, -30, -10])},
    "one size": {SHAPE: np.array([1200])},
    "shape of floats": {SHAPE: np.array([4.0, 300.0])},
    "shape of shapes": {SHAPE: np.array([[4, 300]])},
    "cut off": {DEFLATED: cut_off(DEFLATED)},
    "a bit": {DEFLATED: changed_byte()},
    "more behind it": {DEFLATED: np.append(parts()["conv1.weight" + DEFLATED], np.uint8(0))},
    "no stream": {DEFLATED: np.full(900, 200, np.uint8)},
    "scales that are whole": {SCALE: np.ones(4, np.int32)},
}


def damaged(changes):
    """The bytes of a file with one packed tensor, of which something is changed."""
    stored = {} if SCALE in changes and "" in changes else parts()
    stored |= {"conv1.weight" + suffix: array for suffix, array in changes.items()}
    return safetensors.numpy.save({n: a for n, a in stored.items() if a is not None})


@pytest.mark.parametrize("changes", DAMAGED.values(), ids=DAMAGED)
def test_what_does_not_fit_is_refused_in_a_sentence(tmp_path, changes):
    with pytest.raises(UserError, match="packed tensor '?conv1.weight'? and its scales do not fit"):
        load_weights(damaged(changes))
    (tmp_path / "x").write_bytes(damaged(changes))  # and passed over by those without torch
    assert moments.floats(tmp_path / "x", "conv1.weight") is None


@pytest.mark.parametrize("sizes", [(4, 2**40), (2**62, 4), (2**31, 2**31, 4), (4,) * 60])
def test_a_file_that_claims_what_it_cannot_hold_takes_no_memory(sizes):
    data = damaged({SHAPE: np.array(sizes, np.int64)})
    tracemalloc.start()
    with pytest.raises(UserError, match="do not fit"):
        load_weights(data)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_a_small_stream_of_very_much_is_refused():
    """Zlib itself would make a gigabyte of a megabyte."""
    content = np.frombuffer(zlib.compress(bytes(40_000_000)), np.uint8)
    with pytest.raises(UserError, match="do not fit"):
        load_weights(damaged({DEFLATED: content, SHAPE: np.array([4, 10_000_000])}))


def test_many_packed_tensors_are_too_much_together(monkeypatch):
    monkeypatch.setattr(checkpoints, "MAX_BYTES", 7000)  # the file has less, its floats have more
    stored = packed_weights({"a": torch.randn(16, 64), "b": torch.randn(16, 64)}, 4)
    assert len(stored) < 7000
    with pytest.raises(UserError, match="would take more than"):
        load_weights(stored)


def test_read_without_torch_it_is_the_same(tmp_path):
    weight = torch.randn(16, 3, 5, 7)
    given = {"conv1.weight": weight, "fc.weight": torch.randn(3, 5), "n": torch.tensor(3)}
    (tmp_path / "x").write_bytes(packed_weights(given, 4))
    assert moments.shapes(tmp_path / "x") == {n: tuple(t.shape) for n, t in given.items()}
    read = moments.floats(tmp_path / "x", "conv1.weight")
    assert np.array_equal(read, load_weights(tmp_path / "x")["conv1.weight"])
    assert moments.floats(tmp_path / "x", "n") is None
    assert moments.floats(tmp_path / "x", "missing") is None
    assert moments.shapes(tmp_path / "none") == {}


@pytest.fixture
def copied(tiny_run, runs_root):
    """A copy of the small run, by its id."""
    shutil.copytree(tiny_run.folder, runs_root / "small")
    return folders.open_run("small")


def test_a_packed_run_is_what_its_file_is(copied, capsys):
    before = copied.path("model.safetensors").stat().st_size
    trained = copied.events_of("finished")[-1]["test_accuracy"]
    assert main(["pack", "small"]) == 0
    said = capsys.readouterr().out
    assert "validation images right instead of" in said
    assert "bits a weight" in said
    run = folders.open_run("small")
    assert run.path("model.safetensors").stat().st_size < 0.45 * before  # from 16 bits
    stored = load_predictions(run.path("predictions.npz"), 10)
    again = evaluate(run.folder, run.config, datasets.load("digits"))
    np.testing.assert_allclose(stored.logits, again.logits, atol=0.02)
    finished = run.events_of("finished")[-1]
    assert finished["test_accuracy"] == round(again.accuracy, 5)
    assert finished["trained_accuracy"] == trained
    assert run.status == "finished"
    assert f"{again.accuracy:.2%}" in run.packed
    assert f"{trained:.2%} as they were trained" in run.packed
    assert f"{finished['changed_answers']:.2%} of the answers are others" in run.packed
    values = sum(tensor.numel() for tensor in load_weights(run.path("model.safetensors")).values())
    size = run.path("model.safetensors").stat().st_size
    assert finished["bits"] == pytest.approx(8 * size / values, abs=0.01)
    assert main(["pack", "small"]) == 2
    assert f"packed already, in {finished['bits']:g} bits" in capsys.readouterr().err


def test_what_is_handed_in_says_how_to_read_it(copied):
    """As the note in the zip has it, without a line of ours."""
    packing.pack(copied, datasets.load("digits"))
    run, file = folders.open_run("small"), io.BytesIO()
    write_zip(file, [Gathered(run)], "", with_onnx=False)
    archive = zipfile.ZipFile(file)
    assert "zlib.decompress(NAME.deflated_int8)" in archive.read("README.txt").decode()
    stored = safetensors.numpy.load(archive.read("model.safetensors"))
    counts = np.frombuffer(zlib.decompress(stored["conv2.weight" + DEFLATED].tobytes()), np.int8)
    counts = counts.reshape(stored["conv2.weight" + SHAPE])
    given = torch.load(io.BytesIO(archive.read("state_dict.pt")), weights_only=True)["conv2.weight"]
    assert np.array_equal(counts * stored["conv2.weight" + SCALE][:, None, None, None], given)


def test_one_that_would_lose_too_much_stays_as_it_is(copied, monkeypatch):
    files = {path.name: path.read_bytes() for path in copied.folder.iterdir() if path.is_file()}
    monkeypatch.setattr(packing, "MOST_LOST", -1)
    with pytest.raises(UserError, match="it stays as it is"):
        packing.pack(copied, datasets.load("digits"))
    now = {path.name: path.read_bytes() for path in copied.folder.iterdir() if path.is_file()}
    assert now == files
    assert copied.packed == ""


def answers(labels, correct):
    """Predictions of labels, of which these are right and the others the next class."""
    labels, correct = np.array(labels), np.array(correct)
    logits = np.eye(4, dtype=np.float32)[np.where(correct, labels, (labels + 1) % 4)]
    return Predictions(labels, logits, np.array([f"i{number}" for number in range(len(labels))]))


def test_what_is_worse():
    """Of 1,000 images of two classes, 40 of the rarer one: three and four lost of the commoner,
    one and two of the rarer.
    """
    labels = [1] * 960 + [3] * 40
    before = answers(labels, [True] * 1000)
    for lost, is_worse in [(range(3), False), (range(4), True), ([970], False), ([970, 980], True)]:
        after = answers(labels, [number not in lost for number in range(1000)])
        assert packing._is_worse(before, after) == is_worse, lost


def test_the_share_of_answers_that_change_is_of_the_same_images():
    before = answers([0, 1, 2, 3, 0], [True, True, False, True, True])
    order = np.array([3, 0, 4, 1, 2])
    after = answers([0, 1, 2, 3, 0], [True, False, False, True, True])
    turned = Predictions(after.labels[order], after.logits[order], after.image_ids[order])
    assert packing.changed_share(before, turned) == pytest.approx(1 / 5)


def test_the_validation_images_choose_and_the_test_images_only_ask_for_more(copied, monkeypatch):
    """Answers made up by bits: with 3 the validation images are content, with 4.5 the test images
    are, which with 3.5 are all right: another network too.
    """
    run, said, asked = copied, [], []
    trained = load_predictions(run.path("predictions.npz"), 10)
    monkeypatch.setattr(
        packing, "packed_weights", lambda weights, bits, harms: asked.append(bits) or b""
    )

    def made_up(weights, split, *_):
        if len(split) == 143:
            content = not asked or asked[-1] >= 3
            return answers(split.labels % 4, [content or n % 20 > 0 for n in range(143)])
        logits = trained.logits[:, ::-1] if asked[-1] < 4.5 else trained.logits
        if asked[-1] == 3.5:
            logits = np.eye(10, dtype=np.float32)[trained.labels]
        return Predictions(trained.labels, logits, trained.image_ids)

    monkeypatch.setattr(packing, "load_weights", lambda data: {})
    monkeypatch.setattr(packing, "_harms", lambda *_: {})
    monkeypatch.setattr(packing, "_answers", made_up)
    monkeypatch.setattr(packing, "_keep", lambda run, packed, answers: answers.accuracy)
    assert packing.pack(run, datasets.load("digits"), said.append) == trained.accuracy
    assert asked == [2.5, 3, 3, 3.5, 4, 4.5]
    assert sum("validation" in text for text in said) == 2
    assert trained.accuracy < 1 - packing.MOST_LOST


def test_one_that_would_gain_too_much_with_all_bits_stays_too(copied, monkeypatch):
    labels, asked = load_predictions(copied.path("predictions.npz"), 10).labels, []
    monkeypatch.setattr(
        packing, "packed_weights", lambda weights, bits, harms: asked.append(bits) or b""
    )
    monkeypatch.setattr(packing, "load_weights", lambda data: {})
    monkeypatch.setattr(packing, "_fewest", lambda *_: (5, {}))
    monkeypatch.setattr(packing, "_answers", lambda *_: answers(labels % 4, [True] * len(labels)))
    with pytest.raises(UserError, match="it stays as it is"):
        packing.pack(copied, datasets.load("digits"))
    assert asked == [5, 6, 7, 8]


def test_without_its_validation_images_it_keeps_all_bits(copied, monkeypatch):
    def gone(*_):
        raise UserError("gone")

    monkeypatch.setattr(packing, "split_again", gone)
    said = []
    packing.pack(copied, datasets.load("digits"), said.append)
    assert len(said) == 1
    assert said[0].startswith("8 bits: ")


def test_one_that_has_not_finished_is_refused(copied):
    log = copied.path("events.jsonl")
    lines = [line for line in log.read_bytes().splitlines(True) if b'"finished"' not in line]
    log.write_bytes(b"".join(lines))
    with pytest.raises(UserError, match="has not finished"):
        packing.pack(folders.open_run("small"), datasets.load("digits"))
