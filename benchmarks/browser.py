"""A browser for the benchmarks, and what they wait for in it."""

from contextlib import contextmanager

from playwright.sync_api import Error, sync_playwright

CHROMIUM = dict(
    executable_path="/usr/bin/chromium",
    args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
)


@contextmanager
def browser_page():
    """A page of a fresh browser, as wide as a small laptop's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        try:
            page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
            page.set_default_timeout(60_000)
            yield page
        finally:
            browser.close()


@contextmanager
def must_show(page_name, what):
    """Turns what a browser says of a page that lacks something into a sentence, and ends."""
    try:
        yield
    except Error as error:
        raise SystemExit(
            f"The page {page_name} does not show {what}: has it changed? Then benchmarks/serve.py "
            f"must look for something else. The browser says: {error.message.splitlines()[0]}"
        ) from None


def settle(page):
    """Wait until the page has been connected, and no script has run, for 0.4 seconds on end."""
    page.evaluate(QUIET)


QUIET = """() => new Promise((resolve, reject) => {
  const app = document.querySelector('[data-testid="stApp"]').dataset, start = performance.now();
  let since = start;
  const look = () => {
    const now = performance.now();
    const isQuiet = app.testScriptState === 'notRunning' && app.testConnectionState === 'CONNECTED';
    if (!isQuiet) since = now;
    if (now - start > 60000) return reject(new Error('the script has not ended in 60 seconds'));
    return now - since > 400 ? resolve() : setTimeout(look, 20);
  };
  look();
})"""
