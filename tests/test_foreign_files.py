"""A corpus of files as people drop them in: good ones give exactly the tensors that were saved, bad
ones one sentence each, and nothing in them is ever run.
"""

import argparse
import collections
import io
import os
import pathlib
import pickle
import pickletools
import struct
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from vizlib.errors import UserError
from vizlib.run.checkpoints import read_checkpoint

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
        for number, dtype in enumerate(
            (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32)
            + (torch.int16, torch.int8, torch.uint8, torch.bool)
        )
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
