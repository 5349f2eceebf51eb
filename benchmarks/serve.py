"""The app as its users feel it: first pixels, a key press to new pixels, and a class of thirty.

    python -m benchmarks.serve                    # all of it, about six minutes
    python -m benchmarks.serve home keys          # only some of: home, keys, train, load,
                                                  # switches
    python -m benchmarks.serve --smallest         # once each: whether it measures, not how fast

Every part starts its own `streamlit run app.py` on a free port of 127.0.0.1, with a temporary
folder of runs in which lies an untrained ResNet-18 in its ImageNet form (224 x 224, so a layer has
up to 512 maps).

- home: from the first address typed in a fresh browser profile, to the heading and the first filter
  picture decoded; three fresh servers, and three more beside a thousand runs.
- keys: on Feature maps in a browser, from the keydown event to the frame in which the new layer's
  picture is decoded: J through the 512-map layers, which the server has not computed yet, K back
  through the same ones, which it has; then the arrow keys, from unit to unit: the unit's map laid
  over the input, and the map beside it. Timed inside the page by performance.now().
- train: from the press of Train, on digits, with torch in, to the frame in which the button has
  changed, and to that in which the training stands in the sidebar. Its first steps, which come
  later, are a part of `benchmarks.training`.
- load: N sessions speak Streamlit's own protocol over WebSockets, each changing layer or unit on
  Feature maps every four seconds on average, from sending to the message that the script has
  finished. Each answer is checked: no exception or error box, and the layer and unit asked for.
  "alone" is one such session. The clients run on the same machine and take their share of it.
- switches: each page after a click in the menu, with torch in, until its script has ended and all
  its pictures are there; and two pages of Streamlit, an empty one, which is the least there can be,
  and one with a chart and a table, for which the browser fetches programs the first time.

Prints Markdown tables; the last column is the figure divided by its target. Of fewer than 20
figures the 95th percentile is the largest. Where a page no longer shows what is waited for, it ends
with a sentence that says so. Needs Playwright, Debian's chromium and websockets.
"""

import argparse
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from playwright.sync_api import Error

from benchmarks import tables
from benchmarks.browser import browser_page, must_show, settle
from benchmarks.crowd import crowd
from benchmarks.servers import make_run, make_runs, server
from benchmarks.switches import measure_switches

LARGE, SHIPPED = "resnet18", "resnet32"  # the second is what the app opens on
FIRST_512 = "layer4.0.conv1"
NEW_LAYER = "next layer of 512 maps, not computed yet"
SAME_LAYER = "layer of 512 maps, computed before"
UNIT_OVER_INPUT = "arrow key to the unit over the input"
UNIT_MAP = "arrow key to the unit's map"
SIGN = "a sign, after Train"
STANDS = "the training in the sidebar, after Train"
HOME = "Home, first pixels"
# milliseconds; a minimal page of Streamlit takes 2,200 at first and 150 for a new picture
TARGETS = {
    HOME: 2500,
    NEW_LAYER: 400,
    SAME_LAYER: 250,
    UNIT_OVER_INPUT: 250,
    UNIT_MAP: 400,
    SIGN: 300,
    STANDS: 1500,
    "alone": 100,
    "sessions": 300,
}


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    starts: int = 3  # of Home
    runs: int = 1000  # that lie beside each other then
    rounds: int = 4  # through the pages
    pages: int = 100  # at most, besides Home
    presses: int = 9  # of each key, at most 12
    filling: float = 10  # seconds in which a form is filled in, and what the server warms up comes
    sessions: int = 30  # at a time
    changes: int = 10  # of each session
    pause: float = 4  # seconds between them, on average
    models: tuple = (LARGE, SHIPPED)  # that the sessions look at


SMALLEST = Sizes(
    starts=1,
    runs=3,
    rounds=1,
    pages=2,
    presses=1,
    filling=0,
    sessions=1,
    changes=1,
    pause=0,
    models=(SHIPPED,),
)


def main(arguments=None):
    options = _options(arguments)
    sizes = replace(Sizes(), sessions=options.sessions, presses=options.presses)
    if options.smallest:
        sizes = SMALLEST
    wanted = [part for part in PARTS if part in (options.parts or PARTS)]
    if wanted != ["switches"]:  # which has a table of its own, and comes last
        columns = ("what", "median, ms", "95th percentile, ms", "target for the median, ms")
        tables.begin(*columns, "median / target", texts=1)
    for part in wanted:
        # a run that one part leaves would be said in the sidebar of the next
        with tempfile.TemporaryDirectory() as runs:
            PARTS[part](Path(runs), sizes)


def _options(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("parts", nargs="*", choices=[[], *PARTS], metavar="part", help="which (default: all)")
    add("--sessions", type=int, default=30, help="how many at a time in `load`")
    add("--presses", type=int, default=9, help="of each key in `keys`, at most 12")
    add("--smallest", action="store_true", help="one start, one press, one session")
    return parser.parse_args(arguments)


def add_row(name, milliseconds, target):
    if not milliseconds:
        raise SystemExit(f"{name}: nothing was measured")
    median = statistics.median(milliseconds)
    late = tables.percentile_95(milliseconds)
    tables.add(name, f"{median:,.0f}", f"{late:,.0f}", f"{target:,}", f"{median / target:.2f}")


# Home


def measure_home(runs, sizes):
    add_row(HOME, _starts(runs, sizes.starts), TARGETS[HOME])
    with tempfile.TemporaryDirectory() as folder:
        make_runs(Path(folder), sizes.runs)
        name = f"{HOME}, {sizes.runs:,} runs of one's own"
        add_row(name, _starts(Path(folder), sizes.starts), TARGETS[HOME])


def _starts(runs, count):
    """Milliseconds to the first pixels, of so many fresh servers."""
    taken = []
    for _ in range(count):
        with server(runs) as address, browser_page() as page:
            start = time.perf_counter()
            page.goto(address, wait_until="commit")
            with must_show("Home", "a heading and the picture of the first filters"):
                page.wait_for_function(HOME_IS_DRAWN)
            taken.append((time.perf_counter() - start) * 1000)
    return taken


HOME_IS_DRAWN = """() => {
  const main = document.querySelector('[data-testid="stMain"]');
  const picture = main?.querySelector('[data-testid="stImage"] img');
  return main?.querySelector('h1')?.innerText && picture?.complete && picture.naturalWidth > 0;
}"""


# Keys


def measure_keys(runs, sizes):
    make_run(runs, LARGE, (3, 224, 224))
    with server(runs) as address, browser_page() as page:
        page.goto(f"{address}/Feature_maps?model={LARGE}&layer={FIRST_512}")
        with must_show("Feature maps", "the picture of all maps"):
            page.locator(".frame img").wait_for()
            settle(page)
        page.evaluate(FIND_PICTURES)
        measure_presses(page, "j", LAYER, NEW_LAYER, sizes.presses)
        measure_presses(page, "k", LAYER, SAME_LAYER, sizes.presses)
        with must_show("Feature maps", "a way to lay the unit's map over the input"):
            page.get_by_text("the map over it").click()
        page.locator(".frame").focus()
        measure_presses(page, "ArrowRight", OVERLAY, UNIT_OVER_INPUT, sizes.presses)
        measure_presses(page, "ArrowRight", MAP, UNIT_MAP, sizes.presses)


def measure_presses(page, key, picture, name, count):
    taken = [press(page, key, picture) for _ in range(count)]
    add_row(name, taken, TARGETS[name])


def press(page, key, picture, patience=15):
    """Press a key; milliseconds from its keydown event to the first frame in which another picture
    than before is decoded, or the same by another name: batch normalisation, untrained, changes
    nothing. picture: JavaScript that finds its element. A key without an answer for `patience`
    seconds is said to be lost, and pressed once more. SystemExit where there is no such picture, or
    none that is new after that.
    """
    with must_show("Feature maps", f"a new picture at {picture} after the key {key}"):
        try:
            return _pressed(page, key, picture, patience)
        except Error as error:
            if "nothing new" not in error.message:
                raise
        print(f"the key {key} had no answer and is pressed once more", file=sys.stderr)
        return _pressed(page, key, picture, patience)


def _pressed(page, key, picture, patience):
    page.evaluate(WATCH.replace("PICTURE", picture).replace("PATIENCE", str(1000 * patience)))
    page.keyboard.press(key)
    milliseconds = page.evaluate("() => window.taken")
    settle(page)
    return milliseconds


# components live in shadow roots
FIND_PICTURES = """() => {
  window.shown = picture =>
    [...document.querySelectorAll('[data-testid="stBidiComponentIsolated"]')]
      .map(component => component.shadowRoot?.querySelector(picture))
      .find(Boolean);
}"""
LAYER = "window.shown('.frame img')"
OVERLAY = "window.shown('.picture .over')"
MAP = "window.shown('.map .plain')"
WATCH = """() => {
  const state = () => PICTURE?.src && PICTURE.alt + PICTURE.src, before = state();
  if (!before) throw new Error('there is no such picture');
  window.taken = new Promise((resolve, reject) => window.addEventListener('keydown', event => {
    const start = event.timeStamp;
    const frame = async now => {
      if (now - start > PATIENCE) return reject(new Error('nothing new within PATIENCE ms'));
      if (!state() || state() === before) return requestAnimationFrame(frame);
      await PICTURE.decode();
      requestAnimationFrame(() => resolve(performance.now() - start));
    };
    requestAnimationFrame(frame);
  }, {capture: true, once: true}));
}"""


# Train


def measure_train(runs, sizes):
    taken = [_begun(runs, sizes) for _ in range(sizes.starts)]
    for name, milliseconds in zip((SIGN, STANDS), zip(*taken, strict=True), strict=True):
        add_row(name, milliseconds, TARGETS[name])


def _begun(runs, sizes):
    """Milliseconds to both, of one press, on a server that no other training slows."""
    shows = "the form of a training, and then its training"
    with server(runs) as address, browser_page() as page, must_show("Training curves", shows):
        page.goto(f"{address}/Feature_maps?model=digits_three_layer")  # which needs torch
        settle(page)
        page.goto(f"{address}/Training_curves?model=digits_three_layer")
        page.get_by_text("Train a model").click()
        page.get_by_role("button", name="Train", exact=True).wait_for()
        settle(page)
        page.wait_for_timeout(sizes.filling * 1000)
        taken = page.evaluate(PRESS_TRAIN)
        page.get_by_text("of the test images right, after").wait_for()
    return taken


PRESS_TRAIN = """() => new Promise((resolve, reject) => {
  const said = () => document.querySelector('.st-key-trainings')?.innerText.trim();
  if (said()) return reject(new Error(`something is said of trainings already: ${said()}`));
  const button = document.querySelector('.st-key-train_press button');
  const isPale = () => button.isConnected && getComputedStyle(button).opacity < 1;
  if (isPale()) return reject(new Error('the button looks as if it had been pressed'));
  button.focus();
  button.click();
  const start = performance.now(), taken = [];
  const frame = now => {
    if (now - start > 30000) return reject(new Error('no sign within 30 s'));
    if (!taken.length && (isPale() || said())) taken.push(performance.now() - start);
    if (!said()) return requestAnimationFrame(frame);
    resolve([...taken, performance.now() - start]);
  };
  requestAnimationFrame(frame);
})"""


# Load


def measure_load(runs, sizes):
    if LARGE in sizes.models:
        make_run(runs, LARGE, (3, 224, 224))
    for model in sizes.models:
        with server(runs) as address:
            pause = min(0.5, sizes.pause)
            alone = crowd(address, model, 1, pause=pause, reruns=sizes.changes)
            if alone.faults:
                raise SystemExit(
                    f"{model}, alone: {alone.faults[0]}. Has Feature maps changed? Then "
                    "benchmarks/crowd.py must look for something else."
                )
            add_row(f"{model}, alone", alone.reruns, TARGETS["alone"])
            many = crowd(address, model, sizes.sessions, pause=sizes.pause, reruns=sizes.changes)
            add_rows_of_many(f"{model}, {sizes.sessions} sessions", many)


def add_rows_of_many(name, many):
    note = (
        f"{len(many.reruns)} reruns, {many.per_second:.1f} a second, "
        f"{many.kilobytes:.0f} kB each, {len(many.faults)} wrong"
    )
    add_row(f"{name}: {note}", many.reruns, TARGETS["sessions"])
    add_row(f"{name}: first pages within 4 s, server warm", many.firsts, TARGETS[HOME])
    for fault in sorted(set(many.faults))[:5]:
        print(f"{many.faults.count(fault)} times: {fault}", file=sys.stderr)


PARTS = {
    "home": measure_home,
    "keys": measure_keys,
    "train": measure_train,
    "load": measure_load,
    "switches": measure_switches,
}


if __name__ == "__main__":
    # an exit, so that the server is stopped too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
