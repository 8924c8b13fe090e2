"""`pplkit transfer`: poses of one mesh given to another."""

import argparse
from pathlib import Path

from pplkit.cli.options import Commands, add_command
from pplkit.core.errors import PplkitError
from pplkit.core.words import quantity

RUN = "run folder of mesh pose, or nearest-face, which needs no training"


def add_commands(commands: Commands) -> None:
    """Add `transfer`."""
    parser = add_command(commands, transfer)
    parser.add_argument("run", metavar="RUN", help=RUN)
    text = "poses of the source: mesh files (OBJ, PLY, glTF, OFF, .anime), or one folder of them"
    parser.add_argument("poses", nargs="+", type=Path, metavar="POSES", help=text)
    parser.add_argument("--rest", type=Path, required=True, metavar="FILE", help="the source at rest")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="the target at rest, any other mesh")
    text = "folder of OBJ files to write, or an animated glTF file (.glb)"
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help=text)
    text = "named points of source and target, JSON files; joints are the best ones"
    parser.add_argument("--landmarks", nargs=2, type=Path, metavar=("SOURCE", "TARGET"), help=text)
    text = "the source's axes that x, y and z of the target are, as in --turn=x,-z,y (default: they are recognized)"
    parser.add_argument("--turn", default="", metavar="X,Y,Z", help=text)
    text = "keep what stands on the ground there; the source's upward axis: x, y or z"
    parser.add_argument("--ground", default="", metavar="AXIS", help=text)
    text = "a vertex of the target, counted from 0, and where it shall be, as in --pin 17=0.2,1.1,0"
    parser.add_argument("--pin", nargs="+", action="extend", default=[], metavar="VERTEX=X,Y,Z", help=text)
    parser.add_argument("--fps", type=float, default=30.0, help="frames a second of glTF (default: 30)")


def transfer(arguments: argparse.Namespace) -> None:
    """Give the poses of one mesh to another, of any triangulation."""
    from pplkit.inference.mesh_transfer import transfer_pose

    if not arguments.out.parent.is_dir():
        raise PplkitError(f"the folder {arguments.out.parent} of --out does not exist: create it, or name another.")
    if not arguments.fps > 0:
        raise PplkitError(f"--fps is {arguments.fps:g}: give a positive number of frames a second.")
    one = len(arguments.poses) == 1
    poses = arguments.poses[0] if one else arguments.poses
    pins = dict(_pin(text) for text in arguments.pin)
    options = {"turn": arguments.turn, "ground": arguments.ground, "pins": pins}
    marks = tuple(arguments.landmarks) if arguments.landmarks else None
    posed = transfer_pose(arguments.run, arguments.rest, poses, arguments.to, marks, **options)
    names = [path.stem for path in arguments.poses]
    named = len(names) == len(set(names)) == len(posed.poses) and not (one and poses.is_dir())
    files = posed.save(arguments.out, names if named else (), arguments.fps)
    print("\n".join(posed.notes))
    written = str(arguments.out) if len(files) > 1 else str(files[0])
    print(f"{arguments.to} in {quantity(len(posed.poses), 'pose')}: {written}.")


def _pin(text: str) -> tuple[int, list[float]]:
    """A vertex and a place from VERTEX=X,Y,Z."""
    vertex, _, place = text.partition("=")
    try:
        x, y, z = (float(number) for number in place.split(","))
        return int(vertex), [x, y, z]
    except ValueError:
        raise PplkitError(f"--pin {text} is no pin: write a vertex and its place, as in 17=0.2,1.1,0.") from None
