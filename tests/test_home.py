"""Home: what it opens on is what the network computes, its models are found, and it takes no more
time where there are many.
"""

import hashlib
import re
import shutil

import numpy as np
import pytest
from safetensors import safe_open
from torch.nn.functional import avg_pool2d

from tests.test_pages import ROOT, fine, fresh_caches, opened, texts  # noqa: F401
from vizlib.images import fit, photograph, to_network_input
from vizlib.inside.activations import capture
from vizlib.inside.layers import layer_table
from vizlib.inside.model import load_model
from vizlib.inside.receptive_fields import box
from vizlib.run import first_look, folders, moments
from vizlib.ui.parts import run_cards

WEIGHTS = "model.safetensors"
SHOWN = [run for run in folders.list_runs()[0] if run.ships and run.has(first_look.FIRST_LOOK)]


@pytest.mark.parametrize("run", SHOWN, ids=lambda run: run.run_id)
def test_what_is_stored_is_what_the_shipped_weights_answer(run):
    look, model = first_look.read(run), load_model(run)
    with safe_open(run.path(first_look.FIRST_LOOK), framework="numpy") as file:
        weights = file.metadata()["weights"]
    assert weights == hashlib.sha256(run.path("model.safetensors").read_bytes()).hexdigest()
    received = fit(photograph(look.photograph), run.input_size)
    image = to_network_input(received, run.input_size, run.config.mean, run.config.std)[1]
    logits, found = capture(model, image, [depth.layer_name for depth in look.depths])
    assert look.probabilities == pytest.approx(logits.softmax(1)[0].numpy(), abs=1e-4)
    layers = {layer.name: layer for layer in layer_table(model, run.input_size)}
    assert len(look.depths) == 3
    for depth in look.depths:
        whole = found[depth.layer_name][0, : len(depth.maps)]
        # large maps are kept smaller: the mean of some places is one
        step = whole.shape[1] // depth.maps.shape[1]
        true = avg_pool2d(whole, step).numpy()
        assert np.abs(depth.maps - true).max() <= np.ptp(true) / 255
        row, column = len(depth.rows) // 2, len(depth.columns) // 3
        first, last = (
            box(layers[depth.layer_name], place, run.input_size)
            for place in (
                (row * step, column * step),
                (row * step + step - 1, column * step + step - 1),
            )
        )
        assert (depth.rows[row][0], depth.columns[column][0]) == first[:2]
        assert (depth.rows[row][1], depth.columns[column][1]) == last[2:]


def test_a_first_look_that_does_not_fit_is_none(tmp_path):
    folder = tmp_path / "cut"
    shutil.copytree(SHOWN[0].folder, folder)
    assert first_look.read(folders.read_run(folder)) is not None
    data = (folder / first_look.FIRST_LOOK).read_bytes()
    (folder / first_look.FIRST_LOOK).write_bytes(data.replace(b"rows/", b"rouw/"))
    assert first_look.read(folders.read_run(folder)) is None
    (folder / first_look.FIRST_LOOK).write_bytes(data[: len(data) // 2])
    assert first_look.read(folders.read_run(folder)) is None


def test_models_are_found_by_name_network_and_data():
    said = texts(fine(opened(ROOT / "app.py", find="dense")))
    assert "densenet4" in said.replace("\\", "")
    assert "lenet" not in said.replace("densenet", "").replace("\\", "").split("Models")[1]
    assert "No model here" in texts(fine(opened(ROOT / "app.py", find="no_such_thing")))


def test_of_many_runs_only_those_in_view_are_read(fresh_caches, monkeypatch):  # noqa: F811
    for number in range(40):
        shutil.copytree(folders.SHIPPED / "digits_three_layer", fresh_caches / f"own{number:02d}")
    read = set()
    whole = folders.read_events
    monkeypatch.setattr(folders, "_latest_events", {})
    monkeypatch.setattr(
        folders, "read_events", lambda path: read.add(path.parent.name) or whole(path)
    )
    fine(opened(ROOT / "app.py"))
    own = {name for name in read if name.startswith("own")}
    assert own
    assert len(own) <= run_cards.COLUMNS
    assert len(read) <= 5 * run_cards.COLUMNS


@pytest.mark.browser
def test_pointing_at_a_map_frames_what_it_sees_and_a_click_opens_it(page, address):
    """The middle of the second layer's maps: what is said of it, and where the click leads."""
    page.goto(address)
    maps = page.locator("b", has_text=re.compile(r"^Layer \d+ of \d+$")).nth(1)
    maps.wait_for()
    box = maps.bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 80)
    said = page.get_by_text(re.compile(r"Layer \d+ of \d+, map \d+: this place sees"))
    said.wait_for()
    unit = re.search(r"map (\d+)", said.inner_text())[1]
    page.mouse.click(box["x"] + 40, box["y"] + 80)
    page.wait_for_selector("h1:has-text('Feature maps of')")
    page.wait_for_url(re.compile(rf"/Feature_maps\?.*\bunit={unit}\b"))
    opened_on = next(run for run in SHOWN if f"model={run.run_id}&" in page.url + "&")
    assert f"layer={first_look.read(opened_on).depths[1].layer_name}&" in page.url + "&"


def of_large_filters():
    """{id: accuracy} of those that ship with 64 filters of 7 x 7 and their weights."""
    right = {}
    for path in folders.SHIPPED.iterdir():
        run = folders.open_run(path.name)
        shapes = {bank.shape for bank in moments.filters(run).values()}
        if run.has(WEIGHTS) and (64, 3, 7, 7) in shapes:
            right[run.run_id] = run.events_of("finished")[-1]["test_accuracy"]
    return right


def test_of_the_largest_filters_those_that_answer_best_are_opened():
    """Several networks that ship have 64 filters of 7 x 7, and not all have learned as much."""
    right = of_large_filters()
    assert len(right) > 1
    app = fine(opened(ROOT / "pages/2_Filters.py"))
    assert app.selectbox(key="model").value == max(right, key=right.get) != min(right)


def test_the_film_opens_on_large_filters_beside_a_clear_picture():
    """What is in the picture differs much more than what is along its edge; of such ones the
    network that is right most often.
    """
    clear = {}
    for run_id, accuracy in of_large_filters().items():
        picture = moments.probe_picture(folders.open_run(run_id)).astype(float)
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        if picture.std() > 4 * edge.std(axis=0).mean():
            clear[run_id] = accuracy
    app = fine(opened(ROOT / "pages/7_Film.py"))
    assert len(clear) > 1
    assert app.selectbox(key="model").value == max(clear, key=clear.get) != min(clear)


@pytest.mark.parametrize("name", ["resnet32", "lenet", "resnet18_late_pool"])
def test_larger_filters_are_offered_beside_smaller_ones_alone(name):
    """Of 3 × 3, 5 × 5 and 7 × 7, to those that show smaller ones than some run here has, with its
    weights.
    """
    sides = {"resnet32": 3, "lenet": 5, "resnet18_late_pool": 7}
    here = [side for each, side in sides.items() if folders.open_run(each).has(WEIGHTS)]
    is_offered = sides[name] < max(here)
    home = opened(ROOT / "app.py", model=name)  # alone, a page has no others to link to
    app = fine(home.switch_page(str(ROOT / "pages/2_Filters.py")).run())
    assert app.selectbox(key="model").value == name
    links = [str(element.proto) for element in app.main.get("page_link")]
    offered = [link for link in links if "Larger ones" in link]
    assert bool(offered) is is_offered
