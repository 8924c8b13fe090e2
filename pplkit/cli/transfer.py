"""`pplkit transfer` and `generate`: poses of one mesh given to another, and new ones."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pplkit.cli.options import Commands, add_command
from pplkit.core.errors import PplkitError
from pplkit.core.words import quantity
from pplkit.geometry.mesh.frames import upward_axis

if TYPE_CHECKING:
    from pplkit.inference.mesh_transfer import TransferredPoses

OUT = "folder of OBJ files to write, an animated glTF file (.glb) or a video (.mp4)"
STANDING = (".glb", ".mp4")  # y up and in meters
RUN = "run folder of mesh pose, or nearest-face, which needs no training"


def add_commands(commands: Commands) -> None:
    """Add `transfer` and `generate`."""
    parser = add_command(commands, transfer)
    parser.add_argument("run", metavar="RUN", help=RUN)
    text = "poses of the source: mesh files (OBJ, PLY, glTF, OFF, .anime), or one folder of them"
    parser.add_argument("poses", nargs="+", type=Path, metavar="POSES", help=text)
    parser.add_argument("--rest", type=Path, required=True, metavar="FILE", help="the source at rest")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="the target at rest, any other mesh")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help=OUT)
    text = "named points of source and target, JSON files; joints are the best ones"
    parser.add_argument("--landmarks", nargs=2, type=Path, metavar=("SOURCE", "TARGET"), help=text)
    text = "the source's axes that x, y and z of the target are, as in --turn=x,-z,y (default: they are recognized)"
    parser.add_argument("--turn", default="", metavar="X,Y,Z", help=text)
    text = "keep what stands on the ground there; the source's upward axis: x, y or z"
    parser.add_argument("--ground", default="", metavar="AXIS", help=text)
    text = "a vertex of the target, counted from 0, and where it shall be, as in --pin 17=0.2,1.1,0"
    parser.add_argument("--pin", nargs="+", action="extend", default=[], metavar="VERTEX=X,Y,Z", help=text)
    text = "the target's upward axis, which glTF and videos need to know (default: it is recognized)"
    parser.add_argument("--up", default="", metavar="AXIS", help=text)
    text = "refine a trained model for the target by so many steps, such as 200; it seldom pays"
    parser.add_argument("--refine", type=int, default=0, metavar="STEPS", help=text)
    parser.add_argument("--fps", type=float, default=30.0, help="frames a second of glTF and videos (default: 30)")

    parser = add_command(commands, generate, "run")
    parser.add_argument("--count", type=int, default=8, help="poses (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="decides which (default: 0)")
    parser.add_argument("--out", type=Path, required=True, metavar="PATH", help=OUT)
    parser.add_argument("--to", type=Path, metavar="FILE", help="another mesh at rest that takes the poses")
    text = "named points of that mesh, a JSON file, by the names of those that were learned with"
    parser.add_argument("--landmarks", type=Path, metavar="FILE", help=text)


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
    options = {name: getattr(arguments, name) for name in ("turn", "ground", "up", "refine")} | {"pins": pins}
    marks = tuple(arguments.landmarks) if arguments.landmarks else None
    posed = transfer_pose(arguments.run, arguments.rest, poses, arguments.to, marks, **options)
    names = [path.stem for path in arguments.poses]
    named = len(names) == len(set(names)) == len(posed.poses) and not (one and poses.is_dir())
    written = _save(posed, arguments.out, names if named else (), arguments.fps)
    print("\n".join(posed.notes))
    print(f"{arguments.to} in {quantity(len(posed.poses), 'pose')}: {written}.")


def generate(arguments: argparse.Namespace) -> None:
    """Make new poses of the mesh that a run has learned from."""
    from pplkit.inference.mesh_generation import generate_poses
    from pplkit.inference.mesh_transfer import TransferredPoses, transfer_pose
    from pplkit.training.saved_mesh import is_diffusion, load_diffusion

    if not arguments.out.parent.is_dir():
        raise PplkitError(f"the folder {arguments.out.parent} of --out does not exist: create it, or name another.")
    if arguments.landmarks and not arguments.to:
        raise PplkitError("--landmarks are those of another mesh: name it with --to.")
    generated = generate_poses(arguments.run, arguments.count, arguments.seed)
    posed = TransferredPoses(generated.mesh, generated.poses)
    if arguments.to:
        marks = None
        if arguments.landmarks:
            if generated.landmarks is None:
                raise PplkitError(f"{arguments.run} was trained without landmarks: leave out --landmarks.")
            marks = generated.landmarks, arguments.landmarks
        run = load_diffusion(arguments.run).mesh_run if is_diffusion(arguments.run) else arguments.run
        posed = transfer_pose(run, generated.mesh, generated.poses, arguments.to, marks)
    written = _save(posed, arguments.out, (), 2.0 if arguments.out.suffix.lower() in STANDING else 30.0)
    print("\n".join(posed.notes), end="\n" if posed.notes else "")
    print(f"{quantity(len(posed.poses), 'new pose')}: {written}.")


def _save(posed: "TransferredPoses", out: Path, names: Sequence[str], fps: float) -> str:
    """Write the poses to `out`; returns where they are, in words."""
    from pplkit.viz.scene import Scene

    kind = out.suffix.lower()
    if kind == ".mp4":
        Scene({"": (posed.upright()[1], posed.mesh.faces)}, fps).to_video(out)
    else:
        files = posed.save(out, names, fps)
    where = str(out) if kind in STANDING or len(files) > 1 else str(files[0])
    up = posed.up or upward_axis(posed.mesh.vertices)
    return f"{where}, with the mesh's {up} up" if kind in STANDING else where


def _pin(text: str) -> tuple[int, list[float]]:
    """A vertex and a place from VERTEX=X,Y,Z."""
    vertex, _, place = text.partition("=")
    try:
        x, y, z = (float(number) for number in place.split(","))
        return int(vertex), [x, y, z]
    except ValueError:
        raise PplkitError(f"--pin {text} cannot be read: write a vertex and its place, as in 17=0.2,1.1,0.") from None
