"""python -m vizlib: train networks, evaluate them and check them for class collapse, with no
browser.

A command is a file of this folder: `add_to` says what it takes, and its function does it. A new one
is named in COMMANDS. What is heavy, a function imports when it is called.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from vizlib import __version__
from vizlib.command_line import (
    check,
    data,
    download,
    evaluate,
    film,
    import_,
    listing,
    logs,
    pack,
    patterns,
    remove,
    report,
    reproduce,
    resume,
    train,
)
from vizlib.errors import UserError

COMMANDS = (
    listing,
    train,
    resume,
    reproduce,
    evaluate,
    check,
    patterns,
    film,
    logs,
    report,
    pack,
    remove,
    import_,
    data,
    download,
)
DESCRIPTION = """\
Convscope on the command line: train small image classifiers, evaluate them, check them for class
collapse.

  python -m vizlib list                                runs, architectures, data sets, recipes
  python -m vizlib train -a three_layer_module -d digits
                                                       train into runs/
  python -m vizlib resume RUN                          go on with one that ended too early
  python -m vizlib evaluate RUN                        answer the held-out images again
  python -m vizlib check RUN                           does it answer one class? exits with 1
  python -m vizlib check ANSWERS.csv                   the same of label,prediction of any model
  python -m vizlib patterns RUN --layer L              what each unit of a layer looks for
  python -m vizlib film RUN                            how it learned, as an animation
  python -m vizlib logs FILE|FOLDER                    the curves of a training elsewhere
  python -m vizlib report RUN [RUN]                    one page of HTML to hand in
  python -m vizlib pack RUN                            its weights in a few bits each
  python -m vizlib remove RUN                          delete its folder, after a question
  python -m vizlib reproduce                           train the networks of the reports
  python -m vizlib import FILE                         a checkpoint from elsewhere becomes a run
  python -m vizlib data NAME                           what is in a data set: classes, sizes
  python -m vizlib data add FILE                       a zip of pictures becomes a data set
  python -m vizlib data remove NAME                    delete one that was added so
  python -m vizlib download cifar10                    fetch CIFAR-10 (170 MB)

RUN is a name from `list`, or the path of a run folder. Pictures are looked for in the folder that
CONVSCOPE_DATA names, else in data/.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 fine, 1 collapsed (check only), 2 bad input; as
    shells count, 130 stopped, 141 nobody reads on.
    """
    options = _parser().parse_args(arguments)
    try:
        status = options.command(options) or 0
        sys.stdout.flush()
        return status
    except UserError as error:
        print(f"convscope: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("convscope: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # as after `list | head`; what Python still holds would raise it again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vizlib",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"convscope {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_to(commands)
    return parser
