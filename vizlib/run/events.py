"""The events of a training: lines of events.jsonl, appended by the training process only.

Each event is declared once, below: what it brings, its phase, what a resume undoes, its points in
TensorBoard and its mark on a curve. Whoever reads, writes or draws events goes by that.
"""

from __future__ import annotations

import errno
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from vizlib.errors import UserError
from vizlib.files import legible, open_regular, refuse_irregular

STEP_SECONDS = 0.2  # at most five step events a second
STEP_EVENTS = 600  # and no more than this in a whole training: as many as a curve has pixels
SPARE, SPARE_BYTES = "spare.tmp", 16_384
LOCK = "alive.lock"
TAIL = 4096  # bytes at the end of a file, in which its phase mostly stands
# bytes; earlier versions wrote a matrix into each epoch's line, and that of a thousand classes fits
LONGEST_LINE = 4_000_000
LARGEST = 2**53 - 1  # up to here floats, and browsers, tell whole numbers apart
LARGEST_FIGURE = 1e38  # about where float32 ends
LARGEST_SIDE = 1024

Event = dict[str, Any]  # with at least "event", the name of its declaration


# What an event may bring


@dataclass(frozen=True)
class Value:
    """A kind of value: what it is, as in a sentence, and whether one fits."""

    words: str
    fits: Callable[[Any], bool]


def _number(words: str, low: float, high: float, *, whole: bool = False) -> Value:
    kinds = int if whole else (int, float)

    def fits(value: Any) -> bool:  # what is not a number, or infinite, is not between the two
        return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high

    return Value(words, fits)


def _list(words: str, item: Value) -> Value:
    return Value(words, lambda value: isinstance(value, list) and all(map(item.fits, value)))


def _text(words: str, longest: int) -> Value:
    return Value(words, lambda value: isinstance(value, str) and len(value) <= longest)


COUNT = _number("a whole number from 0", 0, LARGEST, whole=True)
SIDE = _number(f"a whole number from 1 to {LARGEST_SIDE}", 1, LARGEST_SIDE, whole=True)
AMOUNT = _number("a number from 0", 0, LARGEST)
FIGURE = _number("a number", -LARGEST_FIGURE, LARGEST_FIGURE)
SHARE = _number("a number from 0 to 1", 0, 1)
FLAG = Value("true or false", lambda value: isinstance(value, bool))
NAME = Value(
    "a short text",
    lambda value: isinstance(value, str) and len(value) <= 200 and value.isprintable(),
)
TEXT = _text("a text", 10_000)
COUNTS = _list("a list of whole numbers from 0", COUNT)
FIGURES = _list("a list of numbers", FIGURE)
NAMES = _list("a list of short texts", NAME)
STEPS = Value("a whole number from 0, or null", lambda value: value is None or COUNT.fits(value))
MATRIX = Value("a matrix", lambda value: isinstance(value, list))  # looked into when it is shown


# The declarations

LATER, ANEW = "later", "anew"


@dataclass(frozen=True)
class Declaration:
    """What there is to know of an event.

    needed: what it always brings: whoever shows it counts on that. optional: what it may bring,
    older ones do not. phase: the status of a run whose last such event it is, as long as its
    process lives; empty where it says nothing of that. undone: LATER if a resume undoes those that
    came after the step it goes on from, ANEW if only one that goes on from the very beginning does,
    else empty. tags: TensorBoard's name -> the value drawn there; one that has "{layer}" in it
    draws a list, a value a layer. mark: what the vertical line on a curve says, formatted with the
    event; empty where there is no line.
    """

    needed: dict[str, Value] = field(default_factory=dict)
    optional: dict[str, Value] = field(default_factory=dict)
    phase: str = ""
    undone: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    mark: str = ""


_MOMENT = {"step": COUNT, "epoch": AMOUNT, "seconds": AMOUNT}

EVENTS = {
    "queued": Declaration(optional={"device": NAME, "asked": AMOUNT}, phase="queued"),
    "starting": Declaration(phase="training"),
    "started": Declaration(
        needed={"parameters": COUNT},
        optional={
            "device": NAME,
            "processor": NAME,
            "number_types": NAME,  # that it computes in
            "processes": COUNT,
            "train_images": COUNT,
            "val_images": COUNT,
            "test_images": COUNT,
            "train_counts": COUNTS,
            "steps": STEPS,  # null where the time is limited instead
            "layers": NAMES,
        },
        phase="training",
    ),
    "step": Declaration(
        needed={**_MOMENT, "train_loss": FIGURE, "learning_rate": FIGURE},
        optional={"progress": SHARE, "train_accuracy": SHARE, "images_per_second": AMOUNT},
        undone=LATER,
        tags={
            "loss/training": "train_loss",
            "accuracy/training": "train_accuracy",
            "learning_rate": "learning_rate",
        },
    ),
    "epoch": Declaration(
        needed={
            **_MOMENT,
            "train_loss": FIGURE,
            "train_accuracy": SHARE,
            "val_loss": FIGURE,
            "val_accuracy": SHARE,
            "learning_rate": FIGURE,
        },
        # earlier versions wrote the matrix here; now it lies in evaluations.safetensors
        optional={"progress": SHARE, "confusion": MATRIX},
        undone=LATER,
        tags={"loss/validation": "val_loss", "accuracy/validation": "val_accuracy"},
    ),
    # its weights are there still after a resume, unless all begins anew
    "checkpoint": Declaration(
        needed={"epoch": AMOUNT, "val_accuracy": SHARE},
        # the last where it was chosen by that
        optional={"step": COUNT, "seconds": AMOUNT, "balanced_accuracy": SHARE},
        undone=ANEW,
    ),
    "gradients": Declaration(
        needed={"step": COUNT, "epoch": AMOUNT},
        optional={"seconds": AMOUNT, "norms": FIGURES, "weights": FIGURES},
        undone=LATER,
        tags={"gradient/{layer}": "norms"},
    ),
    "rate": Declaration(
        needed={**_MOMENT, "learning_rate": FIGURE},
        undone=LATER,
        mark="rate {learning_rate:.3g}",
    ),
    "resumed": Declaration(
        needed={"step": COUNT},
        optional={"seconds": AMOUNT, "epoch": AMOUNT, "device": NAME},
        phase="training",
        mark="resumed",
    ),
    "pictures": Declaration(
        needed={**_MOMENT, "height": SIDE, "width": SIDE},
        undone=LATER,
        mark="{height} × {width} pixels",
    ),
    # a network that was trained elsewhere: what is written instead of a training
    "imported": Declaration(
        needed={"parameters": COUNT},
        optional={"recognised": TEXT},
        phase="imported",
    ),
    # how it answered pictures here, as often as it was asked
    "answered": Declaration(needed={"test_accuracy": SHARE, "test_images": COUNT}),
    "paused": Declaration(optional=_MOMENT, phase="paused"),
    "continued": Declaration(optional=_MOMENT, phase="training"),
    "stopped": Declaration(optional={"reason": TEXT}, phase="stopped"),
    "failed": Declaration(optional={"reason": TEXT}, phase="failed"),
    "finished": Declaration(
        needed={"test_accuracy": SHARE, "seconds": AMOUNT},
        # written again where the answers were given anew and are others, and where the weights were
        # packed afterwards: in how many bits each, what the trained ones reached, and the share of
        # the test images that these answered otherwise
        optional={
            "kept": FLAG,
            "bits": AMOUNT,
            "trained_accuracy": SHARE,
            "changed_answers": SHARE,
        },
        phase="finished",
    ),
}
_OF_ALL = {"time": FIGURE}  # when it was written, in seconds since 1970


def phases() -> dict[str, str]:
    """The phase that each event begins, by its name."""
    return {name: declared.phase for name, declared in EVENTS.items() if declared.phase}


def marks() -> dict[str, str]:
    """The words of each event that is marked on a curve, by its name."""
    return {name: declared.mark for name, declared in EVENTS.items() if declared.mark}


# Reading


def read_events(path: Path) -> tuple[list[Event], str]:
    """The events of a file in order, less those that a resume undid, and in a few words what of the
    file does not fit and was left out; empty where all does.

    A torn last line is no fault: it is being written.
    """
    events: list[Event] = []
    faults = _Faults()
    try:
        with open_regular(path) as file:
            for number, line in enumerate(_lines(file), 1):
                event = faults.fitting(line, number)
                if event is None:
                    continue
                if event["event"] == "resumed":
                    events = [old for old in events if not _is_undone(old, event["step"])]
                events.append(event)
    except FileNotFoundError:
        return [], ""
    except OSError as error:
        return [], f"its events cannot be read: {error.strerror}"
    return events, faults.words()


def phase_at_end(path: Path) -> Event | None:
    """A file's last event that begins a phase, as far as its last TAIL bytes tell; None where they
    do not.
    """
    try:
        with open_regular(path) as file:
            begins = max(0, file.seek(0, os.SEEK_END) - TAIL)
            file.seek(begins)
            lines = list(io.BytesIO(file.read(TAIL)))
    except OSError:
        return None
    faults, declared = _Faults(), phases()
    # the first one is cut off, unless the file begins with it
    for line in reversed(lines[begins > 0 :]):
        event = faults.fitting(line, 0)
        if event is not None and event["event"] in declared:
            return event
    return None


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """The lines of a file, None for one that is too long: that is never in memory as a whole."""
    while line := file.readline(LONGEST_LINE):
        if len(line) < LONGEST_LINE or line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(LONGEST_LINE)
        yield None


def _is_undone(event: Event, step: int) -> bool:
    """Whether a resume that goes on from this step undoes an event."""
    undone = EVENTS[event["event"]].undone
    return undone in ((LATER,) if step else (LATER, ANEW)) and event.get("step", 0) > step


class _Faults:
    """What of a file does not fit: whole lines, and single values of lines that can do without."""

    def __init__(self) -> None:
        self._lines = self._values = 0
        self._first = ""

    def fitting(self, line: bytes | None, number: int) -> Event | None:
        """What fits of a line, or None where nothing does."""
        if line is None:
            return self._refuse(number, f"it is longer than {LONGEST_LINE:,} bytes")
        if not line.strip():
            return None
        try:
            event = json.loads(line.decode("utf-8", "replace"))
            event = legible(event) if b"\\u" in line else event
        except (ValueError, RecursionError):
            # a last line without its end is being written
            return self._refuse(number, "it is no JSON") if line.endswith(b"\n") else None
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            return self._refuse(number, "it is no event")
        if event["event"] not in EVENTS:
            return self._refuse(number, "its event is not one that this version knows")
        return self._with_fitting_values(event, number)

    def _with_fitting_values(self, event: Event, number: int) -> Event | None:
        declared = EVENTS[event["event"]]
        for name, value in declared.needed.items():
            if not value.fits(event.get(name)):
                return self._refuse(number, _fault(event["event"], name, value))
        for name, value in (*declared.optional.items(), *_OF_ALL.items()):
            if name in event and not value.fits(event[name]):
                del event[name]
                self._values += 1
                self._note(number, _fault(event["event"], name, value))
        return event

    def _refuse(self, number: int, why: str) -> None:
        self._lines += 1
        self._note(number, why)

    def _note(self, number: int, why: str) -> None:
        self._first = self._first or f"line {number:,}: {why}"

    def words(self) -> str:
        """As the end of a sentence; empty where all fits."""
        parts = [
            f"{count:,} {kind}{'s' * (count > 1)}"
            for count, kind in ((self._lines, "line"), (self._values, "value"))
            if count
        ]
        if not parts:
            return ""
        is_one = self._lines + self._values == 1
        where = self._first if is_one else f"the first in {self._first}"
        return f"{' and '.join(parts)} of its events {'is' if is_one else 'are'} left out ({where})"


def _fault(event: str, name: str, value: Value) -> str:
    return f"the {name!r} of a {event!r} event is not {value.words}"


# Writing


class EventLog:
    """Appends events to a run's events.jsonl, a whole line at a time, so that a reader sees all of
    an event or nothing.

    Use it in a `with`. Within, it holds the run's lock, by which others see that the process is
    alive; UserError if another process trains this run already, or has finished it, or if its
    folder is gone. A few bytes of disk are kept in reserve, so that a full disk can still be
    reported.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last_time, self._last_progress = 0.0, -1.0
        self._lock = FileLock(folder / LOCK)

    def __enter__(self) -> EventLog:
        self.check_folder()
        for name in (LOCK, SPARE, "events.jsonl"):
            refuse_irregular(self._folder / name)
        self._acquire()
        # while this process was on its way here
        events, _ = read_events(self._folder / "events.jsonl")
        if any(event["event"] == "finished" for event in events):
            self._lock.release()
            raise UserError(f"{self._folder.name} is finished already.")
        self._tidy()
        self._open()
        return self

    def _acquire(self) -> None:
        """Take the lock. UserError if another process has it, or there can be none."""
        try:
            # whoever looks whether the run is alive holds it for a moment
            self._lock.acquire(timeout=2)
        except Timeout:
            raise UserError(f"{self._folder.name} is being trained already.") from None
        except OSError as error:
            raise UserError(
                f"Nothing can be written into {self._folder}: {error.strerror}."
            ) from None

    def _tidy(self) -> None:
        """Remove what is half written, and put bytes in reserve."""
        for left in self._folder.glob("*.tmp"):  # by a process that was killed while it wrote
            if not left.name.startswith("rate."):  # somebody else may be asking for one just now
                left.unlink(missing_ok=True)
        (self._folder / SPARE).write_bytes(bytes(SPARE_BYTES))

    def __exit__(self, *exception: object) -> None:
        (self._folder / SPARE).unlink(missing_ok=True)
        self._file.close()
        self._lock.release()

    def check_folder(self) -> None:
        """UserError if somebody has removed the folder, which ends its training."""
        if not self._folder.is_dir():
            raise UserError(f"The folder of {self._folder.name} is gone, and its training ends.")

    def _open(self) -> None:
        # open for as long as the training goes on
        self._file = open(self._folder / "events.jsonl", "ab", buffering=0)  # noqa: SIM115
        if _is_torn(self._folder / "events.jsonl"):  # an earlier process was cut off within a line
            self._file.write(b"\n")

    def write(self, event: str, **values: Any) -> None:
        """Append an event, less what it can do without and is not as declared: of a network that
        diverges not all is a number. ValueError for one that could not be read again.
        """
        line = _line(event, values)
        if self._file.write(line) < len(line):
            raise OSError(errno.ENOSPC, "the disk is full")

    def write_last(self, event: str, **values: Any) -> None:
        """Write an event although the disk may be full. UserError if the folder is gone."""
        self.check_folder()
        (self._folder / SPARE).unlink(missing_ok=True)
        self._file.close()
        self._open()
        self.write(event, **values)

    def step_is_due(self, progress: float) -> bool:
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


def add_to_ended(folder: Path, event: str, **values: Any) -> None:
    """Append an event to a run that has ended: what was done to it since. ValueError for one that
    could not be read again.
    """
    line = _line(event, values)
    beginning = b"\n" if _is_torn(folder / "events.jsonl") else b""
    with open(folder / "events.jsonl", "ab", buffering=0) as file:
        file.write(beginning + line)


def _line(event: str, values: dict[str, Any]) -> bytes:
    """An event of now as a line of a file. ValueError for one that could not be read again."""
    content = {"event": event, "time": round(time.time(), 3), **_checked(event, values)}
    return json.dumps(content).encode() + b"\n"


def _is_torn(path: Path) -> bool:
    """Whether a file ends within a line."""
    with open_regular(path) as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _checked(event: str, values: dict[str, Any]) -> dict[str, Any]:
    """What of an event's values can be written. ValueError if it could not be read again."""
    declared = EVENTS[event]
    for name in values:
        if name not in declared.needed | declared.optional:
            raise ValueError(f"{name!r} is nothing that a {event!r} event brings")
    for name, value in declared.needed.items():
        if not value.fits(values.get(name)):
            raise ValueError(_fault(event, name, value))
    return {
        name: value
        for name, value in values.items()
        if name in declared.needed or declared.optional[name].fits(value)
    }
