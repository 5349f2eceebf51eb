"""What a server lets its users do: how much they may train and bring, and whether one may end what
another began. Imports no torch.

They stand in the TOML file that CONVSCOPE_LIMITS names, as in

    word = "chalk"        # the teacher's: who says it may end, change and remove what others began
    waiting = 20          # trainings in the queue
    waiting_each = 2      # of them, begun by one browser
    minutes = 10          # of one training, which then ends and is kept
    epochs = 30           # of one training
    free_gb = 5           # that stay free on the disk
    runs_gb = 20          # of all runs together
    data_gb = 10          # of all data sets that were brought

What it leaves out is as below.
"""

import os
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from vizlib.errors import UserError
from vizlib.files import open_regular

NAME = "CONVSCOPE_LIMITS"
LARGEST = 100_000  # bytes of the file
GB = 1e9  # bytes


@dataclass(frozen=True)
class Limits:
    """What is allowed. word: empty where everybody may steer everything, as on one's own computer.
    waiting, waiting_each: trainings in the queue, of all and of one browser. minutes, epochs: of
    one training. free_gb: that stay free on the disk. runs_gb: of all runs that do not ship;
    data_gb: of all data sets that were brought.
    """

    word: str = ""
    waiting: float = 10
    waiting_each: float = 5
    minutes: float = 24 * 60
    epochs: float = 10_000
    free_gb: float = 1
    runs_gb: float = 50
    data_gb: float = 50


def limits() -> Limits:
    """Those that hold here. UserError for a file that cannot be read or says something else: then
    nothing begins, rather than everything.
    """
    path = os.environ.get(NAME)
    return _checked(_content(Path(path)), path) if path else Limits()


def _content(path: Path) -> Mapping[str, Any]:
    try:
        with open_regular(path) as file:
            return tomllib.loads(file.read(LARGEST).decode())
    except OSError as error:
        raise UserError(
            f"The limits of this server cannot be read: {path.name!r} ({error.strerror})."
        ) from None
    except ValueError as error:  # no UTF-8, or no TOML
        raise UserError(f"The limits of this server are no TOML: {error}.") from None


def _checked(content: Mapping[str, Any], path: str) -> Limits:
    known = [field.name for field in fields(Limits)]
    for name, value in content.items():
        if name not in known:
            raise UserError(
                f"{name!r} in {Path(path).name!r} is no limit: possible are {', '.join(known)}."
            )
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (isinstance(value, str) if name == "word" else is_number and value >= 0):
            kind = "a text" if name == "word" else "a number from 0"
            raise UserError(f"{name!r} in {Path(path).name!r} is not {kind}.")
    return Limits(**content)


def check_room(folder: Path, free_gb: float) -> None:
    """UserError where fewer than `free_gb` are free on the disk of a folder, which may not be there
    yet.
    """
    folder = folder.resolve()
    there = next(above for above in (folder, *folder.parents) if above.exists())
    free = shutil.disk_usage(there).free / GB
    if free < free_gb:
        raise UserError(
            f"{free:.2g} GB are free on the disk of {there}, and {free_gb:g} stay free here: "
            "remove what is not needed any more."
        )
