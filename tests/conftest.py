"""What several tests share: a small run trained once, an empty place for runs, a run without weights, and skipping where pictures are missing."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # for `pytest` as well as for `python -m pytest`
    sys.path.insert(0, str(ROOT))


def pytest_collection_modifyitems(items):
    from vizlib.datasets import data_root
    from vizlib.datasets.cifar10 import find_cifar10

    if find_cifar10(data_root()):
        return
    missing = pytest.mark.skip(reason=f"CIFAR-10 is not under {data_root().resolve()} (CONVSCOPE_DATA)")
    for item in items:
        if "real_data" in item.keywords:
            item.add_marker(missing)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A Run: three_layer_module on digits, two epochs of adamw. Shared by all tests: copy it before changing it."""
    from vizlib import datasets
    from vizlib.training.config import make_config
    from vizlib.training.loop import train
    from vizlib.training.recipes import recipe

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return train(folder, make_config("three_layer_module", datasets.load("digits"), recipe("adamw", epochs=2)), say=lambda line: None)


@pytest.fixture
def runs_root(tmp_path, monkeypatch):
    """An empty folder that new runs are written to and read from."""
    folder = tmp_path / "runs"
    folder.mkdir()
    monkeypatch.setenv("CONVSCOPE_RUNS", str(folder))
    return folder


@pytest.fixture
def weightless(runs_root):
    """A finished Run of a system of the reports, as large networks ship: with all but its weights."""
    from vizlib import runs

    folder = runs_root / "weightless"
    shutil.copytree(runs.SHIPPED / "plain32", folder)
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"system": "B1"}))
    return runs.read_run(folder)


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """An empty folder that data sets are looked for in."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("CONVSCOPE_DATA", str(folder))
    return folder


@pytest.fixture
def interpreter():
    """run(*arguments) starts a fresh Python in the project's folder and gives back the ended process, its output as text."""
    import subprocess

    def run(*arguments, **environment):
        return subprocess.run([sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False)

    return run
