"""python -m vizlib evaluate RUN"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vizlib.command_line.arguments import add_run, device_named, run_named
from vizlib.command_line.output import progress_of
from vizlib.errors import UserError

if TYPE_CHECKING:
    from vizlib.command_line.arguments import Commands
    from vizlib.run.folders import Run
    from vizlib.run.predictions import Predictions


def add_to(commands: Commands) -> None:
    parser = commands.add_parser("evaluate", help="answer the held-out images with a run's weights")
    add_run(parser)
    parser.add_argument("--device", default="cpu", help='"cpu", "cuda" or "cuda:1"')
    parser.set_defaults(command=evaluate_run)


def evaluate_run(options: argparse.Namespace) -> None:
    from vizlib import datasets
    from vizlib.inside.held_out import is_what_was_tested, set_aside, to_look_at
    from vizlib.training.evaluation import answer, evaluate, store

    run = run_named(options.run)
    if run.missing_weights:
        raise UserError(run.missing_weights)
    if run.is_imported:
        dataset = datasets.load_for(run.config)  # its answers are stored: all of them, or none
        say = progress_of(f"{len(dataset.splits['test']):,} images")
        _print_scores(run, answer(run, dataset, device_named(options.device), say))
        return
    dataset = to_look_at(run)
    if aside := set_aside(run, dataset):
        print(aside)
    predictions = evaluate(run.folder, run.config, dataset, device_named(options.device))
    is_same = is_what_was_tested(run, predictions.image_ids)
    is_stored = is_same and dataset.note == run.config.dataset_note
    if is_stored:
        store(run, predictions)
    else:  # other pictures: what the run reports stays as it is
        print(f"Not stored: the run was tested on {run.config.dataset_note or 'another copy'}.")
    print(f"{run.run_id} on {dataset.note}")
    _print_scores(run, predictions)
    if not is_stored:
        print_stored(run, predictions)


def print_stored(run: Run, answered: Predictions) -> None:
    """Print whether the run's stored answers to these images are the same; nothing where it has
    none to some of them.
    """
    from vizlib.run.predictions import load_predictions

    if not run.has("predictions.npz"):
        return
    stored = load_predictions(run.path("predictions.npz"), len(run.class_names))
    if not set(answered.image_ids) <= set(stored.image_ids):
        return
    stored = stored.of(answered.image_ids)
    differ = int((stored.predicted_labels != answered.predicted_labels).sum())
    words = f"{differ:,} of them others" if differ else "the same ones"
    print(f"Its stored answers to these images: accuracy {stored.accuracy:.4f}, {words}.")


def _print_scores(run: Run, predictions: Predictions) -> None:
    from vizlib.run.predictions import class_scores

    print(f"accuracy {predictions.accuracy:.4f} on {len(predictions.labels):,} images\n")
    print(f"  {'class':16} {'precision':>9} {'recall':>9} {'images':>9}")
    scores = class_scores(predictions.confusion(), predictions.unanswered())
    for class_name, precision, recall, count in zip(run.class_names, *scores, strict=True):
        print(f"  {class_name[:16]:16} {precision:9.3f} {recall:9.3f} {count:9,}")
