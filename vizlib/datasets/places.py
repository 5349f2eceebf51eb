"""Where the files of a data set lie, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

from vizlib.datasets import data_root


def folder_name(name: str) -> str:
    """The folder that a data set's name names: "mine" of "folder:mine" and of "csv:mine/a.csv";
    empty for the name of a reader alone.
    """
    return name.partition(":")[2].partition("/")[0]


def folder_of(name: str) -> Path:
    """The folder of a data set: of a reader's name alone, the folder of that name."""
    return data_root() / (folder_name(name) or name)


def kept_beside(folder: Path) -> Path:
    """Where everything is kept that was found out about the data set in a folder: who removes the
    set removes it too.
    """
    return folder.parent / ".convscope" / folder.name
