"""The lessons: each file says what it must, each step opens on a page that shows what it frames,
and a damaged file takes none of the others with it.
"""

import re

import pytest
from streamlit.testing.v1 import AppTest

from tests.test_pages import ROOT, fine, texts
from vizlib import lessons
from vizlib.architectures import names as architectures
from vizlib.errors import UserError
from vizlib.run import folders
from vizlib.training.recipes import recipe
from vizlib.ui.frame import links
from vizlib.ui.lessons import strip

FOUND, PROBLEMS = lessons.lessons()
STEPS = [(lesson, number) for lesson in FOUND for number in range(1, len(lesson.steps) + 1)]


def test_there_are_twelve_in_order():
    assert PROBLEMS == ()
    assert [lesson.number for lesson in FOUND] == list(range(1, 13))
    assert len({lesson.id for lesson in FOUND}) == 12


@pytest.mark.parametrize("lesson", FOUND, ids=lambda lesson: lesson.id)
def test_a_lesson_has_a_few_short_steps(lesson):
    assert 3 <= len(lesson.steps) <= 4
    assert 1 <= lesson.clicks <= 4
    runs = {run.run_id for run in folders.list_runs()[0]}
    for step in lesson.steps:
        assert 2 <= len(re.findall(r"[.!?](?=\s|$)", step.text)) <= 4, step.text
        assert len(step.text) < 400
        assert step.question.endswith("?")
        assert (ROOT / links._file_of(step.page)).is_file()
        assert {step.show[key] for key in ("model", "other", "with") if key in step.show} <= runs
        assert "–" not in lessons.filled(step.text + step.answer, folders.list_runs()[0])
        if step.train:
            recipe(step.train.recipe, **step.train.changes)
            assert step.train.architecture in architectures()


@pytest.mark.walk
@pytest.mark.parametrize(
    ("lesson", "number"), STEPS, ids=[f"{lesson.id}.{number}" for lesson, number in STEPS]
)
def test_each_step_opens_and_is_said_on_its_page(lesson, number):
    step = lesson.steps[number - 1]
    app = AppTest.from_file(str(ROOT / links._file_of(step.page)), default_timeout=60)
    for key, value in {"lesson": strip.name_of(lesson, number), **step.show}.items():
        app.query_params[key] = value
    app = app.run()
    assert not app.exception
    said = texts(app)
    assert f"Lesson {lesson.number} · {lesson.title}" in said
    assert f"step {number} of {len(lesson.steps)}" in said
    assert step.question in [box.label for box in app.main.get("expander")]


def test_a_lesson_that_there_is_not_is_named():
    app = AppTest.from_file(str(ROOT / "pages/2_Filters.py"), default_timeout=60)
    app.query_params["lesson"] = "algebra"
    said = " ".join(box.value for box in app.run().warning)
    assert "algebra" in said
    assert FOUND[0].id in said


@pytest.mark.parametrize("content", ["", "title = 3", "title = [", "\x00", "[[steps]]\ntext = 'a'"])
def test_a_damaged_file_is_named_and_the_others_stay(tmp_path, monkeypatch, content):
    path = tmp_path / "07_broken.toml"
    path.write_text(content)
    with pytest.raises(UserError, match="The lesson 07_broken.toml cannot be read"):
        lessons.read(path)
    good = lessons.FOLDER / "01_filters.toml"
    (tmp_path / good.name).write_text(good.read_text())
    monkeypatch.setattr(lessons, "FOLDER", tmp_path)
    found, problems = lessons.lessons.__wrapped__()
    assert [lesson.id for lesson in found] == ["filters"]
    assert len(problems) == 1


def test_the_page_of_lessons_shows_all_and_a_link_for_the_class():
    app = fine(AppTest.from_file(str(ROOT / "pages/15_Lessons.py"), default_timeout=60).run())
    assert all(lesson.sees.split("{")[0] in texts(app).replace("\\", "") for lesson in FOUND)
    assert any(f"lesson={FOUND[0].id}" in box.value for box in app.code)
