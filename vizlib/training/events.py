"""The events of a training: lines appended to events.jsonl by the training process only."""

import json
import time

STEP_SECONDS = 0.2  # at most five step events a second
STEP_EVENTS = 600  # and about as many in a whole training as a curve has pixels,
LONGEST_SILENCE = 10  # but one in this many seconds, so that readers see it is alive


class EventLog:
    """Appends events to a run's events.jsonl, a whole line at a time, so that a reader sees all of an event or nothing."""

    def __init__(self, folder):
        self._file = open(folder / "events.jsonl", "a", encoding="utf-8")  # noqa: SIM115 open for as long as the training goes on
        self._last_time, self._last_step = 0.0, 0

    def write(self, event, **values):
        self._file.write(json.dumps({"event": event, "time": round(time.time(), 3), **values}) + "\n")
        self._file.flush()

    def step_is_due(self, step, total_steps):
        """Whether enough time and enough steps have passed since the last step event."""
        now = time.monotonic()
        waited, steps = now - self._last_time, step - self._last_step
        due = waited >= LONGEST_SILENCE or (waited >= STEP_SECONDS and steps >= total_steps / STEP_EVENTS)
        if due:
            self._last_time, self._last_step = now, step
        return due

    def close(self):
        self._file.close()
