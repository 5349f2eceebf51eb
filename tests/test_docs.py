"""What the documents say is what the project does."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_figures_are_those_of_the_run_folders(interpreter, tmp_path):
    code = (
        "import json, runpy; print(json.dumps([runpy.run_path(f'docs/{script}.py')[function]() "
        "for script, function in (('shipped', 'table'), ('results', 'text'))]))"
    )
    ended = interpreter("-c", code, CONVSCOPE_RUNS=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    table, results = json.loads(ended.stdout)
    assert table.count("\n") > 8, "run: PYTHONPATH=. python docs/shipped.py"
    assert table in README, "run: PYTHONPATH=. python docs/shipped.py"
    assert results == (ROOT / "docs/results.md").read_text(encoding="utf-8"), (
        "run: PYTHONPATH=. python docs/results.py"
    )


def test_links_and_pictures_are_there():
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_pinned_versions_are_the_ones_tested():
    from importlib.metadata import version

    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if name := re.match(r"([a-z-]+)==(\S+)", line):
            assert version(name[1]).split("+")[0] == name[2]


@pytest.mark.parametrize(
    ("lock", "sources"),
    [
        ("requirements.lock", ["requirements.txt"]),
        ("requirements-dev.lock", ["requirements.txt", "requirements-dev.txt"]),
    ],
)
def test_the_lock_has_what_is_pinned_with_digests(lock, sources):
    locked = {}
    for entry in re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip()):
        name, version = re.match(r"([\w.-]+)==([^\s;\\]+)", entry).groups()
        locked[name] = version
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), name
    for source in sources:
        pinned = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / source).read_text(), re.MULTILINE)
        assert pinned
        assert dict(pinned).items() <= locked.items()


def test_every_setting_of_the_server_is_one_that_streamlit_has():
    """It passes over names that it does not know."""
    from streamlit import config

    given = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())
    names = [f"{part}.{name}" for part, values in given.items() for name in values]
    known = config.get_config_options()
    assert [name for name in names if name not in known and not name.startswith("theme.")] == []
    assert given["runner"]["postScriptGC"] is False  # six tenths of a class's time, see docs/design
