"""What was found out about this machine, in files of its own: they are of the machine, not of a
project. Imports no torch.
"""

import json
import os
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from vizlib.files import open_regular, write_whole
from vizlib.training.processor import model_name

LONGEST = 100_000  # bytes of a file


def key() -> str:
    """What figures of speed hold for: a home may be shared by machines, and another PyTorch may
    have other kernels; their own limits, too, are set by variables.
    """
    limits = [os.environ.get(name, "") for name in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")]
    return " | ".join([model_name(), version("torch"), *limits])


def read(name: str) -> dict[str, object]:
    """What a file holds, by what it is of; nothing where it is none of ours."""
    try:
        with open_regular(_folder() / name) as file:
            content = json.loads(file.read(LONGEST).decode())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def keep(name: str, of: str, found: object) -> None:
    """Add to a file what was found. Where that cannot be written it is found out again."""
    with suppress(OSError):
        _folder().mkdir(parents=True, exist_ok=True)
        write_whole(_folder() / name, json.dumps(read(name) | {of: found}, indent=1).encode())


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "convscope"
