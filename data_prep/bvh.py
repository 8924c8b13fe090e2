"""BVH files of animation programs as pose sequences for lifting: 17 joints in the order of h36m17.

SOURCE is a BVH file or a folder of them, of people whose joints have their usual names. Units, the axis that points up
and the order of rotations are recognized. OUT gets the folder train with one file of joints in meters in world space
for each (`pplkit.data.sequences`); the lowest joint of a sequence touches the floor.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.common.command_line import run_sequences
from pplkit.core.errors import PplkitError
from pplkit.data.bvh import read_bvh
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17, to_h36m17


def read_joints17(path: Path, scale: float | None = None, up: str | None = None) -> PoseSequence:
    """The 17 joints of a BVH file at its own frame rate, the lowest on the floor; options as in `read_bvh`."""
    sequence = read_bvh(path, scale, up)
    points, _ = to_h36m17(sequence.points, sequence.skeleton)
    points[..., 1] -= np.nanmin(points[..., 1])
    return PoseSequence(points=points, fps=sequence.fps, skeleton=H36M17, space="world", source=path.name)


def prepare(
    source: Path | str, out: Path | str, fps: float = 30.0, scale: float | None = None, up: str | None = None
) -> Path:
    """Write the sequences at `fps` frames a second and return `out`; `scale` and `up` as in `read_bvh`.

    Raises PplkitError if there is no BVH file, or one cannot be read.
    """
    source, out = Path(source), Path(out)
    files = sorted(source.glob("**/*.bvh")) if source.is_dir() else [source]
    if not files:
        raise PplkitError(f"{source} holds no .bvh file: give the folder of such files, or one of them.")
    (out / "train").mkdir(parents=True, exist_ok=True)
    for file in files:
        name = "_".join(file.relative_to(source).with_suffix("").parts) if source.is_dir() else file.stem
        read_joints17(file, scale, up).resampled(fps).write(out / "train" / f"{name}.npz")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("source", type=Path, help="a BVH file, or a folder of them")
    command.add_argument("out", type=Path, help="the folder to write the sequences to")
    command.add_argument("--fps", type=float, default=30.0, help="frames a second to write (default: %(default)s)")
    command.add_argument("--scale", type=float, help="meters for a unit of the file (default: recognized)")
    command.add_argument("--up", help="the axis that points up, such as z or -y (default: recognized)")
    return run_sequences(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
