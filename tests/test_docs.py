"""What the documents say is what the project does."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_figures_of_the_shipped_networks_are_those_of_their_run_folders():
    table = subprocess.run(
        [sys.executable, "-c", "import runpy; print(runpy.run_path('docs/shipped.py')['table'](), end='')"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert table.count("\n") > 8 and table in README, "run: python docs/shipped.py"


def test_links_and_pictures_are_there():
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_pinned_versions_are_the_ones_tested():
    from importlib.metadata import version

    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if name := re.match(r"([a-z-]+)==(\S+)", line):
            assert version(name[1]).split("+")[0] == name[2]
