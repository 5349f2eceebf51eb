"""The events of a training: lines appended to events.jsonl by the training process only."""

import json
import os
import threading
import time

STEP_SECONDS = 0.2  # at most five step events a second
STEP_EVENTS = 600  # and no more than this in a whole training: as many as a curve has pixels
HEARTBEAT_SECONDS = 10  # the file is touched this often while nothing happens, so that readers see the process is alive


class EventLog:
    """Appends events to a run's events.jsonl, a whole line at a time, so that a reader sees all of an event or nothing."""

    def __init__(self, folder):
        self._file = open(folder / "events.jsonl", "a", encoding="utf-8")  # noqa: SIM115 open for as long as the training goes on
        self._last_time, self._last_step = 0.0, 0
        self._closed = threading.Event()
        threading.Thread(target=self._beat, args=(folder / "events.jsonl",), name="heartbeat", daemon=True).start()

    def _beat(self, path):
        while not self._closed.wait(HEARTBEAT_SECONDS):
            if path.exists():
                os.utime(path)

    def write(self, event, **values):
        self._file.write(json.dumps({"event": event, "time": round(time.time(), 3), **values}) + "\n")
        self._file.flush()

    def step_is_due(self, step, total_steps):
        """Whether enough time and enough steps have passed since the last step event."""
        now = time.monotonic()
        due = now - self._last_time >= STEP_SECONDS and step - self._last_step >= total_steps / STEP_EVENTS
        if due:
            self._last_time, self._last_step = now, step
        return due

    def close(self):
        self._closed.set()
        self._file.close()
