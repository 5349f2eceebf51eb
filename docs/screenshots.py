"""Takes the README's pictures of the running app: PYTHONPATH=. python docs/screenshots.py [NAME]

Needs what requirements-dev.txt lists, and chromium (apt-get install chromium). Writes docs/images.
"""

import io
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

from PIL import Image
from playwright.sync_api import sync_playwright

from vizlib.run.folders import open_run
from vizlib.training import launcher
from vizlib.training.order import Order
from vizlib.training.recipes import recipe

ROOT = Path(__file__).resolve().parent.parent
HOME, LARGE = "home.webp", "resnet18_late_pool"
SHOTS = {  # file name: address, height of the window
    HOME: ("", 1130),
    "architecture.webp": ("Architecture", 900),
    "filters.webp": ("Filters?model=three_layer_sequential", 900),
    "large-filters.webp": (f"Filters?model={LARGE}", 900),
    "feature-maps.webp": ("Feature_maps?layer=stage1.block2.relu1&unit=4", 1080),
    "unit.webp": ("Unit?model=resnet32&random=true", 1500),
    "class-evidence.webp": (
        "Class_evidence?model=resnet32&source=data+set&label=cat&index=13",
        1500,
    ),
    "training-curves.webp": ("Training_curves?with=plain32", 800),
    "film.webp": ("Film?model=resnet32&step=1032", 1000),
    "confusion-matrix.webp": ("Confusion_matrix?model=resnet32", 900),
    "gradients.webp": ("Gradients?model=resnet32", 1100),
    "compare.webp": ("Compare?model=resnet32&at=50", 3150),
    "collapse.webp": ("Confusion_matrix?model=collapsed_lenet", 720),
    "large-maps.webp": (f"Feature_maps?model={LARGE}&layer=relu1&unit=29", 1000),
    "large-unit.webp": (f"Unit?model={LARGE}", 1500),
}
LIVE = "live.webp"
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
STILL = (
    "() => !document.querySelector('[data-testid=\"stStatusWidget\"]') && "
    '!document.querySelector(\'[data-testid="stSkeleton"], [data-testid="stMain"] '
    '[data-testid="stProgress"]\')'
)


def main():
    wanted = sys.argv[1:] or [*SHOTS, LIVE]
    with tempfile.TemporaryDirectory() as runs:
        os.environ["CONVSCOPE_RUNS"] = runs
        with server() as app, browser() as chromium:
            for name, (address, height) in SHOTS.items():
                if name in wanted:
                    shoot(chromium, name, f"{app}/{address}", height)
            if LIVE in wanted:
                live = f"{app}/Training_curves?model={train_for_a_while()}"
                shoot(chromium, LIVE, live, 1000)


@contextmanager
def server():
    """The address of the app, served as long as this lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)], cwd=ROOT
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def browser():
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=SWITCHES)
        yield chromium
        chromium.close()


def shoot(chromium, name, address, height):
    page = chromium.new_page(viewport={"width": 1400, "height": height})
    page.goto(address)
    page.wait_for_selector("h1", timeout=60_000)
    page.wait_for_timeout(1000)
    page.wait_for_function(STILL, timeout=180_000)  # the strongest images are looked up once
    page.wait_for_timeout(2500)  # charts draw after the page stands still
    if name == HOME:  # whose film is to be at its end
        last = open_run(LARGE).events_of("epoch")[-1]["step"]
        page.get_by_text(f"step {last:,}", exact=True).wait_for()
    save(page, name)
    page.close()


def save(page, name, **options):
    """Write what a page shows to docs/images; options: of Playwright's screenshot."""
    picture = Image.open(io.BytesIO(page.screenshot(**options))).convert("RGB")
    # maps of photographs are large without loss
    picture.save(
        ROOT / "docs" / "images" / name, quality=88, method=6, lossless=not name.startswith("large")
    )
    print(f"docs/images/{name}")


def train_for_a_while():
    """The id of a run on digits that is half trained, and goes on."""
    run_id = launcher.start_new(Order("resnet32", "digits", recipe("one_cycle", epochs=60)))
    while not any(row["progress"] > 0.4 for row in open_run(run_id).events_of("epoch")):
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
