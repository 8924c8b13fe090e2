"""`pplkit inbetween`: gaps in motion filled."""

import argparse
from pathlib import Path

from pplkit.cli.options import Commands, add_command, check_output
from pplkit.core.words import quantity


def add_commands(commands: Commands) -> None:
    """Add `inbetween`."""
    parser = add_command(commands, inbetween, "run")
    parser.add_argument("motion", type=Path, metavar="MOTION", help="3D poses in world space: .npz of pplkit")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write: .npz or .bvh")
    text = "first:end frames to make anew, without the end (default: frames in which joints are missing)"
    parser.add_argument("--gap", type=_gap, nargs="+", metavar="FIRST:END", help=text)
    parser.add_argument("--free-feet", action="store_true", help="do not keep feet in place that touch the ground")


def _gap(text: str) -> tuple[int, int]:
    """The type of --gap."""
    first, _, end = text.partition(":")
    if not (first.isdigit() and end.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 40:60")
    return int(first), int(end)


def inbetween(arguments: argparse.Namespace) -> None:
    """Fill gaps in motion by a network that has learned what lies between poses."""
    from pplkit.data.bvh import write_bvh
    from pplkit.data.sequences import read_sequence
    from pplkit.inference.inbetweening import fill_gaps

    check_output("--out", arguments.out, ".npz", ".bvh")
    motion = read_sequence(arguments.motion)
    made = fill_gaps(motion, arguments.run, arguments.gap, pin_feet=not arguments.free_feet)
    write_bvh(arguments.out, made) if arguments.out.suffix.lower() == ".bvh" else made.write(arguments.out)
    print(f"{quantity(int((made.points != motion.points).any((1, 2)).sum()), 'frame')} were made; {arguments.out}.")
