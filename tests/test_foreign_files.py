"""A corpus of files as people drop them in: good ones give exactly the tensors that were saved, bad
ones one sentence each, and nothing in them is ever run.
"""

import argparse
import collections
import io
import json
import os
import pathlib
import pickle
import pickletools
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from vizlib.errors import UserError
from vizlib.files import check_regular
from vizlib.run import checkpoints, pickles
from vizlib.run.checkpoints import DTYPES, read_checkpoint

# torch warns of sparse tensors and of TorchScript, which these files are about
pytestmark = pytest.mark.filterwarnings("ignore")


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        collections.OrderedDict(
            conv1=nn.Conv2d(3, 4, 3), bn1=nn.BatchNorm2d(4), flat=nn.Flatten(), fc=nn.Linear(16, 3)
        )
    )


MODEL = network()
STATE = MODEL.state_dict()
PLAIN = dict(STATE)
TWICE = {name: tensor * 2 for name, tensor in STATE.items()}


def under(prefix, state=PLAIN):
    return {prefix + name: tensor for name, tensor in state.items()}


def as_type(dtype):
    return {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in STATE.items()
    }


def trained():
    """An optimiser with a state, and the schedules that change its rate."""
    model = network()
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 3, 4, 4)).sum().backward()
    optimiser.step()
    return optimiser, torch.optim.lr_scheduler.MultiStepLR(optimiser, [1, 2])


OPTIMISER, SCHEDULE = trained()


# How a content becomes a file


def in_zip(content, **options):
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def in_legacy(content):
    return in_zip(content, _use_new_zipfile_serialization=False)


def repacked(data, change=lambda name: name, extra=(), method=zipfile.ZIP_STORED):
    """The same archive, with other names, further entries or compressed."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", method) as new:
        for entry in old.infolist():
            new.writestr(change(entry.filename), old.read(entry))
        for name, content in extra:
            new.writestr(name, content)
    return file.getvalue()


def compressed(content):
    return repacked(in_zip(content), method=zipfile.ZIP_DEFLATED)


CONTAINERS = {"zip": in_zip, "legacy": in_legacy}


# Good files

NAMESPACE = argparse.Namespace(lr=0.25, arch="resnet18", data=pathlib.PurePosixPath("/data/x"))
SETTINGS = {"lr": 0.25, "arch": "resnet18", "data": "/data/x"}
SHARED = torch.arange(24.0).reshape(4, 6)


def with_attribute():
    tensor = nn.Parameter(torch.ones(2, 2))
    tensor.note = "mine"
    return tensor


# what is saved, which tensors it must give, and what else must be known of it
GOOD = {
    "plain": (PLAIN, STATE, {"dtype": "float32", "wrapper": "", "prefix": ""}),
    "ordered": (STATE, STATE, {}),
    "parameters": (dict(MODEL.named_parameters()), dict(MODEL.named_parameters()), {}),
    "half": (as_type(torch.float16), as_type(torch.float16), {"dtype": "float16"}),
    "bfloat16": (as_type(torch.bfloat16), as_type(torch.bfloat16), {"dtype": "bfloat16"}),
    "double": (as_type(torch.float64), STATE, {"dtype": "float64"}),
    "module.": (under("module."), STATE, {"prefix": "module."}),
    "_orig_mod.": (under("_orig_mod."), STATE, {"prefix": "_orig_mod."}),
    "model.": (under("model."), STATE, {"prefix": "model."}),
    "net.": (under("net."), STATE, {"prefix": "net."}),
    "network.": (under("network."), STATE, {"prefix": "network."}),
    "backbone.": (under("backbone."), STATE, {"prefix": "backbone."}),
    "encoder.": (under("encoder."), STATE, {"prefix": "encoder."}),
    "classifier.": (under("classifier."), STATE, {"prefix": "classifier."}),
    "nested prefixes": (
        under("model._orig_mod.module."), STATE, {"prefix": "model._orig_mod.module."},
    ),
    "twice the same": (under("module.module."), STATE, {"prefix": "module.module."}),
    "a head beside its backbone": (
        under("backbone.", {"conv.weight": SHARED}) | {"fc.weight": SHARED},
        {"backbone.conv.weight": SHARED, "fc.weight": SHARED}, {"prefix": "", "left_out": ()},
    ),
    "classifier beside features": (
        under("classifier.", {"1.weight": SHARED}) | {"mean": torch.ones(3)},
        {"classifier.1.weight": SHARED, "mean": torch.ones(3)}, {"prefix": ""},
    ),
    "averaged": (
        under("module.") | {"n_averaged": torch.tensor(3)}, STATE, {"left_out": ("n_averaged",)},
    ),
    "lightning": (
        {
            "state_dict": under("model.") | {
                "criterion.weight": torch.ones(3), "val_acc.correct": torch.ones(2),
            },
            "pytorch-lightning_version": "2.1.0", "epoch": 7, "global_step": 700,
            "hyper_parameters": {"lr": 0.25, "names": ["a", "b"]}, "loops": {"fit": {"x": 1}},
            "optimizer_states": [OPTIMISER.state_dict()], "lr_schedulers": [SCHEDULE.state_dict()],
            "callbacks": {"best": {"score": torch.tensor(0.5)}},
        },
        STATE,
        {
            "wrapper": "state_dict", "prefix": "model.",
            "left_out": ("criterion.weight", "val_acc.correct"),
            "besides": {
                "pytorch-lightning_version": "2.1.0", "epoch": 7, "global_step": 700,
                "hyper_parameters": {"lr": 0.25, "names": ["a", "b"]},
            },
        },
    ),
    "beside an optimiser": (
        {"epoch": 3, "net": STATE, "optimizer": OPTIMISER.state_dict(), "acc": 91.5},
        STATE, {"wrapper": "net", "has_several": (), "besides": {"epoch": 3, "acc": 91.5}},
    ),
    "as the objects they are": (
        {"net": STATE, "optimizer": OPTIMISER, "scheduler": SCHEDULE}, STATE, {"wrapper": "net"},
    ),
    "state by the side": ({"net": STATE, "state": OPTIMISER.state_dict()["state"]}, STATE, {}),
    "nested": (
        {"net": {"state_dict": STATE, "arch": "x"}, "epoch": 1}, STATE,
        {"wrapper": "net / state_dict", "besides": {"epoch": 1, "arch": "x"}},
    ),
    "deeply nested": ({"a": {"b": {"c": {"d": STATE}}}}, STATE, {"wrapper": "a / b / c / d"}),
    "an unknown name": ({"my_net": STATE, "by": "me"}, STATE, {"wrapper": "my_net"}),
    "two": (
        {"ema": TWICE, "state_dict": STATE}, STATE,
        {"wrapper": "state_dict", "has_several": ("ema",)},
    ),
    "a little beside": (
        {"stats": {"mean": torch.ones(3)}, "mine": STATE}, STATE, {"has_several": ()},
    ),
    "with an epoch": ({**STATE, "epoch": 3}, STATE, {"besides": {"epoch": 3}}),
    "numpy's numbers": (
        {"net": STATE, "acc": np.float64(91.5), "n": np.int64(3), "ok": np.bool_(True)}, STATE,
        {"besides": {"acc": 91.5, "n": 3, "ok": True}},
    ),
    "numpy's arrays": (
        {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.arange(6).reshape(3, 2).T},
        {"a": torch.arange(6.0).reshape(2, 3), "b": torch.arange(6).reshape(3, 2).T}, {},
    ),
    "the other byte order": (
        {"a": np.arange(6, dtype=">f4")}, {"a": torch.arange(6.0)}, {},
    ),
    "a history": ({"net": STATE, "losses": [np.float32(0.5), 0.25]}, STATE,
                  {"besides": {"losses": [0.5, 0.25]}}),
    "a namespace": ({"net": STATE, "args": NAMESPACE}, STATE, {"besides": {"args": SETTINGS}}),
    "a default dictionary": (
        collections.defaultdict(list, net=STATE, seen=[1, 2]), STATE, {"besides": {"seen": [1, 2]}},
    ),
    "class names": (
        {
            "net": STATE, "classes": ["cat", "dog"], "class_to_idx": {"cat": 0, "dog": 1},
            "idx_to_class": {0: "cat", 1: "dog"}, "best_prec1": torch.tensor(93.5),
            "empty": [], "object": {"x": [[[[1]]]]}, "long": "x" * 10_000,
        },
        STATE,
        {
            "besides": {
                "classes": ["cat", "dog"], "class_to_idx": {"cat": 0, "dog": 1},
                "idx_to_class": {0: "cat", 1: "dog"}, "best_prec1": 93.5,
            }
        },
    ),
    "its random state": (
        {"mine": STATE, "rng_state": torch.get_rng_state(), "torch_rng": torch.get_rng_state()},
        STATE, {"wrapper": "mine", "has_several": ()},
    ),
    "what it answered": (
        {"mine": STATE, "answers": torch.ones(1000)}, STATE, {"wrapper": "mine"},
    ),
    "sorts of values": (
        {
            "net": STATE, "device": torch.device("cpu"), "dtype": torch.float16, "bytes": b"\xff",
            "size": torch.Size([2, 3]), "set": {1}, "complex": 1j, "none": None,
            "counter": collections.Counter("aab"), "huge": 10**30,
        },
        STATE, {"besides": {"size": [2, 3], "set": [1], "counter": {"a": 2, "b": 1}}},
    ),
    "tied": ({"a": SHARED, "b": SHARED}, {"a": SHARED, "b": SHARED}, {}),
    "a part of a larger one": ({"a": SHARED[1:3, ::2]}, {"a": SHARED[1:3, ::2]}, {}),
    "transposed": ({"a": SHARED.T}, {"a": SHARED.T}, {}),
    "channels last": (
        {"a": torch.arange(36.0).reshape(1, 4, 3, 3).to(memory_format=torch.channels_last)},
        {"a": torch.arange(36.0).reshape(1, 4, 3, 3)}, {},
    ),
    "conjugated and negative": ({"a": torch.arange(3.0).neg()}, {"a": -torch.arange(3.0)}, {}),
    "needs gradients": ({"a": torch.ones(2, requires_grad=True)}, {"a": torch.ones(2)}, {}),
    "with an attribute": ({"a": with_attribute()}, {"a": torch.ones(2, 2)}, {}),
    "single numbers and nothing": (
        {"a": torch.tensor(2.5), "b": torch.empty(0, 4), "c": torch.ones(1)},
        {"a": torch.tensor(2.5), "b": torch.empty(0, 4), "c": torch.ones(1)}, {},
    ),
    "integers": (
        {
            kind: torch.tensor([[1, 0]], dtype=getattr(torch, kind))
            for kind in ("int64", "int32", "int16", "int8", "uint8", "bool")
        },
        {
            kind: torch.tensor([[1, 0]], dtype=getattr(torch, kind))
            for kind in ("int64", "int32", "int16", "int8", "uint8", "bool")
        },
        {"dtype": ""},
    ),
    "names of all letters": ({"größe.重み <b>": SHARED}, {"größe.重み <b>": SHARED}, {}),
    "another order": (
        dict(reversed(PLAIN.items())), dict(reversed(PLAIN.items())), {},
    ),
    "not finite": (
        {"good": SHARED, "bad": torch.tensor([1.0, float("nan"), 2.0])},
        {"good": SHARED, "bad": torch.tensor([1.0, float("nan"), 2.0])}, {"non_finite": ("bad",)},
    ),
}  # fmt: skip
WRAPPERS = (
    "state_dict", "model", "net", "model_state_dict", "weights", "ema", "model_ema",
    "state_dict_ema", "network", "params", "module", "classifier",
)  # fmt: skip


def assert_same(checkpoint, expected):
    assert list(checkpoint.tensors) == list(expected)
    for name, tensor in expected.items():
        read = checkpoint.tensors[name]
        wanted = tensor.detach().float() if tensor.is_floating_point() else tensor
        assert read.dtype == wanted.dtype
        assert read.is_contiguous()
        assert not read.requires_grad
        assert torch.equal(read.nan_to_num(-1), wanted.nan_to_num(-1))
        assert read.shape == wanted.shape


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("name", GOOD)
def test_good_files_give_what_was_saved(name, container):
    content, expected, facts = GOOD[name]
    checkpoint = read_checkpoint(CONTAINERS[container](content))
    assert_same(checkpoint, expected)
    assert checkpoint.kind == {"zip": "PyTorch zip", "legacy": "PyTorch before 1.6"}[container]
    assert {fact: getattr(checkpoint, fact) for fact in facts} == facts
    assert checkpoint.non_finite == facts.get("non_finite", ())


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_usual_wrappers(wrapper):
    checkpoint = read_checkpoint(in_zip({"note": "x", wrapper: under("module.")}))
    assert_same(checkpoint, STATE)
    assert (checkpoint.wrapper, checkpoint.prefix) == (wrapper, "module.")
    assert checkpoint.besides == {"note": "x"}


@pytest.mark.parametrize(
    "data",
    [
        compressed(STATE),
        in_zip(STATE, pickle_protocol=3),
        repacked(in_zip(STATE), lambda name: name.replace("archive/", "my weights.v2/")),
        repacked(in_zip(STATE), extra=[("archive/notes.txt", b"x")]),
        safetensors.torch.save(STATE),
        safetensors.torch.save(STATE, {"format": "pt", "epoch": "7"}),
        safetensors.torch.save(under("model.")),
    ],
    ids=["compressed", "protocol 3", "name", "more", "safetensors", "metadata", "prefix"],
)
def test_other_good_containers(data):
    checkpoint = read_checkpoint(data)
    assert_same(checkpoint, {name: STATE[name] for name in checkpoint.tensors})
    assert len(checkpoint.tensors) == len(STATE)
    assert checkpoint.besides in ({}, {"format": "pt", "epoch": "7"})


def test_safetensors_of_every_kind_of_number():
    tensors = {
        str(number): torch.tensor([[1, 0], [0, 1]], dtype=dtype)
        for number, dtype in enumerate(DTYPES)
    } | {"one": torch.tensor(2.5), "none": torch.empty(0, 3)}
    read = read_checkpoint(safetensors.torch.save(tensors)).tensors
    for name, tensor in tensors.items():
        floating = tensor.is_floating_point()
        assert read[name].dtype == (torch.float32 if floating else tensor.dtype)
        assert torch.equal(read[name], tensor.float() if floating else tensor)
        assert read[name].shape == tensor.shape


def test_a_file_is_read_from_wherever_it_is(tmp_path):
    data = in_zip(STATE)
    path = tmp_path / "weights.pt"
    path.write_bytes(data)
    link = tmp_path / "link.pt"
    link.symlink_to(path)
    for source in (data, bytearray(data), memoryview(data), path, str(path), link):
        assert_same(read_checkpoint(source), STATE)


def test_another_part_can_be_asked_for():
    data = in_zip({"net": {"state_dict": STATE}, "ema": TWICE})
    assert read_checkpoint(data).has_several == ("ema",)
    other = read_checkpoint(data, part="ema")
    assert_same(other, TWICE)
    assert (other.wrapper, other.has_several) == ("ema", ("net / state_dict",))
    assert_same(read_checkpoint(data, part="net / state_dict"), STATE)
    with pytest.raises(UserError, match="no part of this file named 'x'. Possible: net / st.*ema"):
        read_checkpoint(data, part="x")


LARGE = {str(number): torch.zeros(50_000) for number in range(20)}


@pytest.mark.parametrize(
    "data",
    [in_zip(LARGE), in_legacy(LARGE), safetensors.torch.save(LARGE)],
    ids=["zip", "legacy", "safetensors"],
)
def test_progress_is_said_and_reading_can_be_ended(data):
    shares = []
    read_checkpoint(data, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > 10
    assert len([share for share in shares if 0.2 < share < 0.8]) > 4

    class Ended(Exception):
        pass

    def end(share):
        raise Ended

    with pytest.raises(Ended):
        read_checkpoint(data, end)


# Bad files: pickles by hand


def text(content):
    content = content.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(content)) + content


def number(value):
    content = pickle.encode_long(value)
    return b"\x8a" + bytes([len(content)]) + content


def name(full):
    module, _, last = full.rpartition(".")
    return f"c{module}\n{last}\n".encode()


def tuple_of(*parts):
    return b"(" + b"".join(parts) + b"t"


def call(full, *arguments):
    return name(full) + tuple_of(*arguments) + b"R"


def dictionary(**values):
    return b"}(" + b"".join(text(key) + value for key, value in values.items()) + b"u"


def storage(kind="torch.FloatStorage", key="0", count=6, location="cpu"):
    return tuple_of(text("storage"), name(kind), text(key), text(location), number(count)) + b"Q"


def tensor(size=(2, 3), stride=(3, 1), offset=0, stored=None):
    return call(
        "torch._utils._rebuild_tensor_v2",
        stored or storage(),
        number(offset),
        tuple_of(*map(number, size)),
        tuple_of(*map(number, stride)),
        b"\x89",
        call("collections.OrderedDict"),
    )


def program(content, protocol=2):
    return b"\x80" + bytes([protocol]) + content + b"."


def zip_of(pickled, values=bytes(24)):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", values)
        archive.writestr("archive/version", "3")
    return file.getvalue()


def legacy_of(pickled, values=bytes(24), keys=("0",), count=6):
    heads = in_legacy({})
    file = io.BytesIO(heads)
    for _ in range(3):  # the magic number, the version, the machine
        collections.deque(pickletools.genops(file), maxlen=0)
    listed = program(b"](" + b"".join(map(text, keys)) + b"e")
    pickled = pickled.replace(b"tQ", b"NtQ")  # nothing is said of a part that is seen
    return heads[: file.tell()] + pickled + listed + struct.pack("<q", count) + values


def test_pickles_by_hand_are_what_torch_writes():
    """The oracle of the bad ones: made the same way, a good one opens."""
    for data in (
        zip_of(program(dictionary(w=tensor()))),
        legacy_of(program(dictionary(w=tensor()))),
    ):
        assert torch.equal(torch.load(io.BytesIO(data), weights_only=True)["w"], torch.zeros(2, 3))
        assert_same(read_checkpoint(data), {"w": torch.zeros(2, 3)})


# Bad files: what wants to run code

MARKER = pathlib.Path("/tmp") / f"convscope-canary-{os.getpid()}"
COMMAND = f"touch '{MARKER}'"
# what is called, with what, and the word for it in the sentence
PAYLOADS = {
    "os.system": ("posix.system", text(COMMAND)),
    "nt.system": ("nt.system", text(COMMAND)),
    "os.popen": ("os.popen", text(COMMAND)),
    "os.mkdir": ("os.mkdir", text(str(MARKER))),
    "subprocess.check_output": (
        "subprocess.check_output",
        b"](" + text("touch") + text(str(MARKER)) + b"e",
    ),
    "subprocess.Popen": ("subprocess.Popen", b"](" + text("touch") + text(str(MARKER)) + b"e"),
    "builtins.eval": ("__builtin__.eval", text(f"open({str(MARKER)!r}, 'w')")),
    "builtins.exec": ("builtins.exec", text(f"open({str(MARKER)!r}, 'w')")),
    "builtins.open": ("builtins.open", text(str(MARKER)), text("w")),
    "io.open": ("io.open", text(str(MARKER)), text("w")),
    "builtins.getattr": ("builtins.getattr", name("os.path"), text("join")),
    "builtins.__import__": ("builtins.__import__", text("antigravity")),
    "builtins.print": ("builtins.print", text("x")),
    "importlib.import_module": ("importlib.import_module", text("antigravity")),
    "runpy.run_path": ("runpy.run_path", text("/tmp/x.py")),
    "pickle.loads": ("pickle.loads", text("x")),
    "pathlib.Path.touch": ("pathlib.Path.touch", call("pathlib.PosixPath", text(str(MARKER)))),
    "shutil.rmtree": ("shutil.rmtree", text(str(MARKER))),
    "webbrowser.open": ("webbrowser.open", text("http://127.0.0.1:9/")),
    "ctypes.CDLL": ("ctypes.CDLL", text("libc.so.6")),
    "code.interact": ("code.interact",),
    "functools.partial": ("functools.partial", name("posix.system"), text(COMMAND)),
    "operator.methodcaller": ("operator.methodcaller", text("x")),
    "torch.load": ("torch.load", text(str(MARKER))),
    "torch.save": ("torch.save", text("x"), text(str(MARKER))),
    "torch.hub.load": ("torch.hub.load", text("x/y"), text("z")),
    "torch.jit.load": ("torch.jit.load", text(str(MARKER))),
    "torch.storage._load_from_bytes": ("torch.storage._load_from_bytes", text("x")),
    "torch.Tensor": ("torch.Tensor", number(10**11)),
    "torch.FloatStorage": ("torch.FloatStorage", number(10**11)),
    "torch.empty": ("torch.empty", number(10**11)),
    "numpy.load": ("numpy.load", text("/etc/passwd")),
    "numpy.core.multiarray.fromstring": ("numpy.core.multiarray.fromstring", text("x")),
    "builtins.bytearray": ("builtins.bytearray", number(10**11)),
    "_codecs.encode": ("_codecs.encode", text("x"), text("punycode")),
    "_codecs.decode": ("_codecs.decode", text("x"), text("zlib")),
    "copyreg._reconstructor": (
        "copy_reg._reconstructor",
        name("__main__.Net"),
        name("__builtin__.object"),
        b"N",
    ),
    "__main__.Settings": ("__main__.Settings",),
    "sklearn.svm.SVC": ("sklearn.svm.SVC",),
}
# how it comes: alone, beside weights, before or behind them, as an object, called later, cut off
AROUND = {
    "alone": lambda bad: program(bad),
    "beside": lambda bad: program(dictionary(state_dict=dictionary(w=tensor()), args=bad)),
    "instead of a tensor": lambda bad: program(dictionary(w=tensor(), x=bad)),
    "thrown away": lambda bad: program(bad + b"0" + dictionary(w=tensor())),
    "as a key": lambda bad: program(b"}" + bad + b"Ns"),
    "made, not called": lambda bad: program(bad[:-1] + b"\x81"),
}
WRAPPED = {
    "zip": zip_of,
    "legacy": legacy_of,
    "first in legacy": lambda pickled: in_legacy({})[:15] + pickled,
    "pickle": lambda pickled: pickled,
    "protocol 0": lambda pickled: pickled[2:],
}
CODE = {
    f"{wanted}, {around}, {container}": (wrap(AROUND[around](call(*arguments))), wanted)
    for wanted, arguments in PAYLOADS.items()
    for around, container, wrap in (
        *(("beside", container, wrap) for container, wrap in WRAPPED.items()),
        *(
            (around, "zip", zip_of)
            for around in AROUND
            if wanted in ("os.system", "builtins.eval", "builtins.bytearray")
        ),
    )
}


def refusal(data, word):
    """The sentence that refuses a file. It is one, short, plain, and no cause is shown with it."""
    with pytest.raises(UserError) as caught:
        read_checkpoint(data)
    sentence = str(caught.value)
    assert word.lower() in sentence.lower(), sentence
    assert len(sentence) < 300
    assert sentence.isprintable()
    assert "weights_only" not in sentence
    assert sentence.endswith((".", ")."))
    shown_cause = not caught.value.__suppress_context__ and caught.value.__context__
    assert not shown_cause or isinstance(shown_cause, OSError)
    assert not MARKER.exists()
    return sentence


def test_the_payload_works_where_somebody_is_careless():
    try:
        pickle.loads(program(call(*PAYLOADS["os.system"])))
        assert MARKER.exists()
    finally:
        MARKER.unlink(missing_ok=True)


@pytest.mark.parametrize("case", CODE)
def test_what_wants_to_run_code_is_refused_by_its_name(case):
    data, wanted = CODE[case]
    module = wanted.rpartition(".")[2] if wanted.startswith("nt.") else wanted
    refusal(data, module)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("model", "word"),
    [
        (MODEL, "whole model (class Sequential of module torch.nn.modules.container)"),
        (nn.DataParallel(MODEL), "whole model (class DataParallel"),
        ({"net": MODEL, "epoch": 3}, "whole model (class Sequential"),
        ([MODEL.fc], "whole model (class Linear of module torch.nn.modules.linear)"),
        ({"state_dict": STATE, "loss": nn.CrossEntropyLoss()}, "whole model (class CrossEntropyL"),
    ],
)
def test_a_whole_model_is_named_and_how_to_save_its_weights(container, model, word):
    sentence = refusal(CONTAINERS[container](model), word)
    assert "torch.save(model.state_dict(), 'weights.pt')" in sentence


# Bad files: what is something else


def saved_by(save):
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def zip_with(*names, content=b"x"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for entry in names:
            archive.writestr(entry, content)
    return file.getvalue()


def tar_with(entry):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(entry))
    return file.getvalue()


def event_file():
    content = b"\x09" + bytes(8) + b"\x1a\x0dbrain.Event:2"
    return struct.pack("<Q", len(content)) + bytes(4) + content + bytes(4)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 44800000\n"
DRIVE = (
    b"<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head>"
    b"<body>Google Drive can't scan this file for viruses.</body></html>"
)
ELSE = {
    "TorchScript": (
        saved_by(lambda file: torch.jit.save(torch.jit.trace(MODEL.fc, torch.ones(1, 16)), file)),
        "TorchScript program. Save its weights: torch.save(torch.jit.load(",
    ),
    "TorchScript in shape": (
        zip_with("m/data.pkl", "m/code/__torch__.py", "m/constants.pkl"), "TorchScript",
    ),
    "torch.export": (
        zip_with("archive/models/model.json", "archive/sample.pt", content=zip_with("a/data.pkl")),
        "torch.export. Save its weights: torch.save(torch.export.load('model.pt2').state_dict",
    ),
    "torch.export of 2.1": (zip_with("serialized_exported_program.json"), "torch.export"),
    "torch.package": (zip_with("m/.data/extern_modules", "m/net.py"), "torch.package"),
    "ONNX of PyTorch": (b"\x08\x08\x12\x07pytorch\x1a\x052.4.0:\xb8\x01\n\x05", "onnx.load("),
    "ONNX": (b"\x08\x0e:3\n\x0c\n\x01x\x12\x01y\"\x04Relu\x12\x01g", "ONNX"),
    "Keras .h5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "Keras"),
    "Keras .keras": (zip_with("metadata.json", "config.json", "model.weights.h5"), "Keras"),
    "SavedModel": (b"\x08\x01\x12\xfa\x93\x01\n\xb2\x05" + bytes(50), "TensorFlow"),
    "frozen graph": (b"\n;\n\x05input\x12\x0bPlaceholder*\x0b\n\x05dtype", "TensorFlow"),
    "SavedModel, zipped": (zip_with("m/saved_model.pb", "m/variables/variables.index"), "TensorF"),
    "TFLite": (b"\x1c\x00\x00\x00TFL3" + bytes(50), "TensorFlow Lite"),
    "Core ML": (b"\x08\x04\x12\xb4\x01\n\x10\n\x05image\x1a\x07" + bytes(30), "Core ML"),
    "Core ML package": (zip_with("a.mlpackage/Data/com.apple.CoreML/model.mlmodel"), "Core ML"),
    "ExecuTorch": (b"\x30\x00\x00\x00ET12" + bytes(50), "ExecuTorch"),
    "NumPy .npy": (saved_by(lambda file: np.save(file, np.ones(3))), "NumPy array"),
    "NumPy .npz": (saved_by(lambda file: np.savez(file, a=np.ones(3))), "numpy.load("),
    "GGUF": (b"GGUF\x03\x00\x00\x00" + bytes(50), "GGUF"),
    "Darknet": (struct.pack("<iiiq", 0, 2, 5, 32013312) + bytes(50), "Darknet"),
    "a tar": (tar_with("model.pth"), "tar archive. Unpack it"),
    "a gzip": (b"\x1f\x8b\x08" + bytes(20), "gzip archive. Unpack it"),
    "a 7z": (b"7z\xbc\xaf\x27\x1c" + bytes(20), "7z archive"),
    "a RAR": (b"Rar!\x1a\x07\x01\x00" + bytes(20), "RAR archive"),
    "an xz": (b"\xfd7zXZ\x00" + bytes(20), "xz archive"),
    "a bzip2": (b"BZh91AY&SY" + bytes(20), "bzip2 archive"),
    "a zstd": (b"\x28\xb5\x2f\xfd" + bytes(20), "zstd archive"),
    "a zip with weights": (zip_with("out/best.pth", "out/log.txt"), "zip archive. Unpack it"),
    "a zip with safetensors": (zip_with("model.safetensors"), "zip archive. Unpack it"),
    "a zip of pictures": (zip_with("cat/1.png", "dog/2.png"), "page Data"),
    "a zip of texts": (zip_with("a.txt"), "no PyTorch weights"),
    "an empty zip": (zip_with(), "empty zip"),
    "a part of a zip": (b"PK\x07\x08PK\x03\x04" + bytes(30), "several files"),
    "a Word document": (zip_with("[Content_Types].xml", "word/document.xml"), "Office"),
    "an old Word document": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(50), "Office"),
    "a jar": (zip_with("META-INF/MANIFEST.MF", "A.class"), "Java"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(50), "picture (PNG)"),
    "JPEG": (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(50), "picture (JPEG)"),
    "GIF": (b"GIF89a" + bytes(50), "picture (GIF)"),
    "WebP": (b"RIFF\x00\x01\x00\x00WEBPVP8 " + bytes(50), "picture (WebP)"),
    "BMP": (b"BM\x00\x10\x00\x00" + bytes(50), "picture (BMP)"),
    "TIFF": (b"II*\x00" + bytes(50), "picture (TIFF)"),
    "HEIC": (b"\x00\x00\x00\x18ftypheic" + bytes(50), "telephone"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(50), "PDF"),
    "ELF": (b"\x7fELF\x02\x01\x01" + bytes(50), "program"),
    "exe": (b"MZ\x90\x00\x03" + bytes(50), "Windows"),
    "SQLite": (b"SQLite format 3\x00" + bytes(50), "SQLite"),
    "Parquet": (b"PAR1\x15\x04" + bytes(50), "Parquet"),
    "Arrow": (b"ARROW1\x00\x00" + bytes(50), "Arrow"),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(90), "MATLAB"),
    "TensorBoard": (event_file(), "Training curves"),
    "Git-LFS": (LFS, "git lfs pull"),
    "Google Drive": (DRIVE, "Google Drive"),
    "HTML": (b"\n  <!DOCTYPE html><html><title>Sign in</title></html>", "web page"),
    "HTML in a byte order": (b"\xef\xbb\xbf<html lang='en'>", "web page"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "web page"),
    "notebook": (b'{\n "cells": [\n  {"cell_type": "code"}\n ], "nbformat": 4}', "notebook"),
    "sharded": (
        b'{"metadata": {"total_size": 9}, "weight_map": {"a": "model-00001.safetensors"}}',
        "safetensors.torch.save_file(",
    ),
    "trainer_state": (b'{"best_metric": 0.9, "log_history": []}', "Training curves"),
    "JSON": (b'{"architectures": ["ResNet"]}', "JSON"),
    "JSON with a brace in ninth place": (b'[1, 2, 3{"a": 1}]', "JSON"),
    "JSON lines": (b'{"loss": 1}\n{"loss": 2}\n', "JSON"),
    "YAML": (b"model: resnet18\nlr: 0.1\nlayers:\n  - 2\n", "YAML"),
    "YAML with dashes": (b"# mine\n---\na: 1\n", "YAML"),
    "CSV": (b"id,label,prediction\n1,2,3\n4,5,6\n", "page Check"),
    "CSV of a history": (b"epoch,loss,val_loss\r\n1,0.5,0.6\r\n", "Training curves"),
    "Python": (b'"""Mine."""\nimport torch\n\nclass Net(torch.nn.Module):\n', "--module"),
    "Python with a class": (b"class Net:\n    pass.", "Python source"),
    "text": (b"hello", "text file"),
    "text that ends like a pickle": (b"Nothing in here.", "text file"),
    "text in other letters": ("größe 重み\n".encode() * 2000, "text file"),
    "nothing": (b"", "empty"),
    "one byte": (b"\x80", "not a PyTorch"),
    "zeros": (bytes(1000), "not a PyTorch"),
    "noise": (random.Random(0).randbytes(1000), "not a PyTorch"),
    "UTF-16": ("import torch\n".encode("utf-16"), "not a PyTorch"),
}  # fmt: skip


@pytest.mark.parametrize("case", ELSE)
def test_what_is_no_file_of_weights_is_named_as_what_it_is(case):
    refusal(*ELSE[case])


# Bad files: what holds no weights


def metric(dtype):
    return torch.tensor([1, 0]).to(dtype)


EMPTY = {
    "a list": ([torch.zeros(2)], "no dictionary of weights"),
    "a tensor": (torch.zeros(2), "no dictionary of weights"),
    "nothing": ({}, "no dictionary of weights"),
    "None": (None, "no dictionary of weights"),
    "no tensors": ({"loss": 0.1, "history": [1, 2]}, "no dictionary of weights"),
    "single numbers": ({"acc": torch.tensor(0.5)}, "no dictionary of weights"),
    "too deep": ({"a": {"b": {"c": {"d": {"e": {"f": STATE}}}}}}, "no dictionary of weights"),
    "an optimiser's": (OPTIMISER.state_dict(), "optimiser"),
    "an optimiser's, wrapped": ({"optimizer": OPTIMISER.state_dict(), "epoch": 1}, "optimiser"),
    "an optimiser's, unnamed": ({"a": {"b": OPTIMISER.state_dict()}}, "optimiser"),
    "numbers as names": ({0: torch.zeros(2)}, "no names"),
    "tuples as names": ({("a", 1): torch.zeros(2)}, "no names"),
    "bytes as names": ({b"a": torch.zeros(2)}, "no names"),
    "a name of controls": ({"\x1b[31mred\n": torch.zeros(2)}, "cannot be shown"),
    "a name that turns": ({"a\u202eb": torch.zeros(2)}, "cannot be shown"),
    "half a pair": ({"a\ud800": torch.zeros(2)}, "cannot be shown"),
    "a long name": ({"a" * 100_000: torch.zeros(2)}, "too long"),
    "expanded": ({"w": torch.zeros(1).expand(100)}, "expanded"),
    "huge, expanded": ({"w": torch.zeros(1).expand(10**10)}, "claim more values"),
    "sparse": ({"w": torch.zeros(5).to_sparse()}, "sparse"),
    "sparse rows": ({"w": torch.zeros(5, 5).to_sparse_csr()}, "sparse"),
    "quantised": ({"w": torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.quint8)}, "quanti"),
    "complex": ({"w": torch.zeros(5, dtype=torch.complex64)}, "complex64"),
    "meta": ({"w": torch.zeros(5, device="meta")}, "no values"),
    "float8": ({"w": torch.zeros(4).to(torch.float8_e4m3fn)}, "float8_e4m3fn"),
    "uint16": ({"w": torch.zeros(4, dtype=torch.uint16)}, "uint16"),
    "nested": ({"w": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}, "nested"),
    "words": ({"w": np.array(["a", "b"])}, "numbers"),
    "objects": ({"w": np.array([{}, 1], dtype=object)}, "numbers"),
    "a record": ({"w": np.zeros(2, dtype=[("a", "f4")])}, "numbers"),
}
NO_WEIGHTS = {
    f"{case}, {container}": (CONTAINERS[container], *EMPTY[case])
    for case in EMPTY
    for container in CONTAINERS
    if container == "zip" or case not in ("a long name", "float8", "uint16")
}


@pytest.mark.parametrize("case", NO_WEIGHTS)
def test_what_holds_no_weights_is_refused(case):
    write, content, word = NO_WEIGHTS[case]
    refusal(write(content), word)


# Bad files: what is damaged, or made to look like something else


def changed_directory(data, field, value, size=2):
    """An archive of which the last entry of the directory says something else; the central
    directory's header has its fields at known places (APPNOTE 4.3.12).
    """
    start = data.rindex(b"PK\x01\x02")
    return data[: start + field] + value.to_bytes(size, "little") + data[start + field + size :]


def with_twins():
    file = io.BytesIO(zip_of(program(dictionary(w=tensor()))))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("archive/DATA.pkl", program(b"N"))
    return file.getvalue()


def with_overlap():
    """Two entries of the directory that are one and the same part of the file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", program(dictionary(w=tensor())))
        archive.writestr("archive/data/0", bytes(24))
        entry = zipfile.ZipInfo("archive/data/1")
        archive.writestr(entry, bytes(24))
        entry.header_offset = archive.getinfo("archive/data/0").header_offset
    return file.getvalue()


def with_link():
    entry = zipfile.ZipInfo("archive/data/9")
    entry.external_attr = 0o120777 << 16
    file = io.BytesIO(SMALL)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(entry, "/etc/passwd")
    return file.getvalue()


def with_comment(comment):
    file = io.BytesIO(SMALL)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = comment
    return file.getvalue()


SMALL = zip_of(program(dictionary(w=tensor())))
FILES = {
    "zip": in_zip(STATE),
    "compressed": compressed(STATE),
    "legacy": in_legacy(STATE),
    "safetensors": safetensors.torch.save(STATE),
}
ZIPS = {
    "dots": (repacked(SMALL, lambda name: "../" + name), "outside itself"),
    "backslashes": (repacked(SMALL, lambda name: name.replace("/", "\\..\\")), "outside itself"),
    "from the root": (repacked(SMALL, lambda name: "/" + name), "outside itself"),
    "a drive": (repacked(SMALL, lambda name: "C:/" + name), "outside itself"),
    "twins": (with_twins(), "two files of one name"),
    "overlapping": (with_overlap(), "overlap"),
    "a link": (with_link(), "a link"),
    "encrypted": (changed_directory(SMALL, 8, 1), "encrypted"),
    "another compression": (changed_directory(SMALL, 10, 12), "compressed in a way"),
    "a directory in the comment": (with_comment(SMALL[-60:] + b"x"), "two directories"),
    "a directory for a comment": (with_comment(SMALL[-60:]), "damaged"),
    "grows": (
        repacked(SMALL, extra=[("archive/data/9", bytes(40_000_000))], method=zipfile.ZIP_DEFLATED),
        "would grow",
    ),
    "claims to grow": (changed_directory(SMALL, 24, 2**31, 4), "would grow"),
    "other files": (repacked(SMALL, extra=[("__MACOSX/._data", b"x")]), "packed again"),
    "no pickle": (repacked(SMALL, lambda name: name.replace(".pkl", ".txt")), "no PyTorch weights"),
    "two pickles": (repacked(SMALL, extra=[("b/data.pkl", b"N.")]), "zip archive"),
    "an empty pickle": (zip_of(b""), "damaged"),
    "half a pickle": (zip_of(program(dictionary(w=tensor()))[:-20]), "damaged"),
    "a pickle of noise": (zip_of(random.Random(1).randbytes(500)), "damaged"),
    "no storage": (repacked(SMALL, lambda name: name.replace("data/0", "data/1")), "damaged"),
    "a short storage": (zip_of(program(dictionary(w=tensor())), bytes(8)), "damaged"),
    "a long storage": (zip_of(program(dictionary(w=tensor())), bytes(80)), "damaged"),
    "another byte order": (
        repacked(SMALL, lambda name: name.replace("byteorder", "x")).replace(b"3PK", b"3PK")[:-1],
        "damaged",
    ),
    "many entries": (SMALL[:-22] + b"PK\x01\x02" * 50_001 + SMALL[-22:], "50,000"),
    "protocol 4": (in_zip(STATE, pickle_protocol=4), "protocol 4"),
    "protocol 5": (in_zip(STATE, pickle_protocol=5), "protocol 5"),
}
TENSORS = {
    "an offset outside": (tensor(offset=1), "damaged"),
    "a negative offset": (tensor(offset=-1), "damaged"),
    "a huge offset": (tensor(offset=2**62), "damaged"),
    "too large a shape": (tensor((2, 4), (4, 1)), "damaged"),
    "a negative shape": (tensor((-2, 3)), "damaged"),
    "an overflowing shape": (tensor((2**62, 2**62), (1, 1)), "damaged"),
    "a negative stride": (tensor(stride=(-3, 1)), "damaged"),
    "a huge stride": (tensor(stride=(2**62, 1)), "damaged"),
    "no stride": (tensor((3, 3, 3), (0, 0, 0)), "expanded"),
    "shape and stride unlike": (tensor((2, 3), (1,)), "damaged"),
    "a thousand axes": (tensor((1,) * 1000, (1,) * 1000), "1000 axes"),
    "a text for a storage": (tensor(stored=text("x")), "damaged"),
    "another id": (tensor(stored=tuple_of(text("module"), number(1)) + b"Q"), "damaged"),
    "an id that is a text": (tensor(stored=text("x") + b"Q"), "damaged"),
    "a storage of another class": (tensor(stored=storage("torch.LinearStorage")), "LinearStorage"),
    "a storage of quantised": (tensor(stored=storage("torch.QInt8Storage")), "QInt8Storage"),
    "a count of minus one": (tensor(stored=storage(count=-1)), "damaged"),
    "a count without end": (tensor(stored=storage(count=2**62)), "damaged"),
    "doubles of floats": (tensor(stored=storage("torch.DoubleStorage")), "damaged"),
    "another place": (tensor(stored=storage(key="../../etc/passwd")), "damaged"),
    "another key": (tensor(stored=storage(key="7")), "damaged"),
    "a function that it makes": (
        tensor() + tuple_of(number(1)) + b"R", "something that it makes itself",
    ),
    "attributes by a function": (
        call(
            "torch._tensor._rebuild_from_type_v2", name("builtins.bytearray"),
            name("torch.Tensor"), tuple_of(number(10**11)), b"N",
        ),
        "builtins.bytearray",
    ),
    "a class of its own": (
        call(
            "torch._tensor._rebuild_from_type_v2", name("torch._utils._rebuild_tensor_v2"),
            name("fastai.torch_core.TensorImage"), b")", b"N",
        ),
        "fastai.torch_core.TensorImage",
    ),
    "an unknown operation": (b"\x82\x01", "damaged"),
    "an empty stack": (b"00000", "damaged"),
    "a memo that was not put": (b"h\x07", "damaged"),
    "a mark that was not set": (b"t", "damaged"),
    "a name that is no text": (number(1) + number(2) + b"\x93", "damaged"),
    "letters that are none": (b"X\x02\x00\x00\x00\xff\xff", "damaged"),
    "a text longer than all": (b"X\xff\xff\xff\x7fabc", "damaged"),
    "a key that cannot be one": (b"}]Ns", "damaged"),
}  # fmt: skip
BY_HAND = {
    f"{case}, {container}": (write(program(dictionary(w=content))), word)
    for case, (content, word) in TENSORS.items()
    for container, write in (("zip", zip_of), ("legacy", legacy_of))
}
SIMPLE = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def in_safetensors(header, body=bytes(8), size=None):
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(content) if size is None else size) + content + body


def one(**changes):
    return in_safetensors({"a": SIMPLE["a"] | changes})


SAFETENSORS = {
    "twins": (
        in_safetensors(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{}}'),
        "two tensors of one name",
    ),
    "a header longer than the file": (in_safetensors(SIMPLE, size=1000), "damaged"),
    "a header without end": (in_safetensors(SIMPLE, size=2**60), "damaged"),
    "a header cut short": (in_safetensors(SIMPLE, size=20), "damaged"),
    "a header of nothing": (in_safetensors(SIMPLE, size=0), "damaged"),
    "overlapping": (
        in_safetensors(SIMPLE | {"b": SIMPLE["a"] | {"data_offsets": [4, 12]}}, bytes(12)),
        "does not lie where",
    ),
    "one upon the other": (in_safetensors(SIMPLE | {"b": SIMPLE["a"]}), "does not lie where"),
    "a hole": (
        in_safetensors(SIMPLE | {"b": SIMPLE["a"] | {"data_offsets": [16, 24]}}, bytes(24)),
        "does not lie where",
    ),
    "outside": (one(data_offsets=[8, 16]), "does not lie where"),
    "before the beginning": (one(data_offsets=[-8, 0]), "does not lie where"),
    "the wrong way round": (one(data_offsets=[8, 0]), "does not lie where"),
    "too short": (in_safetensors(SIMPLE, bytes(7)), "incomplete"),
    "too long": (in_safetensors(SIMPLE, bytes(9)), "more follows"),
    "offsets that are none": (one(data_offsets=["0", "8"]), "damaged"),
    "three offsets": (one(data_offsets=[0, 4, 8]), "damaged"),
    "no offsets": (in_safetensors({"a": {"dtype": "F32", "shape": [2]}}), "damaged"),
    "another shape": (one(shape=[3]), "does not lie where"),
    "a negative shape": (one(shape=[-1, -2]), "does not lie where"),
    "a shape of halves": (one(shape=[0.5, 4]), "does not lie where"),
    "a shape of texts": (one(shape=["a", 10**9]), "does not lie where"),
    "a shape without end": (one(shape=[2**62, 4, 0]), "does not lie where"),
    "a thousand axes": (one(shape=[1] * 999 + [2]), "does not lie where"),
    "a shape that is none": (one(shape="ab"), "does not lie where"),
    "another type": (one(dtype="F8_E4M3"), "of the kind F8_E4M3"),
    "a type of controls": (one(dtype="\x1b[31m" * 50), "of the kind"),
    "a type that is none": (one(dtype=[]), "damaged"),
    "an entry that is none": (in_safetensors({"a": 1}), "damaged"),
    "metadata that is none": (in_safetensors(SIMPLE | {"__metadata__": [1]}), "damaged"),
    "a list": (in_safetensors(b"[" + b"]"), "not a PyTorch"),
    "no JSON": (in_safetensors(b"{a}"), "damaged"),
    "no letters": (in_safetensors(b'{"\xff\xff": {}}'), "damaged"),
    "deep": (in_safetensors(b'{"a":' * 100_000), "damaged"),
    "deep lists": (in_safetensors(b'{"a":' + b"[" * 100_000), "damaged"),
    "a number of all digits": (in_safetensors(b'{"a":' + b"9" * 100_000 + b"}"), "damaged"),
    "spaces": (in_safetensors(json.dumps(SIMPLE).encode() + b" " * 5_000_000), "4 MB"),
    "nothing in it": (in_safetensors({}, b""), "no dictionary of weights"),
    "a name of controls": (in_safetensors({"\x1b[2J": SIMPLE["a"]}), "cannot be shown"),
}


@pytest.mark.parametrize("case", ZIPS)
def test_archives_that_are_not_as_they_should_be(case):
    refusal(*ZIPS[case])


@pytest.mark.parametrize("case", BY_HAND)
def test_tensors_that_are_not_as_they_should_be(case):
    refusal(*BY_HAND[case])


@pytest.mark.parametrize("case", SAFETENSORS)
def test_headers_of_safetensors_that_are_not_as_they_should_be(case):
    refusal(*SAFETENSORS[case])


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999])
def test_what_breaks_off_is_said_to(kind, share):
    data = FILES[kind]
    length = int(len(data) * share)
    word = "damaged or incomplete" if length > 40 else ""
    refusal(data[:length], word)


def test_files_that_are_none(tmp_path):
    refusal(tmp_path / "nothing.pt", "'nothing.pt' cannot be read: No such file")
    refusal(tmp_path, "folder")
    os.mkfifo(tmp_path / "pipe.pt")
    refusal(tmp_path / "pipe.pt", "no regular file")
    refusal("/dev/zero", "no regular file")
    refusal("a\0b", "cannot be read")
    refusal("x" * 10_000, "cannot be read: File name too long")
    (tmp_path / "circle.pt").symlink_to(tmp_path / "circle.pt")
    refusal(tmp_path / "circle.pt", "cannot be read")
    (tmp_path / "empty.pt").touch()
    refusal(tmp_path / "empty.pt", "empty")
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "secret.pt"
    path.write_bytes(in_zip(STATE))
    path.chmod(0)
    refusal(path, "Permission denied")


@pytest.mark.parametrize("change", ["grows", "shrinks", "vanishes"])
def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch, change):
    path = tmp_path / "weights.pt"
    path.write_bytes(in_zip(STATE))

    def changed(path):
        known = check_regular(path)
        if change == "vanishes":
            path.unlink()
        else:
            os.truncate(path, known.st_size + (1000 if change == "grows" else -1000))
        return known

    monkeypatch.setattr(checkpoints, "check_regular", changed)
    refusal(path, "No such file" if change == "vanishes" else "changed while it was read")


# What happens to any file


def assert_right(checkpoint):
    for name, read in checkpoint.tensors.items():
        assert isinstance(name, str)
        assert type(read) is torch.Tensor
        assert read.is_contiguous()
        assert not read.is_floating_point() or read.dtype == torch.float32
        read.sum()  # its memory is there
    assert json.dumps(checkpoint.besides, allow_nan=True)


def outcome_of(data):
    try:
        return read_checkpoint(data)
    except UserError as error:
        return str(error)


MIXED = {"net": under("model."), "epoch": 3, "acc": np.float64(0.5), "args": NAMESPACE}
ALL = {
    **{container: write(MIXED) for container, write in CONTAINERS.items()},
    "compressed": compressed(MIXED),
    "safetensors": safetensors.torch.save(STATE, {"epoch": "3"}),
}


@pytest.mark.parametrize("kind", ALL)
def test_no_damage_gets_past_as_anything_else(kind):
    """Flipped bits, changed bytes, parts left out, doubled or cut off: a sentence, or tensors."""
    chance = random.Random(kind)
    sentences = 0
    for _ in range(400):
        data = bytearray(ALL[kind])
        for _ in range(chance.choice((1, 1, 2, 5))):
            start = chance.randrange(min(len(data), chance.choice((100, 1000, 10_000))))
            length = chance.randrange(1, 40)
            how = chance.choice(("bit", "byte", "out", "twice", "cut"))
            if how == "bit":
                data[start] ^= 1 << chance.randrange(8)
            elif how == "byte":
                data[start] = chance.randrange(256)
            elif how == "out":
                del data[start : start + length]
            elif how == "twice":
                data[start:start] = data[start : start + length]
            elif chance.random() < 0.1:
                del data[start + 10 :]
        outcome = outcome_of(bytes(data))
        if isinstance(outcome, str):
            sentences += 1
            assert outcome.isprintable()
            assert len(outcome) < 300
            assert "weights_only" not in outcome
        else:
            assert_right(outcome)
    assert not MARKER.exists()
    assert sentences > 50


# What would take memory or time without end

LAYERS = b"".join(b"2\x86" for _ in range(60))  # each a pair of the one before: 2 ** 60 at the end
A_DEEP_TUPLE = b"(" * 10_000 + b"t" * 10_000
A_DEEP_ID = tuple_of(
    text("storage"), name("torch.FloatStorage"), b"N" + LAYERS, text("cpu"), number(6)
)
ENCODED = b"r\x00\x00\x00\x000" + call("_codecs.encode", b"j\x00\x00\x00\x00", text("hex"))
STEPS = {
    "lists": b"(" + b"]" * 2000 + b"l",
    "dictionaries": b"(" + b"}" * 2000 + b"l",
    "marks": b"(" * 2000,
    "memo": b"]" + b"".join(b"r" + struct.pack("<I", number) for number in range(2000)),
    "calls": call("collections.OrderedDict") * 2000,
    "tensors": dictionary(**{str(number): tensor() for number in range(50)}),
}
MEGABYTES = {str(number): torch.ones(1_000_000) for number in range(10)}
BOMBS = {
    "names": lambda: zip_of(program(b"".join(name(f"a.b{i}") + b"0" for i in range(600_000)))),
    "a key of pairs of pairs": lambda: zip_of(program(b"}" + b"N" + LAYERS + b"Ns")),
    "a set of such": lambda: zip_of(program(call("builtins.set", b"](N" + LAYERS + b"e"))),
    "an ordered dictionary of such": lambda: zip_of(
        program(call("collections.OrderedDict", b"](" + b"(N" + LAYERS + b"Nte"))
    ),
    "such, counted": lambda: zip_of(program(call("collections.Counter", b"](N" + LAYERS + b"e"))),
    "a storage of such": lambda: zip_of(program(A_DEEP_ID + b"Q")),
    "encoded again and again": lambda: zip_of(program(text("a") + ENCODED * 40)),
    "bytes": lambda: zip_of(program(call("builtins.bytearray", number(10**10)))),
    "a tensor": lambda: zip_of(program(call("torch.Tensor", number(10**10)))),
    "a storage": lambda: legacy_of(
        program(dictionary(w=tensor(stored=storage(count=10**10)))), count=10**10
    ),
    "expanded": lambda: in_zip({str(i): torch.zeros(1).expand(10**10) for i in range(20)}),
    "growing": lambda: repacked(
        SMALL, extra=[("archive/data/9", bytes(100_000_000))], method=zipfile.ZIP_DEFLATED
    ),
    "spaces": lambda: in_safetensors(json.dumps(SIMPLE).encode() + b" " * 10**8),
    "good, zip": lambda: in_zip(MEGABYTES),
    "good, legacy": lambda: in_legacy(MEGABYTES),
    "good, safetensors": lambda: safetensors.torch.save(MEGABYTES),
    "a header of lists": lambda: in_safetensors(b'{"a":[' + b"[]," * 1_300_000 + b"[]]}"),
}
WATCHED = """
import json, pathlib, sys, time
from vizlib.errors import UserError
from vizlib.run.checkpoints import read_checkpoint
def megabytes(what):
    known = pathlib.Path("/proc/self/status").read_text()
    return int(known.split(what)[1].split()[0]) / 1024
for path in sys.argv[1:]:
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = megabytes("VmRSS:"), time.process_time()
    try:
        outcome = read_checkpoint(path).kind
    except UserError as error:
        outcome = str(error)
    print(json.dumps([outcome, megabytes("VmHWM:") - before, time.process_time() - start]))
"""


@pytest.mark.parametrize("container", ["zip", "legacy"])
@pytest.mark.parametrize("case", STEPS)
def test_no_pickle_takes_too_many_steps(monkeypatch, case, container):
    monkeypatch.setattr(pickles, "MAX_STEPS", 1000)
    write = {"zip": zip_of, "legacy": legacy_of}[container]
    refusal(write(program(STEPS[case])), "over 1,000 Python values")


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle"])
def test_no_text_takes_too_much_memory(monkeypatch, container):
    monkeypatch.setattr(pickles, "MAX_BYTES", 10_000)
    pickled = program(dictionary(w=tensor(), x=text("y" * 20_000)))
    refusal(WRAPPED[container](pickled), "damaged" if container == "legacy" else "pickle")


def test_listed_keys_take_no_more_steps_either(monkeypatch):
    monkeypatch.setattr(pickles, "MAX_STEPS", 1000)
    data = legacy_of(program(dictionary(w=tensor())), keys=map(str, range(2000)))
    refusal(data, "over 1,000 Python values")


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="only Linux tells a peak")
def test_bombs_take_little_memory_and_time(tmp_path):
    """In a process of its own: what comes back is a sentence each, soon, and no memory goes."""
    paths = []
    for case, data in BOMBS.items():
        paths.append(tmp_path / case)
        paths[-1].write_bytes(data())
    ended = subprocess.run(
        [sys.executable, "-c", WATCHED, *paths], capture_output=True, text=True, check=True
    )
    for path, line in zip(paths, ended.stdout.splitlines(), strict=True):
        outcome, megabytes, seconds = json.loads(line)
        is_good = path.name.startswith("good")
        assert is_good or outcome.endswith((".", ").")), (path.name, outcome)
        size = path.stat().st_size / 2**20  # of a good one the file, its tensors and little more
        most = 2 * size + (60 if is_good else 150)
        assert megabytes < most, (path.name, megabytes)
        assert seconds < 20, (path.name, seconds)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ("yacs.config.CfgNode", {"lr": 3}),
        ("easydict.EasyDict", {"lr": 3}),
        ("pytorch_lightning.utilities.parsing.AttributeDict", {"lr": 3}),
        ("lightning.fabric.utilities.data.AttributeDict", {"lr": 3}),
    ],
)
def test_settings_of_other_classes_are_plain(made, expected):
    settings = (
        name(made) + b")\x81" + dictionary(lr=number(3))[1:] + dictionary(note=text("x")) + b"b"
    )
    checkpoint = read_checkpoint(zip_of(program(dictionary(w=tensor(), settings=settings))))
    assert list(checkpoint.tensors) == ["w"]
    assert checkpoint.besides == {"settings": expected}


def test_reading_in_many_threads_leaves_nothing_allowed():
    data = in_zip({"net": STATE, "acc": np.float64(0.5), "args": NAMESPACE})
    before = set(torch.serialization.get_safe_globals())
    with ThreadPoolExecutor(4) as threads:
        for checkpoint in threads.map(read_checkpoint, [data] * 40):
            assert checkpoint.besides == {"acc": 0.5, "args": SETTINGS}
    assert set(torch.serialization.get_safe_globals()) == before


def test_settings_of_omegaconf_are_no_matter():
    value = name("omegaconf.nodes.AnyNode") + b")\x81" + dictionary(_val=number(3)) + b"b"
    content = dictionary(_content=dictionary(lr=value), kind=name("typing.Any"))
    settings = name("omegaconf.dictconfig.DictConfig") + b")\x81" + content + b"b"
    data = zip_of(program(dictionary(w=tensor(), hyper_parameters=settings)))
    assert list(read_checkpoint(data).tensors) == ["w"]


def test_a_deep_tuple_is_no_matter():
    data = zip_of(program(dictionary(w=tensor(), x=A_DEEP_TUPLE)))
    assert list(read_checkpoint(data).tensors) == ["w"]


def test_what_it_says_beside_is_bounded():
    content = {
        "net": STATE,
        "many": {str(number): number for number in range(10_000)},
        **{f"list {number}": list(range(2000)) for number in range(50)},
        **{f"value {number}": number for number in range(500)},
        "again": [[[0] * 100] * 100] * 100,
    }
    besides = read_checkpoint(in_zip(content)).besides
    assert len(json.dumps(besides)) < 100_000
    assert len(besides) <= 100
