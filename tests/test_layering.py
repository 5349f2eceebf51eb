"""Who may import whom, and what is never called: read from the sources, and tried in fresh
interpreters.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PICKLERS = ("pickle", "joblib", "dill", "marshal", "shelve")
FILES = sorted([ROOT / "app.py", *(ROOT / "pages").glob("*.py"), *(ROOT / "vizlib").rglob("*.py")])
# Who may import whom: a room imports from those above it in this list, and from itself.
ROOMS = [
    {"vizlib.errors"},
    {"vizlib.files"},
    {"vizlib.images", "vizlib.clarity", "vizlib.edits", "vizlib.limits", "vizlib.tables"},
    {"vizlib.run", "vizlib.datasets", "vizlib.architectures"},
    {"vizlib.inside"},
    {"vizlib.displays", "vizlib.training", "vizlib.bring", "vizlib.lessons"},
    {"vizlib.reports", "vizlib.hand_in"},
    {"vizlib.command_line", "vizlib.ui"},
    {"vizlib.__main__", "app", "pages"},
]
ROOMS_OF_UI = [
    {"vizlib.ui.streamlit_internals"},
    {"vizlib.ui.data"},
    {"vizlib.ui.widgets"},
    {"vizlib.ui.frame"},
    {"vizlib.ui.parts", "vizlib.ui.train_panel"},
    {"vizlib.ui.lessons"},
    {"vizlib.ui.page"},
]
FLOORS = {
    room: floor
    for rooms_of_house in (ROOMS, ROOMS_OF_UI)
    for floor, rooms in enumerate(rooms_of_house)
    for room in rooms
}
LIGHT = [
    "vizlib",
    "vizlib.errors",
    "vizlib.run.events",
    "vizlib.files",
    "vizlib.run.folders",
    "vizlib.run.moments",
    "vizlib.run.predictions",
    "vizlib.run.verdict",
    "vizlib.inside.evidence",
    "vizlib.inside.strongest",
    "vizlib.inside.passes",
    "vizlib.architectures",
    "vizlib.datasets",
    "vizlib.images",
    "vizlib.limits",
    "vizlib.tables",
    "vizlib.command_line",
    "vizlib.command_line.train",
    "vizlib.command_line.logs",
    "vizlib.bring.logs",
    "vizlib.reports.systems",
    "vizlib.training.recipes",
    "vizlib.training.requests",
    "vizlib.training.schedules",
    "vizlib.training.worker",
    "vizlib.training.estimate",
    "vizlib.training.launcher",
    "vizlib.training.order",
    "vizlib.training.process",
]


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path):
    """The full names of all modules that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide who imports whom"
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def importing(folder, *modules, outside=()):
    """The files of a folder that import one of these modules or something inside them."""
    files = [
        path
        for path in FILES
        if path.is_relative_to(ROOT / folder)
        and not any(path.is_relative_to(ROOT / other) for other in outside)
    ]
    assert files
    return [
        str(path.relative_to(ROOT))
        for path in files
        if any(
            name == module or name.startswith(module + ".")
            for name in imported(path)
            for module in modules
        )
    ]


def test_the_search_finds_what_is_there():
    assert "vizlib/run/weights.py" in importing("vizlib", "torch")
    assert "vizlib/ui/page.py" in importing("vizlib", "streamlit")
    # from vizlib import datasets
    assert "vizlib/training/loop.py" in importing("vizlib", "vizlib.datasets")


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_stay_light(interpreter, module):
    heavy = ("torch", "torchvision", "streamlit", "sklearn", "plotly", "scipy", "pandas")
    ended = interpreter(
        "-c", f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    )
    assert ended.stdout == "[]\n", ended.stdout + ended.stderr


def test_only_the_ui_knows_streamlit():
    assert importing("vizlib", "streamlit", outside=["vizlib/ui"]) == []


def private_uses(path):
    """What a file takes from inside Streamlit: imports of its modules, and st._names."""
    inside = {name for name in imported(path) if name.startswith("streamlit.")}
    return sorted(inside) + [
        ast.unparse(node)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value).partition(".")[0] == "st"
        and (node.attr.startswith("_") or node.attr == "runtime")
    ]


INTERNALS = ROOT / "vizlib/ui/streamlit_internals.py"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_one_file_alone_looks_inside_streamlit(path):
    assert (private_uses(path) == []) == (path != INTERNALS), private_uses(path)


@pytest.mark.parametrize(
    "line",
    ["import streamlit.runtime", "from streamlit.errors import Error", "st._main.write(1)"],
)
def test_the_search_for_what_is_inside_streamlit_finds_it(tmp_path, line):
    (tmp_path / "page.py").write_text(f"import streamlit as st\n{line}\n")
    assert private_uses(tmp_path / "page.py")
    (tmp_path / "page.py").write_text("import streamlit as st\nst.write(1)\n")
    assert not private_uses(tmp_path / "page.py")


def test_what_is_taken_from_inside_is_of_the_installed_version():
    from importlib.metadata import version

    from vizlib.ui.streamlit_internals import MADE_FOR

    assert version("streamlit").startswith(f"{MADE_FOR}.")


def test_the_programs_of_charts_and_tables_are_found():
    """By what they draw: each is where the browser's main program asks for it."""
    import streamlit

    from vizlib.ui.streamlit_internals import programs

    folder = Path(streamlit.__file__).parent / "static/static/js"
    found = programs("PlotlyChart", "DataFrame", "NoSuchElement")
    assert [name.partition(".")[0] for name in found] == ["PlotlyChart", "DataFrame"]
    main = "".join(path.read_text("utf-8", "replace") for path in folder.glob("index.*.js"))
    assert all(f"./{name}" in main for name in found)


def test_displays_know_arrays_only():
    assert (
        importing(
            "vizlib/displays", "torch", "torchvision", "streamlit", "vizlib.ui", "vizlib.training"
        )
        == []
    )


def rooms_of(name):
    """The rooms that a module lies in, from the outside inwards: vizlib.ui, vizlib.ui.frame."""
    parts = name.split(".")
    prefixes = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return [prefix for prefix in prefixes if prefix in FLOORS]


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def looks_up(importer, name):
    """Whether an import goes upward, or sideways into another room of the same floor."""
    for here, there in zip(rooms_of(importer), rooms_of(name), strict=False):
        if here != there:
            return FLOORS[here] <= FLOORS[there]
    return False


def test_every_file_lies_in_a_room():
    modules = {module_of(path) for path in FILES} - {"vizlib", "vizlib.ui"}  # which import nothing
    assert [name for name in sorted(modules) if not rooms_of(name)] == []
    in_ui = [name for name in sorted(modules) if name.startswith("vizlib.ui.")]
    assert [name for name in in_ui if len(rooms_of(name)) < 2] == []


@pytest.mark.parametrize(
    ("importer", "name", "expected"),
    [
        ("vizlib.run.folders", "vizlib.inside.layers", True),
        ("vizlib.inside.layers", "vizlib.run.folders", False),
        ("vizlib.datasets.digits", "vizlib.run.folders", True),  # sideways
        ("vizlib.ui.frame.links", "vizlib.ui.page.run", True),
        ("vizlib.ui.page", "vizlib.ui.frame.links", False),
        ("vizlib.ui.page", "vizlib.inside.layers", False),
        ("vizlib.training.loop", "vizlib.ui.page", True),
        ("vizlib.training.loop", "vizlib.training.state", False),
    ],
)
def test_the_search_for_upward_imports_finds_them(importer, name, expected):
    assert looks_up(importer, name) is expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_imports_upward_or_sideways(path):
    assert [name for name in sorted(imported(path)) if looks_up(module_of(path), name)] == []


def called(node):
    """A call's name as it is written: "torch.load"; empty where it is no plain name."""
    return ast.unparse(node.func) if isinstance(node.func, (ast.Name, ast.Attribute)) else ""


def unsafe(source):
    """The lines of a source that could run what a file or a text brings."""
    lines = []
    for node in ast.walk(source):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module in (*PICKLERS, "torch")
            and {"load", "loads", "Unpickler"} & {name.name for name in node.names}
        ):
            lines.append(node.lineno)
        if not isinstance(node, ast.Call):
            continue
        name, given = (
            called(node),
            {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords},
        )
        module, _, function = name.rpartition(".")
        unpickles = module in PICKLERS and function not in ("dump", "dumps")  # which run nothing
        forbidden = name in ("eval", "exec", "os.system") or unpickles
        torch_load = name == "torch.load" and given.get("weights_only") != "True"
        switched_off = (
            given.get("allow_pickle", "False") != "False"
            or given.get("weights_only", "True") != "True"
            or "pickle_module" in given
        )
        if forbidden or torch_load or switched_off or given.get("shell", "False") != "False":
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(f)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "np.load(f, allow_pickle=True)",
        "from pickle import loads",
        "from torch import load",
        "joblib.load(f)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
        "torch.load(f, weights_only=True, pickle_module=dill)",
    ],
)
def test_the_search_for_unsafe_calls_finds_them(line):
    assert unsafe(ast.parse(line)) == [1]


def test_what_only_writes_is_safe():
    assert unsafe(ast.parse("pickle.dumps(value)")) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_unpickles_freely(path):
    assert unsafe(tree(path)) == []


def test_no_untrusted_text_becomes_html():
    """In the app, unsafe_allow_html goes with constants only: a name from a file must never reach
    it.
    """
    for path in [ROOT / "app.py", *(ROOT / "pages").glob("*.py")]:
        assert not [
            node
            for node in ast.walk(tree(path))
            if isinstance(node, ast.keyword)
            and node.arg in ("unsafe_allow_html", "unsafe_allow_javascript")
        ], path


def test_home_is_drawn_before_torch_is_in():
    """Home's pictures, figures and verdicts, for the model and photograph that the app opens on,
    need no torch.
    """
    code = """
import sys
from streamlit.testing.v1 import AppTest
from vizlib.ui.data import start_up
start_up.warm_up = lambda: None  # what imports it in the background, afterwards
app = AppTest.from_file("app.py", default_timeout=60).run()
assert not app.exception
assert "test images right" in " ".join(element.value for element in app.markdown)
print([name for name in ("torch", "torchvision") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.strip() == "[]", done.stdout + done.stderr[-2000:]
