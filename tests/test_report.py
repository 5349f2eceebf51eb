"""The report that is handed in, read as a browser reads it: what it shows, what it lacks, that
nothing in it is fetched or run.
"""

import base64
import hashlib
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

from tests import facts
from tests.html_of import Parsed, numbers
from vizlib import __version__, architectures
from vizlib.command_line import main
from vizlib.errors import UserError
from vizlib.hand_in.gathered import Picture, gather
from vizlib.hand_in.markup import Html, joined, table, tag
from vizlib.hand_in.report import report
from vizlib.run import folders
from vizlib.run.config import RunConfig
from vizlib.run.weights import save_weights

DIGITS = "digits_three_layer"
NASTY = "<img src=x onerror=alert(1)></script><script>alert(2)</script>&amp;\"'"


@pytest.fixture(scope="module")
def of_digits():
    return report(gather([folders.open_run(DIGITS)]))


@pytest.fixture(scope="module")
def parsed(of_digits):
    return Parsed(of_digits)


def shown(*runs, **given):
    return Parsed(report(gather(list(runs), **given)))


def stored(run_id):
    """(labels, answers) as the folder of a run that ships has them."""
    with np.load(facts.SHIPPED / run_id / "predictions.npz") as file:
        return file["labels"], file["logits"].argmax(1)


def copied(root, run_id, **changes):
    """A run that ships under the same name with another configuration."""
    folder = root / f"{run_id}-copy"
    shutil.copytree(facts.SHIPPED / run_id, folder)
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(config))
    return folders.read_run(folder)


def test_markup_is_escaped_unless_it_is_markup():
    assert tag("p", "<b>", Html("<i>x</i>"), cls='a"b', data_x=1, no=None) == (
        '<p class="a&quot;b" data-x="1">&lt;b&gt;<i>x</i></p>'
    )
    assert tag("img", src="data:,") == '<img src="data:,">'
    assert joined(["a&b", Html("&amp;")], "<br>") == "a&amp;b<br>&amp;"
    assert "<td>&lt;b&gt;</td>" in table(("", ""), [("<b>", 2)], numbers=(1,))


def test_it_fetches_nothing(parsed):
    for name, attributes in parsed.elements:
        for attribute in ("src", "href", "srcset", "action", "poster", "data", "xlink:href"):
            value = attributes.get(attribute) or ""
            assert value.startswith(("data:", "#")) or not value, (name, value[:80])
        assert not [key for key in attributes if key.startswith("on")]
    assert not {"iframe", "object", "embed", "base", "form"} & {name for name, _ in parsed.elements}
    assert "url(" not in "".join(parsed.styles)
    assert "@import" not in "".join(parsed.styles)


def test_its_policy_allows_its_own_scripts_alone(parsed):
    [policy] = [each["content"] for each in parsed.named("meta") if "http-equiv" in each]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in parsed.programs]
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [f"'sha256-{digest.decode()}'" for digest in digests]
    assert len(parsed.programs) == 2, "Plotly once, and the page's own"
    assert rules["img-src"] == "data: blob:"


def test_it_is_small_enough_to_be_sent(of_digits):
    assert 4e6 < len(of_digits.encode()) < 6e6


def test_its_sections_stand_in_order(parsed):
    names = [attributes["id"] for attributes in parsed.named("section")]
    assert names == [
        *("figures", "what", "filters", "picture", "maps", "curves", "confusion", "mistakes"),
        "layers",
    ]
    assert [each["href"] for each in parsed.named("a")] == [f"#{name}" for name in names]


def test_key_figures_are_those_of_the_stored_answers(parsed):
    labels, answers = stored(DIGITS)
    words = parsed.section("figures")
    expected = (
        np.mean(labels == answers),
        np.bincount(labels).max() / len(labels),
        balanced_accuracy_score(labels, answers),
    )
    for share in expected:
        assert f"{share:.1%}" in words
    assert f"{cohen_kappa_score(labels, answers):.3f}" in words
    assert f"On {len(labels)} images" in words
    assert "360 of 1,797 held out by seed 0" in words
    verdict = next(text for text in parsed.by_section[""] if text.startswith("Not collapsed"))
    assert verdict.startswith("Not collapsed: 10 of 10 classes are answered")


def test_what_it_is_says_all_that_identifies_it(parsed):
    words = parsed.section("what")
    config = json.loads((facts.SHIPPED / DIGITS / "config.json").read_text())
    digest = hashlib.sha256((facts.SHIPPED / DIGITS / "model.safetensors").read_bytes())
    assert digest.hexdigest() in words
    assert f"{facts.parameters(DIGITS):,}" in words
    assert config["versions"]["torch"] in words
    assert "1 × 8 × 8" in words
    for name, value in config["recipe"].items():
        if name != "summary":
            assert name.replace("_", " ") in words
            assert {True: "yes", False: "no"}.get(value, str(value)) in words
    assert f"Made by Convscope {__version__}" in parsed.text


def test_the_matrix_holds_the_stored_answers(parsed):
    labels, answers = stored(DIGITS)
    [figure] = [each for each in parsed.figures() if each["data"][0]["type"] == "heatmap"]
    written = np.array(figure["data"][1]["text"], object).reshape(10, 10)
    for true, answer in np.ndindex(10, 10):
        count = np.sum((labels == true) & (answers == answer))
        assert written[true, answer].partition("<br>")[0] == (f"{count:,}" if count else "")


def test_the_curves_hold_the_noted_events(parsed):
    noted = [event["val_accuracy"] for event in facts.events(DIGITS, "epoch")]
    drawn = [
        numbers(line["y"]).tolist()
        for figure in parsed.figures()
        for line in figure["data"]
        if line.get("name") == f"{DIGITS}, validation"
    ]
    assert noted in drawn


def test_names_from_files_are_letters_only(runs_root):
    names = [NASTY, *map(str, range(1, 10))]
    run = copied(runs_root, DIGITS, class_names=names, title=NASTY, dataset_note=NASTY)
    page = shown(run)
    assert len(page.programs) == 2
    assert NASTY in page.text
    assert all(each["src"].startswith("data:image/png") for each in page.named("img"))
    for _, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on")]
    drawn = json.dumps([page.figures()])
    assert "<img" not in drawn, "Plotly draws tags"
    assert "&lt;img" in drawn


def picture_of(page, number):
    """A picture of the section on the picture, as pixels."""
    sources = [
        each["src"]
        for each in page.named("img")
        if each["alt"] in ("mine", "what the network gets")
    ]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(sources[number].partition(",")[2]))))


def test_the_picture_and_the_layers_chosen():
    pixels = (np.arange(64).reshape(8, 8, 1) * 3 % 256).astype(np.uint8)
    run = folders.open_run(DIGITS)
    page = shown(run, picture=Picture(pixels, "mine", "8"), layer_names=["relu2", "fc"])
    received = picture_of(page, 1)
    factor = len(received) // 8
    assert np.array_equal(received[::factor, ::factor].reshape(8, 8), pixels[..., 0])
    maps = page.section("maps")
    assert "relu2 (ReLU): 16 maps of 8 × 8" in maps
    assert "fc (Linear): 10 maps of 1 × 1" in maps
    assert "conv1" not in maps
    assert "The truth is 8" in re.sub(r"\s+", " ", page.section("picture"))
    with pytest.raises(UserError, match="no layer named 'nonesuch'"):
        gather([run], layer_names=["conv1", "nonesuch"])


def test_three_layers_at_three_depths_where_none_is_named():
    page = shown(folders.open_run("lenet"))
    assert "conv1 (Conv2d)" in page.section("maps")
    assert "conv2 (Conv2d)" in page.section("maps")


def test_two_runs_beside_one_another():
    ids = "lenet", "three_layer_module"
    page = shown(*map(folders.open_run, ids))
    (labels, first), (_, second) = stored(ids[0]), stored(ids[1])
    words = re.sub(r"\s+", " ", page.section("agreement"))
    only_first = np.sum((first == labels) & (second != labels))
    only_second = np.sum((second == labels) & (first != labels))
    assert f"only {ids[0]} {only_first:,} " in words
    assert f"only {ids[1]} {only_second:,} " in words
    difference = page.figures()[-3]
    shares = [
        np.array([np.bincount(each[labels == label], minlength=10) for label in range(10)])
        / np.bincount(labels)[:, None]
        for each in (first, second)
    ]
    assert np.allclose(numbers(difference["data"][0]["z"]), shares[0] - shares[1], atol=1e-6)
    for run_id in ids:
        assert page.section("filters").count(run_id) == 1
        assert f"{facts.accuracy(run_id):.1%}" in page.section("figures")


def test_two_runs_tested_on_different_images_are_not_compared():
    page = shown(folders.open_run(DIGITS), folders.open_run("lenet"))
    assert "They were tested on different images" in page.text
    assert "as their classes are not the same" in page.section("difference")
    assert "Nothing can be counted image by image" in page.section("agreement")


def test_a_run_without_weights_shows_what_its_training_kept(weightless):
    page = shown(weightless)
    assert "the last stored" in page.section("filters")
    assert "python -m vizlib reproduce B1" in page.section("picture")
    assert "maps of" in page.section("maps")
    assert "conv1" in page.section("layers")


def imported(root, **files):
    """A run that was trained elsewhere, as an import without data leaves it."""
    config = RunConfig(
        **dict(title="", architecture="lenet", dataset="", dataset_note=None, ordered=False),
        **dict(arguments=dict(num_classes=3, in_channels=3, image_size=32)),
        **dict(class_names=["a", "b", "c"], input_size=[3, 32, 32]),
        **dict(mean=[0.5] * 3, std=[0.25] * 3, validation=0, recipe={}, start=None, frozen=0),
        **dict(system=None, seed=0, versions={}, origin={"file": "mine <b>.pth"}),
    )
    folder = root / "brought"
    folders.begin_folder(folder, config)
    line = {"event": "imported", "parameters": 61_000, "recognised": "LeNet"}
    (folder / "events.jsonl").write_text(json.dumps(line) + "\n")
    return folders.read_run(folder)


def test_an_imported_run_says_what_it_lacks(runs_root):
    run = imported(runs_root)
    network = architectures.create("lenet", **run.config.arguments)
    save_weights(network.state_dict(), run.path("model.safetensors"))
    page = shown(run)
    assert "It has answered no labelled pictures here" in page.section("figures")
    assert "It was trained elsewhere." in page.section("curves")
    assert "Dotted: training images" not in page.section("curves"), "there is no figure"
    assert "Crossed: dead for this picture" in page.section("maps")
    assert "imported from mine <b>.pth" in page.section("filters")
    assert "61,000" in page.section("what")
    assert "mine <b>.pth" in page.section("what")
    assert "Nothing is known of the settings" in page.section("what")
    assert "conv2 (Conv2d): 16 maps of 10 × 10" in page.section("maps")


def test_a_run_with_neither_weights_nor_answers_is_still_a_page(runs_root):
    page = shown(imported(runs_root))
    for name in ("figures", "filters", "picture", "maps", "confusion", "layers"):
        assert [each for each in page.named("section") if each["id"] == name]
    assert "no weights" in page.section("filters")


def test_the_command_writes_the_page(tmp_path, capsys):
    picture, out = tmp_path / "mine.png", tmp_path / "mine.html"
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(picture)
    arguments = ["report", DIGITS, "--layers", "conv2, relu1", "--picture", str(picture)]
    assert main([*arguments, "--out", str(out)]) == 0
    assert "mine.html: 4.9 MB" in capsys.readouterr().out
    page = Parsed(out.read_text())
    assert "mine.png" in page.section("picture")
    assert "relu1 (ReLU)" in page.section("maps")
    assert "conv1 (Conv2d)" not in page.section("maps")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([DIGITS, "--out", "page.pdf"], "does not end with .html"),
        ([DIGITS, "--out", "nowhere/page.html"], "There is no folder 'nowhere'"),
        ([DIGITS, "--picture", "nothing.png"], "cannot be read"),
        ([DIGITS, "--ordered"], "--ordered goes with a table"),
        ([DIGITS, "lenet", "plain32"], "of one run or of two"),
        (["answers.csv", "--zip"], "takes nothing but the table"),
        (["answers.csv"], "cannot be read"),
        (["nonesuch"], "no run named 'nonesuch'"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_report_of_a_table_of_answers(tmp_path, capsys):
    lines = ["cat,dog"] * 3 + ["dog,dog"] * 5 + ["<b>owl</b>,cat"] * 2
    table_file, out = tmp_path / "answers.csv", tmp_path / "page.html"
    table_file.write_text("label,prediction\n" + "\n".join(lines))
    assert main(["report", str(table_file), "--out", str(out)]) == 0
    page = Parsed(out.read_text())
    assert "50.0%" in page.section("figures")
    assert "On 10 images: the answers in answers.csv." in page.section("figures")
    assert "<b>owl</b>" in page.section("mistakes")
    names = [each["id"] for each in page.named("section")]
    assert names == ["figures", "confusion", "mistakes"]
