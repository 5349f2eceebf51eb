"""Air: short lines, short functions, and a type on every argument of what the rooms offer;
measured over the files as they are.
"""

import ast
import math
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EVERY_FILE = sorted(
    file
    for place in ("vizlib", "pages", "tests", "benchmarks", "docs")
    for file in (ROOT / place).rglob("*.py")
) + sorted(ROOT.glob("*.py"))
OF_THE_APP = [
    file
    for file in EVERY_FILE
    if file.name == "app.py" or file.relative_to(ROOT).parts[0] in ("vizlib", "pages")
]
TYPED = (
    "run",
    "bring",
    "inside",
    "displays",
    "datasets",
    "hand_in",
    "architectures",
    "training",
    "ui/data",
)
NEEDS_NO_TYPE = ("self", "cls")


def ninetieth(values: list[int]) -> int:
    """The value that nine in ten do not exceed."""
    return sorted(values)[math.ceil(0.9 * len(values)) - 1]


def functions(file: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def length(function: ast.FunctionDef) -> int:
    return function.end_lineno - function.lineno + 1


def public_functions(tree: ast.Module) -> list[ast.FunctionDef]:
    """Those of a module and of its public classes, without what is inside a function."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found += [part for part in node.body if isinstance(part, ast.FunctionDef)]
        elif isinstance(node, ast.FunctionDef):
            found.append(node)
    return [function for function in found if not function.name.startswith("_")]


def lacking(function: ast.FunctionDef) -> list[str]:
    """The arguments of a function without a type, and "return"."""
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    names = [
        one.arg for one in arguments if one and not one.annotation and one.arg not in NEEDS_NO_TYPE
    ]
    return names if function.returns else [*names, "return"]


def test_lines():
    lengths = {}
    for file in EVERY_FILE:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if line.strip():
                lengths[f"{file.relative_to(ROOT)}:{number}"] = len(line)
    assert len(lengths) > 10_000, "the files are found"
    assert [where for where, count in lengths.items() if count > 100] == []
    assert ninetieth(list(lengths.values())) <= 92


def test_functions():
    lengths = {
        f"{file.relative_to(ROOT)}:{function.lineno} {function.name}": length(function)
        for file in OF_THE_APP
        for function in functions(file)
    }
    assert len(lengths) > 500, "the functions are found"
    assert {where: count for where, count in lengths.items() if count > 60} == {}
    assert ninetieth(list(lengths.values())) <= 20


@pytest.mark.parametrize("room", TYPED)
def test_public_functions_have_types(room):
    if not (ROOT / "vizlib" / room).is_dir():
        pytest.skip(f"there is no room {room} yet")
    missing = {
        f"{file.relative_to(ROOT)}:{function.name}": lacking(function)
        for file in sorted((ROOT / "vizlib" / room).rglob("*.py"))
        for function in public_functions(ast.parse(file.read_text(encoding="utf-8")))
        if lacking(function)
    }
    assert missing == {}
