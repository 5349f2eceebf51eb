"""The app as its users feel it: first pixels, a key press to new pixels, and a class of thirty.

    python -m benchmarks.serve                    # all of it, about four minutes
    python -m benchmarks.serve home keys          # only some of: home, keys, load

Every part starts its own `streamlit run app.py` on a free port of 127.0.0.1, with a temporary
folder of runs in which lie an untrained ResNet-18 in its ImageNet form (224 x 224, so a layer has
up to 512 maps) and, should the model that the app opens on not be shipped yet, an untrained one of
that name.

- home: from the first address typed in a fresh browser profile, to the heading and the first filter
  picture decoded; three fresh servers.
- keys: on Feature maps in a browser, from the keydown event to the frame in which the new layer's
  picture is decoded: J through the 512-map layers, which the server has not computed yet, K back
  through the same ones, which it has; then the arrow keys, from unit to unit: the unit laid over
  the input, and its chart. Timed inside the page by performance.now().
- load: N sessions speak Streamlit's own protocol over WebSockets, each changing layer or unit on
  Feature maps every four seconds on average, from sending to the message that the script has
  finished. Each answer is checked: no exception or error box, and the atlas is that of the layer
  asked for. "alone" is one such session. The clients run on the same machine and take their share
  of it.

Prints one Markdown table; the last column is the figure divided by its target. Of fewer than 20
figures the 95th percentile is the largest. Needs Playwright, Debian's chromium and websockets.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import websockets
from playwright.sync_api import sync_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from vizlib.images import photograph_names

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = dict(
    executable_path="/usr/bin/chromium",
    args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
)
LARGE, SHIPPED = "resnet18", "resnet32"  # the second is what the app opens on
FIRST_512 = "layer4.0.conv1"
# milliseconds; a minimal page of Streamlit takes 2,200 at first and 150 for a new picture
TARGETS = {
    "Home, first pixels": 3000,
    "next layer of 512 maps, not computed yet": 400,
    "layer of 512 maps, computed before": 250,
    "arrow key to the unit over the input": 250,
    "arrow key to the unit's chart": 400,
    "alone": 100,
    "sessions": 300,
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", choices=[[], *PARTS], metavar="part", help="which parts (default: all)"
    )
    parser.add_argument("--sessions", type=int, default=30, help="how many at a time in `load`")
    parser.add_argument(
        "--presses", type=int, default=9, help="how often each key is pressed in `keys`, at most 12"
    )
    options = parser.parse_args()
    # an exit, so that the server is stopped too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(
        "| what | median, ms | 95th percentile, ms | target for the median, ms | median / "
        "target |\n|---|---:|---:|---:|---:|",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as runs:
        make_run(Path(runs), LARGE, LARGE, (3, 224, 224))
        make_run(Path(runs), SHIPPED, SHIPPED, (3, 32, 32))
        for part in options.parts or PARTS:
            PARTS[part](runs, options)


def row(name, milliseconds, target):
    if not milliseconds:
        raise SystemExit(f"{name}: nothing was measured")
    median, late = (
        statistics.median(milliseconds),
        sorted(milliseconds)[min(len(milliseconds) - 1, int(0.95 * len(milliseconds)))],
    )
    print(
        f"| {name} | {median:,.0f} | {late:,.0f} | {target:,} | {median / target:.2f} |", flush=True
    )


# Home


def measure_home(runs, options):
    taken = []
    for _ in range(3):
        with server(runs) as address, browser_page() as page:
            start = time.perf_counter()
            page.goto(address, wait_until="commit")
            page.wait_for_function(HOME_IS_DRAWN, timeout=60_000)
            taken.append((time.perf_counter() - start) * 1000)
    row("Home, first pixels", taken, TARGETS["Home, first pixels"])


HOME_IS_DRAWN = """() => {
  const main = document.querySelector('[data-testid="stMain"]');
  const picture = main?.querySelector('[data-testid="stImage"] img');
  return main?.querySelector('h1')?.innerText && picture?.complete && picture.naturalWidth > 0;
}"""


# Keys


def measure_keys(runs, options):
    with server(runs) as address, browser_page() as page:
        page.goto(f"{address}/Feature_maps?model={LARGE}&layer={FIRST_512}")
        page.locator(".frame img").wait_for(timeout=60_000)
        settle(page)
        page.evaluate(FIND_ATLAS)
        for key, name in (
            ("j", "next layer of 512 maps, not computed yet"),
            ("k", "layer of 512 maps, computed before"),
        ):
            row(
                name,
                [press(page, key, LAYER_IS_DRAWN) for _ in range(options.presses)],
                TARGETS[name],
            )
        page.locator(".frame").focus()
        for check, name in (
            (OVERLAY_IS_DRAWN, "arrow key to the unit over the input"),
            (CHART_IS_DRAWN, "arrow key to the unit's chart"),
        ):
            row(
                name,
                [press(page, "ArrowRight", check) for _ in range(options.presses)],
                TARGETS[name],
            )


def press(page, key, check):
    """Press a key; milliseconds from its keydown event to the first frame in which `check(before)`
    holds, a function that returns what is drawn.
    """
    page.evaluate(WATCH.replace("CHECK", check))
    page.keyboard.press(key)
    milliseconds = page.evaluate("() => window.taken")
    settle(page)
    return milliseconds


def settle(page):
    page.wait_for_function(
        "() => document.querySelector('[data-testid=\"stApp\"]').dataset.testScriptState === "
        "'notRunning'",
        timeout=60_000,
    )
    page.wait_for_timeout(400)


# a component lives in a shadow root
FIND_ATLAS = """() => {
  const components = () =>
    [...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')];
  const picture = element => element.shadowRoot?.querySelector('.frame img');
  window.atlas = () => components().map(picture).find(Boolean);
}"""
LAYER_IS_DRAWN = "() => { const picture = window.atlas(); return {state: picture?.alt, picture}; }"
OVERLAY_IS_DRAWN = """() => {
  const picture = document.querySelector('img[alt^="where unit"]');
  return {state: picture?.alt, picture};
}"""
CHART_IS_DRAWN = "() => ({state: document.querySelector('.js-plotly-plot')?.data?.[0]?.z})"
WATCH = """() => {
  const look = CHECK, before = look().state;
  window.taken = new Promise((resolve, reject) => window.addEventListener('keydown', event => {
    const start = event.timeStamp;
    const frame = async now => {
      const {state, picture} = look();
      if (now - start > 30000) return reject('nothing new in 30 seconds');
      if (!state || state === before) return requestAnimationFrame(frame);
      if (picture) await picture.decode();
      requestAnimationFrame(() => resolve(performance.now() - start));
    };
    requestAnimationFrame(frame);
  }, {capture: true, once: true}));
}"""


# Load


def measure_load(runs, options):
    for model in (LARGE, SHIPPED):
        with server(runs) as address:
            alone = asyncio.run(crowd(address, model, 1, pause=0.5))
            row(f"{model}, alone", alone["reruns"], TARGETS["alone"])
            many = asyncio.run(crowd(address, model, options.sessions, pause=4))
            faults = many["faults"] + alone["faults"]
            note = (
                f"{len(many['reruns'])} reruns, {many['per_second']:.1f} a second, "
                f"{many['kilobytes']:.0f} kB each, {len(faults)} wrong"
            )
            row(
                f"{model}, {options.sessions} sessions: {note}", many["reruns"], TARGETS["sessions"]
            )
            row(
                f"{model}, {options.sessions} sessions: first pages within 4 s, server warm",
                many["firsts"],
                TARGETS["Home, first pixels"],
            )
            for fault in sorted(set(faults))[:5]:
                print(f"{faults.count(fault)} times: {fault}", file=sys.stderr)


async def crowd(address, model, count, *, pause, reruns=10):
    """`count` sessions at once, each with a first page and then `reruns` changes, `pause` seconds
    apart on average.
    """
    found = {"firsts": [], "reruns": [], "faults": [], "bytes": 0}
    start = time.perf_counter()
    await asyncio.gather(
        *(session(address, model, number, pause, reruns, found) for number in range(count))
    )
    found["per_second"] = (len(found["reruns"]) + len(found["firsts"])) / (
        time.perf_counter() - start
    )
    found["kilobytes"] = found["bytes"] / 1000 / max(1, len(found["reruns"]) + len(found["firsts"]))
    return found


async def session(address, model, number, pause, reruns, found):
    chance = random.Random(number)
    photographs = photograph_names()
    await asyncio.sleep(chance.random() * pause)
    try:
        stream = address.replace("http", "ws") + "/_stcore/stream"
        async with websockets.connect(
            stream, subprotocols=["streamlit"], max_size=None, open_timeout=60, ping_interval=None
        ) as socket:
            message = BackMsg()
            message.rerun_script.query_string = (
                f"model={model}&photo={photographs[number % len(photographs)]}"
            )
            message.rerun_script.page_name = "Feature_maps"
            page = await exchange(socket, message, found, "firsts")
            for _ in range(reruns):
                await asyncio.sleep(pause * (0.5 + chance.random()))
                message = change(message, page, chance)
                page = await exchange(socket, message, found, "reruns")
    except (OSError, TimeoutError, websockets.WebSocketException, KeyError) as error:
        found["faults"].append(f"{type(error).__name__}: {str(error)[:100]}")


def change(last, page, chance):
    """What the browser sends when another layer is chosen, or another unit: all widgets that were
    ever touched, as they stand now.
    """
    message = BackMsg()
    message.CopyFrom(last)
    message.rerun_script.page_script_hash = page["hash"]
    states = message.rerun_script.widget_states.widgets
    if chance.random() < 0.5:
        widget, value = page["layer"], dict(string_value=chance.choice(page["layer"].options))
    else:
        widget, value = page["unit"], dict(double_value=chance.randint(0, int(page["unit"].max)))
    kept = [state for state in states if state.id != widget.id]
    del states[:]
    states.extend(kept)
    states.add(id=widget.id, **value)
    return message


async def exchange(socket, message, found, kind):
    """Send, receive until the script has finished, note the milliseconds and what was wrong.
    Returns what the page holds.
    """
    page = {"faults": []}
    start = time.perf_counter()
    await socket.send(message.SerializeToString())
    while True:
        content = await asyncio.wait_for(socket.recv(), 120)
        found["bytes"] += len(content)
        answer = ForwardMsg.FromString(content)
        if answer.WhichOneof("type") == "script_finished":
            break
        read(answer, page)
    found[kind].append((time.perf_counter() - start) * 1000)
    chosen = [
        state.string_value
        for state in message.rerun_script.widget_states.widgets
        if state.id.endswith("-layer")
    ]
    if "Feature maps of" not in page.get("title", ""):
        page["faults"].append("not the page Feature maps")
    elif (
        not page.get("atlas", "").endswith(f"feature maps of {''.join(chosen)}" if chosen else "")
        or "atlas" not in page
    ):
        page["faults"].append(f"not the atlas of {chosen}")
    found["faults"] += page["faults"]
    return page


def read(answer, page):
    """Keep what a message of the server says about the page."""
    if answer.WhichOneof("type") == "navigation":
        page["hash"] = answer.navigation.page_script_hash
    if answer.WhichOneof("type") == "page_not_found":
        page["faults"].append("page not found")
    element = answer.delta.new_element
    kind = element.WhichOneof("type")
    if kind == "exception" or (kind == "alert" and element.alert.format == element.alert.ERROR):
        page["faults"].append(f"{kind}: {(element.exception.message or element.alert.body)[:100]}")
    elif kind == "heading" and element.heading.tag == "h1":
        page["title"] = element.heading.body
    elif kind == "bidi_component":
        page["atlas"] = json.loads(element.bidi_component.json)["alt"]
    elif kind == "selectbox" and element.selectbox.label == "Layer":
        page["layer"] = element.selectbox
    elif kind == "number_input" and element.number_input.label.startswith("Unit"):
        page["unit"] = element.number_input


# Servers and browsers


@contextmanager
def server(runs):
    """The address of a fresh server, from the moment that it says it is healthy."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = [
        "--server.port",
        str(port),
        "--server.address",
        "127.0.0.1",
        "--server.headless",
        "true",
    ]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", *settings]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"CONVSCOPE_RUNS": str(runs)},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for_health(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.seek(0)
            written = log.read()
            if "Traceback" in written:
                print(
                    f"the server wrote:\n{written[written.index('Traceback') :][:2000]}",
                    file=sys.stderr,
                )


def wait_for_health(process, port, log):
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


@contextmanager
def browser_page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        try:
            yield browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
        finally:
            browser.close()


def make_run(folder, name, architecture, input_size):
    """An untrained run of five classes; in a process of its own, so that this one stays small."""
    subprocess.run(
        [sys.executable, "-c", MAKE_RUN, str(folder / name), architecture, *map(str, input_size)],
        cwd=ROOT,
        check=True,
    )


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
filters = next(weight for weight in model.parameters() if weight.ndim == 4)
save_weights({"conv1/00000000": filters}, folder / "snapshots.safetensors")
"""
PARTS = {"home": measure_home, "keys": measure_keys, "load": measure_load}


if __name__ == "__main__":
    main()
