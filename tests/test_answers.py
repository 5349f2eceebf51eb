"""Tables of answers as people's programs write them: read right, or refused in one sentence; and
checked from the command line and on the page.
"""

import csv
import io

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.test_pages import ROOT, TIMEOUT, texts
from vizlib.bring import answers as answers_file
from vizlib.bring.answers import read_answers, table_of
from vizlib.command_line import main
from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.run.certainty import calibration, log_loss
from vizlib.run.predictions import NO_ANSWER, load_predictions

# 12 answers: label, prediction; of three classes, the greatest in the middle
PAIRS = [("cat", "cat")] * 5 + [("dog", "zebra"), ("dog", "dog")] + [("zebra", "cat")] * 2
PAIRS += [("zebra", "zebra")] * 3
EXPECTED = [[5, 0, 0], [0, 1, 1], [2, 0, 3]]


def table(rows, separator=",", end="\n", header=None, mark=""):
    """The bytes of a table."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=separator, lineterminator=end)
    writer.writerows([header] if header else [])
    writer.writerows(rows)
    return (mark + file.getvalue()).encode()


@pytest.mark.parametrize(
    "data",
    [
        table(PAIRS),
        table(PAIRS, header=("label", "prediction")),
        table(PAIRS, header=("y_true", "y_pred"), separator=";", end="\r\n", mark="\ufeff"),
        table(PAIRS, header=("True label", "Predicted label"), separator="\t"),
        table([(p, t) for t, p in PAIRS], header=("predicted", "actual")),
        table([(n, *pair) for n, pair in enumerate(PAIRS)], header=("", "target", "pred")),
        table([(n, *pair) for n, pair in enumerate(PAIRS)]),
        table([("x.png", *pair) for pair in PAIRS], header=("file", "label", "prediction")),
        table(PAIRS).replace(b"dog,", b'"dog",').replace(b"\n", b"\n\n"),
        b"\n\n" + table(PAIRS),
    ],
)  # fmt: skip
def test_the_same_answers_however_they_are_written(data):
    found = read_answers(data)
    assert found.class_names == ["cat", "dog", "zebra"]
    assert found.confusion().tolist() == EXPECTED
    assert found.unanswered().tolist() == [0, 0, 0]
    assert found.logits is None


def test_numbers_are_classes_in_their_order():
    """2 before 10, a grade that nobody has keeps its place, and 3.0 is 3."""
    found = read_answers(table([(10, 2), (2, 2), (0, "3.0"), ("4", "5.0"), (1, 7), (6, 8), (9, 9)]))
    assert found.class_names == [str(number) for number in range(11)]
    assert found.confusion()[10, 2] == found.confusion()[0, 3] == 1
    far = read_answers(table([(100, 7), (7, 7), (7, 100)]))
    assert far.class_names == ["7", "100"]


def test_no_answer_is_wrong_and_no_class():
    rows = [("a", "a"), ("b", ""), ("b", "NaN"), ("a", "None"), ("b", "b")]
    found = read_answers(table(rows, header=("label", "prediction")))
    assert found.class_names == ["a", "b"]
    assert found.predicted_labels.tolist() == [0, NO_ANSWER, NO_ANSWER, NO_ANSWER, 1]
    assert found.unanswered().tolist() == [1, 2]


PROBABILITIES = [
    ("dog", "cat", 0.2, 0.5, 0.3),
    ("cat", "cat", 0.1, 0.8, 0.1),
    ("owl", "dog", 0.6, 0.2, 0.2),
]


@pytest.mark.parametrize("beginning", ["", "prob_", "p_"])
def test_probabilities_of_the_classes_in_the_order_of_the_header(beginning):
    header = ("label", "prediction", *(beginning + name for name in ("dog", "cat", "owl")))
    found = read_answers(table(PROBABILITIES, header=header))
    assert found.class_names == ["dog", "cat", "owl"]
    assert found.predictions.probabilities == pytest.approx(
        np.array([row[2:] for row in PROBABILITIES]), abs=1e-6
    )
    assert found.remarks == []


def test_without_a_header_the_numbers_are_in_the_order_of_the_classes():
    rows = [(1, 0, 2.0, -1.0, 0.5), (0, 0, 3.0, 0.0, 0.0), (2, 0, 0.0, 9.0, 1.0)]
    found = read_answers(table(rows))
    assert found.logits.tolist() == [list(row[2:]) for row in rows]
    assert any("logits" in remark for remark in found.remarks)
    assert any(remark.startswith("1 answers are not the class") for remark in found.remarks)


def test_other_columns_are_named_and_not_used():
    rows = [(*pair, 0.7, "x.png") for pair in PAIRS]
    found = read_answers(table(rows, header=("label", "prediction", "seconds", "file")))
    assert found.logits is None
    assert found.remarks == ["Not used: 'seconds', 'file'."]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"label,prediction\n", "no answers below"),
        (b"cat\ndog\n", "one column"),
        (b"\xff\xfe\x00c", "no text in UTF-8"),
        (table([("cat", "cat"), ("", "dog")]), "Line 2 has no label"),
        (
            table(PAIRS, header=("species", "guess")),
            "'species' and 'guess', looks like names of columns: call them label and prediction",
        ),
        (table([(n * 7, n * 7 + 1) for n in range(1, 1500)]), "2,9.. classes|2,99. classes"),
        (table([("a", "b", 0.3), ("b", "a", 0.4)]), "1 columns of numbers .* 2 classes"),
        (table([("a", "b", 0.3, 0.7), ("b", "a", 0.4, "x")]), "Line 2 has no 2 numbers"),
    ],
)
def test_what_is_no_table_of_answers_is_one_sentence(data, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        read_answers(data)
    assert "\n" not in str(caught.value)


def test_too_large_is_looked_at_first(monkeypatch):
    monkeypatch.setattr(answers_file, "MAX_BYTES", 10)
    with pytest.raises(UserError, match="up to 0 MB"):
        read_answers(table(PAIRS))


@pytest.mark.parametrize(
    ("rows", "status", "words"),
    [
        (PAIRS, 0, "Not collapsed: 3 of 3 classes"),
        ([("a", "a")] * 73 + [("b", "a")] * 27, 1, "Collapsed: 100 % of 100 predictions are a"),
        ([("a", "a")] * 73 + [("b", "b")] * 26 + [("b", "nan")], 1, "Not numbers: 1 of 100"),
    ],
)
def test_check_of_a_file(tmp_path, capsys, rows, status, words):
    (tmp_path / "mine.csv").write_bytes(table(rows, header=("label", "prediction")))
    assert main(["check", str(tmp_path / "mine.csv")]) == status
    said = capsys.readouterr().out
    assert words in said
    assert "Macro F1" in said


def test_grades_have_figures_of_their_own(tmp_path, capsys):
    rows = [(0, 0), (1, 2), (2, 2), (3, 0), (4, 3), (0, 1)]
    (tmp_path / "grades.tsv").write_bytes(table(rows, separator="\t"))
    assert main(["check", str(tmp_path / "grades.tsv"), "--ordered"]) == 0
    said = capsys.readouterr().out
    assert "within one grade 0.8333" in said
    assert "quadratic kappa" in said


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["nowhere.csv"], "cannot be read"),
        (["x.csv", "--data", "digits"], "--data goes with a run"),
        (["lenet", "--ordered"], "--ordered goes with a table"),
        (["digits_three_layer", "--data", "cifar10-none"], "no data set|not on this machine"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(capsys, given, sentence):
    import re

    assert main(["check", *given]) == 2
    assert re.search(sentence, capsys.readouterr().err)


def test_a_run_answers_another_data_set(data_folder, capsys):
    """Pictures of its classes, all of them; classes it does not have are named."""
    from PIL import Image

    for label in ("3", "7"):
        (data_folder / "mine" / label).mkdir(parents=True)
        for number in range(12):
            level = 20 * number + int(label)
            Image.new("L", (8, 8), level).save(data_folder / "mine" / label / f"{number}.png")
    main(["check", "digits_three_layer", "--data", "folder:mine"])
    assert "24 images" in capsys.readouterr().out
    (data_folder / "mine" / "7").rename(data_folder / "mine" / "seven")
    assert main(["check", "digits_three_layer", "--data", "folder:mine"]) == 2
    assert "no class 'seven'" in capsys.readouterr().err


def test_a_run_as_a_table_has_the_figures_of_the_run():
    """Also of what it thought all but impossible: one such answer right is most of a log loss."""
    run = folders.open_run("lenet")
    stored = load_predictions(run.path("predictions.npz"), 10)
    found = read_answers(table_of(stored, run.class_names)).predictions
    assert found is not None
    assert np.array_equal(found.confusion(), stored.confusion())
    assert log_loss(found) == pytest.approx(log_loss(stored), rel=1e-4)
    assert calibration(found).error == pytest.approx(calibration(stored).error, abs=1e-4)


def test_the_page_from_a_pasted_table():
    app = AppTest.from_file(str(ROOT / "pages/12_Check.py"), default_timeout=TIMEOUT).run()
    assert not app.exception
    rows = [("a", "a", 0.9, 0.1)] * 30 + [("<b>b</b>", "a", 0.8, 0.2)] * 10
    pasted = table(rows, header=("label", "prediction", "prob_a", "prob_<b>b</b>")).decode()
    app.text_area(key="answers_text").set_value(pasted).run()
    assert not app.exception, app.exception
    assert "Collapsed: 100 % of 40" in app.error[0].value.replace("\\", "")
    said = texts(app).replace("\\", "")
    assert "macro F1" in said
    assert "expected calibration error" in said
    assert "<b>" not in "".join(element.value for element in app.markdown).replace("\\<b\\>", "")
    app.text_area(key="answers_text").set_value("cat").run()
    assert not app.exception
    assert "one column" in " ".join(box.value for box in app.error)


def test_the_page_shows_itself_with_the_answers_of_the_run_in_view():
    app = AppTest.from_file(str(ROOT / "pages/12_Check.py"), default_timeout=TIMEOUT)
    app.query_params["model"] = "lenet"
    app.run().toggle(key="answers_example").set_value(True).run()
    assert not app.exception, app.exception
    assert not app.error
    assert "Not collapsed" in app.success[0].value
