"""The app in a real browser: each page by its own address on a fresh server, its picture there, no
error, nothing asked of other hosts.
"""

import re
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

pytestmark = pytest.mark.browser
PICTURES = {  # what must be seen on each page
    "": "[data-testid='stImage'] img",
    "Architecture": ".js-plotly-plot .main-svg",
    "Filters": ".frame img",
    "Feature_maps": ".frame img",
    "Class_evidence": "img[alt^='Grad-CAM for']",
    "Unit": ".st-key-made_picture img",
    "Training_curves": ".js-plotly-plot .main-svg",
    "Film": ".frame img",
    "Confusion_matrix": ".js-plotly-plot .main-svg",
    "Compare": ".frame img",
    "Play": ".board img",
    "Lessons": ".st-key-code img",
    "Data": ".js-plotly-plot .main-svg",
    "Check": "[data-testid='stFileUploader']",
    "Import": "[data-testid='stFileUploader']",
    # of the models that ship only some have gradients noted
    "Gradients": "[data-testid='stAlert'], .js-plotly-plot .main-svg",
}


def settled(page):
    page.wait_for_selector("h1")
    page.wait_for_timeout(300)
    page.wait_for_selector("[data-test-script-state='notRunning']")
    page.wait_for_function(
        "() => !document.querySelector('[data-testid=\"stStatusWidget\"]') && "
        "!document.querySelector('[data-testid=\"stSkeleton\"]')"
    )


def no_error(page):
    assert (
        page.locator(
            "[data-testid='stException'], [data-testid='stAlertContentError']"
        ).all_inner_texts()
        == []
    )


def accessible(page):
    """No serious fault of accessibility by axe's rules, contrast above all, in either theme."""
    from axe_playwright_python.sync_playwright import Axe

    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(
            "scheme => getComputedStyle(document.querySelector('[data-testid=\"stApp\"]'))"
            ".colorScheme === scheme",
            arg=scheme,
        )
        page.wait_for_timeout(300)  # colours change softly
        found = Axe().run(page).response["violations"]
        serious = [
            (scheme, fault["id"], [node["html"][:200] for node in fault["nodes"]])
            for fault in found
            if fault["impact"] in ("serious", "critical")
        ]
        assert serious == []


@pytest.mark.walk
@pytest.mark.parametrize("name", PICTURES)
def test_page_shows_its_picture(page, address, name):
    page.goto(f"{address}/{name}")
    page.wait_for_selector(PICTURES[name], state="visible")
    settled(page)
    no_error(page)
    pictures = "document.querySelectorAll(\"[data-testid='stImage'] img, .frame img\")"
    # every picture is decoded, if not at once
    page.wait_for_function(f"() => [...{pictures}].every(image => image.naturalWidth)")
    accessible(page)


def test_first_deep_link_on_a_fresh_server(page, start_server):
    """The first visitor opens a page by its own address: it must not lean on app.py having run."""
    address, _ = start_server()
    page.goto(f"{address}/Feature_maps?model=plain32&layer=stage2.block1&scale=network&unit=5")
    page.wait_for_selector(".frame img")
    settled(page)
    no_error(page)
    assert page.locator("h1").inner_text() == "Feature maps of plain32"
    assert page.locator("input[type=number]").last.input_value() == "5"
    assert page.get_by_text("Page not found").count() == 0


def test_click_and_keys_move_through_units_and_layers(page, address):
    page.goto(f"{address}/Feature_maps?model=resnet32")
    page.wait_for_selector(".frame img")
    settled(page)
    box = page.locator(".frame img").first.bounding_box()
    # 16 maps in 8 columns
    page.mouse.click(box["x"] + box["width"] * 3.5 / 8, box["y"] + box["height"] * 0.75)
    page.wait_for_url("**unit=11*")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**unit=12*")
    page.get_by_role("link", name="Filters").click()
    page.wait_for_selector("h1:has-text('Filters')")
    settled(page)
    page.go_back()
    page.wait_for_selector("h1:has-text('Feature maps')")
    no_error(page)


def test_pointing_at_a_map_frames_what_it_sees(page, address):
    """Hovering moves the box at once, in the browser; a click and the arrow keys fix a place and
    put it into the address.
    """
    page.goto(f"{address}/Feature_maps?model=lenet&layer=pool1&unit=2")
    page.wait_for_selector(".map img")
    settled(page)
    page.locator(".map").scroll_into_view_if_needed()
    map_box = page.locator(".map").bounding_box()

    def pointer(row, column):
        return map_box["x"] + map_box["width"] * (column + 0.5) / 14, map_box["y"] + map_box[
            "height"
        ] * (row + 0.5) / 14

    def framed():
        return [
            float(page.locator("rect.line").get_attribute(side))
            for side in ("x", "y", "width", "height")
        ]

    for row, column in ((0, 0), (13, 4), (6, 13)):
        page.mouse.move(*pointer(row, column))
        page.get_by_text(
            f"place ({row}, {column}) sees rows {2 * row} to {2 * row + 5}, columns "
            f"{2 * column} to {2 * column + 5} of the input"
        ).wait_for()
        assert framed() == [2 * column, 2 * row, 6, 6]
        assert "place=" not in page.url
    page.mouse.click(*pointer(13, 4))
    page.wait_for_url("**place=13%2C4*")
    page.mouse.move(0, 0)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**place=12%2C5*")
    assert framed() == [10, 24, 6, 6]
    page.locator(".choice input[value=heat]").check(force=True)
    page.locator(".heat").wait_for(state="visible")
    assert page.locator(".heat").evaluate("image => image.naturalWidth") > 0
    assert page.locator("rect.dashed").is_visible()
    assert page.get_by_text("95 % of the influence on it comes from").is_visible()
    page.locator("[data-testid='stNumberInput'] input").last.fill("3")
    page.keyboard.press("Enter")
    page.wait_for_url("**unit=3*")
    page.get_by_text("Unit 3", exact=True).wait_for()
    assert page.locator(".choice input[value=heat]").is_checked()
    assert framed() == [10, 24, 6, 6]
    assert "place=12%2C5" in page.url
    no_error(page)


def test_a_place_too_large_leaves_the_address(page, address):
    page.goto(f"{address}/Feature_maps?model=lenet&layer=pool2&place=3,99")
    page.wait_for_selector(".map img")
    page.wait_for_url(lambda url: "place=" not in url)
    no_error(page)


def test_click_on_a_cell_of_the_matrix(page, address):
    page.goto(f"{address}/Confusion_matrix?model=resnet32")
    page.wait_for_selector(".js-plotly-plot .nsewdrag")
    settled(page)
    box = page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    # fourth column, sixth row
    page.mouse.move(box["x"] + box["width"] * 0.35, box["y"] + box["height"] * 0.55)
    page.wait_for_timeout(300)
    page.mouse.click(box["x"] + box["width"] * 0.35, box["y"] + box["height"] * 0.55)
    page.wait_for_url("**true_first=dog*")
    page.get_by_text("answered cat").wait_for()
    no_error(page)


def test_model_of_a_card_is_the_model_of_the_next_page(page, address):
    page.goto(address)
    settled(page)
    page.locator("[data-testid='stTextInput'] input").first.fill("collapsed_lenet")
    page.keyboard.press("Enter")
    page.get_by_text("Found").wait_for()
    settled(page)
    page.get_by_role("link", name="Look inside").click()
    page.wait_for_selector("h1:has-text('Feature maps of collapsed_lenet')")
    page.wait_for_url("**/Feature_maps?model=collapsed_lenet*")
    settled(page)
    no_error(page)
    page.get_by_role("link", name="Architecture").click()
    page.wait_for_selector("h1:has-text('Architecture of collapsed_lenet')")
    settled(page)
    page.go_back()
    page.wait_for_selector("h1:has-text('Feature maps of collapsed_lenet')")
    page.go_back()
    page.wait_for_selector("h1:has-text('See inside')")
    no_error(page)


@pytest.mark.parametrize("name", ["Training_curves", "Film"])
def test_the_film_neither_blinks_nor_fills_the_history(page, address, name):
    """At every moment a chart is in sight, in one place; and Back leads to the page before, not
    through the frames.
    """
    page.goto(f"{address}/{name}")
    page.wait_for_selector(".stPlotlyChart .main-svg")
    settled(page)
    page.evaluate("""() => {
        window.seen = [];
        setInterval(() => {
            // the matrix apart, which there is none of at first
            const all = [...document.querySelectorAll(".stPlotlyChart")]
                .filter(one => !one.closest(".st-key-film_matrix_places"));
            const charts = all.filter(one => getComputedStyle(one).visibility == "visible"
                && one.querySelector(".main-svg"));
            window.seen.push(charts.map(one => Math.round(one.getBoundingClientRect().top)).join());
        }, 20);
    }""")
    before = page.evaluate("history.length")
    page.get_by_role("button", name="▶").click()
    # a busy browser leaves frames out
    page.get_by_text(re.compile(r"^Training step (1[6-9]|[2-9]\d|\d{3,})$")).wait_for()
    frames = set(page.evaluate("window.seen"))
    assert len(frames) == 1, frames
    assert "" not in frames, frames
    page.get_by_role("button", name="■").click()
    page.wait_for_url("**step=*")
    assert page.evaluate("history.length") <= before + 1
    no_error(page)


def test_address_is_true_after_a_change_of_model(page, address):
    """A layer and unit that the new model lacks leave the address too: whoever opens it sees what
    is on the screen.
    """
    page.goto(f"{address}/Feature_maps?layer=stage3.block5.conv2&unit=63")
    page.wait_for_selector(".frame img")
    settled(page)
    page.locator("[data-testid='stSelectbox']:has-text('Model') input").first.click()
    page.keyboard.type("lenet")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Feature maps of')")
    page.wait_for_url(lambda url: "model=" in url and "stage3" not in url and "unit=63" not in url)
    settled(page)
    no_error(page)


def sorted_address(url):
    """An address as it is read: in whatever order its names stand."""
    parts = urlsplit(url)
    return parts.path, sorted(parse_qsl(parts.query))


def test_the_menu_keeps_model_layer_unit_and_picture(page, address):
    """From page to page by the menu, also by one that shows no layer and by one that lacks this
    one; and Back goes all the way, one entry a page.
    """
    steps = ["Feature maps", "Filters", "Confusion matrix", "Unit", "Filters", "Feature maps"]
    page.goto(
        f"{address}/Feature_maps?model=lenet&layer=relu2&unit=11&source=photograph&photo=coffee"
    )
    addresses = []
    for title in steps:
        if addresses:
            page.get_by_test_id("stSidebar").get_by_role("link", name=title, exact=True).click()
        page.wait_for_selector(f"h1:has-text('{title.removesuffix(' matrix').rstrip('s')}')")
        settled(page)
        page.wait_for_function("() => !document.querySelector('[data-testid=\"stProgress\"]')")
        no_error(page)
        addresses.append(page.url)
        shown = {name: values[-1] for name, values in parse_qs(urlsplit(page.url).query).items()}
        assert shown["model"] == "lenet"
        assert shown["photo"] == "coffee"
        if title == "Confusion matrix":
            continue
        assert shown["layer"] == "relu2", addresses
        assert shown["unit"] == "11", addresses
        assert page.locator("[data-testid='stNumberInput'] input").first.input_value() == "11"
        stands_in = page.get_by_text("so conv2 is shown")
        assert stands_in.count() == (title != "Feature maps")
    assert all(url.count("layer=") <= 1 for url in addresses), addresses
    for title, expected in zip(steps[-2::-1], addresses[-2::-1], strict=True):
        page.go_back()
        page.wait_for_selector(f"h1:has-text('{title.removesuffix(' matrix').rstrip('s')}')")
        settled(page)
        assert sorted_address(page.url) == sorted_address(expected), "one entry a page"
    no_error(page)


def test_an_address_of_before_is_translated(page, address):
    page.goto(f"{address}/Filters?model=lenet&filter_layer=conv2&filter=3")
    page.wait_for_url(lambda url: "layer=conv2" in url and "unit=3" in url)
    settled(page)
    assert "filter" not in page.url
    assert page.locator("[data-testid='stNumberInput'] input").first.input_value() == "3"
    assert page.get_by_text("Filter 3, its 6 input channels").is_visible()
    no_error(page)


def test_the_thread_from_a_cell_to_a_unit_and_back(page, address):
    """Cell, image, its maps, a unit, that unit's images, their maps, their cell: each step one
    click, and Back goes all the way.
    """
    steps = [
        ("Confusion matrix", None),
        ("Feature maps of digits_three_layer", page.get_by_role("link", name="% →").first),
        ("Units of digits_three_layer", page.get_by_role("link", name="What it looks for →")),
        (
            "Feature maps of digits_three_layer",
            page.locator(".st-key-strongest").get_by_role("link", name="→").nth(2),
        ),
        ("Confusion matrix", page.get_by_role("link", name="Its cell of the matrix →")),
    ]
    addresses = []
    for title, link in steps:
        if link is None:
            cell = "model=digits_three_layer&true_first=8&predicted_first=8"
            page.goto(f"{address}/Confusion_matrix?{cell}")
        else:
            link.click()
        page.wait_for_selector(f"h1:has-text('{title}')")
        settled(page)
        page.wait_for_function("() => !document.querySelector('[data-testid=\"stProgress\"]')")
        no_error(page)
        addresses.append(page.url)
    assert "label=8" in addresses[1], addresses
    assert "layer=conv1" in addresses[2], addresses
    assert "place=" in addresses[3], addresses
    label = parse_qs(urlsplit(addresses[3]).query)["label"][0]  # of the unit's own image
    # not by the address, in which what a page opens on by itself does not stand
    assert page.get_by_text(re.compile(rf"images of {label} answered \d, the most")).is_visible()
    for (title, _), expected in zip(steps[-2::-1], addresses[-2::-1], strict=True):
        page.go_back()
        page.wait_for_selector(f"h1:has-text('{title}')")
        settled(page)
        assert page.url == expected, "one entry a page"
    no_error(page)


def test_what_the_first_chart_needs_comes_while_nobody_does_anything(address, new_page):
    """Before there is any chart or table, in the order in which they are wanted."""
    page = new_page()
    page.goto(f"{address}/Feature_maps?model=lenet")
    settled(page)
    assert not page.locator("[data-testid='stPlotlyChart'], [data-testid='stDataFrame']").count()
    page.wait_for_function(
        "() => ['PlotlyChart', 'DataFrame'].every(program => "
        "performance.getEntriesByType('resource').some(({name, responseStatus}) => "
        "name.includes(`/static/js/${program}.`) && responseStatus === 200))"
    )
    page.get_by_role("link", name="Architecture").click()
    page.locator(".js-plotly-plot .main-svg").first.wait_for()
    no_error(page)
