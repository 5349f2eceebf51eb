"""A table of answers, as any classifier can write one: the label of each image, the answer, and if
there are any the probabilities of the classes.

    label,prediction
    cat,dog

With a header or without, words or numbers, commas, semicolons or tabs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vizlib.datasets.delimited import rows_in
from vizlib.errors import UserError
from vizlib.run.predictions import NO_ANSWER, Predictions, counted, counted_unanswered
from vizlib.tables import as_csv

MAX_BYTES = 50_000_000
MOST_CLASSES = 2_000
TRUE_NAMES = ("label", "true", "truth", "target", "actual", "y", "class", "labels", "references")
PREDICTED_NAMES = ("prediction", "predicted", "pred", "answer", "output", "predictions", "preds")
BEGINNINGS = ("y_", "true_", "predicted_", "pred_", "")
ENDINGS = ("", "_label", "_labels", "_class")
PROBABILITY_NAMES = ("prob", "probability", "p", "score", "proba", "logit", "logits", "class")
NOTHING = {"", "nan", "none", "null", "na", "n/a", "-"}
FEWEST_TO_TELL = 8  # lines, from which on a header can be told from a class that occurs once
TOLERANCE = 0.02  # of a sum of probabilities that were rounded


@dataclass(frozen=True)
class Answers:
    """labels, predicted_labels: int64 (N,), the latter NO_ANSWER where there is none. logits:
    float32 (N, K), or None where the table has the answers alone. remarks: sentences on how the
    table was understood.
    """

    class_names: list[str]
    labels: np.ndarray
    predicted_labels: np.ndarray
    logits: np.ndarray | None
    remarks: list[str] = field(default_factory=list)

    def confusion(self) -> np.ndarray:
        """Counts, int (K, K): row the true class, column the answer."""
        return counted(self.labels, self.predicted_labels, len(self.class_names))

    def unanswered(self) -> np.ndarray:
        """How many images of each class have no answer, int (K,)."""
        return counted_unanswered(self.labels, self.predicted_labels, len(self.class_names))

    @property
    def predictions(self) -> Predictions | None:
        """The same as Predictions, where there are probabilities; the id of an image is its row in
        the table, from 1.
        """
        if self.logits is None:
            return None
        ids = np.arange(1, len(self.labels) + 1).astype(str)
        return Predictions(self.labels, self.logits, ids)


def table_of(predictions: Predictions, class_names: Sequence[str]) -> bytes:
    """Predictions as such a table, with the probabilities of the classes."""
    header = ("label", "prediction", *(f"prob_{name}" for name in class_names))
    answered = (
        "" if label == NO_ANSWER else class_names[label] for label in predictions.predicted_labels
    )
    true = (class_names[label] for label in predictions.labels)
    rows = (
        (label, answer, *(f"{share:.6g}" for share in shares))
        for label, answer, shares in zip(true, answered, predictions.probabilities, strict=True)
    )
    return as_csv(header, rows).encode()


@dataclass(frozen=True)
class _Columns:
    """Which column is what, from 0; probabilities: those of the classes, in `class_names`' order
    where these are known from the header.
    """

    true: int
    predicted: int
    probabilities: tuple[int, ...]
    class_names: tuple[str, ...]


def read_answers(data: bytes) -> Answers:
    """The Answers in a table's bytes. UserError, in one sentence that names the line, for what is
    none.
    """
    rows = _rows(data)
    header = rows[0] if _is_header(rows[0]) else None
    body = [(number, row) for number, row in enumerate(rows, 1) if row]
    if header is not None:
        body = body[1:]
    if not body:
        raise UserError("This table has a header and no answers below it.")
    columns, remarks = _columns(header, [row for _, row in body])
    texts = [_two_texts(number, row, columns) for number, row in body]
    names = _class_names(texts, columns)
    numbers = {name: number for number, name in enumerate(names)}
    labels = np.array([numbers[true] for true, _ in texts], np.int64)
    predicted = np.array([numbers.get(answer, NO_ANSWER) for _, answer in texts], np.int64)
    logits = None
    if columns.probabilities:
        logits, kind = _logits(body, columns, len(names))
        remarks = [*remarks, *_on_logits(logits, predicted, kind)]
    return Answers(names, labels, predicted, logits, remarks)


def _rows(data: bytes) -> list[list[str]]:
    """The rows of a text, the first of which is not empty."""
    if len(data) > MAX_BYTES:
        raise UserError(
            f"This table has {len(data) / 1e6:.0f} MB: up to {MAX_BYTES // 1_000_000} MB can be "
            "read."
        )
    try:
        text = data.decode("utf-8-sig").lstrip("\r\n ")
        rows = rows_in(io.StringIO(text, newline=""))
    except (UnicodeDecodeError, csv.Error):
        raise UserError("This is no text in UTF-8: save the table again as CSV (UTF-8).") from None
    if not any(rows):
        raise UserError("This table is empty: it needs a label and an answer in each line.")
    return rows


def _is_header(row: Sequence[str]) -> bool:
    return _place(row, TRUE_NAMES) is not None and _place(row, PREDICTED_NAMES) is not None


def _place(header: Sequence[str], names: Sequence[str]) -> int | None:
    """The column that is called by one of these names, the most usual first."""
    plain = [name.lower().replace(" ", "_") for name in header]
    possible = {
        f"{beginning}{name}{ending}"
        for name in names
        for beginning in (BEGINNINGS if name != "y" else ("",))
        for ending in ENDINGS
    }
    return next((place for place, name in enumerate(plain) if name in possible), None)


def _columns(header: Sequence[str] | None, body: list[list[str]]) -> tuple[_Columns, list[str]]:
    """The _Columns, and what there is to say of how they were found."""
    widths = {len(row) for row in body}
    if header is None:
        if max(widths) < 2:
            raise UserError(
                "This table has one column: it needs the label and the answer of each image."
            )
        _refuse_unknown_header(body)
        first = 1 if max(widths) > 2 and _counts([row[0] for row in body]) else 0
        chosen = _Columns(first, first + 1, tuple(range(first + 2, max(widths))), ())
        which = "second" if first else "first"
        after = "third" if first else "second"
        counter = "The first column counts the lines. " if first else ""
        return chosen, [
            f"{counter}It has no header: the {which} column is the label, the {after} the answer."
        ]
    true, predicted = _place(header, TRUE_NAMES), _place(header, PREDICTED_NAMES)
    if true is None or predicted is None:  # which _is_header has seen to
        raise UserError("This table names no label and no prediction.")
    others = [place for place in range(len(header)) if place not in (true, predicted)]
    chosen = [place for place in others if _is_of_numbers(place, body)]
    named = {place: _class_of(header[place]) for place in chosen}
    occurring = {row[column] for row in body for column in (true, predicted) if column < len(row)}
    fitting = [place for place in chosen if named[place] in occurring]
    if len(fitting) < 2 or not occurring - NOTHING <= {named[place] for place in fitting}:
        left = ", ".join(repr(header[place]) for place in others[:3])
        said = [f"Not used: {left}{' and more' if others[3:] else ''}."] if others else []
        return _Columns(true, predicted, (), ()), said
    # classes that never occur have a probability too
    fitting = [place for place in chosen if _is_like(header, place, fitting)]
    return _Columns(true, predicted, tuple(fitting), tuple(named[p] for p in fitting)), []


def _refuse_unknown_header(body: list[list[str]]) -> None:
    """UserError where the first line looks like names of columns, none of which is known."""
    (*first, _, _), *rest = ([*row, "", ""] for row in body)
    words = [cell for cell in first[:2] if cell and not cell.replace(".", "").isdecimal()]
    others = {cell for row in rest for cell in row[:2]}
    if len(rest) >= FEWEST_TO_TELL and len(words) == 2 and not others & set(words):
        raise UserError(
            f"The first line, {words[0][:40]!r} and {words[1][:40]!r}, looks like names of "
            "columns: call them label and prediction."
        )


def _counts(column: list[str]) -> bool:
    """Whether a column counts the lines, from 0 or from 1."""
    return len(column) > 2 and column in (
        [str(number) for number in range(start, start + len(column))] for start in (0, 1)
    )


def _is_of_numbers(place: int, body: list[list[str]]) -> bool:
    try:
        return all(place < len(row) and float(row[place]) is not None for row in body[:50])
    except ValueError:
        return False


def _class_of(name: str) -> str:
    """The class that a column's name speaks of: itself, or what follows "prob_" and the like."""
    beginning, mark, rest = name.partition("_")
    if mark and beginning.lower() in PROBABILITY_NAMES:
        return rest
    return name


def _is_like(header: Sequence[str], place: int, fitting: Sequence[int]) -> bool:
    """Whether a column's name begins as those of the classes that occur, and it stands among or
    beside them.
    """
    beginnings = {header[known].removesuffix(_class_of(header[known])) for known in fitting}
    own = header[place].removesuffix(_class_of(header[place]))
    return place in fitting or (own in beginnings and own != "")


def _two_texts(number: int, row: list[str], columns: _Columns) -> tuple[str, str]:
    """(label, answer) of a row; an empty answer where there is none."""
    cells = [row[place] if place < len(row) else "" for place in (columns.true, columns.predicted)]
    label, answer = map(_as_class, cells)
    if label.lower() in NOTHING:
        raise UserError(f"Line {number} has no label: each image needs one.")
    return label, "" if answer.lower() in NOTHING else answer


def _as_class(text: str) -> str:
    """A class's name: 3.0 is 3, as pandas writes whole numbers beside a gap."""
    whole, point, zeros = text.partition(".")
    is_whole = whole.lstrip("-").isdecimal() and point and not zeros.strip("0")
    return whole if is_whole else text


def _class_names(texts: list[tuple[str, str]], columns: _Columns) -> list[str]:
    """All classes: as the header has them, else numbers by size or words by the alphabet."""
    occurring = {name for pair in texts for name in pair if name}
    count = len(occurring | set(columns.class_names))
    if count > MOST_CLASSES:
        raise UserError(
            f"This table would make {count:,} classes, of labels such as "
            f"{min(occurring)[:40]!r}: up to {MOST_CLASSES:,} are possible. Are the first "
            "two columns the label and the answer?"
        )
    if columns.class_names:
        return list(columns.class_names)
    if all(name.isdecimal() for name in occurring):
        greatest = max(map(int, occurring))
        by_number = max(len(columns.probabilities), greatest + 1)
        is_dense = greatest < 2 * len(occurring) or by_number == len(columns.probabilities)
        numbers = range(by_number) if is_dense else sorted(map(int, occurring))
        return [str(number) for number in numbers]
    return sorted(occurring)


def _logits(
    body: list[tuple[int, list[str]]], columns: _Columns, classes: int
) -> tuple[np.ndarray, str]:
    """float32 (N, K), and whether they were "probabilities" or "logits"."""
    places = columns.probabilities
    if len(places) != classes:
        raise UserError(
            f"This table has {len(places)} columns of numbers behind label and answer, and "
            f"{classes} classes: one for each class is needed, in their order, or none."
        )
    values = np.empty((len(body), classes), np.float32)
    for index, (number, row) in enumerate(body):
        try:
            values[index] = [float(row[place]) if row[place] else np.nan for place in places]
        except (ValueError, IndexError):
            raise UserError(
                f"Line {number} has no {classes} numbers for the classes: one for each is needed."
            ) from None
    finite = np.asarray(np.isfinite(values).all(axis=1))
    known = values[finite]
    is_positive = bool(np.all(known >= 0))
    if is_positive and np.allclose(known.sum(axis=1), 1, atol=TOLERANCE):
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(values, np.float32(1e-30)))
        return np.where(finite[:, None], logs, np.nan).astype(np.float32), "probabilities"
    return values, "logits"


def _on_logits(logits: np.ndarray, predicted: np.ndarray, kind: str) -> list[str]:
    """What there is to say of the numbers for the classes."""
    finite = np.isfinite(logits).all(axis=1)
    other = int((finite & (predicted != logits.argmax(axis=1)) & (predicted != NO_ANSWER)).sum())
    sentences = []
    if kind == "logits":
        sentences.append(
            "The numbers for the classes do not add up to 1: they are taken for logits."
        )
    if other:
        sentences.append(
            f"{other:,} answers are not the class with the greatest number: the matrix goes by the "
            "answers, what is said of probabilities by the numbers."
        )
    return sentences
