"""The zip that is handed in, and the two buttons on top of every page."""

import csv
import io
import json
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from streamlit.testing.v1 import AppTest

from tests import facts
from tests.html_of import Parsed
from tests.test_browser import no_error, settled
from tests.test_live_pages import STATES, alive, fabricate, step_row
from tests.test_pages import fine, fresh_caches  # noqa: F401
from vizlib import architectures
from vizlib.command_line import main
from vizlib.hand_in import onnx_file
from vizlib.hand_in.archive import write_zip
from vizlib.hand_in.arrays import entries
from vizlib.hand_in.gathered import Picture, gather
from vizlib.hand_in.report import report
from vizlib.run import folders
from vizlib.ui.frame import served
from vizlib.ui.parts import hand_in

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]
NO_HAND_IN = {"11_Data", "13_Import", "15_Lessons"}
RUN = "digits_three_layer"
PIXELS = (np.arange(64).reshape(8, 8, 1) * 3 % 256).astype(np.uint8)


@pytest.fixture(scope="module")
def archive():
    """The zip of a run, without ONNX, as zipfile reads it."""
    gathered = gather([folders.open_run(RUN)], Picture(PIXELS, "mine"), ["relu2", "conv1"])
    file = io.BytesIO()
    remarks = write_zip(file, gathered, report(gathered), with_onnx=False)
    assert remarks == ["There is no model.onnx in it: it was not asked for."]
    return zipfile.ZipFile(file)


def array(archive, name):
    return np.load(io.BytesIO(archive.read(f"arrays/{name}.npy")), allow_pickle=False)


def rows(archive, name):
    lines = list(csv.reader(io.StringIO(archive.read(f"arrays/{name}.csv").decode())))
    return lines[0], lines[1:]


def network():
    """The run's network, built and filled by torch and safetensors alone."""
    config = json.loads((facts.SHIPPED / RUN / "config.json").read_text())
    model = architectures.create(config["architecture"], **config["arguments"]).eval()
    weights = load_file(facts.SHIPPED / RUN / "model.safetensors")
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    image = (torch.tensor(PIXELS[..., 0]).float() / 255 - config["mean"][0]) / config["std"][0]
    return model, image[None, None]


def test_the_zip_is_whole_and_says_what_is_in_it(archive):
    assert archive.testzip() is None
    names = archive.namelist()
    assert len(set(names)) == len(names)
    text = archive.read("README.txt").decode()
    assert len(text.splitlines()) <= 16
    for name in ("report.html", "config.json", "model.safetensors", "state_dict.pt"):
        assert name in names
        assert name in text
    assert "not asked for" in text
    assert Parsed(archive.read("report.html").decode()).named("section")
    shipped = facts.SHIPPED / RUN
    for name in ("config.json", "model.safetensors"):
        assert archive.read(name) == (shipped / name).read_bytes()


def test_its_arrays_are_those_of_the_network(archive):
    model, image = network()
    seen = {}
    for name in ("relu2", "conv1"):
        module = model.get_submodule(name)
        module.register_forward_hook(
            lambda module, given, output, name=name: seen.update({name: output.clone()})
        )
    with torch.no_grad():
        probabilities = model(image).softmax(1)[0].numpy()
    assert np.allclose(array(archive, "maps/1-conv1"), seen["conv1"][0].numpy(), atol=1e-5)
    assert np.allclose(array(archive, "maps/2-relu2"), seen["relu2"][0].numpy(), atol=1e-5)
    assert np.allclose(array(archive, "answer"), probabilities, atol=1e-6)
    assert np.array_equal(array(archive, "filters"), model.conv1.weight.detach().numpy())
    assert np.array_equal(array(archive, "picture"), PIXELS)


def test_its_arrays_are_those_of_the_stored_answers(archive):
    with np.load(facts.SHIPPED / RUN / "predictions.npz") as file:
        for name in ("labels", "logits", "image_ids"):
            assert np.array_equal(array(archive, name), file[name])
        answers = file["logits"].argmax(1)
        counts = np.zeros((10, 10), int)
        np.add.at(counts, (file["labels"], answers), 1)
    assert np.array_equal(array(archive, "confusion"), counts)
    header, table = rows(archive, "confusion")
    assert header[1:] == list("0123456789")
    assert np.array_equal(np.array([line[1:] for line in table], int), counts)
    header, table = rows(archive, "predictions")
    assert header[:2] == ["label", "prediction"]
    assert [int(line[1]) for line in table] == answers.tolist()


def test_its_tables_are_its_arrays(archive):
    for name in ("filters", "maps/1-conv1"):
        header, table = rows(archive, name)
        values = array(archive, name)
        assert header[-1] in ("weight", "value")
        assert len(table) == values.size
        for line in table[:: len(table) // 7]:
            index = tuple(map(int, line[:-1]))
            assert float(line[-1]) == pytest.approx(float(values[index]), rel=1e-5, abs=1e-9)
    header, table = rows(archive, "steps")
    assert np.allclose(array(archive, "steps"), np.array(table, float), equal_nan=True)
    noted = [[event.get(name, np.nan) for name in header] for event in facts.events(RUN, "epoch")]
    assert np.allclose(array(archive, "curves"), np.array(noted, float), equal_nan=True)


def test_the_plain_state_dict_needs_no_trust(archive):
    tensors = torch.load(io.BytesIO(archive.read("state_dict.pt")), weights_only=True)
    model, _ = network()
    assert type(tensors) is dict
    assert set(tensors) == set(model.state_dict())
    assert all(torch.equal(tensors[name], each) for name, each in model.state_dict().items())


def test_maps_of_very_many_values_have_a_line_each_in_their_table(monkeypatch):
    monkeypatch.setattr("vizlib.hand_in.arrays.MOST_VALUES", 1000)
    gathered = gather([folders.open_run(RUN)], Picture(PIXELS, "mine"), ["conv1"])
    file = io.BytesIO()
    write_zip(file, gathered, "", with_onnx=False)
    header, table = rows(zipfile.ZipFile(file), "maps/1-conv1")
    assert header[0] == "unit"
    assert len(table) == 32


def test_two_runs_lie_in_a_folder_each(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    out = tmp_path / "both.html"
    assert main(["report", RUN, "lenet", "--zip", "--out", str(out)]) == 0
    assert "pip install onnx onnxscript" in capsys.readouterr().out
    assert {file.name for file in tmp_path.iterdir()} == {"both.html", "both.zip"}
    names = zipfile.ZipFile(tmp_path / "both.zip").namelist()
    for run_id in (RUN, "lenet"):
        assert f"{run_id}/state_dict.pt" in names
        assert f"{run_id}/arrays/confusion.npy" in names
    assert not [name for name in names if name.startswith("arrays/")], "of other classes"


def test_a_run_without_weights_has_a_zip_too(weightless):
    gathered = gather([weightless])
    file = io.BytesIO()
    [remark] = write_zip(file, gathered, "")
    assert "comes without its weights" in remark
    assert "arrays/filters.npy" in zipfile.ZipFile(file).namelist()
    assert "model.safetensors" not in zipfile.ZipFile(file).namelist()


def test_onnx_answers_as_the_network_does(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    if onnx_file.lacking():
        pytest.skip(onnx_file.lacking())
    path = tmp_path / "model.onnx"
    onnx_file.export(folders.open_run(RUN), path)
    model, image = network()
    images = torch.cat([image, -image, image / 2])
    session = onnxruntime.InferenceSession(path)
    (logits,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        assert np.allclose(logits, model(images).numpy(), atol=1e-4)


# The buttons


def kinds(app):
    """What stands on a page, by kind: the protobufs of its elements."""
    found = {}

    def walk(node):
        if getattr(node, "proto", None) is not None:
            found.setdefault(node.type, []).append(node.proto)
        for child in getattr(node, "children", {}).values():
            walk(child)

    walk(app._tree)
    return found


def opened(page, **query):
    app = AppTest.from_file(str(page), default_timeout=60)
    for key, value in {"model": RUN, **query}.items():
        app.query_params[key] = value
    return app


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_has_its_buttons(page):
    app = fine(opened(page).run())
    found = kinds(app)
    labels = [proto.popover.label for proto in found.get("popover", [])]
    assert labels.count("Hand in") == (page.stem not in NO_HAND_IN)
    components = [proto.component_name for proto in found["bidi_component"]]
    assert components.count("convscope_copy_link") == 1


def offered(app):
    """The labels of what can be downloaded in the open popover, once all is made."""
    app.session_state["hand_in"] = True
    for _ in range(60):
        app.run()
        labels = [each.proto.label for each in app.get("download_button")]
        ours = [label for label in labels if label.startswith(("Report", "Everything"))]
        if len(ours) == 2 or not [bar for bar in app.get("progress") if "The " in bar.proto.text]:
            return ours
    raise AssertionError("it is never made")


def newest(ending):
    folder = Path(hand_in._folder().name)
    return max(folder.glob(f"*.{ending}"), key=lambda file: file.stat().st_mtime)


def test_what_is_in_view_is_handed_in():
    page = ROOT / "pages/3_Feature_maps.py"
    app = opened(page, layer="relu1", source="photograph", photo="coffee").run()
    labels = offered(app)
    assert not app.error
    assert [label.partition(" ")[0] for label in labels] == ["Report", "Everything"]
    page = Parsed(newest("html").read_text())
    assert "coffee" in page.section("picture")
    assert "relu1 (ReLU)" in page.section("maps")
    assert "conv2 (Conv2d)" in page.section("maps"), "and those at three depths"
    with zipfile.ZipFile(newest("zip")) as file:
        assert file.testzip() is None


def test_two_runs_in_view_are_handed_in_together():
    app = opened(ROOT / "pages/8_Confusion_matrix.py", beside="lenet").run()
    assert offered(app)
    page = Parsed(newest("html").read_text())
    assert f"{RUN} and lenet" in page.text


def test_a_table_of_answers_is_handed_in_once_there_is_one():
    app = fine(opened(ROOT / "pages/12_Check.py").run())
    assert offered(app) == []
    assert "Drop a table here" in app.info[0].value
    app.text_area(key="answers_text").set_value("cat,dog\ndog,dog\ndog,cat\ncat,cat").run()
    assert [label.partition(" ")[0] for label in offered(app)] == ["Report"]
    assert "On 4 images" in Parsed(newest("html").read_text()).section("figures")


def test_of_a_training_the_report_is_made_once_an_opening(root, monkeypatch):
    """Its files change every second: made anew whenever they do it would never be there."""
    folder = fabricate(root, "growing", STATES["training"][0])
    monkeypatch.setattr(hand_in.st, "session_state", {"hand_in_opened": "a moment"})
    with alive(folder):
        run = folders.read_run(folder)
        assert run.is_active
        before = hand_in.of_runs([run], None, None).key
        with open(folder / "events.jsonl", "a") as file:
            file.write(json.dumps(step_row(61)) + "\n")
        assert hand_in.of_runs([run], None, None).key == before
        hand_in.st.session_state["hand_in_opened"] = "another moment"
        assert hand_in.of_runs([run], None, None).key != before
    # once it has ended, its files count
    ended = hand_in.of_runs([run], None, None).key
    with open(folder / "events.jsonl", "a") as file:
        file.write(json.dumps({"event": "stopped"}) + "\n")
    assert hand_in.of_runs([run], None, None).key != ended


def test_a_large_zip_is_left_to_the_command(monkeypatch):
    monkeypatch.setattr(hand_in.st, "session_state", {})
    assert hand_in.of_runs([folders.open_run(RUN)], None, None).endings == ("html", "zip")
    monkeypatch.setattr(hand_in, "MOST_WEIGHTS", 1000)
    offer = hand_in.of_runs([folders.open_run(RUN)], None, None)
    assert offer.endings == ("html",)
    assert f"python -m vizlib report {RUN} --zip" in offer.note


def test_probabilities_of_very_many_classes_are_in_the_logits_alone(monkeypatch):
    monkeypatch.setattr("vizlib.hand_in.arrays.MOST_PROBABILITIES", 1000)
    tables = {entry.name: entry.csv for entry in entries(gather([folders.open_run(RUN)])[0])}
    lines = tables["predictions"].splitlines()
    assert lines[0] == "label,prediction"
    with np.load(facts.SHIPPED / RUN / "predictions.npz") as file:
        pairs = zip(file["labels"], file["logits"].argmax(1), strict=True)
        assert lines[1:] == [f"{label},{answer}" for label, answer in pairs]


def test_made_files_do_not_pile_up(tmp_path, monkeypatch):
    monkeypatch.setattr(hand_in, "_folder", lambda: SimpleNamespace(name=str(tmp_path)))
    sizes = [100] * hand_in.MOST_FILES + [300, 200, 100]
    for number, size in enumerate(sizes):
        made = hand_in._write(
            lambda ending, path, say, n=size: path.write_bytes(bytes(n)), "zip", 0
        )
        os.utime(made, (number, number))
    assert len(list(tmp_path.iterdir())) == hand_in.MOST_FILES
    monkeypatch.setattr(hand_in, "MOST_BYTES", 650)
    hand_in._tidy(tmp_path)
    assert sorted(file.stat().st_size for file in tmp_path.iterdir()) == [100, 200, 300]
    monkeypatch.setattr(hand_in, "MOST_BYTES", 50)
    hand_in._tidy(tmp_path)
    assert [file.stat().st_size for file in tmp_path.iterdir()] == [100], "the newest stays"


def test_what_was_thrown_away_is_made_again():
    app = opened(ROOT / "pages/1_Architecture.py").run()
    assert len(offered(app)) == 2
    for file in Path(hand_in._folder().name).iterdir():
        file.unlink()
    assert len(offered(app)) == 2
    assert newest("html").stat().st_size > 4e6


ELSEWHERE = "192.168.7.9"


@pytest.mark.parametrize(
    ("address", "allowed", "host", "words"),
    [
        ("127.0.0.1", ["localhost"], "", "this machine only"),
        ("localhost", [], "", "this machine only"),
        ("::1", [], "", f"--server.allowedHosts {ELSEWHERE}"),
        ("", [], ELSEWHERE, "Others in your network"),
        ("0.0.0.0", ["localhost", ELSEWHERE], ELSEWHERE, "Others in your network"),
        ("0.0.0.0", ["*"], ELSEWHERE, "Others in your network"),
        ("0.0.0.0", ["localhost"], "", f"--server.allowedHosts {ELSEWHERE}"),
        ("10.0.0.4", [], "10.0.0.4", "Others in your network"),
        ("classroom.school", ["*.school"], "classroom.school", "Others in your network"),
    ],
)
def test_who_can_open_a_link_is_said(address, allowed, host, words, monkeypatch):
    options = {"server.address": address, "server.allowedHosts": allowed}
    monkeypatch.setattr(served.st, "get_option", options.get)
    monkeypatch.setattr(served, "network_name", lambda: ELSEWHERE)
    found, sentence = served.for_others()
    assert found == host
    assert words in sentence


@pytest.mark.parametrize(("source", "is_said"), [("upload", True), ("photograph", False)])
def test_a_picture_of_ones_own_is_said_not_to_be_in_the_link(source, is_said):
    app = fine(opened(ROOT / "pages/2_Filters.py", source=source).run())
    [link] = [
        proto for proto in kinds(app)["bidi_component"] if "copy_link" in proto.component_name
    ]
    assert ("your own and is not in the link" in str(link)) == is_said


@pytest.mark.browser
def test_two_clicks_hand_in_a_page_that_opens_offline(page, browser, address, tmp_path):
    page.goto(f"{address}/Confusion_matrix?model={RUN}")
    page.wait_for_selector(".js-plotly-plot .main-svg")
    settled(page)
    page.get_by_role("button", name="Hand in").click()
    report_sent = page.expect_response(lambda answer: answer.url.endswith(".html"))
    with report_sent as sent, page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML").click()
    no_error(page)
    assert f'filename="{RUN}-report.html"' in sent.value.headers["content-disposition"]
    file = tmp_path / "handed in.html"
    download.value.save_as(file)
    context = browser.new_context(viewport={"width": 420, "height": 800}, offline=True)
    alone, asked, said = context.new_page(), [], []
    alone.on("request", lambda request: asked.append(request.url))
    alone.on("console", lambda message: said.append(message.text))
    alone.on("pageerror", lambda error: said.append(str(error)))
    alone.goto(file.as_uri())
    alone.wait_for_function("() => document.querySelectorAll('.plot .main-svg').length >= 8")
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
    assert said == []
    assert alone.evaluate("document.documentElement.scrollWidth") == 420
    images = "[...document.images]"
    assert alone.evaluate(f"{images}.every(image => image.naturalWidth > 0)")
    alone.locator(".atlas img").first.hover()
    assert alone.locator(".atlas .tip").first.inner_text().startswith("filter ")
    context.close()


@pytest.mark.browser
def test_one_click_copies_a_link_to_the_same_page(browser, address, new_page):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.goto(f"{address}/Feature_maps?model={RUN}&layer=conv2&unit=5&scale=network")
    page.wait_for_selector(".frame img")
    settled(page)
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Copied.").wait_for()
    assert page.get_by_text("It opens on this machine only").is_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    context.close()
    other = new_page()
    other.goto(link)
    other.wait_for_selector(".frame img")
    settled(other)
    assert other.locator("h1").inner_text() == f"Feature maps of {RUN}"
    assert other.locator("[data-testid='stNumberInput'] input").last.input_value() == "5"
    assert other.get_by_text("16 maps").is_visible()
    no_error(other)


@pytest.mark.browser
def test_where_no_script_may_write_the_clipboard_the_link_is_still_copied(page, address):
    """As on http:// and another machine's name: there is no navigator.clipboard."""
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.goto(f"{address}/Filters?model=lenet")
    page.wait_for_selector(".frame img")
    settled(page)
    page.get_by_role("button", name="Copy link").click()
    page.get_by_text("Copied.").wait_for()
    field = page.locator("input.link")
    assert field.input_value() == page.url
    assert field.evaluate("field => field.selectionEnd") == len(page.url)
