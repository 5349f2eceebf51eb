"""Files, folders and zips with logs in them, and which of their files are of one run."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from zipfile import ZipFile

from vizlib.bring import archives
from vizlib.bring.logs.content import Content
from vizlib.bring.logs.kinds import all_kinds
from vizlib.bring.logs.logged import Logged, logged
from vizlib.bring.logs.names import SPLIT_OF, role_of
from vizlib.bring.logs.positions import resumed
from vizlib.bring.logs.series import EPOCH, STEP, Recorded
from vizlib.errors import UserError
from vizlib.files import legible, open_regular

MAX_BYTES = 50_000_000  # of a file
MOST_UNPACKED = 200_000_000  # bytes of a zip or folder
MOST_FILES = 10_000  # that are looked at
MOST_RUNS = 200
BEGINNING = 4096  # bytes, by which a file that is none is passed over
POSSIBLE = (
    "TensorBoard event files, tables with a line of names (CSV, log.txt), JSON lines, "
    "trainer_state.json, and a history in JSON can be read, or a zip of them"
)
# how files begin that somebody may take for a log
OTHERS = {
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"RIFF": "a picture or a sound",
    b"%PDF": "a PDF",
    b"PK": "a zip, as checkpoints and spreadsheets are too",
    b"\x89HDF": "an HDF5 file, as Keras stores weights in",
    b"\x80": "a pickle, as checkpoints are",
    b"\x93NUMPY": "a NumPy array",
    b"\x1f\x8b": "packed by gzip: unpack it first",
    b"SQLite": "a data base",
    b"version https://git-lfs": "a pointer of Git LFS, and the file itself is elsewhere",
    b"<!doctype": "a web page",
    b"<html": "a web page",
}


@dataclass(frozen=True)
class Brought:
    """What was found: the runs, and sentences on the files that are none."""

    logs: list[Logged]
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    """parts: its path within what was brought. data: its bytes."""

    parts: tuple[str, ...]
    data: bytes


def read_bytes(name: str, data: bytes) -> Brought:
    """The logs in a file's bytes, or in those of a zip. UserError, in a sentence that names it, for
    what is none.
    """
    name = legible(name.replace("\\", "/").rpartition("/")[2]) or "log"
    _check_size(name, len(data))
    if data.startswith(b"PK\x03\x04") and not _is_checkpoint(data):
        return _read_zip(name, data)
    kind, recorded = _recorded(Content(name, data))
    return Brought([logged(name, kind, recorded)])


def read_path(path: Path) -> Brought:
    """The same of a file, or of all files in a folder and those within it."""
    try:
        if path.is_dir():
            skipped: list[str] = []
            return _together(path.resolve().name, _files_in(path, skipped), skipped)
        with open_regular(path) as file:
            return read_bytes(path.name, file.read(MAX_BYTES + 1))
    except OSError as error:
        raise UserError(f"The log {str(path)!r} cannot be read: {error.strerror}.") from None


def _check_size(name: str, size: int) -> None:
    if size > MAX_BYTES:
        raise UserError(
            f"{name} has more than {MAX_BYTES // 1_000_000} MB: up to that a log can be read."
        )


def _recorded(content: Content) -> tuple[str, Recorded]:
    """(What a file is, what it holds). UserError for what is no log."""
    for words, read in all_kinds().items():
        recorded = read(content)
        if recorded is not None and recorded.series:
            _check_known(content.name, words, recorded)
            return words, recorded
        if recorded is not None:
            raise UserError(f"{content.name} is {words}, and has no figures to draw.")
    raise UserError(f"{content.name} is {_what_it_is(content)}: {POSSIBLE}.")


def _check_known(name: str, kind: str, recorded: Recorded) -> None:
    """UserError for figures that are those of no training."""
    if recorded.is_counted and not any(map(role_of, recorded.series)):
        metrics = ", ".join(repr(metric[:40]) for metric in list(recorded.series)[:3])
        raise UserError(
            f"{name} may be {kind}, and has neither epochs or steps nor a metric of a known name: "
            f"it has {metrics}. Names such as epoch, train_loss and val_accuracy are known."
        )


def _what_it_is(content: Content) -> str:
    if not content.data.strip(b"\0 \r\n\t"):
        return "empty"
    beginning = content.data[:64].lstrip().lower()
    for first, words in OTHERS.items():
        if beginning.startswith(first.lower()):
            return words
    return "a text, and no log that is known here" if content.text else "no log that is known here"


def _is_checkpoint(data: bytes) -> bool:
    """Whether a zip is one of PyTorch's."""
    return b"/data.pkl" in data[:256] or b"/constants.pkl" in data[:256]


# Several files


def _read_zip(name: str, data: bytes) -> Brought:
    with archives.opened(io.BytesIO(data)) as archive:
        members, reasons = archives.members(archive, lambda file_name: True)
        skipped = [left_out.sentence for left_out in reasons.left_out]
        files = _unpacked(archive, members[:MOST_FILES], skipped)
        return _together(name.removesuffix(".zip"), files, skipped)


def _unpacked(
    archive: ZipFile, members: list[archives.Member], skipped: list[str]
) -> Iterator[_File]:
    """The files of a zip that may be logs."""
    total = 0
    for member in sorted(members, key=lambda member: member.parts):
        data = bytearray()
        try:
            for chunk in archives.chunks(archive, member):
                data += chunk
                total += len(chunk)
                if total > MOST_UNPACKED:
                    skipped.append(_too_much())
                    return
                if not _may_be_log(data):
                    break
        except archives.Refused as refused:
            skipped.append(f"{member.name} is left out: {refused}.")
            continue
        yield _File(member.parts, bytes(data))


def _files_in(folder: Path, skipped: list[str]) -> Iterator[_File]:
    """The files of a folder and those within it that may be logs."""
    total = looked_at = 0
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            looked_at += 1
            if looked_at > MOST_FILES or total > MOST_UNPACKED:
                skipped.append(_too_much())
                return
            path = Path(top, name)
            data = _bytes_of(path, skipped)
            total += len(data)
            yield _File(tuple(map(legible, path.relative_to(folder).parts)), data)


def _bytes_of(path: Path, skipped: list[str]) -> bytes:
    """A file's bytes; only its beginning if it is none, nothing if it cannot be read."""
    try:
        with open_regular(path) as file:
            data = file.read(BEGINNING)
            if _may_be_log(data):
                data += file.read(MAX_BYTES)
    except OSError as error:
        skipped.append(f"{legible(path.name)} cannot be read: {error.strerror}.")
        return b""
    if len(data) > MAX_BYTES:
        skipped.append(f"{legible(path.name)} is left out: over {MAX_BYTES // 1_000_000} MB.")
        return b""
    return data


def _too_much() -> str:
    return (
        f"No more than {MOST_UNPACKED // 1_000_000} MB and {MOST_FILES:,} files are looked at: "
        "what comes after them is left out."
    )


def _may_be_log(data: bytes | bytearray) -> bool:
    """Whether a file that begins so may be one."""
    beginning = Content("", bytes(data[:BEGINNING]))
    is_event = len(data) >= 12 and data[4:8] == bytes(4)  # a first record below 4 GB
    return is_event or (bool(beginning.text) and not beginning.text.startswith("%PDF"))


def _together(name: str, files: Iterable[_File], skipped: list[str]) -> Brought:
    """The runs in several files. UserError where there are none."""
    runs, passed_over, is_empty = _Runs(name), 0, True
    for file in files:
        try:
            kind, recorded = _recorded(Content("/".join(file.parts), file.data))
        except UserError:
            passed_over += 1
            continue
        runs.add(file.parts, kind, recorded)
        is_empty = False
    if is_empty:
        raise UserError(f"{name} has no log in it, in {passed_over:,} files: {POSSIBLE}.")
    brought = runs.logged()
    passed = [f"{passed_over:,} other files are passed over."] if passed_over else []
    return Brought(brought.logs, [*brought.remarks, *passed, *skipped])


class _Runs:
    """Which files are of one run: the event files of one folder, and of those below it that are
    only a part of it: train and validation as Keras writes them, the curves of add_scalars.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._files: dict[str, tuple[str, Recorded]] = {}
        self._folders: dict[tuple[str, ...], tuple[str, Recorded]] = {}

    def add(self, parts: tuple[str, ...], kind: str, recorded: Recorded) -> None:
        """Take a file at a path; those of one folder come in the order of their names."""
        if not recorded.is_of_folder:
            self._files["/".join(parts)] = kind, recorded
            return
        before = self._folders.get(parts[:-1])
        self._folders[parts[:-1]] = kind, _joined(before[1], recorded) if before else recorded

    def logged(self) -> Brought:
        """All runs there are."""
        runs = self._of_folders() | self._files
        brought = [logged(name, *run) for name, run in list(runs.items())[:MOST_RUNS]]
        if len(runs) > MOST_RUNS:
            return Brought(brought, [f"Of {len(runs):,} runs the first {MOST_RUNS} are read."])
        return Brought(brought)

    def _of_folders(self) -> dict[str, tuple[str, Recorded]]:
        runs: dict[str, tuple[str, Recorded]] = {}
        for folders, (kind, recorded) in self._folders.items():
            of_run, recorded = _of_its_run(folders, recorded)
            name = "/".join(of_run) or self._name
            if name in runs:
                recorded = _beside(runs[name][1], recorded)
            runs[name] = kind, recorded
        return runs


def _of_its_run(folders: tuple[str, ...], recorded: Recorded) -> tuple[tuple[str, ...], Recorded]:
    """(The folder of the run, what was recorded, called by what its own folder says of it)."""
    if not folders:
        return folders, recorded
    *above, last = folders
    if last.lower() in SPLIT_OF:
        return tuple(above), _called(recorded, last)
    beginnings = {re.sub(r"[^\w.-]", "_", tag) + "_" for tag in recorded.series}
    plain = re.sub(r"[^\w.-]", "_", last)
    if len(beginnings) == 1 and plain.startswith(min(beginnings)):  # add_scalars, of its main tag
        return tuple(above), _called(recorded, last[len(min(beginnings)) :])
    return folders, recorded


def _called(recorded: Recorded, part: str) -> Recorded:
    series = {f"{part}/{name}": each for name, each in recorded.series.items()}
    return replace(recorded, series=series)


def _beside(first: Recorded, second: Recorded) -> Recorded:
    """Two parts of one run, each with metrics of its own."""
    remarks = list(dict.fromkeys([*first.remarks, *second.remarks]))
    return replace(second, series=first.series | second.series, remarks=remarks)


def _joined(first: Recorded, second: Recorded) -> Recorded:
    """Two files of one run, the second of which may undo what the first has."""
    start = min(second.restarts, default=float("inf"))
    undone = 0
    series = {}
    for name, each in first.series.items():
        axis = STEP if STEP in each.positions else EPOCH
        kept = ~(each.positions[axis] >= start)
        undone += len(each) - int(kept.sum())
        series[name] = each.take(kept)
    for name, each in second.series.items():
        series[name] = series[name].followed_by(each) if name in series else each
    both = _beside(first, second)
    remarks = [*both.remarks, resumed(undone)] if undone else both.remarks
    return replace(both, series=series, remarks=remarks)
