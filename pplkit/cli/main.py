"""The command line: the parser of all commands, and what becomes of errors."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr

from pplkit.cli import batch, convert, data, export, infer, run, train
from pplkit.core.errors import PplkitError
from pplkit.training.distributed import error_to_report, launched, rank

DESCRIPTION = "Learn the pose of an object category from unlabelled images: keypoints, links and a pose prior."


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; what it parses has the function that carries out the command as `handler`."""
    parser = argparse.ArgumentParser(prog="pplkit", description=DESCRIPTION)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (run, batch, train, infer, export, data, convert):
        module.add_commands(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (default: those of the process) and return the exit status.

    0 = done, 2 = wrong input or failed runs of a batch (one line on stderr, no traceback), 130 = interrupted, 143 =
    ended by SIGTERM after saving. Where a launcher started several processes, one of them reports for all.
    """
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere) if rank() else nullcontext():
        parsed = build_parser().parse_args(arguments)
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
