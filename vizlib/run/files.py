"""Files that appear whole or not at all."""

import os
import uuid
from pathlib import Path


def write_whole(path, content):
    """Write bytes under another name beside the file, then rename: a reader finds the old file or
    the whole new one, and nothing is left after an error.
    """
    path = Path(path)
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
