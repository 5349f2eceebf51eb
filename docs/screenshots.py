"""Takes the README's pictures of the running app: PYTHONPATH=. python docs/screenshots.py

Needs what requirements-dev.txt lists, and chromium (apt-get install chromium). Writes docs/images/*.png.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

from vizlib.runs import open_run
from vizlib.training import launcher
from vizlib.training.recipes import recipe

ROOT = Path(__file__).resolve().parent.parent
SHOTS = {  # file name: address, height of the window
    "home": ("", 1130),
    "architecture": ("Architecture", 900),
    "filters": ("Filters?model=three_layer_sequential", 900),
    "feature-maps": ("Feature_maps?layer=stage1.block2.relu1&unit=4", 1080),
    "unit": ("Unit?model=resnet32&unit_number=5&random=true", 1500),
    "class-evidence": ("Class_evidence?model=resnet32&source=data+set&label=cat&index=13", 1500),
    "training-curves": ("Training_curves?with=plain32", 800),
    "film": ("Film?model=resnet32&step=1032", 1000),
    "confusion-matrix": ("Confusion_matrix?model=resnet32", 900),
    "gradients": ("Gradients?model=resnet32", 1100),
    "compare": ("Compare?model=resnet32&at=50", 3150),
    "collapse": ("Confusion_matrix?model=collapsed_lenet", 720),
}
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
STILL = "() => !document.querySelector('[data-testid=\"stStatusWidget\"]') && !document.querySelector('[data-testid=\"stSkeleton\"], [data-testid=\"stMain\"] [data-testid=\"stProgress\"]')"


def main():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as runs:
        os.environ["CONVSCOPE_RUNS"] = runs
        take(port)


def take(port):
    server = subprocess.Popen([sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)], cwd=ROOT)
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health")
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=SWITCHES)
            for name, (address, height) in SHOTS.items():
                shoot(browser, port, name, address, height)
            shoot(browser, port, "live", f"Training_curves?model={train_for_a_while()}", 1000)
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


def shoot(browser, port, name, address, height):
    page = browser.new_page(viewport={"width": 1400, "height": height})
    page.goto(f"http://127.0.0.1:{port}/{address}")
    page.wait_for_selector("h1", timeout=60_000)
    page.wait_for_timeout(1000)
    page.wait_for_function(STILL, timeout=180_000)  # the strongest images are looked up once
    page.wait_for_timeout(2500)  # charts draw after the page stands still
    page.screenshot(path=ROOT / "docs" / "images" / f"{name}.png")
    page.close()
    print(f"docs/images/{name}.png")


def train_for_a_while():
    """The id of a run on digits that is half trained, and goes on."""
    run_id = launcher.start_new(architecture="resnet32", dataset="digits", recipe=recipe("one_cycle", epochs=60), device="cpu")
    while not any(row["progress"] > 0.4 for row in open_run(run_id).rows("epoch")):
        time.sleep(0.2)
    return run_id


def wait_for(address):
    for _ in range(300):
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("The app did not start.")


if __name__ == "__main__":
    main()
