"""Logs that somebody else's training wrote, read so that they are drawn like those of our runs.

    brought = read_path(Path("lightning_logs"))
    CurvesDisplay.from_logs(brought.logs)

A kind of file is a file in kinds/. `names` says what a metric is by what it is called, `positions`
along which epochs and steps it lies, `logged` makes of both what is drawn.
"""

from vizlib.bring.logs.files import MAX_BYTES, Brought, read_bytes, read_path
from vizlib.bring.logs.logged import Logged

__all__ = ["MAX_BYTES", "Brought", "Logged", "read_bytes", "read_path"]
