"""python -m vizlib report RUN [RUN], and report FILE.csv"""

from __future__ import annotations

import argparse
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from vizlib.command_line.arguments import run_named
from vizlib.command_line.output import progress_of, write_file
from vizlib.errors import UserError
from vizlib.files import put_in_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizlib.command_line.arguments import Commands
    from vizlib.hand_in.gathered import Gathered, Picture
    from vizlib.run.folders import Run

TABLES = (".csv", ".tsv", ".txt")


def add_to(commands: Commands) -> None:
    parser = commands.add_parser(
        "report",
        help="one page of HTML to hand in: filters, maps, curves, matrix, verdict, settings; of "
        "two runs beside one another, or of a table of answers",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN|FILE.csv", help="a run, two, or a table")
    parser.add_argument(
        "--layers",
        help="whose maps are shown, with commas between (default: three, at three depths)",
    )
    parser.add_argument(
        "--picture",
        type=Path,
        help="the picture that is shown to the network (default: a photograph, or of small inputs "
        "the first one held out)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="the file (default: RUN-report.html, here); one that is there is written anew",
    )
    parser.add_argument(
        "--zip",
        action="store_true",
        help="and a zip beside it, of the page, every array, the weights, and ONNX where possible",
    )
    parser.add_argument("--ordered", action="store_true", help="the classes of a table are grades")
    parser.set_defaults(command=write_report)


def write_report(options: argparse.Namespace) -> None:
    from vizlib.hand_in.gathered import gather
    from vizlib.hand_in.report import report

    if len(options.runs) > 2:
        raise UserError(f"A report is of one run or of two, not of {len(options.runs)}.")
    if any(Path(name).suffix.lower() in TABLES for name in options.runs):
        _of_table(options)
        return
    if options.ordered:
        raise UserError("--ordered goes with a table: a run knows whether its classes are grades.")
    runs = [run_named(name) for name in options.runs]
    path = _path(options.out, "-".join(run.run_id for run in runs))
    picture, names = _picture(options.picture, runs[0]), _names(options.layers)
    gathered = gather(runs, picture, names, say=progress_of("what there is"))
    page = report(gathered)
    write_file(path, page.encode())
    if options.zip:
        _write_zip(path.with_suffix(".zip"), gathered, page)


def _of_table(options: argparse.Namespace) -> None:
    from vizlib.bring.answers import read_answers
    from vizlib.files import open_regular
    from vizlib.hand_in.tables import report_of

    if len(options.runs) > 1 or options.zip or options.picture or options.layers:
        raise UserError("The report of a table takes nothing but the table, --out and --ordered.")
    table = Path(options.runs[0])
    path = _path(options.out, table.stem)
    try:
        with open_regular(table) as file:
            answers = read_answers(file.read())
    except OSError as error:
        raise UserError(f"The table {str(table)!r} cannot be read: {error.strerror}.") from None
    write_file(path, report_of(answers, table.name, ordered=options.ordered).encode())


def _path(out: Path | None, name: str) -> Path:
    """Where the page is written. UserError where it cannot be."""
    path = out or Path(f"{name}-report.html")
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"The report is HTML: {str(path)!r} does not end with .html.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"There is no folder {str(path.parent)!r}.")
    return path


def _names(layers: str | None) -> list[str]:
    return [name.strip() for name in (layers or "").split(",") if name.strip()]


def _picture(path: Path | None, run: Run) -> Picture | None:
    """The picture in a file, as the run sees it. UserError if it is none."""
    if path is None:
        return None
    from vizlib.hand_in.gathered import Picture
    from vizlib.images import open_image, picture_bytes

    levels = tuple(run.config.levels or ()) or None
    try:
        return Picture(open_image(picture_bytes(path), levels), path.name)  # type: ignore[arg-type]
    except OSError as error:
        raise UserError(f"The picture {str(path)!r} cannot be read: {error.strerror}.") from None


def _write_zip(path: Path, gathered: Sequence[Gathered], page: str) -> None:
    """Piece by piece under another name, and then as a whole: the zip may be large."""
    from vizlib.hand_in.archive import write_zip

    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(unfinished, "wb") as file:
            remarks = write_zip(file, gathered, page, say=progress_of("the zip"))
        put_in_place(unfinished, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        unfinished.unlink(missing_ok=True)
    for remark in remarks:
        print(remark)
    print(f"{path}: {path.stat().st_size / 1e6:.2g} MB")
