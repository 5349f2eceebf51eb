"""What Windows has otherwise. It is not among the machines that the tests run on, so they read the
code, and stand in for its refusals.
"""

import ast
import os
from pathlib import Path

import pytest

from vizlib import files
from vizlib.files import put_in_place, write_whole

ROOT = Path(__file__).parent.parent
SOURCES = [
    ROOT / "app.py",
    *(path for room in ("pages", "vizlib", "benchmarks") for path in (ROOT / room).rglob("*.py")),
]
# of modules that are on all systems, what Python's documentation marks as Unix only
UNIX_ONLY = {
    "os": """
        chown fchmod fchown fork forkpty getegid geteuid getgid getloadavg getpgid getpgrp getsid
        getuid killpg lchown mkfifo mknod nice pread pwrite sched_getaffinity sched_setaffinity
        setgid setpgid setsid setuid statvfs sysconf uname wait waitid
    """,
    "signal": "SIGALRM SIGCHLD SIGHUP SIGKILL SIGQUIT SIGUSR1 SIGUSR2 alarm pause",
    "time": "clock_settime tzset",
}
UNIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
GUARDS = ("hasattr(os,", "sys.platform", "os.name", "except ImportError", "fcntl is None")


def names_of_unix(tree):
    """The (line, name) of everything in a module that Windows does not have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in UNIX_ONLY.get(node.value.id, "").split():
                yield node.lineno, f"{node.value.id}.{node.attr}"
            if node.value.id in UNIX_MODULES:
                yield node.lineno, f"{node.value.id}.{node.attr}"
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module] if isinstance(node, ast.ImportFrom) else []
        for module in UNIX_MODULES & set(modules):
            yield node.lineno, module


def unguarded(text):
    """Those of them in whose function, or statement of the module, nothing asks for the system."""
    tree = ast.parse(text)
    lines = text.splitlines()
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    blocks = sorted([*tree.body, *blocks], key=lambda node: node.lineno)
    for line, name in names_of_unix(tree):
        around = [node for node in blocks if node.lineno <= line <= node.end_lineno][-1]
        block = "\n".join(lines[around.lineno - 1 : around.end_lineno])
        if not any(guard in block for guard in GUARDS):
            yield f"{name} in line {line}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_only_unix_has_has_another_way(path):
    assert list(unguarded(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import os\nos.nice(3)", ["os.nice in line 2"]),
        ("import os\nif hasattr(os, 'nice'):\n    os.nice(3)", []),
        ("def f():\n    import fcntl\n    fcntl.flock(1, 2)", ["fcntl", "fcntl.flock"]),
        ("try:\n    import fcntl\nexcept ImportError:\n    fcntl = None", []),
        ("import os, sys\nx = sys.platform\ndef f():\n    os.getuid()", ["os.getuid in line 4"]),
    ],
)
def test_the_reader_of_code_sees_it(text, found):
    said = list(unguarded(text))
    assert len(said) == len(found)
    assert all(one in each for one, each in zip(sorted(found), sorted(said), strict=True))


def test_files_are_replaced_in_one_place():
    """Which tries again: on Windows a file cannot be replaced while somebody reads it."""
    for path in SOURCES:
        assert path.name == "files.py" or "os.replace(" not in path.read_text(encoding="utf-8")


@pytest.fixture
def windows(monkeypatch):
    """os.replace as it is there while another reads: refused, so many times."""
    refusals = []
    replace = os.replace

    def refuse_first(*paths):
        if refusals:
            refusals.pop()
            raise PermissionError(13, "Access is denied")
        replace(*paths)

    monkeypatch.setattr(files.os, "replace", refuse_first)
    monkeypatch.setattr(files, "TRY_AGAIN", 0.0)
    monkeypatch.setattr(files.os, "name", "nt")
    yield refusals
    monkeypatch.undo()


def test_a_file_that_is_read_is_replaced_a_little_later(tmp_path, windows):
    old, new = str(tmp_path / "config.json"), str(tmp_path / "new")
    for path, content in ((old, "old"), (new, "new")):
        with open(path, "w") as file:
            file.write(content)
    windows.extend([None] * (files.TRIES - 1))
    put_in_place(new, old)
    assert windows == []
    with open(old) as file:
        assert file.read() == "new"


def test_one_that_is_never_free_is_an_error(tmp_path, windows):
    path = str(tmp_path / "new")
    with open(path, "w") as file:
        file.write("new")
    windows.extend([None] * files.TRIES)
    with pytest.raises(PermissionError):
        put_in_place(path, str(tmp_path / "config.json"))


def test_elsewhere_a_refusal_is_final(tmp_path, monkeypatch):
    tries = []

    def refuse(*paths):
        tries.append(paths)
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.os, "replace", refuse)
    with pytest.raises(PermissionError):
        write_whole(tmp_path / "config.json", b"{}")
    assert len(tries) == 1
    assert list(tmp_path.iterdir()) == []
