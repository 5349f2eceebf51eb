"""The events of a training: lines of events.jsonl, appended by the training process only."""

import errno
import json
import time

from filelock import FileLock, Timeout

from vizlib.errors import UserError

STEP_SECONDS = 0.2  # at most five step events a second
STEP_EVENTS = 600  # and no more than this in a whole training: as many as a curve has pixels
SPARE, SPARE_BYTES = "spare.tmp", 16_384

LOCK = "alive.lock"
# The numbers that an event brings; one without them is left out, as whoever shows it counts on
# them.
_FIGURES = {
    "step": ("step", "epoch", "seconds", "train_loss", "learning_rate"),
    "epoch": (
        "epoch",
        "step",
        "seconds",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "learning_rate",
    ),
    "checkpoint": ("epoch", "val_accuracy"),
    "started": ("parameters",),
    "resumed": ("step",),
    "gradients": ("step", "epoch"),
    "rate": ("step", "epoch", "seconds", "learning_rate"),
    "pictures": ("step", "epoch", "seconds", "height", "width"),
    "finished": ("test_accuracy", "seconds"),
}
_UNDONE = ("step", "epoch", "gradients", "rate", "pictures")


class EventLog:
    """Appends events to a run's events.jsonl, a whole line at a time, so that a reader sees all of
    an event or nothing.

    Use it in a `with`. Within, it holds the run's lock, by which others see that the process is
    alive; UserError if another process trains this run already, or has finished it. A few bytes of
    disk are kept in reserve, so that a full disk can still be reported.
    """

    def __init__(self, folder):
        self._folder, self._last_time, self._last_progress = folder, 0.0, -1.0
        self._lock = FileLock(folder / LOCK)

    def __enter__(self):
        try:
            # whoever looks whether the run is alive holds it for a moment
            self._lock.acquire(timeout=2)
        except Timeout:
            raise UserError(f"{self._folder.name} is being trained already.") from None
        # while this process was on its way here
        if any(row["event"] == "finished" for row in read_events(self._folder / "events.jsonl")):
            self._lock.release()
            raise UserError(f"{self._folder.name} is finished already.")
        for left in self._folder.glob("*.tmp"):  # by a process that was killed while it wrote
            if not left.name.startswith("rate."):  # somebody else may be asking for one just now
                left.unlink(missing_ok=True)
        (self._folder / SPARE).write_bytes(bytes(SPARE_BYTES))
        self._open()
        return self

    def __exit__(self, *exception):
        (self._folder / SPARE).unlink(missing_ok=True)
        self._file.close()
        self._lock.release()

    def _open(self):
        path = self._folder / "events.jsonl"
        torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
        # open for as long as the training goes on
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115
        if torn:  # an earlier process was cut off within a line
            self._file.write(b"\n")

    def write(self, event, **values):
        line = (
            json.dumps({"event": event, "time": round(time.time(), 3), **values}).encode() + b"\n"
        )
        if self._file.write(line) < len(line):
            raise OSError(errno.ENOSPC, "the disk is full")

    def write_last(self, event, **values):
        """Write an event although the disk may be full."""
        (self._folder / SPARE).unlink(missing_ok=True)
        self._file.close()
        self._open()
        self.write(event, **values)

    def step_is_due(self, progress):
        """Whether enough time, and enough of the training, has passed since the last step event.
        progress: in [0, 1].
        """
        now = time.monotonic()
        due = (
            now - self._last_time >= STEP_SECONDS
            and progress - self._last_progress >= 1 / STEP_EVENTS
        )
        if due:
            self._last_time, self._last_progress = now, progress
        return due


def read_events(path):
    """The whole lines of an events file as dictionaries; a torn last line, or one that is no event
    with its figures, is left out.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    rows = []
    for line in text.split("\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if _is_event(row):
            # from a state saved earlier: what came after that has not been
            if row["event"] == "resumed":
                # a checkpoint's weights are there still, unless all begins anew
                undone = _UNDONE if row["step"] else (*_UNDONE, "checkpoint")
                rows = [
                    old
                    for old in rows
                    if not (old["event"] in undone and old.get("step", 0) > row["step"])
                ]
            rows.append(row)
    return rows


def _is_event(row):
    if not isinstance(row, dict) or not isinstance(row.get("event"), str):
        return False
    return all(isinstance(row.get(key), (int, float)) for key in _FIGURES.get(row["event"], ()))
