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
import random
import struct
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from vizlib.errors import UserError
from vizlib.run.checkpoints import Checkpoint, read_checkpoint

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
