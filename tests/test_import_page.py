"""The Import page, and python -m vizlib import: from a file that is dropped to every page."""

import io
import json
import time
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from tests.test_pages import PAGES, fine, fresh_caches, opened, texts  # noqa: F401
from vizlib import architectures, datasets
from vizlib.command_line import main
from vizlib.inside.model import load_model
from vizlib.run import folders
from vizlib.run.predictions import load_predictions
from vizlib.run.weights import load_weights

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "pages/13_Import.py"
SECONDS = 60


def bytes_of(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def until(app, is_there):
    """The page drawn again, as its own timer does, until something is there."""
    end = time.monotonic() + SECONDS
    while not is_there(app):
        assert time.monotonic() < end, texts(app)
        time.sleep(0.1)
        app.run()
    return app


def dropped(name, data):
    app = AppTest.from_file(str(PAGE), default_timeout=SECONDS).run()
    app.file_uploader(key="import_file").set_value((name, data, "application/octet-stream")).run()
    return app


@pytest.fixture
def shipped():
    """The best shipped run on digits, and its weights as somebody else would have saved them."""
    runs = [run for run in folders.list_runs()[0] if run.config.dataset == "digits"]
    run = max(runs, key=lambda each: each.events_of("finished")[-1]["test_accuracy"])
    return run, load_weights(run.path("model.safetensors"))


def test_a_dropped_file_shows_its_filters_its_network_and_how_it_reads_pictures(shipped):
    _, weights = shipped
    app = dropped("homework.pth", bytes_of({"epoch": 12, "net": weights}))
    until(app, lambda page: "Right answers" in texts(page))
    fine(app)
    said = texts(app)
    assert "Its first filters" in said
    assert "epoch 12" in said
    assert "'net'" in said
    table = app.dataframe[0].value
    assert table["right"].iloc[0] > 0.9  # of training images, read as it was trained
    assert table["right"].iloc[-1] < table["right"].iloc[0]


def test_one_press_makes_it_a_run_that_answers_and_every_page_opens_on_it(shipped):
    _, weights = shipped
    app = dropped("homework.pth", bytes_of(weights))
    until(app, lambda page: "Right answers" in texts(page))
    app.button(key="import_open").click().run()
    until(app, lambda page: "test images of digits are right" in texts(page))
    fine(app)
    [made] = folders.list_runs(shipped=False)[0]
    assert made.run_id == "homework"
    assert made.status == "imported"
    answers = load_predictions(made.path("predictions.npz"), 10)
    test = datasets.load("digits").splits["test"]
    assert list(answers.image_ids) == list(test.image_ids)
    assert answers.accuracy > 0.9
    for page in (ROOT / "app.py", *PAGES):
        fine(opened(page, model="homework"))
    assert f"{answers.accuracy:.1%}" in texts(opened(ROOT / "app.py"))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.pth", b"", "empty"),
        ("b.pth", b"hello, this is no weights at all" * 9, "not a PyTorch or safetensors"),
        ("c.pt", bytes_of({"optimizer": {"state": {}, "param_groups": []}}), "optimiser"),
    ],
)
def test_what_holds_no_weights_is_refused_in_one_sentence(name, data, words):
    app = dropped(name, data)
    until(app, lambda page: bool(page.error))
    assert not app.exception
    [error] = [box.value for box in app.error]
    assert words in error
    assert not folders.list_runs(shipped=False)[0]


def test_a_network_without_labelled_pictures_is_asked_for_its_classes():
    torch.manual_seed(0)
    model = architectures.create("akamaster/resnet20", num_classes=3)
    app = dropped("three.pth", bytes_of(model.state_dict()))
    until(app, lambda page: any(each.key == "import_open" for each in page.button))
    fine(app)
    [area] = [each for each in app.text_area if each.key.startswith("import_classes")]
    area.set_value("ant\nbee\ncow").run()
    app.button(key="import_open").click().run()
    [made] = folders.list_runs(shipped=False)[0]
    assert made.class_names == ["ant", "bee", "cow"]
    assert made.config.dataset == ""
    fine(opened(ROOT / "pages/8_Confusion_matrix.py", model=made.run_id))


def test_what_a_chain_assumes_can_be_answered_otherwise():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 9, 3, padding=1), torch.nn.Tanh(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(9, 14, 3, padding=1), torch.nn.Tanh(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(14 * 64, 4),
    ).eval()  # fmt: skip
    app = dropped("chain.pt", bytes_of(model.state_dict()))
    until(app, lambda page: any(each.key == "import_open" for each in page.button))
    app.selectbox(key="chain_nonlinearity").set_value("tanh").run()
    fine(app)
    app.button(key="import_open").click().run()
    [made] = folders.list_runs(shipped=False)[0]
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(load_model(made)(images), model(images), rtol=1e-5, atol=1e-5)


def test_weights_that_no_network_fits_can_be_opened_alone():
    app = dropped("odd.pth", bytes_of({"a.kernel": torch.rand(5, 3, 7, 7), "b": torch.rand(3)}))
    until(app, lambda page: any(each.key == "import_open" for each in page.button))
    fine(app)
    app.button(key="import_open").click().run()
    fine(app)
    [made] = folders.list_runs(shipped=False)[0]
    assert made.is_bare
    for page in (ROOT / "app.py", *PAGES):
        fine(opened(page, model=made.run_id))


# The command


def test_the_command_recognises_tries_and_answers(tmp_path, shipped, capsys):
    run, weights = shipped
    path = tmp_path / "homework.pth.tar"
    torch.save({"state_dict": {f"module.{name}": each for name, each in weights.items()}}, path)
    assert main(["import", str(path), "--data", "digits"]) == 0
    said = capsys.readouterr().out
    assert "'module.'" in said
    assert "certain" in said
    made = folders.open_run("homework")
    [answered] = made.events_of("answered")
    assert f"accuracy {answered['test_accuracy']:.4f} on {answered['test_images']:,}" in said
    assert made.config.mean == pytest.approx(run.config.mean, abs=0.01)
    assert main(["evaluate", "homework"]) == 0
    assert len(folders.open_run("homework").events_of("answered")) == 2
    assert main(["check", "homework"]) == 0


def test_the_command_takes_what_is_asked_for(tmp_path, capsys):
    torch.manual_seed(0)
    path = tmp_path / "a.pt"
    torch.save(architectures.create("akamaster/resnet20", num_classes=2).state_dict(), path)
    options = ["--classes", "yes, no", "--mean", "0.1,0.2,0.3", "--std", "0.4,0.5,0.6"]
    assert main(["import", str(path), "--name", "mine", *options, "--size", "48"]) == 0
    config = json.loads((folders.runs_root() / "mine" / "config.json").read_text())
    assert config["class_names"] == ["yes", "no"]
    assert (config["mean"], config["std"]) == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])
    assert config["input_size"] == [3, 48, 48]
    for wrong, words in (
        (["--mean", "a,b,c"], "numbers, separated by commas"),
        (["--normalisation", "none"], "normalisation"),
        (["--architecture", "vgg"], "architecture"),
        (["--classes", "a,b,c"], "3 are named"),
    ):
        assert main(["import", str(path), *wrong]) == 2
        assert words in capsys.readouterr().err


def test_a_data_set_of_other_classes_is_refused_in_a_sentence(tmp_path, capsys):
    path = tmp_path / "three.pt"
    torch.save(architectures.create("akamaster/resnet20", num_classes=3).state_dict(), path)
    for options in ([], ["--classes", "ant,bee,cow"]):
        assert main(["import", str(path), "--data", "digits", *options]) == 2
        assert "'digits' has 10 classes" in capsys.readouterr().err
    assert not folders.list_runs(shipped=False)[0]


def test_evaluating_an_import_without_data_says_what_to_do(tmp_path, capsys):
    path = tmp_path / "a.pt"
    torch.save(architectures.create("lenet").state_dict(), path)
    assert main(["import", str(path)]) == 0
    assert main(["evaluate", "a"]) == 2
    assert "--data NAME" in capsys.readouterr().err
