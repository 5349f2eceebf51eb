"""python -m vizlib logs FILE|FOLDER"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vizlib.command_line.output import write_file
from vizlib.errors import UserError, unknown

if TYPE_CHECKING:
    from vizlib.bring.logs import Logged
    from vizlib.command_line.arguments import Commands
    from vizlib.displays.curves import CurvesDisplay

PICTURES = (".png", ".svg")
QUANTITIES = ("accuracy", "loss", "learning rate")  # the most telling first


def add_to(commands: Commands) -> None:
    parser = commands.add_parser(
        "logs", help="what logs of trainings elsewhere hold; their curves as CSV, PNG or SVG"
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE|FOLDER",
        help="TensorBoard event files, tables such as metrics.csv or log.txt, JSON lines, "
        "trainer_state.json, a history in JSON; a folder or a zip of them",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the figures as a table")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="draw the curves: a .png or an .svg"
    )
    parser.add_argument(
        "--quantity",
        help="accuracy, loss, learning rate, or a metric by its own name (default: the first)",
    )
    parser.add_argument(
        "--over", help="epochs, steps or seconds (default: the first that there are)"
    )
    parser.set_defaults(command=logs)


def logs(options: argparse.Namespace) -> None:
    if options.out and options.out.suffix.lower() not in PICTURES:
        raise UserError(f"The curves are a PNG or an SVG: {str(options.out)!r} is neither.")
    found = _read(options.files)
    for log in found:
        _print(log)
    if options.csv or options.out:
        _write(found, options)


def _read(paths: list[Path]) -> list[Logged]:
    """The logs in all of these, each by a name of its own."""
    from dataclasses import replace

    from vizlib.bring.logs import read_path

    found: dict[str, Logged] = {}
    for path in paths:
        brought = read_path(path)
        for log in brought.logs:
            name = log.name if log.name not in found else f"{path}: {log.name}"
            found[name] = replace(log, name=name)
        for remark in brought.remarks:
            print(f"! {remark}")
    return list(found.values())


def _print(log: Logged) -> None:
    """What a log holds: its metrics, and what each was taken for."""
    from vizlib.bring.logs.logged import words_of

    print(f"{log.name}: {log.summary}.")
    width = max(map(len, log.metrics))
    for name, taken_for in log.metrics.items():
        print(f"  {name:{width}}  {words_of(taken_for) or '-'}")
    for remark in log.remarks:
        print(f"  ! {remark}")


def _write(found: list[Logged], options: argparse.Namespace) -> None:
    from vizlib.displays.curves import AXES
    from vizlib.displays.still import still

    axes = [words for words, key in AXES.items() if any(key in log.axes for log in found)]
    over = options.over or axes[0]
    if over not in axes:
        raise unknown("axis", over, axes)
    display, quantity = _of_quantity(found, over, options.quantity)
    if options.csv:
        write_file(options.csv, display.csv().encode())
    if options.out:
        figure = display.plot(quantity, over)
        write_file(options.out, still(figure, options.out.suffix.lower()[1:]))


def _of_quantity(found: list[Logged], over: str, wanted: str | None) -> tuple[CurvesDisplay, str]:
    """(The curves, what is drawn of them): the quantity or metric that is wanted, else the first
    that there is.
    """
    from vizlib.displays.curves import CurvesDisplay

    known = CurvesDisplay.from_logs(found)
    possible = [each for each in QUANTITIES if len(known.without(each, over)) < len(found)]
    own = sorted({name for log in found for name in log.others})
    quantity = wanted or [*possible, *own][0]
    if quantity not in possible and quantity not in own:
        raise unknown("quantity or metric", quantity, [*possible, *own])
    return CurvesDisplay.from_logs(found, quantity if quantity in own else ""), quantity
