"""python -m vizlib: train networks, evaluate them and check them for class collapse, with no
browser.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from vizlib import __version__
from vizlib.errors import UserError, unknown

DESCRIPTION = """\
Convscope on the command line: train small image classifiers, evaluate them, check them for class
collapse.

  python -m vizlib list                                runs, architectures, data sets, recipes
  python -m vizlib train -a three_layer_module -d digits
                                                       train into runs/
  python -m vizlib resume RUN                          go on with one that ended too early
  python -m vizlib evaluate RUN                        answer the held-out images again
  python -m vizlib check RUN                           does it answer one class? exits with 1
  python -m vizlib patterns RUN --layer L              what each unit of a layer looks for
  python -m vizlib film RUN                            how it learned, as an animation
  python -m vizlib reproduce                           train the networks of the reports
  python -m vizlib download cifar10                    fetch CIFAR-10 (170 MB)

RUN is a name from `list`, or the path of a run folder. Pictures are looked for in the folder that
CONVSCOPE_DATA names, else in data/.
"""


def main(arguments=None):
    """Run one command. Returns the exit status: 0 fine, 1 collapsed (check only), 2 bad input."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except UserError as error:
        print(f"convscope: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("convscope: stopped.", file=sys.stderr)
        return 130


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m vizlib",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"convscope {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listing = commands.add_parser("list", help="runs, architectures, data sets and recipes")
    listing.set_defaults(command=_list)

    training = commands.add_parser(
        "train",
        help="train a network into a new run folder",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    training.add_argument("--architecture", "-a", required=True, help="a name from `list`")
    training.add_argument(
        "--data",
        "-d",
        required=True,
        help='a name from `list`, such as "digits", "cifar10" or "folder:flowers"',
    )
    training.add_argument(
        "--recipe", "-r", help="a name from `list` (default: the one that suits the architecture)"
    )
    training.add_argument("--epochs", type=int, help="instead of the recipe's")
    training.add_argument("--seconds", type=float, help="of training, instead of epochs")
    training.add_argument("--batch-size", type=int, help="instead of the recipe's")
    training.add_argument(
        "--learning-rate", type=float, help="the highest, instead of the recipe's"
    )
    training.add_argument(
        "--class-weights",
        action="store_true",
        default=None,
        help="weigh rare classes more in the loss",
    )
    training.add_argument(
        "--balanced", action="store_true", default=None, help="draw all classes equally often"
    )
    training.add_argument(
        "--augment-only-rare",
        action="store_true",
        default=None,
        help="leave pictures of common classes as they are",
    )
    training.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="by torch.compile: minutes before, faster steps on large GPUs",
    )
    beginning = training.add_mutually_exclusive_group()
    beginning.add_argument("--start", metavar="RUN", help="begin with the weights of this run")
    beginning.add_argument(
        "--pretrained",
        action="store_true",
        help="begin with torchvision's weights, trained on ImageNet",
    )
    training.add_argument(
        "--freeze",
        type=int,
        default=0,
        metavar="N",
        help="leave the first N convolutions as they are",
    )
    training.add_argument(
        "--side",
        type=int,
        help="of the square pictures that the network gets, where not its own: 64 makes a large "
        "network 12 times faster than 224",
    )
    training.add_argument(
        "--validation", type=int, help="training images held out to choose the best epoch"
    )
    training.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of the weights, the order of images and the held-out ones",
    )
    training.add_argument(
        "--device", help='"cpu", "cuda" or "cuda:1" (default: a GPU if there is one)'
    )
    training.add_argument("--name", help="of the run (default: architecture, data and time)")
    training.add_argument("--title", default="", help="a few words shown beside the name")
    training.add_argument(
        "--out",
        type=Path,
        help="the folder that the run folder is made in (default: CONVSCOPE_RUNS, else runs/)",
    )
    training.set_defaults(command=_train)

    resuming = commands.add_parser("resume", help="go on with a run that ended too early")
    resuming.add_argument("run", metavar="RUN")
    resuming.add_argument(
        "--learning-rate", type=float, help="the highest from now on (default: as before)"
    )
    resuming.add_argument(
        "--device", help='"cpu", "cuda" or "cuda:1" (default: a GPU if there is one)'
    )
    resuming.set_defaults(command=_resume)

    reproducing = commands.add_parser(
        "reproduce",
        help="train the networks of the reports, those that are missing, and print the table",
    )
    reproducing.add_argument(
        "systems",
        nargs="*",
        metavar="ID",
        help='such as "B2", or "B" for all of B (default: all that are missing); those that ship '
        "are trained again",
    )
    reproducing.add_argument("--table", action="store_true", help="only print the table")
    reproducing.add_argument(
        "--device", help='"cpu", "cuda" or "cuda:1" (default: a GPU if there is one)'
    )
    reproducing.set_defaults(command=_reproduce)

    evaluating = commands.add_parser(
        "evaluate", help="answer the held-out images with a run's weights"
    )
    evaluating.add_argument("run", metavar="RUN")
    evaluating.add_argument("--device", default="cpu", help='"cpu", "cuda" or "cuda:1"')
    evaluating.set_defaults(command=_evaluate)

    checking = commands.add_parser(
        "check", help="the collapse verdict; exit status 1 when collapsed"
    )
    checking.add_argument("run", metavar="RUN")
    checking.set_defaults(command=_check)

    patterns = commands.add_parser(
        "patterns", help="sheets of what each unit of a layer looks for, as files"
    )
    patterns.add_argument("run", metavar="RUN")
    patterns.add_argument(
        "--layer",
        "-l",
        help="a convolution, or the layer that answers (default: the convolution halfway through "
        "the network)",
    )
    patterns.add_argument(
        "--out", type=Path, help="the folder that they are written into (default: RUN-patterns)"
    )
    patterns.set_defaults(command=_patterns)

    filming = commands.add_parser("film", help="how a run learned, as an animated picture (GIF)")
    filming.add_argument("run", metavar="RUN")
    filming.add_argument(
        "--layer",
        help="whose maps of the probe picture are shown (default: the first that is stored)",
    )
    filming.add_argument(
        "--out",
        type=Path,
        help="the file (default: RUN-film.gif, here); one that is there is written anew",
    )
    filming.set_defaults(command=_film)

    downloading = commands.add_parser("download", help="fetch a public data set")
    downloading.add_argument("dataset", help='"cifar10"')
    downloading.set_defaults(command=_download)
    return parser


def _list(options):
    from vizlib import architectures, datasets
    from vizlib.run import folders
    from vizlib.training.recipes import RECIPES

    found, problems = folders.list_runs()
    print("Runs (shipped in checkpoints/, yours in runs/)")
    for run in found:
        best = (
            f"validation accuracy {run.best['val_accuracy']:.3f}"
            if run.best
            else "no checkpoint yet"
        )
        print(
            f"  {run.run_id:32} {run.config.architecture:24} {run.config.dataset:20} "
            f"{run.status:12} {best}"
        )
        if run.problem:
            print(f"  ! {run.problem}")
    for problem in problems:
        print(f"  ! {problem}")
    print("\nArchitectures")
    for name in architectures.names():
        print(f"  {name:24} {architectures.get(name).summary}")
    print("\nData sets on this machine")
    for name in datasets.names():
        print(f"  {name}")
    for problem in datasets.problems():
        print(f"  ! {problem}")
    print("\nRecipes")
    for recipe in RECIPES.values():
        print(f"  {recipe.name:24} {recipe.summary}")


def _train(options):
    from vizlib import architectures, datasets
    from vizlib.run import folders
    from vizlib.training import process
    from vizlib.training.recipes import recipe, recipe_for
    from vizlib.training.requests import Requests

    changes = (
        "epochs",
        "seconds",
        "batch_size",
        "learning_rate",
        "class_weights",
        "balanced",
        "augment_only_rare",
        "compile",
    )
    chosen = recipe(
        options.recipe or recipe_for(options.architecture, options.data),
        **{name: getattr(options, name) for name in changes},
    )
    architectures.get(options.architecture)
    if "RANK" in os.environ and not options.name:
        raise UserError(
            "Give a --name: the processes of one training have to write into one run folder."
        )
    usual_name = (
        f"{folders.usual_name(options.architecture, options.data)}-{time.strftime('%Y%m%d-%H%M%S')}"
    )
    folder = folders.new_run_folder(options.name or usual_name, options.out)
    dataset = datasets.load(options.data)
    process.keep_freed_memory()
    from vizlib.training import distributed
    from vizlib.training.config import make_config
    from vizlib.training.loop import train

    start = (
        {"run": options.start}
        if options.start
        else {"pretrained": "torchvision"}
        if options.pretrained
        else None
    )
    settings = dict(
        seed=options.seed,
        validation=options.validation,
        title=options.title,
        start=start,
        frozen=options.freeze,
        side=options.side,
    )
    config = make_config(options.architecture, dataset, chosen, **settings)
    requests = Requests(folder)
    process.end_in_order(requests)
    group, device = distributed.join(_device(options.device))
    if group.size > 1:
        # torchrun leaves its processes behind where it is killed
        process.end_after(process.wait_for_parent, requests, "Its launcher is gone.")
    try:
        train(
            folder,
            config,
            dataset,
            device=device,
            group=group,
            requests=requests,
            say=print if group.leads else _nothing,
        )
    finally:
        distributed.leave()
    if group.leads:
        _say_result(folders.read_run(folder))


def _nothing(line):
    """Only the first of several processes speaks."""


def _resume(options):
    from vizlib.run import folders
    from vizlib.run.events import EventLog
    from vizlib.training import process, requests

    if "RANK" in os.environ:
        raise UserError(
            "A training is resumed by one process: start it without torchrun, or train a new "
            "one from its weights with --start."
        )
    run = _run(options.run)
    if not run.can_resume:
        raise UserError(f"{run.run_id} cannot be resumed: it is {run.status}.")
    process.keep_freed_memory()
    from vizlib.training.loop import carry_on

    requests.forget(run.folder)
    if options.learning_rate is not None:
        requests.ask_rate(run.folder, options.learning_rate)
    wishes = requests.Requests(run.folder)
    process.end_in_order(wishes)
    with EventLog(run.folder) as log:
        carry_on(run.folder, log, device=_device(options.device), requests=wishes)
    _say_result(folders.read_run(run.folder))


def _say_result(run):
    print(f"written to {run.folder}")
    print(
        _verdict(run).sentence
        if run.status == "finished"
        else f"{run.status}: python -m vizlib resume {run.run_id}"
    )


def _reproduce(options):
    from vizlib.reports import systems
    from vizlib.training import process

    chosen = systems.named(options.systems) if options.systems else list(systems.SYSTEMS.values())
    complete = True
    if not options.table:
        process.keep_freed_memory()
        from vizlib.reports.reproduce import reproduce

        complete = reproduce(chosen, again=bool(options.systems), device=_device(options.device))
    print(systems.table())
    return 0 if complete else 1


def _evaluate(options):
    from vizlib import datasets
    from vizlib.run.predictions import class_scores, save_predictions
    from vizlib.training.evaluation import evaluate

    run = _run(options.run)
    if run.missing_weights:
        raise UserError(run.missing_weights)
    dataset = datasets.load_for(run.config)
    predictions = evaluate(run.folder, run.config, dataset, _device(options.device))
    if dataset.note == run.config.dataset_note:
        save_predictions(run.path("predictions.npz"), predictions)
    else:  # another copy has other test images: what the run reports stays as it is
        print(f"Not stored: the run was tested on {run.config.dataset_note or 'another copy'}.")
    confusion = predictions.confusion()
    print(f"{run.run_id} on {dataset.note}")
    print(f"accuracy {predictions.accuracy:.4f} on {len(predictions.labels):,} images\n")
    print(f"  {'class':16} {'precision':>9} {'recall':>9} {'images':>9}")
    for class_name, precision, recall, count in zip(
        run.class_names, *class_scores(confusion), strict=True
    ):
        print(f"  {class_name[:16]:16} {precision:9.3f} {recall:9.3f} {count:9,}")


def _check(options):
    from vizlib.run.verdict import COLLAPSED

    verdict = _verdict(_run(options.run))
    print(verdict.sentence)
    if verdict.never_predicted:
        print(f"Never answered: {', '.join(verdict.never_predicted)}.")
    print(
        f"Accuracy {verdict.accuracy:.4f}, majority baseline {verdict.majority_share:.4f}, "
        f"balanced accuracy {verdict.balanced_accuracy:.4f}, kappa {verdict.kappa:.4f}."
    )
    if verdict.cause:
        print(f"Likely cause. {verdict.cause}\nTry: {'; '.join(verdict.remedies)}.")
    return 1 if verdict.level == COLLAPSED else 0


def _patterns(options):
    from vizlib import datasets
    from vizlib.displays.units import sheet
    from vizlib.inside import patterns, strongest
    from vizlib.inside.layers import at_depth, layer_table
    from vizlib.inside.maximisation import maximise
    from vizlib.inside.model import load_model

    run = _run(options.run)
    dataset, model = datasets.load_for(run.config), load_model(run)
    rows = {row.name: row for row in layer_table(model, run.input_size)}
    possible = strongest.unit_layers(list(rows.values()))
    layer = options.layer or at_depth(list(rows.values()), 0.5)[0].name
    if layer not in possible:
        raise unknown("layer with units", layer, possible)
    out = options.out or Path(f"{run.run_id}-patterns")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {out} cannot be made: {error.strerror}.") from error
    index = strongest.load(run, dataset) or strongest.of_run(run, dataset, _say("images looked at"))
    best, pictures = index[layer], dataset.splits["test"].pictures
    made = maximise(
        model,
        layer,
        list(range(len(best.values))),
        input_size=run.input_size,
        mean=run.config.mean,
        std=run.config.std,
        say=_say("pictures made"),
    )
    sheets = {
        "strongest-patch": (
            patterns.patches(pictures, rows[layer], best, run.input_size),
            best.values[:, 0],
            f"the part of an image that excites it most, of {dataset.note}",
        ),
        "made-picture": (
            patterns.fitting(made.pictures),
            made.values,
            f"the picture made to excite it most; trained on {run.config.dataset}",
        ),
    }
    for name, (tiles, values, words) in sheets.items():
        atlas = sheet(tiles, [f"unit {unit}: {value:.3g}" for unit, value in enumerate(values)])
        _write(
            out / f"{layer}-{name}.png",
            atlas.figure_png(f"{run.run_id}, {layer}: for each unit {words}."),
        )
    _write(
        out / f"{layer}-strongest-images.csv",
        patterns.csv(best, dataset.splits["test"], dataset.class_names).encode(),
    )


def _film(options):
    from vizlib.displays.film import FilmDisplay
    from vizlib.displays.film_frames import animation

    run = _run(options.run)
    path = options.out or Path(f"{run.run_id}-film.gif")
    if path.suffix.lower() != ".gif":
        raise UserError(f"The film is a GIF: {str(path)!r} does not end with .gif.")
    if not path.absolute().parent.is_dir():
        raise UserError(f"There is no folder {str(path.parent)!r}.")
    _write(path, animation(FilmDisplay.from_run(run, options.layer), say=_say("the film")))


def _write(path, content):
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.") from error
    print(f"{path}: {len(content) / 1e6:.2g} MB")


def _say(words):
    """Progress on one line of the terminal, where there is one."""
    if not sys.stdout.isatty():
        return lambda share: None
    return lambda share: print(
        f"\r{100 * share:3.0f} % of {words}", end="\n" if share >= 1 else "", flush=True
    )


def _download(options):
    from vizlib import datasets

    reader = datasets.reader_of(options.dataset)
    if reader.download is None:
        raise UserError(f"{options.dataset!r} cannot be downloaded. {reader.missing}")
    reader.download(
        datasets.data_root(), say=lambda share: print(f"\r{100 * share:3.0f} %", end="", flush=True)
    )
    print(f"\n{options.dataset} is in {datasets.data_root()}.")


def _run(name):
    """A run by its id, or by the path of its folder."""
    from vizlib.run import folders

    return (
        folders.read_run(Path(name))
        if Path(name).is_dir() and "/" in name.replace("\\", "/")
        else folders.open_run(name)
    )


def _verdict(run):
    from vizlib.run.verdict import judge_run

    return judge_run(run)


def _device(name):
    """A device that can be used, a GPU if none is named and there is one. UserError naming the ones
    there are.
    """
    import torch

    name = name or ("cuda" if torch.cuda.is_available() else "cpu")

    possible = ["cpu"] + [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if name not in possible and not (name == "cuda" and torch.cuda.is_available()):
        raise UserError(f"There is no device {name!r} here. Possible: {', '.join(possible)}.")
    return name
