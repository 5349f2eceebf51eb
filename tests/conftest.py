"""What several tests share: a small run trained once, an empty place for runs, a run without
weights, and skipping where pictures are missing.
"""

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

# before torch is in: the tests' networks are small, and more threads only wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # for `pytest` as well as for `python -m pytest`
    sys.path.insert(0, str(ROOT))


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# `pytest -m quick`: whole files that need no page, no training and no process of their own;
# together under a minute on two cores
QUICK = {
    f"test_{name}.py"
    for name in (
        "activations",
        "caches",
        "displays",
        "every_display",
        "images",
        "layers",
        "one_scale",
        "optimisers",
        "patterns",
        "predictions_and_collapse",
        "recipes",
        "runs",
        "tables",
        "verdict_words",
        "weights",
    )
}
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def pytest_collection_modifyitems(items):
    from vizlib.datasets import data_root
    from vizlib.datasets.cifar10 import find_cifar10

    lacking = {}
    if not find_cifar10(data_root()):
        lacking["real_data"] = f"CIFAR-10 is not under {data_root().resolve()} (CONVSCOPE_DATA)"
    if not CHROMIUM or not find_spec("playwright"):
        lacking["browser"] = "chromium or Playwright is not on this machine"
    for item in items:
        if item.path.name in QUICK:
            item.add_marker(pytest.mark.quick)
        if "browser" in item.keywords:
            item.add_marker(pytest.mark.flaky(reruns=1))  # see CONTRIBUTING
        for mark in lacking.keys() & item.keywords.keys():
            item.add_marker(pytest.mark.skip(reason=lacking[mark]))


@pytest.fixture(scope="session", autouse=True)
def components_looked_for_once():
    """AppTest looks through all installed packages for components with each page that it opens, a
    tenth of a second each: nothing is installed meanwhile.
    """
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        look = cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", look)
        yield


@pytest.fixture(scope="session", autouse=True)
def pages_waited_for_without_looking():
    """AppTest looks a thousand times a second whether its page has ended, which it cannot while
    somebody looks: here it waits for the thread.
    """
    from streamlit.testing.v1 import local_script_runner

    look = local_script_runner.require_widgets_deltas

    def wait(runner, timeout=3):
        runner._script_thread.join(timeout)
        look(runner, 0.1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_script_runner, "require_widgets_deltas", wait)
        yield


@pytest.fixture(scope="session", autouse=True)
def machine_of_the_tests(tmp_path_factory):
    """What is found out about this machine is kept for the tests alone."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def no_speed_is_known(machine_of_the_tests):
    """What another test found out about this machine's speed is not this one's."""
    (machine_of_the_tests / "convscope" / "speeds.json").unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def no_form_starts_a_process(monkeypatch):
    """One that is opened tries how fast this machine is, and has PyTorch imported beside it."""
    if ready := sys.modules.get("vizlib.training.ready"):
        monkeypatch.setattr(ready, "begin", lambda *given: None)
    if trial := sys.modules.get("vizlib.training.trial"):
        monkeypatch.setattr(trial, "begin", lambda tried: None)


@pytest.fixture(autouse=True)
def nothing_computed_for_nobody():
    """What a page began to compute beside itself is not gone on with once its test is over."""
    yield
    jobs = sys.modules.get("vizlib.ui.data.jobs")
    for job in [*jobs._jobs.values()] if jobs else ():
        job.waiting.clear()


@pytest.fixture
def brief_evidence(monkeypatch):
    """Pages with evidence of a few passes, for tests that ask whether it is drawn and not what it
    shows: a page opened has it in sight sooner, too.
    """
    from vizlib.inside.evidence import occlusion

    whole = occlusion._windows

    def windows(size):
        window, _, _ = whole(size)
        count = math.prod(math.ceil(side / w) for side, w in zip(size, window, strict=True))
        return window, window, count

    monkeypatch.setattr("vizlib.inside.evidence.integrated_gradients.STEPS", (4, 8))
    monkeypatch.setattr(occlusion, "_windows", windows)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A Run: three_layer_module on digits, two epochs of adamw. Shared by all tests: copy it before
    changing it.
    """
    from vizlib import datasets
    from vizlib.training.config import make_config
    from vizlib.training.loop import train
    from vizlib.training.order import Order
    from vizlib.training.recipes import recipe

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return train(
        folder,
        make_config(
            Order("three_layer_module", "digits", recipe("adamw", epochs=2)),
            datasets.load("digits"),
        ),
        say=lambda line: None,
    )


@pytest.fixture
def runs_root(tmp_path, monkeypatch):
    """An empty folder that new runs are written to and read from."""
    folder = tmp_path / "runs"
    folder.mkdir()
    monkeypatch.setenv("CONVSCOPE_RUNS", str(folder))
    return folder


@pytest.fixture
def root(runs_root):
    """An empty folder of runs, and nothing cached of another one."""
    forget_all()
    return runs_root


def forget_all():
    """Have nothing cached."""
    import streamlit as st

    from vizlib.ui.data import kept

    st.cache_resource.clear()
    st.cache_data.clear()
    kept.clear()


@pytest.fixture
def weightless(runs_root):
    """A finished Run of a system of the reports, as large networks ship: with all but its
    weights.
    """
    from vizlib.run import folders

    folder = runs_root / "weightless"
    shutil.copytree(folders.SHIPPED / "plain32", folder)
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"system": "B1"}))
    return folders.read_run(folder)


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """An empty folder that data sets are looked for in."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("CONVSCOPE_DATA", str(folder))
    return folder


@pytest.fixture
def interpreter():
    """run(*arguments) starts a fresh Python in the project's folder and gives back the ended
    process, its output as text.
    """

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def start_server(tmp_path_factory):
    """start_server(**environment) starts a fresh server on a port of its own and gives back its
    address and its empty folder of runs. All end with the tests.
    """
    servers = []

    def start(**more):
        folder = tmp_path_factory.mktemp("server")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
        with open(folder / "server.log", "w") as log:
            environment = {**os.environ, "CONVSCOPE_RUNS": str(folder / "runs"), **more}
            servers.append(
                subprocess.Popen(
                    command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
                )
            )
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2)
                return f"http://127.0.0.1:{port}", folder / "runs"
            except OSError:
                time.sleep(0.1)
        raise AssertionError((folder / "server.log").read_text())

    yield start
    for server in servers:
        server.terminate()
    for server in servers:
        server.wait(20)


@pytest.fixture(scope="session")
def served(start_server):
    """(address, folder of runs) of one server for all tests: who puts a run there takes it away
    again.
    """
    return start_server()


@pytest.fixture
def address(served):
    return served[0]


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def new_page(browser):
    """new_page() opens a page in a session of its own. In the end none of them has asked anything
    of another host.
    """
    contexts, elsewhere = [], []

    def note(request):
        if not request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            elsewhere.append(request.url)

    def new(height=1000):
        contexts.append(browser.new_context(viewport={"width": 1400, "height": height}))
        page = contexts[-1].new_page()
        page.on("request", note)
        page.set_default_timeout(60_000)
        return page

    yield new
    for context in contexts:
        context.close()
    assert elsewhere == []


@pytest.fixture
def page(new_page):
    return new_page()
