"""python -m vizlib patterns RUN"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vizlib.command_line.arguments import add_run, run_named
from vizlib.command_line.output import progress_of, write_file
from vizlib.errors import UserError, unknown

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from vizlib.command_line.arguments import Commands
    from vizlib.datasets import Split
    from vizlib.inside.layers import Layer
    from vizlib.inside.strongest import Strongest
    from vizlib.run.folders import Run


def add_to(commands: Commands) -> None:
    parser = commands.add_parser(
        "patterns", help="sheets of what each unit of a layer looks for, as files"
    )
    add_run(parser)
    parser.add_argument(
        "--layer",
        "-l",
        help="a convolution, or the layer that answers (default: the convolution halfway through "
        "the network)",
    )
    parser.add_argument(
        "--out", type=Path, help="the folder that they are written into (default: RUN-patterns)"
    )
    parser.set_defaults(command=write_patterns)


def write_patterns(options: argparse.Namespace) -> None:
    """Two sheets with a tile a unit, and the table of the strongest images."""
    from vizlib.inside import patterns, strongest
    from vizlib.inside.held_out import held_out, to_look_at
    from vizlib.inside.model import load_model

    run = run_named(options.run)
    dataset, model = to_look_at(run), load_model(run)
    layer = _layer(model, run, options.layer)
    out = options.out or Path(f"{run.run_id}-patterns")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {out} cannot be made: {error.strerror}.") from error
    index = strongest.load(run, dataset) or strongest.of_run(
        run, dataset, progress_of("images looked at")
    )
    best, split = index[layer.name], held_out(run, dataset)
    sheets = {
        "strongest-patch": _patches(run, dataset.note, split, layer, best),
        "made-picture": _made_pictures(run, model, layer, len(best.values)),
    }
    for name, picture in sheets.items():
        write_file(out / f"{layer.name}-{name}.png", picture)
    write_file(
        out / f"{layer.name}-strongest-images.csv",
        patterns.csv(best, split, dataset.class_names).encode(),
    )


def _layer(model: nn.Module, run: Run, layer_name: str | None) -> Layer:
    """The layer of that name, else the convolution halfway through the network. UserError if it has
    no units.
    """
    from vizlib.inside import strongest
    from vizlib.inside.layers import at_depth, layer_table

    layers = layer_table(model, run.input_size)
    possible = strongest.unit_layers(layers)
    layer_name = layer_name or at_depth(layers, 0.5)[0].name
    if layer_name not in possible:
        raise unknown("layer with units", layer_name, possible)
    # the last of that name
    return {layer.name: layer for layer in layers}[layer_name]


def _patches(run: Run, note: str, split: Split, layer: Layer, best: Strongest) -> bytes:
    from vizlib.inside import patterns

    tiles = patterns.patches(split, layer, best, run.input_size)
    words = f"the part of an image that excites it most, of {note}"
    return _sheet(run, layer, tiles, best.values[:, 0], words)


def _made_pictures(run: Run, model: nn.Module, layer: Layer, units: int) -> bytes:
    from vizlib.inside import patterns
    from vizlib.inside.maximisation import maximise

    made = maximise(
        model,
        layer.name,
        list(range(units)),
        input_size=run.input_size,
        mean=run.config.mean,
        std=run.config.std,
        say=progress_of("pictures made"),
    )
    words = f"the picture made to excite it most; {run.provenance}"
    return _sheet(run, layer, patterns.fitting(made.pictures), made.values, words)


def _sheet(run: Run, layer: Layer, tiles: np.ndarray, values: np.ndarray, words: str) -> bytes:
    """A sheet as a PNG file: a tile a unit, each with the value of its unit."""
    from vizlib.displays.units import sheet

    atlas = sheet(tiles, [f"unit {unit}: {value:.3g}" for unit, value in enumerate(values)])
    return atlas.figure_png(f"{run.run_id}, {layer.name}: for each unit {words}.")
