"""From a click in the menu until the page stands, beside an empty page of Streamlit: a part of
benchmarks/serve.py.
"""

import statistics
import tempfile
from pathlib import Path

from benchmarks import tables
from benchmarks.browser import browser_page, must_show, settle
from benchmarks.servers import server
from vizlib.ui.frame import links

TARGET = 1500  # milliseconds
HOME = "Home"
MODEL = "resnet32"  # that the app opens on
EMPTY = "import streamlit as st\n\nst.title({!r})\n"  # one line of words
# what a page with a chart and a table takes at least, the first time above all: the browser fetches
# and reads the programs that draw them
CHART = (
    EMPTY
    + """import plotly.graph_objects as go

st.plotly_chart(go.Figure(go.Scatter(y=[3, 1, 2])))
st.dataframe([dict(a=1, b=2)])
"""
)
FLOOR = {"Other": EMPTY, "Chart": CHART, HOME: EMPTY}
# A page stands when it is the one asked for, its script has ended, nothing of it is grey or still
# to come, and all its pictures are there; of the first moment from which on that is so for 0.4
# seconds.
CLICK = """([path, label]) => new Promise((resolve, reject) => {
  const app = document.querySelector('[data-testid="stApp"]').dataset;
  const links = [...document.querySelectorAll('[data-testid="stSidebar"] a')];
  const link = links.find(one => one.innerText.endsWith(label));
  if (!link) return reject(new Error('there is no way to ' + label));
  const start = performance.now();
  let since = 0;
  const pictures = root => [...root.querySelectorAll('*')].flatMap(one =>
    [...(one.tagName === 'IMG' ? [one] : []), ...(one.shadowRoot ? pictures(one.shadowRoot) : [])]);
  const stands = () => location.pathname === path && app.testScriptState === 'notRunning'
    && document.querySelector('h1')
    && !document.querySelector('[data-stale="true"], [data-testid="stSkeleton"]')
    && pictures(document.querySelector('[data-testid="stMain"]')).every(one => one.complete);
  const look = () => {
    const now = performance.now();
    if (!stands()) since = 0;
    else since ||= now;
    if (now - start > 60000) return reject(new Error(path + ' does not stand after 60 seconds'));
    return since && now - since > 400 ? resolve(since - start) : setTimeout(look, 10);
  };
  link.click();
  setTimeout(look, 10);
})"""


def measure_switches(runs, sizes):
    """Go through all pages by the menu, again and again; the first time apart."""
    titles = [*links.titles()[1 : 1 + sizes.pages], HOME]
    tables.begin(
        "the page, after a click in the menu",
        "first time, ms",
        "again, median, ms",
        "target, ms",
        "again / target",
        texts=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        _write_empty(Path(folder))
        with server(runs, app=Path(folder) / f"{HOME}.py") as address:
            taken = _go_through(address, [*FLOOR], sizes.rounds)
    empty = zip(taken["Other"], taken[HOME], strict=True)
    _add("An empty page of Streamlit", [max(both) for both in empty])
    _add("One with a chart and a table", taken["Chart"])
    with server(runs) as address:
        taken = _go_through(f"{address}/Feature_maps?model={MODEL}", titles, sizes.rounds)
    for title, milliseconds in taken.items():
        _add(title, milliseconds)


def _write_empty(folder):
    (folder / "pages").mkdir()
    for number, (title, script) in enumerate(FLOOR.items(), 1):
        path = f"{HOME}.py" if title == HOME else f"pages/{number}_{title}.py"
        (folder / path).write_text(script.format(title))


def _go_through(begin, titles, rounds):
    """{title: milliseconds, the first time and so many times again} of pages by their titles."""
    taken = {title: [] for title in titles}
    with browser_page() as page:
        page.goto(begin)
        with must_show("first opened", "a heading"):
            page.wait_for_selector("h1")
            settle(page)
        for _ in range(1 + rounds):
            for title in titles:
                with must_show(title, "itself after a click in the menu"):
                    path = f"/{links.address_of(title, {})}"
                    taken[title].append(page.evaluate(CLICK, [path, title]))
    return taken


def _add(words, milliseconds):
    first, *again = milliseconds
    median = statistics.median(again)
    tables.add(words, f"{first:,.0f}", f"{median:,.0f}", f"{TARGET:,}", f"{median / TARGET:.2f}")
