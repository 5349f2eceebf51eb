"""python -m vizlib check RUN, and check FILE.csv"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vizlib.command_line.arguments import run_named
from vizlib.command_line.evaluate import print_stored
from vizlib.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from vizlib.command_line.arguments import Commands
    from vizlib.run.predictions import Predictions
    from vizlib.run.verdict import Verdict

TABLES = (".csv", ".tsv", ".txt")


def add_to(commands: Commands) -> None:
    parser = commands.add_parser(
        "check",
        help="the collapse verdict on a run, or on a table of answers; exit status 1 when "
        "collapsed, or where answers are no numbers",
    )
    parser.add_argument(
        "run", metavar="RUN|FILE.csv", help="a run, or a table: label,prediction[,probabilities]"
    )
    parser.add_argument("--data", help="another data set that the run is to answer, from `list`")
    parser.add_argument(
        "--ordered", action="store_true", help="the classes of the table are grades"
    )
    parser.set_defaults(command=check)


def check(options: argparse.Namespace) -> int:
    if Path(options.run).suffix.lower() in TABLES:
        if options.data:
            raise UserError("--data goes with a run: a table brings its answers.")
        return _check_table(Path(options.run), options.ordered)
    if options.ordered:
        raise UserError("--ordered goes with a table: a run knows whether its classes are grades.")
    return _check_run(options.run, options.data)


def _check_run(name: str, data: str | None) -> int:
    from vizlib.run.predictions import load_predictions
    from vizlib.run.verdict import judge_run

    run = run_named(name)
    if data is None:
        predictions = load_predictions(run.path("predictions.npz"), len(run.class_names))
    else:
        from vizlib.training.evaluation import answers_to

        predictions, note = answers_to(run, data)
        print(f"{run.run_id} on {note}: {len(predictions.labels):,} images")
        if data == run.config.dataset:
            print_stored(run, predictions)
    verdict = judge_run(run, predictions)
    _print_verdict(verdict)
    confusion, unanswered = predictions.confusion(), predictions.unanswered()
    _print_figures(confusion, unanswered, predictions, run.config.ordered)
    return _status(verdict)


def _check_table(path: Path, ordered: bool) -> int:
    from vizlib.bring.answers import read_answers
    from vizlib.files import open_regular
    from vizlib.run.verdict import judge

    try:
        with open_regular(path) as file:
            answers = read_answers(file.read())
    except OSError as error:
        raise UserError(f"The table {str(path)!r} cannot be read: {error.strerror}.") from None
    for remark in answers.remarks:
        print(remark)
    confusion, unanswered = answers.confusion(), answers.unanswered()
    verdict = judge(confusion, answers.class_names, ordered=ordered, unanswered=unanswered)
    _print_verdict(verdict)
    _print_figures(confusion, unanswered, answers.predictions, ordered)
    return _status(verdict)


def _print_verdict(verdict: Verdict) -> None:
    print(verdict.sentence)
    if verdict.never_predicted:
        print(f"Never answered: {', '.join(verdict.never_predicted)}.")
    print(
        f"Accuracy {verdict.accuracy:.4f}, majority baseline {verdict.majority_share:.4f}, "
        f"balanced accuracy {verdict.balanced_accuracy:.4f}, kappa {verdict.kappa:.4f}."
    )
    if verdict.cause:
        print(f"Likely cause. {verdict.cause}\nTry: {'; '.join(verdict.remedies)}.")


def _print_figures(
    confusion: np.ndarray, unanswered: np.ndarray, predictions: Predictions | None, ordered: bool
) -> None:
    from vizlib.run import certainty
    from vizlib.run.verdict import cohen_kappa

    words = [f"Macro F1 {certainty.macro_f1(confusion, unanswered):.4f}"]
    if ordered:
        words += [
            f"quadratic kappa {cohen_kappa(confusion, quadratic=True):.4f}",
            f"within one grade {certainty.within_one(confusion, unanswered):.4f}",
        ]
    if predictions is not None and predictions.is_answered.any():
        words += [
            f"log loss {certainty.log_loss(predictions):.4f}",
            f"expected calibration error {certainty.calibration(predictions).error:.4f}",
        ]
    print(f"{', '.join(words)}.")


def _status(verdict: Verdict) -> int:
    from vizlib.run.verdict import COLLAPSED, NOT_NUMBERS

    return 1 if verdict.level in (COLLAPSED, NOT_NUMBERS) else 0
