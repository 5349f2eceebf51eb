"""Does each lesson in a browser and writes docs/lessons.md, with pictures of what is then in sight:
PYTHONPATH=. python docs/lessons.py

Needs what requirements-dev.txt lists, and chromium. It is done as on a fresh clone: with no data
set. Writes docs/images/lessons.
"""

import io
import os
import tempfile
from pathlib import Path

from PIL import Image

from docs.screenshots import browser, server
from tests.lesson_walks import WALKS, walk, write_files
from tests.test_browser import settled
from vizlib import lessons

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs/images/lessons"
BEGINNING = """\
# Lessons

Twelve for a class of beginners. On the page *Lessons* of the app each is a card; it opens on what
there is to see, with a strip of three steps on top. They need neither data nor a network, but for
what a card says. A link opens one for a whole class.

The pictures are of the app as it ships, taken by `PYTHONPATH=. python docs/lessons.py`, which does
each lesson as a reader would and counts the clicks.
"""


def main():
    PICTURES.mkdir(parents=True, exist_ok=True)
    parts = [BEGINNING]
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder))
        os.environ |= {"CONVSCOPE_RUNS": f"{folder}/runs", "CONVSCOPE_DATA": f"{folder}/data"}
        with server() as address, browser() as chromium:
            for lesson_id in WALKS:
                page = chromium.new_page(viewport={"width": 1400, "height": 1000})
                page.set_default_timeout(60_000)
                parts.append(_part(page, address, lessons.find(lesson_id), folder))
                page.close()
    (ROOT / "docs/lessons.md").write_text("\n".join(parts), encoding="utf-8")


def _part(page, address, lesson, folder):
    """Do a lesson; what is written of it."""
    taken = []

    def shown():
        settled(page)
        page.wait_for_timeout(1500)  # what scrolls into view does so slowly
        taken.append(page.screenshot())

    clicks = walk(page, address, lesson.id, folder, shown)
    images = [_write(data, f"{lesson.number:02}-{number}") for number, data in enumerate(taken, 1)]
    count = "1 click" if clicks == 1 else f"{clicks} clicks"
    needs = f" · needs {lesson.needs}" if lesson.needs else ""
    steps = [f"{number}. {step.question}" for number, step in enumerate(lesson.steps, 1)]
    heading = f"## {lesson.number} · {lesson.title}"
    facts = f"{lesson.minutes} minutes · {count}{needs}"
    return "\n\n".join([heading, lesson.sees, facts, "\n".join(steps), *images]) + "\n"


def _write(data, name):
    """Keep a picture of the page; how it is shown."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.thumbnail((1000, 1000))
    image.save(PICTURES / f"{name}.webp", quality=70)
    return f"![lesson {name}](images/lessons/{name}.webp)"


if __name__ == "__main__":
    main()
