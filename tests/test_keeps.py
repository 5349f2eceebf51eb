"""What a page keeps of its own, so that links lead back to it as it was left, is what its widgets
put into its address: read from the pages as they run.
"""

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.test_pages import fine, fresh_caches, texts  # noqa: F401
from vizlib.run import folders
from vizlib.ui.frame.address import OF_ALL_PAGES

pytestmark = pytest.mark.usefixtures("brief_evidence")
ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]
SHARED = {*OF_ALL_PAGES, "step", "layer", "unit"}  # which stand on several pages
# addresses under which all widgets of a page are drawn at least once
STATES = {
    "app": [{}, {"find": "resnet"}],
    "2_Filters": [{}, {"filter_layer": "conv2"}, {"weights": "true"}],
    "3_Feature_maps": [{}, {"layer": "conv2"}],
    "8_Confusion_matrix": [{}, {"beside": "three_layer_module"}],
    "10_Compare": [{}, {"other": "three_layer_functional"}],
}


def bound(node):
    """The keys under which widgets are in the address, of a page that has been drawn."""
    proto = getattr(node, "proto", None)
    fields = [] if proto is None else [field.name for field, _ in proto.ListFields()]
    found = {proto.query_param_key} if "query_param_key" in fields else set()
    children = getattr(node, "children", {})
    return found.union(*(bound(child) for child in children.values()))


def drawn(page, query):
    app = AppTest.from_file(str(page), default_timeout=60)
    for key, value in {"model": "three_layer_sequential", **query}.items():
        app.query_params[key] = value
    return fine(app.run())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_keeps_what_its_widgets_put_into_its_address(page, fresh_caches):  # noqa: F811
    for number in range(5):  # more than Home shows at a time
        shutil.copytree(folders.SHIPPED / "digits_three_layer", fresh_caches / f"own{number}")
    found, kept = set(), set()
    for query in STATES.get(page.stem, [{}]):
        app = drawn(page, query)
        found |= bound(app._tree)
        [keeps] = app.session_state.kept_by_page.values()
        kept |= set(keeps)
    assert "model" in found, "the address is read"
    assert found - SHARED == kept
