"""Servers of the app for the benchmarks, and an untrained network that they show."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAKE_RUN = """
import json, sys, pathlib, torch
from vizlib import architectures
from vizlib.run.weights import save_weights

folder, architecture = pathlib.Path(sys.argv[1]), sys.argv[2]
size = [int(number) for number in sys.argv[3:]]
folder.mkdir()
torch.manual_seed(0)
arguments = architectures.get(architecture).arguments_for(5, size)
model = architectures.create(architecture, **arguments)
config = dict(architecture=architecture, arguments=arguments, dataset="none", recipe={}, seed=0)
config |= dict(class_names=list("abcde"), input_size=size, mean=[0.5] * 3, std=[0.25] * 3)
(folder / "config.json").write_text(json.dumps(config))
save_weights(model.state_dict(), folder / "model.safetensors")
"""


def make_run(runs, architecture, input_size):
    """An untrained run of five classes, named like its architecture, unless it is there already; in
    a process of its own, so that this one stays small.
    """
    if (runs / architecture).exists():
        return
    given = (str(runs / architecture), architecture, *map(str, input_size))
    subprocess.run([sys.executable, "-c", MAKE_RUN, *given], cwd=ROOT, check=True)


def make_runs(runs, count):
    """So many runs: copies of a small one that ships, as if each had been trained here."""
    source = ROOT / "checkpoints/digits_three_layer"
    for number in range(count):
        shutil.copytree(source, runs / f"{source.name}-{number:04d}", copy_function=os.link)


@contextmanager
def server(runs, app=ROOT / "app.py"):
    """The address of a fresh server, from the moment that it says it is healthy. runs: the folder
    of its runs; app: the file that it serves.
    """
    port = _free_port()
    with tempfile.TemporaryFile("w+") as log:
        process = _start(port, runs, log, app)
        try:
            _wait_for_health(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            _end(process)
            _tell_of_errors(log)


def resident_bytes(address):
    """The memory that a server of this machine keeps; None where the system has no /proc."""
    option = f"--server.port={address.rpartition(':')[2]}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if option in (folder / "cmdline").read_bytes().split(b"\0"):
                lines = (folder / "status").read_text().splitlines()
                kilobytes = next(line for line in lines if line.startswith("VmRSS"))
                return 1024 * int(kilobytes.split()[1])
        except OSError:  # it has ended meanwhile
            continue
    return None


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _start(port, runs, log, app):
    settings = {"port": port, "address": "127.0.0.1", "headless": "true"}
    options = [f"--server.{name}={value}" for name, value in settings.items()]
    options.append("--browser.gatherUsageStats=false")  # for one without settings of its own
    return subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", str(app), *options],
        cwd=app.parent,
        env=os.environ | {"CONVSCOPE_RUNS": str(runs)},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _wait_for_health(process, port, log):
    for _ in range(1200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
        if process.poll() is not None:
            log.seek(0)
            raise SystemExit(f"the server ended at once:\n{log.read()[-2000:]}")
    raise SystemExit("the server was not healthy within a minute")


def _end(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tell_of_errors(log):
    log.seek(0)
    written = log.read()
    if "Traceback" in written:
        told = written[written.index("Traceback") :][-2000:]
        print(f"the server wrote:\n{told}", file=sys.stderr)
