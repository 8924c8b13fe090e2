"""`pplkit imitate`: motion made plausible."""

import argparse
from pathlib import Path

from pplkit.cli.options import PAIRS, Commands, add_command, check_output, given
from pplkit.core.errors import PplkitError

METHODS = ("filters", "fit", "track", "policy")


def add_commands(commands: Commands) -> None:
    """Add `imitate`."""
    parser = add_command(commands, imitate)
    parser.add_argument("motion", type=Path, metavar="MOTION", help="3D poses: .npz of pplkit, or .bvh")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write: .npz or .bvh")
    text = "filters (milliseconds), fit (seconds; the default), track (a simulated body follows) or policy (minutes)"
    parser.add_argument("--method", choices=METHODS, default="fit", help=text)
    parser.add_argument("--fps", type=float, help="frames a second of the result (default: those of MOTION)")
    text = "given (y, or the image's up), estimated from feet that stand, or auto: estimated where no camera is known"
    parser.add_argument("--gravity", choices=("auto", "given", "estimated"), help=text)
    text = "contact.safetensors of a network of your own (default: the one that comes with the kit)"
    parser.add_argument("--contact", type=Path, metavar="FILE", help=text)
    parser.add_argument("--truth", type=Path, metavar="FILE", help="the true motion at the same frames, for its errors")
    parser.add_argument("--set", **PAIRS, help="settings of the method, such as iterations=500; docs/motion.md")


def imitate(arguments: argparse.Namespace) -> None:
    """Make motion plausible: feet that stand, bones of one length, smooth paths."""
    from pplkit.data.bvh import read_bvh, write_bvh
    from pplkit.data.sequences import PoseSequence, read_sequence
    from pplkit.inference.imitation.methods import imitate as make_plausible

    check_output("--out", arguments.out, ".npz", ".bvh")

    def read(path: Path) -> PoseSequence:
        if path.suffix.lower() not in (".npz", ".bvh"):
            raise PplkitError(f"{path} is no motion: give a pose sequence (.npz) or a .bvh file.")
        return read_bvh(path) if path.suffix.lower() == ".bvh" else read_sequence(path)

    options = given(arguments, "fps", "gravity", "contact")
    if arguments.truth is not None:
        options["truth"] = read(arguments.truth)
    motion = read(arguments.motion)
    plausible, report = make_plausible(motion, arguments.method, **options, **dict(arguments.set))
    write_bvh(arguments.out, plausible) if arguments.out.suffix.lower() == ".bvh" else plausible.write(arguments.out)
    print(report)
    print(f"The motion is in {arguments.out}.")
