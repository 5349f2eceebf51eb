"""python -m vizlib film RUN"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vizlib.command_line.arguments import add_run, run_named
from vizlib.command_line.output import progress_of, write_file
from vizlib.errors import UserError

if TYPE_CHECKING:
    from vizlib.command_line.arguments import Commands


def add_to(commands: Commands) -> None:
    parser = commands.add_parser("film", help="how a run learned, as an animated picture (GIF)")
    add_run(parser)
    parser.add_argument(
        "--layer",
        help="whose maps of the probe picture are shown (default: the first that is stored)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="the file (default: RUN-film.gif, here); one that is there is written anew",
    )
    parser.set_defaults(command=write_film)


def write_film(options: argparse.Namespace) -> None:
    from vizlib.displays.film import FilmDisplay
    from vizlib.displays.film_frames import animation

    run = run_named(options.run)
    path = options.out or Path(f"{run.run_id}-film.gif")
    if path.suffix.lower() != ".gif":
        raise UserError(f"The film is a GIF: {str(path)!r} does not end with .gif.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"There is no folder {str(path.parent)!r}.")
    film = FilmDisplay.from_run(run, options.layer)
    write_file(path, animation(film, say=progress_of("the film")))
