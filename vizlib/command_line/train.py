"""python -m vizlib train -a ARCHITECTURE -d DATASET"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vizlib.command_line.arguments import add_device, device_named
from vizlib.command_line.output import print_result, print_what_to_know
from vizlib.errors import UserError

if TYPE_CHECKING:
    from vizlib.command_line.arguments import Commands
    from vizlib.datasets import Dataset
    from vizlib.run.config import RunConfig
    from vizlib.run.folders import Run
    from vizlib.training.order import Order

CHANGES = (  # of the recipe
    "epochs",
    "seconds",
    "batch_size",
    "learning_rate",
    "class_weights",
    "balanced",
    "augment_only_rare",
    "compile",
)


def add_to(commands: Commands) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network into a new run folder",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    _add_what(parser)
    _add_changes(parser)
    _add_beginning(parser)
    _add_rest(parser)
    parser.set_defaults(command=train_network)


def _add_what(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--architecture", "-a", required=True, help="a name from `list`")
    parser.add_argument(
        "--data",
        "-d",
        required=True,
        help='a name from `list`, such as "digits", "cifar10" or "folder:flowers"',
    )
    parser.add_argument(
        "--recipe", "-r", help="a name from `list` (default: the one that suits the architecture)"
    )


def _add_changes(parser: argparse.ArgumentParser) -> None:
    """Of the recipe: None where it stays as it is."""
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, help="instead of the recipe's")
    length.add_argument("--seconds", type=float, help="of training, instead of epochs")
    parser.add_argument("--batch-size", type=int, help="instead of the recipe's")
    parser.add_argument("--learning-rate", type=float, help="the highest, instead of the recipe's")
    flags = {
        "--class-weights": "weigh rare classes more in the loss",
        "--balanced": "draw all classes equally often",
        "--augment-only-rare": "leave pictures of common classes as they are",
    }
    for flag, help in flags.items():
        parser.add_argument(flag, action="store_true", default=None, help=help)
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="by torch.compile: minutes before, faster steps on large GPUs",
    )


def _add_beginning(parser: argparse.ArgumentParser) -> None:
    beginning = parser.add_mutually_exclusive_group()
    beginning.add_argument("--start", metavar="RUN", help="begin with the weights of this run")
    beginning.add_argument(
        "--pretrained",
        action="store_true",
        help="begin with torchvision's weights, trained on ImageNet",
    )
    parser.add_argument(
        "--freeze",
        type=int,
        default=0,
        metavar="N",
        help="leave the first N convolutions as they are",
    )


def _add_rest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--side",
        type=int,
        help="of the square pictures that the network gets, where not its own: 64 makes a large "
        "network 12 times faster than 224",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="let the network see pictures whole, within a black border, instead of their middle",
    )
    parser.add_argument(
        "--validation",
        type=int,
        help="training images held out to choose the best epoch, where the data set has none for "
        "that",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of the weights, the order of images and the held-out ones",
    )
    add_device(parser)
    parser.add_argument("--name", help="of the run (default: architecture, data and time)")
    parser.add_argument("--title", default="", help="a few words shown beside the name")
    parser.add_argument(
        "--out",
        type=Path,
        help="the folder that the run folder is made in (default: CONVSCOPE_RUNS, else runs/)",
    )


def train_network(options: argparse.Namespace) -> None:
    from vizlib import datasets
    from vizlib.run import folders
    from vizlib.training import process

    order = _order(options)
    if "RANK" in os.environ and not options.name:
        raise UserError(
            "Give a --name: the processes of one training have to write into one run folder."
        )
    folder = folders.new_run_folder(order.name or _usual_name(order), options.out)
    dataset = datasets.load(order.dataset)
    if os.environ.get("RANK", "0") == "0":
        print_what_to_know(dataset)
    process.keep_freed_memory()
    from vizlib.training.config import make_config

    order = dataclasses.replace(order, device=device_named(options.device))
    if "RANK" not in os.environ:  # several processes would not choose the same
        order = _of_this_machine(order, dataset)
    run = _trained(folder, make_config(order, dataset), dataset, order.device)
    if run is not None:
        print_result(run)


def _of_this_machine(order: Order, dataset: Dataset) -> Order:
    """The order, of the form of its network that learns most here, where it has the choice."""
    from vizlib.training import suited, trial
    from vizlib.training.config import make_config

    if not suited.has_choice(order):
        return order
    images, size = len(dataset.splits["train"]), make_config(order, dataset).input_size
    trial.find_out(trial.trial_of(order, size))
    found = suited.choice(order, images=images, input_size=size)
    if found is None:
        return order
    print(f"{suited.sentence(order, found.form)}.")
    return suited.of_form(order, found.form)


def _trained(folder: Path, config: RunConfig, dataset: Dataset, device: str) -> Run | None:
    """The Run, in the process that leads where several train together."""
    from vizlib.training import distributed, process
    from vizlib.training.loop import train
    from vizlib.training.requests import Requests

    requests = Requests(folder)
    process.end_in_order(requests)
    group, device = distributed.join(device)
    if group.size > 1:
        # torchrun leaves its processes behind where it is killed
        process.end_after(process.wait_for_parent, requests, "Its launcher is gone.")
    say = print if group.leads else _nothing
    try:
        return train(
            folder, config, dataset, device=device, group=group, requests=requests, say=say
        )
    finally:
        distributed.leave()


def _order(options: argparse.Namespace) -> Order:
    from vizlib.training.order import Order
    from vizlib.training.recipes import recipe, recipe_for

    chosen = options.recipe or recipe_for(options.architecture, options.data)
    return Order(
        options.architecture,
        options.data,
        recipe(chosen, **{name: getattr(options, name) for name in CHANGES}),
        seed=options.seed,
        validation=options.validation,
        title=options.title,
        start=_start(options),
        frozen=options.freeze,
        side=options.side,
        whole=options.whole,
        name=options.name,
    )


def _usual_name(order: Order) -> str:
    from vizlib.run import folders

    name = folders.usual_name(order.architecture, order.dataset)
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _start(options: argparse.Namespace) -> dict[str, str] | None:
    if options.start:
        return {"run": options.start}
    return {"pretrained": "torchvision"} if options.pretrained else None


def _nothing(line: str) -> None:
    """Only the first of several processes speaks."""
