"""A class on one server: what thirty pupils wait for, while one network trains.

    python -m benchmarks.classroom                # thirty sessions and three browsers, ten minutes
    python -m benchmarks.classroom --hour         # the same for an hour
    python -m benchmarks.classroom --smallest     # a few pages each: whether it measures

A server is started anew, with no run of its own. Thirty sessions that speak Streamlit's own
protocol, and three browsers, go through the models that ship, in an order of their own, and through
all pages of each, with a picture of their own, and think between them for some seconds. From
the beginning a network trains on digits, again and again, and what excites the units of resnet32 is
looked up. The clients run on the same machine: the sessions take little of it, and the browsers,
which in a class have processors of their own, what the others leave.

Each page is checked: no exception, no box with an error, and the model that was asked for in its
title. Printed: for each page how often it was opened, the median, the 95th percentile and the
longest, from sending to the message that the script has ended (in a browser until nothing is on its
way any more); what was wrong; the server's memory after half of the time and at the end.

Needs Playwright, Debian's chromium and websockets.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import websockets
from playwright.async_api import Error, async_playwright
from streamlit.proto.BackMsg_pb2 import BackMsg

from benchmarks import tables
from benchmarks.browser import CHROMIUM
from benchmarks.crowd import connection, exchange, opening
from benchmarks.servers import resident_bytes, server
from vizlib.run import folders

ROOT = Path(__file__).resolve().parent.parent
NO_MODEL = ("Data", "Check", "Import", "Lessons")  # pages whose title names none
INDEXED = "resnet32"
PUPILS = CHROMIUM | {"executable_path": str(Path(__file__).with_name("pupils_browser.sh"))}
POLLING = 100  # milliseconds between two looks at whether a browser's page is settled
SAMPLE_SECONDS = 5  # between two looks at the memory
SETTLED = """() => document.querySelector('[data-test-script-state="notRunning"]') &&
  !document.querySelector('[data-testid="stStatusWidget"], [data-testid="stSkeleton"]')"""


@dataclass(frozen=True)
class Sizes:
    """How large the class is, and for how long."""

    sessions: int = 30
    browsers: int = 3
    seconds: float = 600
    pause: float = 8  # seconds between two pages, on average
    most_models: int = 1000


SMALLEST = Sizes(sessions=2, browsers=1, seconds=12, pause=0.2, most_models=2)


@dataclass
class Measured:
    """milliseconds: by page, of sessions and of browsers. faults: what was wrong, in words.
    memory: (seconds since the beginning, bytes).
    """

    sessions: dict = field(default_factory=lambda: defaultdict(list))
    browsers: dict = field(default_factory=lambda: defaultdict(list))
    faults: list = field(default_factory=list)
    memory: list = field(default_factory=list)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--hour", action="store_true", help="the same as --minutes 60")
    parser.add_argument("--smallest", action="store_true", help="a few pages of two models")
    options = parser.parse_args(arguments)
    sizes = replace(Sizes(), seconds=60 * (60 if options.hour else options.minutes))
    if options.smallest:
        sizes = SMALLEST
    with tempfile.TemporaryDirectory() as runs:
        os.environ["CONVSCOPE_RUNS"] = runs
        with server(Path(runs)) as address:
            measured = asyncio.run(_class(address, sizes))
        _end_trainings()
    _tell(measured, sizes)
    if measured.faults:
        raise SystemExit(f"{len(measured.faults)} pages were wrong")


def pages():
    """The pages as an address names them, Home first."""
    names = [path.stem.partition("_")[2] for path in sorted((ROOT / "pages").glob("*.py"))]
    return ["", *names]


# The class


async def _class(address, sizes):
    measured, end = Measured(), time.monotonic() + sizes.seconds
    models = [run.run_id for run in folders.list_runs()[0] if run.ships][: sizes.most_models]
    at_work = [
        _session(address, number, models, sizes, end, measured) for number in range(sizes.sessions)
    ]
    others = [_browsers(address, models, sizes, end, measured), _look_up(address, end)]
    beside = [_trains(end), _memory(address, end, measured)]
    await asyncio.gather(*at_work, *others, *beside)
    return measured


def _way(models, number):
    """Models and all pages of each, for ever, in an order of this reader's own."""
    chance = random.Random(number)
    while True:
        for model in chance.sample(models, len(models)):
            yield model, chance.sample(pages(), len(pages()))


async def _session(address, number, models, sizes, end, measured):
    """One who opens each model by a link, and its pages by the menu."""
    await asyncio.sleep(random.Random(number).random() * sizes.pause)
    for model, names in _way(models, number):
        try:
            async with connection(address) as socket:
                message = BackMsg()
                for page_name in names:
                    if time.monotonic() > end:
                        return
                    states = message.rerun_script.widget_states
                    message = opening(page_name, model, number)
                    message.rerun_script.widget_states.CopyFrom(states)
                    page, milliseconds = await exchange(socket, message)
                    if not states.widgets and page.model is not None:
                        # which a browser sends along from then on
                        kept = message.rerun_script.widget_states.widgets
                        kept.add(id=page.model.id, string_value=model)
                    measured.sessions[page_name].append(milliseconds)
                    _check(page.title, page.faults, page_name, model, measured)
                    await asyncio.sleep(sizes.pause * random.Random().uniform(0.5, 1.5))
        except (OSError, TimeoutError, websockets.WebSocketException) as error:
            measured.faults.append(f"{type(error).__name__}: {str(error)[:100]}")


async def _browsers(address, models, sizes, end, measured):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(**PUPILS)
        await asyncio.gather(
            *(
                _browser(browser, address, 1000 + number, models, sizes, end, measured)
                for number in range(sizes.browsers)
            )
        )
        await browser.close()


async def _browser(browser, address, number, models, sizes, end, measured):
    page = await (await browser.new_context()).new_page()
    page.set_default_timeout(180_000)
    visits = ((model, name) for model, names in _way(models, number) for name in names)
    for model, page_name in visits:
        if time.monotonic() > end:
            return
        start = time.perf_counter()
        try:
            await page.goto(f"{address}/{page_name}?model={model}")
            await page.wait_for_selector("h1")
            await page.wait_for_function(SETTLED, polling=POLLING)
            title = await page.inner_text("h1")
            boxes = page.locator("[data-testid='stException'], [data-testid='stAlertContentError']")
            faults = await boxes.all_inner_texts()
        except Error as error:
            title, faults = "", [error.message.splitlines()[0]]
        measured.browsers[page_name].append((time.perf_counter() - start) * 1000)
        _check(title, faults, page_name, model, measured)
        await asyncio.sleep(sizes.pause)


def _check(title, faults, page_name, model, measured):
    """Note what is wrong with a page; of another model than asked for is the worst."""
    named = title.replace("\\", "")
    faults = [fault for fault in faults if "Collapsed" not in fault]  # a verdict on the model
    if not faults and page_name and page_name not in NO_MODEL and model not in named:
        faults = [f"titled {named!r}"]
    measured.faults += [f"{page_name or 'Home'} of {model}: {fault}" for fault in faults]


# What goes on beside it


async def _look_up(address, end):
    """One who opens the strongest images, and waits for them."""
    async with connection(address) as socket:
        while time.monotonic() < end:
            await exchange(socket, opening("Unit", INDEXED, layer="stage2.block1.conv1"))
            await asyncio.sleep(1)


async def _trains(end):
    """One training after the other, each in a process of its own, as the app starts them."""
    from vizlib.training import launcher
    from vizlib.training.order import Order
    from vizlib.training.recipes import recipe

    order = Order("three_layer_module", "digits", recipe("small_set"), name="trains")
    while time.monotonic() < end:
        run_id = await asyncio.to_thread(launcher.start_new, order)
        while time.monotonic() < end and folders.open_run(run_id).is_active:
            await asyncio.sleep(1)


def _end_trainings():
    from vizlib.training import launcher

    for run, _ in launcher.active_runs():
        launcher.request(run, "stop")
    while launcher.active_runs():
        time.sleep(0.2)


async def _memory(address, end, measured):
    start = time.monotonic()
    while time.monotonic() < end:
        kept = resident_bytes(address)
        if kept is not None:
            measured.memory.append((time.monotonic() - start, kept))
        await asyncio.sleep(min(SAMPLE_SECONDS, max(0.1, end - time.monotonic())))


# What is said of it


def _tell(measured, sizes):
    who = f"{sizes.sessions} sessions, {sizes.browsers} browsers, {sizes.seconds:.0f} s"
    tables.begin(
        "page", "opened", "median, ms", "95th percentile, ms", "longest, ms", texts=1, note=who
    )
    for name in pages():
        _add(name or "Home", measured.sessions[name])
    _add("all of them", [one for each in measured.sessions.values() for one in each])
    _add("in a browser", [one for each in measured.browsers.values() for one in each])
    print(f"\n{len(measured.faults)} wrong.")
    for fault in sorted(set(measured.faults))[:20]:
        print(f"{measured.faults.count(fault)} times: {fault}", file=sys.stderr)
    if measured.memory:
        half = [kept for second, kept in measured.memory if second <= sizes.seconds / 2][-1]
        last = measured.memory[-1][1]
        print(f"Memory: {half / 1e6:,.0f} MB after half of the time, {last / 1e6:,.0f} at the end.")


def _add(name, milliseconds):
    if not milliseconds:
        tables.add(name, 0, "", "", "")
        return
    late = tables.percentile_95(milliseconds)
    figures = (statistics.median(milliseconds), late, max(milliseconds))
    tables.add(name, len(milliseconds), *(f"{figure:,.0f}" for figure in figures))


if __name__ == "__main__":
    main()
