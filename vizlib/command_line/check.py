"""python -m vizlib check RUN"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from vizlib.command_line.arguments import add_run, run_named

if TYPE_CHECKING:
    from vizlib.command_line.arguments import Commands


def add_to(commands: Commands) -> None:
    parser = commands.add_parser("check", help="the collapse verdict; exit status 1 when collapsed")
    add_run(parser)
    parser.set_defaults(command=check)


def check(options: argparse.Namespace) -> int:
    from vizlib.run.verdict import COLLAPSED, NOT_NUMBERS, judge_run

    verdict = judge_run(run_named(options.run))
    print(verdict.sentence)
    if verdict.never_predicted:
        print(f"Never answered: {', '.join(verdict.never_predicted)}.")
    print(
        f"Accuracy {verdict.accuracy:.4f}, majority baseline {verdict.majority_share:.4f}, "
        f"balanced accuracy {verdict.balanced_accuracy:.4f}, kappa {verdict.kappa:.4f}."
    )
    if verdict.cause:
        print(f"Likely cause. {verdict.cause}\nTry: {'; '.join(verdict.remedies)}.")
    return 1 if verdict.level in (COLLAPSED, NOT_NUMBERS) else 0
