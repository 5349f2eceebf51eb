"""Weights files as people bring them: ordinary ones must open, bad ones must say what to do and run
nothing.
"""

import contextlib
import copy
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict

import pytest
import safetensors.torch
import torch
from torch import nn

from vizlib.errors import UserError
from vizlib.run import checkpoints
from vizlib.run.weights import load_into, load_weights, save_weights

# torch warns of sparse tensors and of TorchScript, which these files are about
pytestmark = pytest.mark.filterwarnings("ignore")


def network(classes=10):
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 8, 3),
            bn1=nn.BatchNorm2d(8),
            pool=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            fc=nn.Linear(8, classes),
        )
    )


def written(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def repacked(data, change=lambda name: name, extra=None):
    """The same zip archive with other names, or one more file, compressed."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for entry in old.infolist():
            new.writestr(change(entry.filename), old.read(entry))
        if extra:
            new.writestr(*extra)
    return file.getvalue()


def torchscript():
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), file)
    return file.getvalue()


def endless_pickle():
    content = b"\x80\x02(" + b"]" * 2_000_000 + b"l."
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3")
    return file.getvalue()


def refusal(data, words):
    with pytest.raises(UserError, match=words) as caught:
        load_weights(data)
    message = str(caught.value)
    assert len(message) < 250
    assert message.isprintable()
    assert "weights_only" not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def same(tensors, model, tolerance=0.0):
    own = model.state_dict()
    return set(tensors) == set(own) and all(
        (tensors[name].double() - own[name].double()).abs().max() <= tolerance for name in own
    )


STATE = network().state_dict()
PARALLEL = {f"module.{name}": tensor for name, tensor in STATE.items()}


@pytest.mark.parametrize(
    "data",
    [
        written(STATE),
        written(STATE, _use_new_zipfile_serialization=False),
        written(
            {
                "state_dict": STATE,
                "epoch": 3,
                "optimizer": torch.optim.Adam(network().parameters()).state_dict(),
            }
        ),
        written({"model": PARALLEL, "best_accuracy": 0.8}),
        written({"net": STATE, "ema": STATE}),
        written({"checkpoint": {"model_state_dict": STATE}}),
        written(PARALLEL),
        written({f"_orig_mod.module.{name}": tensor for name, tensor in STATE.items()}),
        written({f"module._orig_mod.{name}": tensor for name, tensor in STATE.items()}),
        written(
            {
                f"model.{name}": nn.Parameter(tensor, tensor.is_floating_point())
                for name, tensor in STATE.items()
            }
        ),
        written({**STATE, "epoch": 3}),
        repacked(written(STATE)),
        safetensors.torch.save(STATE),
    ],
    ids=[
        "plain",
        "legacy",
        "optimiser",
        "parallel",
        "ema",
        "unknown-wrapper",
        "prefix",
        "compiled",
        "parallel-compiled",
        "model-parameters",
        "epoch",
        "compressed",
        "safetensors",
    ],
)
def test_ordinary_files_open_exactly(data):
    tensors = load_weights(data)
    assert same(tensors, network())
    assert tensors["conv1.weight"].dtype == torch.float32
    assert tensors["bn1.num_batches_tracked"].dtype == torch.int64
    assert not any(tensor.requires_grad for tensor in tensors.values())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_float32(dtype):
    tensors = load_weights(
        written(
            {
                name: tensor.to(dtype) if tensor.is_floating_point() else tensor
                for name, tensor in STATE.items()
            }
        )
    )
    assert tensors["fc.weight"].dtype == torch.float32
    assert same(tensors, network(), 0.01)


def test_transposed_and_tied_tensors_open():
    matrix = torch.arange(6.0).reshape(2, 3)
    tensors = load_weights(written({"a": matrix.T, "b": matrix}))
    assert tensors["a"].is_contiguous()
    assert torch.equal(tensors["a"], matrix.T)
    assert torch.equal(tensors["b"], matrix)


class Payload:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch '{self.marker}'",)


@pytest.mark.parametrize("how", ["zip", "legacy", "beside", "pickle", "legacy in two"])
def test_a_pickle_that_wants_to_run_code_does_not(tmp_path, how):
    marker = tmp_path / "ran"
    bad = Payload(marker)
    pickle.loads(pickle.dumps(bad))
    assert marker.exists()  # the payload works where somebody is careless
    marker.unlink()
    data = {
        "zip": lambda: written(bad),
        "legacy": lambda: written(bad, _use_new_zipfile_serialization=False),
        "beside": lambda: written({"state_dict": STATE, "args": bad}),
        "pickle": lambda: pickle.dumps(bad),
        "legacy in two": lambda: (
            written({}, _use_new_zipfile_serialization=False)[:15] + pickle.dumps(bad, 2)
        ),
    }[how]()
    refusal(data, "could run code|damaged")
    path = tmp_path / "weights.pt"
    path.write_bytes(data)
    refusal(path, "could run code|damaged")
    assert not marker.exists()


def test_whole_model_is_refused_with_advice():
    refusal(written(network()), r"torch\.save\(model\.state_dict\(\), 'weights\.pt'\)")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 44800000\n",
            "git lfs pull",
        ),
        (b"\n  <!DOCTYPE html><html><title>Sign in</title></html>", "web page"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "not a PyTorch or safetensors file"),
        (b"hello", "not a PyTorch or safetensors file"),
        (safetensors.torch.save(STATE)[:-100], "damaged or incomplete"),
        (struct.pack("<Q", 2**60) + b"{}", "damaged or incomplete"),
        (written(STATE)[:-100], "damaged or incomplete"),
        (written(STATE, _use_new_zipfile_serialization=False)[:-100], "damaged or incomplete"),
        (torchscript(), "TorchScript"),
        (repacked(written(STATE), lambda name: "../" + name), "outside itself"),
        (
            repacked(
                written(STATE), lambda name: name.replace("archive/data/", "archive\\..\\data/")
            ),
            "outside itself",
        ),
        (
            repacked(written(STATE), extra=("archive/data/99", bytes(40_000_000))),
            "would grow from 0.0 to 40 MB",
        ),
        (
            repacked(written(STATE), lambda name: name.replace("data.pkl", "notes.txt")),
            "no PyTorch weights",
        ),
        (endless_pickle(), "1,000,000 Python values"),
        (written({"w": torch.zeros(1).expand(10**10)}), "claim more values"),
        (written({"w": torch.zeros(1).expand(100)}), "expanded"),
        (written({"w": torch.zeros(5).to_sparse()}), "sparse"),
        (written({"w": torch.zeros(5, dtype=torch.complex64)}), "complex"),
        (written({"w": torch.zeros(5, device="meta")}), "no values"),
        (written({"w": torch.tensor([1.0, float("nan")])}), "NaN"),
        (written({"w": torch.tensor([1e300], dtype=torch.float64)}), "infinite"),
        (safetensors.torch.save({"w": torch.tensor([float("inf")])}), "infinite"),
        (written([torch.zeros(2)]), "no dictionary of weights"),
        (written(torch.zeros(2)), "no dictionary of weights"),
        (written({}), "no dictionary of weights"),
        (written({"loss": 0.1, "history": [1, 2]}), "no dictionary of weights"),
        (written({0: torch.zeros(2)}), "no names"),
        (written({"\x1b[31mred\n" * 40: torch.tensor([float("nan")])}), "NaN"),
    ],
    ids=[
        "empty",
        "lfs",
        "html",
        "hdf5",
        "text",
        "cut-safetensors",
        "header",
        "cut-zip",
        "cut-legacy",
        "torchscript",
        "dots",
        "backslash-dots",
        "bomb",
        "no-pickle",
        "endless-pickle",
        "huge-expanded",
        "expanded",
        "sparse",
        "complex",
        "meta",
        "nan",
        "overflow",
        "inf-safetensors",
        "list",
        "tensor",
        "nothing",
        "no-tensors",
        "numbers-as-names",
        "escapes",
    ],
)
def test_bad_files_are_refused_in_a_sentence(data, words):
    refusal(data, words)


def test_many_views_of_one_storage_are_refused(monkeypatch):
    monkeypatch.setattr(checkpoints, "MAX_BYTES", 1_000_000)
    shared = torch.zeros(50_000)
    refusal(written({str(number): shared.view(-1) for number in range(20)}), "claim more values")


def test_size_limit_is_looked_at_before_reading(tmp_path, monkeypatch):
    path = tmp_path / "large.pt"
    with path.open("wb") as file:
        file.truncate(checkpoints.MAX_BYTES + 1)  # a hole: takes no room on the disk
    monkeypatch.setattr(checkpoints, "open_regular", lambda path: pytest.fail("was read"))
    refusal(path, "up to 1 GB")


def test_missing_file_and_folder_are_refused(tmp_path):
    refusal(tmp_path / "nothing.pt", "'nothing.pt' cannot be read: No such file")
    refusal(tmp_path, "cannot be read")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_no_damaged_byte_gets_past_as_another_error(kind):
    data = {
        "zip": written(STATE),
        "legacy": written(STATE, _use_new_zipfile_serialization=False),
        "safetensors": safetensors.torch.save(STATE),
    }[kind]
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        damaged = bytearray(data)
        for place in torch.randint(min(len(data), 1200), (3,), generator=generator):
            damaged[place] = int(torch.randint(256, (), generator=generator))
        with contextlib.suppress(UserError):
            load_weights(bytes(damaged))


def test_saved_is_small_and_comes_back(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(STATE, path)
    inside = safetensors.torch.load_file(path)
    assert inside["fc.weight"].dtype == torch.float16
    assert inside["bn1.num_batches_tracked"].dtype == torch.int64
    assert same(load_weights(path), network(), 1e-3)
    assert os.listdir(tmp_path) == ["model.safetensors"]
    save_weights(STATE, path, dtype=None)
    assert same(load_weights(str(path)), network())


def test_values_that_float16_cannot_hold_stay_float32(tmp_path):
    save_weights(
        {
            "running_var": torch.tensor([1e6]),
            "tied": STATE["fc.weight"].T,
            "again": STATE["fc.weight"],
        },
        tmp_path / "w",
    )
    tensors = load_weights(tmp_path / "w")
    assert tensors["running_var"].item() == 1e6
    assert tensors["tied"].shape == (8, 10)


def test_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    save_weights(STATE, path)
    before = path.read_bytes()

    def full_disk(source, target):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_weights(network(5).state_dict(), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_load_into_fills_the_network():
    model = network()
    nn.init.zeros_(model.fc.weight)
    assert load_into(model, load_weights(written(PARALLEL))) is model
    assert same(STATE, model)


@pytest.mark.parametrize("prefix", ["model.", "module.", "model.module."])
def test_a_network_of_which_all_names_begin_so_comes_back(tmp_path, prefix):
    model = network()
    for part in reversed(prefix[:-1].split(".")):
        model = nn.Sequential(OrderedDict({part: model}))
    save_weights(model.state_dict(), tmp_path / "model.safetensors", dtype=None)
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        nn.init.zeros_(parameter)
    load_into(other, load_weights(tmp_path / "model.safetensors"))
    assert same(other.state_dict(), model)


def test_old_files_without_step_counts_fit():
    load_into(
        network(), {name: tensor for name, tensor in STATE.items() if "num_batches" not in name}
    )


def test_what_does_not_fit_is_named():
    with pytest.raises(UserError, match="fc.weight is 100x8 in the file and 10x8 in the network"):
        load_into(network(), network(100).state_dict())
    other = {f"layer{number}.weight": torch.zeros(1) for number in range(5)}
    with pytest.raises(UserError) as caught:
        load_into(network(), other)
    message = str(caught.value)
    assert "Missing: conv1.weight, conv1.bias, bn1.weight and 5 more." in message
    assert "Unexpected: layer0.weight, layer1.weight, layer2.weight and 2 more." in message


def test_a_file_that_does_not_fit_changes_nothing():
    model = network()
    with pytest.raises(UserError):
        load_into(
            model,
            {**{name: tensor + 1 for name, tensor in STATE.items()}, "fc.weight": torch.zeros(1)},
        )
    assert same(STATE, model)
