"""Which types of number a machine is fast in: by trying them, once; and what a run says of it."""

import json
import os
import subprocess
import sys
import time

import pytest
import torch

from vizlib.training import number_types
from vizlib.training.number_types import CONVOLUTION, PRODUCT, fast_type
from vizlib.training.optimisers import orthogonal

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty place for what is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    number_types._bfloat16_pays.cache_clear()
    yield tmp_path / "convscope" / number_types.FILE
    number_types._bfloat16_pays.cache_clear()


def taking(seconds):
    """A trial that takes so long in each type."""
    return lambda dtype: lambda: time.sleep(seconds[dtype])


def trials(monkeypatch, convolution, product):
    """Each (seconds in float32, seconds in bfloat16)."""
    types = (torch.float32, torch.bfloat16)
    found = {
        CONVOLUTION: taking(dict(zip(types, convolution, strict=True))),
        PRODUCT: taking(dict(zip(types, product, strict=True))),
    }
    monkeypatch.setattr(number_types, "_TRIALS", found)


def test_each_operation_has_the_type_that_is_faster_in_it(monkeypatch, home):
    trials(monkeypatch, convolution=(0.012, 0.004), product=(0.004, 0.012))
    assert fast_type(CPU, CONVOLUTION) is torch.bfloat16
    assert fast_type(CPU, PRODUCT) is torch.float32
    assert [*json.loads(home.read_text()).values()] == [{CONVOLUTION: True, PRODUCT: False}]


def test_a_little_faster_is_not_worth_the_digits(monkeypatch):
    trials(monkeypatch, convolution=(0.021, 0.020), product=(0.021, 0.020))
    assert fast_type(CPU, CONVOLUTION) is torch.float32


def test_it_is_tried_once_a_machine(monkeypatch):
    trials(monkeypatch, convolution=(0.012, 0.004), product=(0.004, 0.012))
    fast_type(CPU, PRODUCT)
    number_types._bfloat16_pays.cache_clear()  # as in another process
    trials(monkeypatch, convolution=(0.004, 0.012), product=(0.012, 0.004))
    assert fast_type(CPU, CONVOLUTION) is torch.bfloat16
    number_types._bfloat16_pays.cache_clear()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")  # which makes another machine of it
    assert fast_type(CPU, CONVOLUTION) is torch.float32


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"": 1}', "\x00\xff"])
def test_a_damaged_file_is_written_anew(monkeypatch, home, content):
    trials(monkeypatch, convolution=(0.012, 0.004), product=(0.004, 0.012))
    home.parent.mkdir()
    home.write_text(content)
    assert fast_type(CPU, CONVOLUTION) is torch.bfloat16
    assert {CONVOLUTION: True, PRODUCT: False} in json.loads(home.read_text()).values()


def test_where_nothing_can_be_kept_it_is_tried_again(monkeypatch, home):
    trials(monkeypatch, convolution=(0.012, 0.004), product=(0.004, 0.012))
    home.parent.write_text("no folder")
    assert fast_type(CPU, CONVOLUTION) is torch.bfloat16


def test_a_build_without_the_kernel_computes_in_float32(monkeypatch):
    def trial(dtype):
        def run():
            if dtype is torch.bfloat16:
                raise RuntimeError("not implemented for 'BFloat16'")

        return run

    monkeypatch.setattr(number_types, "_TRIALS", {CONVOLUTION: trial, PRODUCT: trial})
    threads = torch.get_num_threads()
    assert fast_type(CPU, PRODUCT) is torch.float32
    assert torch.get_num_threads() == threads


def test_a_device_of_another_kind_computes_in_float32():
    assert fast_type(torch.device("meta"), CONVOLUTION) is torch.float32


def test_without_fast_bfloat16_muon_computes_in_float32(monkeypatch):
    """Of a matrix of equal singular values the polynomial is known: x -> a x + b x^3 + c x^5, to
    more digits than bfloat16 has.
    """
    trials(monkeypatch, convolution=(0.004, 0.012), product=(0.004, 0.012))
    expected = 1 / 8**0.5
    for _ in range(3):
        expected = 3.4445 * expected - 4.7750 * expected**3 + 2.0315 * expected**5
    found = orthogonal(3 * torch.eye(8))
    assert found == pytest.approx(expected * torch.eye(8), abs=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="the limits of PyTorch's kernels are Linux's")
def test_with_kernels_of_avx2_alone_bfloat16_does_not_pay(tmp_path):
    """On a processor of today, made to compute as one of AVX2: the kernels are real."""
    code = (
        "import torch; from vizlib.training.number_types import *; "
        "print([fast_type(torch.device('cpu'), one) for one in (CONVOLUTION, PRODUCT)])"
    )
    limits = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    environment = os.environ | limits | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[torch.float32, torch.float32]"


def test_a_run_says_what_it_was_computed_in(tiny_run):
    started = tiny_run.events_of("started")[-1]
    assert started["number_types"].startswith(("float32", "bfloat16"))
    assert tiny_run.computed == f"{started['number_types']}, on {started['processor']}"
