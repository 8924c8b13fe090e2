"""Poses of meshes in published layouts, as data sets of mesh pose.

SOURCE is a folder of DeformingThings4D (IDENTITY_MOTION/IDENTITY_MOTION.anime) or of Neural Pose Representation
(meshes/template/mesh.obj, meshes/0000000/mesh.obj, ...), which Mixamo's characters share, or poses of SMPL in an .npz
file (`poses`, as AMASS has them) with --model, an .npz file of the body model. OUT gets OBJ files: the mesh at rest and
its poses. Downloads and their licences are the user's.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.common.numpy_pickle import read_objects
from data_prep.smpl import read_body_model
from pplkit.core.errors import PplkitError
from pplkit.core.words import choice, quantity, replace_unprintable
from pplkit.data.mesh_sets import PosedMesh, write_mesh_set
from pplkit.data.meshes import read_anime, read_sequence

POSES = 300  # of an identity, as published


def read_animations(source: Path, identity: str = "", count: int = POSES, seed: int = 0) -> PosedMesh:
    """Poses of one identity of DeformingThings4D.

    As published, the first frame of the alphabetically first animation is the template, and poses are last frames of
    animations in random order. Where there are fewer animations than poses, other random frames follow, which is not
    published. Raises PplkitError for an identity that is not there, and animations of different meshes.
    """
    files: dict[str, list[Path]] = {}
    for path in sorted(source.glob("*/*.anime"), key=lambda path: path.stem):
        files.setdefault(path.stem.split("_")[0], []).append(path)
    if not identity and len(files) == 1:
        (identity,) = files
    if identity not in files:
        raise PplkitError(f"{source} has no identity {identity!r}: {choice(identity, files)} (--identity).")
    rng, chosen = np.random.default_rng(seed), files[identity]
    template = read_anime(chosen[0])
    order = rng.permutation(len(chosen))
    poses: list[np.ndarray] = []
    while len(poses) < count:
        first = not poses
        for number in order[: count - len(poses)]:
            frames = read_anime(chosen[number]).poses
            if frames.shape[1:] != template.poses.shape[1:]:
                raise PplkitError(f"{chosen[number]} has another mesh than {chosen[0]}: download both again.")
            poses.append(frames[-1 if first else rng.integers(len(frames))])
    return PosedMesh(template.mesh, np.stack(poses))


def read_released(source: Path) -> PosedMesh:
    """Poses in the layout of Neural Pose Representation. Raises PplkitError without a template or poses."""
    files = sorted(source.glob("meshes/*/mesh.obj"), key=lambda path: (path.parent.name != "template", str(path)))
    if len(files) < 2 or files[0].parent.name != "template":
        raise PplkitError(f"{source} lacks meshes/template/mesh.obj or poses: give the folder that holds `meshes`.")
    sequence = read_sequence(files)
    return PosedMesh(sequence.mesh, sequence.poses[1:])


def prepare(
    source: Path | str,
    out: Path | str,
    identity: str = "",
    model: Path | str | None = None,
    count: int = POSES,
    seed: int = 0,
) -> Path:
    """Write the template and at most `count` poses, and return `out`.

    Args:
        source: A folder or file as the module says.
        out: The folder to write.
        identity: Of DeformingThings4D, such as bear3EP.
        model: Of SMPL, an .npz file.
        count: Of the poses; SMPL's are spread evenly over the sequence.
        seed: Decides which frames of DeformingThings4D are taken.

    Raises PplkitError for a source of none of these layouts.
    """
    source = Path(source)
    if source.suffix == ".npz":
        if model is None:
            raise PplkitError(f"{source} holds rotations, no meshes: give the body model as well (--model SMPL.npz).")
        rotations = read_objects(source, ("poses",), "give poses of SMPL, as AMASS has them").get("poses")
        body = read_body_model(Path(model))
        data = body.posed_set(np.asarray(rotations) if rotations is not None else np.zeros(0), count, str(source))
    elif (source / "meshes").is_dir():
        data = read_released(source)
        data = PosedMesh(data.mesh, data.poses[:count])
    elif any(source.glob("*/*.anime")):
        data = read_animations(source, identity, count, seed)
    else:
        raise PplkitError(f"{source} has no layout that is known: give */*.anime, meshes/*/mesh.obj or an .npz file.")
    return write_mesh_set(out, data)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("source", type=Path, help="a folder or file as above")
    command.add_argument("out", type=Path, help="the folder to write the meshes to")
    command.add_argument("--identity", default="", help="which animal of DeformingThings4D, such as bear3EP")
    command.add_argument("--model", type=Path, help="SMPL's body model, an .npz file")
    command.add_argument("--count", type=int, default=POSES, help="poses to write (default: %(default)s)")
    command.add_argument("--seed", type=int, default=0, help="decides which frames are taken (default: %(default)s)")
    replace_unprintable()
    try:
        out = prepare(**vars(command.parse_args(arguments)))
    except PplkitError as error:
        print(f"data_prep: {error}", file=sys.stderr)
        return 2
    print(f"{out}: a template and {quantity(len(list(out.glob('*.obj'))) - 1, 'pose')}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
