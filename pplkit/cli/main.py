"""The command line: the parser of all commands, and what becomes of errors."""

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr
from importlib.metadata import version
from typing import NoReturn

from pplkit.cli import (
    batch,
    card,
    convert,
    data,
    export,
    imitate,
    inbetween,
    infer,
    lift,
    motion_loop,
    road,
    run,
    train,
    transfer,
)
from pplkit.core.errors import PplkitError
from pplkit.core.version import __version__
from pplkit.core.words import nearest, replace_unprintable
from pplkit.training.distributed import error_to_report, launched, rank
from pplkit.training.runtime import check_device

DESCRIPTION = "Learn the pose of an object category from unlabelled images: keypoints, links and a pose prior."
GROUPS = {
    "From images to a model": ("run", "train", "batch", "complete"),
    "How good it is": ("doctor", "check", "card"),
    "Poses of other images and videos": ("estimate", "track", "landmarks", "lift", "export"),
    "Poses of meshes": ("transfer", "generate"),
    "Motion": ("imitate", "inbetween", "motion-loop", "road"),
    "From elsewhere": ("convert-official",),
}
EXAMPLES = {
    "pplkit run puppets --scale smoke": "everything once, within minutes",
    "pplkit run folder-roses --source photos": "a folder of images",
    "pplkit run video-mouse --source clips": "a video, or a folder of videos",
    "pplkit doctor runs/video-mouse": "what went wrong, and what to try",
    "pplkit track runs/video-mouse day.mp4 --out tracks.csv": "keypoints of each frame",
}
CONTINUED = (
    "run",
    "train",
    "batch",
    "complete",
    "motion_loop",
    "road",
)  # given again, these commands go on where they stopped


def build_parser() -> "_Parser":
    """The parser of all commands; in what it returns, `handler` is the function that carries out the command."""
    parser = _Parser(prog="pplkit", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"pplkit {__version__}, torch {version('torch')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (
        run, batch, train, card, infer, lift, export, imitate, inbetween, motion_loop, road, transfer, data, convert,
    ):  # fmt: skip
        module.add_commands(commands)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser that suggests the name of a misspelled command, and whose overview of all commands is in groups."""

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """As `parse_args`; an unknown option is answered with the nearest one of its command."""
        parsed, unknown = self.parse_known_args(arguments)
        if unknown:
            (commands,) = (action for action in self._actions if isinstance(action, argparse._SubParsersAction))
            command = commands.choices[parsed.handler.__name__.replace("_", "-")]
            close = nearest(unknown[0].partition("=")[0], command._option_string_actions)
            command.error(f"unrecognized arguments: {' '.join(unknown)}{f'; did you mean {close}?' if close else ''}")
        return parsed

    def error(self, message: str) -> NoReturn:
        name, _, choices = message.partition("invalid choice: ")[2].partition(" (choose from ")
        close = name and nearest(name.strip("'"), [choice.strip("')") for choice in choices.split(", ")])
        super().error(f"{message}; did you mean {close!r}?" if close else message)

    def format_help(self) -> str:
        groups = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        if not groups:
            return super().format_help()
        summaries = {action.dest: action.help for action in groups[0]._choices_actions}
        lines = [f"usage: {self.prog} COMMAND ...", "", str(self.description), ""]
        for title, names in GROUPS.items():
            lines += [f"{title}:", *(f"  {name:<18}{summaries[name]}" for name in names), ""]
        lines += ["Examples:", *(f"  {line:<56}{text}" for line, text in EXAMPLES.items()), ""]
        return "\n".join(
            [*lines, f"{self.prog} COMMAND --help explains a command; --version says which kit this is.", ""]
        )


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
        parsed = parser.parse(arguments)
    try:
        if launched() and parsed.handler is not train.train:
            raise PplkitError("only `pplkit train` takes several processes: start this command without a launcher.")
        check_device(getattr(parsed, "device", None) or "auto")
        parsed.handler(parsed)
    except PplkitError as error:
        if message := error_to_report(error):
            print(f"pplkit: {message}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt as error:
        if not rank():
            print(
                f"pplkit: {str(error) or 'interrupted.'}{_continuation(parsed, arguments)}", file=sys.stderr, flush=True
            )
        return 128 + getattr(error, "number", signal.SIGINT)
    return 0


def _continuation(parsed: argparse.Namespace, arguments: Sequence[str] | None) -> str:
    """The command that continues what was interrupted, if there is one."""
    if parsed.handler.__name__ not in CONTINUED:
        return ""
    return f" To continue: {shlex.join(['pplkit', *(sys.argv[1:] if arguments is None else arguments)])}"
