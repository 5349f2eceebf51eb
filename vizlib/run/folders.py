"""The run folder: the one data model. A shipped model and a training that goes on are the same
thing on disk.

    <run>/config.json             what was trained on what, and how: enough to rebuild it
          events.jsonl            a line for each thing that happened, by the training process only
          images.npz              which images it learns from, is validated and tested on
          model.safetensors       the best weights, float16; large networks ship without
          evaluations.safetensors the validation images' matrices, by step
          predictions.npz         labels and logits of the held-out images
          strongest.safetensors   which held-out images excite each unit most, if somebody asked;
                                  strongest-shipped.safetensors: which of the pictures that ship
          first_look.safetensors  what Home opens on: answers and maps of one photograph
          snapshots.safetensors   conv1, and a probe picture's maps, at log-spaced steps
          last.pt                 what resuming needs, gone once finished
          alive.lock              held by the training process as long as it lives

Shipped runs lie in checkpoints/, new ones in runs/ (or CONVSCOPE_RUNS). Nothing here imports torch.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from vizlib.errors import UserError, unknown
from vizlib.files import open_regular
from vizlib.run.config import WEIGHTS_ALONE, RunConfig, read_config, write_config
from vizlib.run.events import LOCK, Event, phase_at_end, phases, read_events

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

SHIPPED = Path(__file__).resolve().parents[2] / "checkpoints"
# a process just started has this long to take the lock and write its first event
STARTING_SECONDS = 20
ENDS = ("finished", "stopped", "failed", "imported")
ACTIVE = ("queued", "training", "paused")
RESUMABLE = ("stopped", "failed", "interrupted")
_PHASES = phases()
# What was read of a file, in the state (time of change, bytes) that it was in. Of each file only
# the newest state is kept: a growing one has hundreds.
_State = tuple[int, int]
_latest_events: dict[Path, tuple[_State, tuple[list[Event], str]]] = {}
_latest_phases: dict[Path, tuple[_State, Event | None]] = {}
_latest_runs: dict[Path, tuple[_State, Run]] = {}
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")


def runs_root() -> Path:
    """Where new runs are written."""
    return Path(os.environ.get("CONVSCOPE_RUNS") or "runs")


@dataclass(frozen=True)
class Run:
    """One run folder, read when asked for. Equal runs are the same folder in the same state.

    left_out: the fields of its config.json that do not fit, and were left out.
    """

    folder: Path
    config: RunConfig
    left_out: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        return self.folder.name

    @property
    def class_names(self) -> list[str]:
        return self.config.class_names

    @property
    def input_size(self) -> tuple[int, int, int]:
        """(channels, height, width) of what the network takes."""
        channels, height, width = self.config.input_size
        return channels, height, width

    def path(self, name: str) -> Path:
        return self.folder / name

    def has(self, name: str) -> bool:
        """Whether it has a file of this name that can be read."""
        return os.path.isfile(self.path(name))

    def changed(self, name: str) -> int:
        """A number that changes with the file, for cache keys; 0 where there is none."""
        try:
            return self.path(name).stat().st_mtime_ns
        except OSError:
            return 0

    @property
    def events(self) -> list[Event]:
        """All events so far, in order, each a dictionary with at least "event"."""
        return self._read()[0]

    def _read(self) -> tuple[list[Event], str]:
        """The events, and what was left out of them."""
        path = self.path("events.jsonl")
        state = _state_of(path)
        if state is None:
            return [], ""
        latest = _latest_events.get(path)
        if latest is None or latest[0] != state:
            latest = _latest_events[path] = state, read_events(path)
        return latest[1]

    @property
    def problem(self) -> str:
        """What of its files does not fit and was left out, in a sentence; empty where all does."""
        names = ", ".join(map(repr, self.left_out))
        verb = "is" if len(self.left_out) == 1 else "are"
        of_config = f"{names} of its config.json {verb} left out" if names else ""
        parts = [of_config, self._read()[1]]
        words = ", and ".join(filter(None, parts))
        return f"{self.run_id!r} is not read whole: {words}." if words else ""

    def events_of(self, kind: str) -> list[Event]:
        """The events of one kind: "step", "epoch", "checkpoint", ..."""
        return [event for event in self.events if event["event"] == kind]

    @property
    def best(self) -> Event | None:
        """The event of the best checkpoint so far, or None."""
        checkpoints = self.events_of("checkpoint")
        return checkpoints[-1] if checkpoints else None

    @property
    def status(self) -> str:
        """ "queued", "training", "paused", "finished", "stopped", "failed", "imported" or
        "interrupted", which is: the process is gone without a word.

        Derived from the events and from whether a process holds the run's lock, never stored.
        """
        last = self.last_phase
        phase = _PHASES[last["event"]] if last else None
        if phase in ENDS:
            return phase
        # one that is ahead of the clock was not just made
        age = time.time() - self.changed("config.json") / 1e9
        just_started = phase is None and abs(age) < STARTING_SECONDS
        return phase or "queued" if self._is_held() or just_started else "interrupted"

    @property
    def reached(self) -> float:
        """Its test accuracy, in [0, 1]; 0 as long as none is known."""
        return (self.last_phase or {}).get("test_accuracy", 0.0)

    @property
    def last_phase(self) -> Event | None:
        """Its last event that begins a phase; None before the first one.

        That mostly stands in the last line: of a thousand runs not all events are read.
        """
        path = self.path("events.jsonl")
        state = _state_of(path)
        if state is None:
            return None
        latest = _latest_phases.get(path)
        if latest is None or latest[0] != state:
            event = phase_at_end(path) or next(
                (event for event in reversed(self.events) if event["event"] in _PHASES), None
            )
            latest = _latest_phases[path] = state, event
        return latest[1]

    def _is_held(self) -> bool:
        """Whether a process holds the run's lock: it does as long as it lives, however it dies."""
        try:
            with open_regular(self.path(LOCK)) as file:
                return _is_locked(file)
        except OSError:  # there is none
            return False

    def in_form_of(self, other: Run) -> Run:
        """A Run of this one's folder with another's architecture: the same weights in a network
        written otherwise, if their names and shapes fit it.
        """
        form = replace(
            self.config,
            architecture=other.config.architecture,
            arguments=other.config.arguments,
        )
        return replace(self, config=form)

    @property
    def is_active(self) -> bool:
        """Whether a process works on it, or waits to."""
        return self.status in ACTIVE

    @property
    def ships(self) -> bool:
        """Whether it comes with the project, and was not trained here."""
        return self.folder.parent == SHIPPED

    @property
    def is_imported(self) -> bool:
        """Whether it was trained elsewhere, and comes from a file."""
        return self.config.origin is not None

    @property
    def is_bare(self) -> bool:
        """Whether only its weights are known, and not how its network computes with them."""
        return self.config.architecture == WEIGHTS_ALONE

    @property
    def provenance(self) -> str:
        """What it learned from, or comes from, as the end of a caption: "trained on digits"."""
        origin = self.config.origin
        if origin is None:
            return f"trained on {self.config.dataset}"
        return f"imported from {origin.get('file', 'elsewhere')}"

    @property
    def can_resume(self) -> bool:
        """Whether its training ended before its end, and can go on."""
        return self.status in RESUMABLE and not self.ships

    @property
    def is_weightless(self) -> bool:
        """Whether it is finished and comes without its weights."""
        return not self.has("model.safetensors") and self.status == "finished"

    @property
    def packed(self) -> str:
        """How the weights were made smaller after the training, and what that cost, in a sentence;
        empty where they were not.
        """
        end = (self.events_of("finished") or [{}])[-1]
        if "bits" not in end or "trained_accuracy" not in end:
            return ""
        changed = end.get("changed_answers")
        others = "" if changed is None else f"; {changed:.2%} of the answers are others"
        return (
            "Its weights are stored as whole numbers with one scale for each output channel, or as "
            f"16-bit floats where that is too coarse, {end['bits']:g} bits a weight: "
            f"{end['test_accuracy']:.2%} of the test images are right with them, "
            f"{end['trained_accuracy']:.2%} as they were trained{others}."
        )

    @property
    def missing_weights(self) -> str:
        """That there are no weights in its folder, and then `remedy` and command, in two short
        sentences; empty where they are there.
        """
        if self.has("model.safetensors"):
            return ""
        if self.status != "finished":
            return f"{self.run_id!r} has no weights yet: it is {self.status}."
        return f"{self.run_id!r} comes without its weights. {self.remedy}{self.reproducing_command}"

    @property
    def remedy(self) -> str:
        """What can be done about missing weights, to be followed by `reproducing_command` where
        there is one.
        """
        if not self.reproducing_command:
            return "There is no model.safetensors in its folder."
        return (
            f"Train them anew, which took {duration(self.events_of('finished')[-1]['seconds'])} "
            f"({self.device}), with: "
        )

    @property
    def reproducing_command(self) -> str:
        """The command that trains it anew, where it is one of the reports' systems; else empty."""
        system = self.config.system
        # nothing else is for a shell
        return f"python -m vizlib reproduce {system}" if system and system.isalnum() else ""

    @property
    def device(self) -> str:
        """What it was trained on, in words, such as "CPU, 2 threads"."""
        started = self.events_of("started")
        return str(
            started[-1].get("device", "unknown device") if started else "unknown device"
        ).replace("1 threads", "1 thread")

    @property
    def computed(self) -> str:
        """In which types of number it was trained, and by which processor, in words; empty for a
        run of a version that did not write them down.
        """
        facts = self.events_of("started")[-1] if self.events_of("started") else {}
        if not {"number_types", "processor"} <= facts.keys():
            return ""
        return f"{facts['number_types']}, on {facts['processor']}"


def duration(seconds: float) -> str:
    """Seconds as somebody would say them: "8 s", "2 min", "1.5 h"."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _state_of(path: Path) -> _State | None:
    """What tells a file from another state of itself; None where there is none. Two lines may be
    written within one tick of the file system's clock.
    """
    try:
        file = path.stat()
    except OSError:
        return None
    return file.st_mtime_ns, file.st_size


def _is_locked(file: BinaryIO) -> bool:
    """Whether another holds the lock of an open file. Those who only look share it: they do not
    take one another for a training.
    """
    if fcntl is None:
        from filelock import FileLock, Timeout

        try:
            FileLock(file.name).acquire(timeout=0.1).lock.release()
        except Timeout:
            return True
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # given back when the file is closed
    except BlockingIOError:
        return True
    return False


def read_run(folder: str | os.PathLike) -> Run:
    """The Run in a folder. UserError with the reason if it is not one."""
    folder = Path(folder)
    config, left_out = read_config(folder)
    return Run(folder, config, tuple(left_out))


def list_runs(shipped: bool = True) -> tuple[list[Run], list[str]]:
    """All runs that can be read, shipped ones first if they are asked for, and a sentence for each
    folder that cannot: (list of Run, list of str).
    """
    runs: dict[str, Run] = {}
    problems = []
    for root in (SHIPPED, runs_root()) if shipped else (runs_root(),):
        try:
            folders = _folders(root)
        except OSError as error:
            problems.append(f"The folder {root} cannot be read: {error.strerror}.")
            continue
        for folder in (folder for folder in folders if folder.name not in runs):
            try:
                runs[folder.name] = _as_read(folder)
            except UserError as error:
                # one that was removed since it was listed is just not there
                if os.path.lexists(folder):
                    problems.append(str(error))
    return list(runs.values()), problems


def _as_read(folder: Path) -> Run:
    """read_run(), once for each state of its configuration."""
    state = _state_of(folder / "config.json")
    latest = _latest_runs.get(folder)
    if state is None or latest is None or latest[0] != state:
        run = read_run(folder)
        if state is None:
            return run
        latest = _latest_runs[folder] = state, run
    return latest[1]


def _folders(root: Path) -> list[Path]:
    """The folders in a folder that may be runs, by name; none where there is no such folder."""
    if not os.path.isdir(root):
        return []
    # an entry knows what it is: a path would be asked twice, a thousand times with each list
    with os.scandir(root) as entries:
        names = [
            entry.name
            for entry in entries
            if _RUN_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
        ]
    return [root / name for name in sorted(names)]


def open_run(run_id: str) -> Run:
    """The run of that id. UserError if there is none or it cannot be read."""
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise unknown("run", run_id, [run.run_id for run in list_runs()[0]])
    for root in (SHIPPED, runs_root()):
        folder = root / run_id
        if os.path.isdir(folder) and not os.path.islink(folder):
            return read_run(folder)
    raise unknown("run", run_id, [run.run_id for run in list_runs()[0]])


def usual_name(architecture: str, dataset_name: str) -> str:
    """What a run of this architecture on this data set is called. A folder of pictures may have a
    name that no run can have.
    """
    return f"{architecture}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', dataset_name)[:30].strip('-')}"


def new_run_folder(name: str, root: Path | None = None) -> Path:
    """The folder, not yet made, of a run of that name. UserError if no run can be called so."""
    if not _RUN_ID.fullmatch(name):
        raise UserError(
            f"A run cannot be named {name[:90]!r}: up to 80 letters, digits, '-', '_' and "
            "'.', beginning with a letter or digit."
        )
    if (SHIPPED / name).exists():
        raise UserError(f"A network that ships is named {name!r}: choose another name.")
    return (root or runs_root()) / name


def claim_folder(name: str, config: RunConfig) -> Path:
    """Begin a run folder of this name, or of this name and a number where it is taken, and return
    its whole path. UserError where none can be written.
    """
    for number in range(1, 1000):
        numbered = name if number == 1 else f"{name}-{number}"
        if (SHIPPED / numbered).exists():
            continue
        folder = new_run_folder(numbered).resolve()
        try:
            begin_folder(folder, config)
        except FileExistsError:
            continue
        return folder
    raise UserError(f"There are too many runs named {name!r}: choose another name.")


def begin_folder(folder: Path, config: RunConfig, *, exist_ok: bool = False) -> None:
    """Make a run folder with its configuration in it. FileExistsError where there is one and that
    is not `exist_ok`; UserError, naming the folder above it, where it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
        write_config(folder, config)
    except FileExistsError:
        raise
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()  # unless something lies in it
        raise UserError(
            f"No run can be written into the folder {folder.parent}: {error.strerror}."
        ) from None
