"""Each lesson is done in a browser, on what ships and with no data set: in the clicks that its card
says, and what it promises is in sight in the end.
"""

import pytest

from tests.lesson_walks import WALKS, walk, write_files
from vizlib import lessons
from vizlib.run import folders
from vizlib.training import requests

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brought")
    write_files(folder)
    return folder


@pytest.fixture(scope="module")
def server(start_server, tmp_path_factory):
    """A server of its own: lessons train and bring data."""
    return start_server(CONVSCOPE_DATA=str(tmp_path_factory.mktemp("data")))


@pytest.fixture
def address(server):
    """What the lesson trains is ended with it: the next one's does not wait."""
    address, runs = server
    yield address
    for folder in runs.glob("*/"):
        if folders.read_run(folder).is_active:
            requests.ask(folder, "stop")


def test_every_lesson_is_walked():
    assert list(WALKS) == [lesson.id for lesson in lessons.lessons()[0]]


@pytest.mark.walk
@pytest.mark.parametrize("lesson_id", WALKS)
def test_a_lesson_takes_the_clicks_that_its_card_says(page, address, files, lesson_id):
    lesson = lessons.find(lesson_id)
    if lesson.needs.startswith("the weights"):
        pytest.skip(f"it needs {lesson.needs}")
    assert walk(page, address, lesson_id, files) == lesson.clicks
    assert page.locator("[data-testid='stException']").count() == 0
