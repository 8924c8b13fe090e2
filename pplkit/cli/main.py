"""The command line: the parser of all commands, and what becomes of errors."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr
from difflib import get_close_matches
from importlib.metadata import version
from typing import NoReturn

from pplkit.cli import batch, convert, data, export, infer, run, train
from pplkit.core.errors import PplkitError
from pplkit.core.version import __version__
from pplkit.core.words import replace_unprintable
from pplkit.training.distributed import error_to_report, launched, rank

DESCRIPTION = "Learn the pose of an object category from unlabelled images: keypoints, links and a pose prior."


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; what it parses has the function that carries out the command as `handler`."""
    parser = _Parser(prog="pplkit", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"pplkit {__version__}, torch {version('torch')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (run, batch, train, infer, export, data, convert):
        module.add_commands(commands)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser that suggests the name of a misspelled command."""

    def error(self, message: str) -> NoReturn:
        name, _, choices = message.partition("invalid choice: ")[2].partition(" (choose from ")
        close = get_close_matches(name.strip("'"), [choice.strip("')") for choice in choices.split(", ")], 1)
        super().error(f"{message}; did you mean {close[0]!r}?" if close else message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: those of the process) and return the exit status.

    0 = done, 2 = wrong input or failed runs of a batch (one line on stderr, no traceback), 130 = interrupted, 143 =
    ended by SIGTERM after saving. Where a launcher started several processes, each reports its own errors.
    """
    replace_unprintable()
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere) if rank() else nullcontext():
        parser = build_parser()
        if not (sys.argv[1:] if arguments is None else arguments):
            parser.print_help()
            return 0
        parsed = parser.parse_args(arguments)
    try:
        if launched() and parsed.handler is not train.train:
            raise PplkitError("only `pplkit train` takes several processes: start this command without a launcher.")
        parsed.handler(parsed)
    except PplkitError as error:
        if message := error_to_report(error):
            print(f"pplkit: {message}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt as error:
        if not rank():
            print(f"pplkit: {error if str(error) else 'interrupted'}", file=sys.stderr, flush=True)
        return 128 + getattr(error, "number", signal.SIGINT)
    return 0
