"""Lessons for a class of beginners: a file of text each, found by being in this folder.

A file is called NUMBER_name.toml; its name is what an address calls the lesson. It says:
    title, sees      what the lesson is called, and what a class will have seen, in a sentence
    minutes, clicks  how long it takes; clicks to see it, that on its card among them
    needs            what it needs beside this program, in a few words; left out for nothing
    [[steps]]        three or four, each with
      text             three short sentences; {accuracy RUN} is the share of test images that a run
                       gets right
      page, show       the page by its title, and what its address says besides
      look             the key of what is framed on that page
      open             the key of what is opened there, if anything is folded
      question, answer for the class, the answer folded
      train            the training that a button of this step starts: label, architecture, dataset
                       (left out: that in view on the page Data), recipe, and changes of the recipe;
                       opens_next: whether the next step follows at once
      qr               whether the address of this step stands beside it as a QR code

Imports neither torch nor Streamlit.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from vizlib.errors import UserError
from vizlib.run.folders import Run

FOLDER = Path(__file__).parent
_FIGURE = re.compile(r"\{accuracy ([\w-]+)\}")


@dataclass(frozen=True)
class Training:
    """What a step trains. changes: of the recipe, {field: value}."""

    label: str
    architecture: str
    recipe: str
    dataset: str = ""
    opens_next: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One step of a lesson, as the text above says."""

    text: str
    page: str
    look: str
    question: str
    answer: str
    show: Mapping[str, str] = field(default_factory=dict)
    open: str = ""
    train: Training | None = None
    qr: bool = False


@dataclass(frozen=True)
class Lesson:
    """id: what an address calls it; number: its place among the lessons, from 1."""

    id: str
    number: int
    title: str
    sees: str
    minutes: int
    clicks: int
    steps: tuple[Step, ...]
    needs: str = ""


@cache
def lessons() -> tuple[tuple[Lesson, ...], tuple[str, ...]]:
    """All lessons by their numbers; and a sentence on each file that is none."""
    found, problems = [], []
    for path in sorted(FOLDER.glob("[0-9]*_*.toml")):
        try:
            found.append(read(path))
        except UserError as error:
            problems.append(str(error))
    return tuple(sorted(found, key=lambda lesson: lesson.number)), tuple(problems)


def find(lesson_id: str) -> Lesson | None:
    """The lesson of that name, None where there is none."""
    return next((lesson for lesson in lessons()[0] if lesson.id == lesson_id), None)


def read(path: Path) -> Lesson:
    """The lesson in a file. UserError, which says why, for a file that is none."""
    number, _, lesson_id = path.stem.partition("_")
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        steps = tuple(_step(step) for step in told.pop("steps"))
        return Lesson(lesson_id, int(number), steps=steps, **_checked(Lesson, told))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"The lesson {path.name} cannot be read: {error}.") from error


def filled(text: str, runs: Iterable[Run]) -> str:
    """A text with the figures that it names, read from the folders of runs; a dash for one that is
    not there.
    """
    by_id = {run.run_id: run for run in runs}

    def figure(match: re.Match[str]) -> str:
        run = by_id.get(match[1])
        finished = run.events_of("finished") if run else []
        return f"{finished[-1]['test_accuracy']:.1%}" if finished else "–"

    return _FIGURE.sub(figure, text)


def _step(told: dict[str, Any]) -> Step:
    training = told.pop("train", None)
    if training is not None:
        training = Training(**_checked(Training, training))
    return Step(train=training, **_checked(Step, told))


def _checked(kind: type, told: dict[str, Any]) -> dict[str, Any]:
    """The fields of a kind as a file tells them. TypeError for one of another type."""
    expected = {each.name: each.type for each in fields(kind)}
    types = {"str": str, "int": int, "bool": bool}
    for name, value in told.items():
        wanted = types.get(expected.get(name, ""), dict)
        if type(value) is not wanted:
            raise TypeError(f"{name} is no {wanted.__name__}")
    return {
        name: " ".join(value.split()) if isinstance(value, str) else value
        for name, value in told.items()
    }
